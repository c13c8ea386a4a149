"""Two writers of one partition, paused writers, lost connections: one leads, nothing is lost."""

from __future__ import annotations

import asyncio
import random
import signal
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from api.cli.exit_codes import Exit
from application.commands import CancelOrder, ReadState, Reply, encode_command
from application.requests import Command
from tests.log_checks import CheckedLog, check_replay, read_log
from tests.writer_process import BusClient, Partition, partition, wait_until

pytestmark = pytest.mark.crash


@pytest.fixture
def venue(schema: Any) -> Iterator[Partition]:
    """A partition without a writer yet."""
    with partition(schema.dsn, schema.schema) as made:
        yield made


def under_load(
    venue: Partition, disturb: Callable[[BusClient], Awaitable[None]], clients: int = 8
) -> CheckedLog:
    """Trade while something is done to the writers; then every promise is looked at."""

    async def run() -> BusClient:
        client = BusClient(venue.bus_path)
        await client.open()
        stop = asyncio.Event()
        trading = asyncio.gather(*[client.trade(stop, f"t{i}") for i in range(clients)])
        disturbing = asyncio.ensure_future(disturb(client))
        await asyncio.wait((trading, disturbing), return_when=asyncio.FIRST_COMPLETED)
        stop.set()
        await disturbing
        await asyncio.wait_for(trading, 60)
        await client.bus.close()
        return client

    client = asyncio.run(asyncio.wait_for(run(), 120))
    log = read_log(venue.dsn, venue.schema)
    log.check()
    stored = log.orders_by_client_id()
    for key, reply in client.told.items():
        ((position, event),) = stored[key]
        assert reply.order is not None
        assert event.originator_id == reply.order.order_id
        assert position <= reply.position <= len(log.recorded)
    check_replay(venue.dsn, venue.schema, venue.bus_path)
    return log


def lock_holders(venue: Partition) -> list[int]:
    """Backends that hold the writer's lock of this partition."""
    rows = venue.rows(
        "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 1"
        " AND ((classid::bigint << 32) | objid::bigint) = hashtextextended(%s, 0)",
        f"nexus writer {venue.schema} 0",
    )
    return [row[0] for row in rows]


def test_of_writers_started_at_once_exactly_one_leads(venue: Partition) -> None:
    """The others stand by, and when the leader is killed exactly one of them follows it."""
    for _ in range(3):
        venue.start()
    leaders = []
    for epoch in (1, 2, 3):
        leader = venue.leader()
        leaders.append(leader)
        for other in venue.writers:
            if other not in leaders:
                other.says("standing by")
                assert "leads" not in other.said
        assert [(epoch,)] == venue.rows("SELECT epoch FROM writer_epoch")
        assert 1 == len(lock_holders(venue))
        leader.signal(signal.SIGKILL)
        leader.ended()
    assert 3 == len(set(leaders))


def test_standby_takes_over_under_load_within_moments(venue: Partition) -> None:
    """Killed again and again, with a new standby each time: clients notice a pause."""
    venue.start()
    venue.leader()

    async def disturb(client: BusClient) -> None:
        for _ in range(4):
            standby = venue.start()
            await asyncio.to_thread(standby.says, "standing by")
            await client.answered_more(50)
            leader = await asyncio.to_thread(venue.leader)
            leader.signal(signal.SIGKILL)
            began = asyncio.get_running_loop().time()
            await client.answered_more(1)
            pauses.append(asyncio.get_running_loop().time() - began)
            assert "recovering" not in standby.said.split("standing by")[1]

    pauses: list[float] = []
    under_load(venue, disturb)
    assert 4 == len(pauses)
    assert max(pauses) < 5, pauses


