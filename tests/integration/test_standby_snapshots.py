"""The standby: follows the log, takes the snapshots, and hands a warm desk over."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from functools import cache
from itertools import pairwise
from typing import Any

import msgspec
import psycopg
import pytest
from eventsourcing.utils import resolve_topic
from psycopg import sql

from api.processes import standby as standby_module
from api.processes.standby import Standby
from application.desk.desk import Desk
from application.desk.following import follow
from application.desk.state import dump, state_hash
from application.log.ports import Batch, DeskSnapshot, OutcomeUnknown, Recorded
from application.log.snapshots import NEWEST_KEPT
from application.writer.loading import load_desk, load_snapshot
from application.writer.request_keys import key_of_event
from infrastructure.clock import SystemClock
from infrastructure.log.snapshots import PostgresSnapshots
from infrastructure.log.writing import PostgresEventLog
from infrastructure.settings import Settings
from tests.model.command_flow import lived


@cache
def flow() -> list[Recorded]:
    """The events of a lively market."""
    return [Recorded(n, event) for n, event in enumerate(lived(11, 400).log.events(), 1)]


def replayed(up_to: int) -> Desk:
    """The desk after so many events, from nothing."""
    desk = Desk()
    follow(desk, flow()[:up_to])
    return desk


def command_ends() -> list[int]:
    """Positions after which another command begins."""
    events = flow()
    return [
        here.position
        for here, later in pairwise(events)
        if here.event.correlation_id != later.event.correlation_id
    ]


def command_end(at_least: int) -> int:
    """The first position from here on after which another command begins."""
    return next(position for position in command_ends() if position >= at_least)


class Follower:
    """A standby beside a leader that appends a known flow."""

    def __init__(self, schema: Any, **settings: Any) -> None:
        self.schema = schema
        self.said: list[str] = []
        self.leader = PostgresEventLog(schema.dsn, schema.schema, 0)
        self.log = PostgresEventLog(schema.dsn, schema.schema, 0)
        self.store = PostgresSnapshots(schema.dsn, schema.schema)
        self.settings = Settings(partition_schema=schema.schema, **settings)
        self.appended = 0
        self.standby = self.another()

    def another(self) -> Standby:
        """A standby that has just started."""
        return Standby(self.settings, self.log, self.store, SystemClock(), self.said.append)

    async def append(self, up_to: int) -> None:
        """Let the leader commit the flow up to a position."""
        part = flow()[self.appended : up_to]
        keys = [key for p, e in part if (key := key_of_event(e, p)) is not None]
        await self.leader.append(Batch(self.appended + 1, [e for _, e in part], keys))
        self.appended = up_to

    async def caught_up(self, task: asyncio.Task[None]) -> None:
        """Wait until the standby holds what was appended, and has saved what was due."""
        while self.standby.settled_at < self.appended:
            if task.done():
                task.result()
            await asyncio.sleep(0.01)
        await self.standby.saved()

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Rows of the schema."""
        with psycopg.connect(self.schema.dsn, autocommit=True) as conn:
            conn.execute(
                sql.SQL("SET search_path TO {}").format(sql.Identifier(self.schema.schema))
            )
            return conn.execute(query.encode()).fetchall()


@asynccontextmanager
async def following(schema: Any, **settings: Any) -> AsyncIterator[Follower]:
    """A follower whose leader leads."""
    made = Follower(schema, **settings)
    assert await made.leader.try_take_over()
    try:
        yield made
    finally:
        await made.leader.close()
        await made.log.close()


