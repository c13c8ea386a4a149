"""Brackets and otos: exits that grow with each fill of their entry, in that fill's decision."""

import pytest

from application.commands import ChangeInstrument, SetCommissionSchedule
from domain.commission import MAX_BPS_RATE, Kind, Schedule
from domain.events import (
    GroupEnded,
    GroupEntryFilled,
    GroupResized,
    GroupStopTriggered,
    OrderAccepted,
    OrderAdjusted,
    OrderCanceled,
    OrderExpired,
    OrderFilled,
    OrderRejected,
)
from domain.terms import (
    Adjustment,
    CancelReason,
    GroupEnd,
    Leg,
    OrderClass,
    OrderStatus,
    Remainder,
    SelfTrade,
    Side,
    TimeInForce,
    TriggerRule,
)
from tests.model.desk_harness import code, shares
from tests.model.group_desk import GroupDesk, group_desk

BUY, SELL = Side.BUY, Side.SELL


@pytest.fixture
def venue() -> GroupDesk:
    """One open instrument and two accounts with cash and shares."""
    return group_desk()


def position_of(venue: GroupDesk, account):
    """The account's position."""
    return next(p for p in venue.desk.accounts.positions.values() if p.account_id == account)


def print_at(venue: GroupDesk, price) -> None:
    """Let two others trade at a price."""
    if "c" not in venue.desk.accounts.by_name:
        venue.account("c")
    venue.place(venue.desk.accounts.by_name["c"].id, BUY, 1, price)
    venue.place(venue.b, SELL, 1, price)


def test_bracket_shows_its_entry_as_parent_and_both_exits_as_held_children(venue):
    """Until the entry buys something, take-profit and stop-loss are nowhere in the market."""
    reply = venue.bracket(venue.a, BUY, 10, 110, 90, limit=100, client="entry")
    legs = venue.legs(reply)
    assert reply.order is not None
    assert (Leg.ENTRY, "entry", OrderStatus.NEW) == (
        reply.order.leg,
        reply.order.client_order_id,
        reply.order.status,
    )
    assert [(Leg.TAKE_PROFIT, OrderStatus.HELD), (Leg.STOP_LOSS, OrderStatus.HELD)] == [
        (view.leg, view.status) for view in reply.legs
    ]
    assert [] == venue.book(SELL)
    assert 0 == len(venue.desk.markets.by_symbol["X"].stops)
    assert not venue.order(legs.take_profit).armed


def test_bracket_exits_hold_nothing_until_the_entry_fills(venue):
    """Only the entry binds money; no share is set aside."""
    venue.bracket(venue.a, BUY, 10, 110, 90, limit=100)
    assert 1000_01 == venue.desk.accounts.by_id[venue.a.int].held
    assert 0 == position_of(venue, venue.a).reserved


@pytest.mark.parametrize("fills", [(10,), (3, 7), (3, 3, 4), (1, 2, 3, 4)])
def test_bracket_take_profit_and_stop_loss_grow_with_each_fill_of_the_entry(venue, fills):
    """In each fill's own decision the exits are for all that was bought, and reserve it."""
    legs = venue.legs(venue.bracket(venue.a, BUY, 10, 110, 90, limit=100))
    bought = 0
    for qty in fills:
        bought += qty
        venue.place(venue.b, SELL, qty, 100)
        [grown] = venue.happened(GroupEntryFilled)
        assert (shares(qty), shares(bought), shares(bought)) == (
            grown.qty,
            grown.entry_filled_after,
            grown.exit_qty_after,
        )
        assert 1 == len({event.correlation_id for event in venue.events})
        assert bought == venue.leaves(legs.take_profit) == venue.leaves(legs.stop_loss)
        assert ("new", "held") == (venue.status(legs.take_profit), venue.status(legs.stop_loss))
        assert shares(bought) == position_of(venue, venue.a).reserved
    assert "filled" == venue.status(legs.entry)


