"""Channels of a gateway whose connection to the feed is lost, and whose feed begins anew."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from api.ws.market_data.client import ChannelClient
from api.ws.market_data.hub import BOOK, TRADES, Hub
from api.ws.market_data.requests import Credentials
from infrastructure.clock import SteadyClock, SystemClock
from projections.market_data.records import Kind, trade_of
from tests.market_channels import QUICK, FewKeys, MemorySocket, day
from tests.model.feed_flow import staged
from tests.model.naive_channel_client import ChannelBook

SYMBOL = "ALFA"
TRADE = int(Kind.TRADE)


@pytest.fixture
def path(server_home: Path) -> Iterator[Path]:
    """A short path for the socket."""
    path = server_home / "feed-channels.sock"
    yield path
    path.unlink(missing_ok=True)


@pytest.mark.parametrize("seed", range(2))
def test_market_data_channel_behind_a_mirror_has_the_book_whatever_is_lost(
    seed: int, path: Path
) -> None:
    """Each message follows the last or begins anew, sequences never fall, no trade is told twice,
    and the book is the venue's whenever everybody has come so far.
    """
    commands, draw = day(seed), random.Random(seed)

    async def main() -> None:
        async with asyncio.timeout(60), staged(path, commands[:20]) as (stage, mirror):
            hub = Hub(mirror, SteadyClock(), SystemClock(), QUICK)
            hub.start()
            sockets = [MemorySocket(), MemorySocket()]
            tasks = [
                asyncio.create_task(
                    ChannelClient(socket, FewKeys(), hub, channel).run(Credentials("trader", "s"))
                )
                for socket, channel in zip(sockets, (BOOK, TRADES), strict=True)
            ]
            for socket in sockets:
                said = {"action": "subscribe", "symbols": [SYMBOL]}
                assert [SYMBOL] == (await socket.ask(said, "subscription"))["symbols"]
            book, told, lost, compared = ChannelBook(SYMBOL), [], 0, 0
            printed = set()
            for command in commands[20:]:
                stage.apply(command)
                index = stage.feed.find(SYMBOL)
                found = stage.feed.fanout.since(index, TRADE, 0, 99_999)
                printed |= {str(trade_of(record).trade_id) for record in found}
                chance = draw.random()
                if chance < 0.02:
                    for gateway in list(stage.server.gateways):
                        gateway.abort()
                    lost += 1
                elif chance < 0.04:
                    await stage.end()
                    await stage.begin(from_snapshot=True)
                    lost += 1
                if draw.random() < 0.1:
                    await stage.told(mirror)
                    market = stage.feed.data.floor.markets.listed_as(SYMBOL)
                    assert market is not None
                    # A feed that begins anew with the same book has nothing to tell.
                    while not book.is_that_of(market):
                        message = await sockets[0].hear("o")
                        assert book.sequence is None or message["sequence"] >= book.sequence
                        book.take(message)
                    compared += 1
                await asyncio.sleep(draw.choice((0, 0.005)))
                told += [one for one in sockets[1].heard() if one["T"] in "txc"]
            await stage.told(mirror)
            newest = stage.feed.fanout.latest(stage.feed.find(SYMBOL), TRADE)
            assert newest is not None
            last = str(trade_of(newest).trade_id)
            while last != told[-1].get("i", told[-1].get("ci")):
                told.append(await sockets[1].hear("t", "x", "c"))
            assert compared > 10 and lost > 3 and book.snapshots > 1
            sequences = [one["sequence"] for one in told]
            assert sequences == sorted(set(sequences))
            assert all(
                one["previous"] in (None, before)
                for before, one in zip(sequences, told[1:], strict=False)
            )
            assert len(told) > 5
            assert {one.get("i", one.get("ci")) for one in told} <= printed
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await hub.stop()

    asyncio.run(main())
