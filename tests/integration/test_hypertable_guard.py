"""Versions and positions of a log in chunks: each once, none left out, whoever writes at once."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from typing import Any
from uuid import UUID

import psycopg
import pytest

from application.log.ports import Batch
from domain.events import AccountLimitsSet, DomainEvent
from infrastructure.log import append_text
from infrastructure.log.append_text import MARK_EVERY
from infrastructure.log.appending import AppendStatement
from infrastructure.log.layouts import Layout
from tests.stores import Store

WRITERS = 8
STREAMS = [UUID(int=number) for number in range(1, 7)]
BEGIN = 1_763_625_600_000_000
STEP = 20 * 60_000_000
"""Three days in some two hundred positions: every stream stands in several chunks."""
EPOCH = 1
COMMITTED, REPEATABLE = "read\\ committed", "repeatable\\ read"
ROWS = "SELECT notification_id, * FROM stored_events ORDER BY notification_id"


def event(stream: UUID, version: int, position: int, *, late: bool = False) -> DomainEvent:
    """One event of a stream, at an instant that grows with its position, or in the first days."""
    at = BEGIN + (position % 100 if late else position) * STEP
    return AccountLimitsSet(
        stream, version, at, 0, "tester", "test", UUID(int=position), 0, position
    )


class Writer:
    """One of several that each take themselves for the only one, on a connection of its own.

    What it knows of the log may be old: it reads anew at times, and tries again when refused.
    """

    def __init__(self, store: Store, number: int, isolation: str, *, late: bool = False) -> None:
        self._store = store
        self._late = late
        self._isolation = isolation
        self._chance = random.Random(number)
        self._statement = AppendStatement(store.schema, 0, chunked=store.layout.chunked)
        self.refused = 0
        self.stored = 0

    async def run(self, until: int) -> None:
        """Append until the log has come so far."""
        async with await psycopg.AsyncConnection.connect(
            self._store.dsn,
            autocommit=True,
            options=f"-c search_path={self._store.schema}"
            f" -c default_transaction_isolation={self._isolation}",
        ) as conn:
            await self._statement.prepare(conn)
            await self._statement.begin(conn)
            last, versions = await self._look(conn)
            while last < until:
                events = self._events(last, versions)
                values = self._statement.values(EPOCH, Batch(last + 1, events, []))
                try:
                    assert await self._statement.store(conn, values)
                    self.stored += 1
                except (
                    psycopg.IntegrityError,
                    psycopg.errors.SerializationFailure,
                    psycopg.errors.DeadlockDetected,
                ):
                    self.refused += 1
                known = versions
                last, versions = await self._look(conn)
                if self._chance.random() < 0.2:
                    # It has the right position, and versions of before.
                    versions = known

    async def _look(self, conn: psycopg.AsyncConnection[Any]) -> tuple[int, dict[UUID, int]]:
        cursor = await conn.execute("SELECT COALESCE(max(notification_id), 0) FROM stored_events")
        row = await cursor.fetchone()
        assert row is not None
        cursor = await conn.execute(
            "SELECT originator_id, max(originator_version) FROM stored_events GROUP BY 1"
        )
        return row[0], dict(await cursor.fetchall())

    def _events(self, last: int, versions: dict[UUID, int]) -> list[DomainEvent]:
        """One to four events of some streams, as they go on from what is known."""
        made = []
        going_on = dict(versions)
        for number in range(1, self._chance.randint(1, 4) + 1):
            stream = self._chance.choice(STREAMS)
            going_on[stream] = going_on.get(stream, 0) + 1
            made.append(event(stream, going_on[stream], last + number, late=self._late))
        return made


def race(store: Store, isolation: str, until: int = 200, *, late: bool = False) -> list[Writer]:
    """Let eight writers at a store at once, all of the same epoch."""
    store.rows(
        "INSERT INTO writer_epoch VALUES (0, %s, '', 0, now()) ON CONFLICT DO NOTHING", EPOCH
    )
    writers = [Writer(store, number, isolation, late=late) for number in range(WRITERS)]

    async def work() -> None:
        await asyncio.gather(*[writer.run(until) for writer in writers])

    asyncio.run(asyncio.wait_for(work(), 120))
    return writers


def faults(store: Store) -> list[str]:
    """What is wrong with the versions and positions of a store."""
    found = []
    positions = store.positions()
    if len(positions) != len(set(positions)):
        found.append("a position is there twice")
    if set(positions) != set(range(1, max(positions) + 1)):
        found.append("a position is left out")
    rows = store.rows("SELECT originator_id, originator_version FROM stored_events")
    if len(rows) != len(set(rows)):
        found.append("a version is there twice")
    for stream, count in Counter(stream for stream, _ in set(rows)).items():
        if {version for one, version in rows if one == stream} != set(range(1, count + 1)):
            found.append(f"a version of {stream} is left out")
    return found


@pytest.mark.parametrize("isolation", [COMMITTED, REPEATABLE])
def test_hypertable_guard_holds_under_eight_writers(target_store: Store, isolation: str) -> None:
    """However they interleave: no version twice, no gap, no position twice; heads and marks say
    what the rows say.
    """
    writers = race(target_store, isolation)

    assert [] == faults(target_store)
    assert sum(writer.refused for writer in writers) > WRITERS
    assert [writer for writer in writers if writer.stored] != []
    days = "SELECT count(DISTINCT (recorded_at AT TIME ZONE 'UTC')::date) FROM stored_events"
    assert target_store.rows(days)[0][0] >= 3
    last = max(target_store.positions())
    assert [(last,)] == target_store.rows("SELECT position FROM log_head")
    assert target_store.rows(
        "SELECT originator_id, max(originator_version), min(recorded_at), max(recorded_at)"
        " FROM stored_events GROUP BY 1 ORDER BY 1"
    ) == target_store.rows("SELECT * FROM stream_heads ORDER BY 1")
    assert last // MARK_EVERY == len(target_store.rows("SELECT 1 FROM log_marks"))


def test_hypertable_guard_holds_for_rows_that_come_late(target_store: Store) -> None:
    """Into days that are over, and compressed where the store does that: the same promise, and
    nothing that stood there is lost.
    """
    race(target_store, COMMITTED)
    before = target_store.rows(ROWS)
    if target_store.layout is Layout.TIMESCALE:
        compressed = target_store.rows(
            "SELECT public.compress_chunk(c, true) FROM public.show_chunks('stored_events') c"
        )
        assert len(compressed) >= 3
    writers = race(target_store, COMMITTED, 400, late=True)

    assert [] == faults(target_store)
    assert sum(writer.refused for writer in writers) > 0
    assert before == [row for row in target_store.rows(ROWS) if row[0] <= before[-1][0]]
    assert max(target_store.positions()) >= 400
    last = "SELECT originator_id, max(originator_version) FROM stored_events GROUP BY 1 ORDER BY 1"
    heads = "SELECT originator_id, version FROM stream_heads ORDER BY 1"
    assert target_store.rows(last) == target_store.rows(heads)


def test_hypertable_without_its_guard_holds_versions_and_positions_twice(
    target_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So it is the guard that keeps writers apart, and the race would show it if it did not."""
    whole = append_text.append_text

    def unguarded(*stores: Any) -> str:
        text = whole(*stores)
        begin = text.index("SELECT CASE WHEN NOT EXISTS (SELECT FROM fence)")
        end = text.index(" END, ", begin)
        # Heads go wherever they are sent, and nobody looks whether they went.
        text = text[:begin] + "SELECT (SELECT count(*) FROM fence)" + text[end + len(" END") :]
        text = text.replace("FROM streams WHERE first = 1 RETURNING 1)", "FROM streams LIMIT 0)")
        return text.replace("FROM fence WHERE position = $3::bigint - 1 RETURNING", "RETURNING")

    monkeypatch.setattr("infrastructure.log.appending.append_text", unguarded)
    race(target_store, COMMITTED)

    found = " ".join(faults(target_store))
    assert "a version is there twice" in found
    assert "a position is there twice" in found


