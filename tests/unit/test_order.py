"""An order's life: one literal table, and checks before every step of it."""

import pytest

from domain.decision import Decision
from domain.errors import FillExceedsLeaves, LotViolation, OrderNotWorking
from domain.events import DomainEvent, OrderAccepted, OrderCanceled, OrderFilled, OrderRejected
from domain.identifiers import HOUSE, uuid7
from domain.order import Order
from domain.order_life import TRANSITIONS
from domain.order_terms import Admitted, Bound, RefusedOrder, Request, Terms
from domain.terms import CancelReason, OrderStatus
from domain.trade import NO_HOLDS, Holds, Trade, TradeDates

NOON = 1_795_262_400_000_000
ACCOUNT, INSTRUMENT, ORDER, TRADE = (uuid7(NOON, 0, number, 1) for number in range(1, 5))

WORKING = (OrderStatus.NEW, OrderStatus.PARTIALLY_FILLED, OrderStatus.HELD)


def decision() -> Decision:
    """A command under way at noon."""
    return Decision(NOON, 0, 9, "tester", "test", 1)


def working_order(qty: int = 10, filled: int = 0, *, stop: int = 0) -> Order:
    """A buy limit of some lots at 100, perhaps partly filled."""
    terms = Terms(
        symbol="X",
        side=1,
        order_type=4 if stop else 2,
        time_in_force=1,
        qty=qty,
        limit_price=100,
        stop_price=stop,
        price_decimals=4,
    )
    admitted = Admitted(terms, Bound(100), Holds(50))
    order = Order.accept(decision(), ORDER, ACCOUNT, INSTRUMENT, admitted, 7, Request("c1"))
    if filled:
        fill(order, decision(), filled)
    return order


def fill(order: Order, at: Decision, qty: int) -> None:
    """One trade at 100."""
    order.fill(at, trade(qty, 100), 1, NO_HOLDS)


def trade(qty: int, price: int) -> Trade:
    """One side of a trade with the order."""
    return Trade(
        *(TRADE, INSTRUMENT, ORDER, 1, qty),
        price=price,
        price_decimals=4,
        value=1,
        notional=1,
        fee=0,
        dates=TradeDates(20261121, 20261124),
    )


def test_fill_larger_than_leaves_is_refused():
    """A fill may use up what is left of the order, never more."""
    order, step = working_order(10, filled=4), decision()
    with pytest.raises(FillExceedsLeaves) as refusal:
        fill(order, step, 7)
    assert (6, 7) == (refusal.value.leaves, refusal.value.fill)
    assert [] == step.events
    fill(order, step, 6)
    assert (OrderStatus.FILLED, 10, 0, "1000") == (
        order.status,
        order.filled,
        order.leaves,
        step.events[0].value_after,
    )


@pytest.mark.parametrize("end", ["fill", "cancel", "expire"])
def test_an_ended_order_takes_no_further_step(end):
    """Filled, canceled and expired are final for trading."""
    order = working_order(10, filled=4)
    if end == "fill":
        fill(order, decision(), 6)
    elif end == "cancel":
        order.cancel(decision(), int(CancelReason.CLIENT))
    else:
        order.expire(decision())
    before, step = order.state(), decision()
    for again in (
        lambda: fill(order, step, 1),
        lambda: order.cancel(step, 1),
        lambda: order.expire(step),
        order.check_working,
    ):
        with pytest.raises(OrderNotWorking):
            again()
    with pytest.raises((AssertionError, KeyError)):
        new = Admitted(order.terms, 100)
        order.replace(step, ORDER, Request("k"), "c2", new, 8)
    assert [] == step.events
    assert before == order.state()
    assert not order.is_working


def test_a_cancel_says_what_was_left_and_frees_it():
    """What was filled stays filled."""
    order, step = working_order(10, filled=4), decision()
    order.cancel(step, int(CancelReason.CLIENT), Request("key", b"f"))
    [event] = step.events
    assert OrderCanceled is type(event)
    assert (6, 4, "key") == (event.canceled_qty, event.filled, event.request_key)
    assert (0, 0, 0, 4, NOON) == (
        order.leaves,
        order.hold,
        order.hold_qty,
        order.filled,
        order.ended_at,
    )


def test_a_stop_waits_until_it_is_elected_once():
    """An election is for a waiting stop only."""
    order = working_order(stop=90)
    assert order.is_waiting_stop
    order.elect(decision(), 1, 91, 8, Bound(100))
    assert not order.is_waiting_stop
    assert (8, NOON) == (order.sequence, order.triggered_at)
    for wrong in (order, working_order()):
        with pytest.raises(AssertionError):
            wrong.elect(decision(), 1, 91, 9, Bound(100))


def test_the_table_is_closed_under_its_statuses():
    """Every status is reached from the beginning, and only known ones are."""
    reached = set().union(*TRANSITIONS.values())
    assert reached == {int(status) for status in OrderStatus}
    assert {status for status, _ in TRANSITIONS if status is not None} <= reached
    assert {(None, OrderAccepted), (None, OrderRejected)} == {
        key for key in TRANSITIONS if key[0] is None
    }


def test_no_row_of_the_table_leads_back_to_work():
    """An ended order never works again, whatever the venue undoes: at most it is taken back."""
    for (status, event), after in TRANSITIONS.items():
        if status is not None and status not in WORKING:
            taken_back = (status, event) == (OrderStatus.FILLED, OrderCanceled)
            assert set(after) == {OrderStatus.CANCELED if taken_back else status}


def test_a_rejected_order_has_one_event_and_no_life():
    """Refused orders are aggregates too, so that their ids and keys are kept."""
    step = decision()
    terms = working_order().terms
    refused = RefusedOrder(terms, Request("c1"), LotViolation("10", "100"))
    order = Order.reject(step, ORDER, ACCOUNT, HOUSE, refused)
    assert (OrderStatus.REJECTED, 1) == (order.status, len(step.events))
    with pytest.raises(OrderNotWorking):
        order.check_working()


def test_events_applied_again_build_the_same_order():
    """Deciding and replaying are one path; applying a step twice is refused."""
    step = decision()
    order = working_order(10)
    step.events.clear()
    fill(order, step, 4)
    order.cancel(step, 1)
    copy = working_order(10)
    for event in step.events:
        event.mutate(copy)
    assert order.state() == copy.state()
    assert Order.from_state(order.state()).state() == order.state()
    with pytest.raises(AssertionError):
        step.events[-1].mutate(copy)


def test_the_value_traded_is_exact_beyond_64_bits():
    """Price times quantity at the bounds of both survives event and snapshot."""
    most = 10**17 - 1
    order = working_order(most)
    order.fill(decision(), trade(most, most), 1, NO_HOLDS)
    assert most * most == order.value == Order.from_state(order.state()).value


def test_every_event_of_an_order_knows_its_version_and_origin():
    """Versions rise by one; time, actor and command stand in each."""
    step = decision()
    order = working_order()
    order.cancel(step, 1)
    [event] = step.events
    assert isinstance(event, DomainEvent)
    assert (2, NOON, "tester", "test", step.correlation_id, 0) == (
        event.originator_version,
        event.at,
        event.actor,
        event.gateway,
        event.correlation_id,
        event.causation_id,
    )
    assert OrderFilled is not type(event)
