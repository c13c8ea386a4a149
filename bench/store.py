"""How fast events are appended, replayed and projected, beside raw COPY and multi-row INSERT."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from time import perf_counter, process_time_ns
from typing import Any, NamedTuple

import psycopg
import uvloop
from psycopg import sql

from application.log.ports import Batch, RequestKey
from application.writer.loading import load_desk
from application.writer.request_keys import key_of_event
from bench.deciding import DeskAlone
from bench.flow import MIX, commands, furnish
from bench.raw_reading import raw_reading
from bench.report import goal, machine
from bench.store_views import rebuild_rates
from bench.venue import server
from domain.events import DomainEvent
from infrastructure.log.measuring import make_empty_copy, plain_row
from infrastructure.log.snapshots import PostgresSnapshots
from infrastructure.log.statements import STORED_COLUMNS
from infrastructure.log.writing import PostgresEventLog
from migrations.runner import migrate

QUICK = {"count": 20_000}
_BATCH = 1_000


def decided(count: int, seed: int) -> tuple[list[DomainEvent], list[RequestKey]]:
    """The events and request keys of `count` commands of the mix."""
    alone = DeskAlone()
    floor = asyncio.run(furnish(alone))
    replayed = DeskAlone()
    events: list[DomainEvent] = []
    for command in [*alone.commands, *commands(floor, count, seed, "store")]:
        events += replayed.decide(command).events
    keys = [
        key
        for position, event in enumerate(events, start=1)
        if (key := key_of_event(event, position)) is not None
    ]
    return events, keys


class Rates(NamedTuple):
    """Events a second."""

    appended: float
    replayed: float
    read: float


async def append(
    dsn: str, schema: str, events: Sequence[DomainEvent], keys: Sequence[RequestKey]
) -> Rates:
    """Events through the writer's log in fenced commits of 1,000, replayed, and merely read."""
    migrate(dsn, schema)
    log = PostgresEventLog(dsn, schema, 0)
    await log.take_over()
    batches = []
    at = 0
    for first in range(0, len(events), _BATCH):
        end = at
        while end < len(keys) and keys[end].position <= first + _BATCH:
            end += 1
        batches.append(Batch(first + 1, events[first : first + _BATCH], keys[at:end]))
        at = end
    started = perf_counter()
    for batch in batches:
        await log.append(batch)
    appended = len(events) / (perf_counter() - started)
    started = perf_counter()
    desk, _ = await load_desk(log, PostgresSnapshots(dsn, schema), 0)
    assert desk.position == len(events)
    replayed = len(events) / (perf_counter() - started)
    await log.close()
    return Rates(appended, replayed, len(events) / await raw_reading(dsn, schema, len(events)))


class Raw(NamedTuple):
    """How long rows took to be stored, and what of this process's time their encoding took."""

    seconds: float
    encoding_ns: int


def raw(dsn: str, events: Sequence[DomainEvent], how: str) -> Raw:
    """Store events in an empty table of the same shape and indexes, same commits, without
    fence, keys or notification; encoding included.
    """
    table = sql.Identifier(f"raw_{how}")
    names = sql.SQL(",").join(map(sql.Identifier, STORED_COLUMNS))
    with psycopg.connect(dsn, autocommit=True) as conn:
        make_empty_copy(conn, "bench_store", f"raw_{how}")
        encoding_ns = 0
        started = perf_counter()
        for first in range(0, len(events), _BATCH):
            begun = process_time_ns()
            rows = [
                plain_row(first + number, event)
                for number, event in enumerate(events[first : first + _BATCH], start=1)
            ]
            encoding_ns += process_time_ns() - begun
            if how == "copy":
                statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT BINARY)")
                with conn.cursor().copy(statement.format(table, names)) as copy:
                    copy.set_types(list(STORED_COLUMNS.values()))
                    for row in rows:
                        copy.write_row(row)
            else:
                places = [sql.Placeholder()] * len(STORED_COLUMNS)
                one = sql.SQL("({})").format(sql.SQL(",").join(places))
                conn.execute(
                    sql.SQL("INSERT INTO {} ({}) VALUES {}").format(
                        table, names, sql.SQL(",").join([one] * len(rows))
                    ),
                    [value for row in rows for value in row],
                )
        seconds = perf_counter() - started
        conn.execute(sql.SQL("DROP TABLE {}").format(table))
        return Raw(seconds, encoding_ns)


def run(*, count: int = 100_000, seed: int = 7) -> dict[str, Any]:
    """The whole benchmark over the events of `count` commands."""
    about = machine()
    events, keys = decided(count, seed)
    with server() as running:
        dsn = running.dsn()
        ours = uvloop.run(append(dsn, "bench_store", events, keys))
        copied = len(events) / raw(dsn, events, "copy").seconds
        inserted = len(events) / raw(dsn, events, "insert").seconds
        rebuilt = rebuild_rates(dsn, "bench_store")
    slowest = min(rebuilt.values())
    return {
        "figures": {
            "events": len(events),
            "appended events/s": round(ours.appended),
            "raw COPY events/s": round(copied),
            "multi-row INSERT events/s": round(inserted),
            "replayed events/s": round(ours.replayed),
            "read and decoded events/s": round(ours.read),
            **{f"rebuild {name} events/s": round(rate) for name, rate in rebuilt.items()},
        },
        "machine": about,
        "mix": f"events of: {MIX}; commits of {_BATCH} events",
        "left_out": "deciding; COPY and INSERT carry no fence, request keys or notification",
        "goals": [
            goal("appended beside COPY", round(ours.appended / copied, 2), 0.7),
            goal("replayed beside reading", round(ours.replayed / ours.read, 2), 0.5),
            goal("slowest view's rebuild beside reading", round(slowest / ours.read, 2), 0.5),
        ],
    }
