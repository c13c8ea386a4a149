"""How fast events are appended, replayed and projected, beside raw COPY and multi-row INSERT."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from time import perf_counter
from typing import Any

import psycopg
import uvloop
from psycopg import sql

from application.commands import encode_command
from application.deciding.handlers import HANDLERS
from application.ports import Batch, RequestKey
from application.writer.loading import load_desk
from application.writer.request_keys import fingerprint, key_of_event
from bench.flow import MIX, commands, furnish
from bench.plain_library import BENCH_TIME
from bench.report import goal, machine
from bench.store_views import rebuild_rates
from bench.submit import Collected, server
from domain.decision import Decision
from domain.events import DomainEvent
from infrastructure.log.codec import encode_event, typed_columns
from infrastructure.log.snapshots import PostgresSnapshots
from infrastructure.log.writing import PostgresEventLog
from migrations.runner import migrate

_BATCH = 1_000
_COLUMNS = {
    "originator_id": "uuid",
    "originator_version": "int8",
    "topic": "text",
    "state": "bytea",
    "notification_id": "int8",
    "recorded_at": "timestamptz",
    "instrument_id": "uuid",
    "account_id": "uuid",
    "traded_qty": "int8",
    "traded_notional": "int8",
    "correlation_id": "uuid",
    "actor": "text",
}


def decided(count: int, seed: int) -> tuple[list[DomainEvent], list[RequestKey]]:
    """The events and request keys of `count` commands of the mix."""
    setup = Collected()
    floor = asyncio.run(furnish(setup))
    replayed = Collected()
    events: list[DomainEvent] = []
    every = [*setup.commands, *commands(floor, count, seed, "store")]
    desk = replayed.desk
    for number, command in enumerate(every, start=1):
        decision = Decision(BENCH_TIME + number, 0, number, "bench", "bench", desk.position + 1)
        HANDLERS[type(command)](desk, decision, command, fingerprint(encode_command(command)))
        desk.position += len(decision.events)
        events += decision.events
    keys = [
        key
        for position, event in enumerate(events, start=1)
        if (key := key_of_event(event, position)) is not None
    ]
    return events, keys


async def append(
    dsn: str, schema: str, events: Sequence[DomainEvent], keys: Sequence[RequestKey]
) -> tuple[float, float]:
    """Events a second through the writer's log, in fenced commits of 1,000; and replayed."""
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
    return appended, replayed


def _row(position: int, event: DomainEvent) -> tuple[Any, ...]:
    columns = typed_columns(event)
    return (
        event.originator_id,
        event.originator_version,
        event.TOPIC,
        encode_event(event),
        position,
        event.timestamp,
        *columns[1:],
    )


def raw(dsn: str, events: Sequence[DomainEvent], how: str) -> float:
    """Events a second into an empty table of the same shape and indexes, same commits, without
    fence, keys or notification; encoding included.
    """
    table = sql.Identifier(f"raw_{how}")
    names = sql.SQL(",").join(map(sql.Identifier, _COLUMNS))
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute(
            sql.SQL("CREATE TABLE {} (LIKE bench_store.stored_events INCLUDING ALL)").format(table)
        )
        started = perf_counter()
        for first in range(0, len(events), _BATCH):
            rows = [
                _row(first + number, event)
                for number, event in enumerate(events[first : first + _BATCH], start=1)
            ]
            if how == "copy":
                statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT BINARY)")
                with conn.cursor().copy(statement.format(table, names)) as copy:
                    copy.set_types(list(_COLUMNS.values()))
                    for row in rows:
                        copy.write_row(row)
            else:
                one = sql.SQL("({})").format(sql.SQL(",").join([sql.Placeholder()] * len(_COLUMNS)))
                conn.execute(
                    sql.SQL("INSERT INTO {} ({}) VALUES {}").format(
                        table, names, sql.SQL(",").join([one] * len(rows))
                    ),
                    [value for row in rows for value in row],
                )
        return len(events) / (perf_counter() - started)


def run(*, count: int = 100_000, seed: int = 7) -> dict[str, Any]:
    """The whole benchmark over the events of `count` commands."""
    about = machine()
    events, keys = decided(count, seed)
    with server() as running:
        dsn = running.dsn()
        appended, replayed = uvloop.run(append(dsn, "bench_store", events, keys))
        copied = raw(dsn, events, "copy")
        inserted = raw(dsn, events, "insert")
        rebuilt = rebuild_rates(dsn, "bench_store")
    slowest = min(rebuilt.values())
    return {
        "figures": {
            "events": len(events),
            "appended events/s": round(appended),
            "raw COPY events/s": round(copied),
            "multi-row INSERT events/s": round(inserted),
            "replayed events/s": round(replayed),
            **{f"rebuild {name} events/s": round(rate) for name, rate in rebuilt.items()},
        },
        "machine": about,
        "mix": f"events of: {MIX}; commits of {_BATCH} events",
        "left_out": "deciding; COPY and INSERT carry no fence, request keys or notification",
        "goals": [
            goal("appended beside COPY", round(appended / copied, 2), 0.7),
            goal("slowest view's rebuild events/s", round(slowest), 100_000),
        ],
    }
