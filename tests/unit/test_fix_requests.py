"""What a FIX session asks beside orders: statuses, lists, mass cancels, securities, trades."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from api.fix.application.terms import SessionTerms
from api.fix.ports import Body
from application.commands import BustTrade, CorrectTrade, ListOptionChain, PlaceOrder
from domain.events import OrderFilled
from domain.terms import OrderType, Side
from tests.model.desk_harness import SESSION, shares, wire
from tests.model.fix_venue import (
    SESSION_ID,
    FixVenue,
    RecordingLink,
    fix_venue,
    order,
    said,
)

SELL = int(Side.SELL)
LIMIT = int(OrderType.LIMIT)
Scene = Callable[[FixVenue, RecordingLink], Awaitable[None]]


def play(scene: Scene) -> RecordingLink:
    """A scene of one session that trades both accounts."""
    link = RecordingLink()

    async def whole() -> None:
        async with fix_venue() as venue:
            venue.terms[SESSION_ID] = SessionTerms({"A": venue.a, "B": venue.b}, list_tag=5385)
            await venue.log_on(link)
            await scene(venue, link)
            await venue.told(link)

    asyncio.run(whole())
    return link


def mine(name: str, **terms: str) -> list[tuple[int, str]]:
    """An order of account A."""
    return order(name, t1="A", **terms)


def entries(body: Body, first_tag: int) -> list[dict[int, str]]:
    """The entries of a group that ends its message."""
    found: list[dict[int, str]] = []
    for tag, value in body.fields:
        if tag == first_tag:
            found.append({})
        if found:
            found[-1][tag] = value.decode()
    return found


def test_a_status_request_says_how_the_order_stands_behind_what_was_asked_before() -> None:
    """By ClOrdID or OrderID, with the id of the request; ExecID is 0: nothing happened."""

    async def scene(venue: FixVenue, link: RecordingLink) -> None:
        venue.send(link, "D", *mine("one"))
        venue.send(link, "H", (11, "one"), (1, "A"), (55, "X"), (54, "1"), (790, "q1"))
        venue.send(link, "H", (11, "never"), (1, "A"), (55, "X"), (54, "1"))
        await venue.told(link)
        order_id = said(link.bodies[0])[37]
        venue.send(link, "H", (37, order_id), (11, "?"), (1, "A"), (55, "X"), (54, "1"))

    link = play(scene)

    found, unknown, by_id = map(said, link.answers)
    assert ("I", "0", "0", "one", "q1", "10") == tuple(
        found[t] for t in (150, 39, 17, 11, 790, 151)
    )
    assert ("I", "8", "5", "NONE", "never") == tuple(unknown[t] for t in (150, 39, 103, 37, 11))
    assert "one" == by_id[11]


def test_a_mass_status_request_tells_every_working_order() -> None:
    """Counted, the last one marked; of one side or one account where it says so; and none is
    an answer too.
    """

    async def scene(venue: FixVenue, link: RecordingLink) -> None:
        venue.send(link, "D", *mine("one", t44="90"))
        venue.send(link, "D", *mine("two", t54="2", t44="110"))
        venue.send(link, "D", *order("three", t1="B", t44="90"))
        await venue.told(link)
        venue.send(link, "AF", (584, "all"), (585, "7"))
        await venue.told(link)
        venue.send(link, "AF", (584, "sales"), (585, "7"), (54, "2"))
        venue.send(link, "AF", (584, "other"), (585, "1"), (55, "X"), (1, "B"))
        venue.send(link, "AF", (584, "none"), (585, "1"), (55, "Y"))
        venue.send(link, "AF", (584, "what"), (585, "3"))

    link = play(scene)
    told = [said(one) for one in link.answers]

    assert [("one", "3", "N"), ("two", "3", "N"), ("three", "3", "Y")] == [
        (one[11], one[911], one[912]) for one in told if one[584] == "all"
    ]
    assert ["two"] == [one[11] for one in told if one[584] == "sales"]
    assert ["three"] == [one[11] for one in told if one[584] == "other"]
    (none,) = [one for one in told if one[584] == "none"]
    assert ("8", "0", "Y", "Y") == (none[39], none[911], none[912], none[55])
    assert [(0, 585)] == [(reason, tag) for reason, _, tag in link.refused]


def test_a_mass_cancel_ends_what_works_and_each_order_is_told() -> None:
    """Of all accounts of the session, one side where it says so; what may have been done is not
    done again.
    """

    async def scene(venue: FixVenue, link: RecordingLink) -> None:
        venue.send(link, "D", *mine("one", t44="90"))
        venue.send(link, "D", *mine("two", t54="2", t44="110"))
        venue.send(link, "D", *order("three", t1="B", t44="90"))
        venue.send(link, "q", (11, "m1"), (530, "7"), (54, "1"), (60, "20261121-12:00:00"))
        venue.send(link, "q", (11, "m2"), (530, "1"), (55, "NOPE"), (60, "20261121-12:00:00"))
        venue.send(link, "q", (11, "m3"), (530, "7"), (97, "Y"), (60, "20261121-12:00:00"))
        venue.send(link, "q", (11, "m4"), (530, "5"), (60, "20261121-12:00:00"))

    link = play(scene)
    told = {said(one)[11]: said(one) for one in link.answers}

    assert ["one", "three"] == [said(one)[11] for one in link.bodies if said(one)[150] == "4"]
    assert ("7", "7", "2", "1") == tuple(told["m1"][t] for t in (530, 531, 533, 54))
    assert [("0", "1"), ("0", "99"), ("0", "0")] == [
        (told[name][531], told[name][532]) for name in ("m2", "m3", "m4")
    ]


def test_what_comes_behind_a_mass_cancel_is_not_canceled_by_it() -> None:
    """All that a session sends is asked of the writer in its order, whatever it takes to ask."""

    async def scene(venue: FixVenue, link: RecordingLink) -> None:
        venue.terms[SESSION_ID] = SessionTerms({"A": venue.a})
        await venue.log_on(link)
        venue.send(link, "D", *order("before", t44="90"))
        venue.send(link, "q", (11, "m1"), (530, "7"), (60, "20261121-12:00:00"))
        venue.send(link, "D", *order("behind", t44="90"))
        await venue.told(link)
        venue.send(link, "H", (11, "behind"), (55, "X"), (54, "1"))

    link = play(scene)

    assert ["before"] == [said(one)[11] for one in link.bodies if said(one)[150] == "4"]
    assert ["0"] == [said(one)[39] for one in link.answers if said(one).get(150) == "I"]


def a_list(*orders: list[tuple[int, str]], **head: str) -> list[tuple[int, str]]:
    """A NewOrderList."""
    said_first = {"t66": "L1", "t394": "3", "t68": str(len(orders)), **head}
    fields = [(int(tag.removeprefix("t")), value) for tag, value in said_first.items()]
    fields.append((73, str(len(orders))))
    for number, one in enumerate(orders, 1):
        fields += [one[0], (67, str(number)), *one[1:]]
    return fields


def test_a_list_is_as_many_orders_as_it_has_each_by_itself() -> None:
    """ListStatus says what became of each: one that is refused takes no other with it."""

    async def scene(venue: FixVenue, link: RecordingLink) -> None:
        orders = [mine("one"), mine("two", t55="NOPE"), mine("three", t38="0"), mine("four")]
        venue.send(link, "E", *a_list(*orders))

    link = play(scene)
    (status,) = link.answers

    told = {tag: value.decode() for tag, value in status.fields}
    assert ("N", "L1", "4", "3") == (status.msg_type.decode(), told[66], told[68], told[431])
    assert [("one", "0"), ("two", "8"), ("three", "8"), ("four", "0")] == [
        (one[11], one[39]) for one in entries(status, 11)
    ]
    assert ["one", "two", "four"] == [said(one)[11] for one in link.bodies]


@pytest.mark.parametrize(("flags", "status"), [({}, "8"), ({"t97": "Y"}, "0")])
def test_a_list_that_is_sent_again_does_nothing_twice(flags: dict[str, str], status: str) -> None:
    """Its names are known: refused, or with PossResend how their orders stand."""

    async def scene(venue: FixVenue, link: RecordingLink) -> None:
        venue.send(link, "E", *a_list(mine("one"), mine("two")))
        await venue.told(link)
        venue.send(link, "E", *a_list(mine("one"), mine("two"), **flags))

    link = play(scene)

    assert [["0", "0"], [status, status]] == [
        [one[39] for one in entries(body, 11)] for body in link.answers
    ]
    assert 2 == len(link.bodies)


@pytest.mark.parametrize("tag", ["t1385", "t5385"])
def test_a_list_may_be_an_oco(tag: str) -> None:
    """By ContingencyType(1385) or the session's own tag: the second order waits for the first."""

    async def scene(venue: FixVenue, link: RecordingLink) -> None:
        stop = mine("loss", t54="2", t40="3", t44="", t99="90")
        venue.send(link, "E", *a_list(mine("profit", t54="2", t44="110"), stop, **{tag: "1"}))

    link = play(scene)
    profit, loss = map(said, link.bodies)

    assert [("0", "0"), ("9", "9")] == [(one[150], one[39]) for one in (profit, loss)]
    assert profit[583] == loss[583]
    (status,) = link.answers
    first, second = entries(status, 11)
    assert ("profit", "0") == (first[11], first[39])
    assert ("loss", "9", f"reported as {loss[11]}") == (second[11], second[39], second[58])


