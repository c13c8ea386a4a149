"""What a FIX session asks of orders, and what it is told of them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from api.fix.application import gateway
from api.fix.application.terms import SessionTerms
from api.fix.ports import Body
from application.commands import BustTrade, CancelOrder, CorrectTrade, PlaceOrder
from domain.events import OrderFilled
from domain.terms import OrderType, Side, TimeInForce
from tests.model.desk_harness import shares, wire
from tests.model.fix_venue import (
    SESSION_ID,
    FixVenue,
    RecordingLink,
    change,
    fix_venue,
    order,
    said,
)

BUY, SELL = int(Side.BUY), int(Side.SELL)
Scene = Callable[[FixVenue, RecordingLink], Awaitable[None]]


def play(scene: Scene) -> RecordingLink:
    """A scene of one session that trades account a."""
    link = RecordingLink()

    async def whole() -> None:
        async with fix_venue() as venue:
            await venue.log_on(link)
            await scene(venue, link)
            await venue.told(link)

    asyncio.run(whole())
    return link


async def other(venue: FixVenue, side: int, qty: int, price: str, name: str) -> None:
    """An order of account b, through HTTP."""
    kind, tif = int(OrderType.LIMIT), int(TimeInForce.GTC)
    command = PlaceOrder(venue.b, "X", side, kind, tif, shares(qty), wire(price), 0, name)
    assert (await venue.ask(command)).refusal is None


def kinds(bodies: list[Body]) -> list[tuple[str, str]]:
    """ExecType and OrdStatus of reports, and 9 of what was refused."""
    return [(said(one).get(150, "9"), said(one)[39]) for one in bodies]


def test_an_order_is_told_from_its_acceptance_to_its_last_fill() -> None:
    """New, partly filled, filled: quantities add up and the ids are those of the log."""

    async def scene(venue: FixVenue, link: RecordingLink) -> None:
        venue.send(link, "D", *order("one"))
        await venue.told(link)
        await other(venue, SELL, 4, "99", "s1")
        await other(venue, SELL, 6, "100", "s2")

    link = play(scene)

    assert [("0", "0"), ("F", "1"), ("F", "2")] == kinds(link.bodies)
    new, part, full = map(said, link.bodies)
    assert {new[37]} == {part[37]} == {full[37]}
    assert 3 == len({new[17], part[17], full[17]})
    assert ("one", "A", "X", "1", "10", "2", "100", "0") == tuple(
        new[tag] for tag in (11, 1, 55, 54, 38, 40, 44, 59)
    )
    assert ("10", "0", "0") == (new[151], new[14], new[6])
    assert ("4", "100", "6", "4", "100", "1") == tuple(
        part[tag] for tag in (32, 31, 151, 14, 6, 851)
    )
    assert ("6", "0", "10", "20261121", "20261124") == tuple(
        full[tag] for tag in (32, 151, 14, 75, 64)
    )


def test_a_chain_of_replaces_is_followed_while_the_first_is_under_way() -> None:
    """Replace, replace, cancel in one breath: each names the one before it."""

    async def scene(venue: FixVenue, link: RecordingLink) -> None:
        venue.send(link, "D", *order("A"))
        venue.send(link, "G", *change("B", "A", t44="101"))
        venue.send(link, "G", *change("C", "B", t44="102", t38="12"))
        venue.send(link, "F", *change("D", "C"))

    link = play(scene)

    assert [("0", "0"), ("5", "0"), ("5", "0"), ("4", "4")] == kinds(link.bodies)
    _, first, second, end = map(said, link.bodies)
    assert [("B", "A"), ("C", "B"), ("D", "C")] == [
        (one[11], one[41]) for one in (first, second, end)
    ]
    assert ("102", "12") == (second[44], second[38])
    assert ("0", "canceled as asked") == (end[151], end[58])


def test_what_is_refused_is_told_from_the_log_too() -> None:
    """An order by 8, a cancel and a replace by 9 with the order's status and reason."""

    async def scene(venue: FixVenue, link: RecordingLink) -> None:
        venue.send(link, "D", *order("nowhere", t55="NOPE"))
        venue.send(link, "D", *order("A", t38="1"))
        await venue.told(link)
        await other(venue, SELL, 1, "100", "s1")
        venue.send(link, "F", *change("late", "A"))
        venue.send(link, "G", *change("never", "unknown"))

    link = play(scene)

    assert [("8", "8"), ("0", "0"), ("F", "2"), ("9", "2"), ("9", "8")] == kinds(link.bodies)
    nowhere, new, _, late, never = map(said, link.bodies)
    assert ("1", "nowhere") == (nowhere[103], nowhere[11])
    assert "(UNKNOWN_INSTRUMENT)" in nowhere[58]
    assert (new[37], "late", "A", "1", "0") == tuple(late[t] for t in (37, 11, 41, 434, 102))
    assert ("NONE", "never", "unknown", "2", "1") == tuple(never[t] for t in (37, 11, 41, 434, 102))
    assert [] == link.answers


