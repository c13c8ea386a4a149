"""Whatever a venue does, and however often the feed is gone: a mirror's market is the feed's."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from api.market_data.mirror import Mirror
from projections.market_data.records import Kind
from projections.market_data.subscribers import Conflating
from tests.model.feed_flow import FeedStage, staged
from tests.model.naive_depth import BookClient
from tests.property.test_market_data_books import commands_of, market_of

KINDS = [int(kind) for kind in Kind if kind not in (Kind.LEVEL, Kind.REFERENCE)]
SYMBOLS = ("ALFA", "BETA")


@pytest.fixture
def path(server_home: Path) -> Iterator[Path]:
    """A short path for the socket."""
    path = server_home / "feed-mirror.sock"
    yield path
    path.unlink(missing_ok=True)


class Watcher:
    """Follows an instrument in a mirror, as a client of the book channel does."""

    def __init__(self, mirror: Mirror, row: int, index: int) -> None:
        self.row = row
        self.index = index
        self.book = BookClient(row)
        self._mirror = mirror
        self._conflating = Conflating(mirror.fanout, mirror.books, rate=1_000_000)
        self._conflating.subscribe(row, Kind.LEVEL)
        self._now = 0

    def look(self) -> None:
        """Take what is new of the book."""
        self._now += 10
        for update in self._conflating.take(self._now):
            if update.whole:
                assert self.book.sequence is None or update.sequence >= self.book.sequence
                self.book.begin(update.sequence, update.records)
            else:
                self.book.update(update.previous, update.sequence, update.records)

    def compare(self, stage: FeedStage) -> None:
        """The book, and the newest of each kind, are those of the feed."""
        self.look()
        data, feed = stage.feed.data, stage.feed
        assert self.book.is_that_of(market_of(data, self.index))
        levels = data.levels(self.index)
        assert self._mirror.books.sequence(self.row, Kind.LEVEL) == levels.sequence
        for kind in KINDS:
            there = feed.fanout.latest(self.index, kind)
            here = self._mirror.fanout.latest(self.row, kind)
            if there is not None:
                assert here is not None and here[7:13] == there[7:13]

    def leave(self) -> None:
        """Follow no more."""
        self._conflating.close()
        self._mirror.leave(self.row)


@pytest.mark.parametrize("seed", range(2))
def test_feed_mirror_has_the_book_after_every_command_whatever_is_lost(seed, path):
    """Connections that end, processes that begin anew and instruments that are left and followed
    again: what is followed is the venue's book, with the newest trade, quote, phase and mark.
    """

    async def scene() -> None:
        draw = random.Random(seed)
        watchers: list[Watcher] = []
        compared = renewed = 0
        async with staged(path, records=1_024) as (stage, mirror):
            for command in commands_of(seed):
                stage.apply(command)
                chance = draw.random()
                if chance < 0.01:
                    for gateway in list(stage.server.gateways):
                        gateway.abort()
                    renewed += 1
                elif chance < 0.02:
                    await stage.end()
                    await stage.begin(from_snapshot=True)
                    renewed += 1
                elif chance < 0.05 and watchers:
                    watchers.pop(draw.randrange(len(watchers))).leave()
                if draw.random() < 0.1:
                    await stage.told(mirror)
                    assert mirror.freshness.age(0) < 10_000_000
                    if len(stage.feed.data) == 2 and len(watchers) < 4:
                        symbol = draw.choice(SYMBOLS)
                        row, listed = await mirror.follow(symbol)
                        assert listed.symbol == symbol
                        watchers.append(Watcher(mirror, row, stage.feed.find(symbol)))
                    for watcher in watchers:
                        watcher.compare(stage)
                        compared += 1
                    for index in range(len(stage.feed.data)):
                        instrument_id = stage.feed.data.instrument(index).id
                        assert mirror.valued_at(instrument_id) == stage.feed.valued_at(
                            instrument_id
                        )
                        there, here = stage.feed.mark(instrument_id), mirror.mark(instrument_id)
                        assert (there and there.price) == (here and here.price)
        assert compared > 50
        assert renewed > 2

    assert commands_of(seed)
    asyncio.run(asyncio.wait_for(scene(), 60))
