"""A partition whose writer takes orders all the while its store moves, step by step."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from infrastructure.log.follower import NotFollowing
from infrastructure.log.layouts import Layout
from infrastructure.log.stores import StoreAddress, find_truth
from migrations.move.backfill import Backfill, Pacing
from migrations.move.beside import Beside
from migrations.move.feed import Feed, begin_following, opened_pair, write_both
from migrations.move.moves import holding
from migrations.move.phases import Action, Phase
from migrations.runner import migrate
from tests.log_checks import read_log
from tests.writer_process import BusClient


class Orders:
    """Clients that place and cancel orders from a thread of their own until the block ends."""

    def __init__(self, bus: Path, clients: int = 4) -> None:
        self._bus = bus
        self._clients = clients
        self._stop = threading.Event()
        self._failed: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="orders")
        self.client: BusClient | None = None

    def __enter__(self) -> Orders:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self._thread.join(90)
        assert not self._thread.is_alive()
        if self._failed is not None and error[0] is None:
            raise self._failed

    @property
    def answers(self) -> int:
        """How many were answered."""
        return 0 if self.client is None else self.client.answers

    def go_on(self, count: int = 30, seconds: float = 30) -> None:
        """Wait until so many more are answered."""
        wanted = self.answers + count
        deadline = time.monotonic() + seconds
        while self.answers < wanted:
            assert self._failed is None, self._failed
            assert time.monotonic() < deadline, f"{wanted - self.answers} answers are missing"
            time.sleep(0.005)

    def _run(self) -> None:
        try:
            asyncio.run(self._trade())
        except BaseException as error:
            self._failed = error

    async def _trade(self) -> None:
        client = BusClient(self._bus)
        await client.open()
        self.client = client
        stop = asyncio.Event()
        trading = asyncio.gather(*(client.trade(stop, f"c{i}") for i in range(self._clients)))
        while not self._stop.is_set() and not trading.done():
            await asyncio.sleep(0.01)
        stop.set()
        await asyncio.wait_for(trading, 60)
        await client.bus.close()


@contextmanager
def mover(entry: StoreAddress) -> Iterator[None]:
    """Feed whichever store follows, as the process does that is there for it."""
    stop = threading.Event()

    def turn() -> None:
        truth = find_truth(*entry)
        if truth.peer is None:
            return
        with opened_pair(truth.address, truth.peer, "nexus mover") as pair:
            while Feed(pair).page():
                pass
            Beside(pair).sync()
            if truth.address.dsn == truth.peer.dsn and truth.writes == "here":
                write_both(pair)

    def run() -> None:
        while not stop.wait(0.05):
            with suppress(psycopg.Error, NotFollowing):
                turn()

    thread = threading.Thread(target=run, name="mover")
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


class StepByStep:
    """The earlier steps of a move, made at once."""

    def __init__(self, source: StoreAddress, target: StoreAddress, layout: Layout) -> None:
        self.source = source
        self.target = target
        self._layout = layout

    def plan(self) -> None:
        """Enter the plan."""
        with holding(self.source) as held:
            held.begin(self.target, self._layout, {})

    def prepare(self) -> None:
        """Make the target, which follows from then on."""
        migrate(self.target.dsn, self.target.schema, layout=self._layout)
        self._say_fed()
        self._enter(Phase.PREPARED, Action.PREPARE)

    def dual_write(self) -> None:
        """Let the target be given what comes from now on."""
        with opened_pair(self.source, self.target, "nexus dual write") as pair:
            begin_following(pair)
        self._enter(Phase.DUAL_WRITING, Action.DUAL_WRITE)

    def backfill(self) -> None:
        """Bring what came before."""
        self._enter(Phase.BACKFILLING, Action.BACKFILL)
        Backfill(self.source, self.target, Pacing(workers=1), probe=bool).run()
        self._enter(Phase.BACKFILLED, Action.BACKFILL)

    def _enter(self, phase: Phase, action: Action) -> None:
        with holding(self.source) as held:
            held.check(action)
            held.enter(phase, action)

    def _say_fed(self) -> None:
        with psycopg.connect(self.target.dsn, autocommit=True) as conn:
            conn.execute(
                sql.SQL(
                    "INSERT INTO {}.writer_epoch (partition, epoch, holder, backend_pid, taken_at,"
                    " renewed_at, writes, peer_schema) VALUES (0, 0, '', 0, now(), '-infinity',"
                    " 'fed', %s) ON CONFLICT DO NOTHING"
                ).format(sql.Identifier(self.target.schema)),
                (self.source.schema,),
            )


def check_orders(orders: Orders, truth: StoreAddress) -> None:
    """Every order that was answered is in the log, once, as it was answered; the log is whole."""
    client = orders.client
    assert client is not None
    log = read_log(*truth)
    log.check()
    stored: dict[str, Any] = log.orders_by_client_id()
    for key, reply in client.told.items():
        ((position, event),) = stored[key]
        assert reply.order is not None
        assert event.originator_id == reply.order.order_id
        assert position <= reply.position <= len(log.recorded)
