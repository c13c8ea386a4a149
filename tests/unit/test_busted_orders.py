"""Orders whose trades are busted: taken back when none stands, as they are when some does."""

import pytest

from application.commands import BustTrade
from application.desk.state import dump, load, state_hash
from domain.decision import Decision
from domain.errors import OrderNotWorking
from domain.events import GroupEnded, OrderCanceled, OrderFillBusted, OrderFilled
from domain.terms import CancelReason, GroupEnd, OrderStatus, Side
from tests.model.desk_harness import DeskHarness, code, shares, trading_desk
from tests.model.group_desk import GroupDesk, group_desk

BUY, SELL = Side.BUY, Side.SELL


@pytest.fixture
def venue() -> DeskHarness:
    """Account a bought 4 of its 10 from b at 100."""
    venue = trading_desk()
    venue.bought = venue.place(venue.a, BUY, 10, 100).order.order_id
    venue.sold = venue.place(venue.b, SELL, 4, 100).order.order_id
    return venue


def bust(venue: DeskHarness, number: int) -> None:
    """Bust the trade of this number."""
    fills = [event for event in venue.log if isinstance(event, OrderFilled)]
    one, other = fills[2 * number : 2 * number + 2]
    venue.desk.trades_found[one.trade_id] = (one, other)
    venue.ok(BustTrade(one.trade_id, 1, "erroneous"))


def test_an_order_that_is_partly_busted_keeps_its_status(venue):
    """What was undone is not asked for again, by one that works as by one that is filled."""
    venue.place(venue.b, SELL, 2, 100)

    venue.bust_last()

    bought, sold = venue.order(venue.bought), venue.order(venue.sold)
    assert (OrderStatus.PARTIALLY_FILLED, shares(4), shares(4)) == (
        bought.status,
        bought.filled,
        bought.leaves,
    )
    assert (OrderStatus.FILLED, shares(4)) == (sold.status, sold.filled)
    venue.place(venue.b, SELL, 9, 100)
    assert (OrderStatus.FILLED, shares(8)) == (bought.status, bought.filled)


def test_a_filled_order_that_is_partly_busted_stays_filled():
    """With what still stands; with the last of its trades it is canceled, once."""
    venue = trading_desk()
    offers = [venue.place(venue.b, SELL, qty, 100).order.order_id for qty in (4, 6)]
    bought = venue.place(venue.a, BUY, 10, 100).order.order_id

    venue.bust_last()
    order = venue.order(bought)
    assert (OrderStatus.FILLED, shares(4), 0) == (order.status, order.filled, order.leaves)
    assert [OrderStatus.FILLED, OrderStatus.CANCELED] == [venue.order(o).status for o in offers]

    bust(venue, 0)
    assert (OrderStatus.CANCELED, CancelReason.BUSTED) == (order.status, order.end_reason)
    assert "ORDER_NOT_WORKING" == code(venue.cancel(venue.a, bought))


def test_an_order_that_had_ended_otherwise_keeps_why(venue):
    """A bust undoes its trade; that its client took it out of the market stays true."""
    venue.cancel(venue.a, venue.bought)

    venue.bust_last()

    order = venue.order(venue.bought)
    assert (OrderStatus.CANCELED, CancelReason.CLIENT, 0) == (
        order.status,
        order.end_reason,
        order.filled,
    )


def test_a_busted_order_is_undone_the_same_on_a_desk_without_memory_of_it(venue):
    """A follower that never saw the order, for it begins after it ended, takes the end as well."""
    venue.cancel(venue.a, venue.bought)
    copy = load(dump(venue.desk))
    before = len(venue.log)

    venue.bust_last()

    for position, event in enumerate(venue.log[before:], before + 1):
        copy.apply(event)
        copy.moved_to(position, venue.at, venue.number)
    assert state_hash(venue.desk) == state_hash(copy)


def test_a_client_cannot_cancel_what_is_filled_and_busted_in_part(venue):
    """Only the venue takes back an order that is filled, and when nothing of it stands."""
    step = Decision(venue.at, 0, 99, "tester", "test", 1)
    with pytest.raises(OrderNotWorking):
        venue.order(venue.sold).cancel(step, int(CancelReason.BUSTED))


def bracketed(**terms) -> tuple[GroupDesk, ...]:
    """A bracket of account a for 10 at 100, and its legs."""
    venue = group_desk()
    return venue, venue.legs(venue.bracket(venue.a, BUY, 10, 110, 90, limit=100, **terms))


