"""Groups through expiry, halts and opens, and when their position goes another way."""

import pytest

from application.commands import ExpireOrders
from domain.events import (
    GroupEnded,
    GroupResized,
    OrderAdjusted,
    OrderCanceled,
    OrderExpired,
    OrderFilled,
)
from domain.terms import (
    Adjustment,
    CancelReason,
    GroupEnd,
    Side,
    TimeInForce,
)
from tests.model.desk_harness import code, shares
from tests.model.group_desk import GroupDesk, group_desk

BUY, SELL = Side.BUY, Side.SELL


@pytest.fixture
def venue() -> GroupDesk:
    """One open instrument that may be sold short, and two cash accounts."""
    return group_desk(shortable=True)


def position_of(venue: GroupDesk, account):
    """The account's position."""
    return next(p for p in venue.desk.accounts.positions.values() if p.account_id == account)


# -- sessions ------------------------------------------------------------------------------------


def test_oco_of_the_day_expires_both_legs_with_the_session(venue):
    """One decision, two expired orders, one ended group."""
    legs = venue.legs(venue.oco(venue.a, SELL, 10, 110, 90, tif=TimeInForce.DAY))
    venue.close()
    assert 2 == venue.expire()
    assert {legs.take_profit, legs.stop_loss} == {
        e.originator_id for e in venue.log if isinstance(e, OrderExpired)
    }
    assert [GroupEnd.EXPIRED] == [e.reason for e in venue.log if isinstance(e, GroupEnded)]
    assert 0 == position_of(venue, venue.a).reserved


def test_oco_good_till_a_date_expires_both_legs_at_their_instant(venue):
    """The first that is due takes the other along, even in a chunk of one."""

    venue.oco(venue.a, SELL, 10, 110, 90, tif=TimeInForce.GTD, expires_at=venue.at + 50)
    venue.at += 100
    venue.ok(ExpireOrders("X", 1))
    assert {} == venue.desk.orders.groups == venue.desk.orders.working


def test_oco_good_till_canceled_lives_on_through_the_night(venue):
    """Both legs stand when the next session opens, and still end each other."""
    legs = venue.legs(venue.oco(venue.a, SELL, 10, 110, 90))
    venue.close()
    assert 0 == venue.expire()
    venue.open()
    venue.place(venue.b, BUY, 10, 110)
    assert "canceled" == venue.status(legs.stop_loss)


def test_oco_placed_while_closed_runs_its_stop_at_the_open():
    """The last trade before the close is no reason, the auction's price is."""
    venue = group_desk(opened=False)
    c = venue.account("c")
    venue.hold(c, 10)
    legs = venue.legs(venue.oco(venue.a, SELL, 10, 110, 90, tif=TimeInForce.DAY))
    venue.place(venue.b, BUY, 15, 88, tif=TimeInForce.DAY)
    venue.place(c, SELL, 1, 88, tif=TimeInForce.DAY)
    venue.open()
    assert ("canceled", "filled") == (
        venue.status(legs.take_profit),
        venue.status(legs.stop_loss),
    )


def test_oco_stays_through_a_halt_and_works_after_the_resume(venue):
    """Nothing of it moves while nothing trades."""
    legs = venue.legs(venue.oco(venue.a, SELL, 10, 110, 90))
    venue.halt()
    assert ("new", "held") == (venue.status(legs.take_profit), venue.status(legs.stop_loss))
    venue.resume()
    venue.place(venue.b, BUY, 3, 110)
    assert (7, 7) == (venue.leaves(legs.take_profit), venue.leaves(legs.stop_loss))


def test_oco_is_canceled_in_a_halt_like_any_order(venue):
    """Cancels are always taken."""
    legs = venue.legs(venue.oco(venue.a, SELL, 10, 110, 90))
    venue.halt()
    assert "" == code(venue.cancel(venue.a, legs.group))
    assert {} == venue.desk.orders.working


def test_oco_entry_filled_in_an_auction_arms_its_exits(venue):
    """An opening uncross is a fill of the entry like any other."""
    legs = venue.legs(venue.bracket(venue.a, BUY, 10, 110, 90, limit=100))
    venue.halt()
    venue.place(venue.b, SELL, 6, 100, tif=TimeInForce.DAY)
    venue.resume()
    assert (6, 6) == (venue.leaves(legs.take_profit), venue.leaves(legs.stop_loss))


# -- positions -----------------------------------------------------------------------------------


