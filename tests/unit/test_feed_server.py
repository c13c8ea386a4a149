"""The socket of the market-data process: it waits for nobody, and garbled bytes harm one alone."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from api.market_data.server import MOST_REQUEST
from api.market_data.wire import (
    VERSION,
    Ask,
    Follow,
    Hello,
    Leave,
    Message,
    Told,
    encode,
    said_in,
    unpacked,
)
from domain.terms import Side
from projections.market_data.records import Kind, Record
from tests.model.desk_harness import DeskHarness
from tests.model.feed_flow import FeedStage, commands_in, staged

LEVEL = int(Kind.LEVEL)


@pytest.fixture
def path(server_home: Path) -> Iterator[Path]:
    """A short path for the socket."""
    path = server_home / "feed-server.sock"
    yield path
    path.unlink(missing_ok=True)


def run(scene: Callable[[], Awaitable[None]]) -> None:
    """Play a scene that must not take long."""
    asyncio.run(asyncio.wait_for(scene(), 30))


async def until(met: Callable[[], bool]) -> None:
    """Wait for what must come."""
    async with asyncio.timeout(10):
        while not met():
            await asyncio.sleep(0.001)


def framed(*messages: Message) -> bytes:
    """Messages as they go over the socket."""
    body = encode(messages)
    return len(body).to_bytes(4, "big") + body


@asynccontextmanager
async def connected(
    path: Path, *first: bytes
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection that says some bytes."""
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(b"".join(first))
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


def venue() -> DeskHarness:
    """An instrument, and accounts to trade it."""
    venue = DeskHarness(checked=False)
    venue.instrument("X")
    venue.a = venue.account("a", 10**9)
    return venue


async def go_on(desk: DeskHarness, stage: FeedStage, commands: int) -> None:
    """Let orders rest, and tell of them."""
    for _ in range(commands):
        price = 50 + 7 * desk.number % 45
        reply = desk.place(desk.a, Side.BUY, 1, price)
        assert reply.refusal is None, reply.refusal
    stage.follow(desk.log)
    await asyncio.sleep(0)


HELLO = framed(Hello(VERSION))
WRONG = {
    "garbled": [b"\0\0\0\2\xc1\xc1"],
    "too long": [(MOST_REQUEST + 1).to_bytes(4, "big")],
    "nothing said of oneself": [framed(Ask(1, "X"))],
    "another version": [framed(Hello(VERSION + 1))],
    "twice": [HELLO, HELLO],
    "left and never followed": [HELLO, framed(Leave(0))],
    "an instrument that is none": [HELLO, framed(Leave(-1))],
    "the other side's words": [HELLO, framed(Told(b""))],
    "more than anybody needs": [
        *(HELLO, framed(*[Follow(n, "X" * 9) for n in range(3_000)])),
        *[framed(*[Ask(n, "X") for n in range(3_000)])] * 4,
    ],
}


@pytest.mark.parametrize("said", WRONG.values(), ids=WRONG)
def test_feed_server_ends_a_connection_that_makes_no_sense(path, said):
    """It is counted; who is connected beside it is told on."""

    async def scene() -> None:
        desk = venue()
        async with staged(path, commands_in(desk.log), unsent=1_024) as (stage, mirror):
            row, _ = await mirror.follow("X")
            async with connected(path, *said):
                await until(lambda: stage.counts.refused == 1)
                await until(lambda: len(stage.server.gateways) == 1)
            await go_on(desk, stage, 3)
            await stage.told(mirror)
            assert mirror.books.sequence(row, LEVEL) == stage.feed.data.sequence(0, LEVEL)
            assert 1 == mirror.connections

    run(scene)


