"""The projector: exactly once, whatever is killed, cut or started twice."""

import asyncio
import os
import random
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from application.log.ports import Recorded
from application.log.whole_commands import whole_commands
from domain.events import OrderFilled
from infrastructure.database import EmbeddedServer
from infrastructure.log.source import PostgresEventSource
from migrations.runner import migrate
from projections import tracking
from projections.connections import Statement, StatementFailed, ViewConnection
from projections.positions import Positions
from projections.projection import MissingRow, Projection, on
from projections.runner import Runner
from projections.spacing import GATHER_SECONDS
from projections.tracking import PositionMoved
from projections.trades import Trades
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


class BrokenTrades(Trades):
    """Trades that cannot take a correction: an error of ours in a handler."""

    @on(OrderFilled)
    def filled(self, position: int, e: OrderFilled) -> None:
        if e.qty == 7:
            raise ZeroDivisionError("no trade of seven")
        super().filled(position, e)


class ForgetfulPositions(Positions):
    """Positions that ignore their opening, so that later changes find no row."""

    def opened(self, position: int, e: Any) -> None:
        return


def market(commands: int = 0) -> EventStream:
    """Two funded accounts, two instruments, and some random commands."""
    return EventStream().some_market(accounts=2, instruments=2).some_commands(commands)


def store(schema: Schema, stream: EventStream, begin: int = 0) -> None:
    """Append what the stream has beyond some events."""
    append_events(schema.dsn, schema.schema, stream.events[begin:])


def statements(view: Projection) -> list[Statement]:
    """What writes the changes that a view has folded."""
    return [
        statement
        for writer, changes in zip(tracking.writers(view), view.changes, strict=True)
        for statement in writer.statements(changes)
    ]


def test_projection_applied_twice_changes_nothing(schema):
    """Events that a view has seen are not applied again: the position guards even the sums."""
    stream = market(200)
    store(schema, stream)
    project(schema)
    before = checksums(schema)

    async def apply_again(conn):
        session = ViewConnection(conn)
        for view in all_views():
            async with PostgresEventSource(schema.dsn, schema.schema) as source:
                view.fold(await source.read(0, 10_000))
            moved = tracking.Advance([(view.name, view.version)], "active")
            with pytest.raises(StatementFailed) as failed:
                await session.transact([*statements(view), moved.statement(0, len(stream.events))])
            assert isinstance(failed.value.__cause__, PositionMoved)

    ask(schema, apply_again)
    project(schema)
    assert before == checksums(schema)


def test_projection_sets_values_so_a_repeated_write_is_harmless(schema):
    """Without the guard, only the sums would move; every other table stays as it was."""
    stream = market(200)
    store(schema, stream)
    project(schema)
    before = checksums(schema)

    async def write_again(conn):
        session = ViewConnection(conn)
        async with PostgresEventSource(schema.dsn, schema.schema) as source:
            batch = await source.read(0, 10_000)
        for view in all_views():
            view.fold(batch)
            await session.transact(statements(view))

    ask(schema, write_again)
    after = checksums(schema)
    sums = {"ledger_balances", "daily_volume", "settlements"}
    assert sums == {name for name in before if before[name] != after[name]}


@pytest.mark.parametrize("batch_events", [1, 2, 7, 64])
def test_projection_live_equals_rebuild(schema, batch_events):
    """Small batches, one at a time, give what a rebuild gives in one."""
    stream = market(150)
    store(schema, stream)
    project(schema, batch_events=batch_events)
    for view in all_views():
        rebuilt = rebuild(schema, view, switch=False)
        assert rebuilt.equal and len(view.tables) == len(rebuilt.compared)
    assert {len(stream.events)} == set(positions(schema).values())


def test_projection_never_shows_half_a_command(schema):
    """A batch that the limit would cut ends before the command that it cuts."""
    stream = market(60)
    store(schema, stream)

    async def ends() -> list[int]:
        async with PostgresEventSource(schema.dsn, schema.schema) as source:
            runner = Runner(connector(schema), source, [Positions()], batch_events=9)
            seen = []
            while await runner.step():
                async with await connector(schema)() as conn:
                    seen.append(await tracking.views_position(conn))
            await runner.close()
            return seen

    events = stream.events
    for end in asyncio.run(ends())[:-1]:
        assert events[end - 1].correlation_id != events[end].correlation_id


def test_projection_batch_of_one_long_command_is_taken_as_it_is():
    """A command longer than the limit cannot be kept whole, and must not stop the view."""
    stream = market()
    batch = stream.events[-2:]
    one = [type("R", (), {"event": batch[0]})] * 3
    assert one == whole_commands(one, 3)
    assert one == whole_commands(one, 4)


