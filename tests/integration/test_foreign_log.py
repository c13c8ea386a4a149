"""A log that another program wrote is refused at once, in one sentence that says what to do."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import psycopg
import pytest
from psycopg import sql

from api.asset_classes import AssetClasses
from api.cli.exit_codes import Exit
from api.groups import Groups
from api.processes.environment import SOURCES
from api.ws.subscriptions import Subscriptions
from domain.events import OrderFilled
from infrastructure.log.codec import encode_event
from infrastructure.log.memory import MemoryLog
from tests.conftest import Schema
from tests.model.event_rows import append_events
from tests.model.event_streams import EventStream

POSITION = 4
UNKNOWN = "order.dreamt.v7"


@pytest.fixture
def foreign(schema: Schema) -> Schema:
    """A schema whose log holds an event of a kind that this program has not heard of."""
    stream = EventStream().some_market(accounts=2, instruments=1).some_commands(5)
    append_events(schema.dsn, schema.schema, stream.events)
    change(schema, topic=UNKNOWN)
    return schema


def change(schema: Schema, **columns: Any) -> None:
    """Change columns of one row of the log."""
    with psycopg.connect(schema.dsn) as conn:
        for name, value in columns.items():
            conn.execute(
                sql.SQL("UPDATE {} SET {} = %s WHERE notification_id = %s").format(
                    sql.Identifier(schema.schema, "stored_events"), sql.Identifier(name)
                ),
                (value, POSITION),
            )


def nexus(schema: Schema, home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end; one that starts again and again would never come to it."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("NEXUS_")}
    environment |= {
        "PYTHONPATH": SOURCES,
        "NEXUS_DATABASE_URL": schema.dsn,
        "NEXUS_SCHEMA": schema.schema,
        "NEXUS_DATA_DIR": str(home / "data"),
        "NEXUS_RUNTIME_DIR": str(home / "run"),
        "NEXUS_BUS_PATH": str(home / "bus"),
    }
    return subprocess.run(
        [sys.executable, "-m", "api.cli.main", *arguments],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ("serve", "--only", "writer"),
        ("serve", "--only", "standby"),
        ("serve", "--only", "projector"),
        ("serve", "--only", "market-data"),
        ("projections", "rebuild", "instruments", "--check"),
        ("replay",),
        ("events", "list"),
    ],
    ids=" ".join,
)
def test_foreign_log_is_refused_by_whoever_reads_it(
    foreign: Schema, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    """Exit code 4 and one sentence with the position, the topic and what to run; no traceback."""
    if "rebuild" in arguments:
        # Topics that a view does not want never reach it; fields of those that it wants do.
        change(foreign, topic="instrument.listed.v1")
    done = nexus(foreign, tmp_path, *arguments)
    said = done.stdout + done.stderr

    assert Exit.MIGRATION == done.returncode, said
    assert 1 == said.count(f"the event at position {POSITION} of the log cannot be read"), said
    assert ("instrument.listed.v1" if "rebuild" in arguments else UNKNOWN) in said
    assert "run the version of nexus that wrote this log, or a newer one" in said
    assert "Traceback" not in said


@pytest.mark.crash
def test_foreign_log_ends_the_whole_venue(foreign: Schema, tmp_path: Path) -> None:
    """The supervisor starts nothing again that would refuse the log again."""
    port = 20_000 + os.getpid() % 20_000
    done = nexus(foreign, tmp_path, "serve", "--port", str(port))
    said = done.stdout + done.stderr

    assert Exit.MIGRATION == done.returncode, said
    assert UNKNOWN in said and "the venue is closed" in said
    assert "starting again" not in said and "Traceback" not in said


@pytest.mark.parametrize("fields", ["fewer", "more"])
def test_foreign_log_is_known_by_the_number_of_fields_too(
    schema: Schema, tmp_path: Path, fields: str
) -> None:
    """A known topic with fields that this program lacks, or without those it needs."""
    stream = EventStream().some_market(accounts=2, instruments=1)
    append_events(schema.dsn, schema.schema, stream.events)
    event = stream.events[POSITION - 1]
    stated = msgspec.msgpack.decode(encode_event(event))
    state = msgspec.msgpack.encode([*stated, 1] if fields == "more" else stated[:9])
    change(schema, state=state)

    done = nexus(schema, tmp_path, "serve", "--only", "writer")
    said = done.stdout + done.stderr

    assert Exit.MIGRATION == done.returncode, said
    assert f"{event.TOPIC} has another shape here" in said
    assert "Traceback" not in said


def test_foreign_event_ends_a_stream_of_trade_updates_and_is_not_tried_again() -> None:
    """Listeners are told that there will be no more, instead of waiting for ever."""

    class Growing(MemoryLog):
        """A log into which a newer program writes while it is followed."""

        async def wait(self, timeout: float) -> None:
            stated = msgspec.msgpack.encode([1, 2, 3])
            first = self.events()[0]
            await self.append_raw(OrderFilled.TOPIC, stated, first.originator_id)

        async def append_raw(self, topic: str, state: bytes, whose: UUID) -> None:
            row = self.rows[-1]
            self.rows.append(
                row._replace(
                    position=row.position + 1, originator_id=whose, topic=topic, state=state
                )
            )

    class Listener:
        """Notes that it was ended."""

        def __init__(self) -> None:
            self.ended = asyncio.Event()

        def tell(self, updates: Sequence[dict[str, Any]]) -> bool:
            raise AssertionError(updates)

        async def room(self) -> None:
            """It has room at once."""

        def end(self) -> None:
            self.ended.set()

    async def work() -> int:
        log = Growing()
        log.load(enumerated(EventStream().some_market(accounts=1, instruments=1)), [])
        updates = Subscriptions(log, log, AssetClasses(log), Groups(log))
        listener = Listener()
        await updates.listen(UUID(int=1), listener)
        await asyncio.wait_for(listener.ended.wait(), 20)
        rows = len(log.rows)
        await updates.stop()
        return rows

    before = len(EventStream().some_market(accounts=1, instruments=1).events)
    assert before + 1 == asyncio.run(work())


def enumerated(stream: EventStream) -> Any:
    """The events of a stream with their positions."""
    return list(enumerate(stream.events, 1))
