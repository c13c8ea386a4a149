"""Events as documents: decimal strings at their scales, names instead of codes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from enum import IntEnum
from typing import Any
from uuid import UUID

from domain.aggregate import Aggregate
from domain.commission import BPS_SCALE, EXACT_SCALE, RATE_SCALE, Kind
from domain.events import (
    AccountOpened,
    AccountStatusChanged,
    CommissionScheduleSet,
    DomainEvent,
    GroupEnded,
    GroupResized,
    InstrumentListed,
    OrderAccepted,
    OrderAdjusted,
    OrderCanceled,
    PositionEvent,
)
from domain.identifiers import HOUSE, iso
from domain.money import QTY_SCALE, USD_SCALE, WIRE_PRICE_SCALE, to_text
from domain.terms import (
    AccountKind,
    AccountStatus,
    Adjustment,
    CancelReason,
    GroupEnd,
    GroupPhase,
    Ledger,
    Leg,
    Liquidity,
    OrderClass,
    OrderStatus,
    OrderType,
    Phase,
    SelfTrade,
    Side,
    TimeInForce,
    TriggerRule,
)

HEADER = DomainEvent.__struct_fields__
QUANTITIES = frozenset(
    [
        "qty",
        "filled",
        "filled_after",
        "leaves_after",
        "canceled_qty",
        "expired_qty",
        "hold_qty",
        "hold_qty_after",
        "qty_after",
        "settled_after",
        "reserved_after",
        "lot",
        "max_order_qty",
        "position_limit",
        "uncross_qty",
        "unpaid_qty",
        "month_qty_after",
        "entry_filled_after",
        "exit_qty_after",
        "left",
        "left_after",
        "bought_qty",
        "sold_qty",
        "pool_after",
    ]
)
PRICES = frozenset(
    [
        "limit_price",
        "stop_price",
        "price",
        "old_price",
        "working_price",
        "seen_price",
        "tick",
        "reference_price",
        "uncross_price",
        "mark_price",
    ]
)
OPTIONAL_PRICES = frozenset({"take_profit_price", "stop_limit_price", "low_price", "high_price"})
"""Prices of which 0 says that there is none."""
WIRE_PRICES = frozenset({"limit_price_wire", "stop_price_wire"})
CENTS = frozenset(
    [
        "notional",
        "fee",
        "fee_after",
        "hold",
        "hold_after",
        "amount",
        "cash_after",
        "held_after",
        "unsettled_after",
        "realized",
        "realized_after",
        "cost",
        "cost_after",
        "max_order_notional",
        "receivable_after",
        "unpaid_after",
        "released",
        "commissions_after",
        "minimum",
        "equity",
        "maintenance",
        "bought_amount",
        "sold_amount",
    ]
)
EXACT_USD = frozenset({"commission", "commission_base_after", "commission_after"})
VALUES = frozenset({"value", "value_after"})
INSTANTS = frozenset(
    {"expires_at", "submitted_at", "filled_at", "triggered_at", "opens_at", "closes_at"}
)
DATES = frozenset({"session_date", "value_date", "run_date"})
TERMS: dict[str, type[IntEnum]] = {
    "side": Side,
    "order_type": OrderType,
    "time_in_force": TimeInForce,
    "self_trade": SelfTrade,
    "liquidity": Liquidity,
    "status_after": OrderStatus,
    "rule": TriggerRule,
    "trigger_rule": TriggerRule,
    "order_class": OrderClass,
    "leg": Leg,
    "commission_kind": Kind,
}
OWN_TERMS: dict[tuple[type[DomainEvent], str], type[IntEnum]] = {
    (AccountOpened, "kind"): AccountKind,
    (CommissionScheduleSet, "kind"): Kind,
    (AccountStatusChanged, "status"): AccountStatus,
    (OrderAccepted, "status"): OrderStatus,
    (OrderCanceled, "reason"): CancelReason,
    (OrderAdjusted, "reason"): Adjustment,
    (GroupResized, "reason"): Adjustment,
    (GroupEnded, "reason"): GroupEnd,
}
"""Fields of one name that mean different things in different events."""

STATE_QUANTITIES = frozenset(
    {"leaves", "settled", "reserved", "month_qty", "entry_filled", "exit_qty"}
)
STATE_CENTS = frozenset({"cash", "unsettled", "held", "receivable", "commissions"})
STATE_EXACT_USD = frozenset({"commission_base"})
STATE_INSTANTS = frozenset({"replaced_at", "ended_at"})
STATE_TERMS: dict[tuple[str, str], type[IntEnum]] = {
    ("order", "status"): OrderStatus,
    ("account", "status"): AccountStatus,
    ("account", "kind"): AccountKind,
    ("instrument", "phase"): Phase,
    ("oco", "phase"): GroupPhase,
}

PRICED = PRICES | OPTIONAL_PRICES | VALUES

DecimalsOf = Callable[[UUID], int]
"""The price decimals of an instrument; they never change."""


def event_document(position: int, event: DomainEvent, decimals_of: DecimalsOf) -> dict[str, Any]:
    """One event of the log, whole."""
    return {
        "position": position,
        "topic": event.TOPIC,
        "originator_id": str(event.originator_id),
        "version": event.originator_version,
        "at": iso(event.at),
        "partition": event.partition,
        "actor": event.actor,
        "gateway": event.gateway,
        "correlation_id": str(event.correlation_id),
        "causation_id": event.causation_id,
        **event_fields(event, decimals_of),
    }


def event_fields(event: DomainEvent, decimals_of: DecimalsOf) -> dict[str, Any]:
    """What an event says beside its header."""
    names = [name for name in event.__struct_fields__ if name not in HEADER]
    decimals = _decimals(event, decimals_of) if PRICED.intersection(names) else 0
    return {name: _text(event, name, getattr(event, name), decimals) for name in names}


def aggregate_document(aggregate: Aggregate, decimals: int) -> dict[str, Any]:
    """An aggregate's state; prices at its instrument's decimals."""
    values = aggregate.__dict__
    return {
        "kind": aggregate.KIND,
        "id": str(aggregate.id),
        "version": aggregate.version,
        "created_at": iso(aggregate.created_at),
        "modified_at": iso(aggregate.modified_at),
        **{name: _state_text(aggregate, name, values[name], decimals) for name in aggregate.FIELDS},
    }


def _state_text(aggregate: Aggregate, name: str, value: Any, decimals: int) -> Any:
    if name in STATE_QUANTITIES:
        return to_text(value, QTY_SCALE)
    if name in STATE_CENTS:
        return to_text(value, USD_SCALE)
    if name in STATE_EXACT_USD:
        return exact_usd(value)
    if name == "unpaid":
        return to_text(value, QTY_SCALE if aggregate.KIND == "position" else USD_SCALE)
    if name == "schedule":
        return schedule_document(value)
    if name in STATE_INSTANTS:
        return iso(value) if value else None
    terms = STATE_TERMS.get((aggregate.KIND, name))
    if terms is not None:
        return _name(terms, value)
    return _field_text(name, value, decimals)


def _decimals(event: DomainEvent, decimals_of: DecimalsOf) -> int:
    told: int | None = getattr(event, "price_decimals", None)
    if told is not None or isinstance(event, InstrumentListed):
        return told or 0
    instrument_id: UUID = getattr(event, "instrument_id", event.originator_id)
    return decimals_of(instrument_id)


def _text(event: DomainEvent, name: str, value: Any, decimals: int) -> Any:
    own = OWN_TERMS.get((type(event), name))
    if own is not None:
        return _name(own, value)
    if name == "unpaid_after" and isinstance(event, PositionEvent):
        return to_text(value, QTY_SCALE)
    if name == "tiers":
        return tier_documents(getattr(event, "kind", 0), value)
    if name == "postings":
        return [
            {"party": party(who), "ledger": _name(Ledger, ledger), "amount": to_text(cents, 2)}
            for who, ledger, cents in value
        ]
    return _field_text(name, value, decimals)


def _field_text(name: str, value: Any, decimals: int) -> Any:
    if name in QUANTITIES:
        return to_text(value, QTY_SCALE)
    if name in PRICES:
        return to_text(value, decimals)
    if name in WIRE_PRICES:
        return to_text(value, WIRE_PRICE_SCALE)
    if name in OPTIONAL_PRICES:
        return to_text(value, decimals) if value else None
    if name in CENTS:
        return to_text(value, USD_SCALE)
    if name in EXACT_USD:
        return exact_usd(int(value))
    if name in VALUES:
        return to_text(int(value), decimals + QTY_SCALE)
    if name in INSTANTS:
        return iso(value) if value else None
    if name in DATES:
        return date_text(value)
    if name == "leg" and not value:
        return None
    if name in TERMS:
        return _name(TERMS[name], value)
    if isinstance(value, UUID):
        return str(value) if value.int else None
    return value.hex() if isinstance(value, bytes) else value


def exact_usd(amount: int) -> str:
    """An exact amount of 1e-24 USD with as many decimals as it needs, at least cents."""
    whole, decimals = to_text(amount, EXACT_SCALE).split(".")
    return f"{whole}.{decimals.rstrip('0').ljust(USD_SCALE, '0')}"


def tier_documents(kind: int, tiers: Iterable[tuple[int, int, int]]) -> list[dict[str, str]]:
    """The tiers of a commission schedule: USD a share, or basis points."""
    scale = RATE_SCALE if kind == Kind.PER_SHARE else BPS_SCALE
    return [
        {
            "from_qty": to_text(from_qty, QTY_SCALE),
            "maker_rate": to_text(maker, scale),
            "taker_rate": to_text(taker, scale),
        }
        for from_qty, maker, taker in tiers
    ]


def schedule_document(schedule: Sequence[Any]) -> dict[str, Any] | None:
    """An account's commission schedule as its state has it; None when trades are free."""
    if not schedule:
        return None
    kind, tiers, minimum, cap_bps = schedule
    return {
        "kind": _name(Kind, kind),
        "tiers": tier_documents(kind, tiers),
        "minimum": to_text(minimum, USD_SCALE),
        "cap_bps": cap_bps,
    }


def party(identifier: UUID) -> str:
    """Who stands behind a posting."""
    return "house" if identifier == HOUSE else str(identifier)


def date_text(day: int) -> str | None:
    """A date such as 20261120 as 2026-11-20; 0 is none."""
    digits = str(day)
    return f"{digits[:4]}-{digits[4:6]}-{digits[6:]}" if day else None


def _name(terms: type[IntEnum], value: int) -> str | int:
    """The name of a code; a refused order may carry one that has none."""
    try:
        return terms(value).name.lower()
    except ValueError:
        return value
