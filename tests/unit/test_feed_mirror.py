"""The mirror of a feed: who asks is answered or told that nobody can, and nothing is left over."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from api.market_data.mirror import Mirror
from application.commands import ChangeInstrument
from domain.terms import Side
from infrastructure.clock import SteadyClock
from projections.market_data.feed import FeedAway, NotListed
from projections.market_data.records import LOG, Kind
from projections.market_data.subscribers import Lossy
from tests.model.desk_harness import DeskHarness
from tests.model.feed_flow import FeedStage, commands_in, staged

LEVEL, TRADE, MARK = int(Kind.LEVEL), int(Kind.TRADE), int(Kind.MARK)


@pytest.fixture
def path(server_home: Path) -> Iterator[Path]:
    """A short path for the socket."""
    path = server_home / "feed-unit.sock"
    yield path
    path.unlink(missing_ok=True)


def run(scene: Callable[[], Awaitable[None]]) -> None:
    """Play a scene that must not take long."""
    asyncio.run(asyncio.wait_for(scene(), 20))


def venue() -> DeskHarness:
    """Two instruments, in which nothing rests."""
    venue = DeskHarness(checked=False)
    venue.instrument("X")
    venue.instrument("Y")
    return venue


async def until(met: Callable[[], bool]) -> None:
    """Wait for what must come."""
    async with asyncio.timeout(10):
        while not met():
            await asyncio.sleep(0.001)


def followed_at(stage: FeedStage) -> int:
    """How many instruments the process tells of to gateways."""
    return stage.server.metrics().followed


def test_feed_mirror_follows_an_instrument_once_for_all_who_ask(path):
    """It is told of until the last one has left, and nobody else's leaving counts."""

    async def scene() -> None:
        async with staged(path, commands_in(venue().log)) as (stage, mirror):
            first, second = await asyncio.gather(mirror.follow("X"), mirror.follow("X"))
            other = await mirror.follow("Y")
            assert first == second and first.row != other.row
            assert 2 == followed_at(stage)

            mirror.leave(first.row)
            mirror.leave(other.row)
            await until(lambda: followed_at(stage) == 1)
            assert 0 == len(mirror.books.changes(first.row, None).records)
            mirror.leave(first.row)
            await until(lambda: followed_at(stage) == 0)
            with pytest.raises(KeyError):
                mirror.books.changes(first.row, None)
            assert first == await mirror.follow("X")
            assert 1 == followed_at(stage)

    run(scene)


def test_feed_mirror_whose_asker_is_gone_follows_for_nobody(path):
    """One who is cancelled half way counts nothing, whoever asks beside him."""

    async def scene() -> None:
        async with staged(path, commands_in(venue().log)) as (stage, mirror):
            for stays in (False, True):
                going = asyncio.ensure_future(mirror.follow("X"))
                staying = asyncio.ensure_future(mirror.follow("X")) if stays else None
                await asyncio.sleep(0)
                going.cancel()
                if staying is None:
                    await until(lambda: stage.counts.snapshots == 1)
                    await until(lambda: followed_at(stage) == 0)
                else:
                    row, _ = await staying
                    mirror.leave(row)
                    await until(lambda: followed_at(stage) == 0)
            with pytest.raises(KeyError):
                mirror.leave(0)

    run(scene)


def test_feed_mirror_that_is_left_while_another_asks_gives_him_the_book(path):
    """What one gives up at the moment in which another wants it is not taken from him."""

    async def scene() -> None:
        async with staged(path, commands_in(venue().log)) as (stage, mirror):
            row, _ = await mirror.follow("X")
            for _ in range(20):
                asked = asyncio.ensure_future(mirror.follow("X"))
                await asyncio.sleep(0)
                mirror.leave(row)
                assert row == (await asked).row
                mirror.books.changes(row, None)
            assert 1 == followed_at(stage)

    run(scene)


def test_feed_mirror_says_what_nobody_has_listed(path):
    """And follows nothing for it."""

    async def scene() -> None:
        async with staged(path, commands_in(venue().log)) as (stage, mirror):
            for ask in (mirror.follow, mirror.snapshot):
                with pytest.raises(NotListed, match="there is no instrument Z"):
                    await ask("Z")
            assert 0 == followed_at(stage)

    run(scene)


