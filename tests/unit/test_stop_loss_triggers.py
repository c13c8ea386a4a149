"""When a group's stop-loss runs: what ends before it, what it sells, and gaps of every kind."""

import pytest

from application.commands import ChangeInstrument
from domain.events import (
    GroupEnded,
    GroupStopTriggered,
    OrderAdjusted,
    OrderCanceled,
    OrderFilled,
    OrderTriggered,
)
from domain.terms import (
    Adjustment,
    CancelReason,
    GroupEnd,
    OrderStatus,
    Remainder,
    Side,
    TimeInForce,
    TriggerRule,
)
from tests.model.desk_harness import shares
from tests.model.group_desk import GroupDesk, group_desk

BUY, SELL = Side.BUY, Side.SELL


@pytest.fixture
def venue() -> GroupDesk:
    """One open instrument and two accounts with cash and shares."""
    return group_desk()


def print_at(venue: GroupDesk, price, qty=1) -> None:
    """Let b sell to c at a price, on top of all other bids."""
    if "c" not in venue.desk.accounts.by_name:
        venue.account("c")
    buyer = venue.desk.accounts.by_name["c"].id
    venue.place(buyer, BUY, qty, price)
    venue.place(venue.b, SELL, qty, price)


def test_stop_loss_cancels_the_take_profit_before_it_reaches_the_book(venue):
    """Triggered, canceled, adjusted, elected, filled, over: in this order, in one decision."""
    legs = venue.legs(venue.oco(venue.a, SELL, 10, 110, 90))
    venue.place(venue.b, BUY, 10, 89)
    print_at(venue, 90)
    assert [
        "stop_loss oco.stop_triggered",
        "take_profit order.canceled",
        "stop_loss order.adjusted",
        "stop_loss order.triggered",
        "stop_loss order.filled",
        "stop_loss oco.leg_filled",
        "none oco.ended",
    ] == venue.names(legs)
    assert 1 == len({event.correlation_id for event in venue.events})
    [ended] = venue.happened(GroupEnded)
    assert (GroupEnd.STOP_LOSS, shares(10)) == (ended.reason, ended.filled)


def test_stop_loss_that_runs_takes_over_what_the_take_profit_reserved(venue):
    """The shares are set aside once, before and after."""
    legs = venue.legs(venue.oco(venue.a, SELL, 10, 110, 90, stop_limit=90))
    print_at(venue, 90)
    stop = venue.order(legs.stop_loss)
    assert (OrderStatus.NEW, shares(10)) == (stop.status, stop.hold_qty)
    [adjusted] = venue.happened(OrderAdjusted)
    assert (Adjustment.STOP_TRIGGERED, shares(10)) == (adjusted.reason, adjusted.hold_qty_after)
    assert [(str(legs.stop_loss), 90_0000, shares(10))] == venue.book(SELL)


def test_stop_loss_takes_over_the_margin_of_the_group(venue):
    """What was held for the dearer leg stays held for it, not a cent more."""
    legs = venue.legs(venue.oco(venue.a, BUY, 10, 90, 110, stop_limit=111))
    held = venue.desk.accounts.by_id[venue.a.int].held
    print_at(venue, 110)
    assert (held, held) == (
        venue.order(legs.stop_loss).hold,
        venue.desk.accounts.by_id[venue.a.int].held,
    )


def test_stop_loss_after_a_partial_take_profit_sells_what_is_left(venue):
    """Six of ten: never more than the group."""
    legs = venue.legs(venue.oco(venue.a, SELL, 10, 110, 90))
    venue.place(venue.b, BUY, 4, 110)
    venue.place(venue.b, BUY, 50, 89)
    print_at(venue, 90)
    sold = [e.qty for e in venue.happened(OrderFilled) if e.originator_id == legs.stop_loss]
    assert [shares(6)] == sold
    [triggered] = venue.happened(GroupStopTriggered)
    assert shares(6) == triggered.left


def test_stop_loss_that_finds_nobody_ends_the_group_where_its_remainder_is_canceled(venue):
    """No fill without a counterparty: the remainder is canceled and the shares are free."""
    venue.ok(ChangeInstrument("X", remainder=int(Remainder.CANCEL)))
    venue.oco(venue.a, SELL, 10, 110, 90)
    print_at(venue, 90)
    assert [CancelReason.OTHER_LEG, CancelReason.NO_LIQUIDITY] == [
        e.reason for e in venue.happened(OrderCanceled)
    ]
    [ended] = venue.happened(GroupEnded)
    assert (GroupEnd.STOP_LOSS, 0) == (ended.reason, ended.filled)
    position = next(p for p in venue.desk.accounts.positions.values() if p.account_id == venue.a)
    assert 0 == position.reserved