@pytest.mark.parametrize("how", ["lease", "connection"])
def test_writer_that_sleeps_through_a_takeover_acknowledges_nothing(
    venue: Partition, how: str
) -> None:
    """Stopped, taken over, continued: it refuses what it finds, and ends as fenced."""
    sleeper = venue.start()
    venue.leader()
    standby = venue.start()
    standby.says("standing by")

    async def disturb(client: BusClient) -> None:
        await client.answered_more(20)
        with socket.socket(socket.AF_UNIX) as direct:
            direct.connect(str(venue.bus_path))
            sleeper.signal(signal.SIGSTOP)
            if how == "connection":
                assert 1 == venue.end_writers_backend()
            # Nothing that these need is committed, so only the lease can tell the truth.
            harmless: list[Command] = [
                ReadState(),
                CancelOrder(UUID(int=1), None, "of nobody", ""),
            ]
            commands = [client.order("to the sleeper")] if how == "connection" else harmless
            direct.sendall(frame(commands))
            await asyncio.to_thread(standby.says, "leads")
            await client.answered_more(20)
            sleeper.signal(signal.SIGCONT)
            direct.settimeout(20)
            codes = [reply.refusal and reply.refusal.code for reply in replies(direct)]
            assert set(codes) <= {"VENUE_UNAVAILABLE"}
        assert Exit.FENCED == await asyncio.to_thread(sleeper.ended)
        assert "taken over" in sleeper.said

    log = under_load(venue, disturb)
    assert "to the sleeper" not in log.orders_by_client_id()
    assert [(2,)] == venue.rows("SELECT epoch FROM writer_epoch")


def frame(commands: list[Any]) -> bytes:
    """One frame of the bus with these commands."""
    rows = [[n, "tester", "test", encode_command(c)] for n, c in enumerate(commands)]
    body = msgspec.msgpack.encode(rows)
    return len(body).to_bytes(4, "big") + body


def replies(direct: socket.socket) -> list[Reply]:
    """All replies until the other end closes."""
    data = bytearray()
    try:
        while chunk := direct.recv(65_536):
            data += chunk
    except ConnectionResetError:
        pass
    found: list[Reply] = []
    while data:
        length = int.from_bytes(data[:4], "big")
        rows = msgspec.msgpack.decode(bytes(data[4 : 4 + length]), type=list[tuple[int, Reply]])
        found += [reply for _, reply in rows]
        del data[: 4 + length]
    return found


def test_dropped_connections_in_the_middle_of_load_lose_nothing(venue: Partition) -> None:
    """The store ends the writer's connections again and again; the writer leads on."""
    writer = venue.start(desk_snapshot_every=200, snapshot_every=10)
    venue.leader()
    chance = random.Random(7)

    async def disturb(client: BusClient) -> None:
        for _ in range(8):
            await client.answered_more(20)
            await asyncio.sleep(chance.random() * 0.05)
            assert 1 == await asyncio.to_thread(venue.end_writers_backend)
        await client.answered_more(20)

    under_load(venue, disturb)
    assert [(9,)] == venue.rows("SELECT epoch FROM writer_epoch")
    assert 8 == writer.said.count("rebuilding from the log")


