"""Multi-leg orders as they stand, their legs, and the terms of each of their revisions.

A row keeps the terms that it was placed with and its present state; a replacement adds a revision
with its own terms and with what had become of the one before. What a leg trades is told of the
order that it is. `projections.strategy_reads` asks them.
"""

from __future__ import annotations

from typing import Any

import msgspec

from domain.events import (
    MultiLegCanceled,
    MultiLegClosed,
    MultiLegEvent,
    MultiLegExecuted,
    MultiLegExpired,
    MultiLegPlaced,
    MultiLegRejected,
    MultiLegReplaced,
    MultiLegTurned,
    MultiLegUnwinding,
    MultiLegUnwound,
)
from domain.identifiers import NO_ID
from domain.terms import Leg, StrategyStatus
from domain.units import from_digits
from projections.columns import BIGINT, BOOLEAN, SMALLINT, TEXT, UUID_, WIDE
from projections.projection import Column, Index, Projection, Row, Table, on

_FIRST = int(Leg.FIRST)
_WORKING = int(StrategyStatus.WORKING)
_UNWINDING = int(StrategyStatus.UNWINDING)
_UNWOUND = int(StrategyStatus.UNWOUND)
_CANCELED = int(StrategyStatus.CANCELED)
_EXPIRED = int(StrategyStatus.EXPIRED)
_FILLED = int(StrategyStatus.FILLED)
_MAX_BIGINT = 2**63 - 1
_MAX_SMALLINT = 2**15 - 1

STRATEGIES = Table(
    "strategies",
    (
        Column("account_id", UUID_),
        Column("strategy_id", UUID_),
        Column("current_revision_id", UUID_, nullable=True),
        Column("qty", BIGINT),
        Column("current_qty", BIGINT),
        Column("filled", BIGINT),
        Column("leaves", BIGINT),
        Column("net_price", BIGINT),
        Column("leg_seconds", BIGINT),
        Column("multiplier", BIGINT),
        Column("submitted_at", BIGINT),
        Column("updated_at", BIGINT),
        Column("filled_at", BIGINT),
        Column("ended_at", BIGINT),
        Column("order_type", SMALLINT),
        Column("time_in_force", SMALLINT),
        Column("execution", SMALLINT),
        Column("status", SMALLINT),
        Column("end_reason", SMALLINT),
        Column("open", BOOLEAN),
        Column("cost", WIDE),
        Column("unwinding_cost", WIDE),
        Column("open_qty", BIGINT),
        Column("client_order_id", TEXT),
        Column("constraints", TEXT),
        Column("refusal_code", TEXT),
        Column("refusal_message", TEXT),
    ),
    key=("account_id", "strategy_id"),
    indexes=(Index("open", ("account_id", "strategy_id"), where="open"),),
    fillfactor=85,
    fresh=True,
)
"""`constraints` are rows of numbers as JSON; `open_qty` is what an unwinding could not close."""

STRATEGY_LEGS = Table(
    "strategy_legs",
    (
        Column("account_id", UUID_),
        Column("strategy_id", UUID_),
        Column("order_id", UUID_),
        Column("instrument_id", UUID_),
        Column("ratio", BIGINT),
        Column("place", SMALLINT),
        Column("side", SMALLINT),
        Column("position_intent", SMALLINT),
        Column("symbol", TEXT),
    ),
    key=("account_id", "strategy_id", "place"),
    fresh=True,
)
"""Legs by their places from 0; those of a refused one are no orders, and of no known instrument."""

STRATEGY_REVISIONS = Table(
    "strategy_revisions",
    (
        Column("revision_id", UUID_),
        Column("account_id", UUID_),
        Column("strategy_id", UUID_),
        Column("replaces", UUID_),
        Column("at", BIGINT),
        Column("version", BIGINT),
        Column("qty", BIGINT),
        Column("net_price", BIGINT),
        Column("filled_before", BIGINT),
        Column("filled_at_before", BIGINT),
        Column("cost_before", WIDE),
        Column("client_order_id", TEXT),
    ),
    key=("revision_id",),
    indexes=(
        Index("strategy", ("account_id", "strategy_id", "version")),
        Index("submitted", ("account_id", "revision_id")),
    ),
    fresh=True,
)


STRATEGY_CLOSINGS = Table(
    "strategy_closings",
    (
        Column("account_id", UUID_),
        Column("order_id", UUID_),
        Column("strategy_id", UUID_),
        Column("place", SMALLINT),
    ),
    key=("account_id", "strategy_id", "order_id"),
    fresh=True,
)
"""Orders by which legs were unwound that had traded in advance; a leg by its place from 0."""


