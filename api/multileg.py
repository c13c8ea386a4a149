"""A multi-leg order at the edge: what traders may send of one, and what they get."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal, Self
from uuid import UUID

from pydantic import BeforeValidator, ConfigDict, Field, StrictBool, ValidationInfo, model_validator

from api.documents import Document, Dollars
from api.rendering import cents, moment, quantity
from api.schemas import (
    Body,
    Key,
    MaybeNetPrice,
    NetPrice,
    Quantity,
    RequestBody,
    Symbol,
    WholeNumber,
    exactly,
    within,
)
from api.submitted import SubmittedOrder
from api.vocabulary import (
    ALPACA_TIME_IN_FORCE_NAMES,
    CANCEL_REASON_NAMES,
    CONSTRAINT_NAMES,
    EXECUTION_NAMES,
    EXECUTIONS,
    ORDER_TYPE_NAMES,
    ORDER_TYPES,
    POSITION_INTENT_NAMES,
    POSITION_INTENTS,
    SELF_TRADES,
    SIDE_NAMES,
    SIDES,
    STRATEGY_STATUS_NAMES,
    TIME_IN_FORCE_NAMES,
    TIMES_IN_FORCE,
    CancelReasonName,
    ExecutionName,
    OrderStatusName,
    PositionIntentName,
    SelfTradeName,
)
from application.multileg import PlaceMultiLeg, SentConstraint, SentLeg, StrategyView
from domain import profit
from domain.errors import InvalidField
from domain.identifiers import iso
from domain.money import SHARE_PRICE_SCALE, WIRE_PRICE_SCALE, average_cost_text, to_text
from domain.multileg_errors import LegCount
from domain.terms import ConstraintKind, StrategyStatus
from domain.units import from_digits

MOST_LEGS_READ = 16
"""More than an order may have, so that the writer says so of any number that is near it."""
PERCENT_PLACES = WIRE_PRICE_SCALE - 2
"""A share is kept in 1e-9, and so a percentage in 1e-7."""
_WITHIN = int(ConstraintKind.WITHIN)
_LINEAR = int(ConstraintKind.LINEAR)


def _each(model: type[Body]) -> Any:
    """Reads a list of bodies, each under its place from 0."""

    def read(value: Any, info: ValidationInfo) -> Any:
        name = info.field_name or "list"
        if value is None:
            return ()
        if not isinstance(value, list):
            raise InvalidField(name, "must be a list")
        return tuple(within(f"{name}.{place}", model, one) for place, one in enumerate(value))

    return BeforeValidator(read)


def _maybe(model: type[Body]) -> Any:
    def read(value: Any, info: ValidationInfo) -> Any:
        return None if value is None else within(info.field_name or "member", model, value)

    return BeforeValidator(read)


class LegRequest(RequestBody):
    """One leg: what is traded, which way, and how much of it a unit of the order has.

    `side` or `position_intent` says which way.
    """

    symbol: Symbol
    ratio_qty: WholeNumber
    side: Literal["buy", "sell"] | None = None
    position_intent: PositionIntentName | None = None

    @model_validator(mode="after")
    def _says_which_way(self) -> Self:
        if self.side is None and self.position_intent is None:
            raise InvalidField("side", "or position_intent is required")
        return self

    @property
    def sent(self) -> SentLeg:
        """The leg as the writer takes it."""
        side = self.side or (self.position_intent or "").partition("_")[0]
        intent = POSITION_INTENTS[self.position_intent] if self.position_intent else 0
        return self.symbol, SIDES[side], self.ratio_qty, intent


LegNumber = Annotated[int, Field(strict=True, ge=1, le=MOST_LEGS_READ)]
Percentage = Annotated[int, *exactly(PERCENT_PLACES, "0.5", "At most 7 decimal places.")]
Coefficient = Annotated[int, *exactly(WIRE_PRICE_SCALE, "1", "At most 9 decimal places.")]


class WithinRequest(RequestBody):
    """Two legs' average prices differ by no more than a percentage of the right one."""

    left: LegNumber
    right: LegNumber
    percent: Percentage


class LinearRequest(RequestBody):
    """`a` times the left leg's average price plus `b` times the right one is at most `at_most`."""

    left: LegNumber
    right: LegNumber
    a: Coefficient
    b: Coefficient
    at_most: NetPrice


class ConstraintRequest(RequestBody):
    """What must hold between the average prices of two legs, which are counted from 1."""

    within: Annotated[WithinRequest | None, _maybe(WithinRequest)] = None
    linear: Annotated[LinearRequest | None, _maybe(LinearRequest)] = None

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if (self.within is None) == (self.linear is None):
            raise InvalidField("within", "or linear, and not both, is required")
        return self

    @property
    def sent(self) -> SentConstraint:
        """The constraint as the writer takes it: legs from 0."""
        if self.within is not None:
            one = self.within
            return _WITHIN, one.left - 1, one.right - 1, one.percent, 0, 0
        assert self.linear is not None
        two = self.linear
        return _LINEAR, two.left - 1, two.right - 1, two.a, two.b, two.at_most


_OF_LEGS = "is not taken: each leg says its own"
_OF_NONE = "is not a term of mleg orders"


