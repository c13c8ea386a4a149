"""Request keys as the events carry them, compared with those the store keeps.

An account's traders have keys, and so have the operators who move its cash and holdings: theirs
are kept under the account's id with the four bits of its version turned over.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from uuid import UUID

from application.audit.second_books.findings import Findings
from domain.events import (
    CashMoved,
    CloseAllTaken,
    DomainEvent,
    GroupPlaced,
    MultiLegCanceled,
    MultiLegPlaced,
    MultiLegRejected,
    MultiLegReplaced,
    MultiLegUnwinding,
    OrderAccepted,
    OrderCanceled,
    OrderRejected,
    OrderReplaced,
    PositionTransferred,
    RequestRefused,
    WatchlistEvent,
)

KeyOf = tuple[UUID, str]
Find = Callable[[Sequence[KeyOf]], Mapping[KeyOf, tuple[bytes, int]]]
"""The stored (fingerprint, position) of keys."""


_NAMED = OrderAccepted | OrderRejected | GroupPlaced | MultiLegPlaced | MultiLegRejected
"""They begin with the client's own name."""
_ASKED = (
    OrderReplaced
    | OrderCanceled
    | MultiLegReplaced
    | MultiLegCanceled
    | MultiLegUnwinding
    | WatchlistEvent
)


def key_in(event: DomainEvent) -> tuple[KeyOf, bytes] | None:
    """The key and fingerprint an event carries, when it carries one."""
    if isinstance(event, OrderAccepted) and event.leg:
        return None
    if isinstance(event, OrderAccepted | OrderRejected) and not event.fingerprint:
        # No request named it: it came of one that carries its own key.
        return None
    if isinstance(event, _NAMED):
        key = (event.account_id, event.client_order_id)
        return (key, event.fingerprint) if event.client_order_id else None
    if isinstance(event, _ASKED):
        key = (event.account_id, event.request_key)
        return (key, event.fingerprint) if event.request_key else None
    if isinstance(event, PositionTransferred):
        key = (_operators(event.account_id), event.request_key)
        return (key, event.fingerprint) if event.request_key else None
    if isinstance(event, RequestRefused | CashMoved | CloseAllTaken):
        refused = isinstance(event, RequestRefused) and event.request in _TRADERS_REQUESTS
        asked_by_trader = refused or isinstance(event, CloseAllTaken)
        whose = event.originator_id if asked_by_trader else _operators(event.originator_id)
        key = (whose, event.request_key)
        return (key, event.fingerprint) if event.request_key else None
    return None


def _operators(account_id: UUID) -> UUID:
    return UUID(int=account_id.int ^ 0xF000 << 64)


_TRADERS_REQUESTS = (
    *("cancel_order", "replace_order", "close_position"),
    *("create_watchlist", "change_watchlist", "delete_watchlist"),
)
"""What traders ask for that is refused by an event of the account."""

CARRIES_KEY = frozenset(
    {
        GroupPlaced,
        MultiLegPlaced,
        MultiLegRejected,
        MultiLegReplaced,
        MultiLegCanceled,
        MultiLegUnwinding,
        OrderAccepted,
        OrderRejected,
        OrderReplaced,
        OrderCanceled,
        PositionTransferred,
        RequestRefused,
        CloseAllTaken,
        *CashMoved.__subclasses__(),
        *WatchlistEvent.__subclasses__(),
    }
)


class KeyBooks:
    """Gathers the keys of a page of events and looks all of them up at once."""

    def __init__(self, findings: Findings, find: Find) -> None:
        self._findings = findings
        self._find = find
        self._page: list[tuple[KeyOf, bytes, int, int]] = []
        self.count = 0

    def note(self, position: int, event: DomainEvent, first_of_command: int) -> None:
        """A key at a position, in a command that began at another."""
        carried = key_in(event)
        if carried is not None:
            self._page.append((*carried, position, first_of_command))

    def end_page(self) -> None:
        """Compare what has gathered with the store."""
        if not self._page:
            return
        stored = self._find([row[0] for row in self._page])
        for key, fingerprint, position, first in self._page:
            found = stored.get(key)
            if found is None:
                self._fail(position, f"{key[1]!r} of account {key[0]} is not stored")
                continue
            if found[1] != first:
                self._fail(position, f"{key[1]!r} of account {key[0]} was first used at {found[1]}")
                continue
            self.count += 1
            if bytes(found[0]) != fingerprint:
                self._fail(position, f"{key[1]!r} of account {key[0]} has another fingerprint")
        self._findings.looked["keys"] += len(self._page)
        self._page.clear()

    def end(self, position: int, stored: int) -> None:
        """Judge whether the store keeps keys that no event carries."""
        if stored > self.count:
            self._fail(position, f"{stored - self.count} stored keys belong to no event")

    def _fail(self, position: int, message: str) -> None:
        self._findings.fail("keys", position, message)
