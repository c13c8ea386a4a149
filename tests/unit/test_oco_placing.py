"""Placing an oco: what is accepted, in which order it is told, and what it holds."""

import pytest

from application.commands import SetKillSwitch
from domain.events import (
    GroupPlaced,
    MarginReserved,
    OrderAccepted,
    OrderRejected,
    QuantityReserved,
)
from domain.identifiers import HOUSE
from domain.terms import GroupPhase, Leg, OrderClass, OrderStatus, OrderType, Side, TimeInForce
from tests.model.desk_harness import cents, code, shares, wire
from tests.model.group_desk import GroupDesk, group_desk

BUY, SELL = Side.BUY, Side.SELL


@pytest.fixture
def venue() -> GroupDesk:
    """One open instrument and two accounts with cash and shares."""
    return group_desk()


def test_oco_is_told_group_first_then_its_legs_then_their_holds(venue):
    """The group, the take-profit, the stop-loss, and one hold under the parent's id."""
    reply = venue.oco(venue.a, SELL, 10, 110, 90)
    kinds = [type(event) for event in venue.events]
    assert [GroupPlaced, OrderAccepted, OrderAccepted, QuantityReserved] == kinds
    placed, profit, stop, reserved = venue.events
    assert placed.originator_id == profit.group_id == stop.group_id
    assert (Leg.TAKE_PROFIT, Leg.STOP_LOSS) == (profit.leg, stop.leg)
    assert (profit.originator_id, shares(10)) == (reserved.order_id, reserved.qty)
    assert reply.order is not None
    assert profit.originator_id == reply.order.order_id


def test_oco_shows_the_limit_leg_as_parent_and_the_stop_as_held_child(venue):
    """As Alpaca's clients expect: one order with one nested leg of status held."""
    reply = venue.oco(venue.a, SELL, 10, 110, 90, client="mine")
    assert reply.order is not None
    assert ("mine", OrderStatus.NEW) == (reply.order.client_order_id, reply.order.status)
    assert OrderType.LIMIT == reply.order.order_type
    [stop] = reply.legs
    assert (OrderStatus.HELD, OrderType.STOP, 90_0000) == (
        stop.status,
        stop.order_type,
        stop.stop_price,
    )
    assert reply.order.group_id == stop.group_id != HOUSE


def test_oco_puts_only_the_take_profit_into_the_book(venue):
    """The stop waits for its price and counts for nothing."""
    venue.oco(venue.a, SELL, 10, 110, 90, client="tp")
    assert [("tp", 110_0000, shares(10))] == venue.book(SELL)
    position = next(p for p in venue.desk.accounts.positions.values() if p.account_id == venue.a)
    assert (shares(10), shares(10)) == (position.working_sells, position.reserved)


def test_oco_keeps_what_was_asked_for_on_the_group(venue):
    """Its class, quantity, prices and both legs stand in one event."""
    legs = venue.legs(venue.oco(venue.a, SELL, 10, 110, 90, stop_limit="89.5", client="mine"))
    [placed] = venue.happened(GroupPlaced)
    assert (OrderClass.OCO, SELL, shares(10), "mine") == (
        placed.order_class,
        placed.side,
        placed.qty,
        placed.client_order_id,
    )
    assert (110_0000, 90_0000, 89_5000) == (
        placed.take_profit_price,
        placed.stop_price,
        placed.stop_limit_price,
    )
    group = venue.desk.orders.groups[legs.group.int]
    assert (HOUSE, legs.take_profit, legs.stop_loss) == (
        group.entry_id,
        group.take_profit_id,
        group.stop_loss_id,
    )
    assert (GroupPhase.WORKING, shares(10)) == (group.phase, group.exit_qty)


def test_oco_legs_have_ids_of_their_own(venue):
    """Two groups never share a leg's client order id."""
    first = venue.oco(venue.a, SELL, 1, 110, 90).legs[0]
    second = venue.oco(venue.a, SELL, 1, 110, 90).legs[0]
    assert str(first.order_id) == first.client_order_id != second.client_order_id


def test_oco_reserves_each_share_once(venue):
    """A thousand shares can be protected by one group, not by two."""
    venue.legs(venue.oco(venue.a, SELL, 1000, 110, 90))
    assert "INSUFFICIENT_QTY" == code(venue.oco(venue.a, SELL, 1, 110, 90))
    assert "INSUFFICIENT_QTY" == code(venue.place(venue.a, SELL, 1, 110))


def test_oco_whose_take_profit_crosses_trades_at_once_and_shrinks_the_stop(venue):
    """A parent that meets a bid is filled in the decision that places it."""
    venue.place(venue.b, BUY, 4, 110)
    legs = venue.legs(venue.oco(venue.a, SELL, 10, 109, 90))
    assert (6, 6) == (venue.leaves(legs.take_profit), venue.leaves(legs.stop_loss))


