"""Adds up a finished log: nothing missing, every cent posted twice, the replay equals the live."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec

from application.desk import Desk
from application.desk_state import state_hash
from application.following import DeskDiverged, follow
from application.ports import EventLog

PAGE = 5_000
FINDINGS_KEPT = 10


class Books(msgspec.Struct):
    """What adding up found; `findings` are the first things that are not as they should be."""

    events: int = 0
    state_hash: str = ""
    findings: list[str] = msgspec.field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether all is as it should be."""
        return not self.findings


async def add_up(log: EventLog, live: Desk) -> Books:
    """Read the whole log once, and hold a desk made of it to the live one."""
    books = Books()
    desk = Desk(live.partition)
    versions: dict[UUID, int] = {}
    ledgers: dict[int, int] = {}
    while page := await log.read(books.events, PAGE):
        for position, event in page:
            books.events += 1
            if position != books.events:
                books.findings.append(f"position {position} stands where {books.events} should")
                return books
            if event.originator_version != versions.get(event.originator_id, 0) + 1:
                books.findings.append(f"event {position} skips a version")
            versions[event.originator_id] = event.originator_version
            postings: Any = getattr(event, "postings", ())
            if sum(posting[2] for posting in postings):
                books.findings.append(f"the postings of event {position} do not sum to zero")
            for _, ledger, amount in postings:
                ledgers[ledger] = ledgers.get(ledger, 0) + amount
            if len(books.findings) >= FINDINGS_KEPT:
                return books
        try:
            follow(desk, page)
        except DeskDiverged as error:
            books.findings.append(str(error))
            return books
    if sum(ledgers.values()):
        books.findings.append(f"the ledgers sum to {sum(ledgers.values())} cents instead of 0")
    books.state_hash = state_hash(desk).hex()
    if state_hash(live) != state_hash(desk):
        books.findings.append("the desk replayed from the log is not the live one")
    return books