def test_stop_loss_with_a_limit_rests_when_nobody_pays_it(venue):
    """The group lives on with its stop alone, and ends when that is filled."""
    legs = venue.legs(venue.oco(venue.a, SELL, 10, 110, 90, stop_limit=90))
    print_at(venue, 90)
    assert legs.group.int in venue.desk.orders.groups
    venue.place(venue.b, BUY, 4, 90)
    assert 6 == venue.leaves(legs.stop_loss)
    venue.place(venue.b, BUY, 6, 90)
    assert GroupEnd.STOP_LOSS == venue.happened(GroupEnded)[0].reason


def test_stop_loss_resting_at_its_limit_may_be_canceled(venue):
    """Then the group was canceled, not stopped."""
    legs = venue.legs(venue.oco(venue.a, SELL, 10, 110, 90, stop_limit=90))
    print_at(venue, 90)
    venue.cancel(venue.a, legs.stop_loss)
    assert GroupEnd.CANCELED == venue.happened(GroupEnded)[0].reason


def test_stop_loss_event_says_which_prices_were_seen(venue):
    """Between 88 and 90, and no gap: nothing came near the take-profit."""
    venue.oco(venue.a, SELL, 10, 110, "88.5")
    venue.place(venue.b, BUY, 1, 90)
    venue.place(venue.b, BUY, 1, 88)
    venue.place(venue.a, SELL, 2, 88)
    [triggered] = venue.happened(GroupStopTriggered)
    assert (88_0000, 90_0000, False) == (
        triggered.low_price,
        triggered.high_price,
        triggered.gap,
    )


def test_stop_loss_gap_at_the_open_offers_the_take_profit_first(venue):
    """An uncross at 110 with a mark of 85: four filled at 110, six stopped in one decision."""
    venue.ok(ChangeInstrument("X", trigger_rule=int(TriggerRule.MARK)))
    legs = venue.legs(venue.oco(venue.a, SELL, 10, 110, 90))
    venue.close()
    venue.place(venue.b, BUY, 4, 112)
    venue.place(venue.b, BUY, 50, 80)
    venue.mark(85)
    venue.open()
    fills = [
        (e.originator_id, e.qty, e.price) for e in venue.happened(OrderFilled) if e.side == SELL
    ]
    [(first, four, at_auction), (second, six, at_bid)] = fills
    assert (legs.take_profit, shares(4)) == (first, four)
    assert at_auction >= 110_0000
    assert (legs.stop_loss, shares(6), 80_0000) == (second, six, at_bid)
    [triggered] = venue.happened(GroupStopTriggered)
    assert (85_0000, at_auction, True, shares(6)) == (
        triggered.low_price,
        triggered.high_price,
        triggered.gap,
        triggered.left,
    )


def test_stop_loss_gap_that_fills_the_take_profit_whole_never_runs_the_stop(venue):
    """The better leg had it all: nothing is left to stop."""
    venue.ok(ChangeInstrument("X", trigger_rule=int(TriggerRule.MARK)))
    venue.oco(venue.a, SELL, 10, 110, 90)
    venue.close()
    venue.place(venue.b, BUY, 10, 112)
    venue.mark(85)
    venue.open()
    assert [] == venue.happened(GroupStopTriggered, OrderTriggered)
    assert GroupEnd.TAKE_PROFIT == venue.happened(GroupEnded)[0].reason


def test_stop_loss_gap_without_a_bid_at_the_take_profit_fills_nothing_there(venue):
    """A mark through both levels makes no counterparty: the stop runs for all of it."""
    venue.ok(ChangeInstrument("X", trigger_rule=int(TriggerRule.MARK)))
    legs = venue.legs(venue.oco(venue.a, SELL, 10, 110, 90))
    venue.place(venue.b, BUY, 10, 80)
    venue.mark(115)
    assert 10 == venue.leaves(legs.take_profit)
    venue.mark(85)
    fills = [e for e in venue.happened(OrderFilled) if e.side == SELL]
    assert [(legs.stop_loss, 80_0000)] == [(e.originator_id, e.price) for e in fills]


