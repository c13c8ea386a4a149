"""MarketDataRequests over FIX that are not served, by their reason, and what is served then."""

from __future__ import annotations

import pytest

from api.fix.application.market_data import subscription
from api.fix.application.market_data.requests import MOST_LEVELS
from api.fix.application.terms import MarketDataTerms
from domain.terms import Side
from projections.market_data.feed import Feed, FeedAway, Followed, LocalFeed, Snapshot
from tests.model.fix_market_venue import (
    SUBSCRIBERS,
    asking,
    caught_up,
    heard,
    kinds,
    place,
    play,
    until,
)
from tests.model.fix_venue import FixVenue, RecordingLink, said

REFUSED = [
    ("0", asking("q", "X", "NONE")),
    ("0", asking("q", "[N/A]")),
    ("0", asking("q", 25 * "X")),
    ("5", asking("q", depth=str(MOST_LEVELS + 1))),
    ("5", asking("q", depth="-1")),
    ("4", asking("q", kind="3")),
    ("6", asking("q", update="2")),
    ("6", asking("q", update="0", entries="02")),
    ("7", asking("q", t266="N")),
    ("8", asking("q", entries="03")),
    ("9", [*asking("q"), (386, "1"), (336, "1")]),
    ("A", asking("q", t546="1")),
    ("B", asking("q", t286="0")),
    ("C", asking("q", t547="Y")),
]


@pytest.mark.parametrize(("reason", "fields"), REFUSED)
def test_fix_market_data_that_is_not_served_is_refused_by_its_reason(
    reason: str, fields: list[tuple[int, str]]
) -> None:
    """By MDReqRejReason, and nothing of it is served."""

    async def scene(venue: FixVenue, feed: LocalFeed, link: RecordingLink) -> None:
        venue.send(link, "V", *fields)
        await venue.told(link)
        venue.send(link, "V", *asking("q"))
        await until(lambda: b"W" in [one.msg_type for one in link.answers])

    refused, *_ = play(scene).answers

    assert (b"Y", "q", reason) == (refused.msg_type, said(refused)[262], said(refused)[281])


def test_fix_market_data_request_without_what_it_needs_names_the_field() -> None:
    """Where the update type of a subscription is missing, a BusinessMessageReject says which."""

    async def scene(venue: FixVenue, feed: LocalFeed, link: RecordingLink) -> None:
        venue.send(link, "V", *asking("q", update=""))
        venue.send(link, "V", *(one for one in asking("q") if one[0] != 264))
        venue.send(link, "V", *(one for one in asking("q") if one[0] != 55))
        await venue.told(link)

    link = play(scene)

    assert [(5, 265), (5, 264), (5, 55)] == [(reason, tag) for reason, _, tag in link.refused]
    assert [] == link.answers


def test_fix_market_data_symbol_may_be_said_as_security_id() -> None:
    """48 with 22=8 is the venue's own symbol, where 55 says [N/A]."""

    async def scene(venue: FixVenue, feed: LocalFeed, link: RecordingLink) -> None:
        asked = [*asking("q", "[N/A]", kind="0"), (48, "X"), (22, "8")]
        venue.send(link, "V", *asked)
        await venue.told(link)

    (body,) = play(scene).answers
    assert (b"W", "X") == (body.msg_type, said(body)[55])


def test_fix_market_data_id_in_use_is_refused_until_its_request_ends() -> None:
    """Unsubscribed, nothing more is told and the id is free; twice, there is none of that id."""

    async def scene(venue: FixVenue, feed: LocalFeed, link: RecordingLink) -> None:
        venue.send(link, "V", *asking("q"))
        venue.send(link, "V", *asking("q"))
        await until(lambda: sorted(kinds(link)) == ["W", "Y"])
        for _ in range(2):
            venue.send(link, "V", *asking("q", kind="2"))
        await venue.told(link)
        await place(venue, Side.BUY, "99")
        await caught_up(venue, feed)
        venue.send(link, "V", *asking("q"))
        await until(lambda: heard(link).begun == 2)

    link = play(scene)
    refused = [said(body) for body in link.answers if body.msg_type == b"Y"]

    assert ["1", None] == [one.get(281) for one in refused]
    assert 0 == heard(link).refreshed


