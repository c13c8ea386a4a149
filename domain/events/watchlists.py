"""Events of watchlists: the instruments that an account has put together under a name."""

from __future__ import annotations

from typing import Any

from domain.events.base import DomainEvent, SpentKey, spent, topic
from domain.identifiers import AccountId, Instant, InstrumentId
from domain.units import Fingerprint, Key


class WatchlistEvent(DomainEvent, frozen=True, array_like=True, gc=False):
    """An event of a watchlist, and the request that asked for it."""

    AGGREGATE = "watchlist"
    account_id: AccountId
    request_key: Key
    fingerprint: Fingerprint

    def spends(self) -> SpentKey | None:
        return spent(self.account_id, self.request_key, self.fingerprint)


@topic
class WatchlistCreated(WatchlistEvent, frozen=True, array_like=True, gc=False):
    """An account has a new list of these instruments, in this order."""

    TOPIC = "watchlist.created.v1"
    name: str
    instruments: tuple[InstrumentId, ...]

    def apply(self, aggregate: Any) -> None:
        aggregate.account_id = self.account_id
        aggregate.name = self.name
        aggregate.instruments = self.instruments


@topic
class WatchlistChanged(WatchlistEvent, frozen=True, array_like=True, gc=False):
    """The name and the instruments of a list, all of them, as they are from now on."""

    TOPIC = "watchlist.changed.v1"
    name: str
    instruments: tuple[InstrumentId, ...]
    created_at: Instant
    """When the list was made."""

    def apply(self, aggregate: Any) -> None:
        aggregate.name = self.name
        aggregate.instruments = self.instruments


@topic
class WatchlistDeleted(WatchlistEvent, frozen=True, array_like=True, gc=False):
    """The list is gone, and its name is free."""

    TOPIC = "watchlist.deleted.v1"

    def apply(self, aggregate: Any) -> None:
        aggregate.instruments = ()
