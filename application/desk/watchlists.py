"""The room of watchlists: every account's lists, by id and by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from domain.aggregate import Aggregate
from domain.events import WatchlistChanged, WatchlistCreated, WatchlistDeleted
from domain.watchlist import Watchlist


class Watchlists:
    """The lists that there are; one that was deleted has left memory."""

    def __init__(self) -> None:
        self._by_id: dict[int, Watchlist] = {}
        self._by_account: dict[int, dict[str, Watchlist]] = {}
        self.rules: dict[type[Any], Callable[[Any], Any]] = {
            WatchlistCreated: self._created,
            WatchlistChanged: self._changed,
            WatchlistDeleted: self._deleted,
        }
        self.aggregates: dict[str, Callable[[Any], Aggregate | None]] = {
            Watchlist.KIND: lambda event: self._by_id.get(event.originator_id.int),
        }
        """Where the aggregate of an event of each family stands."""

    # Questions

    def find(self, account_id: UUID, watchlist_id: UUID) -> Watchlist | None:
        """An account's list by its id."""
        found = self._by_id.get(watchlist_id.int)
        return found if found is not None and found.account_id == account_id else None

    def named(self, account_id: UUID, name: str) -> Watchlist | None:
        """An account's list by its name."""
        return self._by_account.get(account_id.int, {}).get(name)

    def count_of(self, account_id: UUID) -> int:
        """How many lists an account has."""
        return len(self._by_account.get(account_id.int, ()))

    # Applying events

    def _created(self, event: WatchlistCreated) -> Watchlist:
        watchlist = Watchlist.begun_by(event)
        self._add(watchlist)
        return watchlist

    def _add(self, watchlist: Watchlist) -> None:
        named = self._by_account.setdefault(watchlist.account_id.int, {})
        assert watchlist.name not in named, "two lists of one name"
        self._by_id[watchlist.id.int] = named[watchlist.name] = watchlist

    def _changed(self, event: WatchlistChanged) -> Watchlist:
        watchlist = self._by_id[event.originator_id.int]
        named = self._by_account[watchlist.account_id.int]
        del named[watchlist.name]
        watchlist.evolve(event)
        assert watchlist.name not in named, "two lists of one name"
        named[watchlist.name] = watchlist
        return watchlist

    def _deleted(self, event: WatchlistDeleted) -> Watchlist:
        watchlist = self._by_id.pop(event.originator_id.int)
        del self._by_account[watchlist.account_id.int][watchlist.name]
        watchlist.evolve(event)
        return watchlist

    # The room as plain values

    def dump(self) -> list[Any]:
        """All state of the room in one canonical order."""
        return [watchlist.state() for watchlist in self._by_id.values()]

    def load(self, state: list[Any]) -> None:
        """Become the room that was dumped."""
        for row in state:
            self._add(Watchlist.from_state(row))
