"""What is owed to a session is told once and in order, whatever comes between."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from api.fix.application import follower
from api.fix.application.beginning import position_before
from api.fix.application.terms import SessionTerms
from api.fix.ports import Source
from application.commands import Deposit, PlaceOrder
from domain.terms import OrderType, Side
from tests.model.desk_harness import shares, wire
from tests.model.fix_venue import (
    SESSION_ID,
    FixVenue,
    RecordingLink,
    fix_venue,
    order,
    said,
)

BUY, SELL = int(Side.BUY), int(Side.SELL)
LIMIT = int(OrderType.LIMIT)
OTHER_ID = SESSION_ID._replace(target="OTHER")
Scene = Callable[[FixVenue], Awaitable[None]]


def play(scene: Scene) -> None:
    """A scene at a venue."""

    async def whole() -> None:
        async with fix_venue() as venue:
            await scene(venue)

    asyncio.run(whole())


async def sold_at(venue: FixVenue, price: str, name: str) -> None:
    """Account b sells one at a price."""
    command = PlaceOrder(venue.b, "X", SELL, LIMIT, 1, shares(1), wire(price), 0, name)
    assert (await venue.ask(command)).refusal is None


async def sold(venue: FixVenue, name: str, qty: int = 1) -> None:
    """Account b sells at what session orders bid."""
    command = PlaceOrder(venue.b, "X", SELL, LIMIT, 1, shares(qty), wire(100), 0, name)
    assert (await venue.ask(command)).refusal is None


def test_what_happens_while_a_session_is_away_it_is_told_when_it_comes_back() -> None:
    """From where it was told, once, also by a gateway that has just been started."""

    async def scene(venue: FixVenue) -> None:
        first = RecordingLink()
        await venue.log_on(first)
        venue.send(first, "D", *order("one"))
        await venue.told(first)
        await venue.application.logged_off(first)
        await sold(venue, "s1")
        await venue.restart()
        await sold(venue, "s2", 2)
        second = RecordingLink()
        await venue.log_on(second, told=first.told)
        await sold(venue, "s3", 3)
        await venue.told(second)

        assert ["0"] == [said(one)[150] for one in first.bodies]
        assert ["1", "2", "3"] == [said(one)[32] for one in second.bodies]

    play(scene)


def test_a_session_that_reads_slowly_makes_nobody_wait_and_misses_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What waits for it is bounded: beyond, it reads on from the log by itself."""
    monkeypatch.setattr(follower, "MOST_PENDING", 3)

    async def scene(venue: FixVenue) -> None:
        slow, quick = RecordingLink(), RecordingLink(OTHER_ID)
        venue.terms[OTHER_ID] = SessionTerms({"A": venue.a}, drop_copy=True)
        for link in (slow, quick):
            await venue.log_on(link)
            await venue.told(link)
        slow.reads.clear()
        for number in range(12):
            venue.send(slow, "D", *order(f"o{number}", t44="90"))
            await venue.told(quick)
        slow.reads.set()
        await venue.told(slow)

        names = [f"o{number}" for number in range(12)]
        assert names == [said(one)[11] for one in quick.bodies]
        assert names == [said(one)[11] for one in slow.bodies]
        positions = [report.source.position for report in slow.reports]
        assert positions == sorted(set(positions))

    play(scene)


def test_what_a_session_did_not_get_stored_it_is_owed_still() -> None:
    """A connection that is lost while reports are under way: the next logon has them."""

    async def scene(venue: FixVenue) -> None:
        lost = RecordingLink()
        await venue.log_on(lost)
        await venue.told(lost)
        lost.is_over = True
        venue.send(lost, "D", *order("one"))
        await venue.application.settled()
        await asyncio.sleep(0)
        await venue.application.logged_off(lost)
        back = RecordingLink()
        await venue.log_on(back, told=lost.told)
        await venue.told(back)

        assert [] == lost.reports
        assert ["one"] == [said(one)[11] for one in back.bodies]

    play(scene)


def test_what_may_have_arrived_is_told_again_first_and_marked() -> None:
    """After a reset of numbers: the same reports under new numbers, before all that is new."""

    async def scene(venue: FixVenue) -> None:
        first = RecordingLink()
        await venue.log_on(first)
        for name in ("one", "two"):
            venue.send(first, "D", *order(name))
        await venue.told(first)
        await venue.application.logged_off(first)
        await sold(venue, "s1")
        second = RecordingLink()
        sources = [report.source for report in first.reports]
        await venue.log_on(second, told=first.told, uncertain=sources)
        await venue.told(second)

        assert first.reports == second.again
        assert ["F"] == [said(one)[150] for one in second.bodies]

    play(scene)


