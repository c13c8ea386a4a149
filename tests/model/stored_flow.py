"""A flow that lived in memory, written to a real store as a writer would have."""

from __future__ import annotations

from collections.abc import Iterator

from application.log.ports import Batch, KeyRow, RequestKey
from infrastructure.log.writing import PostgresEventLog
from tests.model.command_flow import InMemoryVenue

BATCH = 500


async def store(venue: InMemoryVenue, dsn: str, schema: str) -> None:
    """Append every event and key of a log in memory to an empty store."""
    log = PostgresEventLog(dsn, schema, 0)
    await log.take_over()
    for batch in batches(venue):
        await log.append(batch)
    await log.close()


def batches(venue: InMemoryVenue) -> Iterator[Batch]:
    """The whole log as a writer would have appended it, with its request keys."""
    events = venue.log.events()
    keys: dict[int, list[RequestKey]] = {}
    for key in venue.log.keys.values():
        keys.setdefault((key.position - 1) // BATCH, []).append(key)
    for number, start in enumerate(range(0, len(events), BATCH)):
        beside = [
            row
            for row in venue.log.beside
            if isinstance(row, KeyRow) and start < row.position <= start + BATCH
        ]
        yield Batch(start + 1, events[start : start + BATCH], keys.get(number, []), beside)
