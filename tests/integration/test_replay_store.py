"""`nexus replay` on a real store: any moment again, by snapshot, by events, by the library."""

from __future__ import annotations

import asyncio
import json
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest
from psycopg import sql

from api.cli.exit_codes import Exit
from application.desk.desk import Desk
from application.desk.following import follow
from application.desk.state import dump, state_hash
from application.log.ports import DeskSnapshot, Recorded
from application.log.replay import aggregate_at, desk_at, position_at
from domain import events as e
from domain.identifiers import iso
from infrastructure.database import EmbeddedServer
from infrastructure.journal import CommandJournal, read_journal
from infrastructure.log.codec import encode_event
from infrastructure.log.library import LibraryRepository, ReadOnlyLog
from infrastructure.log.snapshots import PostgresSnapshots
from infrastructure.log.writing import PostgresEventLog
from migrations.runner import migrate
from tests.model.command_flow import InMemoryVenue, lived
from tests.model.stored_flow import store

ROOT = Path(__file__).resolve().parent.parent.parent
SCHEMA = "test_replay_store"
SNAPSHOTS = (400, 900)


@dataclass
class Stored:
    """A flow in a store: its events, its journal, and the command line beside it."""

    dsn: str
    venue: InMemoryVenue
    events: list[Recorded]
    journal: Path
    nexus: Callable[..., subprocess.CompletedProcess[str]]

    def desk(self, position: int) -> Desk:
        """The desk at a position by a replay of all events in memory."""
        desk = Desk()
        follow(desk, self.events[:position])
        return desk

    def facts(self, *arguments: str) -> dict[str, Any]:
        """What a replay prints for machines."""
        said = self.nexus("replay", *arguments, "--json")
        assert said.returncode == Exit.OK, said.stderr
        facts: dict[str, Any] = json.loads(said.stdout)
        return facts


@pytest.fixture(scope="module")
def stored(postgres: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stored]:
    """A recorded flow, its store, desk snapshots at two positions and snapshots of aggregates."""
    dsn = postgres.dsn()
    migrate(dsn, SCHEMA)
    journal = tmp_path_factory.mktemp("journal") / "run.journal"
    recorder = CommandJournal(journal)
    venue = lived(11, 500, recorder)
    recorder.close()
    events = [Recorded(n, event) for n, event in enumerate(venue.log.events(), 1)]
    asyncio.run(_store(venue, events, dsn))
    settings = {"NEXUS_DATABASE_URL": dsn, "NEXUS_SCHEMA": SCHEMA}
    path = os.pathsep.join([str(ROOT), *sys.path])

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-W", "error", "-m", "api.cli.main", *arguments],
            env={**os.environ, "PYTHONPATH": path, **settings},
            capture_output=True,
            text=True,
            check=False,
        )

    yield Stored(dsn, venue, events, journal, run)
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(SCHEMA)))


async def _store(venue: InMemoryVenue, events: list[Recorded], dsn: str) -> None:
    await store(venue, dsn, SCHEMA)
    snapshots = PostgresSnapshots(dsn, SCHEMA)
    desk = Desk()
    encode = msgspec.msgpack.Encoder(uuid_format="bytes").encode
    for position in SNAPSHOTS:
        follow(desk, events[:position])
        await snapshots.save(DeskSnapshot(position, state_hash(desk), dump(desk)), desk.last_at)
        kinds: list[Any] = [*desk.accounts.by_id.values(), *desk.accounts.positions.values()]
        kinds += [
            *desk.orders.working.values(),
            *(m.instrument for m in desk.markets.by_id.values()),
        ]
        await snapshots.save_aggregates(
            [(a.id, a.version, a.KIND, encode(a.state())) for a in kinds]
        )


def test_replay_from_snapshot_and_from_the_first_event_agree_anywhere(stored: Stored) -> None:
    """The newest snapshot at or below a position changes how long it takes, not what comes out."""

    async def compare() -> None:
        log = PostgresEventLog(stored.dsn, SCHEMA, 0)
        snapshots = PostgresSnapshots(stored.dsn, SCHEMA)
        for position in (*random.Random(5).sample(range(len(stored.events)), 12), *SNAPSHOTS, 899):
            replayed = await desk_at(log, snapshots, position)
            newest = max((p for p in SNAPSHOTS if p <= position), default=0)
            assert newest == replayed.from_snapshot
            assert position - newest == replayed.events
            assert dump(stored.desk(position)) == dump(replayed.desk)
        await log.close()

    asyncio.run(compare())