@asynccontextmanager
async def standing_by(made: Follower) -> AsyncIterator[asyncio.Task[None]]:
    """The follower at work."""
    task = asyncio.create_task(made.standby.until_leading())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def run(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a test's coroutine, not for ever."""
    flow()  # it runs an event loop of its own
    asyncio.run(asyncio.wait_for(work(), 60))


async def brought_up(made: Any, version: int, topic: str, state: bytes) -> Any:
    """An aggregate as its snapshot and the events after it make it."""
    aggregate = resolve_topic(topic).from_state(msgspec.msgpack.decode(state))
    assert version == aggregate.version
    for _, event in await made.leader.stream(aggregate.id, version):
        aggregate = event.mutate(aggregate)
    return aggregate


def test_desk_snapshots_are_taken_on_the_way_and_are_what_a_replay_gives(schema: Any) -> None:
    """Every so many positions one; the newest three stay, whenever they were taken."""

    async def work() -> None:
        async with following(schema, desk_snapshot_every=100) as made:
            ends = [command_end(at) for at in range(100, 700, 110)]
            async with standing_by(made) as task:
                for end in ends:
                    await made.append(end)
                    await made.caught_up(task)
            kept = made.rows("SELECT DISTINCT position FROM desk_snapshots ORDER BY 1")
            assert [(end,) for end in ends[-NEWEST_KEPT:]] == kept
            for end in ends[-NEWEST_KEPT:]:
                snapshot = await made.store.latest(end)
                assert snapshot is not None
                assert dump(replayed(end)) == snapshot.state
                assert state_hash(replayed(end)) == snapshot.state_hash

    run(work)


def test_recovery_from_a_snapshot_reads_only_what_came_after(schema: Any) -> None:
    """The snapshot and the later events are the full replay; the early ones are not read."""

    async def work() -> None:
        async with following(schema, desk_snapshot_every=100) as made:
            async with standing_by(made) as task:
                await made.append(command_end(300))
                await made.caught_up(task)
            await made.append(len(flow()))
            seen: list[int] = []
            desk, _ = await load_desk(made.leader, made.store, 0, progress=seen.append)
            assert dump(replayed(len(flow()))) == dump(desk)
            assert [len(flow()) - command_end(300)] == seen

    run(work)


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE desk_snapshots SET state = '\\x00' WHERE position = {newest} RETURNING 1",
        "UPDATE desk_snapshots SET state_hash = '\\x00' WHERE position = {newest} RETURNING 1",
        "UPDATE desk_snapshots SET state = {other} WHERE position = {newest} RETURNING 1",
    ],
)
def test_snapshot_that_cannot_be_trusted_is_passed_over_for_an_older_one(
    schema: Any, damage: str
) -> None:
    """Bytes that are none, a hash that does not fit, another format: recovery goes on without, and
    says so.
    """

    async def work() -> None:
        async with following(schema, desk_snapshot_every=100) as made:
            older, newest = command_end(150), command_end(300)
            async with standing_by(made) as task:
                for end in (older, newest):
                    await made.append(end)
                    await made.caught_up(task)
            other = "'\\x" + zlib.compress(b"\x91\x63").hex() + "'"
            made.rows(damage.format(newest=newest, other=other))
            said: list[str] = []
            desk, _ = await load_snapshot(made.store, 0, said.append)
            assert older == desk.position
            (told,) = said
            assert f"passes over the snapshot at position {newest:,}: " in told
            await made.append(command_end(400))
            desk, _ = await load_desk(made.leader, made.store, 0)
            assert dump(replayed(command_end(400))) == dump(desk)

    run(work)


