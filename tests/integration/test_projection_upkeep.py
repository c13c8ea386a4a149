"""What a projector sees to when it starts: grown versions, views ahead, unknown views."""

import asyncio
import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from psycopg import sql

from domain.events import PositionOpened, PositionTraded
from infrastructure.log.source import PostgresEventSource
from projections import renewal, tracking
from projections.columns import BIGINT
from projections.positions import POSITIONS, Positions
from projections.projection import Column, Projection, on
from projections.runner import Runner
from projections.tracking import ViewStatus
from projections.trades import TRADES, Trades
from projections.views import all_views
from tests.conftest import Schema
from tests.model.event_rows import append_events
from tests.model.event_streams import EventStream
from tests.model.projecting import (
    ask,
    checksums,
    connector,
    nexus,
    project,
    rebuild,
    view_status,
    wait_until,
)

OTHERS = [type(view) for view in all_views() if view.name != "positions"]


class NextPositions(Positions):
    """The next version: another column, which says how often a position was traded."""

    version = Positions.version + 1
    tables = (POSITIONS._replace(columns=(*POSITIONS.columns, Column("last_fill", BIGINT, True))),)

    @on(PositionTraded)
    def traded(self, position: int, e: PositionTraded) -> None:
        super().traded(position, e)
        self._patch(e, {"last_fill": e.at})


class BrokenPositions(NextPositions):
    """A next version that cannot be built."""

    @on(PositionOpened)
    def opened(self, position: int, e: PositionOpened) -> None:
        raise ZeroDivisionError("no next version")


class OldTape(Trades):
    """A view that this program does not have any more."""

    name = "old_tape"
    tables = (TRADES._replace(name="old_tape"),)