def test_damaged_snapshot_is_passed_over_by_the_replay(stored: Stored) -> None:
    """A snapshot that does not fit its hash is as if it were not there."""

    async def compare() -> None:
        log = PostgresEventLog(stored.dsn, SCHEMA, 0)
        replayed = await desk_at(log, PostgresSnapshots(stored.dsn, SCHEMA), 1000)
        assert SNAPSHOTS[0] == replayed.from_snapshot
        assert dump(stored.desk(1000)) == dump(replayed.desk)
        await log.close()

    table = sql.Identifier(SCHEMA, "desk_snapshots")
    change = sql.SQL("UPDATE {} SET state_hash = %s WHERE position = %s").format(table)
    with psycopg.connect(stored.dsn, autocommit=True) as conn:
        conn.execute(change, (b"0" * 16, SNAPSHOTS[1]))
        asyncio.run(compare())
        conn.execute(change, (state_hash(stored.desk(SNAPSHOTS[1])), SNAPSHOTS[1]))


def test_library_repository_and_our_replay_give_the_same_aggregates(stored: Stored) -> None:
    """Snapshot and later events through the library, or all events through us: one state."""

    async def compare() -> None:
        log = PostgresEventLog(stored.dsn, SCHEMA, 0)
        last = len(stored.events)
        with LibraryRepository(stored.dsn, SCHEMA) as repository:
            for identifier in sorted({r.event.originator_id for r in stored.events}):
                ours = await aggregate_at(log, identifier, last)
                theirs = repository.get(identifier)
                assert theirs is not None
                assert ours.state() == theirs.state()
                middle = 1 + ours.version // 2
                early = repository.get(identifier, middle)
                versions = [r for r in stored.events if r.event.originator_id == identifier]
                then = await aggregate_at(log, identifier, versions[middle - 1].position)
                assert early is not None
                assert then.state() == early.state()
        await log.close()

    asyncio.run(compare())


def test_library_recorder_never_writes_the_event_store(stored: Stored) -> None:
    """Positions are the sequencer's to give; the library's way in is closed."""
    with LibraryRepository(stored.dsn, SCHEMA) as repository:
        event_store = repository._repository.event_store
        with pytest.raises(ReadOnlyLog):
            event_store.put([stored.events[0].event])


def test_whole_desk_is_replayed_to_the_hash_it_had(stored: Stored) -> None:
    """Without an option the newest state; with a position or a time the one of then."""
    now = stored.facts()
    then = stored.facts("--as-of", "777")
    at = stored.events[776].event.at
    by_time = stored.facts("--as-of", iso(at))

    assert state_hash(stored.venue.writer.desk).hex() == now["state_hash"]
    assert state_hash(stored.desk(777)).hex() == then["state_hash"]
    last = max(r.position for r in stored.events if r.event.at <= at)
    assert state_hash(stored.desk(last)).hex() == by_time["state_hash"]


def test_time_finds_the_last_position_at_or_before_it(stored: Stored) -> None:
    """Instants between, at and outside the events."""

    async def compare() -> None:
        log = PostgresEventLog(stored.dsn, SCHEMA, 0)
        instants = {r.event.at + delta for r in stored.events[::97] for delta in (-1, 0, 1)}
        for at in sorted(instants | {0, 2**60}):
            due = max((r.position for r in stored.events if r.event.at <= at), default=0)
            assert due == await position_at(log, at)
        await log.close()

    asyncio.run(compare())


def test_replay_shows_an_aggregate_as_it_stood_both_ways(stored: Stored) -> None:
    """An order, an account, a position and an instrument at a moment in the middle."""
    desk = stored.desk(800)
    fill = next(
        r.event
        for r in stored.events[:800]
        if isinstance(r.event, e.OrderFilled)
        and r.event.originator_id.int not in desk.orders.working
    )
    account = desk.accounts.by_id[fill.account_id.int]
    choices = [
        ("--order", str(fill.originator_id)),
        ("--account", str(account.id)),
        ("--position", str(account.id), "ALFA"),
        ("--instrument", "ALFA"),
    ]
    for choice in choices:
        ours = stored.facts("--as-of", "800", *choice)
        theirs = stored.facts("--as-of", "800", *choice, "--library")
        assert ours["state"] == theirs["state"]
        assert 800 == ours["position"]
    shown = stored.facts("--as-of", "800", "--account", str(account.id))["state"]
    assert f"{account.cash / 100:.2f}" == shown["cash"]
    assert account.version == shown["version"]


