"""Watchlists as clients ask for them and see them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import Field, model_validator

from api.documents import Asset, Document
from api.rendering import asset_document
from api.schemas import Name, RequestBody, Symbol
from domain.errors import InvalidField
from domain.identifiers import Instant, iso
from domain.watchlist import LONGEST_NAME, MOST_SYMBOLS
from projections.instruments import InstrumentRow

_Name = Annotated[Name, Field(max_length=LONGEST_NAME)]
_Symbols = Annotated[list[Symbol], Field(max_length=MOST_SYMBOLS)]


class WatchlistRequest(RequestBody):
    """A new watchlist; the symbols stay in this order."""

    name: _Name
    symbols: _Symbols | None = None


class WatchlistChange(RequestBody):
    """Another name, other symbols, or both; what is left out stays."""

    name: _Name | None = None
    symbols: _Symbols | None = None

    @model_validator(mode="after")
    def _asks_for_something(self) -> WatchlistChange:
        if self.name is None and self.symbols is None:
            raise InvalidField("name", "or symbols is required")
        return self


class WatchlistAddition(RequestBody):
    """One symbol more, at the end."""

    symbol: Symbol


class Watchlist(Document):
    """A watchlist, in Alpaca's shape. The list of all of them leaves `assets` out."""

    id: UUID
    account_id: UUID
    name: str
    created_at: datetime
    updated_at: datetime
    assets: list[Asset] | None = None


WATCHLIST_REQUESTS: tuple[type[RequestBody], ...] = (
    WatchlistRequest,
    WatchlistChange,
    WatchlistAddition,
)


def watchlist_document(
    watchlist_id: UUID | str,
    account_id: UUID,
    name: str,
    times: tuple[Instant, Instant],
    assets: Sequence[InstrumentRow] | None = None,
) -> dict[str, Any]:
    """A list with the times at which it was made and last changed, and the assets on it."""
    created_at, updated_at = times
    document = {
        "id": str(watchlist_id),
        "account_id": str(account_id),
        "name": name,
        "created_at": iso(created_at),
        "updated_at": iso(updated_at),
    }
    if assets is None:
        return document
    return {**document, "assets": [asset_document(row) for row in assets]}
