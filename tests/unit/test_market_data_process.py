"""The market-data process beside its log: it begins from a snapshot, and anew when it must."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path

import pytest

from api.market_data.mirror import Mirror
from api.processes.market_data import MarketDataProcess
from application.desk.desk import Desk
from application.desk.floor import TradingFloor
from application.desk.following import DeskDiverged, follow
from application.desk.state import FloorAt, dump, state_hash
from application.log.ports import DeskSnapshot, OutcomeUnknown, Recorded
from infrastructure.clock import SteadyClock
from infrastructure.command_bus import UnixSocketBus
from infrastructure.log.memory import MemoryLog, MemorySnapshots
from infrastructure.settings import Settings
from projections.market_data.depth import MarketData
from projections.market_data.following import warmed
from projections.market_data.levels import BUY, SELL
from projections.market_data.records import Kind
from projections.market_data.replay import SnapshotFloors
from tests.property.test_market_data_books import commands_of, venue_log

LEVEL = int(Kind.LEVEL)


@pytest.fixture
def settings(server_home: Path) -> Iterator[Settings]:
    """A short path for the socket."""
    path = server_home / "feed-process.sock"
    yield Settings(feed_path=path, bus_path=server_home / "nobody.sock")
    path.unlink(missing_ok=True)


def run(scene: Callable[[], Awaitable[None]]) -> None:
    """Play a scene that must not take long, with a log that was made before."""
    assert commands_of(1)
    asyncio.run(asyncio.wait_for(scene(), 30))


async def until(met: Callable[[], bool]) -> None:
    """Wait for what must come."""
    async with asyncio.timeout(10):
        while not met():
            await asyncio.sleep(0.001)


class GrowingLog(MemoryLog):
    """A log of which more is committed step by step, and that leaves an event out when told to."""

    def __init__(self, seed: int = 1) -> None:
        super().__init__()
        self.rows = venue_log(seed).rows
        self.ends = [command[-1].position for command in commands_of(seed)]
        self.end = 0
        self.leaves_out = 0

    async def read(
        self, after: int, limit: int, *, topics: Sequence[str] = ()
    ) -> Sequence[Recorded]:
        """Committed events, at most so many."""
        page = await super().read(after, min(limit, self.end - after), topics=topics)
        if self.leaves_out:
            self.leaves_out -= 1
            return page[1:]
        return page

    async def last_position(self) -> int:
        """The position of the newest committed event."""
        return self.end

    async def wait(self, timeout: float) -> None:
        """Return soon."""
        await asyncio.sleep(0.001)


def books(data: MarketData) -> list[object]:
    """Every book as it stands, and the value of every instrument."""
    return [
        (data.instrument(i), [data.levels(i).best(side, 10**6) for side in (BUY, SELL)])
        for i in range(len(data))
    ] + [data.values()]


def begun_at(log: GrowingLog, number: int) -> FloorAt:
    """The floor after so many commands."""
    floor, at = TradingFloor(), 0
    for command in commands_of(1)[:number]:
        for _, event in command:
            floor.apply(event)
            at = event.at
    return FloorAt(floor, log.ends[number - 1] if number else 0, at)


@pytest.mark.parametrize("number", [0, 1, 250, 499])
def test_market_data_warmed_from_any_floor_is_that_of_the_whole_log(number):
    """The books, the values and the latest of each kind; each count begins at the log's end."""

    async def scene() -> None:
        log, whole = GrowingLog(), MarketData()
        log.end = log.ends[-1]
        for command in commands_of(1):
            whole.apply(command)

        data = await warmed(log, begun_at(log, min(number, len(log.ends))))

        assert log.end == data.position
        assert [one[0].symbol for one in books(whole)[:-1]] == ["ALFA", "BETA"]
        assert [(i.state(), b) for i, b in books(whole)[:-1]] == [
            (i.state(), b) for i, b in books(data)[:-1]
        ]
        assert whole.values() == data.values()
        for index in range(len(data)):
            for kind in (Kind.LEVEL, Kind.TRADE, Kind.QUOTE, Kind.STATUS, Kind.MARK):
                assert log.end == data.sequence(index, kind) >= whole.sequence(index, kind)

    run(scene)


def test_market_data_warmed_by_a_log_with_a_hole_does_not_stand():
    """What is missing is not passed over."""

    class Holed(GrowingLog):
        """A log of which an event is gone."""

        async def read_range(
            self, after: int, up_to: int, *, topics: Sequence[str] = ()
        ) -> Sequence[Recorded]:
            """All but the last event."""
            return (await super().read_range(after, up_to, topics=topics))[:-1]

    assert commands_of(1)
    log = Holed()
    log.end = 10
    with pytest.raises(DeskDiverged, match="not every position from 1 to 10"):
        asyncio.run(warmed(log, begun_at(log, 0)))


class AwayFloors(SnapshotFloors):
    """Floors of a store that is away at first."""

    def __init__(self, snapshots: MemorySnapshots, say: Callable[[str], object]) -> None:
        super().__init__(snapshots, say)
        self.asked = 0

    async def at_most(self, position: int) -> FloorAt:
        """A floor, the second time that one is asked for."""
        self.asked += 1
        if self.asked == 1:
            raise OutcomeUnknown("gone")
        return await super().at_most(position)


def test_market_data_process_begins_anew_when_the_log_does_not_follow(settings):
    """From the newest snapshot that can be read, when the store is there; those who are told begin
    anew with it, and have what the log has.
    """

    async def scene() -> None:
        log, snapshots, said = GrowingLog(), MemorySnapshots(), []
        desk = Desk()
        for command in commands_of(1)[:200]:
            follow(desk, command)
        kept = DeskSnapshot(desk.position, state_hash(desk), dump(desk))
        await snapshots.save(kept, 0)
        await snapshots.save(DeskSnapshot(log.ends[250], b"damaged", dump(desk)), 0)
        log.end = log.ends[300]
        floors = AwayFloors(snapshots, said.append)
        bus = UnixSocketBus(settings.bus_socket)
        process = MarketDataProcess(settings, log, floors, bus, said.append)
        running = asyncio.create_task(process.run())
        mirror = Mirror(settings.feed_socket, SteadyClock())
        mirror.start()
        await until(lambda: not mirror.away)
        row, _ = await mirror.follow("ALFA")
        first = mirror.books.sequence(row, LEVEL)
        assert log.end == first
        for number in range(301, 400):
            log.end = log.ends[number]
            if number % 40 == 0:
                log.leaves_out = 1
                await until(lambda: not log.leaves_out)
            await asyncio.sleep(0.001)
        await until(lambda: mirror.position == log.end and not mirror.renewing)

        whole = MarketData()
        for command in commands_of(1)[:400]:
            whole.apply(command)
        index = whole.index_of(whole.floor.markets.named("ALFA").instrument.id)
        told = mirror.books.changes(row, None)
        expected = whole.best(index)
        assert [one[7:12] for one in expected.records] == [one[7:12] for one in told.records]
        assert told.sequence >= first
        assert mirror.connections > 1
        text = "\n".join(map(str, said))
        assert "the store is away" in text
        assert f"passes over the snapshot at position {log.ends[250]:,}" in text
        assert f"from a snapshot at {desk.position:,}" in text
        assert "begins anew: position" in text
        await until(lambda: mirror.metrics.begun_anew > 0)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await until(lambda: mirror.away)
        await mirror.stop()
        await bus.close()

    run(scene)