def test_oco_shrinks_when_another_order_sells_part_of_the_position(venue):
    """A margin account sold four of its ten otherwise: both exits are for six."""
    account = venue.margin_account("m")
    venue.hold(account, 10)
    legs = venue.legs(venue.oco(account, SELL, 10, 110, 90))
    venue.place(venue.b, BUY, 4, 100)
    assert "" == code(venue.place(account, SELL, 4, 100))
    assert (6, 6) == (venue.leaves(legs.take_profit), venue.leaves(legs.stop_loss))
    [resized] = venue.happened(GroupResized)
    assert (Adjustment.POSITION_SHRANK, shares(6)) == (resized.reason, resized.exit_qty_after)
    assert {Adjustment.POSITION_SHRANK} == {e.reason for e in venue.happened(OrderAdjusted)}


def test_oco_ends_when_another_order_closes_the_position(venue):
    """There is nothing left to exit: both legs go, and say why."""
    account = venue.margin_account("m")
    venue.hold(account, 10)
    venue.oco(account, SELL, 10, 110, 90)
    venue.place(venue.b, BUY, 10, 100)
    venue.place(account, SELL, 10, 100)
    assert {CancelReason.POSITION_CLOSED} == {e.reason for e in venue.happened(OrderCanceled)}
    assert GroupEnd.POSITION_CLOSED == venue.happened(GroupEnded)[0].reason


def test_oco_ends_when_the_position_turns_round(venue):
    """Long ten, twenty sold: short ten, and a sale is no exit of that."""
    account = venue.margin_account("m")
    venue.hold(account, 10)
    venue.oco(account, SELL, 10, 110, 90)
    venue.place(venue.b, BUY, 20, 100)
    venue.place(account, SELL, 20, 100)
    assert -shares(10) == position_of(venue, account).qty
    assert GroupEnd.POSITION_CLOSED == venue.happened(GroupEnded)[0].reason
    assert 0 == position_of(venue, account).reserved


def test_oco_newest_gives_way_first_when_the_position_shrinks(venue):
    """Of two groups the older keeps its shares."""
    account = venue.margin_account("m")
    venue.hold(account, 10)
    older = venue.legs(venue.oco(account, SELL, 5, 110, 90))
    newer = venue.legs(venue.oco(account, SELL, 5, 110, 90))
    venue.place(venue.b, BUY, 3, 100)
    venue.place(account, SELL, 3, 100)
    assert (5, 2) == (venue.leaves(older.stop_loss), venue.leaves(newer.stop_loss))


def test_oco_part_that_opens_stays_when_its_exit_part_shrinks(venue):
    """Six exits and four to open: with the six gone, four are left with their margin."""
    account = venue.margin_account("m")
    venue.hold(account, 6)
    legs = venue.legs(venue.oco(account, SELL, 10, 110, 90))
    held = venue.order(legs.take_profit).hold
    venue.place(venue.b, BUY, 6, 100)
    venue.place(account, SELL, 6, 100)
    parent = venue.order(legs.take_profit)
    assert (shares(4), 0, held) == (parent.leaves, parent.hold_qty, parent.hold)
    assert 4 == venue.leaves(legs.stop_loss)


def test_oco_after_a_shrink_never_sells_more_than_is_held(venue):
    """Stopped out, it sells six, and the position is flat."""
    account = venue.margin_account("m")
    venue.hold(account, 10)
    legs = venue.legs(venue.oco(account, SELL, 10, 110, 90))
    venue.place(venue.b, BUY, 4, 100)
    venue.place(account, SELL, 4, 100)
    venue.place(venue.b, BUY, 20, 88)
    venue.place(venue.account("c"), BUY, 1, 90)
    venue.place(venue.b, SELL, 1, 90)
    sold = [e.qty for e in venue.happened(OrderFilled) if e.originator_id == legs.stop_loss]
    assert [shares(6)] == sold
    assert 0 == position_of(venue, account).qty


def test_oco_bracket_whose_position_is_closed_ends_with_its_entry(venue):
    """What was bought was sold otherwise: the entry does not buy on without exits."""
    account = venue.margin_account("m")
    legs = venue.legs(venue.bracket(account, BUY, 10, 110, 90, limit=100))
    venue.place(venue.b, SELL, 4, 100)
    venue.place(venue.b, BUY, 4, 101)
    venue.place(account, SELL, 4, 101)
    assert {"canceled"} == {venue.status(one) for one in legs[1:]}
    assert GroupEnd.POSITION_CLOSED == venue.happened(GroupEnded)[0].reason
