"""Exits whose position changes under them: turned round, covered from outside, undone."""

from __future__ import annotations

import pytest

from application.commands import TransferPosition
from domain.events import GroupEnded
from domain.terms import GroupEnd, Side
from tests.model.desk_harness import cents, shares
from tests.model.group_desk import GroupDesk, group_desk


@pytest.fixture
def venue() -> GroupDesk:
    """X and two cash accounts, `a` and `b`, with a million and 1000 shares each."""
    return group_desk(shortable=True)


def test_oco_of_a_short_shrinks_when_shares_come_in_from_outside(venue):
    """Five of ten shares owed arrive by transfer: the exits buy back the other five, no more."""
    margin = venue.margin_account("margin")
    venue.place(venue.a, Side.BUY, 10, 100)
    venue.place(margin, Side.SELL, 10, 100)
    legs = venue.legs(venue.oco(margin, Side.BUY, 10, 90, 110))

    reply = venue.ok(TransferPosition(margin, "X", shares(5), 0, "cover"))

    assert reply.result is not None
    assert (5, 5) == (venue.leaves(legs.take_profit), venue.leaves(legs.stop_loss))
    venue.ok(TransferPosition(margin, "X", shares(6), 0, "turn"))
    assert "canceled" == venue.status(legs.take_profit) == venue.status(legs.stop_loss)


def test_bracket_exits_stay_for_what_is_left_when_one_is_repriced_after_a_bust(venue):
    """The take-profit traded four of ten and the trade was busted; the four are promised to
    another order. A new price lets both exits go on for the six, not for the four as well.
    """
    margin = venue.margin_account("margin")
    legs = venue.legs(venue.bracket(margin, Side.BUY, 10, 110, 80, limit=100))
    venue.place(venue.a, Side.SELL, 10, 100)
    venue.place(venue.a, Side.BUY, 4, 110)
    venue.bust_last()
    assert venue.place(margin, Side.SELL, 4, 115).refusal is None

    assert venue.replace(margin, legs.take_profit, limit=109).refusal is None

    assert (6, 6) == (venue.leaves(legs.take_profit), venue.leaves(legs.stop_loss))
    venue.place(venue.a, Side.BUY, 10, 109)
    assert [("filled", "canceled")] == [
        (venue.status(legs.take_profit), venue.status(legs.stop_loss))
    ]


@pytest.mark.parametrize("terms", [{"limit": 109}, {"qty": 10}, {"qty": 10, "limit": 109}])
def test_oco_total_quantity_counts_what_was_busted(venue, terms):
    """Four of ten traded and were busted: ten in all leave six, whatever else is replaced."""
    legs = venue.legs(venue.oco(venue.a, Side.SELL, 10, 110, 80))
    venue.place(venue.b, Side.BUY, 4, 110)
    venue.bust_last()

    assert venue.replace(venue.a, legs.take_profit, client="again", **terms).refusal is None

    group = venue.desk.orders.groups[legs.group.int]
    assert (shares(10), shares(10), shares(4)) == (group.qty, group.exit_qty, group.filled)
    assert (6, 6) == (venue.leaves(legs.take_profit), venue.leaves(legs.stop_loss))


@pytest.mark.parametrize(("side", "profit", "stop"), [(Side.BUY, 110, 80), (Side.SELL, 90, 120)])
def test_bracket_entry_that_turns_the_position_round_has_its_exits(venue, side, profit, stop):
    """Five the other way, all promised to an exit: an entry for ten leaves five, and they have
    their take-profit and their stop-loss, while the exit of what is gone gives way.
    """
    margin = venue.margin_account("margin")
    other = Side.SELL if side == Side.BUY else Side.BUY
    venue.place(venue.a, side, 5, 100)
    venue.place(margin, other, 5, 100)
    old_exit = venue.place(margin, side, 5, 92 if side == Side.BUY else 108).order
    legs = venue.legs(venue.bracket(margin, side, 10, profit, stop, limit=100))

    venue.place(venue.a, other, 10, 100)

    assert (5, 5) == (venue.leaves(legs.take_profit), venue.leaves(legs.stop_loss))
    assert ("new", "held") == (venue.status(legs.take_profit), venue.status(legs.stop_loss))
    assert 0 == venue.order(old_exit.order_id).hold_qty
    assert shares(5) == venue.order(legs.take_profit).hold_qty