def test_projection_with_an_exception_stops_alone(schema):
    """One broken view stands still and says why; the others go on, and a mended one resumes."""
    stream = market(20)
    store(schema, stream)
    others: list[Projection] = [view for view in all_views() if view.name != "trades"]
    views = [BrokenTrades(), *others]
    project(schema, views)
    before = len(stream.events)
    buy, sell = (
        stream.place(account, stream.instruments[0], side)
        for account, side in zip(stream.accounts, (1, 2), strict=True)
    )
    stream.trade(buy, sell, 7)
    store(schema, stream, before)
    project(schema, views)

    rows = {row.name: row for row in view_status(schema, views)}
    assert (before, before, len(stream.events) - before) == (
        rows["trades"].position, rows["trades"].error_position, rows["trades"].lag,
    )  # fmt: skip
    assert "ZeroDivisionError: no trade of seven" == rows["trades"].error
    assert {0} == {row.lag for name, row in rows.items() if name != "trades"}
    assert len(stream.events) == ask(schema, tracking.views_position)

    project(schema)
    mended = view_status(schema, views)
    assert {(0, None)} == {(row.lag, row.error) for row in mended}


def test_projection_that_missed_an_event_stops_instead_of_lying(schema):
    """A change of a row that is not there stops the view, and leaves nothing half done."""
    stream = market(10)
    store(schema, stream)
    views = [ForgetfulPositions(), Trades()]
    project(schema, views)
    rows = {row.name: row for row in view_status(schema, views)}
    assert rows["positions"].error.startswith(MissingRow.__name__)
    assert (0, len(stream.events)) == (rows["positions"].position, rows["trades"].position)
    assert 0 == checksums(schema, [Positions()])["positions"][0]


def test_projection_of_a_view_that_came_later_catches_up(schema):
    """A new view is built from the beginning while the others stay in front."""
    stream = market(100)
    store(schema, stream)
    project(schema, [Trades()])
    project(schema, all_views(), batch_events=50)
    assert {len(stream.events)} == set(positions(schema).values())
    assert rebuild(schema, Positions(), switch=False).equal


def test_projection_follows_by_notice_and_by_polling(schema):
    """News arrives by notification at once, and by polling when no notice comes."""
    stream = market()
    store(schema, stream)

    async def follow() -> None:
        async with PostgresEventSource(schema.dsn, schema.schema) as source:
            stop = asyncio.Event()
            runner = Runner(connector(schema), source, all_views(), poll_seconds=300.0)
            running = asyncio.create_task(runner.run(stop))
            await reached(len(stream.events))
            stream.some_commands(5)
            store(schema, stream, at_first)
            await reached(len(stream.events))
            stop.set()
            with psycopg.connect(schema.dsn, autocommit=True) as conn:
                conn.execute("SELECT pg_notify(%s, '')", (schema.schema,))
            await running

    async def reached(position: int) -> None:
        async with await connector(schema)() as conn, asyncio.timeout(60):
            while (
                len(positions(schema)) < len(all_views())
                or await tracking.views_position(conn) < position
            ):
                await asyncio.sleep(0.01)

    at_first = len(stream.events)
    asyncio.run(follow())


class Flood:
    """A log into which five commands more have come whenever it is read."""

    def __init__(self, stream: EventStream, ended: asyncio.Event) -> None:
        self._stream = stream
        self._ended = ended
        self.reads = 0

    async def read(
        self, after: int, limit: int, *, topics: Sequence[str] = ()
    ) -> Sequence[Recorded]:
        """The next five commands."""
        self.reads += 1
        batch: list[Recorded] = []
        commands = set()
        for position, event in enumerate(self._stream.events[after:], after + 1):
            commands.add(event.correlation_id)
            if len(commands) > 5:
                break
            batch.append(Recorded(position, event))
        return batch

    async def last_position(self) -> int:
        """The position of the newest event."""
        return len(self._stream.events)

    async def wait(self, timeout: float) -> None:
        """The flood is over."""
        self._ended.set()


def test_projection_gathers_under_load(schema):
    """When commands pour in, a batch begins a fortieth of a second after the one before it did."""
    stream = market(400)

    async def run() -> tuple[int, float]:
        ended = asyncio.Event()
        flood = Flood(stream, ended)
        began = time.monotonic()
        await Runner(connector(schema), flood, [Trades()]).run(ended)
        return flood.reads, time.monotonic() - began

    reads, seconds = asyncio.run(run())
    assert reads > 60
    assert seconds > (reads - 15) * GATHER_SECONDS
    assert {len(stream.events)} == set(positions(schema).values())


