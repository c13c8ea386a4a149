"""An order at the edge: what traders may send of one, and what they get."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal, Self
from uuid import UUID

from pydantic import BeforeValidator, ConfigDict, StrictBool, ValidationInfo, model_validator

from api.documents import AveragePrice, Document, TrailPercent
from api.documents import Dollars as MoneyShown
from api.documents import Price as PriceShown
from api.documents import Quantity as QuantityShown
from api.multileg import MultiLegRequest, StrategyDocument
from api.rendering import cents, moment
from api.schemas import (
    Body,
    Key,
    MaybeMoney,
    MaybeNetPrice,
    MaybePrice,
    MaybeQuantity,
    MaybeTrailPercent,
    Moment,
    Price,
    RequestBody,
    Symbol,
    within,
)
from api.submitted import SubmittedOrder
from api.vocabulary import (
    ALPACA_TIME_IN_FORCE_NAMES,
    CANCEL_REASON_NAMES,
    LEG_NAMES,
    ORDER_CLASS_NAMES,
    ORDER_CLASSES,
    ORDER_STATUS_NAMES,
    ORDER_TYPE_NAMES,
    ORDER_TYPES,
    POSITION_INTENT_NAMES,
    SELF_TRADES,
    SIDE_NAMES,
    SIDES,
    TIME_IN_FORCE_NAMES,
    TIMES_IN_FORCE,
    AlpacaTimeInForceName,
    AssetClassName,
    CancelReasonName,
    LegName,
    OrderClassName,
    OrderStatusName,
    OrderTypeName,
    PositionIntentName,
    SelfTradeName,
    StrategyStatusName,
    TimeInForceName,
)
from application.orders import OrderView, PlaceGroup, PlaceOrder, ReplaceOrder
from domain.errors import InvalidField
from domain.identifiers import instant_of, iso
from domain.money import QTY_SCALE, TRAIL_SCALE, average_price_text, to_text
from domain.terms import OrderStatus, TimeInForce
from domain.units import from_digits

_CANCELED = int(OrderStatus.CANCELED)
_EXPIRED = int(OrderStatus.EXPIRED)
_REJECTED = int(OrderStatus.REJECTED)
_GTD = int(TimeInForce.GTD)
_WITH_LIMIT = ("limit", "stop_limit")
_WITH_STOP = ("stop", "stop_limit")
_TRAILING_STOP = "trailing_stop"
_RESTING = ("day", "gtc", "gtd")


def _leg(model: type[Body]) -> Any:
    def read(value: Any, info: ValidationInfo) -> Any:
        return None if value is None else within(info.field_name or "leg", model, value)

    return BeforeValidator(read)


class TakeProfitRequest(RequestBody):
    """The exit that takes a profit: a limit order in the book."""

    limit_price: Price


class StopLossRequest(RequestBody):
    """The exit that bounds a loss: a stop, or with `limit_price` a stop-limit order.

    `qty` is an extension, and must be the order's own.
    """

    UNSUPPORTED: ClassVar[dict[str, str]] = {
        "trail_price": "is not taken: a stop that trails is an order of its own",
        "trail_percent": "is not taken: a stop that trails is an order of its own",
    }

    stop_price: Price
    limit_price: MaybePrice = None
    qty: MaybeQuantity = None


class OrderRequest(SubmittedOrder):
    """A new order, or with `order_class` a group of linked orders.

    A `trailing_stop` order needs `trail_price` or `trail_percent`, and no other price.
    `post_only`, `self_trade_prevention`, `gtd`, `expire_at` and `locate` are extensions.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "symbol": "AAPL",
                    "qty": "10",
                    "side": "buy",
                    "type": "limit",
                    "time_in_force": "gtc",
                    "limit_price": "101.25",
                    "client_order_id": "my-first-order",
                },
                {
                    "symbol": "AAPL",
                    "qty": "10",
                    "side": "sell",
                    "type": "limit",
                    "time_in_force": "gtc",
                    "order_class": "oco",
                    "take_profit": {"limit_price": "110.00"},
                    "stop_loss": {"stop_price": "95.00", "limit_price": "94.50"},
                },
            ]
        }
    )

    UNSUPPORTED: ClassVar[dict[str, str]] = {
        "legs": "is taken of mleg orders alone: give take_profit and stop_loss",
        "position_intent": "is not taken: side says it all",
    }

    symbol: Symbol
    qty: MaybeQuantity = None
    notional: MaybeMoney = None
    side: Literal["buy", "sell"]
    type: OrderTypeName
    time_in_force: TimeInForceName
    limit_price: MaybePrice = None
    stop_price: MaybePrice = None
    trail_price: MaybePrice = None
    trail_percent: MaybeTrailPercent = None
    client_order_id: Key | None = None
    expire_at: Moment = None
    extended_hours: StrictBool | None = None
    order_class: Literal["simple", "", "oco", "bracket", "oto"] | None = None
    take_profit: Annotated[TakeProfitRequest | None, _leg(TakeProfitRequest)] = None
    stop_loss: Annotated[StopLossRequest | None, _leg(StopLossRequest)] = None
    post_only: StrictBool | None = None
    self_trade_prevention: SelfTradeName | None = None
    locate: StrictBool | None = None

    @property
    def group_class(self) -> int:
        """The OrderClass of the group it asks for; 0 for an order of its own."""
        return ORDER_CLASSES[self.order_class or "simple"]

    @model_validator(mode="after")
    def _terms_fit_together(self) -> Self:
        self._says_how_much()
        if self.order_class == "oco":
            self._is_an_oco()
        else:
            wanted = self.type in _WITH_LIMIT
            _fits("limit_price", self.limit_price, wanted, f"a {self.type} order")
        _fits("stop_price", self.stop_price, self.type in _WITH_STOP, f"a {self.type} order")
        self._trail_fits()
        _fits("expire_at", self.expire_at, self.time_in_force == "gtd", _an(self.time_in_force))
        if self.extended_hours:
            raise InvalidField("extended_hours", "may only be false")
        if self.post_only and (self.type != "limit" or self.time_in_force not in _RESTING):
            raise InvalidField("post_only", "needs a limit order that may rest")
        self._legs_fit()
        return self

    def _says_how_much(self) -> None:
        """By `qty`, or by the amount that a market order for the day may trade for."""
        if self.notional is None:
            if self.qty is None:
                raise InvalidField("qty", "is required")
            return
        if self.qty is not None:
            raise InvalidField("notional", "may not stand beside qty")
        if self.group_class:
            raise InvalidField("notional", f"is not a term of {self.order_class} orders")
        if self.type != "market":
            raise InvalidField("notional", f"is not a term of a {self.type} order")
        if self.time_in_force != "day":
            raise InvalidField("time_in_force", "of an order for an amount is day")

    def _trail_fits(self) -> None:
        """A stop that trails says by how much, once; Alpaca takes it as an order of its own."""
        if self.type != _TRAILING_STOP:
            for name in ("trail_price", "trail_percent"):
                _fits(name, getattr(self, name), False, f"a {self.type} order")
            return
        if self.group_class:
            raise InvalidField("type", f"of {self.order_class} orders is not trailing_stop")
        if self.trail_price is None and self.trail_percent is None:
            raise InvalidField("trail_price", "or trail_percent is required for this type")
        if self.trail_price is not None and self.trail_percent is not None:
            raise InvalidField("trail_percent", "is not taken beside trail_price")

    def _is_an_oco(self) -> None:
        if self.type != "limit":
            raise InvalidField("type", "of an oco order is limit")
        if self.limit_price and self.take_profit:
            if self.limit_price != self.take_profit.limit_price:
                raise InvalidField("limit_price", "is not take_profit.limit_price")
        elif not (self.limit_price or self.take_profit):
            raise InvalidField("take_profit", "is required for an oco order")

    def _legs_fit(self) -> None:
        """What alpaca-py asks of each class, and what exits that must wait need."""
        if not self.group_class:
            for name in ("take_profit", "stop_loss"):
                if getattr(self, name) is not None:
                    raise InvalidField(name, "needs order_class oco, bracket or oto")
            return
        if self.time_in_force not in _RESTING:
            raise InvalidField("time_in_force", f"of {self.order_class} orders is day, gtc or gtd")
        if self.post_only:
            raise InvalidField("post_only", f"is not a term of {self.order_class} orders")
        if self.order_class == "oto":
            if (self.take_profit is None) == (self.stop_loss is None):
                raise InvalidField(
                    "take_profit", "or stop_loss, and not both, is required for an oto order"
                )
            return
        for name in ("take_profit", "stop_loss"):
            if getattr(self, name) is None and (name, self.order_class) != ("take_profit", "oco"):
                raise InvalidField(name, f"is required for {self.order_class} orders")

    @property
    def spelled(self) -> dict[str, str]:
        """How it says what a group calls otherwise: an oco's limit may be its take-profit's."""
        if self.order_class == "oco" and self.take_profit is None:
            return {"take_profit.limit_price": "limit_price"}
        return {}

    def command(self, account_id: UUID, client_order_id: str) -> PlaceOrder | PlaceGroup:
        """The command that places this order, or this group."""
        expires_at = instant_of(self.expire_at) if self.expire_at else 0
        self_trade = SELF_TRADES[self.self_trade_prevention or "cancel_newest"]
        if not self.group_class:
            return PlaceOrder(
                account_id,
                symbol=self.symbol,
                side=SIDES[self.side],
                order_type=ORDER_TYPES[self.type],
                time_in_force=TIMES_IN_FORCE[self.time_in_force],
                qty=self.qty or 0,
                limit_price=self.limit_price or 0,
                stop_price=self.stop_price or 0,
                client_order_id=client_order_id,
                expires_at=expires_at,
                post_only=bool(self.post_only),
                self_trade=self_trade,
                locate=bool(self.locate),
                notional=self.notional or 0,
                trail_price=self.trail_price or 0,
                trail_percent=self.trail_percent or 0,
            )
        profit, loss = self.take_profit, self.stop_loss
        is_oco = self.order_class == "oco"
        own_limit = self.limit_price or 0
        return PlaceGroup(
            account_id,
            symbol=self.symbol,
            order_class=self.group_class,
            side=SIDES[self.side],
            order_type=ORDER_TYPES[self.type],
            time_in_force=TIMES_IN_FORCE[self.time_in_force],
            qty=self.qty or 0,
            limit_price=0 if is_oco else own_limit,
            stop_price=self.stop_price or 0,
            client_order_id=client_order_id,
            take_profit_price=profit.limit_price if profit else own_limit if is_oco else 0,
            stop_loss_price=loss.stop_price if loss else 0,
            stop_loss_limit_price=(loss.limit_price or 0) if loss else 0,
            stop_loss_qty=(loss.qty or 0) if loss else 0,
            expires_at=expires_at,
            self_trade=self_trade,
            locate=bool(self.locate),
        )


