"""What it takes merely to read a log: plain SELECTs through the same driver, and decoding."""

from __future__ import annotations

from time import perf_counter

from infrastructure.log.source import PostgresEventSource

_PAGE = 10_000


async def raw_reading(dsn: str, schema: str, count: int) -> float:
    """Seconds to read and decode so many events from the first on; raises when there are fewer."""
    async with PostgresEventSource(dsn, schema) as source:
        await source.last_position()
        started = perf_counter()
        position = 0
        while page := await source.read(position, _PAGE):
            position = page[-1].position
        seconds = perf_counter() - started
    if position < count:
        raise RuntimeError(f"the log holds {position} events of {count}")
    return seconds
