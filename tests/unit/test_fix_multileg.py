"""Multi-leg orders over FIX: NewOrderMultileg, its replace and cancel, and what is reported."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from api.fix.validation import validate
from application.commands import ListInstrument, OpenInstrument, PlaceOrder, TransferPosition
from domain.terms import OrderType, Side, TimeInForce
from tests.model.desk_harness import NOON, SESSION, VALUE_DATE, shares, wire
from tests.model.fix_venue import (
    SESSION_ID,
    STRICTLY,
    FixVenue,
    RecordingLink,
    fix_venue,
    message,
    said,
)

BUY, SELL = int(Side.BUY), int(Side.SELL)
Scene = Callable[[FixVenue, RecordingLink], Awaitable[None]]


async def furnish(venue: FixVenue) -> None:
    """A second instrument, of which both accounts have some."""
    await venue.ask(
        ListInstrument(
            "Y", "Y", "us_equity", "24/7", 4, wire("0.01"), shares(1),
            reference_price=wire(100), collar_bps=5_000, protection_bps=5_000,
        )
    )  # fmt: skip
    await venue.ask(OpenInstrument("Y", SESSION, VALUE_DATE, NOON, NOON + 10**12))
    for account in (venue.a, venue.b):
        await venue.ask(TransferPosition(account, "Y", shares(1000), 0, f"held-y-{account}"))


async def quote(venue: FixVenue, qty: int) -> None:
    """Account b offers X at 101 and bids 99 for Y."""
    for symbol, side, price in (("X", SELL, 101), ("Y", BUY, 99)):
        kind, tif = int(OrderType.LIMIT), int(TimeInForce.GTC)
        name = f"quote-{symbol}-{qty}"
        command = PlaceOrder(venue.b, symbol, side, kind, tif, shares(qty), wire(price), 0, name)
        assert (await venue.ask(command)).refusal is None


def play(scene: Scene) -> RecordingLink:
    """A scene of one session that trades account a."""
    link = RecordingLink()

    async def whole() -> None:
        async with fix_venue() as venue:
            await furnish(venue)
            await venue.log_on(link)
            await scene(venue, link)
            await venue.told(link)

    asyncio.run(whole())
    return link


def spread(name: str, **terms: Any) -> list[tuple[int, str]]:
    """A NewOrderMultileg: buy X and sell Y for 2 at most, ten of each, but for what is said."""
    head = {11: name, 54: "B", 55: "[N/A]"}
    tail = {60: "20261121-12:00:00", 38: "10", 40: "2", 44: "2", 59: "1"}
    effect = terms.pop("effect", "C")
    legs = [(600, "X"), (623, "1"), (624, "1"), (600, "Y"), (623, "1"), (624, "2"), (564, effect)]
    for tag, value in terms.items():
        number = int(tag.removeprefix("t"))
        (tail if number in tail or number not in head else head)[number] = value
    said = [*head.items(), (555, "2"), *legs, *tail.items()]
    return [(tag, value) for tag, value in said if value]


def change(name: str, previous: str, **terms: Any) -> list[tuple[int, str]]:
    """A MultilegOrderCancelReplaceRequest."""
    return [(41, previous), *spread(name, **terms)]


def whole(link: RecordingLink) -> list[dict[int, str]]:
    """The reports of the multi-leg order itself."""
    return [one for one in map(said, link.bodies) if one.get(442) == "3"]


def legs(link: RecordingLink) -> list[dict[int, str]]:
    """The reports of its legs."""
    return [one for one in map(said, link.bodies) if one.get(442) == "2"]


def test_fix_multileg_messages_of_these_tests_are_fix_44() -> None:
    """As the dictionary has them, group and all."""
    for kind, fields in (("AB", spread("one")), ("AC", change("two", "one"))):
        assert None is validate(message(kind, *fields), STRICTLY)


def test_fix_multileg_order_is_told_with_its_legs() -> None:
    """The whole by 442=3, each leg by 442=2 under the same ClOrdLinkID; net prices of the whole."""

    async def scene(venue: FixVenue, link: RecordingLink) -> None:
        await quote(venue, 4)
        venue.send(link, "AB", *spread("one"))

    link = play(scene)

    new, part = whole(link)
    assert [("0", "0"), ("F", "1")] == [(one[150], one[39]) for one in (new, part)]
    assert ("one", "A", "[N/A]", "B", "10", "2", "2", "1") == tuple(
        new[tag] for tag in (11, 1, 55, 54, 38, 40, 44, 59)
    )
    assert ("2", "Y", "1", "2", "C") == tuple(new[tag] for tag in (555, 600, 623, 624, 564))
    assert ("4", "2", "4", "6", "2") == tuple(part[tag] for tag in (32, 31, 14, 151, 6))
    assert [("0", "X"), ("0", "Y"), ("F", "X"), ("F", "Y")] == [
        (one[150], one[55]) for one in legs(link)
    ]
    assert {new[37]} == {one[583] for one in (new, part, *legs(link))}


def test_fix_multileg_order_is_replaced_and_canceled_by_its_names() -> None:
    """A chain: the replace names the order, the cancel the replace, and all legs end with it."""

    async def scene(venue: FixVenue, link: RecordingLink) -> None:
        venue.send(link, "AB", *spread("one", t44="-1"))
        venue.send(link, "AC", *change("two", "one", t44="-0.5", t38="6"))
        venue.send(link, "F", (11, "three"), (41, "two"), (55, "[N/A]"), (54, "B"), (38, "6"))

    link = play(scene)

    new, replaced, canceled = whole(link)
    assert [("0", "0"), ("5", "0"), ("4", "4")] == [
        (one[150], one[39]) for one in (new, replaced, canceled)
    ]
    assert ("-1", "10") == (new[44], new[38])
    assert ("two", "one", "-0.5", "6") == tuple(replaced[tag] for tag in (11, 41, 44, 38))
    assert ("three", "two", "0") == tuple(canceled[tag] for tag in (11, 41, 151))
    assert ["4", "4"] == [one[150] for one in legs(link)][-2:]


def test_fix_multileg_opposite_is_the_legs_the_other_way_round() -> None:
    """Side C turns each leg; what it brings is negative."""

    async def scene(venue: FixVenue, link: RecordingLink) -> None:
        venue.send(link, "AB", *spread("one", t54="C", t44="-2", effect=""))

    link = play(scene)

    assert [("X", "2"), ("Y", "1")] == [(one[55], one[54]) for one in legs(link)]


def test_fix_multileg_refusals_of_the_venue_are_reports() -> None:
    """39=8 of the whole with the reason; an unknown order is 9."""

    async def scene(venue: FixVenue, link: RecordingLink) -> None:
        venue.send(link, "AB", *spread("one", t38="1.5"))
        venue.send(link, "AC", *change("two", "nobody"))

    link = play(scene)

    (refused,) = whole(link)
    assert ("8", "8", "99") == (refused[150], refused[39], refused[103])
    assert "(STRATEGY_QTY)" in refused[58]
    reject = said(link.bodies[-1])
    assert ("NONE", "two", "nobody", "2") == tuple(reject[tag] for tag in (37, 11, 41, 434))


@pytest.mark.parametrize(
    ("terms", "tag"),
    [
        ({"t54": "1"}, 54),
        ({"t40": "3"}, 40),
        ({"t110": "5"}, 110),
        ({"t563": "0"}, 563),
        ({"t59": "9"}, 59),
        ({"t40": "1"}, 44),
    ],
)
def test_fix_multileg_order_that_is_not_served_is_refused_by_its_tag(
    terms: dict[str, str], tag: int
) -> None:
    """What the venue does not do is a report with 103=11, and leaves nothing."""

    async def scene(venue: FixVenue, link: RecordingLink) -> None:
        venue.send(link, "AB", *spread("one", **terms))

    link = play(scene)

    (body,) = link.answers
    answer = said(body)
    assert ("8", "11", "one") == (answer[39], answer[103], answer[11])
    assert f"({tag})" in answer[58]
    assert [] == link.bodies


def test_fix_multileg_values_that_are_wrong_or_missing_are_named() -> None:
    """373=5 and 380=5 with the tag."""

    async def scene(venue: FixVenue, link: RecordingLink) -> None:
        venue.send(link, "AB", *spread("one", t38="0"))
        venue.send(link, "AB", *spread("two", t44=""))

    link = play(scene)

    assert [38] == [tag for _, _, tag in link.rejected]
    assert [44] == [tag for _, _, tag in link.refused]


def test_fix_multileg_name_that_is_known_is_a_duplicate() -> None:
    """The same name again places nothing: 103=6."""

    async def scene(venue: FixVenue, link: RecordingLink) -> None:
        venue.send(link, "AB", *spread("one"))
        await venue.told(link)
        venue.send(link, "AB", *spread("one"))
        venue.send(link, "AB", *spread("one", t38="3"))

    link = play(scene)

    assert 1 == len(whole(link))
    assert ["6", "6"] == [said(one)[103] for one in link.answers]


def test_fix_multileg_order_is_asked_for_by_its_name_and_among_all() -> None:
    """150=I of the whole; a mass status has it beside its legs, and PossResend is answered so."""

    async def scene(venue: FixVenue, link: RecordingLink) -> None:
        venue.send(link, "AB", *spread("one"))
        await venue.told(link)
        venue.send(link, "H", (11, "one"), (790, "q"), (55, "[N/A]"), (54, "B"))
        await venue.told(link)
        venue.send(link, "AB", (97, "Y"), *spread("one"))
        await venue.told(link)
        venue.send(link, "AF", (584, "all"), (585, "7"))

    link = play(scene)

    status, again, *all_of_them = map(said, link.answers)
    assert ("I", "0", "one", "3", "q", "2") == tuple(
        status[tag] for tag in (150, 39, 11, 442, 790, 44)
    )
    assert ("I", "one", "3") == tuple(again[tag] for tag in (150, 11, 442))
    assert ["3", "2", "2"] == [one[442] for one in all_of_them]
    assert ["3", "3", "3"] == [one[911] for one in all_of_them]


def test_fix_multileg_reports_are_the_same_when_they_are_asked_for_again() -> None:
    """Byte for byte, from the log alone."""
    again: list[Any] = []

    async def scene(venue: FixVenue, link: RecordingLink) -> None:
        await quote(venue, 10)
        venue.send(link, "AB", *spread("one"))
        await venue.told(link)
        await venue.restart()
        sources = [report.source for report in link.reports]
        again.extend(await venue.application.render(SESSION_ID, sources))

    link = play(scene)

    assert link.bodies == again
    assert 6 == len(again)


def test_fix_multileg_order_is_canceled_when_its_session_is_gone() -> None:
    """Cancel on disconnect ends the whole: a leg is not canceled by itself."""
    working: list[Any] = []

    async def scene(venue: FixVenue, link: RecordingLink) -> None:
        venue.terms[SESSION_ID] = venue.terms[SESSION_ID]._replace(cancel_on_disconnect=True)
        await venue.application.logged_off(link)
        await venue.log_on(link)
        venue.send(link, "AB", *spread("one"))
        await venue.told(link)
        await venue.application.logged_off(link)
        await venue.application.left()
        working.extend(venue.writer.desk.orders.working)
        working.extend(venue.writer.desk.strategies.live)
        await venue.log_on(link)

    play(scene)

    assert [] == [one for one in working]