def test_fix_market_data_of_more_instruments_than_a_session_may_have_is_refused() -> None:
    """Counted over its requests; of a session that is told none it is a matter of permission."""

    async def scene(venue: FixVenue, feed: LocalFeed, link: RecordingLink) -> None:
        venue.send(link, "V", *asking("one"))
        venue.send(link, "V", *asking("two"))
        await until(lambda: len(link.answers) == 2)

    one = play(scene, MarketDataTerms(1_000, instruments=1))
    none = play(scene, MarketDataTerms(1_000, instruments=0))

    assert {"2"} == {said(body)[281] for body in one.answers if body.msg_type == b"Y"}
    assert "YY" == kinds(none)
    assert {"3"} == {said(body)[281] for body in none.answers}


def test_fix_market_data_of_a_book_too_deep_for_a_message_names_the_depth_to_ask_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """All levels are refused, and as many as are served are served."""
    monkeypatch.setattr(subscription, "MOST_LEVELS", 3)

    async def scene(venue: FixVenue, feed: LocalFeed, link: RecordingLink) -> None:
        for price in range(90, 94):
            await place(venue, Side.BUY, str(price))
        await caught_up(venue, feed)
        venue.send(link, "V", *asking("once", kind="0"))
        venue.send(link, "V", *asking("on"))
        venue.send(link, "V", *asking("to", depth="3"))
        await until(lambda: len(link.answers) == 3)

    refused = {said(one)[262]: said(one) for one in play(scene).answers}

    assert ("5", "5") == (refused["once"][281], refused["on"][281])
    assert "MarketDepth(264) of 1 to 3" in refused["once"][58]
    assert "3" == refused["to"][268]


def test_fix_market_data_beyond_the_places_of_the_feed_is_refused() -> None:
    """Whoever comes first keeps what it has."""

    async def scene(venue: FixVenue, feed: LocalFeed, link: RecordingLink) -> None:
        for number in range(SUBSCRIBERS + 1):
            venue.send(link, "V", *asking(f"q{number}"))
        await until(lambda: len(link.answers) == SUBSCRIBERS + 1)

    answers = play(scene).answers
    refused = [said(one) for one in answers if one.msg_type == b"Y"]

    assert [(f"q{SUBSCRIBERS}", "2")] == [(one[262], one[281]) for one in refused]


class LeavingFeed(LocalFeed):
    """A feed whose process is away now and then."""

    is_away = True

    async def snapshot(self, symbol: str, levels: int = 2**30) -> Snapshot:
        """What stands, unless it is away."""
        if self.is_away:
            raise FeedAway
        return await super().snapshot(symbol, levels)

    async def follow(self, symbol: str) -> Followed:
        """The instrument, unless it is away."""
        if self.is_away:
            raise FeedAway
        return await super().follow(symbol)


def test_fix_market_data_that_is_away_is_refused_and_served_when_it_is_back() -> None:
    """With words and no reason, as FIX has none for it; the id is free."""

    async def scene(venue: FixVenue, feed: LocalFeed, link: RecordingLink) -> None:
        leaving = LeavingFeed(feed.data, feed.fanout, feed.waker, feed.freshness)
        market: Feed = leaving
        venue.market = market
        await venue.restart()
        await venue.log_on(link)
        venue.send(link, "V", *asking("q"))
        venue.send(link, "V", *asking("s", kind="0"))
        await venue.told(link)
        leaving.is_away = False
        venue.send(link, "V", *asking("q"))
        await until(lambda: "W" in kinds(link))

    link = play(scene)

    assert "YYW" == kinds(link)
    assert {None} == {said(one).get(281) for one in link.answers[:2]}
    assert "ask again" in said(link.answers[0])[58]
