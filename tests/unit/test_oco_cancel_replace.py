"""Cancel and replace of a leg or a group, before and after partial fills."""

import pytest

from application.commands import CancelOrder, ChangeInstrument
from domain.events import (
    GroupEnded,
    GroupResized,
    OrderAdjusted,
    OrderCanceled,
    OrderReplaced,
)
from domain.terms import Adjustment, CancelReason, GroupEnd, OrderStatus, Side, TimeInForce
from tests.model.desk_harness import code, shares
from tests.model.group_desk import GroupDesk, group_desk

BUY, SELL = Side.BUY, Side.SELL


@pytest.fixture
def venue() -> GroupDesk:
    """One open instrument and two accounts with cash and shares."""
    return group_desk()


def reasons(venue: GroupDesk) -> dict:
    """Why each order of the latest command was canceled."""
    return {e.originator_id: e.reason for e in venue.happened(OrderCanceled)}


# -- cancel --------------------------------------------------------------------------------------


@pytest.mark.parametrize("named", ["take_profit", "stop_loss"])
def test_oco_leg_canceled_cancels_the_whole_group(venue, named):
    """Whichever leg is named, the other goes with it in the same decision."""
    legs = venue.legs(venue.oco(venue.a, SELL, 10, 110, 90))
    target = getattr(legs, named)
    reply = venue.cancel(venue.a, target)
    assert reply.result == {"order_id": str(target), "canceled_qty": shares(10)}
    other = legs.stop_loss if named == "take_profit" else legs.take_profit
    assert {target: CancelReason.CLIENT, other: CancelReason.GROUP} == reasons(venue)
    assert GroupEnd.CANCELED == venue.happened(GroupEnded)[0].reason
    assert [] == venue.book(SELL)


def test_oco_canceled_by_its_group_id_cancels_every_leg(venue):
    """The id of the group stands for all of it."""
    legs = venue.legs(venue.oco(venue.a, SELL, 10, 110, 90))
    reply = venue.cancel(venue.a, legs.group)
    assert reply.refusal is None
    assert {
        legs.take_profit: CancelReason.CLIENT,
        legs.stop_loss: CancelReason.GROUP,
    } == reasons(venue)


def test_oco_canceled_by_the_parents_client_id_cancels_every_leg(venue):
    """The name the client gave is the parent's."""
    venue.oco(venue.a, SELL, 10, 110, 90, client="mine")
    reply = venue.send(CancelOrder(venue.a, None, "mine", "key"))
    assert reply.refusal is None
    assert {} == venue.desk.orders.groups == venue.desk.orders.working


def test_oco_group_id_cancels_the_exits_of_a_bracket_that_has_bought(venue):
    """Unlike a cancel of the entry: the group as a whole is taken back."""
    legs = venue.legs(venue.bracket(venue.a, BUY, 10, 110, 90, limit=100))
    venue.place(venue.b, SELL, 4, 100)
    venue.cancel(venue.a, legs.group)
    assert {"canceled"} == {venue.status(one) for one in legs[1:]}
    assert {} == venue.desk.orders.groups


def test_oco_group_of_another_account_is_unknown(venue):
    """Nobody learns of, or ends, what is not theirs."""
    legs = venue.legs(venue.oco(venue.a, SELL, 10, 110, 90))
    assert "UNKNOWN_ORDER" == code(venue.cancel(venue.b, legs.group))
    assert legs.group.int in venue.desk.orders.groups


def test_oco_exit_of_a_bracket_canceled_ends_its_entry_too(venue):
    """Without exits the entry would buy what nothing protects."""
    legs = venue.legs(venue.bracket(venue.a, BUY, 10, 110, 90, limit=100))
    venue.cancel(venue.a, legs.stop_loss)
    assert {legs.entry, legs.take_profit, legs.stop_loss} == set(reasons(venue))
    assert GroupEnd.CANCELED == venue.happened(GroupEnded)[0].reason


def test_oco_canceled_after_a_partial_fill_frees_the_rest(venue):
    """Four are sold; six are free to sell again."""
    legs = venue.legs(venue.oco(venue.a, SELL, 1000, 110, 90))
    venue.place(venue.b, BUY, 4, 110)
    venue.cancel(venue.a, legs.take_profit)
    assert "" == code(venue.place(venue.a, SELL, 996, 120))


def test_oco_groups_go_with_a_cancel_of_everything(venue):
    """Each leg is canceled once."""
    venue.oco(venue.a, SELL, 10, 110, 90)
    venue.bracket(venue.a, BUY, 10, 110, 90, limit=100)
    venue.cancel_all(venue.a)
    assert 5 == len(reasons(venue))
    assert {} == venue.desk.orders.groups == venue.desk.orders.working