class ReplaceRequest(RequestBody):
    """New terms for a working order; what is left out stays. `qty` is the new total.

    `trail` is the new `trail_price` or `trail_percent` of a trailing stop, whichever it has. Of a
    multi-leg order `qty` and `limit_price` may change, which is its net price.
    """

    UNSUPPORTED: ClassVar[dict[str, str]] = {
        "notional": "is not taken: give qty",
    }

    qty: MaybeQuantity = None
    limit_price: MaybeNetPrice = None
    stop_price: MaybePrice = None
    trail: MaybePrice = None
    time_in_force: TimeInForceName | None = None
    expire_at: Moment = None
    client_order_id: Key | None = None

    @model_validator(mode="after")
    def _terms_fit_together(self) -> Self:
        if self.time_in_force is not None:
            _fits("expire_at", self.expire_at, self.time_in_force == "gtd", _an(self.time_in_force))
        return self

    def command(self, account_id: UUID, order_id: UUID, request_key: str) -> ReplaceOrder:
        """The command that replaces the order's terms."""
        return ReplaceOrder(
            account_id,
            order_id,
            client_order_id=self.client_order_id or "",
            request_key=self.client_order_id or request_key,
            qty=self.qty,
            limit_price=self.limit_price,
            stop_price=self.stop_price,
            trail=self.trail,
            time_in_force=(
                None if self.time_in_force is None else TIMES_IN_FORCE[self.time_in_force]
            ),
            expires_at=None if self.expire_at is None else instant_of(self.expire_at),
        )


