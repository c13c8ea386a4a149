"""What the channels of market data tell their clients."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from itertools import pairwise

import pytest
from msgspec.structs import replace

from api.ws.market_data.hub import BOOK, CHANNELS, QUOTES, TRADES, Channel
from api.ws.market_data.paces import STEPS_MS, step_at_least
from domain.events import InstrumentTermsChanged
from projections.market_data.records import Kind, trade_of
from tests.market_channels import QUICK, Scene, play_scene, until
from tests.model.naive_channel_client import ChannelBook

# -- what is told --------------------------------------------------------------------------


@pytest.mark.parametrize("channel", CHANNELS, ids=lambda one: one.name)
def test_market_data_channel_replies_then_tells_what_stands(channel: Channel) -> None:
    """The phase and a snapshot of the channel's kind, both marked as such; again whoever asks."""

    async def play(played: Scene) -> None:
        symbol = played.symbol()
        played.step_until(lambda: played.fanout.count(0, Kind.TRADE) > 0)
        socket = await played.trader(channel)
        said = {"action": "subscribe", "symbols": [symbol], "throttle_ms": 33}
        reply = await socket.ask(said)
        assert {
            "T": "subscription",
            "channel": channel.name,
            "symbols": [symbol],
            "throttle_ms": 50,
            "heartbeat_ms": QUICK.heartbeat_ms,
        } == reply
        for _ in range(2):
            phase, stands = await socket.hear(), await socket.hear()
            assert ("s", symbol, True) == (phase["T"], phase["S"], phase["r"])
            assert phase["phase"] in ("closed", "open", "halted", "closing")
            assert stands["T"] in {"book": "o", "trades": "txc", "quotes": "q"}[channel.name]
            assert (symbol, True, None) == (stands["S"], stands["r"], stands["previous"])
            socket.say(said)
            assert reply == await socket.hear()

    play_scene(play)


def test_market_data_channel_of_quotes_says_what_is_not_there() -> None:
    """An instrument without an order has no best price, and none of 0."""

    async def play(played: Scene) -> None:
        symbol = played.symbol()
        assert played.fanout.latest(0, Kind.QUOTE) is None
        socket = await played.trader(QUOTES, symbol)
        first = await socket.hear("q")
        assert [None] * 4 == [first[name] for name in ("bp", "bs", "ap", "as")]
        assert (True, 0) == (first["r"], first["sequence"])
        played.step_until(lambda: played.fanout.count(0, Kind.QUOTE) > 0)
        then = await socket.hear("q")
        assert then["r"] and then["sequence"] == played.data.sequence(0, Kind.QUOTE)
        assert (then["bp"] is None) == (then["bs"] is None)

    play_scene(play)


def test_market_data_channel_tells_no_more_of_what_was_unsubscribed() -> None:
    """From its reply on; the others are told on."""

    async def play(played: Scene) -> None:
        first, second = played.symbol(), played.symbol(1)
        socket = await played.trader(QUOTES, first, second)
        reply = await socket.ask({"action": "unsubscribe", "symbols": [first]}, "subscription")
        assert [second] == reply["symbols"]
        socket.heard()
        before = [played.fanout.count(one, Kind.QUOTE) for one in (0, 1)]
        played.step_until(
            lambda: all(played.fanout.count(one, Kind.QUOTE) > before[one] for one in (0, 1))
        )
        assert second == (await socket.hear("q"))["S"]
        assert {second} >= {one["S"] for one in socket.heard()}

    play_scene(play)


def test_market_data_channel_keeps_the_throttle_and_counts_what_was_skipped() -> None:
    """However much happens, no more messages than its pace; they stand for all the others."""

    async def play(played: Scene) -> None:
        symbol = played.symbol()
        socket = await played.trader(BOOK, symbol, throttle_ms=50)
        book = ChannelBook(symbol)
        book.take(await socket.hear("o"))
        begun, loop = book.sequence, asyncio.get_running_loop()
        started = loop.time()
        while played.step():
            await asyncio.sleep(0)
        await asyncio.sleep(0.12)
        took = loop.time() - started
        for message in socket.heard():
            if message["T"] == "o":
                book.take(message)
        assert book.is_that_of(played.market())
        assert book.updates <= took / 0.05 + 2
        assert book.skipped == book.sequence - begun - book.updates > 10

    play_scene(play)