def test_a_resend_is_what_was_sent_first_byte_for_byte() -> None:
    """Whatever became of the order since, in whichever order it is asked for."""

    async def scene(venue: FixVenue) -> None:
        link = RecordingLink()
        await venue.log_on(link)
        venue.send(link, "D", *order("one"))
        await venue.told(link)
        for number in range(4):
            await sold(venue, f"s{number}")
        venue.send(link, "F", (41, "never"), *order("two"))
        venue.send(link, "G", (41, "one"), *order("three", t44="101"))
        await venue.told(link)
        await venue.restart()

        sources = [report.source for report in link.reports]
        render = venue.application.render
        assert link.bodies == list(await render(SESSION_ID, sources))
        backwards = sources[::-1]
        assert link.bodies[::-1] == list(await render(SESSION_ID, backwards))
        for source, body in zip(sources, link.bodies, strict=True):
            assert [body] == list(await render(SESSION_ID, [source]))
        assert [] == list(await render(SESSION_ID, []))

    play(scene)


def test_each_session_is_told_its_own_orders_of_an_account_that_two_trade() -> None:
    """An order belongs to the session through which it came, whoever else has the account."""

    async def scene(venue: FixVenue) -> None:
        venue.terms[OTHER_ID] = SessionTerms({"MAIN": venue.a, "B": venue.b})
        links = RecordingLink(), RecordingLink(OTHER_ID)
        for link in links:
            await venue.log_on(link)
        venue.send(links[0], "D", *order("one"))
        venue.send(links[1], "D", *order("two", t1="MAIN"))
        venue.send(links[1], "D", *order("three", t1="B", t54="2", t44="110"))
        await venue.told(*links)

        told = [[(said(one)[1], said(one)[11]) for one in link.bodies] for link in links]
        assert [[("A", "one")], [("MAIN", "two"), ("B", "three")]] == told

    play(scene)


def test_a_session_is_told_what_it_did_to_an_order_that_is_not_its_own() -> None:
    """It asked, so it is answered; what else becomes of the order is told where it was placed."""

    async def scene(venue: FixVenue) -> None:
        venue.terms[OTHER_ID] = SessionTerms({"MAIN": venue.a})
        links = RecordingLink(), RecordingLink(OTHER_ID)
        for link in links:
            await venue.log_on(link)
        for name in ("one", "two"):
            venue.send(links[0], "D", *order(name))
        await venue.told(*links)
        venue.send(links[1], "G", *order("r", t41="two", t38="5"))
        venue.send(links[1], "F", *order("x", t41="one"))
        await venue.told(*links)
        await sold(venue, "s")
        await venue.told(*links)

        told = [[(said(one)[150], said(one)[11]) for one in link.bodies] for link in links]
        mine, theirs = told
        assert [("0", "one"), ("0", "two"), ("5", "r"), ("4", "one"), ("F", "r")] == mine
        assert [("5", "r"), ("4", "x")] == theirs

    play(scene)


def test_orders_of_others_on_its_account_are_looked_up_together_and_never_folded() -> None:
    """Whose they are is one question for all that is read at once, and their lives are none."""

    async def scene(venue: FixVenue) -> None:
        for number in range(5):
            theirs = PlaceOrder(
                venue.a, "X", BUY, LIMIT, 1, shares(1), wire(90), 0, f"theirs-{number}"
            )
            assert (await venue.ask(theirs)).refusal is None
        link = RecordingLink()
        await venue.log_on(link)
        await venue.told(link)
        before = venue.log.lives_read
        # In one command: all of the five are filled.
        command = PlaceOrder(venue.b, "X", SELL, LIMIT, 1, shares(5), wire(90), 0, "sells")
        assert (await venue.ask(command)).refusal is None
        venue.send(link, "D", *order("ours", t44="90"))
        await venue.told(link)
        await sold_at(venue, "90", "more")
        await venue.told(link)

        assert (before, 1) == (venue.log.lives_read, venue.log.firsts_read)
        told = [(said(one)[11], said(one)[150]) for one in link.bodies]
        assert [("ours", "0"), ("ours", "F")] == told

    play(scene)


def test_an_order_goes_on_as_it_stands_though_nobody_was_told_of_it_for_a_while() -> None:
    """What its session missed while another of the account was told is in its next report."""

    async def scene(venue: FixVenue) -> None:
        venue.terms[OTHER_ID] = SessionTerms({"A": venue.a})
        first, other, back = RecordingLink(), RecordingLink(OTHER_ID), RecordingLink()
        await venue.log_on(first)
        await venue.log_on(other)
        venue.send(first, "D", *order("one"))
        await venue.told(first, other)
        await venue.application.logged_off(first)
        await sold(venue, "s1")
        await venue.told(other)
        await venue.log_on(back, told=first.told)
        await venue.told(back)
        await sold(venue, "s2", 2)
        await venue.told(back, other)

        assert [("1", "1"), ("2", "3")] == [(said(one)[32], said(one)[14]) for one in back.bodies]
        assert [] == other.bodies

    play(scene)