class Order(Document):
    """An order, or one revision of it, in Alpaca's shape.

    `legs` are nested in the parent of a group: its entry, or an oco's take-profit.
    `cancel_reason` says why it ended when it was canceled or expired, `reject_reason` by which
    refusal it was rejected. `time_in_force` of a gtd order is gtc, with its `expires_at`;
    `exact_time_in_force` says gtd. These, `post_only`, `triggered_at`, `protection_price`,
    `group_id` and `leg` are extensions. A multi-leg order has no symbol, side and class of its
    own: its prices are net, `strategy_status` and `strategy` say what Alpaca has no words for, and
    `legs` are the orders that its legs are, with their `ratio_qty`.
    """

    id: UUID
    client_order_id: str
    created_at: datetime
    updated_at: datetime
    submitted_at: datetime
    filled_at: datetime | None
    expired_at: datetime | None
    expires_at: datetime | None
    canceled_at: datetime | None
    failed_at: datetime | None
    replaced_at: datetime | None
    replaced_by: UUID | None
    replaces: UUID | None
    triggered_at: datetime | None
    asset_id: UUID | None
    symbol: str
    asset_class: AssetClassName | None
    notional: MoneyShown | None
    qty: QuantityShown | None
    filled_qty: QuantityShown
    filled_avg_price: AveragePrice | None
    order_class: OrderClassName
    order_type: OrderTypeName
    type: OrderTypeName
    side: Literal["buy", "sell"] | None
    time_in_force: AlpacaTimeInForceName
    exact_time_in_force: TimeInForceName
    limit_price: PriceShown | None
    stop_price: PriceShown | None
    protection_price: PriceShown | None
    status: OrderStatusName
    cancel_reason: CancelReasonName | None
    reject_reason: str | None
    extended_hours: Literal[False]
    post_only: bool
    legs: list[Order] | None
    group_id: UUID | None
    leg: LegName | None
    trail_percent: TrailPercent | None
    trail_price: PriceShown | None
    hwm: PriceShown | None
    position_intent: PositionIntentName | None
    ratio_qty: str | None
    strategy_status: StrategyStatusName | None
    strategy: StrategyDocument | None