def test_bracket_take_profit_queues_anew_each_time_it_grows(venue):
    """More quantity has no claim to the old place."""
    venue.legs(venue.bracket(venue.a, BUY, 10, 110, 90, limit=100))
    venue.place(venue.b, SELL, 3, 100)
    venue.place(venue.b, SELL, 1, 110, client="other")
    venue.place(venue.b, SELL, 3, 100)
    assert "other" == venue.book(SELL)[0][0]


def test_bracket_with_a_market_entry_has_its_exits_in_one_decision(venue):
    """Entry, fills and both exits at work: one command, one correlation id."""
    venue.place(venue.b, SELL, 6, 100)
    venue.place(venue.b, SELL, 4, 101)
    legs = venue.legs(venue.bracket(venue.a, BUY, 10, 110, 90))
    assert (10, 10) == (venue.leaves(legs.take_profit), venue.leaves(legs.stop_loss))
    [grown] = venue.happened(GroupEntryFilled)
    assert shares(10) == grown.qty
    assert 1 == len({event.correlation_id for event in venue.events})


def test_bracket_with_a_stop_entry_waits_with_all_its_legs(venue):
    """The entry is elected at 105 and brings its exits along."""
    legs = venue.legs(venue.bracket(venue.a, BUY, 10, 120, 95, entry_stop=105))
    assert {"held"} == {venue.status(legs.take_profit), venue.status(legs.stop_loss)}
    venue.place(venue.b, SELL, 20, 106)
    print_at(venue, 105)
    assert "filled" == venue.status(legs.entry)
    assert (10, 10) == (venue.leaves(legs.take_profit), venue.leaves(legs.stop_loss))


def test_bracket_market_entry_that_finds_nobody_ends_the_group(venue):
    """No entry, no exits: all three end in the decision that placed them."""
    venue.ok(ChangeInstrument("X", remainder=int(Remainder.CANCEL)))
    reply = venue.bracket(venue.a, BUY, 10, 110, 90)
    legs = venue.legs(reply)
    assert {"canceled"} == {venue.status(one) for one in legs[1:]}
    reasons = {e.originator_id: e.reason for e in venue.happened(OrderCanceled)}
    assert CancelReason.ENTRY_UNFILLED == reasons[legs.take_profit] == reasons[legs.stop_loss]
    assert GroupEnd.ENTRY_UNFILLED == venue.happened(GroupEnded)[0].reason


def test_bracket_market_entry_filled_in_part_keeps_stop_loss_for_what_it_bought(venue):
    """The remainder found nobody; the exits protect the four that were bought."""
    venue.ok(ChangeInstrument("X", remainder=int(Remainder.CANCEL)))
    venue.place(venue.b, SELL, 4, 100)
    legs = venue.legs(venue.bracket(venue.a, BUY, 10, 110, 90))
    assert "canceled" == venue.status(legs.entry)
    assert (4, 4) == (venue.leaves(legs.take_profit), venue.leaves(legs.stop_loss))
    [resized] = venue.happened(GroupResized)
    assert (Adjustment.ENTRY_ENDED, shares(4), shares(4)) == (
        resized.reason,
        resized.qty_after,
        resized.exit_qty_after,
    )


def test_bracket_entry_canceled_after_a_partial_fill_leaves_take_profit_and_stop_loss(venue):
    """A cancel of the entry takes back what was not bought, not what protects the rest."""
    legs = venue.legs(venue.bracket(venue.a, BUY, 10, 110, 90, limit=100))
    venue.place(venue.b, SELL, 4, 100)
    venue.cancel(venue.a, legs.entry)
    assert ("canceled", "new", "held") == tuple(venue.status(one) for one in legs[1:])
    assert (4, 4) == (venue.leaves(legs.take_profit), venue.leaves(legs.stop_loss))
    assert shares(4) == venue.desk.orders.groups[legs.group.int].qty
    venue.place(venue.b, BUY, 4, 110)
    assert GroupEnd.TAKE_PROFIT == venue.happened(GroupEnded)[0].reason