class CuttingProxy:
    """Stands between a writer and PostgreSQL, and cuts the writer's own connection on demand.

    `before`: what the writer sends next does not arrive. `half`: only its first half does.
    `after`: it arrives, and the server's reply does not come back.
    """

    def __init__(self, dsn: str, home: Path) -> None:
        target = conninfo_to_dict(dsn)
        name = f".s.PGSQL.{target['port']}"
        self._target = str(Path(str(target["host"])) / name)
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(str(home / name))
        self._listening.listen()
        self._cut: str | None = None
        self.cuts = 0
        # Whose socket it is is not what is tried here: nobody asks for the server's user.
        self.dsn = make_conninfo(dsn, host=str(home), requirepeer="")
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self, how: str) -> None:
        """Cut at the writer's next statement."""
        self._cut = how

    @property
    def waits(self) -> bool:
        """Whether a cut is still to come."""
        return self._cut is not None

    def close(self) -> None:
        """Take no more connections."""
        self._listening.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            server = socket.socket(socket.AF_UNIX)
            server.connect(self._target)
            threading.Thread(target=self._forward, args=(client, server), daemon=True).start()

    def _forward(self, client: socket.socket, server: socket.socket) -> None:
        first = client.recv(65_536)
        server.sendall(first)
        of_writer = b"nexus writer" in first
        dropping = threading.Event()
        back = threading.Thread(target=self._back, args=(client, server, dropping), daemon=True)
        back.start()
        while data := _received(client):
            how = self._cut if of_writer and b"advisory" not in data else None
            if how is not None:
                self._cut = None
                self.cuts += 1
                if how == "after":
                    dropping.set()
                    server.sendall(data)
                    back.join()
                elif how == "half":
                    server.sendall(data[: len(data) // 2])
                break
            server.sendall(data)
        _close(client, server)
        back.join()

    def _back(
        self, client: socket.socket, server: socket.socket, dropping: threading.Event
    ) -> None:
        while data := _received(server):
            if dropping.is_set():
                break
            try:
                client.sendall(data)
            except OSError:
                break
        _close(client, server)


def _received(end: socket.socket) -> bytes:
    try:
        return end.recv(1 << 20)
    except OSError:
        return b""


def _close(*ends: socket.socket) -> None:
    for end in ends:
        try:
            end.shutdown(socket.SHUT_RDWR)
        except OSError:
            continue
        finally:
            end.close()


def test_commit_whose_outcome_was_lost_is_answered_right_and_not_doubled(
    venue: Partition,
) -> None:
    """The statement goes out and the reply is cut off, or half the statement, or all of it."""
    proxy = CuttingProxy(venue.dsn, venue.home)
    writer = venue.start(dsn=proxy.dsn)
    venue.leader()

    async def disturb(client: BusClient) -> None:
        for how in ("after", "before", "half") * 4:
            await client.answered_more(20)
            proxy.cut(how)
            while proxy.waits:
                await asyncio.sleep(0.001)
        await client.answered_more(20)

    under_load(venue, disturb)
    proxy.close()
    assert 12 == proxy.cuts
    assert writer.said.count("rebuilding from the log") >= 12


def test_queue_is_bounded_while_the_store_stands_still(venue: Partition) -> None:
    """What waits for commits is refused beyond the bound, and the rest is done afterwards."""
    venue.start(queue_limit=50)
    venue.leader()

    async def run() -> None:
        client = BusClient(venue.bus_path)
        await client.open()
        with psycopg.connect(venue.dsn) as conn:
            conn.execute(sql.SQL("SET search_path TO {}").format(sql.Identifier(venue.schema)))
            conn.execute("SELECT 1 FROM writer_epoch FOR UPDATE")
            sending = [
                asyncio.create_task(client.bus.send(client.order(f"o{i}"), "tester", "test"))
                for i in range(500)
            ]
            while sum(task.done() for task in sending) < 450:
                await asyncio.sleep(0.01)
            full = [task.result().refusal for task in sending if task.done()]
            assert {"QUEUE_FULL"} == {refusal and refusal.code for refusal in full}
        answered = await asyncio.gather(*sending)
        assert 450 == sum(reply.refusal is not None for reply in answered)
        await client.bus.close()

    asyncio.run(asyncio.wait_for(run(), 60))
    log = read_log(venue.dsn, venue.schema)
    log.check()
    assert 50 == len(log.orders_by_client_id())


def test_writer_asked_to_leave_answers_what_it_has_taken_in(venue: Partition) -> None:
    """SIGTERM under load: exit code 0, and whoever comes next goes on."""
    first = venue.start()
    venue.leader()

    async def disturb(client: BusClient) -> None:
        await client.answered_more(50)
        second = venue.start()
        await asyncio.to_thread(second.says, "standing by")
        first.signal(signal.SIGTERM)
        assert Exit.OK == await asyncio.to_thread(first.ended)
        await client.answered_more(50)

    under_load(venue, disturb)
    assert "left" in first.said
    assert "unanswered" not in first.said


def test_supervised_writer_ends_with_its_supervisor(venue: Partition) -> None:
    """The end of its standard input tells it that nobody looks after it any more."""
    writer = venue.start("--supervised")
    assert Exit.OK == writer.ended()
    wait_until(lambda: not lock_holders(venue), "the lock to be free")
