"""The books of watchlists: whose each is, what it is called, and what it holds."""

from __future__ import annotations

from uuid import UUID

from application.audit.second_books.findings import Findings
from domain.events import (
    InstrumentListed,
    WatchlistChanged,
    WatchlistCreated,
    WatchlistDeleted,
)

CHECK = "watchlists"
AN_ACCOUNT = 200
A_LIST = 200


class WatchlistBooks:
    """Lists by account, each with its name; instruments as they were listed."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._names: dict[UUID, dict[UUID, str]] = {}
        self._instruments: set[UUID] = set()

    def listed(self, event: InstrumentListed) -> None:
        """Take a new instrument in."""
        self._instruments.add(event.originator_id)

    def created(self, position: int, event: WatchlistCreated) -> None:
        """Judge a new list."""
        own = self._names.setdefault(event.account_id, {})
        self._judge(position, event, own)
        own[event.originator_id] = event.name
        if len(own) > AN_ACCOUNT:
            self._fail(position, f"account {event.account_id} has {len(own)} lists")

    def changed(self, position: int, event: WatchlistChanged) -> None:
        """Judge a list that there must be."""
        own = self._known(position, event)
        own.pop(event.originator_id, None)
        self._judge(position, event, own)
        own[event.originator_id] = event.name

    def deleted(self, position: int, event: WatchlistDeleted) -> None:
        """Judge the end of a list that there must be."""
        self._findings.looked[CHECK] += 1
        self._known(position, event).pop(event.originator_id, None)

    def _known(self, position: int, event: WatchlistChanged | WatchlistDeleted) -> dict[UUID, str]:
        own = self._names.setdefault(event.account_id, {})
        if event.originator_id not in own:
            self._fail(position, f"account {event.account_id} has no list {event.originator_id}")
        return own

    def _judge(
        self, position: int, event: WatchlistCreated | WatchlistChanged, others: dict[UUID, str]
    ) -> None:
        self._findings.looked[CHECK] += 1
        if not event.name or event.name in others.values():
            self._fail(position, f"the name {event.name!r} is empty, or another list's")
        held = event.instruments
        if len(set(held)) != len(held) or len(held) > A_LIST:
            self._fail(position, "the list is too long, or holds an instrument twice")
        unknown = [str(one) for one in held if one not in self._instruments]
        if unknown:
            self._fail(position, f"the list holds what was never listed: {unknown[0]}")

    def _fail(self, position: int, message: str) -> None:
        self._findings.fail(CHECK, position, message)
