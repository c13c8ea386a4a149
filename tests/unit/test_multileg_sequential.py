"""Sequential multi-leg orders: legs follow each other in ratio, or what is ahead is unwound."""

from __future__ import annotations

import asyncio

import pytest

from application.commands import PassTurns, PlaceMultiLeg, Reply
from application.desk.legs_in_turn import LegAhead, LegFill
from application.requests import Command
from application.writer.timers import Timers
from domain.events import (
    MultiLegClosed,
    MultiLegExecuted,
    MultiLegTurned,
    MultiLegUnwinding,
    MultiLegUnwound,
    OrderAccepted,
    OrderCanceled,
    OrderFilled,
)
from domain.identifiers import HOUSE
from domain.terms import AccountKind, CancelReason, Leg, Right, StrategyStatus, TimeInForce
from infrastructure.calendar_source import Calendars
from tests.model.desk_harness import code, shares, wire
from tests.model.expiring_desk import CALL, OPEN, expiring
from tests.model.sequential_desk import BUY, HELD, SELL, SequentialDesk, dollars, status

PAIR = (("A", BUY, 1), ("B", SELL, 1))
TRIPLE = (("A", BUY, 2), ("B", SELL, 1), ("C", SELL, 3))
WORKING, UNWINDING, UNWOUND = (
    StrategyStatus.WORKING,
    StrategyStatus.UNWINDING,
    StrategyStatus.UNWOUND,
)
FILLED, CANCELED = StrategyStatus.FILLED, StrategyStatus.CANCELED


@pytest.fixture
def desk() -> SequentialDesk:
    """A client on margin, and books without orders."""
    return SequentialDesk()


def ahead(desk: SequentialDesk, units: int = 5, **terms: object):
    """An order whose first leg has bought at 101 and whose second finds nobody."""
    desk.offer("A", units, 101)
    return desk.placed(PAIR, units, **terms)


def begun(desk: SequentialDesk, order) -> int:
    """How many units of an order have begun, and are not complete yet."""
    return desk.venue.desk.strategies.in_turn.of(order)[0].units


def test_multileg_legs_in_turn_trade_in_their_order_and_in_ratio(desk: SequentialDesk) -> None:
    """What all legs find at once is complete in one command."""
    desk.offer("A", 10, 101)
    desk.bid("B", 4, 99)
    desk.bid("C", 30, 98)
    order = desk.placed(TRIPLE, 4)

    fills = [event for event in desk.venue.happened(OrderFilled) if event.leg]
    assert [Leg.FIRST, Leg.SECOND, Leg.THIRD] == [event.leg for event in fills]
    assert [8, -4, -12] == [desk.more(symbol) for symbol in "ABC"]
    (executed,) = desk.venue.happened(MultiLegExecuted)
    assert (shares(4), 8 * 101 - 4 * 99 - 12 * 98) == (executed.qty, dollars(int(executed.cost)))
    assert FILLED == status(order)
    assert [] == desk.venue.happened(MultiLegTurned)


def test_multileg_leg_that_finds_nobody_has_its_turn_for_its_time(desk: SequentialDesk) -> None:
    """It follows as soon as its book lets it, and what is complete is counted then."""
    order = ahead(desk, seconds=60)
    (turned,) = desk.venue.happened(MultiLegTurned)
    assert (Leg.SECOND, shares(5), desk.venue.at + 60_000_000) == (
        turned.leg,
        turned.qty,
        turned.due_at,
    )
    assert (WORKING, 0, 5) == (status(order), order.filled, desk.more("A"))

    desk.bid("B", 3, 99)
    assert (-3, 0) == (desk.more("B"), order.filled)
    assert [] == desk.venue.happened(MultiLegTurned)
    desk.bid("B", 9, 98)
    assert (-5, FILLED) == (desk.more("B"), status(order))
    assert 5 * 101 - 3 * 99 - 2 * 98 == dollars(order.cost)


