"""A position is closed by one order, whatever is free of it, and a repeat closes nothing more."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from application.commands import (
    CancelOrder,
    ClosePosition,
    PlaceOrder,
    Reply,
    ResumeInstrument,
    SetAccountLimits,
)
from domain.events import OrderAccepted
from domain.identifiers import uuid7
from domain.money import WHOLE_PERCENT
from domain.position import Position
from domain.terms import AccountKind, OrderStatus, Side
from tests.model.desk_harness import DeskHarness, code, shares, wire
from tests.model.memory_writer import MemoryWriter, logged, on_a_writer

BUY, SELL = Side.BUY, Side.SELL
PERCENT = WHOLE_PERCENT // 100


@pytest.fixture
def venue() -> DeskHarness:
    """An open market with bids at 99 and offers at 101; `a` may borrow and holds 100."""
    venue = DeskHarness()
    venue.instrument(shortable=True)
    venue.a = venue.account("a", kind=AccountKind.MARGIN)
    venue.b = venue.account("b")
    venue.hold(venue.a, 100)
    venue.hold(venue.b, 1_000)
    venue.place(venue.b, BUY, 500, 99)
    venue.place(venue.b, SELL, 500, 101)
    return venue


def held(venue: DeskHarness) -> Position:
    """The position of `a` in X."""
    instrument = venue.desk.markets.by_symbol["X"].instrument
    return venue.desk.accounts.positions[venue.a.int, instrument.id.int]


def close(venue: DeskHarness, key: str = "close", **part: object) -> ClosePosition:
    """A close of what `a` holds of X."""
    return replace(ClosePosition(venue.a, "X", key), **part)


def closed(reply: Reply) -> tuple[int, int, int]:
    """Side, quantity and status of the order that closes."""
    assert reply.order is not None, reply.refusal
    return reply.order.side, reply.order.qty // shares(1), reply.order.status


@pytest.mark.parametrize(
    ("part", "qty"),
    [
        ({}, 100),
        ({"qty": shares(40)}, 40),
        ({"qty": shares(100)}, 100),
        ({"percent": 50 * PERCENT}, 50),
        ({"percent": WHOLE_PERCENT}, 100),
        # Cut to whole lots, never rounded up.
        ({"percent": 33 * PERCENT + PERCENT // 2}, 33),
        ({"percent": 99 * PERCENT + PERCENT - 1}, 99),
    ],
)
def test_what_is_wanted_of_a_position_is_sold(venue, part, qty):
    """All of it, a quantity or a share; the order is called as the request."""
    reply = venue.send(close(venue, **part))

    assert (int(SELL), qty, int(OrderStatus.FILLED)) == closed(reply)
    assert "close" == reply.order.client_order_id
    assert shares(100 - qty) == held(venue).qty


def test_a_position_is_named_by_its_instruments_id_as_well(venue):
    """Which outlives its symbol."""
    instrument_id = venue.desk.markets.by_symbol["X"].instrument.id
    reply = venue.send(ClosePosition(venue.a, "", "close", instrument_id))
    assert 100 == closed(reply)[1]


def test_a_short_position_is_bought_back(venue):
    """By what is short, or a share of it."""
    venue.place(venue.a, SELL, 160, 99)
    assert (int(BUY), 30, int(OrderStatus.FILLED)) == closed(
        venue.send(close(venue, percent=50 * PERCENT))
    )
    assert (int(BUY), 30, int(OrderStatus.FILLED)) == closed(venue.send(close(venue, "rest")))
    assert 0 == held(venue).qty


def test_only_what_is_free_of_other_orders_is_closed(venue):
    """What a working order is to sell is sold once."""
    venue.place(venue.a, SELL, 70, 105)
    assert "INSUFFICIENT_QTY" == code(venue.send(close(venue, "too much", qty=shares(31))))
    assert 30 == closed(venue.send(close(venue)))[1]
    reply = venue.send(close(venue, "again"))
    assert reply.refusal is not None
    assert ("INSUFFICIENT_QTY", "qty") == (reply.refusal.code, reply.refusal.details["field"])
    assert "70" in reply.refusal.message and "0" in reply.refusal.message


def test_a_close_never_turns_a_position_round(venue):
    """Also not that of an account that may sell short."""
    for key, part in (("more", {"qty": shares(101)}), ("huge", {"qty": 2**62})):
        assert "INSUFFICIENT_QTY" == code(venue.send(close(venue, key, **part)))
    assert shares(100) == held(venue).qty


@pytest.mark.parametrize(
    ("part", "refusal"),
    [
        ({"symbol": "NOPE"}, "UNKNOWN_INSTRUMENT"),
        ({"symbol": "", "instrument_id": uuid7(1, 0, 1, 9)}, "UNKNOWN_INSTRUMENT"),
        ({"symbol": "FLAT"}, "UNKNOWN_POSITION"),
        ({"qty": 0}, "INVALID_FIELD"),
        ({"qty": -shares(1)}, "INVALID_FIELD"),
        ({"percent": 0}, "INVALID_FIELD"),
        ({"percent": WHOLE_PERCENT + 1}, "INVALID_FIELD"),
        ({"percent": PERCENT, "qty": shares(1)}, "INVALID_FIELD"),
        # Less than a lot.
        ({"percent": PERCENT // 2}, "INSUFFICIENT_QTY"),
        ({"qty": shares("1.5")}, "LOT_VIOLATION"),
    ],
)
def test_what_cannot_be_closed_is_refused_and_changes_nothing(venue, part, refusal):
    """And the request has spent its key."""
    venue.instrument("FLAT")
    before = held(venue).qty

    assert refusal == code(venue.send(close(venue, **part)))

    assert before == held(venue).qty
    assert 1 == len(venue.events)
    assert (venue.a, "close") == venue.events[0].spends()[:2]


def test_a_repeated_close_sells_nothing_more(venue):
    """It answers the same order as it is now; another body under its key is refused."""

    async def scene(writer: MemoryWriter) -> None:
        half = close(venue, percent=50 * PERCENT)
        first = await writer.send(half)
        for _ in range(3):
            again = await writer.send(half)
            assert (first.order, True) == (again.order, again.duplicate)
        others = (
            close(venue),
            close(venue, percent=51 * PERCENT),
            close(venue, qty=shares(50)),
            close(venue, percent=50 * PERCENT, symbol="Y"),
            PlaceOrder(venue.a, "X", 2, 1, 0, shares(50), 0, 0, "close"),
            CancelOrder(venue.a, first.order.order_id, "", "close"),
        )
        assert ["REQUEST_KEY_REUSED"] * len(others) == await writer.codes(*others)
        assert 1 == sum(isinstance(event, OrderAccepted) for event in log.events()[begun:])
        position = next(iter(writer.sequencer.desk.accounts.positions_of(venue.a)))
        assert shares(50) == position.qty

    log = logged(venue)
    begun = len(log.rows)
    on_a_writer(log, scene)


def test_a_refused_close_is_refused_again_although_it_could_be_done_now(venue):
    """What it came to is what it came to: a position that is there now needs another key."""

    async def scene(writer: MemoryWriter) -> None:
        first = await writer.send(close(venue, symbol="Y"))
        assert first.refusal is not None
        bought = PlaceOrder(venue.a, "Y", 1, 2, 1, shares(1), wire(100), 0, "buy")
        sold = PlaceOrder(venue.b, "Y", 2, 2, 1, shares(1), wire(100), 0, "sell")
        assert ["", ""] == await writer.codes(bought, sold)
        again = await writer.send(close(venue, symbol="Y"))
        assert (first.refusal, True) == (again.refusal, again.duplicate)
        assert [""] == await writer.codes(close(venue, "other", symbol="Y"))

    venue.instrument("Y", shortable=True)
    venue.hold(venue.b, 10, "Y")
    on_a_writer(logged(venue), scene)


def test_a_close_waits_for_trading_and_a_repeat_waits_with_it(venue):
    """While halted it queues and sets all of the position aside; nothing else closes it again."""

    async def scene(writer: MemoryWriter) -> None:
        first = await writer.send(close(venue))
        assert (int(SELL), 100, int(OrderStatus.NEW)) == closed(first)
        assert ["INSUFFICIENT_QTY"] == await writer.codes(close(venue, "other"))
        assert first.order == (await writer.send(close(venue))).order
        assert [""] == await writer.codes(ResumeInstrument("X"))
        again = await writer.send(close(venue))
        assert (int(SELL), 100, int(OrderStatus.FILLED)) == closed(again)
        assert again.duplicate and first.order.order_id == again.order.order_id
        assert 0 == next(iter(writer.sequencer.desk.accounts.positions_of(venue.a))).qty

    venue.halt()
    on_a_writer(logged(venue), scene)


def test_a_close_counts_as_an_order(venue):
    """Against the rate of its account; its repeats do not."""
    venue.ok(SetAccountLimits(venue.a, 0, 1))

    async def scene(writer: MemoryWriter) -> None:
        part = close(venue, qty=shares(1))
        assert ["", ""] == await writer.codes(part, part)
        assert ["ORDER_RATE_EXCEEDED"] == await writer.codes(close(venue, "next", qty=shares(1)))

    on_a_writer(logged(venue), scene)