def test_feed_mirror_of_no_process_says_so_at_once(path):
    """Nobody waits for what may never come, and what is known of is of unknown age."""

    async def scene() -> None:
        mirror = Mirror(path, SteadyClock())
        mirror.start()
        await asyncio.sleep(0.05)
        assert mirror.away
        for ask in (mirror.follow, mirror.snapshot):
            with pytest.raises(FeedAway):
                await ask("X")
        assert mirror.freshness.age(LOG) is None
        assert mirror.mark(venue().desk.markets.named("X").instrument.id) is None
        await mirror.stop()

    run(scene)


def test_feed_mirror_whose_process_hangs_says_so_in_time(path):
    """What was followed grows old; it is told again by the process that answers next."""

    async def scene() -> None:
        log = commands_in(venue().log)
        async with staged(path, log, answer_seconds=0.1) as (stage, mirror):
            row, _ = await mirror.follow("X")
            await stage.end()
            loop = asyncio.get_running_loop()
            silent = await loop.create_unix_server(asyncio.Protocol, path)
            await until(lambda: mirror.connections == 2)
            assert mirror.away
            with pytest.raises(FeedAway, match="does not answer in time"):
                await mirror.snapshot("X")
            confirmed = mirror.freshness.at(LOG)
            await until(lambda: mirror.connections == 3)
            assert confirmed == mirror.freshness.at(LOG)
            silent.close()
            await stage.begin()
            await stage.told(mirror)
            mirror.books.changes(row, None)
            stage.confirm()
            await until(lambda: mirror.freshness.at(LOG) > confirmed)

    run(scene)


def test_feed_mirror_whose_process_ends_answers_nobody_with_silence(path):
    """Who waits for an answer hears at once that none will come."""

    async def scene() -> None:
        async with staged(path, commands_in(venue().log)) as (stage, mirror):
            asked = asyncio.ensure_future(mirror.snapshot("X"))
            await asyncio.sleep(0)
            for gateway in list(stage.server.gateways):
                gateway.abort()
            with pytest.raises(FeedAway, match="went away"):
                await asked

    run(scene)


def test_feed_mirror_knows_marks_and_values_of_what_it_does_not_follow(path):
    """Also of what is listed while it is connected; a mark from before it came as one after."""

    async def scene() -> None:
        desk = venue()
        desk.mark(101, "X")
        async with staged(path, commands_in(desk.log)) as (stage, mirror):
            desk.instrument("NEW")
            desk.mark(77, "NEW")
            desk.mark(55, "Y")
            stage.follow(desk.log)
            await stage.told(mirror)
            for symbol in ("X", "Y", "NEW"):
                instrument = desk.desk.markets.named(symbol).instrument
                mark = mirror.mark(instrument.id)
                assert mark is not None and mark.price == instrument.mark_price > 0
                assert mirror.valued_at(instrument.id) == stage.feed.valued_at(instrument.id)
            assert len(desk.log) == mirror.position

    run(scene)


def test_feed_mirror_keeps_the_instrument_whose_symbol_becomes_anothers(path):
    """Who follows an instrument follows it on after a renewal, whatever it is called by then."""

    async def scene() -> None:
        desk = venue()
        async with staged(path, commands_in(desk.log)) as (stage, mirror):
            row, listed = await mirror.follow("X")
            desk.ok(ChangeInstrument("X", new_symbol="XX"))
            desk.instrument("X")
            stage.follow(desk.log)
            await stage.end()
            await stage.begin()
            await stage.told(mirror)
            new, now = await mirror.follow("X")
            assert new != row and now.instrument_id != listed.instrument_id
            assert row == (await mirror.follow("XX")).row

    run(scene)


def test_feed_mirror_told_what_does_not_follow_begins_anew(path):
    """An update that was left out is noticed, and healed by a snapshot; what was told twice is
    told once.
    """

    async def scene() -> None:
        desk = venue()
        async with staged(path, commands_in(desk.log)) as (stage, mirror):
            row, _ = await mirror.follow("X")
            lossy = Lossy(mirror.fanout)
            lossy.subscribe(row, LEVEL)
            stage.feed.data.count_from(0, LEVEL, 500)
            desk.place(desk.account("a"), Side.BUY, 5, 99)
            stage.follow(desk.log)
            await until(lambda: mirror.connections == 2)
            await stage.told(mirror)
            (level,) = lossy.take()
            assert (row, 501, 0) == (level.instrument, level.sequence, level.second)
            assert mirror.books.changes(row, 3).whole
            assert 501 == mirror.books.sequence(row, LEVEL)

    run(scene)
