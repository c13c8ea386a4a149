"""Rebuilds: beside the view in use, compared with it, switched at once, resumed after a kill."""

import asyncio
import json
import threading

import psycopg
import pytest
from psycopg import sql

from infrastructure.log.source import PostgresEventSource
from projections import tracking
from projections.columns import BIGINT
from projections.positions import POSITIONS, Positions
from projections.projection import Column
from projections.rebuild import Progress, Rebuild, RebuildUnderWay
from projections.runner import Runner
from projections.views import all_views
from tests.conftest import Schema
from tests.model.event_rows import append_events
from tests.model.event_streams import EventStream
from tests.model.projecting import (
    ask,
    checksums,
    connector,
    nexus,
    positions,
    project,
    rebuild,
    view_status,
    wait_until,
)


class NextPositions(Positions):
    """The next version: another column, the same events."""

    version = Positions.version + 1
    tables = (POSITIONS._replace(columns=(*POSITIONS.columns, Column("seen", BIGINT, True))),)


class Killed(BaseException):
    """Stands for kill -9 between two transactions."""


@pytest.fixture
def stream(schema: Schema) -> EventStream:
    """A stored market of some hundred events."""
    made = EventStream().some_market(accounts=2, instruments=2).some_commands(200)
    append_events(schema.dsn, schema.schema, made.events)
    return made


def relations(schema: Schema) -> set[str]:
    """All tables and indexes of the views."""
    with psycopg.connect(schema.dsn) as conn:
        rows = conn.execute(
            "SELECT c.relname FROM pg_class c WHERE c.relnamespace = %s::regnamespace"
            " AND c.relname LIKE 'view\\_%%'",
            (schema.schema,),
        ).fetchall()
    return {name for (name,) in rows}


def building(schema: Schema) -> bool:
    """Whether some view's next tables are under way."""
    rows = ask(schema, tracking.tracked)
    return any(row.state == "building" for row in rows)


def test_rebuild_of_a_projection_leaves_everything_equal(schema, stream):
    """The same rows at the same position under the same names, tables and indexes alike."""
    project(schema)
    before = (checksums(schema), relations(schema), positions(schema))
    for view in all_views():
        done = rebuild(schema, view, chunk_events=77)
        assert done.equal and done.switched and done.position == len(stream.events)
        assert [t.name for t in view.tables] == [c.table for c in done.compared]
        assert all(c.rows_in_use == c.rows_built for c in done.compared)
    assert before == (checksums(schema), relations(schema), positions(schema))


def test_rebuild_before_any_projector_makes_the_views(schema, stream):
    """A view that was never made is made from the whole log, and the projector goes on with it."""
    for view in all_views():
        done = rebuild(schema, view)
        assert done.switched and done.previous_version is None and () == done.compared
    stream.some_commands(20)
    append_events(schema.dsn, schema.schema, stream.events[done.position :])
    project(schema)
    assert {len(stream.events)} == set(positions(schema).values())
    assert rebuild(schema, Positions(), switch=False).equal


def test_rebuild_finds_a_projection_that_lies(schema, stream):
    """A row changed by hand is found by the checksum, and the switch puts the truth in place."""
    project(schema)
    truth = checksums(schema)
    with psycopg.connect(schema.dsn) as conn:
        conn.execute(
            sql.SQL("UPDATE {} SET qty = qty + 1 WHERE ctid = '(0,1)'").format(
                sql.Identifier(schema.schema, f"view_positions_v{Positions.version}")
            )
        )
    assert not rebuild(schema, Positions(), switch=False).equal
    assert truth != checksums(schema)
    done = rebuild(schema, Positions())
    assert not done.equal and done.switched
    assert truth == checksums(schema)
    assert rebuild(schema, Positions(), switch=False).equal


def test_rebuild_of_a_projection_resumes_after_a_kill(schema, stream):
    """What was committed before the kill is not done again."""
    project(schema)

    def die(progress: Progress) -> None:
        if progress.position >= 300:
            raise Killed

    with pytest.raises(Killed):
        rebuild(schema, Positions(), chunk_events=100, on_progress=die)
    status = {row.name: row for row in view_status(schema, all_views())}
    assert 300 == status["positions"].building_position
    done = rebuild(schema, Positions(), chunk_events=100)
    assert done.equal and done.passed == len(stream.events) - 300


@pytest.mark.crash
@pytest.mark.slow
def test_rebuild_command_killed_at_any_moment_ends_well(schema):
    """`nexus projections rebuild --all` killed with -9 again and again, then left to finish."""
    stream = EventStream(5).some_market().some_commands(3000)
    append_events(schema.dsn, schema.schema, stream.events)
    project(schema)
    before = (checksums(schema), relations(schema))
    for _ in range(4):
        process = nexus(schema, "projections", "rebuild", "--all", "--json")
        wait_until(lambda: building(schema))
        process.kill()
        process.communicate()
    process = nexus(schema, "projections", "rebuild", "--all", "--json")
    answer, errors = process.communicate(timeout=60)
    assert 0 == process.returncode, errors
    facts = json.loads(answer)["views"]
    assert len(all_views()) == len(facts) and all(view["equal"] for view in facts)
    assert before == (checksums(schema), relations(schema))