def test_bracket_entry_canceled_unfilled_cancels_take_profit_and_stop_loss(venue):
    """Nothing was bought: the whole group goes."""
    legs = venue.legs(venue.bracket(venue.a, BUY, 10, 110, 90, limit=100))
    venue.cancel(venue.a, legs.entry)
    assert {"canceled"} == {venue.status(one) for one in legs[1:]}
    assert GroupEnd.CANCELED == venue.happened(GroupEnded)[0].reason
    assert 0 == venue.desk.accounts.by_id[venue.a.int].held


def test_bracket_take_profit_filled_whole_ends_what_is_left_of_the_entry(venue):
    """The trade is over: the entry does not go on buying without exits."""
    legs = venue.legs(venue.bracket(venue.a, BUY, 10, 110, 90, limit=100))
    venue.place(venue.b, SELL, 4, 100)
    venue.place(venue.b, BUY, 4, 110)
    reasons = {e.originator_id: e.reason for e in venue.happened(OrderCanceled)}
    assert {CancelReason.OTHER_LEG} == {reasons[legs.entry], reasons[legs.stop_loss]}
    assert GroupEnd.TAKE_PROFIT == venue.happened(GroupEnded)[0].reason
    assert 0 == venue.desk.accounts.by_id[venue.a.int].held


def test_bracket_stop_loss_ends_the_entry_before_it_runs(venue):
    """Else it would sell to its own entry."""
    venue.ok(ChangeInstrument("X", trigger_rule=int(TriggerRule.MARK)))
    legs = venue.legs(venue.bracket(venue.a, BUY, 10, 110, 90, limit=100))
    venue.place(venue.b, SELL, 4, 100)
    venue.place(venue.b, BUY, 4, 89)
    venue.mark(85)
    canceled = [e.originator_id for e in venue.happened(OrderCanceled)]
    assert [legs.take_profit, legs.entry] == canceled
    fills = [e for e in venue.happened(OrderFilled) if e.side == SELL]
    assert [(legs.stop_loss, 89_0000)] == [(e.originator_id, e.price) for e in fills]


def test_bracket_take_profit_growth_after_a_partial_exit_counts_what_was_sold(venue):
    """Bought 6, sold 2, bought 4 more: eight are left to exit, of ten in all."""
    legs = venue.legs(venue.bracket(venue.a, BUY, 10, 110, 90, limit=100))
    venue.place(venue.b, SELL, 6, 100)
    venue.place(venue.b, BUY, 2, 110)
    assert (4, 4) == (venue.leaves(legs.take_profit), venue.leaves(legs.stop_loss))
    venue.place(venue.b, SELL, 4, 100)
    assert (8, 8) == (venue.leaves(legs.take_profit), venue.leaves(legs.stop_loss))
    group = venue.desk.orders.groups[legs.group.int]
    assert (shares(10), shares(2)) == (group.exit_qty, group.filled)


def test_bracket_take_profit_armed_into_a_higher_market_trades_at_once(venue):
    """The market moved past the target while the entry slept: sold to the bid, first of all."""
    venue.ok(ChangeInstrument("X", trigger_rule=int(TriggerRule.MARK)))
    legs = venue.legs(venue.bracket(venue.a, BUY, 10, 110, 90, entry_stop=105))
    venue.place(venue.b, BUY, 3, 112)
    offered = venue.place(venue.b, SELL, 10, 113)
    assert offered.refusal is None
    venue.mark(106)
    [at_target] = [e for e in venue.happened(OrderFilled) if e.originator_id == legs.take_profit]
    assert (shares(3), 112_0000) == (at_target.qty, at_target.price)
    assert (7, 7) == (venue.leaves(legs.take_profit), venue.leaves(legs.stop_loss))


def test_bracket_stop_loss_already_through_when_armed_runs_in_the_same_decision(venue):
    """Take-profit first at the book, then the stop for the rest, all with the entry's fill."""
    venue.ok(ChangeInstrument("X", trigger_rule=int(TriggerRule.MARK)))
    legs = venue.legs(venue.bracket(venue.a, BUY, 10, 110, 90, limit=100))
    venue.mark(85)
    venue.place(venue.b, BUY, 10, 84)
    venue.place(venue.b, SELL, 4, 100)
    names = venue.names(legs)
    assert [
        "entry order.filled",
        "entry oco.entry_filled",
        "stop_loss order.adjusted",
        "take_profit order.adjusted",
        "stop_loss oco.stop_triggered",
        "take_profit order.canceled",
        "entry order.canceled",
        "stop_loss order.adjusted",
        "stop_loss order.triggered",
        "stop_loss order.filled",
        "stop_loss oco.leg_filled",
        "none oco.ended",
    ] == names
    assert 85_0000 == venue.happened(GroupStopTriggered)[0].low_price