def test_oco_canceled_twice_is_told_that_it_is_over(venue):
    """The second cancel finds a canceled order."""
    legs = venue.legs(venue.oco(venue.a, SELL, 10, 110, 90))
    venue.cancel(venue.a, legs.take_profit)
    assert "ORDER_NOT_WORKING" == code(venue.cancel(venue.a, legs.stop_loss))


# -- replace -------------------------------------------------------------------------------------


def test_oco_take_profit_price_can_be_replaced(venue):
    """The leg moves in the book; the group and its stop stay."""
    legs = venue.legs(venue.oco(venue.a, SELL, 10, 110, 90))
    assert "" == code(venue.replace(venue.a, legs.take_profit, limit=112))
    assert [112_0000] == [price for _, price, _ in venue.book(SELL)]
    assert [] == venue.happened(OrderAdjusted, GroupResized)


def test_oco_stop_loss_price_can_be_replaced_while_it_is_held(venue):
    """It waits for the new price, still held."""
    legs = venue.legs(venue.oco(venue.a, SELL, 10, 110, 90))
    reply = venue.replace(venue.a, legs.stop_loss, stop=95)
    assert reply.order is not None
    assert (OrderStatus.HELD, 95_0000) == (reply.order.status, reply.order.stop_price)
    assert [(2, 95_0000)] == [row[:2] for row in venue.desk.markets.by_symbol["X"].stops.rows()]


@pytest.mark.parametrize(
    ("named", "terms"), [("take_profit", {"limit": 90}), ("stop_loss", {"stop": 110})]
)
def test_oco_prices_stay_in_order_when_one_is_replaced(venue, named, terms):
    """A take-profit below its stop-loss is refused as it is at first."""
    legs = venue.legs(venue.oco(venue.a, SELL, 10, 110, 90))
    assert "LEG_PRICE_ORDER" == code(venue.replace(venue.a, getattr(legs, named), **terms))
    assert venue.order(legs.take_profit).limit_price == 110_0000


def test_oco_stop_loss_may_be_raised_above_the_price_of_an_entry_that_is_done(venue):
    """That is how a profit is locked in."""
    legs = venue.legs(venue.bracket(venue.a, BUY, 10, 110, 90, limit=100))
    assert "LEG_PRICE_ORDER" == code(venue.replace(venue.a, legs.stop_loss, stop=101))
    venue.place(venue.b, SELL, 10, 100)
    venue.place(venue.b, SELL, 1, 105)
    venue.place(venue.account("c"), BUY, 1, 105)
    assert "" == code(venue.replace(venue.a, legs.stop_loss, stop=101))


@pytest.mark.parametrize("named", ["take_profit", "stop_loss"])
@pytest.mark.parametrize("qty", [6, 15])
def test_oco_quantity_replaced_on_either_leg_is_the_groups_new_total(venue, named, qty):
    """The asked leg is replaced, its sibling adjusted, the group resized: one decision."""
    legs = venue.legs(venue.oco(venue.a, SELL, 10, 110, 90))
    target = getattr(legs, named)
    assert "" == code(venue.replace(venue.a, target, qty=qty))
    [replaced], [adjusted], [resized] = (
        venue.happened(kind) for kind in (OrderReplaced, OrderAdjusted, GroupResized)
    )
    assert target == replaced.originator_id != adjusted.originator_id
    assert Adjustment.GROUP_REPLACED == adjusted.reason == resized.reason
    assert shares(qty) == replaced.qty == adjusted.qty == resized.exit_qty_after
    assert (qty, qty) == (venue.leaves(legs.take_profit), venue.leaves(legs.stop_loss))
    assert shares(qty) == venue.order(legs.take_profit).hold_qty


@pytest.mark.parametrize("named", ["take_profit", "stop_loss"])
@pytest.mark.parametrize("qty", [6, 15])
def test_oco_quantity_replaced_after_a_partial_fill_counts_what_was_filled(venue, named, qty):
    """The new total less four that were sold, on both legs."""
    legs = venue.legs(venue.oco(venue.a, SELL, 10, 110, 90))
    venue.place(venue.b, BUY, 4, 110)
    assert "" == code(venue.replace(venue.a, getattr(legs, named), qty=qty))
    assert (qty - 4, qty - 4) == (venue.leaves(legs.take_profit), venue.leaves(legs.stop_loss))
    venue.place(venue.b, BUY, qty - 4, 110)
    assert shares(qty) == venue.happened(GroupEnded)[0].filled