class MultiLegRequest(SubmittedOrder):
    """A new order of two to four legs, in Alpaca's shape.

    `qty` counts units: a unit has each leg's `ratio_qty` once. `limit_price` is what a unit may
    cost at most for one unit of the underlying; negative is what it must bring at least.
    `execution`, `constraints`, `leg_seconds` and `self_trade_prevention` are extensions.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "order_class": "mleg",
                    "qty": "2",
                    "type": "limit",
                    "limit_price": "1.25",
                    "time_in_force": "day",
                    "legs": [
                        {
                            "symbol": "AAPL261218C00150000",
                            "ratio_qty": "1",
                            "side": "buy",
                            "position_intent": "buy_to_open",
                        },
                        {
                            "symbol": "AAPL261218C00160000",
                            "ratio_qty": "1",
                            "side": "sell",
                            "position_intent": "sell_to_open",
                        },
                    ],
                }
            ]
        }
    )

    READS: ClassVar[str] = "mleg"
    UNSUPPORTED: ClassVar[dict[str, str]] = {
        "symbol": _OF_LEGS,
        "side": _OF_LEGS,
        "position_intent": _OF_LEGS,
        **dict.fromkeys(
            (
                *("notional", "stop_price", "trail_price", "trail_percent", "expire_at"),
                *("take_profit", "stop_loss"),
            ),
            _OF_NONE,
        ),
    }

    order_class: Literal["mleg"]
    qty: Quantity
    type: Literal["market", "limit"]
    time_in_force: Literal["day", "gtc", "ioc", "fok"]
    limit_price: MaybeNetPrice = None
    client_order_id: Key | None = None
    extended_hours: StrictBool | None = None
    legs: Annotated[tuple[LegRequest, ...], _each(LegRequest)]
    execution: ExecutionName | None = None
    constraints: Annotated[tuple[ConstraintRequest, ...], _each(ConstraintRequest)] = ()
    leg_seconds: Annotated[int, Field(strict=True, ge=0, le=2**31)] | None = None
    self_trade_prevention: SelfTradeName | None = None

    @model_validator(mode="after")
    def _terms_fit_together(self) -> Self:
        if self.type == "limit" and self.limit_price is None:
            raise InvalidField("limit_price", "is required for a limit order")
        if self.type == "market" and self.limit_price is not None:
            raise InvalidField("limit_price", "is not a term of a market order")
        if self.extended_hours:
            raise InvalidField("extended_hours", "may only be false")
        if len(self.legs) > MOST_LEGS_READ:
            raise LegCount(len(self.legs))
        return self

    def command(self, account_id: UUID, client_order_id: str) -> PlaceMultiLeg:
        """The command that places this order."""
        return PlaceMultiLeg(
            account_id,
            order_type=ORDER_TYPES[self.type],
            time_in_force=TIMES_IN_FORCE[self.time_in_force],
            qty=self.qty,
            net_price=self.limit_price or 0,
            client_order_id=client_order_id,
            legs=tuple(leg.sent for leg in self.legs),
            execution=EXECUTIONS[self.execution or "simultaneous"],
            constraints=tuple(one.sent for one in self.constraints),
            leg_seconds=self.leg_seconds or 0,
            self_trade=SELF_TRADES[self.self_trade_prevention or "cancel_newest"],
        )


class WithinDocument(Document):
    """Two legs' average prices differ by no more than a percentage of the right one."""

    left: int
    right: int
    percent: str


class LinearDocument(Document):
    """`a` times the left leg's average price plus `b` times the right one is at most `at_most`."""

    left: int
    right: int
    a: str
    b: str
    at_most: str


class ConstraintDocument(Document):
    """What must hold between two legs; one of both is there."""

    within: WithinDocument | None = None
    linear: LinearDocument | None = None


class AskedLegDocument(Document):
    """A leg as it was asked for."""

    symbol: str
    side: Literal["buy", "sell"] | None
    ratio_qty: str
    position_intent: PositionIntentName | None


class StrategyDocument(Document):
    """What a multi-leg order asks for beyond an order's terms: legs as asked, also of one that was
    refused, how they trade, and what must hold between their prices; and what it cost to close
    legs of a sequential one that were ahead, negative is won.
    """

    execution: ExecutionName | None
    leg_seconds: int
    unwinding_cost: Dollars
    legs: list[AskedLegDocument]
    constraints: list[ConstraintDocument]


_ORDER_STATUSES: dict[int, OrderStatusName] = {
    StrategyStatus.WORKING: "new",
    # What alpaca-py knows no word for is what it is to who waits for fills.
    StrategyStatus.UNWINDING: "partially_filled",
    StrategyStatus.UNWOUND: "canceled",
    StrategyStatus.FILLED: "filled",
    StrategyStatus.CANCELED: "canceled",
    StrategyStatus.EXPIRED: "expired",
}
_ENDED_AS_CANCELED = (int(StrategyStatus.CANCELED), int(StrategyStatus.UNWOUND))
_EXPIRED = int(StrategyStatus.EXPIRED)
_LEAST_PLACES = 2