@pytest.fixture
def stream(schema: Schema) -> EventStream:
    """A stored and projected market of some thousand events."""
    made = EventStream().some_market(accounts=3, instruments=2).some_commands(700)
    append_events(schema.dsn, schema.schema, made.events)
    project(schema)
    return made


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A build takes many transactions."""
    monkeypatch.setattr(renewal, "CHUNK_EVENTS", 25)


def next_views() -> list[Projection]:
    """The views of a program in which the positions have grown."""
    return [NextPositions(), *(view() for view in OTHERS)]


def runner_on(
    schema: Schema, source: PostgresEventSource, views: Sequence[Projection], **options: Any
) -> Runner:
    """A runner that builds what has grown."""
    return Runner(
        connector(schema),
        source,
        views,
        poll_seconds=0.02,
        renew_from=lambda: PostgresEventSource(schema.dsn, schema.schema),
        **options,
    )


def run_until(schema: Schema, views: Sequence[Projection], ended: Callable[[], bool]) -> None:
    """Run a projector until something is so."""

    async def run() -> None:
        async with PostgresEventSource(schema.dsn, schema.schema) as source:
            stop = asyncio.Event()
            running = asyncio.create_task(runner_on(schema, source, views).run(stop))
            try:
                await asyncio.to_thread(wait_until, ended)
            finally:
                stop.set()
                await running

    asyncio.run(run())


def rows_of(schema: Schema) -> list[tracking.Tracked]:
    """Every tracking row."""
    return ask(schema, tracking.tracked)


def building_at(schema: Schema) -> int | None:
    """How far the next tables of some view are."""
    return next((row.position for row in rows_of(schema) if row.state == "building"), None)


def serving(schema: Schema, view: Projection) -> int:
    """The version of a view that is in use."""
    return next(
        row.version for row in rows_of(schema) if (row.name, row.state) == (view.name, "active")
    )


def status_of(schema: Schema, views: Sequence[Projection], name: str) -> ViewStatus:
    """How one view stands."""
    found = view_status(schema, views)
    return next(row for row in found if row.name == name)


@contextmanager
def questions(schema: Schema, query: str) -> Iterator[list[int]]:
    """Ask for a number again and again all the while; any error fails the test."""
    answers: list[int] = []
    errors: list[Exception] = []
    done = threading.Event()

    def ask_on() -> None:
        try:
            with psycopg.connect(schema.dsn, autocommit=True) as conn:
                conn.execute("SELECT set_config('search_path', %s, false)", (schema.schema,))
                while not done.is_set():
                    row = conn.execute(query.encode()).fetchone()
                    assert row is not None
                    answers.append(row[0])
        except Exception as error:
            errors.append(error)

    asking = threading.Thread(target=ask_on)
    asking.start()
    try:
        yield answers
    finally:
        done.set()
        asking.join()
    assert not errors, errors


def test_view_that_grew_is_built_while_the_old_one_serves(schema, stream, small_chunks, caplog):
    """Under load: every question is answered, the other views are kept, and the new version then
    stands where the old one stood, equal to one that is built from nothing.
    """
    caplog.set_level(logging.INFO, "projections")
    before = len(stream.events)
    expected = checksums(schema, [Positions()])["positions"][0]
    kept_meanwhile = False

    def grown() -> bool:
        nonlocal kept_meanwhile
        begin = len(stream.events)
        stream.some_commands(3)
        append_events(schema.dsn, schema.schema, stream.events[begin:])
        rows = rows_of(schema)
        if any(row.state == "building" for row in rows):
            trades = next(r for r in rows if (r.name, r.state) == ("trades", "active"))
            kept_meanwhile |= trades.position > before
        return serving(schema, NextPositions()) == NextPositions.version

    with questions(schema, "SELECT count(*) FROM positions") as answers:
        run_until(schema, next_views(), grown)

    assert min(answers) >= expected
    assert kept_meanwhile
    project(schema, next_views())
    assert {len(stream.events)} == {r.position for r in rows_of(schema) if r.state == "active"}
    assert rebuild(schema, NextPositions(), switch=False).equal
    old, new = Positions.version, NextPositions.version
    assert f"version {new} is being built; version {old} serves meanwhile" in caplog.text
    assert f"view positions: version {new} serves from position" in caplog.text


def test_build_that_was_ended_goes_on_where_it_was(schema, stream, small_chunks):
    """A projector that dies in the middle leaves what it has built to the next one."""
    run_until(schema, next_views(), lambda: (building_at(schema) or 0) > 100)
    left = building_at(schema)
    assert left is not None and left > 100
    assert left == status_of(schema, next_views(), "positions").building_position
    seen: list[int] = []

    def grown() -> bool:
        at = building_at(schema)
        if at is not None:
            seen.append(at)
        return at is None

    run_until(schema, next_views(), grown)

    assert min(seen) >= left
    assert NextPositions.version == serving(schema, NextPositions())
    assert rebuild(schema, NextPositions(), switch=False).equal


def test_build_is_one_projectors_alone(schema, stream, small_chunks, caplog):
    """Of two projectors the one that holds the lock builds; the other waits."""
    caplog.set_level(logging.INFO, "projections")

    async def both() -> None:
        stop = asyncio.Event()
        async with (
            PostgresEventSource(schema.dsn, schema.schema) as one,
            PostgresEventSource(schema.dsn, schema.schema) as two,
        ):
            running = [
                asyncio.create_task(runner_on(schema, source, next_views()).run(stop))
                for source in (one, two)
            ]
            version = NextPositions.version
            await asyncio.to_thread(wait_until, lambda: serving(schema, NextPositions()) == version)
            stop.set()
            await asyncio.gather(*running)

    asyncio.run(both())

    begun = [r for r in caplog.records if "is being built" in r.getMessage()]
    assert 1 == len(begun)


def test_version_that_cannot_be_built_leaves_the_old_one_serving(schema, stream, caplog):
    """The error is said once and shown by status; the other views go on."""
    views = [BrokenPositions(), *(view() for view in OTHERS)]
    run_until(schema, views, lambda: "cannot be built" in caplog.text)
    stream.some_commands(5)
    append_events(schema.dsn, schema.schema, stream.events[rows_of(schema)[0].position :])
    project(schema, views)

    status = status_of(schema, views, "positions")
    assert (Positions.version, "ZeroDivisionError: no next version") == (
        status.active_version, status.error,
    )  # fmt: skip
    assert 1 == sum("cannot be built" in record.getMessage() for record in caplog.records)
    assert 0 == status_of(schema, views, "trades").lag
    version = NextPositions.version
    run_until(schema, next_views(), lambda: serving(schema, NextPositions()) == version)
    assert status_of(schema, next_views(), "positions").error is None


def test_older_program_leaves_a_newer_version_alone(schema, stream, caplog):
    """A version is built when it grew, never when it shrank: the newer rows stay."""
    rebuild(schema, NextPositions())
    run_until(schema, all_views(), lambda: "is not kept by this program" in caplog.text)
    assert NextPositions.version == serving(schema, Positions())


def test_view_ahead_of_the_log_is_named_and_not_kept(schema, stream, caplog):
    """After the log was cut back the others go on; that view waits, also when the log has grown
    past it, until somebody builds it again.
    """
    last = len(stream.events)
    ask(schema, lambda c: tracking.track(c, "positions", Positions.version, last + 9, "active"))
    project(schema)
    message = caplog.text
    assert "view positions is not kept" in message
    assert f"position {last + 9} and the log ends at {last}" in message
    assert "nexus projections rebuild positions" in message

    stream.some_commands(30)
    append_events(schema.dsn, schema.schema, stream.events[last:])
    project(schema)
    ahead = status_of(schema, all_views(), "positions")
    assert last + 9 == ahead.position and ahead.error is not None
    assert ahead.error.startswith("ViewAhead") and last == ahead.error_position
    assert 0 == status_of(schema, all_views(), "trades").lag

    assert rebuild(schema, Positions()).switched
    project(schema)
    mended = status_of(schema, all_views(), "positions")
    assert (0, None) == (mended.lag, mended.error)
    assert rebuild(schema, Positions(), switch=False).equal


def test_status_names_a_view_ahead_of_the_log_before_any_projector_does(schema, stream):
    """Who looks after a restore reads it there, and a rebuild ends where the log does."""
    last = len(stream.events)
    ask(schema, lambda c: tracking.track(c, "positions", Positions.version, last + 9, "active"))
    process = nexus(schema, "projections", "status")
    answer, _ = process.communicate(timeout=30)
    assert 1 == process.returncode and f"the log ends at {last}" in " ".join(answer.split())
    assert last == rebuild(schema, Positions()).position


def test_half_built_version_of_a_longer_log_is_begun_anew(schema, stream):
    """What was built of events that the log has lost is not gone on with."""
    run = NextPositions()
    name = tracking.building_name(run)
    with pytest.raises(KeyboardInterrupt):
        rebuild(schema, run, chunk_events=100, on_progress=interrupt)
    ask(schema, lambda c: tracking.track(c, name, run.version, len(stream.events) + 1, "building"))
    done = rebuild(schema, NextPositions())
    assert done.passed == len(stream.events)
    assert rebuild(schema, NextPositions(), switch=False).equal


def interrupt(progress: Any) -> None:
    """Ends a rebuild after its first chunk."""
    raise KeyboardInterrupt


def left_of(schema: Schema, name: str) -> list[str]:
    """Tables and names that are left of a view."""
    with psycopg.connect(schema.dsn) as conn:
        rows = conn.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = %s::regnamespace"
            " AND relname LIKE %s",
            (schema.schema, f"%{name}%"),
        ).fetchall()
    tracked = [row.name for row in rows_of(schema) if name in row.name]
    return [*(row[0] for row in rows), *tracked]


def test_views_of_an_earlier_program_are_dropped(schema, stream, caplog):
    """Tables, half-built ones too, names and positions go, and one line says so; the views that
    this program has stay as they are.
    """
    project(schema, [OldTape()])
    with pytest.raises(KeyboardInterrupt):
        rebuild(schema, OldTape(), chunk_events=10, on_progress=interrupt)
    assert len(left_of(schema, "old_tape")) > 4
    before = checksums(schema)

    complete(schema)
    complete(schema)

    assert [] == left_of(schema, "old_tape")
    assert before == checksums(schema)
    said = [r.getMessage() for r in caplog.records if "old_tape" in r.getMessage()]
    assert 1 == len(said) and "are dropped" in said[0]


def test_view_of_an_earlier_program_that_somebody_uses_is_left(schema, stream, caplog):
    """Another's view of ours keeps it; the projector says so and goes on."""
    project(schema, [OldTape()])
    with psycopg.connect(schema.dsn, autocommit=True) as conn:
        conn.execute(
            sql.SQL("CREATE VIEW {} AS SELECT * FROM {}").format(
                sql.Identifier(schema.schema, "report"),
                sql.Identifier(schema.schema, "old_tape"),
            )
        )

    complete(schema)

    assert left_of(schema, "old_tape")
    assert "left until the next start" in caplog.text
    assert 0 == status_of(schema, all_views(), "trades").lag


def complete(schema: Schema) -> None:
    """Run the projector of a program that has no other views than these."""

    async def run() -> None:
        async with PostgresEventSource(schema.dsn, schema.schema) as source:
            runner = runner_on(schema, source, all_views(), complete=True)
            while await runner.step():
                pass
            await runner.close()

    asyncio.run(run())