def test_bracket_entry_reserves_nothing_when_it_is_replaced_against_the_position(venue):
    """Placed while flat, replaced while short: the entry still opens with margin, and covering
    the short by other means arms no exit of shares that it never brought.
    """
    margin = venue.margin_account("margin")
    legs = venue.legs(venue.bracket(margin, Side.BUY, 10, 110, 80, limit=95))
    venue.place(venue.a, Side.BUY, 5, 100)
    venue.place(margin, Side.SELL, 5, 100)

    assert venue.replace(margin, legs.entry, limit=96).refusal is None

    assert (cents("480.00"), 0) == (venue.order(legs.entry).hold, venue.order(legs.entry).hold_qty)
    venue.place(venue.a, Side.SELL, 5, 101)
    venue.place(margin, Side.BUY, 5, 101)
    assert 10 == venue.leaves(legs.entry)
    assert not venue.order(legs.take_profit).armed
    venue.place(venue.a, Side.SELL, 10, 96)
    assert (10, 10) == (venue.leaves(legs.take_profit), venue.leaves(legs.stop_loss))


def test_oto_whose_exit_is_done_ends_when_its_entry_trades_on_in_the_same_step(venue):
    """A market order takes the whole take-profit, and what it brought its own bracket goes to
    the rest of the entry: nothing exits that any more, and no group stays without a leg.
    """
    legs = venue.legs(venue.oto(venue.a, Side.BUY, 5, profit=110, limit=105))
    venue.place(venue.b, Side.SELL, 3, 105)
    margin = venue.margin_account("margin")

    other = venue.legs(venue.bracket(margin, Side.BUY, 10, 104, 90))

    assert ("filled", "filled") == (venue.status(legs.entry), venue.status(legs.take_profit))
    ended = [event for event in venue.happened(GroupEnded) if event.originator_id == legs.group]
    assert [(GroupEnd.TAKE_PROFIT, shares(3))] == [(one.reason, one.filled) for one in ended]
    assert (1, 1) == (venue.leaves(other.take_profit), venue.leaves(other.stop_loss))


@pytest.mark.parametrize(
    ("shortable", "locate", "leaves"),
    [(False, False, 4), (False, True, 10), (True, False, 10)],
)
def test_exit_whose_shares_a_bust_takes_sells_short_only_if_it_may(shortable, locate, leaves):
    """Six of ten bought shares are busted away: what their exit would sell beyond the four needs
    a locate where an instrument is not shortable, as an order for it would have.
    """
    venue = group_desk(shortable=shortable)
    margin = venue.margin_account("margin")
    for qty in (4, 6):
        venue.place(venue.a, Side.SELL, qty, 100)
        venue.place(margin, Side.BUY, qty, 100)
    exit_id = venue.place(margin, Side.SELL, 10, 110, locate=locate).order.order_id

    venue.bust_last()

    assert leaves == venue.leaves(exit_id)
    assert shares(4) == venue.order(exit_id).hold_qty
    assert (leaves > 4) == (venue.order(exit_id).hold > 0)


def test_bracket_entry_comes_before_later_orders_for_settled_funds(venue):
    """Accepted for settled funds alone, it keeps them when another order is placed on proceeds:
    its shares may be sold, so its exits work; what the other order buys is unpaid.
    """
    account = venue.account("c", "1000.01", use_unsettled=True)
    venue.hold(account, 10)
    venue.place(venue.a, Side.BUY, 10, 100)
    venue.place(account, Side.SELL, 10, 100)
    legs = venue.legs(venue.bracket(account, Side.BUY, 10, 110, 80, limit=100))
    assert venue.place(account, Side.BUY, 10, 99).refusal is None

    venue.place(venue.b, Side.SELL, 20, 99)

    assert (10, 10) == (venue.leaves(legs.take_profit), venue.leaves(legs.stop_loss))
    position = venue.desk.accounts.positions[
        account.int, venue.desk.markets.by_symbol["X"].instrument.id.int
    ]
    assert (shares(20), shares(10), shares(10)) == (
        position.qty,
        position.unpaid,
        position.reserved,
    )