def test_rebuild_to_a_new_projection_version_retires_the_old(schema, stream):
    """One version serves until the next has caught up; then that serves under the same name."""
    project(schema)
    done = rebuild(schema, NextPositions())
    old, new = Positions.version, NextPositions.version
    assert (old, new, True, True) == (
        done.previous_version, done.version, done.switched, done.equal,
    )  # fmt: skip

    async def question(conn):
        rows = await tracking.tracked(conn)
        cursor = await conn.execute("SELECT count(*), count(seen) FROM positions")
        return {
            (r.version, r.state) for r in rows if r.name == "positions"
        }, await cursor.fetchone()

    states, counts = ask(schema, question)
    assert {(old, "retired"), (new, "active")} == states
    assert counts[0] > 0 == counts[1]
    assert not [
        name
        for name in relations(schema)
        if name.startswith(f"view_positions_v{Positions.version}")
    ]
    project(schema)
    at_switch = len(stream.events)
    stream.some_commands(30)
    append_events(schema.dsn, schema.schema, stream.events[at_switch:])
    project(schema)
    found = positions(schema)
    assert at_switch == found["positions"]
    project(schema, [NextPositions()])
    assert {len(stream.events)} == set(positions(schema).values())


def test_rebuild_switches_a_projection_under_its_readers_at_once(schema, stream):
    """Readers and the projector go on all the while; no reader ever sees no rows, or fewer."""
    project(schema)
    expected = checksums(schema)["positions"][0]
    counts: list[int] = []
    done = threading.Event()

    def read() -> None:
        with psycopg.connect(schema.dsn, autocommit=True) as conn:
            conn.execute(sql.SQL("SET search_path TO {}").format(sql.Identifier(schema.schema)))
            while not done.is_set():
                row = conn.execute("SELECT count(*) FROM positions").fetchone()
                assert row is not None
                counts.append(row[0])

    async def switch_while_following() -> None:
        stop = asyncio.Event()
        async with (
            PostgresEventSource(schema.dsn, schema.schema) as source,
            PostgresEventSource(schema.dsn, schema.schema) as other,
        ):
            runner = Runner(connector(schema), source, all_views(), poll_seconds=0.01)
            running = asyncio.create_task(runner.run(stop))
            for _ in range(4):
                begin = len(stream.events)
                stream.some_commands(20)
                await asyncio.to_thread(
                    append_events, schema.dsn, schema.schema, stream.events[begin:]
                )
                rebuilt = await Rebuild(connector(schema), other, Positions()).run()
                assert rebuilt.equal and rebuilt.switched
            async with await connector(schema)() as conn, asyncio.timeout(20):
                while await tracking.views_position(conn) < len(stream.events):
                    await asyncio.sleep(0.01)
            stop.set()
            await running

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    try:
        asyncio.run(switch_while_following())
    finally:
        done.set()
        for reader in readers:
            reader.join()
    assert counts and min(counts) >= expected
    assert rebuild(schema, Positions(), switch=False).equal


def test_rebuild_of_one_projection_by_two_processes_is_refused(schema, stream):
    """The second finds the first at work and leaves it alone."""
    project(schema)

    async def two() -> None:
        async with (
            PostgresEventSource(schema.dsn, schema.schema) as one,
            PostgresEventSource(schema.dsn, schema.schema) as other,
        ):
            results = await asyncio.gather(
                Rebuild(connector(schema), one, Positions()).run(),
                Rebuild(connector(schema), other, Positions()).run(),
                return_exceptions=True,
            )
        assert 1 == sum(isinstance(result, RebuildUnderWay) for result in results)
        assert 1 == sum(getattr(result, "switched", False) for result in results)

    asyncio.run(two())


def test_rebuild_mends_a_projection_that_an_error_stopped(schema, stream):
    """A stopped view is rebuilt to the end of the log and goes on from there."""
    project(schema)

    async def break_it(conn):
        await tracking.record_error(conn, Positions(), 10, RuntimeError("broken"))
        await tracking.track(conn, "positions", 1, 10, "active")

    ask(schema, break_it)
    done = rebuild(schema, Positions())
    assert done.switched and done.position == len(stream.events)
    rows = view_status(schema, all_views())
    assert {(0, None)} == {(row.lag, row.error) for row in rows}


def test_projection_commands_say_how_views_stand(schema, stream):
    """`list` and `status` speak to people and machines; exit code 1 says that a view is stopped."""
    project(schema)
    answer, _ = nexus(schema, "projections", "list", "--json").communicate(timeout=30)
    names = [view["name"] for view in json.loads(answer)["views"]]
    assert [view.name for view in all_views()] == names

    process = nexus(schema, "projections", "status", "--json")
    answer, errors = process.communicate(timeout=30)
    assert 0 == process.returncode, errors
    assert {0} == {view["lag"] for view in json.loads(answer)["views"]}

    ask(schema, lambda c: tracking.record_error(c, Positions(), 10, RuntimeError("out of ink")))
    process = nexus(schema, "projections", "status")
    answer, _ = process.communicate(timeout=30)
    assert 1 == process.returncode and "out of ink" in answer

    process = nexus(schema, "projections", "rebuild", "nothing")
    _, errors = process.communicate(timeout=30)
    assert 2 == process.returncode and "no view" in errors


def test_projection_commands_ask_for_a_migration_where_there_are_no_tables(schema):
    """On a schema that was never made the exit code is 4, and the message says what to run."""
    process = nexus(Schema(schema.dsn, "never_made"), "projections", "status")
    _, errors = process.communicate(timeout=30)
    assert 4 == process.returncode and "nexus db migrate" in errors
