"""A writer under orders while its log is moved to and fro and its connections are cut."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Iterator

import psycopg
import pytest

from application.commands import PlaceOrder, ReadState, Reply
from application.desk.state import state_hash
from application.writer.sequencer import Sequencer
from bench.flow import commands, furnish
from infrastructure.clock import SystemClock
from infrastructure.command_bus import InProcessBus
from infrastructure.log.append_text import MARK_EVERY
from infrastructure.log.layouts import Layout
from infrastructure.log.mode_changes import (
    follow_peer,
    hold,
    leave_for_peer,
    open_for_writes,
    wait_until_unread,
)
from infrastructure.log.snapshots import PostgresSnapshots
from infrastructure.log.writing import PostgresEventLog
from tests.conftest import dsn_of
from tests.log_checks import read_log, replayed
from tests.stores import Store, check_guards, pair_of

pytestmark = pytest.mark.crash


@pytest.fixture(params=[Layout.NATIVE, pytest.param(Layout.TIMESCALE, marks=pytest.mark.timescale)])
def pair(request: pytest.FixtureRequest) -> Iterator[tuple[Store, Store]]:
    """A plain store and one in chunks, empty, that name each other."""
    with pair_of(dsn_of(request, request.param), Layout.PLAIN, request.param) as made:
        yield made


class Chaos:
    """Does to two stores what a mover, a switch and a failing network do, in any order."""

    def __init__(self, pair: tuple[Store, Store], seed: int) -> None:
        self._truth, self._follower = pair
        self._chance = random.Random(seed)
        self.done: Counter[str] = Counter()

    @property
    def truth(self) -> Store:
        """Where the log stands now."""
        return self._truth

    @property
    def follower(self) -> Store:
        """The other store."""
        return self._follower

    def disturb(self, until: float) -> None:
        """One thing after another."""
        with psycopg.connect(self._truth.dsn, autocommit=True) as conn:
            while time.monotonic() < until:
                time.sleep(self._chance.random() * 0.1)
                what = self._chance.choice(
                    ("both", "both", "here", "cut", "switch", "switch", "forgotten", "unopened")
                )
                getattr(self, f"_{what}")(conn)
                self.done[what] += 1

    def catch_up(self, conn: psycopg.Connection) -> None:
        """Bring the follower what it lacks; within a transaction that keeps the writer waiting."""
        new, old = self._follower, self._truth
        (reached,) = conn.execute(_sql(new, _REACHED[new.layout.chunked])).fetchone() or (0,)
        for text in _FEED:
            conn.execute(_sql(new, text.replace("{old}", f'"{old.schema}"')), {"after": reached})
        if new.layout.chunked:
            for text in _FEED_HEADS:
                conn.execute(_sql(new, text), {"after": reached, "every": MARK_EVERY})

    def _both(self, conn: psycopg.Connection) -> None:
        with conn.transaction():
            row = conn.execute(
                _sql(self._truth, "SELECT writes FROM {here}.writer_epoch FOR UPDATE")
            ).fetchone()
            if row == ("here",):
                self.catch_up(conn)
                self._say(conn, "both")

    def _here(self, conn: psycopg.Connection) -> None:
        self._say(conn, "here")

    def _say(self, conn: psycopg.Connection, writes: str) -> None:
        conn.execute(
            _sql(
                self._truth,
                "UPDATE {here}.writer_epoch SET writes = %(writes)s, generation = generation + 1"
                " WHERE writes IN ('here', 'both')",
            ),
            {"writes": writes},
        )

    def _cut(self, conn: psycopg.Connection) -> None:
        conn.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name IN"
            " (SELECT left('nexus writer ' || s, 63) FROM unnest(%s::text[]) s)",
            ([self._truth.schema, self._follower.schema],),
        )

    def _forgotten(self, conn: psycopg.Connection) -> None:
        """A switch dies while the writer is held."""
        hold(conn, self._truth.address, 0.1)

    def _switch(self, conn: psycopg.Connection) -> None:
        if self._left(conn):
            wait_until_unread(conn, self._truth.address, 2.0)
            open_for_writes(conn, self._follower.address, self._epoch(conn))
            self._other_way(conn)

    def _unopened(self, conn: psycopg.Connection) -> None:
        """A switch dies behind its commit: whoever follows opens the new store."""
        if self._left(conn):
            while self._follower.mode() == "fed":
                time.sleep(0.01)
            self._other_way(conn)

    def _left(self, conn: psycopg.Connection) -> bool:
        held = hold(conn, self._truth.address, 5.0)
        if held is None:
            return False
        self.catch_up(conn)
        return leave_for_peer(conn, self._truth.address, held)

    def _other_way(self, conn: psycopg.Connection) -> None:
        follow_peer(conn, self._truth.address)
        self._truth, self._follower = self._follower, self._truth

    def _epoch(self, conn: psycopg.Connection) -> int:
        row = conn.execute(_sql(self._truth, "SELECT epoch FROM {here}.writer_epoch")).fetchone()
        assert row is not None
        return int(row[0])


_REACHED = {
    False: "SELECT COALESCE(max(notification_id), 0) FROM {here}.stored_events",
    True: "SELECT position FROM {here}.log_head FOR UPDATE",
}
_FEED = (
    "INSERT INTO {here}.stored_events SELECT * FROM {old}.stored_events"
    " WHERE notification_id > %(after)s",
    "INSERT INTO {here}.request_keys SELECT * FROM {old}.request_keys WHERE position > %(after)s",
)
_FEED_HEADS = (
    "INSERT INTO {here}.stream_heads AS h SELECT originator_id, max(originator_version),"
    " min(recorded_at), max(recorded_at) FROM {here}.stored_events"
    " WHERE notification_id > %(after)s GROUP BY 1 ON CONFLICT (originator_id) DO UPDATE SET"
    " version = excluded.version, last_at = excluded.last_at",
    "INSERT INTO {here}.log_marks SELECT notification_id, recorded_at FROM {here}.stored_events"
    " WHERE notification_id > %(after)s AND notification_id %% %(every)s = 0",
    "UPDATE {here}.log_head SET position = (SELECT max(notification_id) FROM {here}.stored_events)",
)


def _sql(store: Store, text: str) -> bytes:
    return text.replace("{here}", f'"{store.schema}"').encode()


@pytest.mark.parametrize(
    ("seed", "seconds"),
    [(1, 3.0), *[pytest.param(seed, 30.0, marks=pytest.mark.soak) for seed in range(2, 8)]],
)
def test_event_store_loses_and_doubles_nothing_while_its_log_is_moved_to_and_fro(
    pair: tuple[Store, Store], seed: int, seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every order is answered once and as the log has it, through switches, lost connections,
    holds that nobody ends and stores that nobody opens; both stores end as one.
    """
    monkeypatch.setattr("infrastructure.log.leading.OPENING_SECONDS", 0.2)
    chaos = Chaos(pair, seed)
    entry = pair[0]
    placed: dict[str, Reply] = {}

    async def work() -> str:
        log = PostgresEventLog(entry.dsn, entry.schema, 0)
        snapshots = PostgresSnapshots(entry.dsn, entry.schema)
        said: list[str] = []
        writer = Sequencer(log, snapshots, SystemClock(), lease=log, say=said.append)
        running = asyncio.create_task(writer.run())
        await writer.ready.wait()
        bus = InProcessBus(writer.submit)
        floor = await furnish(bus)
        until = time.monotonic() + seconds
        disturbing = asyncio.create_task(asyncio.to_thread(chaos.disturb, until))
        turn = 0
        while not disturbing.done():
            turn += 1
            made = commands(floor, 40, seed * 1_000 + turn, f"chaos{turn}")
            replies = await asyncio.gather(*[bus.ask(one, "tester", "test") for one in made])
            for command, reply in zip(made, replies, strict=True):
                if isinstance(command, PlaceOrder):
                    placed[command.client_order_id] = reply
            writer.beat()
            await asyncio.sleep(0.005)
        await disturbing
        reply = await bus.send(ReadState(hashed=True), "tester", "test")
        assert reply.result is not None
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await log.close()
        return str(reply.result["state_hash"])

    state = asyncio.run(asyncio.wait_for(work(), seconds + 120))
    with psycopg.connect(entry.dsn) as conn:
        chaos.catch_up(conn)
    whole = read_log(entry.dsn, entry.schema)
    checked = read_log(chaos.truth.dsn, chaos.truth.schema)
    checked.check()
    assert whole.events == checked.events
    stored = checked.orders_by_client_id()
    for key, reply in placed.items():
        ((position, event),) = stored[key]
        assert reply.order is not None
        assert event.originator_id == reply.order.order_id
        assert position <= reply.position
    assert state == _state_of(chaos.truth)
    assert chaos.follower.positions() == chaos.truth.positions()
    for store in pair:
        if store.layout.chunked:
            check_guards(store, checked.events)
    assert min(chaos.done[what] for what in ("both", "cut", "switch")) > 0, chaos.done


def _state_of(store: Store) -> str:
    return state_hash(replayed(store.dsn, store.schema, with_snapshots=False)).hex()
