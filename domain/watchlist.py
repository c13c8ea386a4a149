"""A watchlist: an account's own selection of instruments, in its order, under a name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Self
from uuid import UUID

from domain.aggregate import Aggregate, aggregate
from domain.decision import Decision
from domain.events import WatchlistChanged, WatchlistCreated, WatchlistDeleted
from domain.identifiers import NO_ID, uuid_of
from domain.order_terms import Request

LONGEST_NAME = 64
MOST_LISTS = 200
"""How many lists an account may have."""
MOST_SYMBOLS = 200
"""How many instruments a list may hold."""


class Selection(NamedTuple):
    """What a list is called and what is on it, in its order."""

    name: str
    instruments: tuple[UUID, ...]


class Watchlist(Aggregate):
    """One list of one account; it holds instruments and not symbols, so that renames follow."""

    KIND = "watchlist"

    account_id: UUID = NO_ID
    name: str = ""
    instruments: Any = ()

    @classmethod
    def create(
        cls, decision: Decision, account_id: UUID, request: Request, selection: Selection
    ) -> None:
        """Make a list."""
        event = WatchlistCreated(
            *decision.first_of(decision.new_id()),
            account_id=account_id,
            request_key=request.key,
            fingerprint=request.fingerprint,
            name=selection.name,
            instruments=selection.instruments,
        )
        decision.record(event, None)

    def change(self, decision: Decision, request: Request, selection: Selection) -> None:
        """Give the list another name or other instruments."""
        event = WatchlistChanged(
            *decision.next_of(self),
            account_id=self.account_id,
            request_key=request.key,
            fingerprint=request.fingerprint,
            name=selection.name,
            instruments=selection.instruments,
            created_at=self.created_at,
        )
        decision.record(event, self)

    def delete(self, decision: Decision, request: Request) -> None:
        """Give the list up."""
        event = WatchlistDeleted(
            *decision.next_of(self),
            account_id=self.account_id,
            request_key=request.key,
            fingerprint=request.fingerprint,
        )
        decision.record(event, self)

    @classmethod
    def from_state(cls, state: Sequence[Any]) -> Self:
        """The list whose `state` this is; ids come back as bytes."""
        self = super().from_state(state)
        self.instruments = tuple(
            one if isinstance(one, UUID) else uuid_of(one) for one in self.instruments
        )
        return self


aggregate(Watchlist)
