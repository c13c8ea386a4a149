"""MarketDataRequest over FIX: snapshots, what changes, trades, and what is refused."""

from __future__ import annotations

import asyncio
import random
from itertools import pairwise

import pytest

from api.fix.application.market_data import subscription
from api.fix.application.terms import MarketDataTerms
from api.fix.ports import Body
from application.commands import BustTrade, CorrectTrade, ListInstrument
from application.orders import CancelAll
from domain.events import OrderFilled
from domain.terms import Side
from projections.market_data.feed import LocalFeed
from projections.market_data.levels import KEPT_GONE
from tests.model.desk_harness import shares, wire
from tests.model.fix_market_venue import (
    SUBSCRIBERS,
    asking,
    caught_up,
    entries_of,
    heard,
    kinds,
    place,
    play,
    until,
    venues_book,
)
from tests.model.fix_venue import SESSION_ID, FixVenue, RecordingLink, said


def test_fix_market_data_snapshot_is_the_book_with_the_last_trade() -> None:
    """Best first, counted from 1, with how many orders rest there; the trade by its id; once."""

    async def scene(venue: FixVenue, feed: LocalFeed, link: RecordingLink) -> None:
        await place(venue, Side.SELL, "101")
        await place(venue, Side.BUY, "101", 4, owner="a")
        for price in ("99.5", "99", "99.5"):
            await place(venue, Side.BUY, price)
        await caught_up(venue, feed)
        venue.send(link, "V", *asking("once", kind="0", update="", entries="012"))
        await venue.told(link)
        await place(venue, Side.BUY, "98")
        await caught_up(venue, feed)

    link = play(scene)
    (body,) = link.answers
    trade = entries_of(body)[-1]

    assert ("W", "once", "X", "4") == (kinds(link), *(said(body)[tag] for tag in (262, 55, 268)))
    shown = {"0": [("99.5", "20", "2"), ("99", "10", "1")], "1": [("101", "6", "1")]}
    assert shown == heard(link).shown()
    assert ("2", "101", "4", "20261121") == tuple(trade[tag] for tag in (269, 270, 271, 272))


@pytest.mark.parametrize("depth", [0, 1, 3])
def test_fix_market_data_snapshot_and_updates_are_the_book_of_the_venue(depth: int) -> None:
    """To the depth that was asked for: what comes into it is new, what falls out of it is gone.
    Each update is one that a client can apply, and every message is one of FIX 4.4.
    """

    async def scene(venue: FixVenue, feed: LocalFeed, link: RecordingLink) -> None:
        draw = random.Random(depth)
        venue.send(link, "V", *asking("book", depth=str(depth)))
        for _ in range(40):
            for _ in range(draw.randrange(1, 6)):
                side = draw.choice((Side.BUY, Side.SELL))
                price = 100 + draw.randrange(-6, 7) + (2 if side == Side.SELL else -2)
                await place(venue, side, str(price), draw.randrange(1, 9), owner=draw.choice("ab"))
            if draw.random() < 0.2:
                await venue.ask(CancelAll(draw.choice((venue.a, venue.b)), "X"))
            await caught_up(venue, feed)
            expected = venues_book(feed, depth=depth or 2**30)
            await until(lambda: heard(link).shown() == expected)  # noqa: B023

    book = heard(play(scene))

    assert (1, True) == (book.begun, book.refreshed > 20)


def test_fix_market_data_of_several_symbols_is_one_request() -> None:
    """A snapshot of each, however often it is named, and one update for what changed of all."""

    async def scene(venue: FixVenue, feed: LocalFeed, link: RecordingLink) -> None:
        for symbol in ("Y", "Z"):
            terms = ListInstrument(symbol, symbol, "us_equity", "24/7", 4, wire("0.01"), shares(1))
            await venue.ask(terms)
        await caught_up(venue, feed)
        venue.send(link, "V", *asking("all", "X", "Y", "Z", "X", entries="012"))
        await until(lambda: kinds(link) == "WWW")
        link.reads.clear()
        await place(venue, Side.SELL, "100")
        await place(venue, Side.BUY, "100", 4, owner="a")
        await place(venue, Side.BUY, "99", symbol="Y")
        await caught_up(venue, feed)
        link.reads.set()
        await until(lambda: kinds(link) == "WWWX")

    link = play(scene)

    assert ["X", "Y", "Z"] == [said(body)[55] for body in link.answers[:3]]
    told = [(one[55], one[279], one[269]) for one in entries_of(link.answers[3])]
    assert [("X", "0", "1"), ("X", "0", "2"), ("Y", "0", "0")] == told