def test_a_refusal_is_told_in_the_words_of_fix() -> None:
    """The sentence of the document: the tag that was judged by its name, and the venue's code."""

    async def scene(venue: FixVenue, link: RecordingLink) -> None:
        venue.send(link, "D", *order("one", t44="100.00005"))

    document = (Path(gateway.__file__).parent.parent / "FIX.md").read_text()
    assert f"`{said(play(scene).bodies[0])[58]}`" in " ".join(document.split())


@pytest.mark.parametrize("flag", [None, 43, 97])
def test_a_name_that_is_known_is_a_duplicate_or_asks_how_it_stands(flag: int | None) -> None:
    """Without PossDup or PossResend 39=8 and 103=6, with them the order as it is; nothing is done
    twice, also by a gateway that has just been started.
    """

    async def scene(venue: FixVenue, link: RecordingLink) -> None:
        venue.send(link, "D", *order("one"))
        await venue.told(link)
        await venue.restart()
        await venue.log_on(link)
        flags = [] if flag is None else [(flag, "Y")]
        venue.send(link, "D", *order("one"), *flags)
        await venue.told(link)
        venue.send(link, "D", *order("one", t38="11"), *flags)

    link = play(scene)

    assert [("0", "0")] == kinds(link.bodies)
    first, second = map(said, link.answers)
    assert ("8", "8", "6", "one") == tuple(second[tag] for tag in (150, 39, 103, 11))
    if flag is None:
        assert ("8", "8", "6", "one") == tuple(first[tag] for tag in (150, 39, 103, 11))
    else:
        assert ("I", "0", "one", "10") == tuple(first[tag] for tag in (150, 39, 11, 151))


def test_an_order_is_known_by_the_names_that_it_had() -> None:
    """Sent again, or asked for, under a name from before its replace."""

    async def scene(venue: FixVenue, link: RecordingLink) -> None:
        venue.send(link, "D", *order("one"))
        venue.send(link, "G", *change("two", "one", t44="101"))
        await venue.told(link)
        venue.send(link, "D", *order("one"), (97, "Y"))
        venue.send(link, "H", (11, "one"), (55, "X"), (54, "1"))
        venue.send(link, "G", *change("two", "one", t44="101"), (97, "Y"))
        await venue.told(link)
        venue.send(link, "G", *change("three", "one"))

    link = play(scene)

    assert [("I", "0", "two", "101")] * 3 == [
        tuple(said(one)[tag] for tag in (150, 39, 11, 44)) for one in link.answers
    ]
    assert ("9", "1") == (link.bodies[-1].msg_type.decode(), said(link.bodies[-1])[102])


def test_a_cancel_that_is_sent_again_asks_how_its_order_stands() -> None:
    """With PossResend: its order by 150=I; without: 9 with 102=6."""

    async def scene(venue: FixVenue, link: RecordingLink) -> None:
        venue.send(link, "D", *order("one"))
        venue.send(link, "F", *change("two", "one"))
        venue.send(link, "F", *change("two", "one"), (97, "Y"))
        venue.send(link, "F", *change("two", "one"))

    link = play(scene)

    status, duplicate = map(said, link.answers)
    assert ("I", "4", "one") == tuple(status[tag] for tag in (150, 39, 11))
    assert ("6", "4", "two", "one") == tuple(duplicate[tag] for tag in (102, 39, 11, 41))


def test_what_went_to_two_writers_is_no_duplicate_of_its_clients() -> None:
    """Sent once, done once, told once: whether it was taken or refused."""

    async def scene(venue: FixVenue, link: RecordingLink) -> None:
        venue.bus.doubles = True
        venue.send(link, "D", *order("one"))
        venue.send(link, "D", *order("two", t55="NOPE"))
        await venue.told(link)
        venue.send(link, "G", *change("three", "one", t44="101"))
        await venue.told(link)
        venue.send(link, "F", *change("four", "three"))
        venue.send(link, "F", *change("five", "never"))

    link = play(scene)

    assert [] == link.answers + link.refused
    assert [("0", "one"), ("8", "two"), ("5", "three"), ("4", "four"), ("9", "five")] == [
        (said(one).get(150, "9"), said(one)[11]) for one in link.bodies
    ]


def test_a_name_given_twice_at_once_is_a_duplicate() -> None:
    """Also before anything was told of the first."""

    async def scene(venue: FixVenue, link: RecordingLink) -> None:
        venue.send(link, "D", *order("one"))
        venue.send(link, "D", *order("one"))

    link = play(scene)

    assert [("0", "0")] == kinds(link.bodies)
    assert [("8", "8", "6")] == [
        tuple(said(one)[tag] for tag in (150, 39, 103)) for one in link.answers
    ]