def test_oco_filled_whole_on_arrival_is_over_at_once(venue):
    """The reply shows a filled parent and a canceled child."""
    venue.place(venue.b, BUY, 10, 110)
    reply = venue.oco(venue.a, SELL, 10, 109, 90)
    assert reply.order is not None
    assert (OrderStatus.FILLED, OrderStatus.CANCELED) == (
        reply.order.status,
        reply.legs[0].status,
    )
    assert {} == venue.desk.orders.groups


def test_oco_waits_for_the_open_as_its_limit_leg_may():
    """Placed while closed it queues: nothing trades, and the stop is not elected."""
    venue = group_desk(opened=False)
    for tif in (TimeInForce.DAY, TimeInForce.GTC, TimeInForce.GTD):
        lasts = venue.at + 99 if tif == TimeInForce.GTD else 0
        legs = venue.legs(venue.oco(venue.a, SELL, 10, 110, 90, tif=tif, expires_at=lasts))
        assert ("new", "held") == (venue.status(legs.take_profit), venue.status(legs.stop_loss))


# -- margin: the larger exposure, never the sum -------------------------------------------------


def test_oco_of_an_opening_buy_holds_the_dearer_leg_not_both(venue):
    """A buy that takes profit at 90 or stops in at 110 can only cost one of the two."""
    legs = venue.legs(venue.oco(venue.a, BUY, 10, 90, 110))
    held = venue.desk.accounts.by_id[venue.a.int].held
    dearer = 110 * 15 // 10 * 10  # the stop runs to the collar, half above its price
    assert cents(dearer) + 1 == held == venue.dearest_hold(legs, 10)
    [reserved] = venue.happened(MarginReserved)
    assert (legs.take_profit, held) == (reserved.order_id, reserved.amount)