def test_fix_market_data_trades_are_told_each_once_and_again_when_they_are_undone() -> None:
    """A bust deletes the trade of its id, a correction changes its price."""

    async def scene(venue: FixVenue, feed: LocalFeed, link: RecordingLink) -> None:
        venue.send(link, "V", *asking("tape", entries="2"))
        await venue.told(link)
        for price in ("100", "101", "102"):
            await place(venue, Side.SELL, price)
            await place(venue, Side.BUY, price, owner="a")
        await until(lambda: len(heard(link).trades) == 3)
        fills = [one for one in venue.recorded() if isinstance(one.event, OrderFilled)]
        (at, busted), (then, corrected) = fills[0], fills[2]
        first, second = busted.trade_id, corrected.trade_id
        await venue.ask(BustTrade(first, at, "erroneous"))
        await venue.ask(CorrectTrade(second, then, wire("101.5"), "mispriced"))
        await until(lambda: sorted(heard(link).trades.values()) == ["101.5", "102"])
        assert str(first) not in heard(link).trades
        assert "101.5" == heard(link).trades[str(second)]

    link = play(scene)
    entries = [entry for body in link.answers for entry in entries_of(body)]

    assert ["0", "0", "0", "2", "1"] == [entry[279] for entry in entries]
    assert {} == {k: v for k, v in heard(link).sides.items() if v}


def test_fix_market_data_full_refresh_tells_the_whole_book_each_time() -> None:
    """A client that asked for that is sent W alone."""

    async def scene(venue: FixVenue, feed: LocalFeed, link: RecordingLink) -> None:
        venue.send(link, "V", *asking("whole", update="0", depth="2"))
        for price in ("99", "98", "97"):
            await place(venue, Side.BUY, price)
            await caught_up(venue, feed)
            expected = venues_book(feed, depth=2)
            await until(lambda: heard(link).shown() == expected)  # noqa: B023

    link = play(scene)

    # The last order rests below the depth that was asked for: nobody needs to be told.
    assert "WWW" == kinds(link)


def test_fix_market_data_of_a_client_that_does_not_read_is_conflated() -> None:
    """However much happens meanwhile: what it is told then is the book as it is, in one update,
    and nothing waited for it before.
    """

    async def scene(venue: FixVenue, feed: LocalFeed, link: RecordingLink) -> None:
        venue.send(link, "V", *asking("q"))
        await until(lambda: kinds(link) == "W")
        link.reads.clear()
        for number in range(200):
            await place(venue, Side.BUY, str(90 + number % 7), 1)
        await caught_up(venue, feed)
        await asyncio.sleep(0.05)
        assert "W" == kinds(link)
        link.reads.set()
        expected = venues_book(feed)
        await until(lambda: heard(link).shown() == expected)

    assert "WX" == kinds(play(scene))


def test_fix_market_data_of_a_client_that_does_not_read_holds_nobody() -> None:
    """Another session is told meanwhile; and when the client is gone, so is all that it asked."""
    other = RecordingLink(SESSION_ID._replace(target="OTHER"))

    async def scene(venue: FixVenue, feed: LocalFeed, link: RecordingLink) -> None:
        venue.terms[other.session_id] = venue.terms[SESSION_ID]
        await venue.log_on(other)
        link.reads.clear()
        venue.send(link, "V", *asking("once", kind="0"))
        venue.send(link, "V", *asking("on"))
        venue.send(other, "V", *asking("on"))
        await place(venue, Side.BUY, "99")
        await caught_up(venue, feed)
        expected = venues_book(feed)
        await until(lambda: heard(other).shown() == expected)
        assert 0 < venue.application.undecided(link)
        await venue.application.logged_off(link)
        await until(lambda: not venue.application.undecided(link))

    assert "" == kinds(play(scene))


def test_fix_market_data_is_told_at_its_sessions_pace() -> None:
    """So many times a second at most, of all its requests together."""
    sent: list[tuple[float, Body]] = []

    async def scene(venue: FixVenue, feed: LocalFeed, link: RecordingLink) -> None:
        loop = asyncio.get_running_loop()
        link.answer = lambda body: sent.append((loop.time(), body))  # type: ignore[method-assign]
        venue.send(link, "V", *asking("one"))
        venue.send(link, "V", *asking("two", depth="1"))
        until_then = loop.time() + 0.5
        while loop.time() < until_then:
            await place(venue, Side.BUY, "99", 1)
            await asyncio.sleep(0.002)

    play(scene, MarketDataTerms(rate=20))
    times = [at for at, body in sent if said(body)[262] == "one"]

    assert 4 < len(times)
    # A turn of a busy machine may come late, and the next is counted from when it was due.
    assert 0.04 < sorted(b - a for a, b in pairwise(times))[1]