def test_others_orders_are_not_told_and_a_drop_copy_is_told_all() -> None:
    """What came through HTTP is no business of a session, though it is of its account."""
    copy = RecordingLink(SESSION_ID._replace(target="COPY"))

    async def scene(venue: FixVenue, link: RecordingLink) -> None:
        venue.terms[copy.session_id] = SessionTerms({"A": venue.a}, drop_copy=True)
        await venue.log_on(copy)
        mine = PlaceOrder(
            venue.a, "X", BUY, int(OrderType.LIMIT), 1, shares(1), wire(90), 0, "http-1"
        )
        assert (await venue.ask(mine)).refusal is None
        venue.send(link, "D", *order("one"))
        venue.send(copy, "D", *order("two"))
        await venue.told(link, copy)

    link = play(scene)

    assert ["one"] == [said(one)[11] for one in link.bodies]
    assert ["http-1", "one"] == [said(one)[11] for one in copy.bodies]
    assert [6] == [reason for reason, *_ in copy.refused]


def test_a_cancel_through_another_door_is_told_under_the_orders_own_name() -> None:
    """Who did not ask is told what became of the order, and no name that it never gave."""

    async def scene(venue: FixVenue, link: RecordingLink) -> None:
        venue.send(link, "D", *order("one"))
        await venue.told(link)
        await venue.ask(CancelOrder(venue.a, None, "one", "http-key"))

    told = said(play(scene).bodies[-1])

    assert ("4", "one") == (told[150], told[11])
    assert 41 not in told


def test_a_bust_and_a_correction_refer_to_the_fill() -> None:
    """150=H and 150=G with ExecRefID, what is left of the order beside them."""

    async def scene(venue: FixVenue, link: RecordingLink) -> None:
        venue.send(link, "D", *order("one"))
        await venue.told(link)
        await other(venue, SELL, 4, "100", "s1")
        await other(venue, SELL, 3, "100", "s2")
        fills = [
            row for row in venue.recorded()
            if isinstance(row.event, OrderFilled) and row.event.account_id == venue.a
        ]  # fmt: skip
        first, second = (row.event for row in fills)
        assert isinstance(first, OrderFilled) and isinstance(second, OrderFilled)
        price = wire("99.5")
        await venue.ask(CorrectTrade(first.trade_id, fills[0].position, price, "error"))
        await venue.ask(BustTrade(second.trade_id, fills[1].position, "error"))

    _, first, second, corrected, busted = map(said, play(scene).bodies)

    assert ("G", first[17], "99.5", "4", "7") == tuple(
        corrected[tag] for tag in (150, 19, 31, 32, 14)
    )
    assert ("H", second[17], "3", "4", "99.5") == tuple(busted[tag] for tag in (150, 19, 32, 14, 6))
    assert 4 == len({one[17] for one in (first, second, corrected, busted)})


def test_a_stop_is_told_that_it_is_triggered_and_a_trailing_one_that_it_moves() -> None:
    """Both restate the order: FIX 4.4 has no word for triggered."""

    async def scene(venue: FixVenue, link: RecordingLink) -> None:
        trailing = order("trail", t54="2", t40="P", t18="a", t44="", t211="-5", t38="1")
        venue.send(link, "D", *trailing)
        venue.send(link, "D", *order("stop", t54="2", t40="3", t44="", t99="98", t38="1"))
        await venue.told(link)
        venue.send(link, "D", *order("buys", t44="103", t38="1"))
        await venue.told(link)
        await other(venue, SELL, 1, "103", "s1")
        await other(venue, BUY, 5, "97.9", "b1")
        venue.send(link, "D", *order("sells", t54="2", t44="97.9", t38="1"))

    bodies = [said(one) for one in play(scene).bodies]

    trailed = next(one for one in bodies if one[11] == "trail" and one[150] == "D")
    assert ("P", "a", "-5", "0", "0", "98", "3") == tuple(
        trailed[tag] for tag in (40, 18, 211, 835, 836, 99, 378)
    )
    triggered = next(one for one in bodies if one[11] == "stop" and one[150] == "D")
    assert ("0", "triggered by 97.9000") == (triggered[39], triggered[58])