def test_stop_loss_gap_in_a_cascade_runs_for_what_the_take_profit_left(venue):
    """A buy stop lifts the offers to 110, a sell stop hits the bids to 88, one decision."""
    c = venue.account("c")
    venue.hold(c, 100)
    legs = venue.legs(venue.oco(venue.a, SELL, 10, 110, 90))
    venue.place(c, BUY, 40, 88)
    # The cascade: a print at 100 elects a buy that lifts to 110, which elects a sell to 88.
    venue.place(c, SELL, 1, 100)
    venue.place(venue.b, BUY, 4, stop=100, client="up")
    venue.place(venue.b, SELL, 5, stop=100, client="down")
    d = venue.account("d")
    venue.place(d, BUY, 1, 100)
    assert ["up", "down"] == [label for label, _, _ in venue.elections()[:2]]
    fills = [
        (e.originator_id, e.qty, e.price)
        for e in venue.happened(OrderFilled)
        if e.originator_id in legs
    ]
    assert [
        (legs.take_profit, shares(4), 110_0000),
        (legs.stop_loss, shares(6), 88_0000),
    ] == fills
    [triggered] = venue.happened(GroupStopTriggered)
    assert (88_0000, 110_0000, True) == (
        triggered.low_price,
        triggered.high_price,
        triggered.gap,
    )


def test_stop_loss_by_the_bid_runs_when_the_bid_falls(venue):
    """With the quote as rule no trade is needed: the bids above 90 go, the stop runs."""
    venue.ok(ChangeInstrument("X", trigger_rule=int(TriggerRule.BID_ASK)))
    support = venue.place(venue.b, BUY, 10, 95)
    venue.place(venue.b, BUY, 10, 89)
    legs = venue.legs(venue.oco(venue.a, SELL, 10, 110, 90))
    assert support.order is not None
    venue.cancel(venue.b, support.order.order_id)
    [triggered] = venue.happened(GroupStopTriggered)
    assert (legs.stop_loss, 89_0000, False) == (
        triggered.order_id,
        triggered.low_price,
        triggered.gap,
    )


def test_stop_losses_of_two_groups_run_in_order_of_acceptance(venue):
    """Each cancels its own take-profit when its turn comes."""
    first = venue.legs(venue.oco(venue.a, SELL, 5, 110, 90))
    second = venue.legs(venue.oco(venue.a, SELL, 5, 111, 91))
    venue.place(venue.b, BUY, 20, 88)
    print_at(venue, 90)
    assert [first.stop_loss, second.stop_loss] == [
        e.originator_id for e in venue.happened(OrderTriggered)
    ]
    assert [first.take_profit, second.take_profit] == [
        e.originator_id for e in venue.happened(OrderCanceled)
    ]


def test_stop_loss_whose_condition_was_met_is_dropped_when_its_group_ends_first(venue):
    """A stop that waits its turn in a cascade goes with its group, and never trades."""
    c = venue.account("c")
    venue.hold(c, 100)
    # Accepted first, so first in turn: it lifts the whole take-profit.
    venue.place(venue.b, BUY, 10, stop=101, client="lifts")
    legs = venue.legs(venue.oco(venue.a, SELL, 10, 110, 90))
    venue.place(c, BUY, 1, 89)
    venue.place(c, SELL, 1, 101)
    d = venue.account("d")
    venue.hold(d, 10)
    venue.place(d, BUY, 1, 101)
    assert [
        "take_profit order.filled",
        "take_profit oco.leg_filled",
        "stop_loss order.canceled",
        "none oco.ended",
    ] == venue.names(legs)
    venue.place(d, SELL, 1, 89)
    assert [] == venue.happened(OrderTriggered)


def test_stop_loss_does_not_run_while_the_instrument_is_halted(venue):
    """A mark through the stop in a halt waits for the resume, and runs then."""
    venue.ok(ChangeInstrument("X", trigger_rule=int(TriggerRule.MARK)))
    legs = venue.legs(venue.oco(venue.a, SELL, 10, 110, 90, tif=TimeInForce.DAY))
    venue.place(venue.b, BUY, 10, 88)
    venue.halt()
    venue.mark(85)
    assert "held" == venue.status(legs.stop_loss)
    venue.resume()
    assert "filled" == venue.status(legs.stop_loss)