def test_bracket_sweep_through_entry_and_stop_loss_is_one_decision(venue):
    """One sale that buys the entry in at 100 and prints 88 below stops it out at once."""
    legs = venue.legs(venue.bracket(venue.a, BUY, 10, 110, 90, limit=100))
    c = venue.account("c")
    venue.place(c, BUY, 1, 88)
    venue.place(c, BUY, 20, 87)
    venue.place(venue.b, SELL, 11, 88)
    assert ("filled", "canceled", "filled") == tuple(venue.status(one) for one in legs[1:])
    assert GroupEnd.STOP_LOSS == venue.happened(GroupEnded)[0].reason


def test_bracket_expires_with_its_session_whatever_was_filled(venue):
    """A day bracket filled in part leaves neither entry nor exits to the next day."""
    legs = venue.legs(venue.bracket(venue.a, BUY, 10, 110, 90, limit=100, tif=TimeInForce.DAY))
    venue.place(venue.b, SELL, 4, 100)
    venue.close()
    venue.expire()
    assert {"expired"} == {venue.status(one) for one in legs[1:]}
    assert {} == venue.desk.orders.groups
    assert 0 == position_of(venue, venue.a).reserved


def test_bracket_that_expires_unfilled_expires_all_of_it(venue):
    """No leg of it is canceled, all are expired."""
    venue.bracket(venue.a, BUY, 10, 110, 90, limit=100, tif=TimeInForce.DAY)
    venue.close()
    venue.expire()
    assert 3 == len([e for e in venue.log if isinstance(e, OrderExpired)])
    ends = [e.reason for e in venue.log if isinstance(e, GroupEnded)]
    assert [GroupEnd.EXPIRED] == ends


def test_bracket_entry_bust_shrinks_take_profit_and_stop_loss_to_what_is_held(venue):
    """The shares were never bought, so they cannot be sold."""
    account = venue.account("new")
    legs = venue.legs(venue.bracket(account, BUY, 10, 110, 90, limit=100))
    venue.place(venue.b, SELL, 6, 100)
    venue.place(venue.b, SELL, 4, 100)
    venue.bust_last()
    assert (6, 6) == (venue.leaves(legs.take_profit), venue.leaves(legs.stop_loss))
    [resized] = venue.happened(GroupResized)
    assert (Adjustment.POSITION_SHRANK, shares(6)) == (resized.reason, resized.exit_qty_after)


def test_bracket_entry_bust_whole_ends_take_profit_and_stop_loss(venue):
    """Nothing is held any more: the group is over, its position closed."""
    account = venue.account("new")
    legs = venue.legs(venue.bracket(account, BUY, 10, 110, 90, limit=100))
    venue.place(venue.b, SELL, 10, 100)
    venue.bust_last()
    assert ("canceled", "canceled") == (
        venue.status(legs.take_profit),
        venue.status(legs.stop_loss),
    )
    assert GroupEnd.POSITION_CLOSED == venue.happened(GroupEnded)[0].reason


def test_bracket_short_entry_takes_profit_below_and_stops_the_loss_above():
    """The mirror image, in a margin account."""
    venue = group_desk(shortable=True)
    account = venue.margin_account("m")
    legs = venue.legs(venue.bracket(account, SELL, 10, 90, 110, limit=100))
    venue.place(venue.b, BUY, 4, 100)
    assert [("g" in label, price) for label, price, _ in venue.book(BUY)] == [(False, 90_0000)]
    assert (4, 4) == (venue.leaves(legs.take_profit), venue.leaves(legs.stop_loss))
    venue.place(venue.b, BUY, 6, 100)
    venue.place(venue.b, SELL, 10, 111)
    print_at(venue, 110)
    assert "filled" == venue.status(legs.stop_loss)
    assert 0 == position_of(venue, account).qty