def test_a_list_may_be_a_bracket_and_is_refused_as_a_whole() -> None:
    """An entry and two exits that wait for it; what does not fit leaves nothing."""

    async def scene(venue: FixVenue, link: RecordingLink) -> None:
        exits = (
            mine("profit", t54="2", t44="110"),
            mine("loss", t54="2", t40="4", t44="89", t99="90"),
        )
        venue.send(link, "E", *a_list(mine("entry"), *exits, t1385="2"))
        await venue.told(link)
        venue.send(link, "E", *a_list(mine("entry-2"), mine("x"), exits[1], t1385="2"))
        venue.send(link, "E", *a_list(mine("entry-3"), *exits, t1385="1"))
        venue.send(link, "E", *a_list(mine("entry-4"), *exits, t1385="2", t68="9"))

    link = play(scene)

    assert ["0", "9", "9"] == [said(one)[39] for one in link.bodies]
    taken, *refused = [entries(one, 11) for one in link.answers]
    assert ["0", "9", "9"] == [one[39] for one in taken]
    assert [["8"] * 3] * 2 == [[one[39] for one in status] for status in refused]
    assert 1 == len(link.refused)


def test_the_securities_are_listed() -> None:
    """All of them, or the one that is named; none is an answer too."""

    async def scene(venue: FixVenue, link: RecordingLink) -> None:
        venue.send(link, "x", (320, "r1"), (559, "4"))
        venue.send(link, "x", (320, "r2"), (559, "0"), (55, "NOPE"))
        venue.send(link, "x", (320, "r3"), (559, "3"))

    everything, none, unserved = map(said, play(scene).answers)

    assert ("0", "1", "Y", "X", "USD", "1") == tuple(
        everything[tag] for tag in (560, 393, 893, 55, 15, 561)
    )
    assert ("2", "1") == (none[560], unserved[560])