def status_of_strategy(view: StrategyView) -> OrderStatusName:
    """How Alpaca's clients are told of where it is in its life."""
    if view.replaced_by.int:
        return "replaced"
    if view.refusal_code:
        return "rejected"
    status = _ORDER_STATUSES[view.status]
    return "partially_filled" if status == "new" and view.filled else status


def net_price_text(units_of: int) -> str:
    """A net price with the places that it needs, two at least."""
    whole, _, places = to_text(units_of, WIRE_PRICE_SCALE).partition(".")
    return f"{whole}.{places.rstrip('0').ljust(_LEAST_PLACES, '0')}"


def average_net_text(view: StrategyView) -> str | None:
    """What a unit cost on average for one of the underlying; None before any traded."""
    if not view.filled:
        return None
    return net_of_text(from_digits(view.cost), view.filled, view.multiplier)


def net_of_text(cost: int, qty: int, multiplier: int) -> str:
    """What one of some units cost, for one of the underlying."""
    return average_cost_text(cost, qty * multiplier, SHARE_PRICE_SCALE)


def _why_it_ended(view: StrategyView) -> CancelReasonName | None:
    if view.replaced_by.int:
        return None
    return "session_end" if view.status == _EXPIRED else CANCEL_REASON_NAMES.get(view.end_reason)


def strategy_document(
    view: StrategyView, legs: Sequence[Mapping[str, Any]] | None = None
) -> dict[str, Any]:
    """One multi-leg order, or one revision of it, in Alpaca's shape; `legs` are its orders."""
    kind = ORDER_TYPE_NAMES.get(view.order_type, "market")
    submitted = iso(view.submitted_at)
    ended = moment(view.ended_at)
    refused = bool(view.refusal_code)
    is_limit = kind == "limit"
    return {
        "id": str(view.revision_id),
        "client_order_id": view.client_order_id,
        "created_at": submitted,
        "updated_at": iso(view.updated_at) if view.updated_at else submitted,
        "submitted_at": submitted,
        "filled_at": moment(view.filled_at) if view.filled else None,
        "expired_at": ended if view.status == _EXPIRED else None,
        "expires_at": None,
        "canceled_at": ended if view.status in _ENDED_AS_CANCELED else None,
        "failed_at": submitted if refused else None,
        "replaced_at": moment(view.replaced_at),
        "replaced_by": str(view.replaced_by) if view.replaced_by.int else None,
        "replaces": str(view.replaces) if view.replaces.int else None,
        "triggered_at": None,
        "asset_id": None,
        "symbol": "",
        "asset_class": None,
        "notional": None,
        "qty": quantity(view.qty),
        "filled_qty": quantity(view.filled),
        "filled_avg_price": average_net_text(view),
        "order_class": "mleg",
        "order_type": kind,
        "type": kind,
        "side": None,
        "time_in_force": ALPACA_TIME_IN_FORCE_NAMES.get(view.time_in_force, "day"),
        "exact_time_in_force": TIME_IN_FORCE_NAMES.get(view.time_in_force, "day"),
        "limit_price": net_price_text(view.net_price) if is_limit else None,
        "stop_price": None,
        "protection_price": None,
        "status": status_of_strategy(view),
        "cancel_reason": _why_it_ended(view),
        "reject_reason": view.refusal_code or None,
        "extended_hours": False,
        "post_only": False,
        "legs": list(legs) if legs else None,
        "group_id": str(view.order_id),
        "leg": None,
        "trail_percent": None,
        "trail_price": None,
        "hwm": None,
        "position_intent": None,
        "ratio_qty": None,
        "strategy_status": "rejected" if refused else STRATEGY_STATUS_NAMES[view.status],
        "strategy": _asked_document(view),
    }


def _asked_document(view: StrategyView) -> dict[str, Any]:
    """What a multi-leg order asks for beyond an order's terms."""
    return {
        "execution": EXECUTION_NAMES.get(view.execution),
        "leg_seconds": view.leg_seconds,
        "unwinding_cost": cents(profit.to_cents(from_digits(view.unwinding_cost))),
        "legs": [
            {
                "symbol": symbol,
                "side": SIDE_NAMES.get(side),
                "ratio_qty": str(ratio),
                "position_intent": POSITION_INTENT_NAMES.get(intent),
            }
            for _, _, symbol, side, ratio, intent in view.legs
        ],
        "constraints": [_constraint_document(row) for row in view.constraints],
    }


def _constraint_document(row: SentConstraint) -> dict[str, Any]:
    kind, left, right, a, b, c = row
    legs = {"left": left + 1, "right": right + 1}
    if kind == _WITHIN:
        return {CONSTRAINT_NAMES[kind]: {**legs, "percent": _trimmed(a, PERCENT_PLACES)}}
    return {
        CONSTRAINT_NAMES[kind]: {
            **legs,
            "a": _trimmed(a, WIRE_PRICE_SCALE),
            "b": _trimmed(b, WIRE_PRICE_SCALE),
            "at_most": net_price_text(c),
        }
    }


def _trimmed(amount: int, places: int) -> str:
    text = to_text(amount, places).rstrip("0")
    return text.removesuffix(".")