# -- one exit ------------------------------------------------------------------------------------


def test_oto_stop_loss_alone_works_for_itself_when_armed(venue):
    """It is no child of a take-profit: new, with the shares reserved under its own id."""
    legs = venue.legs(venue.oto(venue.a, BUY, 10, limit=100, stop=90))
    assert "held" == venue.status(legs.stop_loss)
    venue.place(venue.b, SELL, 4, 100)
    stop = venue.order(legs.stop_loss)
    assert (OrderStatus.NEW, shares(4), shares(4)) == (stop.status, stop.leaves, stop.hold_qty)
    venue.cancel(venue.a, legs.entry)
    venue.place(venue.b, BUY, 4, 89)
    print_at(venue, 90)
    assert GroupEnd.STOP_LOSS == venue.happened(GroupEnded)[0].reason


def test_oto_take_profit_alone_grows_and_ends_the_group(venue):
    """An entry and one exit, nothing to cancel but the entry's remainder."""
    legs = venue.legs(venue.oto(venue.a, BUY, 10, limit=100, profit=110))
    venue.place(venue.b, SELL, 4, 100)
    venue.place(venue.b, SELL, 6, 100)
    assert 10 == venue.leaves(legs.take_profit)
    venue.place(venue.b, BUY, 10, 110)
    assert ["take_profit order.filled", "take_profit oco.leg_filled", "none oco.ended"] == (
        venue.names(legs)
    )


@pytest.mark.parametrize("exits", [{}, {"profit": 110, "stop": 90}])
def test_oto_has_exactly_one_of_take_profit_and_stop_loss(venue, exits):
    """With both it is a bracket, with none an order."""
    assert "INVALID_FIELD" == code(venue.oto(venue.a, BUY, 10, limit=100, **exits))


# -- refusals ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("profit", "stop", "entry", "field"),
    [
        (100, 90, {"limit": 100}, "take_profit.limit_price"),
        (99, 90, {"limit": 100}, "take_profit.limit_price"),
        (110, 100, {"limit": 100}, "stop_loss.stop_price"),
        (110, 101, {"limit": 100}, "stop_loss.stop_price"),
        (104, 90, {"entry_stop": 105}, "take_profit.limit_price"),
        (120, 106, {"entry_stop": 105, "limit": 107}, "stop_loss.stop_price"),
        (90, 110, {}, "take_profit.limit_price"),
    ],
)
def test_bracket_take_profit_and_stop_loss_stand_on_their_sides_of_the_entry(
    venue, profit, stop, entry, field
):
    """An exit that the entry's own price would meet is no exit."""
    reply = venue.bracket(venue.a, BUY, 10, profit, stop, **entry)
    assert "LEG_PRICE_ORDER" == code(reply)
    assert reply.refusal is not None
    assert field == reply.refusal.details["field"]


@pytest.mark.parametrize(
    ("terms", "refusal", "leg", "field"),
    [
        ({"limit": "100.005"}, "TICK_VIOLATION", "entry", "limit_price"),
        ({"profit": "110.005"}, "TICK_VIOLATION", "take_profit", "take_profit.limit_price"),
        ({"stop": "90.005"}, "TICK_VIOLATION", "stop_loss", "stop_loss.stop_price"),
        ({"stop_limit": "89.005"}, "TICK_VIOLATION", "stop_loss", "stop_loss.limit_price"),
        ({"qty": 20_000}, "INSUFFICIENT_BUYING_POWER", "entry", "qty"),
    ],
)
def test_bracket_refusal_names_the_leg_stop_loss_take_profit_or_entry(
    venue, terms, refusal, leg, field
):
    """One refused leg refuses the group, on the id of its entry."""
    wanted = {"qty": 10, "profit": 110, "stop": 90, "limit": 100, **terms}
    qty, profit, stop = wanted.pop("qty"), wanted.pop("profit"), wanted.pop("stop")
    reply = venue.bracket(venue.a, BUY, qty, profit, stop, **wanted)
    assert refusal == code(reply)
    assert reply.refusal is not None
    assert (leg, field) == (reply.refusal.details["leg"], reply.refusal.details["field"])
    [rejected] = venue.events
    assert isinstance(rejected, OrderRejected)
    assert OrderClass.BRACKET == rejected.order_class