@pytest.mark.parametrize("named", ["take_profit", "stop_loss"])
def test_oco_quantity_replaced_must_exceed_what_the_group_has_traded(venue, named):
    """Neither leg may be less than what is gone already."""
    legs = venue.legs(venue.oco(venue.a, SELL, 10, 110, 90))
    venue.place(venue.b, BUY, 4, 110)
    assert "REPLACE_QTY_TOO_SMALL" == code(venue.replace(venue.a, getattr(legs, named), qty=4))


@pytest.mark.parametrize("named", ["take_profit", "stop_loss"])
def test_oco_grown_beyond_what_is_held_is_refused_and_stays(venue, named):
    """A cash account sells what it has, through whichever leg it asks."""
    legs = venue.legs(venue.oco(venue.a, SELL, 10, 110, 90))
    assert "INSUFFICIENT_QTY" == code(venue.replace(venue.a, getattr(legs, named), qty=1001))
    assert (10, 10) == (venue.leaves(legs.take_profit), venue.leaves(legs.stop_loss))
    assert "" == code(venue.replace(venue.a, getattr(legs, named), qty=1000))


@pytest.mark.parametrize(("named", "terms"), [("stop_loss", {"stop": 120}), ("take_profit", {})])
def test_oco_hold_is_reckoned_anew_for_the_dearer_leg(venue, named, terms):
    """A higher stop costs more, and the parent holds it; a smaller group holds less."""
    legs = venue.legs(venue.oco(venue.a, BUY, 10, 90, 110))
    assert "" == code(venue.replace(venue.a, getattr(legs, named), **{"qty": 8, **terms}))
    assert venue.dearest_hold(legs, 8) == venue.order(legs.take_profit).hold
    assert venue.order(legs.take_profit).hold == venue.desk.accounts.by_id[venue.a.int].held
    assert 0 == venue.order(legs.stop_loss).hold


def test_oco_stop_loss_made_dearer_than_the_account_can_pay_is_refused(venue):
    """The group's hold would grow beyond its buying power."""
    account = venue.account("just enough", "1650.01")
    legs = venue.legs(venue.oco(account, BUY, 10, 90, 110))
    reply = venue.replace(account, legs.stop_loss, stop=120)
    assert "INSUFFICIENT_BUYING_POWER" == code(reply)


def test_oco_position_limit_holds_for_a_replace_of_the_held_leg():
    """A group grown through its stop reaches as far as one grown through its take-profit."""
    venue = group_desk(position_limit=shares(1010))
    legs = venue.legs(venue.oco(venue.a, BUY, 10, 90, 110))
    for one in (legs.stop_loss, legs.take_profit):
        assert "POSITION_LIMIT_EXCEEDED" == code(venue.replace(venue.a, one, qty=11))


@pytest.mark.parametrize("named", ["entry", "take_profit", "stop_loss"])
def test_oco_legs_share_one_time_in_force(venue, named):
    """A leg that lived longer than its sibling would be an orphan."""
    legs = venue.legs(venue.bracket(venue.a, BUY, 10, 110, 90, limit=100))
    reply = venue.replace(venue.a, getattr(legs, named), tif=TimeInForce.DAY)
    assert "LEG_FIXED" == code(reply)


@pytest.mark.parametrize("named", ["take_profit", "stop_loss"])
def test_oco_quantity_of_a_bracket_exit_is_fixed(venue, named):
    """It follows what the entry buys."""
    legs = venue.legs(venue.bracket(venue.a, BUY, 10, 110, 90, limit=100))
    assert "LEG_FIXED" == code(venue.replace(venue.a, getattr(legs, named), qty=5))
    venue.place(venue.b, SELL, 10, 100)
    assert "LEG_FIXED" == code(venue.replace(venue.a, getattr(legs, named), qty=5))


def test_oco_prices_of_exits_that_wait_for_their_entry_can_be_replaced(venue):
    """They are armed at the new prices."""
    legs = venue.legs(venue.bracket(venue.a, BUY, 10, 110, 90, limit=100))
    assert "" == code(venue.replace(venue.a, legs.take_profit, limit=112))
    assert "" == code(venue.replace(venue.a, legs.stop_loss, stop=92))
    assert [] == venue.book(SELL)
    venue.place(venue.b, SELL, 10, 100)
    assert [112_0000] == [price for _, price, _ in venue.book(SELL)]
    assert [(2, 92_0000)] == [row[:2] for row in venue.desk.markets.by_symbol["X"].stops.rows()]