def test_hypertable_refuses_versions_and_positions_that_do_not_go_on(target_store: Store) -> None:
    """A stream of two events takes the third next, and each in its turn; nothing else is stored."""
    target_store.rows("INSERT INTO writer_epoch VALUES (0, %s, '', 0, now())", EPOCH)
    statement = AppendStatement(target_store.schema, 0, chunked=True)
    stream, other = STREAMS[:2]

    async def work() -> None:
        async with await psycopg.AsyncConnection.connect(target_store.dsn, autocommit=True) as conn:
            await statement.prepare(conn)
            await statement.begin(conn)

            async def append(first: int, *events: DomainEvent) -> None:
                assert await statement.store(
                    conn, statement.values(EPOCH, Batch(first, events, []))
                )

            await append(1, event(stream, 1, 1), event(stream, 2, 2))
            for versions in ((3, 5), (3, 3), (4,), (2,), (0,), (1,), (-1,), (3, 5, 5), (4, 3, 6)):
                wrong = [event(stream, version, n) for n, version in enumerate(versions, 4)]
                with pytest.raises(psycopg.errors.UniqueViolation, match=r"version|stream_heads"):
                    await append(3, event(other, 1, 3), *wrong)
            for first in (1, 2, 4):
                with pytest.raises(psycopg.errors.UniqueViolation, match="position"):
                    await append(first, event(other, 1, first))
            assert [1, 2] == target_store.positions()
            heads = target_store.rows("SELECT originator_id, version FROM stream_heads")
            assert [(stream, 2)] == heads
            await append(3, event(stream, 3, 3), event(other, 1, 4), event(stream, 4, 5))

    asyncio.run(work())
    assert [] == faults(target_store)