def test_multileg_leg_that_does_not_follow_in_time_lets_the_others_be_unwound(
    desk: SequentialDesk,
) -> None:
    """To flat, at the market, and the cost of it is recorded."""
    order = ahead(desk, seconds=60)
    desk.bid("A", 2, 100)
    desk.bid("A", 9, 99)
    assert 0 == desk.pass_time(59, order).result["passed"]
    assert WORKING == status(order)

    assert 1 == desk.pass_time(2, order).result["passed"]

    assert (UNWOUND, 0, 0) == (status(order), desk.more("A"), desk.more("B"))
    (begun,) = desk.venue.happened(MultiLegUnwinding)
    assert (Leg.SECOND, CancelReason.LEG_INCOMPLETE) == (begun.leg, begun.reason)
    (closed,) = desk.venue.happened(MultiLegClosed)
    (accepted,) = desk.venue.happened(OrderAccepted)
    assert (Leg.FIRST, shares(5), accepted.originator_id) == (
        closed.leg,
        closed.qty,
        closed.order_id,
    )
    (unwound,) = desk.venue.happened(MultiLegUnwound)
    assert (2 * 1 + 3 * 2, 0) == (dollars(int(unwound.cost)), unwound.open_qty)
    assert not desk.venue.desk.strategies.live
    assert 0 == desk.venue.desk.accounts.by_id[desk.client.int].held


def test_multileg_partial_fill_of_a_leg_lets_those_behind_it_follow_in_ratio(
    desk: SequentialDesk,
) -> None:
    """Each leg comes as far as the one before it, and whole units stand when time is over."""
    desk.offer("A", 10, 101)
    desk.bid("A", 9, 100)
    desk.bid("B", 2, 99)
    desk.bid("C", 30, 98)
    order = desk.placed(TRIPLE, 5)
    # Two units were there for all of them; the first leg has begun the others.
    assert [10, -2, -6] == [desk.more(symbol) for symbol in "ABC"]
    assert (shares(2), Leg.SECOND) == (order.filled, order.turn)
    desk.bid("B", 1, 99)
    assert [10, -3, -9] == [desk.more(symbol) for symbol in "ABC"]
    assert shares(2) == order.filled

    desk.pass_time(61, order)

    assert (UNWOUND, shares(3)) == (status(order), order.filled)
    (unwinding,) = desk.venue.happened(MultiLegUnwinding)
    assert shares(2) == unwinding.canceled_qty
    assert [6, -3, -9] == [desk.more(symbol) for symbol in "ABC"]
    assert (6 * 101 - 3 * 99 - 9 * 98, 4) == (dollars(order.cost), dollars(order.unwinding_cost))


def test_multileg_turn_goes_to_the_next_leg_with_a_time_of_its_own(desk: SequentialDesk) -> None:
    """The third has its full time from when the second has followed."""
    desk.offer("A", 2, 101)
    order = desk.placed(TRIPLE, 1, seconds=60)
    desk.pass_time(50, order)
    desk.bid("B", 1, 99)
    assert (Leg.THIRD, desk.venue.at + 60_000_000) == (order.turn, order.due_at)
    desk.pass_time(50, order)
    assert WORKING == status(order)
    desk.bid("C", 3, 98)
    assert FILLED == status(order)


def test_multileg_order_without_time_begins_no_more_than_can_follow(desk: SequentialDesk) -> None:
    """Where the legs behind have no time at all the first takes what they find now."""
    desk.offer("A", 10, 101)
    desk.bid("B", 4, 99)
    order = desk.placed(PAIR, 10, 2, seconds=0)
    assert (WORKING, shares(4), 4, -4) == (
        status(order),
        order.filled,
        desk.more("A"),
        desk.more("B"),
    )
    desk.bid("B", 3, 99)
    assert (shares(7), 7, -7) == (order.filled, desk.more("A"), desk.more("B"))


def test_multileg_legs_in_turn_stay_within_the_net_price_together(desk: SequentialDesk) -> None:
    """A leg pays no more than leaves enough for what those behind it cost."""
    desk.offer("A", 3, 101)
    desk.offer("A", 3, 102)
    desk.bid("B", 9, 99)
    order = desk.placed(PAIR, 6, 2)
    assert (shares(3), 3) == (order.filled, desk.more("A"))
    assert 3 * 2 == dollars(order.cost)

    desk.bid("B", 1, 100)
    assert (shares(4), 4) == (order.filled, desk.more("A"))
    assert 4 * 2 == dollars(order.cost)


def test_multileg_leg_whose_price_has_gone_waits_for_it_and_is_unwound(
    desk: SequentialDesk,
) -> None:
    """A bid that is worse than the net price allows is not met."""
    desk.offer("A", 5, 101)
    # The reference of B, 100, is what it may be reckoned to bring.
    order = desk.placed(PAIR, 5, 1)
    desk.bid("B", 5, 99)
    assert (5, 0) == (desk.more("A"), desk.more("B"))
    desk.bid("A", 5, 100)
    desk.pass_time(61, order)
    assert (UNWOUND, 0, 0) == (status(order), desk.more("A"), desk.more("B"))