def test_market_data_channel_makes_a_message_once_for_all_who_read_in_time() -> None:
    """Fifty clients of one pace are sent the same bytes, and those are made once."""

    async def play(played: Scene) -> None:
        symbol = played.symbol()
        sockets = [await played.trader(QUOTES, symbol) for _ in range(50)]
        for socket in sockets:
            await socket.hear("q")
        made, heard = played.hub.counts.made, 0
        for _ in range(5):
            count = played.fanout.count(0, Kind.QUOTE)
            played.step_until(lambda count=count: played.fanout.count(0, Kind.QUOTE) > count)
            told = [await socket.hear("q", "s") for socket in sockets]
            while told[0]["T"] == "s":
                heard += 1
                told = [await socket.hear("q", "s") for socket in sockets]
            heard += 1
            assert all(one == told[0] for one in told)
        assert heard == played.hub.counts.made - made

    play_scene(play)


@pytest.mark.parametrize(("seed", "kinds"), [(1, "tx"), (2, "tc")])
def test_market_data_channel_of_trades_tells_every_one_with_busts_and_corrections(
    seed: int, kinds: str
) -> None:
    """In order, each once, whatever the throttle: none of them stands for another."""

    async def play(played: Scene) -> None:
        symbol = played.symbol()
        socket = await played.trader(TRADES, symbol, throttle_ms=20)
        printed = []
        while played.commands:
            count = played.fanout.count(0, Kind.TRADE)
            played.step(20)
            printed += played.fanout.since(0, Kind.TRADE, count, 999)
            await asyncio.sleep(0.005)
        told = [await socket.hear("t", "x", "c") for _ in printed]
        assert [] == [one for one in socket.heard() if one["T"] in "txc"]
        trades = [trade_of(record) for record in printed]
        assert [{0: "t", 1: "x", 2: "c"}[one.printed] for one in trades] == [o["T"] for o in told]
        assert {*kinds} == {one["T"] for one in told}
        assert [str(one.trade_id) for one in trades] == [
            one.get("i", one.get("ci")) for one in told
        ]
        prices = [Decimal(one.get("p", one.get("cp"))) for one in told]
        scale = played.data.instrument(0).price_decimals
        assert [one.price for one in trades] == [int(price.scaleb(scale)) for price in prices]
        assert [one.sequence for one in printed] == [one["sequence"] for one in told]
        assert all(one["sequence"] == then["previous"] for one, then in pairwise(told))
        assert {0} == {one["dropped"] for one in told}
        assert {"B", "S", None} == {one["tks"] for one in told if one["T"] == "t"}

    play_scene(play, seed)


def test_market_data_channel_of_trades_counts_what_the_ring_had_no_more() -> None:
    """Who is told too late is told how many are missing, and goes on with the others."""

    async def play(played: Scene) -> None:
        symbol = played.symbol()
        played.step_until(lambda: played.fanout.count(0, Kind.TRADE) > 0)
        socket = await played.trader(TRADES, symbol)
        first = await socket.hear("t")
        begun = played.fanout.count(0, Kind.TRADE)
        played.step(len(played.commands))
        kept = [await socket.hear("t", "x", "c")]
        kept += [one for one in socket.heard() if one["T"] in "txc"]
        between = played.fanout.count(0, Kind.TRADE) - begun
        assert kept[0]["dropped"] == between - len(kept) > 0
        assert kept[0]["previous"] == first["sequence"]
        assert kept[0]["sequence"] == first["sequence"] + kept[0]["dropped"] + 1

    play_scene(play, 1, records=64)


def test_market_data_channel_conflates_for_who_does_not_read_and_then_sends_it_away() -> None:
    """Others are told meanwhile as if it was not there; it is told why it was closed."""
    manners = QUICK._replace(slow_ms=400)

    async def play(played: Scene) -> None:
        symbol = played.symbol()
        slow, quick = [await played.trader(BOOK, symbol) for _ in range(2)]
        late, book = ChannelBook(symbol), ChannelBook(symbol)
        late.take(await slow.hear("o"))
        book.take(await quick.hear("o"))
        slow.room.clear()
        while book.updates < 5:
            played.step_until_moved()
            book.take(await quick.hear("o"))
        slow.room.set()
        while late.sequence != book.sequence:
            late.take(await slow.hear("o"))
        assert late.is_that_of(played.market()) and book.is_that_of(played.market())
        assert late.updates <= 2 < book.updates
        assert late.skipped > 0

        slow.room.clear()
        played.step_until_moved()
        await until(lambda: played.hub.counts.slow == 1)
        played.step_until_moved()
        book.take(await quick.hear("o"))
        slow.room.set()
        assert (1013, "slow client") == await slow.closed
        assert (407, "error") == ((last := slow.heard()[-1])["code"], last["T"])
        assert not quick.closed.done()

    play_scene(play, manners=manners)


