"""Whatever happens between a channel and its clients: what they were sent is the venue's book."""

from __future__ import annotations

import asyncio
import random

import pytest

from api.ws.market_data.hub import BOOK, TRADES
from api.ws.market_data.paces import STEPS_MS
from projections.market_data.records import Kind
from tests.market_channels import QUICK, MemorySocket, Scene, day, scene
from tests.model.naive_channel_client import ChannelBook, ChannelTape

SEEDS = range(4)
CLIENTS = 6


class Reader:
    """A client of one book that reads well or badly, changes its pace, and asks anew."""

    def __init__(self, socket: MemorySocket, index: int, symbol: str) -> None:
        self.socket = socket
        self.index = index
        self.book = ChannelBook(symbol)

    def take(self) -> None:
        """Take in all that came."""
        for message in self.socket.heard():
            if message["T"] == "o":
                self.book.take(message)

    def do_something(self, draw: random.Random) -> None:
        """Stop reading, read on, come back, or ask for another pace."""
        choice = draw.random()
        subscribe = {"action": "subscribe", "symbols": [self.book.symbol]}
        if choice < 0.3:
            self.socket.room.clear()
        elif choice < 0.7:
            self.socket.room.set()
        elif choice < 0.8:
            self.socket.say(subscribe)
        elif choice < 0.9:
            self.socket.say({"action": "unsubscribe", "symbols": [self.book.symbol]})
            self.socket.say(subscribe)
        else:
            self.socket.say(
                {"action": "subscribe", "symbols": [], "throttle_ms": draw.choice(STEPS_MS[:3])}
            )

    async def is_up_to_date(self, played: Scene) -> None:
        """Read everything, and have the venue's book."""
        self.socket.room.set()
        wanted = played.data.sequence(self.index, Kind.LEVEL)
        while self.book.sequence != wanted:
            message = await self.socket.hear("o")
            self.book.take(message)
        assert self.book.is_that_of(played.market(self.index))


@pytest.mark.parametrize("seed", SEEDS)
def test_market_data_channel_gives_every_client_the_book_whatever_happens(seed: int) -> None:
    """Through conflation, sockets that are not read, other paces, and feeds that begin anew; each
    message is checked by its checksum and by what it follows.
    """
    draw = random.Random(seed)
    day(seed)

    async def main() -> list[ChannelBook]:
        async with scene(seed, QUICK) as played:
            symbols = [played.symbol(0), played.symbol(1)]
            symbols[1] = played.symbol(1)
            readers = []
            for number in range(CLIENTS):
                socket = await played.trader(BOOK, symbols[number % 2], throttle_ms=10)
                readers.append(Reader(socket, number % 2, symbols[number % 2]))
            while played.step(draw.randint(1, 12)):
                await asyncio.sleep(draw.choice((0, 0, 0.003, 0.012)))
                draw.choice(readers).do_something(draw)
                if draw.random() < 0.1:
                    played.begin_anew()
                for reader in readers:
                    reader.take()
                if draw.random() < 0.05:
                    for reader in readers:
                        await reader.is_up_to_date(played)
            for reader in readers:
                await reader.is_up_to_date(played)
            return [reader.book for reader in readers]

    books = asyncio.run(main())

    assert all(book.updates for book in books)
    assert sum(book.snapshots for book in books) > 2 * CLIENTS
    assert sum(book.skipped for book in books) > 0


@pytest.mark.parametrize("seed", SEEDS)
def test_market_data_channel_tells_each_trade_once_or_counts_it(seed: int) -> None:
    """With a ring that is overwritten before the slow ones come: what was told and what was
    dropped is together all there was.
    """
    draw = random.Random(seed)
    day(seed)

    async def main() -> None:
        async with scene(seed, QUICK, records=16) as played:
            symbol = played.symbol()
            played.step_until(lambda: played.fanout.count(0, Kind.TRADE) > 0)
            sockets = [await played.trader(TRADES, symbol) for _ in range(3)]
            tapes = [ChannelTape(symbol) for _ in sockets]
            for socket, tape in zip(sockets, tapes, strict=True):
                tape.take(await socket.hear("t", "x", "c"))
            while played.step(draw.randint(1, 8)):
                await asyncio.sleep(draw.choice((0, 0, 0.012)))
                room = draw.choice(sockets).room
                room.clear() if draw.random() < 0.7 else room.set()
            last = played.data.sequence(0, Kind.TRADE)
            for socket, tape in zip(sockets, tapes, strict=True):
                socket.room.set()
                while tape.sequence != last:
                    tape.take(await socket.hear("t", "x", "c"))
                assert last - tape.begun == tape.told + tape.dropped
            assert any(tape.dropped for tape in tapes)

    asyncio.run(main())