@pytest.mark.parametrize(
    ("terms", "tag"),
    [
        ({"t38": "1.123456789"}, 38),
        ({"t38": "0"}, 38),
        ({"t38": "-1"}, 38),
        ({"t44": "99999999999999999999"}, 44),
        ({"t44": "-0.5"}, 44),
        ({"t59": "6", "t126": "20261399-00:00:00"}, 126),
        ({"t40": "P", "t44": "", "t18": "a", "t836": "1", "t211": "10000"}, 211),
        ({"t40": "P", "t44": "", "t18": "a", "t211": "-1"}, 211),
        ({"t59": "6", "t432": "20260230"}, 432),
    ],
)
def test_a_value_that_cannot_be_is_rejected_by_its_tag(terms: dict[str, str], tag: int) -> None:
    """Exact or not at all: the tag is named, and nothing reaches the log."""

    async def scene(venue: FixVenue, link: RecordingLink) -> None:
        before = len(venue.log.rows)
        venue.send(link, "D", *order("one", **terms))
        await venue.told(link)
        assert before == len(venue.log.rows)

    ((reason, text, named),) = play(scene).rejected
    assert (5, tag) == (reason, named) and f"({tag})" in text


@pytest.mark.parametrize(
    ("terms", "tag"),
    [
        ({"t38": ""}, 38),
        ({"t44": ""}, 44),
        ({"t40": "3", "t44": ""}, 99),
        ({"t40": "P", "t18": "a", "t44": ""}, 211),
        ({"t59": "6"}, 126),
    ],
)
def test_what_an_order_needs_is_named_where_it_lacks(terms: dict[str, str], tag: int) -> None:
    """A conditionally required field: 380=5, named."""

    async def scene(venue: FixVenue, link: RecordingLink) -> None:
        venue.send(link, "D", *order("one", **terms))

    ((reason, text, named),) = play(scene).refused
    assert (5, tag) == (reason, named) and f"({tag})" in text


@pytest.mark.parametrize(
    ("terms", "reason"),
    [
        ({"t1": "Z"}, "15"),
        ({"t54": "5"}, "11"),
        ({"t40": "J"}, "11"),
        ({"t59": "5"}, "11"),
        ({"t18": "6 1"}, "11"),
        ({"t111": "5"}, "11"),
        ({"t15": "EUR"}, "11"),
        ({"t40": "1"}, "11"),
        ({"t99": "90"}, "11"),
        ({"t152": "500"}, "11"),
        ({"t126": "20261122-00:00:00"}, "11"),
    ],
)
def test_what_the_venue_does_not_do_is_refused_as_an_order(
    terms: dict[str, str], reason: str
) -> None:
    """By 39=8 with its reason: nothing that changes what is asked is passed over."""

    async def scene(venue: FixVenue, link: RecordingLink) -> None:
        venue.send(link, "D", *order("one", **terms))

    (answer,) = map(said, play(scene).answers)
    assert ("8", "8", reason, "one") == tuple(answer[tag] for tag in (150, 39, 103, 11))


@pytest.mark.parametrize(
    ("terms", "told"),
    [
        ({"t40": "1", "t44": ""}, {40: "1"}),
        ({"t40": "1", "t44": "", "t38": "", "t152": "500"}, {152: "500"}),
        ({"t40": "4", "t99": "101", "t44": "102"}, {40: "4", 99: "101", 44: "102"}),
        ({"t40": "3", "t44": "", "t99": "101"}, {40: "3", 99: "101"}),
        ({"t40": "P", "t44": "", "t18": "a", "t211": "150", "t836": "1"},
         {40: "P", 18: "a", 211: "150", 836: "1"}),
        ({"t18": "6"}, {18: "6"}),
        ({"t59": "1"}, {59: "1"}),
        ({"t59": "2"}, {59: "2"}),
        ({"t59": "3"}, {59: "3"}),
        ({"t59": "4"}, {59: "4"}),
        ({"t59": "7"}, {59: "7"}),
        ({"t59": "6", "t126": "20261122-12:30:00.250"}, {126: "20261122-12:30:00.250"}),
        ({"t59": "6", "t432": "20261122"}, {126: "20261123-05:00:00.000"}),
        ({"t38": "0010.", "t44": "99.50"}, {38: "10", 44: "99.5"}),
    ],
)  # fmt: skip
def test_every_kind_of_order_is_taken_and_told_as_it_was_asked_for(
    terms: dict[str, str], told: dict[int, str]
) -> None:
    """The first report says the terms again, in the words of FIX."""

    async def scene(venue: FixVenue, link: RecordingLink) -> None:
        await other(venue, SELL, 1, "110", "ask")
        await other(venue, BUY, 1, "90", "bid")
        venue.send(link, "D", *order("one", **terms))

    link = play(scene)
    assert [] == link.refused + link.rejected + link.answers
    first = said(link.bodies[0])
    assert told.items() <= first.items(), first


def test_a_message_type_that_is_not_served_is_said_so() -> None:
    """NewOrderCross, QuoteRequest and the like: 380=3."""

    async def scene(venue: FixVenue, link: RecordingLink) -> None:
        for kind in ("s", "t", "R", "c"):
            venue.send(link, kind)

    assert [3] * 4 == [reason for reason, *_ in play(scene).refused]