def test_an_option_is_listed_with_what_it_is_a_right_to() -> None:
    """Its last day, its strike, whether it is a call, and how much of what it is for."""

    async def scene(venue: FixVenue, link: RecordingLink) -> None:
        chain = ListOptionChain("X", (20991218,), (wire("97.5"),), (0, 1), wire("0.01"))
        assert (await venue.ask(chain)).refusal is None
        for number, symbol in enumerate(("X991218C00097500", "X991218P00097500", "X")):
            venue.send(link, "x", (320, f"r{number}"), (559, "0"), (55, symbol))

    call, put, share = map(said, play(scene).answers)

    tags = (167, 200, 541, 202, 231, 711, 311, 561)
    terms = ("OPT", "209912", "20991218", "97.5", "100", "1", "X", "1")
    assert terms == tuple(call[tag] for tag in tags) == tuple(put[tag] for tag in tags)
    assert ("1", "0") == (call[201], put[201])
    assert set() == {*tags, 201} & set(share) - {561}


def test_the_back_office_is_told_what_stands_of_a_day() -> None:
    """Busted trades are not there, corrected ones have their new price."""

    async def scene(venue: FixVenue, link: RecordingLink) -> None:
        venue.send(link, "D", *mine("one"))
        await venue.told(link)
        for number, qty in enumerate((1, 2, 3)):
            sale = PlaceOrder(venue.b, "X", SELL, LIMIT, 1, shares(qty), wire(100), 0, f"s{number}")
            assert (await venue.ask(sale)).refusal is None
        rows = [row for row in venue.recorded() if isinstance(row.event, OrderFilled)]
        busted, corrected = rows[0], rows[2]
        assert isinstance(busted.event, OrderFilled) and isinstance(corrected.event, OrderFilled)
        price = wire("99.5")
        await venue.ask(BustTrade(busted.event.trade_id, busted.position, "error"))
        await venue.ask(CorrectTrade(corrected.event.trade_id, corrected.position, price, "error"))
        venue.send(link, "AD", (568, "d1"), (569, "1"), (54, "1"), (580, "1"), (75, str(SESSION)))
        await venue.told(link)
        venue.send(link, "AD", (568, "d2"), (569, "1"), (580, "1"), (75, "20200101"))
        venue.send(link, "AD", (568, "d3"), (569, "2"), (580, "1"), (75, "20200101"))
        venue.send(link, "AD", (568, "d4"), (569, "1"))

    link = play(scene)
    acks = [said(one) for one in link.answers if one.msg_type == b"AQ"]
    trades = [said(one) for one in link.answers if one.msg_type == b"AE"]

    assert [("d1", "2", "0"), ("d2", "0", "0"), ("d3", "0", "8"), ("d4", "0", "99")] == [
        (one[568], one[748], one[749]) for one in acks
    ]
    assert [("2", "99.5", "G"), ("3", "100", "F")] == [
        (one[32], one[31], one[150]) for one in trades
    ]
    assert {"one"} == {one[11] for one in trades} and {"A"} == {one[1] for one in trades}
    fills = {said(one)[17] for one in link.bodies if said(one)[150] == "F"}
    assert {one[17] for one in trades} < fills


def test_several_accounts_have_one_chosen() -> None:
    """Account(1) may be left out only where there is one alone."""

    async def scene(venue: FixVenue, link: RecordingLink) -> None:
        venue.send(link, "D", *order("one"))
        venue.send(link, "H", (11, "one"), (1, "Z"), (55, "X"), (54, "1"))

    assert [(5, 1), (6, 1)] == [(reason, tag) for reason, _, tag in play(scene).refused]


def test_what_was_asked_is_undecided_until_it_is_answered() -> None:
    """The lowest number first, of orders as of questions."""

    async def scene(venue: FixVenue, link: RecordingLink) -> None:
        for number in range(2):
            venue.send(link, "D", *mine(f"o{number}"))
        venue.send(link, "H", (11, "o0"), (55, "X"), (54, "1"))
        assert 1 == venue.application.undecided(link)
        await venue.application.settled()
        assert 0 == venue.application.undecided(link)
        venue.send(link, "AF", (584, "all"), (585, "7"))
        assert 4 == venue.application.undecided(link)

    play(scene)
