"""What a fill of the take-profit means for the stop-loss, in the same decision."""

import pytest

from application.commands import ChangeInstrument
from domain.events import (
    GroupEnded,
    GroupLegFilled,
    MarginReleased,
    OrderAdjusted,
    OrderCanceled,
    OrderFilled,
    QuantityReleased,
)
from domain.terms import Adjustment, CancelReason, GroupEnd, Leg, SelfTrade, Side, TimeInForce
from tests.model.desk_harness import shares
from tests.model.group_desk import GroupDesk, group_desk

BUY, SELL = Side.BUY, Side.SELL


@pytest.fixture
def venue() -> GroupDesk:
    """One open instrument and two accounts with cash and shares."""
    return group_desk()


def test_take_profit_filled_whole_cancels_the_stop_loss_in_the_same_decision(venue):
    """The sibling's cancel bears the correlation id, and the instant, of the execution."""
    legs = venue.legs(venue.oco(venue.a, SELL, 10, 110, 90))
    venue.place(venue.b, BUY, 10, 110)
    [fill] = [e for e in venue.happened(OrderFilled) if e.originator_id == legs.take_profit]
    [cancel] = venue.happened(OrderCanceled)
    assert (legs.stop_loss, CancelReason.OTHER_LEG) == (cancel.originator_id, cancel.reason)
    assert (fill.correlation_id, fill.at) == (cancel.correlation_id, cancel.at)


def test_take_profit_filled_whole_ends_the_group_last_and_once(venue):
    """Fill, what it means for the group, the sibling's cancel, the end: in this order."""
    legs = venue.legs(venue.oco(venue.a, SELL, 10, 110, 90))
    venue.place(venue.b, BUY, 10, 110)
    assert [
        "take_profit order.filled",
        "take_profit oco.leg_filled",
        "stop_loss order.canceled",
        "none oco.ended",
    ] == venue.names(legs)
    [ended] = venue.happened(GroupEnded)
    assert (GroupEnd.TAKE_PROFIT, shares(10)) == (ended.reason, ended.filled)
    assert legs.group.int not in venue.desk.orders.groups


@pytest.mark.parametrize("filled", [1, 4, 9])
def test_take_profit_filled_in_part_leaves_the_stop_loss_the_same_quantity(venue, filled):
    """Equal legs shrink by equal quantities."""
    legs = venue.legs(venue.oco(venue.a, SELL, 10, 110, 90))
    venue.place(venue.b, BUY, filled, 110)
    assert venue.leaves(legs.take_profit) == venue.leaves(legs.stop_loss) == 10 - filled
    [adjusted] = venue.happened(OrderAdjusted)
    assert (legs.stop_loss, Adjustment.OTHER_LEG_FILLED, shares(10 - filled)) == (
        adjusted.originator_id,
        adjusted.reason,
        adjusted.leaves_after,
    )


def test_take_profit_fills_one_by_one_never_exceed_the_group_with_the_stop(venue):
    """3, 2 and 1 of 10 leave 4: stopped out, the group has traded 10 in all."""
    legs = venue.legs(venue.oco(venue.a, SELL, 10, 110, 90))
    for qty, filled in ((3, 3), (2, 5), (1, 6)):
        venue.place(venue.b, BUY, qty, 110)
        [event] = venue.happened(GroupLegFilled)
        assert (shares(filled), shares(10 - filled)) == (event.filled_after, event.left_after)
    venue.place(venue.b, BUY, 9, 90, client="bid")
    venue.place(venue.a, SELL, 1, 90)
    sold = [sell for _, sell, qty, _ in venue.trades() if qty == shares(4)]
    assert [str(legs.stop_loss)] == sold
    assert shares(10) == venue.happened(GroupEnded)[0].filled


def test_take_profit_of_a_short_position_works_the_other_way_round(venue):
    """A buy below the market takes profit, a buy above it stops the loss."""
    short = venue.margin_account("short")
    venue.ok(ChangeInstrument("X", shortable=True))
    venue.place(venue.b, BUY, 10, 100)
    venue.place(short, SELL, 10, 100)
    legs = venue.legs(venue.oco(short, BUY, 10, 90, 110))
    assert (shares(10), 0) == (
        venue.order(legs.take_profit).hold_qty,
        venue.order(legs.take_profit).hold,
    )
    venue.place(venue.b, SELL, 4, 90)
    assert (6, 6) == (venue.leaves(legs.take_profit), venue.leaves(legs.stop_loss))
    venue.place(venue.b, SELL, 6, 90)
    assert GroupEnd.TAKE_PROFIT == venue.happened(GroupEnded)[0].reason


