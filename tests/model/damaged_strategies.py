"""Damage to what a log says of multi-leg orders."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from domain import events as e
from infrastructure.log.codec import decode_event
from tests.model.command_flow import UNIT, WIRE
from tests.model.memory_audit import MemoryAuditSource
from tests.model.tampering import UNKNOWN, Tamper, altered, digit_more, find, one_more, put

CHECK, PRICES = "multilegs", "net_prices"


def a_unit_more(qty: int) -> int:
    """One more unit."""
    return qty + UNIT


def of_an_executed(change: Callable[[e.MultiLegPlaced], dict[str, Any]]) -> Tamper:
    """What was asked for is something else than what traded."""

    def tamper(source: MemoryAuditSource) -> int:
        for row in reversed(source.rows):
            if row.topic != e.MultiLegExecuted.TOPIC:
                continue
            _, placed = find(source, e.MultiLegPlaced, originator_id=row.originator_id)
            changes = change(placed)
            if changes:
                at, _ = find(source, e.MultiLegPlaced, originator_id=row.originator_id)
                return put(source, at, msgspec.structs.replace(placed, **changes))
        raise AssertionError("nothing traded that could be changed so")

    return tamper


def another_ratio(legs: Any) -> Any:
    """The first leg has one more in each unit."""
    first, *rest = legs
    return ((*first[:4], first[4] + 1, first[5]), *rest)


def tighter(placed: e.MultiLegPlaced) -> dict[str, Any]:
    """What must hold between two prices is what cannot."""
    return {"constraints": ((2, 0, 1, WIRE, WIRE, WIRE),)} if placed.constraints else {}


def cheaper(placed: e.MultiLegPlaced) -> dict[str, Any]:
    """The limit was a dollar lower."""
    return {"net_price": placed.net_price - WIRE} if placed.order_type == 2 else {}


def traded_alone(source: MemoryAuditSource) -> int:
    """What two legs traded is counted for an order that nobody knows."""
    row, event = find(source, e.MultiLegExecuted)
    return put(source, row, msgspec.structs.replace(event, originator_id=UNKNOWN))


def works_on(source: MemoryAuditSource) -> int:
    """The whole is canceled, and the cancel of a leg is another order's."""
    for row in reversed(source.rows):
        if row.topic == e.OrderCanceled.TOPIC:
            event = decode_event(row.topic, row.state)
            assert isinstance(event, e.OrderCanceled)
            if event.leg >= 11:
                return put(source, row, msgspec.structs.replace(event, originator_id=UNKNOWN))
    raise AssertionError("no leg was canceled")


OF_STRATEGIES: list[tuple[str, str, Tamper]] = [
    (CHECK, "more units", altered(e.MultiLegExecuted, "qty", a_unit_more)),
    (CHECK, "more left", altered(e.MultiLegExecuted, "leaves_after", a_unit_more)),
    (CHECK, "filled with some left", altered(e.MultiLegExecuted, "status_after", 0)),
    (CHECK, "a cost that does not add up", altered(e.MultiLegExecuted, "cost_after", digit_more)),
    (CHECK, "another ratio", altered(e.MultiLegPlaced, "legs", another_ratio)),
    (CHECK, "more units asked for", altered(e.MultiLegPlaced, "qty", a_unit_more)),
    (CHECK, "a leg in a book", altered(e.OrderAccepted, "armed", True, leg=11)),
    (CHECK, "a leg in another place", altered(e.OrderAccepted, "leg", 13, leg=12)),
    (CHECK, "more given up", altered(e.MultiLegCanceled, "canceled_qty", one_more)),
    (CHECK, "more timed out", altered(e.MultiLegExpired, "expired_qty", one_more)),
    (CHECK, "replaced by more", altered(e.MultiLegReplaced, "leaves_after", a_unit_more)),
    (CHECK, "refused twice", altered(e.MultiLegRejected, "originator_version", one_more)),
    (CHECK, "legs that trade alone", traded_alone),
    (CHECK, "a leg that works on", works_on),
    (PRICES, "another cost", altered(e.MultiLegExecuted, "cost", digit_more)),
    (PRICES, "beyond its net price", of_an_executed(cheaper)),
    (PRICES, "beyond a constraint", of_an_executed(tighter)),
    (CHECK, "another's turn", altered(e.MultiLegTurned, "leg", 11)),
    (CHECK, "a longer turn", altered(e.MultiLegTurned, "due_at", one_more)),
    (CHECK, "fewer given up", altered(e.MultiLegUnwinding, "canceled_qty", one_more)),
    (CHECK, "unwound for another leg", altered(e.MultiLegUnwinding, "leg", 11)),
    (CHECK, "more closed", altered(e.MultiLegClosed, "qty", one_more)),
    (CHECK, "closed by another", altered(e.MultiLegClosed, "order_id", UNKNOWN)),
    (PRICES, "another cost of closing", altered(e.MultiLegClosed, "cost", digit_more)),
    (CHECK, "another cost of all", altered(e.MultiLegUnwound, "cost", digit_more)),
    (CHECK, "something left open", altered(e.MultiLegUnwound, "open_qty", one_more)),
    ("hold_sizes", "legs that hold too little", altered(e.OrderAccepted, "hold", 0, leg=11)),
    ("hold_sizes", "legs that hold too much", altered(e.OrderAccepted, "hold", 10**9, leg=11)),
]
"""What is wrong with multi-leg orders, and the check that must say so."""