@pytest.mark.parametrize(("seconds", "is_status"), [(None, False), (10**6, False), (0, True)])
def test_status_instead_of_history_where_a_session_wishes_so(
    seconds: int | None, is_status: bool
) -> None:
    """After long away one report an open order, and nothing of those that ended."""

    async def scene(venue: FixVenue) -> None:
        first = RecordingLink()
        await venue.log_on(first)
        await venue.told(first)
        await venue.application.logged_off(first)
        venue.terms[SESSION_ID] = SessionTerms({"A": venue.a}, status_after_seconds=seconds)
        again = RecordingLink()
        await venue.log_on(again)
        for name, side in (("open", "1"), ("ended", "1")):
            venue.send(again, "D", *order(name, t54=side, t44="90" if name == "open" else "100"))
        await venue.application.settled()
        await sold(venue, "s1", 10)
        await venue.application.logged_off(again)
        back = RecordingLink()
        await venue.log_on(back, told=first.told)
        await venue.told(back)

        if is_status:
            assert [("I", "open", "10")] == [
                (said(one)[150], said(one)[11], said(one)[151]) for one in back.answers
            ]
            assert [] == back.reports
        else:
            assert ["0", "0", "F"] == [said(one)[150] for one in back.bodies]
        venue.send(back, "D", *order("new", t44="80"))
        await venue.told(back)
        assert "new" == said(back.bodies[-1])[11]

    play(scene)


def test_a_drop_copy_may_begin_at_any_instant_of_the_past() -> None:
    """From the first event of that instant on it is told everything."""

    async def scene(venue: FixVenue) -> None:
        venue.terms[OTHER_ID] = SessionTerms({"A": venue.a}, drop_copy=True)
        link = RecordingLink()
        await venue.log_on(link)
        for name in ("one", "two", "three"):
            venue.send(link, "D", *order(name))
            await venue.told(link)
        log = venue.recorded()
        begins = log[link.reports[1].source.position - 1].event.at
        position = await position_before(venue.log, begins)
        copy = RecordingLink(OTHER_ID)
        await venue.log_on(copy, told=position)
        await venue.told(copy)

        assert all((row.event.at < begins) == (row.position <= position) for row in log)
        assert ["two", "three"] == [said(one)[11] for one in copy.bodies]
        assert 0 == await position_before(venue.log, 0)
        assert len(log) == await position_before(venue.log, log[-1].event.at + 1)

    play(scene)


@pytest.mark.parametrize("wished", [True, False])
def test_orders_of_a_session_that_is_gone_are_canceled_where_it_wishes_so(wished: bool) -> None:
    """What it had just sent with them, and nothing that came through another door."""

    async def scene(venue: FixVenue) -> None:
        venue.terms[SESSION_ID] = SessionTerms({"A": venue.a}, cancel_on_disconnect=wished)
        link = RecordingLink()
        await venue.log_on(link)
        mine = PlaceOrder(venue.a, "X", 1, LIMIT, 1, shares(1), wire(90), 0, "http-1")
        assert (await venue.ask(mine)).refusal is None
        for name in ("one", "two"):
            venue.send(link, "D", *order(name, t44="90"))
        await venue.application.logged_off(link)
        await venue.application.left()
        works = {one.client_order_id for one in venue.writer.desk.orders.of_account(venue.a)}
        assert works == ({"http-1"} if wished else {"http-1", "one", "two"})
        back = RecordingLink()
        await venue.log_on(back, told=link.told)
        await venue.told(back)
        ended = [said(one)[11] for one in back.bodies if said(one)[150] == "4"]
        assert sorted(ended) == (["one", "two"] if wished else [])

    play(scene)


def test_a_session_that_is_owed_nothing_has_kept_how_far_it_was_told() -> None:
    """So that it is not behind by all that others did when it comes back."""

    async def scene(venue: FixVenue) -> None:
        link = RecordingLink()
        await venue.log_on(link)
        for number in range(3):
            await venue.ask(Deposit(venue.b, 100, f"more-{number}"))
        await venue.told(link)
        assert [] == link.reports
        assert len(venue.log.rows) == link.told

    play(scene)


def test_a_source_of_another_order_makes_its_own_report() -> None:
    """A resend over events of several orders and refusals mixes nothing up."""

    async def scene(venue: FixVenue) -> None:
        link = RecordingLink()
        await venue.log_on(link)
        for number in range(6):
            venue.send(link, "D", *order(f"o{number}"))
            venue.send(link, "F", (41, f"o{number}"), *order(f"x{number}"))
        await venue.told(link)
        every_other = link.reports[::2]
        wanted = [Source(report.source.position) for report in every_other]
        found = await venue.application.render(SESSION_ID, wanted)
        assert [report.body for report in every_other] == list(found)

    play(scene)
