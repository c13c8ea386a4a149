"""The room of keys: every key that there was, by its id."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from domain.aggregate import Aggregate
from domain.api_key import ApiKey
from domain.events import KeyIssued, KeyRevoked, KeyRotated
from domain.identifiers import Instant


class Keys:
    """Keys, also those that let nobody in any more: an id is never given twice."""

    def __init__(self) -> None:
        self._by_id: dict[int, ApiKey] = {}
        self._by_name: dict[str, ApiKey] = {}
        self._by_account: dict[int, list[ApiKey]] = {}
        self.rules: dict[type[Any], Callable[[Any], Any]] = {
            KeyIssued: self._issued,
            KeyRotated: self._moved,
            KeyRevoked: self._moved,
        }
        self.aggregates: dict[str, Callable[[Any], Aggregate | None]] = {
            ApiKey.KIND: lambda event: self._by_id.get(event.originator_id.int),
        }
        """Where the aggregate of an event of each family stands."""

    # Questions

    @property
    def begun(self) -> bool:
        """Whether any key was ever an event: what is stored without one since is nobody's."""
        return bool(self._by_id)

    def find(self, key_id: str) -> ApiKey | None:
        """The key of an id, revoked or not."""
        return self._by_name.get(key_id)

    def live(self) -> list[str]:
        """The ids of all keys that are not revoked."""
        return [key.key_id for key in self._by_id.values() if not key.revoked]

    def live_of(self, account_id: UUID, at: Instant) -> list[ApiKey]:
        """The keys of an account, or of operators for the nil one, that let somebody in."""
        return [key for key in self._by_account.get(account_id.int, ()) if key.is_live(at)]

    # Applying events

    def _issued(self, event: KeyIssued) -> ApiKey:
        key = ApiKey.begun_by(event)
        self._add(key)
        return key

    def _add(self, key: ApiKey) -> None:
        assert key.key_id not in self._by_name, "two keys of one id"
        self._by_id[key.id.int] = self._by_name[key.key_id] = key
        self._by_account.setdefault(key.account_id.int, []).append(key)

    def _moved(self, event: KeyRotated | KeyRevoked) -> ApiKey:
        key = self._by_id[event.originator_id.int]
        key.evolve(event)
        return key

    # The room as plain values

    def dump(self) -> list[Any]:
        """All state of the room in one canonical order."""
        return [key.state() for key in self._by_id.values()]

    def load(self, state: list[Any]) -> None:
        """Take a dumped room in."""
        for row in state:
            self._add(ApiKey.from_state(row))