def test_projection_by_two_runners_is_applied_once(schema):
    """Of two projectors one works; when it ends the other goes on where it was."""
    stream = market(50)
    store(schema, stream)

    async def race() -> None:
        async with (
            PostgresEventSource(schema.dsn, schema.schema) as one,
            PostgresEventSource(schema.dsn, schema.schema) as two,
        ):
            first = Runner(connector(schema), one, all_views(), batch_events=20)
            second = Runner(connector(schema), two, all_views(), batch_events=20)
            assert await first.step() > 0
            for _ in range(3):
                applied = await asyncio.gather(first.step(), second.step())
                assert applied[0] > 0 and applied[1] == 0
            await first.close()
            async with asyncio.timeout(30):
                while set(positions(schema).values()) != {len(stream.events)}:
                    await second.step()
            await second.close()

    asyncio.run(race())
    assert {len(stream.events)} == set(positions(schema).values())
    for view in all_views():
        assert rebuild(schema, view, switch=False).equal


def test_projection_moved_by_somebody_else_is_looked_at_again(schema):
    """A runner whose lock was lost without its knowing applies nothing twice."""
    stream = market(50)
    store(schema, stream)

    async def overtaken() -> None:
        opened = []

        async def connect():
            opened.append(await connector(schema)())
            return opened[-1]

        async with PostgresEventSource(schema.dsn, schema.schema) as source:
            runner = Runner(connect, source, all_views(), batch_events=20)
            assert await runner.step() > 0
            await opened[0].execute("SELECT pg_advisory_unlock_all()")
            await asyncio.to_thread(project, schema)
            assert [0, 0] == [await runner.step(), await runner.step()]
            await runner.close()

    asyncio.run(overtaken())
    for view in all_views():
        assert rebuild(schema, view, switch=False).equal


@pytest.mark.crash
@pytest.mark.slow
def test_projection_killed_in_the_middle_resumes(schema):
    """Projectors killed with -9 at random moments leave what a rebuild makes."""
    chance = random.Random(7)
    stream = market(1500)
    half = len(stream.events) // 2
    append_events(schema.dsn, schema.schema, stream.events[:half])
    for round_number in range(3):
        process = nexus(schema, "projections", "run")
        try:
            before = min(positions(schema).values(), default=0)
            wait_until(lambda at=before: max(positions(schema).values(), default=0) > at)
            wait_until(lambda: chance.random() < 0.2)
        finally:
            process.kill()
            process.communicate()
        if round_number < 2:
            more = stream.events[half : half + 800]
            half += len(more)
            append_events(schema.dsn, schema.schema, more)
    append_events(schema.dsn, schema.schema, stream.events[half:])

    process = nexus(schema, "projections", "run")
    try:
        end = len(stream.events)
        wait_until(lambda: set(positions(schema).values()) == {end})
    finally:
        process.terminate()
        _, errors = process.communicate(timeout=20)
    assert 0 == process.returncode, errors
    for view in all_views():
        assert rebuild(schema, view, switch=False).equal


@pytest.mark.crash
@pytest.mark.slow
def test_projection_outlives_the_server(server_home):
    """kill -9 of PostgreSQL stops neither the projector nor its source: both come back."""
    stream = market(30)
    home = server_home / "killed"
    with EmbeddedServer(home / "data", home / "run") as server:
        schema = Schema(server.dsn(), "outlives")
        migrate(schema.dsn, schema.schema)
        store(schema, stream)
        process = nexus(schema, "projections", "run")
        try:
            end = len(stream.events)
            wait_until(lambda: set(positions(schema).values()) == {end})
            kill_server(schema)
            server.start()
            stream.some_commands(30)
            wait_until(lambda: is_up(schema))
            store(schema, stream, end)
            end = len(stream.events)
            wait_until(lambda: set(positions(schema).values()) == {end})
            for view in all_views():
                assert rebuild(schema, view, switch=False).equal
            kill_server(schema)
            process.terminate()
            assert 0 == process.wait(timeout=20)
        finally:
            process.kill()
            process.communicate()


def kill_server(schema: Schema) -> None:
    """kill -9 of the whole PostgreSQL server behind a schema."""
    with psycopg.connect(schema.dsn, autocommit=True) as conn:
        row = conn.execute("SELECT current_setting('data_directory')").fetchone()
        assert row is not None
    postmaster = int((Path(row[0]) / "postmaster.pid").read_text().splitlines()[0])
    os.kill(postmaster, signal.SIGKILL)


def is_up(schema: Schema) -> bool:
    """Whether the server answers."""
    try:
        with psycopg.connect(schema.dsn, connect_timeout=2) as conn:
            conn.execute(sql.SQL("SELECT 1"))
    except psycopg.OperationalError:
        return False
    return True