def test_bracket_entry_must_open_a_position_for_its_stop_loss_to_protect(venue):
    """A sale of held shares has nothing to exit afterwards."""
    reply = venue.bracket(venue.a, SELL, 10, 90, 110, limit=100)
    assert "INVALID_FIELD" == code(reply)
    assert reply.refusal is not None
    assert ("entry", "side") == (reply.refusal.details["leg"], reply.refusal.details["field"])


def test_bracket_take_profit_on_unsettled_money_is_free_riding(venue):
    """Bought with proceeds that have not settled, the exits could not be sold: refused now."""
    account = venue.account("quick", 0, use_unsettled=True)
    venue.hold(account, 100)
    venue.place(venue.b, BUY, 100, 100)
    venue.place(account, SELL, 100, 100)
    reply = venue.bracket(account, BUY, 10, 110, 90, limit=100)
    assert "FREE_RIDING" == code(reply)
    assert reply.refusal is not None
    assert "take_profit" == reply.refusal.details["leg"]
    only_stop = venue.oto(account, BUY, 10, limit=100, stop=90)
    assert only_stop.refusal is not None
    assert "stop_loss" == only_stop.refusal.details["leg"]
    assert "" == code(venue.place(account, BUY, 10, 100))


def test_bracket_take_profit_and_stop_loss_never_grow_by_unpaid_shares(venue):
    """Covered when placed, but what a trade costs has doubled its price since."""
    account = venue.account("quick", 1_500, use_unsettled=True)
    venue.hold(account, 100)
    venue.place(venue.b, BUY, 100, 100)
    venue.place(account, SELL, 100, 100)
    legs = venue.legs(venue.bracket(account, BUY, 10, 110, 90, limit=100))
    whole = Schedule(int(Kind.BPS), ((0, MAX_BPS_RATE, MAX_BPS_RATE),))
    venue.ok(SetCommissionSchedule(account, *whole))
    venue.place(venue.b, SELL, 10, 100)
    position = position_of(venue, account)
    group = venue.desk.orders.groups.get(legs.group.int)
    assert position.unpaid > 0
    assert group is None or group.exit_qty <= position.qty - position.unpaid


def test_bracket_take_profit_does_not_meet_its_own_entry(venue):
    """Both rest on their sides of the book and never cross."""
    legs = venue.legs(
        venue.bracket(venue.a, BUY, 10, 110, 90, limit=100, self_trade=SelfTrade.CANCEL_BOTH)
    )
    venue.place(venue.b, SELL, 4, 100)
    assert (6, 4) == (venue.leaves(legs.entry), venue.leaves(legs.take_profit))


def test_bracket_stop_loss_and_take_profit_adjustments_say_why(venue):
    """Entry filled, other leg filled: each adjustment carries its reason, group and leg."""
    legs = venue.legs(venue.bracket(venue.a, BUY, 10, 110, 90, limit=100))
    venue.place(venue.b, SELL, 10, 100)
    assert [(Leg.STOP_LOSS, 2), (Leg.TAKE_PROFIT, 2)] == [
        (e.leg, e.reason) for e in venue.happened(OrderAdjusted)
    ]
    venue.place(venue.b, BUY, 1, 110)
    assert [(Leg.STOP_LOSS, 1, legs.group)] == [
        (e.leg, e.reason, e.group_id) for e in venue.happened(OrderAdjusted)
    ]


def test_bracket_accepts_parent_take_profit_and_stop_loss_in_this_order(venue):
    """As nested orders are listed."""
    venue.bracket(venue.a, BUY, 10, 110, 90, limit=100)
    assert [Leg.ENTRY, Leg.TAKE_PROFIT, Leg.STOP_LOSS] == [
        e.leg for e in venue.happened(OrderAccepted)
    ]
