"""All positions are closed at one request: each once, by no more than is held, whatever dies."""

from __future__ import annotations

import asyncio
from uuid import UUID

import pytest
from msgspec.structs import replace

from application.commands import (
    CancelOrder,
    ChangeInstrument,
    CloseAllPositions,
    ConfigureAccount,
    PlaceOrder,
    Reply,
    SetAccountLimits,
)
from application.deciding.closing import CLOSED_AT_ONCE
from application.log.ports import Recorded
from application.writer.request_keys import key_of_event
from domain.events import CloseAllTaken, OrderAccepted, OrderCanceled, RequestRefused
from domain.terms import AccountKind, CancelReason, OrderStatus, Side
from infrastructure.log.memory import MemorySnapshots
from tests.model.desk_harness import DeskHarness, code, shares, wire
from tests.model.memory_writer import MemoryWriter, logged, on_a_writer
from tests.unit.test_repeats_through_recoveries import RestlessLog

BUY, SELL = Side.BUY, Side.SELL


def market_of(venue: DeskHarness, symbol: str) -> None:
    """An open instrument in which `b` bids at 99 and offers at 101."""
    venue.instrument(symbol, shortable=True)
    venue.hold(venue.b, 1_000, symbol)
    venue.place(venue.b, BUY, 500, 99, symbol=symbol)
    venue.place(venue.b, SELL, 500, 101, symbol=symbol)


@pytest.fixture
def venue() -> DeskHarness:
    """Three markets; `a` may borrow, is long of X and Y and short of Z."""
    venue = DeskHarness()
    venue.b = venue.account("b", 10**8)
    venue.a = venue.account("a", kind=AccountKind.MARGIN)
    for symbol in ("X", "Y", "Z"):
        market_of(venue, symbol)
    venue.hold(venue.a, 100)
    venue.hold(venue.a, 30, "Y")
    venue.place(venue.a, SELL, 20, 99, symbol="Z")
    return venue


def quantities(venue: DeskHarness) -> dict[str, int]:
    """What `a` holds, in shares."""
    markets = venue.desk.markets.by_id
    return {
        markets[one.instrument_id.int].instrument.symbol: one.qty // shares(1)
        for one in venue.desk.accounts.positions_of(venue.a)
    }


def told(reply: Reply) -> list[tuple[str, str]]:
    """Each position's symbol and what became of it: a refusal's code, or nothing."""
    assert reply.result is not None, reply.refusal
    closed = reply.result["closed"]
    return [(one["symbol"], one.get("refusal", [""])[0]) for one in closed]