class Strategies(Projection):
    """Every multi-leg order's present state, its legs, and the terms of each of its revisions."""

    name = "strategies"
    version = 3
    tables = (STRATEGIES, STRATEGY_LEGS, STRATEGY_REVISIONS, STRATEGY_CLOSINGS)

    def __init__(self) -> None:
        super().__init__()
        self.strategies, self.legs, self.revisions, self.closings = self.changes

    @on(MultiLegPlaced)
    def placed(self, position: int, e: MultiLegPlaced) -> None:
        self._begin(
            e,
            {
                "qty": e.qty,
                "current_qty": e.qty,
                "leaves": e.qty,
                "net_price": e.net_price,
                "leg_seconds": e.leg_seconds,
                "multiplier": e.multiplier,
                "order_type": e.order_type,
                "time_in_force": e.time_in_force,
                "execution": e.execution,
                "ended_at": 0,
                "open": True,
                "constraints": msgspec.json.encode(e.constraints).decode(),
                "refusal_code": "",
                "refusal_message": "",
            },
        )
        for place, leg in enumerate(e.legs):
            order_id, instrument_id, symbol, side, ratio, position_intent = leg
            self._leg(
                e,
                {
                    "order_id": order_id,
                    "instrument_id": instrument_id,
                    "ratio": ratio,
                    "place": place,
                    "side": side,
                    "position_intent": position_intent,
                    "symbol": symbol,
                },
            )

    @on(MultiLegRejected)
    def rejected(self, position: int, e: MultiLegRejected) -> None:
        # What was refused may be any number a client can write.
        qty = _bounded(e.qty, _MAX_BIGINT)
        self._begin(
            e,
            {
                "qty": qty,
                "current_qty": qty,
                "leaves": 0,
                "net_price": _bounded(e.net_price, _MAX_BIGINT),
                "leg_seconds": 0,
                "multiplier": 1,
                "order_type": _bounded(e.order_type, _MAX_SMALLINT),
                "time_in_force": _bounded(e.time_in_force, _MAX_SMALLINT),
                "execution": _bounded(e.execution, _MAX_SMALLINT),
                "ended_at": e.at,
                "open": False,
                "constraints": "[]",
                "refusal_code": e.code,
                "refusal_message": e.message,
            },
        )
        for place, (symbol, side, ratio, position_intent) in enumerate(e.legs):
            self._leg(
                e,
                {
                    "order_id": NO_ID,
                    "instrument_id": NO_ID,
                    "ratio": _bounded(ratio, _MAX_BIGINT),
                    "place": place,
                    "side": _bounded(side, _MAX_SMALLINT),
                    "position_intent": _bounded(position_intent, _MAX_SMALLINT),
                    "symbol": symbol,
                },
            )

    @on(MultiLegExecuted)
    def executed(self, position: int, e: MultiLegExecuted) -> None:
        self._patch(
            e,
            {
                "filled": e.filled_after,
                "leaves": e.leaves_after,
                "cost": from_digits(e.cost_after),
                "status": e.status_after,
                "open": e.status_after != _FILLED,
                "filled_at": e.at,
            },
        )

    @on(MultiLegReplaced)
    def replaced(self, position: int, e: MultiLegReplaced) -> None:
        self.revisions.put(
            e.revision_id.int,
            {
                "revision_id": e.revision_id,
                "account_id": e.account_id,
                "strategy_id": e.originator_id,
                "replaces": e.replaces,
                "at": e.at,
                "version": e.originator_version,
                "qty": e.qty,
                "net_price": e.net_price,
                "filled_before": e.filled,
                "filled_at_before": e.filled_at,
                "cost_before": from_digits(e.cost),
                "client_order_id": e.client_order_id,
            },
        )
        self._patch(
            e,
            {
                "current_revision_id": e.revision_id,
                "current_qty": e.qty,
                "leaves": e.leaves_after,
                "filled_at": 0,
            },
        )

    @on(MultiLegCanceled)
    def canceled(self, position: int, e: MultiLegCanceled) -> None:
        self._end(e, {"status": _CANCELED, "end_reason": e.reason})

    @on(MultiLegExpired)
    def expired(self, position: int, e: MultiLegExpired) -> None:
        self._end(e, {"status": _EXPIRED})

    @on(MultiLegUnwinding)
    def unwinding(self, position: int, e: MultiLegUnwinding) -> None:
        self._patch(e, {"status": _UNWINDING, "end_reason": e.reason})

    @on(MultiLegTurned)
    def turned(self, position: int, e: MultiLegTurned) -> None:
        self._patch(e, {})

    @on(MultiLegClosed)
    def closed(self, position: int, e: MultiLegClosed) -> None:
        self.closings.put(
            e.order_id.int,
            {
                "account_id": e.account_id,
                "order_id": e.order_id,
                "strategy_id": e.originator_id,
                "place": e.leg - _FIRST,
            },
        )
        self._patch(e, {"unwinding_cost": from_digits(e.cost_after)})

    @on(MultiLegUnwound)
    def unwound(self, position: int, e: MultiLegUnwound) -> None:
        columns = {"unwinding_cost": from_digits(e.cost), "open_qty": e.open_qty}
        self._end(e, {"status": _UNWOUND, **columns})

    def _begin(self, e: MultiLegPlaced | MultiLegRejected, columns: Row) -> None:
        self.strategies.put(
            e.originator_id.int,
            {
                "account_id": e.account_id,
                "strategy_id": e.originator_id,
                "filled": 0,
                "submitted_at": e.at,
                "updated_at": e.at,
                "filled_at": 0,
                "status": _WORKING,
                "end_reason": 0,
                "cost": 0,
                "unwinding_cost": 0,
                "open_qty": 0,
                "client_order_id": e.client_order_id,
                **columns,
            },
        )

    def _leg(self, e: MultiLegEvent, columns: Row) -> None:
        ids = {"account_id": e.account_id, "strategy_id": e.originator_id}
        self.legs.put((e.originator_id.int, columns["place"]), {**ids, **columns})

    def _end(self, e: MultiLegEvent, columns: Row) -> None:
        self._patch(e, {"open": False, "ended_at": e.at, "leaves": 0, **columns})

    def _patch(self, e: MultiLegEvent, columns: dict[str, Any]) -> None:
        columns["account_id"] = e.account_id
        columns["strategy_id"] = e.originator_id
        columns["updated_at"] = e.at
        self.strategies.patch(e.originator_id.int, columns)


def _bounded(value: int, limit: int) -> int:
    return max(-limit, min(value, limit))