def test_feed_server_survives_any_bytes(path):
    """Noise of every length, cut anywhere; nobody else notices."""

    async def scene() -> None:
        draw = random.Random(7)
        async with staged(path, commands_in(venue().log)) as (stage, mirror):
            whole = HELLO + framed(Ask(1, "X"), Follow(2, "X"), Leave(0))
            for number in range(60):
                cut = bytearray(whole[: draw.randint(1, len(whole))])
                for _ in range(number % 4):
                    cut[draw.randrange(len(cut))] = draw.randrange(256)
                async with connected(path, bytes(cut)):
                    await asyncio.sleep(0)
            await until(lambda: len(stage.server.gateways) == 1)
            assert "X" == (await mirror.follow("X")).instrument.symbol
            assert 1 == mirror.connections
            assert stage.counts.refused > 10

    run(scene)


def test_feed_server_never_waits_for_a_gateway_that_does_not_read(path):
    """What is written ahead of it is bounded, whatever the rate; when the ring has gone past it its
    connection ends. The others have each update.
    """

    async def scene() -> None:
        desk = venue()
        commands = commands_in(desk.log)
        async with staged(path, commands, records=256, unsent=10_000) as (stage, mirror):
            row, _ = await mirror.follow("X")
            async with connected(path, HELLO, framed(Follow(1, "X"))):
                await until(lambda: stage.server.metrics().followed == 2)
                unsent = 0
                while not stage.counts.dropped:
                    await go_on(desk, stage, 50)
                    await stage.told(mirror)
                    unsent = max(unsent, stage.server.metrics().unsent)
                assert 10_000 < unsent < 100_000
            assert mirror.books.sequence(row, LEVEL) == stage.feed.data.sequence(0, LEVEL)
            assert 1 == mirror.connections

    run(scene)


def test_feed_server_gives_a_gateway_that_reads_late_what_it_has_missed(path):
    """As long as the ring has it nothing is left out, and nothing is told twice."""

    async def scene() -> None:
        desk = venue()
        commands = commands_in(desk.log)
        async with staged(path, commands, records=16_384, unsent=1_024) as (stage, mirror):
            async with connected(path, HELLO, framed(Follow(1, "X"))) as (reader, _):
                await until(lambda: stage.server.metrics().followed == 1)
                for _ in range(50):
                    await go_on(desk, stage, 100)
                    await stage.told(mirror)
                assert stage.server.metrics().unsent > 1_024
                told: list[Record] = []
                while not told or told[-1].position < stage.feed.position:
                    length = int.from_bytes(await reader.readexactly(4), "big")
                    for said in said_in(memoryview(await reader.readexactly(length))):
                        if isinstance(said, Told):
                            told += unpacked(said.records)
            updates = [one.sequence for one in told if one.kind == LEVEL]
            last = stage.feed.data.sequence(0, LEVEL)
            assert list(range(last - 4_999, last + 1)) == updates

    run(scene)


def test_feed_server_has_room_for_so_many_gateways(path):
    """One more is sent away; when one leaves there is room again."""

    async def scene() -> None:
        async with staged(path, commands_in(venue().log)) as (stage, _):
            async with AsyncExitStack() as stack:
                for _ in range(7):
                    await stack.enter_async_context(connected(path, HELLO))
                await until(lambda: len(stage.server.gateways) == 8)
                async with connected(path, HELLO) as (reader, _):
                    assert b"" == await reader.read()
                assert 1 == stage.counts.refused
            await until(lambda: len(stage.server.gateways) == 1)
            async with connected(path, HELLO) as (reader, _):
                assert await reader.readexactly(4)

    run(scene)


def test_feed_server_tells_of_itself(path):
    """Where it stands, who is there and what it has given."""

    async def scene() -> None:
        desk = venue()
        async with staged(path, commands_in(desk.log)) as (_, mirror):
            await mirror.follow("X")
            await mirror.snapshot("X", 5)
            await until(lambda: mirror.metrics.snapshots == 2)
            told = mirror.metrics
            assert (len(desk.log), 1, 1) == (told.position, told.gateways, told.followed)
            assert (0, 0, 0) == (told.begun_anew, told.dropped, told.refused)
            assert told.age is not None and told.records > 0

    run(scene)