def test_multileg_constraints_are_kept_by_each_leg_in_its_turn(desk: SequentialDesk) -> None:
    """On the average prices of the units under way."""
    desk.offer("A", 2, 101)
    within = (1, 1, 0, 1 * 10**9 // 100, 0, 0)
    # What the last trade of B tells, 100, is within one per cent of 101.
    order = desk.placed(PAIR, 2, constraints=(within,), seconds=60)
    assert (2, 0) == (desk.more("A"), desk.more("B"))
    desk.bid("B", 1, 99)
    assert 0 == desk.more("B")
    # 101 and 99 are 100 on average.
    desk.bid("B", 1, 101)
    assert (FILLED, -2) == (status(order), desk.more("B"))


def test_multileg_order_that_must_fill_whole_leaves_no_part(desk: SequentialDesk) -> None:
    """Fill or kill begins with all units, and unwinds them all."""
    desk.offer("A", 4, 101)
    desk.bid("A", 9, 100)
    desk.bid("B", 3, 99)
    refused = desk.placed(PAIR, 5, time_in_force=TimeInForce.FOK)
    assert (CANCELED, CancelReason.FILL_OR_KILL, 0) == (
        status(refused),
        refused.end_reason,
        desk.more("A"),
    )
    order = desk.placed(PAIR, 4, time_in_force=TimeInForce.FOK)
    desk.bid("C", 1, 1)
    desk.offer("B", 9, 100)
    desk.pass_time(61, order)
    assert (UNWOUND, 0, 0, 0) == (status(order), order.filled, desk.more("A"), desk.more("B"))


def test_multileg_order_that_may_not_rest_begins_once(desk: SequentialDesk) -> None:
    """What the first leg did not find at once is given up when the others have followed."""
    desk.offer("A", 3, 101)
    order = desk.placed(PAIR, 5, time_in_force=TimeInForce.IOC)
    desk.offer("A", 3, 101)
    assert 3 == desk.more("A")
    desk.bid("B", 9, 99)
    assert (CANCELED, shares(3), 3, -3) == (
        status(order),
        order.filled,
        desk.more("A"),
        desk.more("B"),
    )


def test_cancel_of_a_multileg_order_in_turn_unwinds_what_is_ahead(desk: SequentialDesk) -> None:
    """All legs in one command; what is being unwound is not canceled a second time."""
    order = ahead(desk)
    reply = desk.venue.cancel(desk.client, order.id)
    assert shares(5) == reply.result["canceled_qty"]
    (canceled,) = desk.venue.happened(OrderCanceled)
    assert Leg.SECOND == canceled.leg
    assert (UNWINDING, 5) == (status(order), desk.more("A"))
    assert "ORDER_NOT_WORKING" == code(desk.venue.cancel(desk.client, order.id))
    assert "ORDER_NOT_WORKING" == code(desk.venue.replace(desk.client, order.id, qty=3))

    desk.bid("A", 2, 100)
    assert (UNWINDING, 3) == (status(order), desk.more("A"))
    desk.bid("A", 3, 99)
    assert (UNWOUND, 0, 2 + 6) == (status(order), desk.more("A"), dollars(order.unwinding_cost))


def test_multileg_order_between_its_legs_is_not_replaced(desk: SequentialDesk) -> None:
    """Its legs do not all work any more; before and after that it is replaced as others are."""
    order = ahead(desk)
    assert "ORDER_NOT_WORKING" == code(desk.venue.replace(desk.client, order.id, qty=7))
    resting = desk.placed(PAIR, 5, 1)
    assert "" == code(desk.venue.replace(desk.client, resting.id, qty=7))


def test_unwinding_of_a_multileg_order_waits_for_a_halted_leg(desk: SequentialDesk) -> None:
    """It says so as long as it lasts, and goes on when trading does."""
    order = ahead(desk)
    desk.bid("A", 9, 100)
    desk.venue.halt("A")
    desk.pass_time(61, order)
    assert (UNWINDING, 5) == (status(order), desk.more("A"))
    order = desk.restart(order)
    desk.venue.resume("A")
    assert (UNWOUND, 0) == (status(order), desk.more("A"))


def test_multileg_orders_in_turn_begin_by_what_they_pay(desk: SequentialDesk) -> None:
    """And then of their coming; who has begun does not keep others from it."""
    less = desk.placed(PAIR, 2, 1)
    first, second = desk.placed(PAIR, 2, 2), desk.placed(PAIR, 2, 2)
    desk.offer("A", 3, 102)
    assert [0, 2, 1] == [begun(desk, order) for order in (less, first, second)]
    desk.bid("B", 2, 100)
    assert [FILLED, WORKING] == [status(first), status(second)]
    desk.offer("A", 2, 101)
    assert [2, 1] == [begun(desk, less), begun(desk, second)]


def test_multileg_order_in_turn_that_its_owner_or_its_constraint_stops_stops_no_other(
    desk: SequentialDesk,
) -> None:
    """The one behind it, which nothing stops, begins."""
    other = desk.venue.account("other", 10**7, kind=AccountKind.MARGIN)
    desk.venue.hold(other, HELD, "B")
    within = (1, 1, 0, 10**9 // 1000, 0, 0)
    client = desk.client
    stopped = [desk.placed(PAIR, 2, 3, constraints=(within,)), desk.placed(PAIR, 2, 3)]
    desk.client = other
    behind = desk.placed(PAIR, 2, 3)
    desk.venue.place(client, SELL, 3, 102, symbol="A")
    assert [0, 0, 2] == [begun(desk, order) for order in (*stopped, behind)]


def test_no_multileg_leg_begins_while_another_is_halted(desk: SequentialDesk) -> None:
    """The first leg waits for all; a leg whose turn it is waits for its own."""
    desk.venue.halt("B")
    desk.offer("A", 5, 101)
    assert "INSTRUMENT_HALTED" == code(desk.order(PAIR, 5))
    desk.venue.resume("B")
    order = desk.placed(PAIR, 5)
    desk.venue.halt("B")
    desk.bid("B", 5, 99)
    assert (5, 0) == (desk.more("A"), desk.more("B"))
    desk.venue.resume("B")
    assert FILLED == status(order)


def test_no_multileg_leg_begins_in_a_halt_that_came_while_it_rested(desk: SequentialDesk) -> None:
    """It begins when all trade again."""
    order = desk.placed(PAIR, 5, 2)
    desk.venue.halt("B")
    desk.offer("A", 5, 101)
    assert (WORKING, 0) == (status(order), desk.more("A"))
    desk.venue.resume("B")
    assert 5 == desk.more("A")


def test_multileg_option_that_expires_ahead_stays_as_it_has_ended() -> None:
    """What is exercised or gone cannot be closed: it is told as open, and the order is over."""
    desk = expiring(Right.CALL)
    client, writer = desk.person("client"), desk.person("writer")
    desk.at_utc(*OPEN)
    desk.place(writer, SELL, 2, 2, symbol=CALL)
    legs = ((CALL, int(BUY), 1, 0), ("X", int(SELL), 100, 0))
    placed = desk.ok(
        PlaceMultiLeg(
            client, 2, int(TimeInForce.GTC), shares(2), wire(-98), "m", legs, 1, (), 3_600
        )
    )
    assert placed.strategy is not None
    assert 2 == desk.held(client, CALL)

    desk.expiry(105)

    order = desk.desk.strategies.remembered(placed.strategy.order_id)
    assert order is not None
    assert UNWOUND == status(order)
    assert [shares(2)] == [e.open_qty for e in desk.log if isinstance(e, MultiLegUnwound)]
    assert (200, 0) == (desk.held(client), desk.held(client, CALL))
    desk.judge()


def test_what_a_leg_is_ahead_is_counted_in_the_order_of_its_trades() -> None:
    """And within a trade what has closed something comes first."""
    leg = LegAhead(int(SELL), 2)
    leg.fills = [LegFill(HOUSE, shares(4), shares(3), 10_000, 2, 1)]
    leg.fills.append(LegFill(HOUSE, shares(6), 0, 20_000, 2, 1))
    assert (5, -600) == (leg.units, dollars(leg.cost(shares(5))))
    leg.count(shares(2))
    assert (shares(8), shares(1)) == (leg.qty, leg.exits)
    leg.count(shares(2))
    assert (shares(6), 0, -1200) == (leg.qty, leg.exits, dollars(leg.cost(leg.qty)))


def test_what_its_client_closed_of_a_multileg_order_is_not_closed_again(
    desk: SequentialDesk,
) -> None:
    """What is not held any more stays open in its account of it, and is named."""
    order = ahead(desk)
    desk.venue.cancel(desk.client, order.id)
    desk.venue.place(desk.client, SELL, HELD + 3, 100, symbol="A")
    desk.bid("A", HELD + 3, 100)
    assert (UNWINDING, 2 - HELD) == (status(order), desk.more("A"))
    desk.bid("A", 9, 100)
    (unwound,) = desk.venue.happened(MultiLegUnwound)
    assert (UNWOUND, shares(3), -HELD) == (status(order), unwound.open_qty, desk.more("A"))


def test_own_orders_do_not_stand_in_the_way_of_an_unwinding(desk: SequentialDesk) -> None:
    """They are canceled, as those of an incoming order that cancels the oldest."""
    order = ahead(desk)
    desk.venue.place(desk.client, BUY, 4, 100, symbol="A")
    desk.bid("A", 9, 99)
    desk.pass_time(61, order)
    assert (UNWOUND, 0, 10) == (status(order), desk.more("A"), dollars(order.unwinding_cost))


def test_bust_of_what_is_ahead_ends_a_multileg_order(desk: SequentialDesk) -> None:
    """Its leg has no way to get back what was taken from it: the rest is unwound."""
    order = ahead(desk, 3)
    desk.bid("A", 9, 100)
    desk.bid("B", 1, 99)
    assert (3, -1) == (desk.more("A"), desk.more("B"))
    desk.venue.bust_last()
    assert (UNWOUND, CancelReason.BUSTED, 0, 0) == (
        status(order),
        order.end_reason,
        desk.more("A"),
        desk.more("B"),
    )


def test_correction_of_what_is_ahead_is_counted_in_its_cost(desk: SequentialDesk) -> None:
    """The units cost what their trades cost in the end."""
    order = ahead(desk, 3)
    desk.venue.correct_last("100.5")
    desk.bid("B", 3, 99)
    assert (FILLED, 4.5) == (status(order), dollars(order.cost))


def test_multileg_order_in_turn_goes_on_after_a_restart(desk: SequentialDesk) -> None:
    """From a snapshot: what is ahead, whose turn it is and until when."""
    order = ahead(desk)
    desk.bid("B", 2, 99)
    order = desk.restart(order)
    assert [order] == desk.venue.desk.strategies.due(order.due_at)
    desk.bid("A", 9, 100)
    desk.pass_time(61, order)
    assert (UNWOUND, shares(2), 2, -2) == (
        status(order),
        order.filled,
        desk.more("A"),
        desk.more("B"),
    )


def test_multileg_day_order_is_unwound_when_its_session_ends(desk: SequentialDesk) -> None:
    """At the next opening, for at the close nothing trades."""
    order = ahead(desk, time_in_force=TimeInForce.DAY)
    desk.venue.close("B")
    desk.venue.expire("B")
    assert UNWINDING == status(order)
    desk.bid("A", 9, 100)
    assert (UNWOUND, 0) == (status(order), desk.more("A"))


def test_cash_account_buys_back_what_a_multileg_leg_sold_ahead() -> None:
    """A leg that sold what was held is undone by a purchase."""
    desk = SequentialDesk(AccountKind.CASH)
    desk.bid("A", 5, 99)
    order = desk.placed((("A", SELL, 1), ("B", BUY, 1)), 5)
    assert -5 == desk.more("A")
    desk.offer("A", 9, 100)
    desk.pass_time(61, order)
    assert (UNWOUND, 0, 5) == (status(order), desk.more("A"), dollars(order.unwinding_cost))


def test_timers_have_legs_looked_at_that_had_their_time(desk: SequentialDesk) -> None:
    """Once, when it is over, also by timers that know nothing but the desk."""
    order = ahead(desk)
    sent: list[Command] = []

    async def send(command: Command) -> Reply:
        sent.append(command)
        return desk.venue.send(command)

    class Now:
        def now(self) -> int:
            return desk.venue.at

    timers = Timers(lambda: desk.venue.desk, send, Calendars(), Now(), say=lambda _: None)
    asyncio.run(timers.look())
    assert [] == [each for each in sent if isinstance(each, PassTurns)]
    desk.venue.at += 60_000_000
    asyncio.run(timers.look())
    asyncio.run(timers.look())
    assert [PassTurns((order.id,))] == [each for each in sent if isinstance(each, PassTurns)]
    assert UNWINDING == status(order)