def _known(identifier: UUID) -> str | None:
    """An id as text; the nil id is none."""
    return str(identifier) if identifier.int else None


def _why_it_ended(view: OrderView) -> CancelReasonName | None:
    """Why an order left the market; None while it works, and of what is filled or replaced."""
    if view.replaced_by.int:
        return None
    if view.status == _EXPIRED:
        return "expired" if view.time_in_force == _GTD else "session_end"
    return CANCEL_REASON_NAMES.get(view.end_reason)


def order_document(
    view: OrderView,
    asset_class: str | None,
    *,
    order_class: int = 0,
    legs: list[dict[str, Any]] | None = None,
    ratio: int = 0,
    position_intent: int = 0,
) -> dict[str, Any]:
    """One order, or one revision of it, in Alpaca's shape."""
    decimals = view.price_decimals
    value = from_digits(view.value)
    kind = ORDER_TYPE_NAMES[view.order_type]
    submitted = iso(view.submitted_at)
    ended = moment(view.ended_at)
    return {
        "id": str(view.revision_id),
        "client_order_id": view.client_order_id,
        "created_at": submitted,
        "updated_at": iso(view.updated_at) if view.updated_at else submitted,
        "submitted_at": submitted,
        # Nothing that stands filled an order of which every trade was busted.
        "filled_at": moment(view.filled_at) if view.filled else None,
        "expired_at": ended if view.status == _EXPIRED else None,
        "expires_at": moment(view.expires_at),
        "canceled_at": ended if view.status == _CANCELED else None,
        "failed_at": submitted if view.status == _REJECTED else None,
        "replaced_at": moment(view.replaced_at),
        "replaced_by": _known(view.replaced_by),
        "replaces": _known(view.replaces),
        "triggered_at": moment(view.triggered_at),
        "asset_id": _known(view.instrument_id),
        "symbol": view.symbol,
        "asset_class": asset_class,
        "notional": cents(view.notional) if view.notional else None,
        "qty": None if view.notional else to_text(view.qty, QTY_SCALE),
        "filled_qty": to_text(view.filled, QTY_SCALE),
        "filled_avg_price": (
            average_price_text(value, view.filled, decimals) if view.filled else None
        ),
        "order_class": ORDER_CLASS_NAMES[order_class],
        "order_type": kind,
        "type": kind,
        "side": SIDE_NAMES[view.side],
        "time_in_force": ALPACA_TIME_IN_FORCE_NAMES[view.time_in_force],
        "exact_time_in_force": TIME_IN_FORCE_NAMES[view.time_in_force],
        "limit_price": to_text(view.limit_price, decimals) if view.limit_price else None,
        "stop_price": to_text(view.stop_price, decimals) if view.stop_price else None,
        "protection_price": (
            to_text(view.protection_price, decimals) if view.protection_price else None
        ),
        "status": "replaced" if view.replaced_by.int else ORDER_STATUS_NAMES[view.status],
        "cancel_reason": _why_it_ended(view),
        "reject_reason": view.refusal_code or None,
        "extended_hours": False,
        "post_only": view.post_only,
        "legs": legs,
        "group_id": str(view.group_id) if view.leg else None,
        "leg": LEG_NAMES.get(view.leg),
        "trail_percent": to_text(view.trail_percent, TRAIL_SCALE) if view.trail_percent else None,
        "trail_price": to_text(view.trail_price, decimals) if view.trail_price else None,
        "hwm": to_text(view.water_mark, decimals) if view.water_mark else None,
        "position_intent": POSITION_INTENT_NAMES.get(position_intent),
        "ratio_qty": str(ratio) if ratio else None,
        "strategy_status": None,
        "strategy": None,
    }


def _fits(field: str, value: Any, wanted: bool, kind: str) -> None:
    if wanted and value is None:
        raise InvalidField(field, f"is required for {kind}")
    if not wanted and value is not None:
        raise InvalidField(field, f"is not a term of {kind}")


def _an(time_in_force: str) -> str:
    article = "an" if time_in_force in ("ioc", "opg") else "a"
    return f"{article} {time_in_force} order"


TRADERS_REQUESTS: tuple[type[RequestBody], ...] = (
    OrderRequest,
    MultiLegRequest,
    ReplaceRequest,
)