def test_replay_shows_a_book_in_priority_order(stored: Stored) -> None:
    """Every resting order of then, best first, with its owner."""
    desk = stored.desk(len(stored.events))
    market = desk.markets.by_symbol["BETA"]

    shown = stored.facts("--book", "BETA")

    rows = [row for side in (1, 2) for row in market.book.orders(side)]
    assert rows
    assert [str(desk.orders.by_sequence[row[0]].id) for row in rows] == [
        row["order_id"] for row in shown["orders"]
    ]


def test_replay_of_what_was_not_there_ends_with_1(stored: Stored) -> None:
    """An order before it was placed, a symbol that never was, and options that do not fit."""
    placed = next(r for r in reversed(stored.events) if isinstance(r.event, e.OrderAccepted))
    order = str(placed.event.originator_id)

    early = stored.nexus("replay", "--as-of", str(placed.position - 1), "--order", order)

    assert early.returncode == Exit.CHECK_FAILED
    assert "was not there" in early.stderr
    assert stored.nexus("replay", "--book", "NONE").returncode == Exit.CHECK_FAILED
    assert stored.nexus("replay", "--as-of", "yesterday").returncode == Exit.USAGE
    assert stored.nexus("replay", "--compare").returncode == Exit.USAGE


def test_commands_replayed_give_the_stored_bytes(stored: Stored) -> None:
    """The journal decided again is the event store again, byte for byte, and the same state."""
    facts = stored.facts("--commands", str(stored.journal), "--compare")

    assert facts["equal"] is True
    assert len(stored.events) == facts["compared"] == facts["events"]
    assert state_hash(stored.venue.writer.desk).hex() == facts["state_hash"]


def test_journal_that_begins_late_is_replayed_on_top_of_the_event_store(
    stored: Stored, tmp_path: Path
) -> None:
    """Recording may be turned on at any time; what was before comes from the store."""
    late = tmp_path / "late.journal"
    whole = list(read_journal(stored.journal))
    with late.open("wb") as file:
        for entry in whole[len(whole) // 2 :]:
            body = msgspec.msgpack.encode(entry)
            file.write(len(body).to_bytes(4, "big") + body)

    facts = stored.facts("--commands", str(late), "--compare")

    assert facts["equal"] is True
    assert 0 < facts["compared"] < len(stored.events)
    assert state_hash(stored.venue.writer.desk).hex() == facts["state_hash"]


def test_first_difference_of_a_replay_is_named(stored: Stored) -> None:
    """One stored byte changed: the position and the field are told, and the exit code is 1."""
    row = next(r for r in stored.events[600:] if isinstance(r.event, e.CashDeposited))
    changed = msgspec.structs.replace(row.event, description="changed")
    table = sql.Identifier(SCHEMA, "stored_events")
    change = sql.SQL("UPDATE {} SET state = %s WHERE notification_id = %s").format(table)
    with psycopg.connect(stored.dsn, autocommit=True) as conn:
        conn.execute(change, (encode_event(changed), row.position))
        said = stored.nexus("replay", "--commands", str(stored.journal), "--compare", "--json")
        conn.execute(change, (encode_event(row.event), row.position))

    assert said.returncode == Exit.CHECK_FAILED
    facts = json.loads(said.stdout)
    assert (False, row.position) == (facts["equal"], facts["position"])
    assert "state of account.deposited.v1" == facts["what"]


def test_events_stored_beyond_the_journal_are_named_by_the_replay(
    stored: Stored, tmp_path: Path
) -> None:
    """A journal that ends early is not equal to its store."""
    early = tmp_path / "early.journal"
    early.write_bytes(stored.journal.read_bytes()[:-20])

    said = stored.nexus("replay", "--commands", str(early), "--compare")

    assert said.returncode == Exit.CHECK_FAILED
    assert "missing in the replay" in said.stderr