def test_oco_in_a_margin_account_holds_margin_for_what_exceeds_the_position():
    """Of 10 against a position of 4, four are reserved and six bind initial margin."""
    venue = group_desk(shortable=True)
    account = venue.margin_account("m")
    venue.hold(account, 4)
    legs = venue.legs(venue.oco(account, SELL, 10, 110, 90))
    parent = venue.order(legs.take_profit)
    assert (shares(4), venue.dearest_hold(legs, 6)) == (parent.hold_qty, parent.hold)
    assert cents(110 * 6 // 2) == parent.hold == venue.desk.accounts.by_id[account.int].held


def test_oco_margin_follows_fills_of_its_dearer_leg(venue):
    """What a partial fill leaves is held in proportion."""
    legs = venue.legs(venue.oco(venue.a, BUY, 10, 90, 110))
    before = venue.desk.accounts.by_id[venue.a.int].held
    venue.place(venue.b, SELL, 4, 90)
    assert -(-before * 6 // 10) == venue.desk.accounts.by_id[venue.a.int].held
    assert venue.dearest_hold(legs, 6) == venue.desk.accounts.by_id[venue.a.int].held


def test_oco_that_buying_power_covers_for_its_cheaper_leg_only_is_refused(venue):
    """The take-profit would cost 900 and the stop 1,650: with 1,000 the stop is named."""
    poor = venue.account("poor", 1_000)
    reply = venue.oco(poor, BUY, 10, 90, 110)
    assert "INSUFFICIENT_BUYING_POWER" == code(reply)
    assert reply.refusal is not None
    assert "stop_loss" == reply.refusal.details["leg"]


def test_oco_with_buying_power_for_the_dearer_leg_alone_is_accepted(venue):
    """1,650 and a cent is enough: were both held, 2,550 would be needed."""
    account = venue.account("just enough", "1650.01")
    venue.legs(venue.oco(account, BUY, 10, 90, 110))
    assert 0 == venue.desk.accounts.by_id[account.int].funds


def test_oco_counts_unsettled_proceeds_as_its_account_does(venue):
    """What a sale will bring pays for a group only where the policy says so."""
    venue.place(venue.b, BUY, 20, 100)
    poor = venue.account("poor", 0)
    venue.hold(poor, 20)
    venue.place(poor, SELL, 20, 100)
    assert "INSUFFICIENT_BUYING_POWER" == code(venue.oco(poor, BUY, 10, 90, 110))
    free = venue.account("free", 0, use_unsettled=True)
    venue.hold(free, 20)
    venue.place(venue.b, BUY, 20, 100)
    venue.place(free, SELL, 20, 100)
    venue.legs(venue.oco(free, BUY, 10, 90, 110))


# -- refusals -------------------------------------------------------------------------------------


def test_oco_legs_of_unequal_quantity_are_refused(venue):
    """One group is one quantity."""
    reply = venue.oco(venue.a, SELL, 10, 110, 90, stop_qty=9)
    assert "LEG_QTY_MISMATCH" == code(reply)
    assert reply.refusal is not None
    assert ("10.00000000", "9.00000000") == (
        reply.refusal.details["take_profit"],
        reply.refusal.details["stop_loss"],
    )
    venue.legs(venue.oco(venue.a, SELL, 10, 110, 90, stop_qty=10))


@pytest.mark.parametrize(
    ("side", "profit", "stop"), [(SELL, 90, 90), (SELL, 90, 91), (BUY, 91, 90)]
)
def test_oco_take_profit_must_be_better_than_its_stop_loss(venue, side, profit, stop):
    """Else both would be met at once."""
    reply = venue.oco(venue.a, side, 10, profit, stop)
    assert "LEG_PRICE_ORDER" == code(reply)
    assert reply.refusal is not None
    assert "take_profit.limit_price" == reply.refusal.details["field"]


@pytest.mark.parametrize(
    ("terms", "field"),
    [
        ({"profit": None}, "take_profit.limit_price"),
        ({"stop": None}, "stop_loss.stop_price"),
        ({"stop": None, "stop_limit": 89}, "stop_loss.stop_price"),
        ({"kind": OrderType.MARKET}, "type"),
        ({"limit": 109}, "limit_price"),
        ({"entry_stop": 91}, "stop_price"),
        ({"tif": TimeInForce.IOC}, "time_in_force"),
        ({"tif": TimeInForce.FOK}, "time_in_force"),
        ({"tif": TimeInForce.GTD}, "expires_at"),
    ],
)
def test_oco_terms_that_do_not_fit_are_refused_by_their_field(venue, terms, field):
    """Both exits are needed, the parent is a limit, and it may rest."""
    wanted = {"profit": 110, "stop": 90, **terms}
    profit, stop = wanted.pop("profit"), wanted.pop("stop")
    reply = venue.oco(venue.a, SELL, 10, profit, stop, **wanted)
    assert "INVALID_FIELD" == code(reply)
    assert reply.refusal is not None
    assert field == reply.refusal.details["field"]


@pytest.mark.parametrize(
    ("profit", "stop", "stop_limit", "refusal", "leg", "field"),
    [
        ("110.005", 90, None, "TICK_VIOLATION", "take_profit", "take_profit.limit_price"),
        (110, "90.005", None, "TICK_VIOLATION", "stop_loss", "stop_loss.stop_price"),
        (110, 90, "89.005", "TICK_VIOLATION", "stop_loss", "stop_loss.limit_price"),
        (110, "90.00001", None, "PRICE_PRECISION", "stop_loss", "stop_loss.stop_price"),
        (49, 40, None, "PRICE_OUTSIDE_COLLAR", "take_profit", "take_profit.limit_price"),
    ],
)
def test_oco_refusal_names_the_leg_and_its_field(
    venue, profit, stop, stop_limit, refusal, leg, field
):
    """A client can tell which of the two prices was wrong."""
    reply = venue.oco(venue.a, SELL, 10, profit, stop, stop_limit=stop_limit)
    assert refusal == code(reply)
    assert reply.refusal is not None
    assert (leg, field) == (reply.refusal.details["leg"], reply.refusal.details["field"])


def test_oco_stop_loss_already_through_refuses_the_group(venue):
    """The market trades at 100: a stop to sell at 101 has nothing to wait for."""
    venue.place(venue.b, BUY, 1, 100)
    venue.place(venue.a, SELL, 1, 100)
    reply = venue.oco(venue.a, SELL, 10, 110, 101)
    assert "STOP_ALREADY_THROUGH" == code(reply)
    assert reply.refusal is not None
    assert ("stop_loss", "stop_loss.stop_price") == (
        reply.refusal.details["leg"],
        reply.refusal.details["field"],
    )


def test_oco_refused_leaves_one_rejected_parent_and_nothing_else(venue):
    """No leg, no group, no hold: one event of one order that never lived."""
    reply = venue.oco(venue.a, SELL, 2000, 110, 90, client="too much")
    [rejected] = venue.events
    assert isinstance(rejected, OrderRejected)
    assert ("too much", OrderClass.OCO, "INSUFFICIENT_QTY", wire(110)) == (
        rejected.client_order_id,
        rejected.order_class,
        rejected.code,
        rejected.limit_price_wire,
    )
    assert reply.refusal is not None
    assert "take_profit" == reply.refusal.details["leg"]
    assert {} == venue.desk.orders.groups


def test_oco_position_limit_refuses_the_group_and_names_the_leg():
    """Both legs are measured with all working orders, each by itself and not as a sum."""
    venue = group_desk(position_limit=shares(1010))
    reply = venue.oco(venue.a, BUY, 11, 90, 110)
    assert "POSITION_LIMIT_EXCEEDED" == code(reply)
    assert reply.refusal is not None
    assert "take_profit" == reply.refusal.details["leg"]
    venue.legs(venue.oco(venue.a, BUY, 10, 90, 110))
    assert "POSITION_LIMIT_EXCEEDED" == code(venue.place(venue.a, BUY, 1, 90))


def test_oco_of_a_stopped_account_is_refused(venue):
    """The kill switch stops groups as it stops orders."""

    venue.ok(SetKillSwitch(venue.a, True, "risk"))
    assert "ACCOUNT_KILL_SWITCH" == code(venue.oco(venue.a, SELL, 1, 110, 90))