def test_oco_exits_move_with_an_entry_that_is_replaced_unfilled(venue):
    """Take-profit and stop-loss are for as much as the entry."""
    legs = venue.legs(venue.bracket(venue.a, BUY, 10, 110, 90, limit=100))
    assert "" == code(venue.replace(venue.a, legs.entry, qty=7))
    assert (7, 7) == (venue.leaves(legs.take_profit), venue.leaves(legs.stop_loss))
    [resized] = venue.happened(GroupResized)
    assert (shares(7), 0) == (resized.qty_after, resized.exit_qty_after)
    venue.place(venue.b, SELL, 7, 100)
    assert (7, 7) == (venue.leaves(legs.take_profit), venue.leaves(legs.stop_loss))


def test_oco_exits_stay_when_an_entry_is_replaced_after_a_partial_fill(venue):
    """They are for what was bought; what will be bought comes with its fills."""
    legs = venue.legs(venue.bracket(venue.a, BUY, 10, 110, 90, limit=100))
    venue.place(venue.b, SELL, 4, 100)
    assert "" == code(venue.replace(venue.a, legs.entry, qty=20))
    assert (4, 4) == (venue.leaves(legs.take_profit), venue.leaves(legs.stop_loss))
    assert shares(20) == venue.desk.orders.groups[legs.group.int].qty
    venue.place(venue.b, SELL, 16, 100)
    assert (20, 20) == (venue.leaves(legs.take_profit), venue.leaves(legs.stop_loss))


def test_oco_entry_price_stays_between_its_exits(venue):
    """An entry moved beyond its take-profit or below its stop-loss is refused."""
    legs = venue.legs(venue.bracket(venue.a, BUY, 10, 110, 90, limit=100))
    assert "LEG_PRICE_ORDER" == code(venue.replace(venue.a, legs.entry, limit=110))
    assert "LEG_PRICE_ORDER" == code(venue.replace(venue.a, legs.entry, limit=90))
    assert "" == code(venue.replace(venue.a, legs.entry, limit=101))


def test_oco_entry_grown_on_unsettled_money_is_free_riding(venue):
    """As it would have been when it was placed."""
    account = venue.account("quick", "1000.01", use_unsettled=True)
    venue.hold(account, 100)
    venue.place(venue.b, BUY, 100, 100)
    venue.place(account, SELL, 100, 100)
    legs = venue.legs(venue.bracket(account, BUY, 10, 110, 90, limit=100))
    assert "FREE_RIDING" == code(venue.replace(account, legs.entry, qty=11))


def test_oco_take_profit_replaced_into_a_bid_trades_and_shrinks_the_stop(venue):
    """A replace that crosses is an execution like any other."""
    legs = venue.legs(venue.oco(venue.a, SELL, 10, 110, 90))
    venue.place(venue.b, BUY, 4, 105)
    assert "" == code(venue.replace(venue.a, legs.take_profit, limit=105))
    assert (6, 6) == (venue.leaves(legs.take_profit), venue.leaves(legs.stop_loss))


def test_oco_is_replaced_while_queued_and_trades_nothing_before_the_resume(venue):
    """Both legs take the new total; a take-profit into a bid waits for the auction."""
    legs = venue.legs(venue.oco(venue.a, SELL, 10, 110, 90, tif=TimeInForce.DAY))
    venue.halt()
    assert "" == code(venue.replace(venue.a, legs.stop_loss, qty=5))
    assert "" == code(venue.replace(venue.a, legs.stop_loss, stop=91))
    venue.place(venue.b, BUY, 2, 105)
    assert "" == code(venue.replace(venue.a, legs.take_profit, limit=105))
    assert [] == venue.trades()
    venue.resume()
    assert (3, 3) == (venue.leaves(legs.take_profit), venue.leaves(legs.stop_loss))


def test_oco_stop_limit_resting_after_its_trigger_is_replaced_alone(venue):
    """The take-profit is gone; price and total of what rests may still change."""
    legs = venue.legs(venue.oco(venue.a, SELL, 10, 110, 90, stop_limit=90))
    c = venue.account("c")
    venue.place(c, BUY, 1, 90)
    venue.place(venue.b, SELL, 1, 90)
    assert "" == code(venue.replace(venue.a, legs.stop_loss, qty=6, limit=91))
    assert [(str(legs.stop_loss), 91_0000, shares(6))] == venue.book(SELL)
    assert shares(6) == venue.desk.orders.groups[legs.group.int].exit_qty


def test_oco_goes_on_under_its_instruments_new_symbol(venue):
    """Groups know their instrument, not its name."""
    legs = venue.legs(venue.oco(venue.a, SELL, 10, 110, 90))
    venue.ok(ChangeInstrument("X", new_symbol="Y"))
    assert "" == code(venue.replace(venue.a, legs.stop_loss, stop=91))
    venue.place(venue.b, BUY, 10, 110, symbol="Y")
    assert "canceled" == venue.status(legs.stop_loss)
    assert {} == venue.desk.orders.groups