def test_fix_market_data_begins_anew_where_the_changes_are_not_known_any_more() -> None:
    """A client behind so much that has come and gone gets a snapshot, and goes on from that."""

    async def scene(venue: FixVenue, feed: LocalFeed, link: RecordingLink) -> None:
        venue.send(link, "V", *asking("q", entries="012"))
        await until(lambda: kinds(link) == "W")
        link.reads.clear()
        levels = feed.data.levels(0)
        for ticks in range(2 * KEPT_GONE + 10):
            price = 500_000 + 100 * ticks
            for qty in (100_000_000, -100_000_000):
                levels.add(int(Side.BUY), price, qty, 1 if qty > 0 else -1)
                levels.commit()
        await place(venue, Side.BUY, "99")
        await caught_up(venue, feed)
        link.reads.set()
        expected = venues_book(feed)
        await until(lambda: heard(link).shown() == expected)

    assert "WW" == kinds(play(scene))


def test_fix_market_data_begins_anew_where_trades_are_missing() -> None:
    """What the ring has no more cannot be told: a snapshot says that it is not all."""

    async def scene(venue: FixVenue, feed: LocalFeed, link: RecordingLink) -> None:
        venue.send(link, "V", *asking("q", entries="2"))
        await place(venue, Side.SELL, "100", 100)
        await place(venue, Side.BUY, "100", 1, owner="a")
        await until(lambda: len(heard(link).trades) == 1)
        link.reads.clear()
        for _ in range(40):
            await place(venue, Side.BUY, "100", 1, owner="a")
        await caught_up(venue, feed)
        link.reads.set()
        last = next(one for one in reversed(venue.log.events()) if isinstance(one, OrderFilled))
        await until(lambda: str(last.trade_id) in heard(link).trades)

    link = play(scene, records=32)

    assert 2 == heard(link).begun
    assert 41 > len(heard(link).trades)


def test_fix_market_data_ends_with_the_connection() -> None:
    """However often a client comes back, its place in the feed is another's afterwards."""

    async def scene(venue: FixVenue, feed: LocalFeed, link: RecordingLink) -> None:
        for number in range(3 * SUBSCRIBERS):
            link.answers.clear()
            venue.send(link, "V", *asking(f"q{number}", entries="012"))
            await until(lambda: kinds(link) == "W")
            await venue.application.logged_off(link)
            await venue.log_on(link)
        await place(venue, Side.BUY, "99")
        await caught_up(venue, feed)
        await asyncio.sleep(0.02)

    assert "W" == kinds(play(scene))


def test_fix_market_data_sequences_are_told_where_that_is_agreed() -> None:
    """RptSeq(83) is that of the feed, of the book and of trades; FIX 4.4 does not have it there."""

    async def scene(venue: FixVenue, feed: LocalFeed, link: RecordingLink) -> None:
        venue.send(link, "V", *asking("q"))
        await until(lambda: kinds(link) == "W")
        first = feed.data.sequence(0, 0)
        await place(venue, Side.BUY, "99")
        await until(lambda: kinds(link) == "WX")
        numbers = [dict(body.fields).get(83) for body in link.answers]
        assert [b"%d" % first, b"%d" % (first + 1)] == numbers

    play(scene, MarketDataTerms(1_000, rpt_seq=True))


def test_fix_market_data_goes_on_through_requests_that_fail(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is wrong with one subscription ends that one, with words, and no other."""
    taken = subscription.Subscription.take

    def take(self: subscription.Subscription, now: int):  # type: ignore[no-untyped-def]
        if self._writer.wanted.request_id == b"bad":
            raise RuntimeError("broken")
        return taken(self, now)

    monkeypatch.setattr(subscription.Subscription, "take", take)

    async def scene(venue: FixVenue, feed: LocalFeed, link: RecordingLink) -> None:
        venue.send(link, "V", *asking("bad"))
        venue.send(link, "V", *asking("good"))
        await until(lambda: sorted(kinds(link)) == ["W", "Y"])
        await place(venue, Side.BUY, "99")
        await until(lambda: "X" in kinds(link))

    link = play(scene)
    assert {"bad"} == {said(one)[262] for one in link.answers if one.msg_type == b"Y"}
    assert SESSION_ID == link.session_id