def test_take_profit_fill_does_not_move_what_the_stop_loss_waits_for(venue):
    """Its place among the stops and its price stay; only the quantity shrinks."""
    legs = venue.legs(venue.oco(venue.a, SELL, 10, 110, 90))
    before = venue.order(legs.stop_loss)
    sequence, price = before.sequence, before.stop_price
    venue.place(venue.b, BUY, 4, 110)
    after = venue.order(legs.stop_loss)
    assert (sequence, price) == (after.sequence, after.stop_price)


def test_take_profit_keeps_its_place_in_the_book_while_it_is_filled(venue):
    """A fill is no reason to queue again."""
    venue.oco(venue.a, SELL, 10, 110, 90, client="first")
    venue.place(venue.b, SELL, 10, 110, client="second")
    venue.place(venue.b, BUY, 4, 110, self_trade=SelfTrade.CANCEL_OLDEST)
    assert ["first", "second"] == [label for label, _, _ in venue.book(SELL)]


def test_take_profit_filled_in_an_auction_shrinks_the_stop_loss_too(venue):
    """An uncross is an execution like any other."""
    legs = venue.legs(venue.oco(venue.a, SELL, 10, 110, 90))
    venue.halt()
    venue.place(venue.b, BUY, 4, 110, tif=TimeInForce.DAY)
    venue.resume()
    assert (6, 6) == (venue.leaves(legs.take_profit), venue.leaves(legs.stop_loss))


def test_take_profit_gives_back_what_only_the_dearer_stop_could_have_cost(venue):
    """Filled whole at the cheaper price, nothing stays held."""
    venue.oco(venue.a, BUY, 10, 90, 110)
    venue.place(venue.b, SELL, 10, 90)
    assert 0 == venue.desk.accounts.by_id[venue.a.int].held
    assert [] == venue.happened(MarginReleased, QuantityReleased)


def test_take_profit_and_stop_loss_events_all_carry_group_and_leg(venue):
    """From acceptance to the end, whatever happens: every one says whose leg it is."""
    legs = venue.legs(venue.oco(venue.a, SELL, 10, 110, 90))
    venue.place(venue.b, BUY, 4, 110)
    venue.replace(venue.a, legs.take_profit, limit=111)
    venue.replace(venue.a, legs.stop_loss, stop=91)
    venue.bust_last()
    venue.cancel(venue.a, legs.take_profit)
    told = {
        (event.TOPIC.split(".")[1], event.group_id, event.leg)
        for event in venue.log
        if event.originator_id in (legs.take_profit, legs.stop_loss)
    }
    assert {legs.group} == {group for _, group, _ in told}
    assert {"accepted", "filled", "replaced", "fill_busted", "canceled"} == {
        name for name, _, leg in told if leg == Leg.TAKE_PROFIT
    }
    assert {"accepted", "adjusted", "replaced", "canceled"} == {
        name for name, _, leg in told if leg == Leg.STOP_LOSS
    }


def test_take_profit_met_by_its_own_owner_ends_the_group_as_self_trade(venue):
    """Prevention that cancels the resting leg cancels the other one with it."""
    legs = venue.legs(venue.oco(venue.a, SELL, 10, 110, 90))
    venue.place(venue.a, BUY, 1, 110, self_trade=SelfTrade.CANCEL_OLDEST)
    reasons = {e.originator_id: e.reason for e in venue.happened(OrderCanceled)}
    assert CancelReason.SELF_TRADE == reasons[legs.take_profit]
    assert CancelReason.OTHER_LEG == reasons[legs.stop_loss]
    assert GroupEnd.SELF_TRADE == venue.happened(GroupEnded)[0].reason


def test_take_profit_bust_resurrects_nothing(venue):
    """A busted exit gives the shares back; the group stays over."""
    venue.oco(venue.a, SELL, 10, 110, 90)
    venue.place(venue.b, BUY, 10, 110)
    venue.bust_last()
    assert {} == venue.desk.orders.groups
    assert [] == venue.book(SELL)
    position = next(p for p in venue.desk.accounts.positions.values() if p.account_id == venue.a)
    assert (shares(1000), 0) == (position.qty, position.reserved)


def test_take_profit_bust_in_part_leaves_the_group_as_it_was(venue):
    """What was traded counts against the group, though it was undone."""
    legs = venue.legs(venue.oco(venue.a, SELL, 10, 110, 90))
    venue.place(venue.b, BUY, 4, 110)
    venue.bust_last()
    assert (6, 6) == (venue.leaves(legs.take_profit), venue.leaves(legs.stop_loss))
    assert shares(4) == venue.desk.orders.groups[legs.group.int].filled