def test_market_data_channel_says_that_the_feed_is_stale_and_begins_anew_when_it_is_back() -> None:
    """What is told meanwhile states its age and source; then comes a snapshot again."""
    manners = QUICK._replace(stale_ms=100)

    async def play(played: Scene) -> None:
        symbol, played.confirming = played.symbol(), False
        socket = await played.trader(BOOK, symbol)
        book = ChannelBook(symbol)
        book.take(await socket.hear("o"))
        said = await socket.hear("status")
        assert ("stale", "log") == (said["msg"], said["source"])
        assert said["age_ms"] > 100
        played.step_until_moved()
        update = await socket.hear("o")
        book.take(update)
        assert update["source"] == "log" and update["age_ms"] > 100

        newcomer = await played.trader(QUOTES, symbol)
        assert "stale" == (await newcomer.hear("status"))["msg"]
        played.begin_anew()
        played.confirming = True
        assert "live" == (await socket.hear("status"))["msg"]
        again = await socket.hear("o")
        book.take(again)
        assert again["r"] and "age_ms" not in again
        assert book.snapshots == 2 and book.is_that_of(played.market())
        assert "live" == (await newcomer.hear("status"))["msg"]
        assert (await newcomer.hear("q"))["r"]

    play_scene(play, manners=manners)


def test_market_data_channel_has_a_heartbeat() -> None:
    """As often as it is asked for, with age, counts and the sequence that was told last."""

    async def play(played: Scene) -> None:
        symbol = played.symbol()
        socket = await played.trader(BOOK, symbol, heartbeat_ms=1_000)
        book = ChannelBook(symbol)
        book.take(await socket.hear("o"))
        loop = asyncio.get_running_loop()
        begun = loop.time()
        beat = await socket.hear("heartbeat")
        assert 0.7 < loop.time() - begun < 5
        assert {symbol: book.sequence} == beat["sequences"]
        assert (False, "log", 0, 0) == tuple(
            beat[name] for name in ("stale", "source", "skipped", "dropped")
        )
        assert 0 <= beat["age_ms"] < 3_000

    play_scene(play)


def test_market_data_channel_keeps_the_name_that_was_asked_for() -> None:
    """A symbol that is given up goes on as it was subscribed to, and still leads there; a client
    has an instrument once, under the name by which it asked last.
    """

    async def play(played: Scene) -> None:
        old = played.symbol(1)
        played.commands = [
            [
                one._replace(event=replace(one.event, symbol="GAMMA"))
                if isinstance(one.event, InstrumentTermsChanged)
                and one.event.originator_id == played.data.instrument(1).id
                else one
                for one in command
            ]
            for command in played.commands
        ]
        former = await played.trader(QUOTES, old)
        played.step_until(lambda: played.data.instrument(1).symbol == "GAMMA")
        today = await played.trader(QUOTES, "GAMMA")
        played.step_until_moved(1)
        assert old == (await former.hear("q"))["S"]
        assert "GAMMA" == (await today.hear("q"))["S"]
        again = await today.ask({"action": "subscribe", "symbols": [old]}, "subscription")
        assert [old] == again["symbols"]
        assert old == (await today.hear("q"))["S"]
        both = await former.ask({"action": "subscribe", "symbols": ["GAMMA"]}, "subscription")
        assert ["GAMMA"] == both["symbols"]

    play_scene(play)


def test_market_data_channel_paces_are_the_next_slower_of_a_few() -> None:
    """So that clients share them; the bounds are steps themselves."""
    assert [10, 20, 20, 50, 10_000] == [step_at_least(ms) for ms in (10, 11, 20, 21, 5_001)]
    assert (10, 10_000) == (STEPS_MS[0], STEPS_MS[-1])


def test_market_data_channel_leaves_the_feed_as_it_was_when_clients_go() -> None:
    """No slot of a pace has interests, no tape is kept, and what was followed was left."""

    async def play(played: Scene) -> None:
        first, second = played.symbol(), played.symbol(1)
        sockets = [
            await played.trader(channel, first, second, throttle_ms=pace)
            for channel in CHANNELS
            for pace in (10, 100)
        ]
        for socket in sockets[::2]:
            await socket.ask({"action": "subscribe", "symbols": [], "throttle_ms": 500})
        await sockets[0].ask({"action": "unsubscribe", "symbols": [first]}, "subscription")
        for task in played.tasks:
            task.cancel()
        await asyncio.gather(*played.tasks, return_exceptions=True)
        played.tasks.clear()
        await asyncio.sleep(0.02)
        assert {} == played.hub._tapes
        played.step(len(played.commands))
        assert [] == played.fanout.take_ready(99)

    play_scene(play)