def test_every_position_is_closed_by_an_order_of_its_own(venue: DeskHarness) -> None:
    """Longs are sold and shorts bought back, in the order in which they were first touched."""
    reply = venue.send(CloseAllPositions(venue.a, "all"))

    assert [("X", ""), ("Y", ""), ("Z", "")] == told(reply)
    assert [(int(SELL), 100), (int(SELL), 30), (int(BUY), 20)] == [
        (order.side, order.qty // shares(1)) for order in reply.closing
    ]
    assert {int(OrderStatus.FILLED)} == {order.status for order in reply.closing}
    assert {"X": 0, "Y": 0, "Z": 0} == quantities(venue)
    assert (False, 0) == (reply.result["remaining"], reply.result["canceled"])


def test_only_the_request_spends_a_key(venue: DeskHarness) -> None:
    """The orders are called by their own ids, as the legs of groups are."""
    venue.send(CloseAllPositions(venue.a, "all"))

    spent = [key for event in venue.events if (key := event.spends()) is not None]
    assert [(venue.a, "all")] == [key[:2] for key in spent]
    for event in venue.happened(OrderAccepted):
        assert str(event.originator_id) == event.client_order_id


def test_nothing_held_is_nothing_closed(venue: DeskHarness) -> None:
    """The answer is empty; its key is spent."""
    flat = venue.account("flat")
    reply = venue.ok(CloseAllPositions(flat, "all"))
    assert [] == told(reply)
    assert 1 == len(venue.happened(CloseAllTaken)) == len(venue.events)


def test_what_working_orders_hold_is_not_closed(venue: DeskHarness) -> None:
    """What is free of them is, and a position of which nothing is free says so."""
    venue.place(venue.a, SELL, 70, 105)
    venue.place(venue.a, SELL, 30, 105, symbol="Y")

    reply = venue.send(CloseAllPositions(venue.a, "all"))

    assert [("X", ""), ("Y", "INSUFFICIENT_QTY"), ("Z", "")] == told(reply)
    assert {"X": 70, "Y": 30, "Z": 0} == quantities(venue)
    details = reply.result["closed"][1]["refusal"][2]
    assert ("30.00000000", "30.00000000", "0.00000000", "Y") == tuple(
        details[name] for name in ("existing_qty", "held_for_orders", "available", "symbol")
    )


def test_orders_are_canceled_first_where_that_is_asked(venue: DeskHarness) -> None:
    """Also those of instruments that are not held, and then everything is free."""
    venue.place(venue.a, SELL, 70, 105)
    venue.place(venue.a, BUY, 5, 90, symbol="Z")
    venue.instrument("W")
    venue.place(venue.a, BUY, 5, 90, symbol="W")

    reply = venue.send(CloseAllPositions(venue.a, "all", cancel_orders=True))

    assert 3 == reply.result["canceled"]
    assert [int(CancelReason.CLIENT)] * 3 == [e.reason for e in venue.happened(OrderCanceled)]
    assert [("X", ""), ("Y", ""), ("Z", "")] == told(reply)
    assert {"X": 0, "Y": 0, "Z": 0} == {k: v for k, v in quantities(venue).items() if k != "W"}


def test_a_market_that_does_not_trade_takes_the_order_and_a_refusal_stays_its_own(
    venue: DeskHarness,
) -> None:
    """One halted, one without a bid: the others are closed all the same."""
    venue.halt("Y")
    reply = venue.send(CloseAllPositions(venue.a, "all"))
    assert [("X", ""), ("Y", ""), ("Z", "")] == told(reply)
    assert [int(OrderStatus.FILLED), int(OrderStatus.NEW), int(OrderStatus.FILLED)] == [
        order.status for order in reply.closing
    ]
    again = venue.send(CloseAllPositions(venue.a, "again"))
    assert [("Y", "INSUFFICIENT_QTY")] == told(again)


def test_a_stopped_account_is_told_so_of_each_position(venue: DeskHarness) -> None:
    """The orders are refused; nothing is closed."""
    venue.ok(ConfigureAccount(venue.a, suspend_trade=True))
    reply = venue.send(CloseAllPositions(venue.a, "all"))
    assert [(symbol, "TRADE_SUSPENDED") for symbol in "XYZ"] == told(reply)
    assert {"X": 100, "Y": 30, "Z": -20} == quantities(venue)


def crowd(venue: DeskHarness, positions: int) -> None:
    """Let `a` hold one of each of so many instruments, which nobody bids for."""
    venue.checked = False
    for number in range(positions):
        venue.instrument(f"N{number}")
        venue.hold(venue.a, 1, f"N{number}")
    venue.checked = True


def steps_of(venue: DeskHarness, first: CloseAllPositions) -> list[Reply]:
    """Every step, as a door takes them."""
    replies = [venue.ok(first)]
    while replies[-1].result["remaining"]:
        passed = replies[-1].result["passed"]
        number = len(replies)
        cancels = first.cancel_orders and not passed
        key = f"{first.request_key} {number}"
        replies.append(venue.ok(CloseAllPositions(venue.a, key, cancels, number, passed)))
    return replies


def test_many_positions_are_closed_in_steps_each_of_them_once() -> None:
    """No step is larger than the next may wait for, and none closes what another has."""
    venue = DeskHarness()
    venue.a = venue.account("a")
    many = 2 * CLOSED_AT_ONCE + 3
    crowd(venue, many)

    replies = steps_of(venue, CloseAllPositions(venue.a, "all"))

    assert [CLOSED_AT_ONCE, CLOSED_AT_ONCE, 3] == [len(one.closing) for one in replies]
    symbols = [symbol for reply in replies for symbol, refusal in told(reply) if not refusal]
    assert [f"N{number}" for number in range(many)] == symbols


def test_many_orders_are_canceled_in_steps_before_anything_is_closed(venue: DeskHarness) -> None:
    """And the orders that close are not canceled by the steps that follow."""
    venue.checked = False
    for number in range(205):
        venue.place(venue.a, BUY, 1, 80 + number % 5)
    crowd(venue, CLOSED_AT_ONCE)
    venue.checked = True

    replies = steps_of(venue, CloseAllPositions(venue.a, "all", cancel_orders=True))

    assert [(200, 0), (5, CLOSED_AT_ONCE), (0, 3)] == [
        (one.result["canceled"], len(one.closing)) for one in replies
    ]
    # Nobody bids for what is held of the crowd: those orders rest, and go on doing so.
    assert CLOSED_AT_ONCE == len(venue.desk.orders.of_account(venue.a))


def test_a_repeat_closes_nothing_more_and_shows_the_orders_as_they_are(venue: DeskHarness) -> None:
    """Marked as one; another body under the key is refused."""

    async def scene(writer: MemoryWriter) -> None:
        first = await writer.send(CloseAllPositions(venue.a, "all"))
        again = await writer.send(CloseAllPositions(venue.a, "all"))
        assert (first.result, first.closing, True) == (again.result, again.closing, again.duplicate)
        assert not first.duplicate
        # What rested is shown as it is now.
        waiting = first.closing[1]
        assert ["", ""] == await writer.codes(
            CancelOrder(venue.a, waiting.order_id, "", "x"),
            ChangeInstrument("X", new_symbol="XX"),
        )
        later = await writer.send(CloseAllPositions(venue.a, "all"))
        assert [order.order_id for order in first.closing] == [o.order_id for o in later.closing]
        assert int(OrderStatus.CANCELED) == later.closing[1].status
        assert ["XX", "Y", "Z"] == [order.symbol for order in later.closing]
        others = (
            CloseAllPositions(venue.a, "all", cancel_orders=True),
            PlaceOrder(venue.a, "Z", 2, 1, 0, shares(1), 0, 0, "all"),
        )
        assert ["REQUEST_KEY_REUSED"] * 2 == await writer.codes(*others)

    venue.halt("Y")
    on_a_writer(logged(venue), scene)


def test_a_repeat_after_years_is_answered_from_the_log(venue: DeskHarness) -> None:
    """Also when memory has forgotten the orders, and by a writer that never saw them."""

    async def scene(writer: MemoryWriter) -> None:
        again = await writer.send(CloseAllPositions(venue.a, "all"))
        assert (True, first.result) == (again.duplicate, again.result)
        assert [order.order_id for order in first.closing] == [o.order_id for o in again.closing]
        assert {"XYZ"} == {"".join(order.symbol for order in again.closing)}

    first = venue.ok(CloseAllPositions(venue.a, "all"))
    on_a_writer(logged(venue), scene)


def test_a_close_of_all_counts_as_many_orders_as_it_closes(venue: DeskHarness) -> None:
    """It is taken when nothing else was sent, and then the second is full."""
    venue.ok(SetAccountLimits(venue.a, 0, 2))

    async def scene(writer: MemoryWriter) -> None:
        order = PlaceOrder(venue.a, "X", 1, 2, 1, shares(1), wire(90), 0, "o")
        assert [""] == await writer.codes(order)
        everything = CloseAllPositions(venue.a, "all")
        assert ["ORDER_RATE_EXCEEDED"] == await writer.codes(everything)
        writer.passes(1)
        assert ["", "ORDER_RATE_EXCEEDED"] == await writer.codes(everything, replace_of(order))
        # A further step was counted with the first.
        assert [""] == await writer.codes(CloseAllPositions(venue.a, "step", False, 1, 3))

    def replace_of(order: PlaceOrder) -> PlaceOrder:
        return replace(order, client_order_id="p")

    on_a_writer(logged(venue), scene)


def test_an_account_that_is_not_there_closes_nothing(venue: DeskHarness) -> None:
    """And leaves no trace."""
    assert "UNKNOWN_ACCOUNT" == code(venue.send(CloseAllPositions(UUID(int=9), "all")))
    assert [] == venue.events


def test_what_is_not_paid_for_is_refused_for_that(venue: DeskHarness) -> None:
    """What unsettled proceeds have bought waits for its settlement, and the answer says so."""
    rider = venue.account("rider", 0, use_unsettled=True)
    venue.hold(rider, 10)
    venue.place(rider, SELL, 10, 99)
    venue.place(rider, BUY, 9, 101, symbol="Y")

    reply = venue.send(CloseAllPositions(rider, "all"))

    assert [("Y", "FREE_RIDING")] == told(reply)
    assert ["FREE_RIDING"] == [event.code for event in venue.happened(RequestRefused)]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_everything_is_closed_once_while_the_writer_recovers_again_and_again(seed: int) -> None:
    """Commits are lost, or their outcome is: who asks again is told the same, and nothing is
    closed twice or forgotten.
    """
    venue = DeskHarness()
    venue.a = venue.account("a")
    crowd(venue, 60)
    log = RestlessLog(seed)
    recorded = [Recorded(n, event) for n, event in enumerate(venue.log, 1)]
    log.load(recorded, [k for row in recorded if (k := key_of_event(row.event, row.position))])

    async def play() -> list[str]:
        writer = MemoryWriter(log, MemorySnapshots())
        running = asyncio.create_task(writer.sequencer.run())
        await writer.sequencer.ready.wait()
        log.restless = True
        closed: list[str] = []
        command = CloseAllPositions(venue.a, "all")
        while True:
            asked = [writer.begin(command) for _ in range(3)]
            first, *others = await asyncio.wait_for(asyncio.gather(*asked), 30)
            assert all(other.closing == first.closing for other in others)
            closed += [order.symbol for order in first.closing]
            if not first.result["remaining"]:
                break
            step, passed = command.step + 1, first.result["passed"]
            command = CloseAllPositions(venue.a, f"all {step}", False, step, passed)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        return closed

    closed = asyncio.run(play())

    assert [f"N{number}" for number in range(60)] == closed
    orders = [event for event in log.events()[len(recorded) :] if isinstance(event, OrderAccepted)]
    assert closed == [event.symbol for event in orders]
    assert {1} == {event.qty // shares(1) for event in orders}
