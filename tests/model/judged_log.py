"""What the second bookkeeper finds in a log of a desk without a store."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from uuid import UUID

from application.audit.second_books.books import Books
from application.audit.second_books.findings import Findings
from domain.events import DomainEvent


def judged(log: Sequence[DomainEvent]) -> Findings:
    """What the second bookkeeper finds in a log."""
    findings = Findings()

    def history(order_id: UUID, before: int) -> Sequence[DomainEvent]:
        return [event for event in log[: before - 1] if event.originator_id == order_id]

    books = Books(findings, history)
    position = 0
    for _, events in groupby(log, key=lambda event: event.correlation_id):
        for event in events:
            position += 1
            judge = books.judges.get(type(event))
            if judge is not None:
                judge(position, event)
        books.end_command(position)
    books.end(position)
    return findings
