"""The commands about watchlists."""

from __future__ import annotations

from typing import Annotated

import msgspec

from application.requests import OfAccount, Text
from domain import units
from domain.identifiers import WatchlistId
from domain.watchlist import MOST_SYMBOLS

SentSymbols = Annotated[tuple[Text[units.Symbol], ...], msgspec.Meta(max_length=MOST_SYMBOLS)]
"""As many symbols as a list may hold."""


class CreateWatchlist(OfAccount, frozen=True, array_like=True, tag="create_watchlist"):
    """Make a list of some instruments, in this order."""

    name: Text[str]
    request_key: Text[units.Key]
    symbols: SentSymbols = ()


class ChangeWatchlist(OfAccount, frozen=True, array_like=True, tag="change_watchlist"):
    """Give a list another name or other instruments, or add or remove a single one.

    It is the one with an id, or the one that is `named` where the id is nil. None keeps a term,
    and of `add` and `remove` an empty symbol asks for nothing.
    """

    watchlist_id: WatchlistId
    request_key: Text[units.Key]
    named: Text[str] = ""
    name: Text[str] | None = None
    symbols: SentSymbols | None = None
    add: Text[units.Symbol] = ""
    remove: Text[units.Symbol] = ""


class DeleteWatchlist(OfAccount, frozen=True, array_like=True, tag="delete_watchlist"):
    """Give a list up: the one with an id, or the one that is `named` where the id is nil."""

    watchlist_id: WatchlistId
    request_key: Text[units.Key]
    named: Text[str] = ""