def test_snapshots_stand_between_commands_also_when_pages_do_not(
    schema: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page that cuts a command in two does not make a snapshot of half of it."""
    monkeypatch.setattr(standby_module, "PAGE", 37)

    async def work() -> None:
        async with following(schema, desk_snapshot_every=50, snapshot_every=1) as made:
            async with standing_by(made) as task:
                while not made.said:
                    await asyncio.sleep(0.01)
                await made.append(len(flow()))
                await made.caught_up(task)
            assert dump(replayed(len(flow()))) == dump(made.standby.desk)
            (found,) = zip(*made.rows("SELECT DISTINCT position FROM desk_snapshots"), strict=True)
            assert set(found) <= {*command_ends(), len(flow())}

    run(work)


def test_aggregate_snapshot_and_later_events_are_the_full_replay(schema: Any) -> None:
    """Every so many versions one; each kind may have its own number."""

    async def work() -> None:
        every = {"order": 2, "account": 7, "position": 5}
        async with following(schema, snapshot_every=3, snapshot_every_of_kind=every) as made:
            async with standing_by(made) as task:
                for end in range(50, len(flow()), 90):
                    await made.append(end)
                    await made.caught_up(task)
            await made.append(len(flow()))
            taken = made.rows(
                "SELECT DISTINCT ON (originator_id) originator_id, originator_version, topic, state"
                " FROM snapshots ORDER BY originator_id, originator_version DESC"
            )
            kinds = {"order", "account", "position", "instrument", "oco", "venue"}
            assert kinds == {row[2] for row in taken}
            whole: dict[Any, Any] = {}
            for _, event in flow():
                whole[event.originator_id] = event.mutate(whole.get(event.originator_id))
            for identifier, version, topic, state in taken:
                assert version >= every.get(topic, 3)
                loaded = await brought_up(made, version, topic, state)
                assert whole[identifier].state() == loaded.state()

    run(work)


def test_two_followers_take_the_same_snapshots_without_quarrel(schema: Any) -> None:
    """What is there already stays as it is."""

    async def work() -> None:
        async with following(schema, desk_snapshot_every=100, snapshot_every=5) as made:
            await made.append(command_end(300))
            second = made.another()
            tasks = [asyncio.create_task(s.until_leading()) for s in (made.standby, second)]
            await made.caught_up(tasks[0])
            while second.settled_at < made.appended:
                await asyncio.sleep(0.01)
            await second.saved()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            assert [(made.appended,)] == made.rows("SELECT position FROM desk_snapshots")
            assert not [text for text in made.said if "could not" in text]

    run(work)


def test_store_that_is_away_costs_a_snapshot_and_no_event(
    schema: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The follower goes on, and the next snapshot is taken."""

    async def work() -> None:
        async with following(schema, desk_snapshot_every=100) as made:

            async def away(snapshot: DeskSnapshot, at: int) -> None:
                raise OutcomeUnknown("the store is away")

            async with standing_by(made) as task:
                with monkeypatch.context() as patched:
                    patched.setattr(made.store, "save", away)
                    await made.append(command_end(150))
                    await made.caught_up(task)
                await made.append(command_end(300))
                await made.caught_up(task)
            assert [(command_end(300),)] == made.rows("SELECT position FROM desk_snapshots")
            assert 1 == len([text for text in made.said if "could not be kept" in text])

    run(work)


def test_standby_hands_over_a_warm_desk_with_its_keys(schema: Any) -> None:
    """When the leader goes, what is left to read is only what came since the last look."""

    async def work() -> None:
        async with following(schema, desk_snapshot_every=100) as made:
            async with standing_by(made) as task:
                await made.append(len(flow()))
                await made.caught_up(task)
                assert not task.done()
                await made.leader.close()
                await asyncio.wait_for(task, 10)
            seen: list[int] = []
            warm = made.standby.hand_over()
            desk, keys = await load_desk(made.log, made.store, 0, warm=warm, progress=seen.append)
            assert [] == seen
            assert dump(replayed(len(flow()))) == dump(desk)
            expected = [k for p, e in flow() if (k := key_of_event(e, p)) is not None]
            assert expected
            for key in expected:
                assert (key.fingerprint, key.position) == keys.recent((key.account_id, key.key))
            assert 0 == made.standby.desk.position

    run(work)


def test_standby_whose_start_began_at_a_snapshot_knows_older_keys_too(schema: Any) -> None:
    """They are in the filter, so that a repeat is looked up and a new key is not."""

    async def work() -> None:
        async with following(schema, desk_snapshot_every=100) as made:
            async with standing_by(made) as task:
                await made.append(command_end(300))
                await made.caught_up(task)
            made.standby = made.another()
            async with standing_by(made) as task:
                await made.caught_up(task)
                while made.standby.keys.warming:
                    await asyncio.sleep(0.01)
            _, keys = made.standby.hand_over()
            old: Sequence[Any] = [
                k for p, e in flow()[: made.appended] if (k := key_of_event(e, p)) is not None
            ]
            assert all(keys.needs_look_up((k.account_id, k.key)) for k in old)
            assert not keys.needs_look_up((old[0].account_id, "never seen before"))

    run(work)


def test_standby_follows_and_takes_over_while_it_still_reads_old_keys(
    schema: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A log of years has many keys: whoever stands by does not look away to read them."""

    async def never(*_: Any) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(PostgresEventLog, "keys_up_to", never)

    async def work() -> None:
        async with following(schema, desk_snapshot_every=100) as made:
            async with standing_by(made) as task:
                await made.append(command_end(300))
                await asyncio.wait_for(made.caught_up(task), 10)
            made.standby = made.another()
            async with standing_by(made) as task:
                await asyncio.wait_for(made.caught_up(task), 10)
                assert made.standby.keys.warming
                await made.append(command_end(400))
                await asyncio.wait_for(made.caught_up(task), 10)
                await made.leader.close()
                await asyncio.wait_for(task, 10)

    run(work)