def test_exits_are_for_what_of_their_entry_still_stands():
    """Other shares of the account are not sold for what was never bought."""
    venue, legs = bracketed()
    exits = (legs.take_profit, legs.stop_loss)
    for qty in (6, 4):
        venue.place(venue.b, SELL, qty, 100)
    assert [10, 10] == [venue.leaves(one) for one in exits]

    venue.bust_last()

    assert [6, 6] == [venue.leaves(one) for one in exits]
    assert "filled" == venue.status(legs.entry)
    assert (
        shares(6)
        == venue.desk.accounts.positions[
            venue.a.int, venue.order(legs.entry).instrument_id.int
        ].reserved
    )

    bust(venue, 0)

    assert ["canceled"] * 3 == [venue.status(one) for one in (legs.entry, *exits)]
    reasons = {e.originator_id: e.reason for e in venue.happened(OrderCanceled)}
    assert CancelReason.BUSTED == reasons[legs.entry]
    assert {CancelReason.POSITION_CLOSED} == {reasons[one] for one in exits}
    assert GroupEnd.POSITION_CLOSED == venue.happened(GroupEnded)[0].reason


def test_exits_that_have_sold_are_for_the_rest_of_what_stands():
    """What was sold already came out of what was bought."""
    venue, legs = bracketed()
    for qty in (6, 4):
        venue.place(venue.b, SELL, qty, 100)
    venue.place(venue.b, BUY, 5, 110)

    bust(venue, 1)

    assert [1, 1] == [venue.leaves(one) for one in (legs.take_profit, legs.stop_loss)]


def test_an_entry_that_still_works_ends_with_its_last_trade_undone():
    """And its exits with it: nothing of the group is left."""
    venue, legs = bracketed()
    venue.place(venue.b, SELL, 3, 100)

    venue.bust_last()

    reasons = {e.originator_id: e.reason for e in venue.happened(OrderCanceled)}
    assert CancelReason.BUSTED == reasons[legs.entry]
    assert not venue.desk.orders.groups


@pytest.mark.parametrize("qty", [3, 10])
def test_an_exit_that_works_goes_on_when_its_trades_are_undone(qty):
    """A position is not left bare by a bust; one that was filled is taken back alone."""
    venue = group_desk()
    legs = venue.legs(venue.oco(venue.a, SELL, 10, 105, 95))
    venue.place(venue.b, BUY, qty, 105)

    venue.bust_last()

    assert 2 == len(venue.happened(OrderFillBusted))
    statuses = [venue.status(one) for one in (legs.take_profit, legs.stop_loss)]
    if qty < 10:
        assert ["partially_filled", "held"] == statuses
        assert [7, 7] == [venue.leaves(one) for one in (legs.take_profit, legs.stop_loss)]
    else:
        assert ["canceled", "canceled"] == statuses
        assert CancelReason.BUSTED == venue.order(legs.take_profit).end_reason
        assert CancelReason.OTHER_LEG == venue.order(legs.stop_loss).end_reason


def test_busted_quantity_works_again_only_for_who_asks_for_it(venue):
    """Another price alone is for the six that were left, as is a lone new name; a new total of
    ten is ten, for nothing of it is filled.
    """
    bust(venue, 0)
    nothing = venue.replace(venue.a, venue.bought)
    venue.replace(venue.a, venue.bought, limit=99)
    order = venue.order(venue.bought)
    moved = order.leaves, order.qty, order.filled
    venue.replace(venue.a, venue.bought, client="renamed")
    renamed = order.leaves
    venue.replace(venue.a, venue.bought, qty=10)

    assert "NOTHING_TO_REPLACE" == code(nothing)
    assert (shares(6), shares(6), 0) == moved
    assert (shares(6), shares(10)) == (renamed, venue.order(venue.bought).leaves)


def test_entry_that_moves_after_a_bust_buys_no_more_than_was_left():
    """Two of its six are busted: at another price it is for the four that were never bought."""
    venue = group_desk()
    legs = venue.legs(venue.bracket(venue.a, BUY, 10, 105, 95, limit=100))
    for qty in (4, 2):
        venue.place(venue.b, SELL, qty, 100)
    bust(venue, 1)
    venue.replace(venue.a, legs.entry, limit=99)
    before = venue.leaves(legs.entry)
    venue.place(venue.b, SELL, 20, 99)

    assert (4, 8) == (before, venue.leaves(legs.take_profit))
    assert shares(8) == venue.order(legs.entry).filled
