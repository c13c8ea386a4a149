"""An order at the writer's door: what may be asked of one, and how it is shown.

What is shown is one type, made from the order itself and nowhere else. Replies, reads of the
writer, the stream and the views all show it; what differs is where the order comes from: the
desk, its events, or a row that a view keeps.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter, itemgetter
from typing import Any, ClassVar, Self
from uuid import UUID

import msgspec
from msgspec.structs import replace

from application.requests import Int64, KeyOf, OfAccount, Text
from domain import units
from domain.identifiers import (
    NO_ID,
    AccountId,
    GroupId,
    Instant,
    InstrumentId,
    OrderId,
    RevisionId,
)
from domain.money import WIRE_PRICE_SCALE
from domain.order import Order
from domain.order_terms import Terms
from domain.terms import Leg, OrderClass, SelfTrade
from domain.units import to_digits

_OCO = int(OrderClass.OCO)
_TERMS = attrgetter(*Terms.__struct_fields__)
"""The terms of a command that places orders, in one call: every order passes here."""


class PlaceOrder(OfAccount, frozen=True, array_like=True, tag="place_order"):
    """Place one order. The request key is `client_order_id`."""

    symbol: Text[units.Symbol]
    side: Int64[units.SideCode]
    order_type: Int64[units.OrderTypeCode]
    time_in_force: Int64[units.TimeInForceCode]
    qty: Int64[units.Qty]
    limit_price: Int64[units.WirePrice]
    stop_price: Int64[units.WirePrice]
    client_order_id: Text[units.Key]
    expires_at: Int64[Instant] = 0
    post_only: bool = False
    self_trade: Int64[units.SelfTradeCode] = int(SelfTrade.CANCEL_NEWEST)
    locate: bool = False
    notional: Int64[units.Cents] = 0
    trail_price: Int64[units.WirePrice] = 0
    trail_percent: Int64[units.TrailPercent] = 0
    price_decimals: ClassVar[int] = WIRE_PRICE_SCALE

    @property
    def terms(self) -> Terms:
        """What it asks for, prices on the wire's scale."""
        return Terms(*_TERMS(self))

    def key(self) -> KeyOf | None:
        """The client's own name for the order."""
        return self.known_by(self.client_order_id)

    def names_order(self) -> bool:
        """It is the order's own name."""
        return True

    def orders_sent(self) -> int:
        """It is one."""
        return 1


class PlaceGroup(OfAccount, frozen=True, array_like=True, tag="place_group"):
    """Place an oco, bracket or oto group. The request key is `client_order_id`.

    `side` is the entry's, or the exits' of an oco; an oco's `order_type` is limit. Exits are
    opposite to an entry. A price of 0 says that a leg, or its limit, is not there;
    `stop_loss_qty` of 0 is `qty`. `client_order_id` names the parent, which is the entry, or
    the take-profit of an oco.
    """

    symbol: Text[units.Symbol]
    order_class: Int64[units.OrderClassCode]
    side: Int64[units.SideCode]
    order_type: Int64[units.OrderTypeCode]
    time_in_force: Int64[units.TimeInForceCode]
    qty: Int64[units.Qty]
    limit_price: Int64[units.WirePrice]
    stop_price: Int64[units.WirePrice]
    client_order_id: Text[units.Key]
    take_profit_price: Int64[units.WirePrice] = 0
    stop_loss_price: Int64[units.WirePrice] = 0
    stop_loss_limit_price: Int64[units.WirePrice] = 0
    stop_loss_qty: Int64[units.Qty] = 0
    expires_at: Int64[Instant] = 0
    self_trade: Int64[units.SelfTradeCode] = int(SelfTrade.CANCEL_NEWEST)
    locate: bool = False
    price_decimals: ClassVar[int] = WIRE_PRICE_SCALE
    post_only: ClassVar[bool] = False
    notional: ClassVar[int] = 0
    trail_price: ClassVar[int] = 0
    trail_percent: ClassVar[int] = 0

    @property
    def terms(self) -> Terms:
        """What its entry asks for, prices on the wire's scale; exits share all but the prices."""
        return Terms(*_TERMS(self))

    def key(self) -> KeyOf | None:
        """The client's own name for the order."""
        return self.known_by(self.client_order_id)

    def names_order(self) -> bool:
        """It is the order's own name."""
        return True

    def orders_sent(self) -> int:
        """Every leg is one."""
        stop_loss = self.stop_loss_price or self.stop_loss_limit_price
        exits = bool(self.take_profit_price) + bool(stop_loss)
        return exits + (self.order_class != _OCO) or 1


class ClosePosition(OfAccount, frozen=True, array_like=True, tag="close_position"):
    """Close a position, or a part of it, by a market order; the request key is its name.

    The instrument is named by its symbol or by its id. `qty` or `percent` say how much of what
    is free of other orders; all of it when neither does.
    """

    symbol: Text[units.Symbol]
    request_key: Text[units.Key]
    instrument_id: InstrumentId = NO_ID
    qty: Int64[units.Qty] | None = None
    percent: Int64[units.Percent] | None = None

    def orders_sent(self) -> int:
        """The order that closes is one."""
        return 1


class CloseAllPositions(OfAccount, frozen=True, array_like=True, tag="close_all_positions"):
    """Close every position by an order of its own, in steps; `cancel_orders` ends all that works
    first. A step after the first has a key of its own and goes on behind the positions `passed`.
    """

    request_key: Text[units.Key]
    cancel_orders: bool = False
    step: Int64[units.Number] = 0
    passed: Int64[units.Number] = 0

    def orders_sent(self) -> int:
        """One at least; how many it is the positions tell. A step after the first is no more."""
        return 0 if self.step else 1


class CancelOrder(OfAccount, frozen=True, array_like=True, tag="cancel_order"):
    """Cancel one working order, found by any of its revisions' ids or by client order id, or
    a whole group by the group's id.
    """

    TAKES_RISK_AWAY = True
    LOOKS_BACK = True

    order_id: OrderId | None
    client_order_id: Text[units.Key]
    request_key: Text[units.Key]


class ReplaceOrder(OfAccount, frozen=True, array_like=True, tag="replace_order"):
    """New terms for a working order; None keeps a term. `qty` is the new total.

    `trail` is the amount or the percentage by which a stop trails, whichever the order has.

    `client_order_id` is the new revision's and the request key; empty lets the id stay. Where
    `order_id` is nil the order is the one of that `name`. What is said of its symbol, side, type
    and by what it trails must be so: they are not replaced.
    """

    LOOKS_BACK = True

    order_id: OrderId
    client_order_id: Text[units.Key]
    request_key: Text[units.Key]
    qty: Int64[units.Qty] | None = None
    limit_price: Int64[units.WirePrice] | None = None
    stop_price: Int64[units.WirePrice] | None = None
    time_in_force: Int64[units.TimeInForceCode] | None = None
    expires_at: Int64[Instant] | None = None
    trail: Int64[units.WirePrice] | None = None
    name: Text[units.Key] = ""
    symbol: Text[units.Symbol] = ""
    side: Int64[units.SideCode] = 0
    order_type: Int64[units.OrderTypeCode] = 0
    trails_by_percent: bool | None = None

    @property
    def known_id(self) -> UUID | None:
        """The id of the order it is about; None where that is known by name."""
        return self.order_id if self.order_id.int else None

    def key(self) -> KeyOf | None:
        """A new client order id, which is never given twice, or else the request's key."""
        return self.known_by(self.client_order_id or self.request_key)

    def names_order(self) -> bool:
        """It is when the replace gives the order a new name."""
        return bool(self.client_order_id)

    def orders_sent(self) -> int:
        """A changed order is a new message to the book."""
        return 1


class CancelAll(OfAccount, frozen=True, array_like=True, tag="cancel_all"):
    """Cancel the account's working orders, of one symbol or all, in chunks of 200 decisions.

    `by_operator` says that the venue asks for it and not the client.
    """

    TAKES_RISK_AWAY = True

    symbol: Text[units.Symbol] = ""
    side: Int64[units.SideCode] = 0
    by_operator: bool = False


class ReadOrder(OfAccount, frozen=True, array_like=True, tag="read_order"):
    """Read a working or recent order as the writer has it (FIX order status)."""

    READS = True
    LOOKS_BACK = True

    order_id: OrderId | None
    client_order_id: Text[units.Key] = ""


class OrderView(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One revision of an order, as it stands or, when it was replaced, as it stood then.

    Its times are its own: it was submitted when it took the place of the one before, and filled
    by what traded since. Units as in the events; of an order that was refused the prices are on
    the wire's scale.
    `replaced_by` is nil while the revision is the newest, `replaces` of the first one.
    `end_reason` is a CancelReason, and 0 of one that was not canceled.
    """

    value: units.Value
    order_id: OrderId
    revision_id: RevisionId
    account_id: AccountId
    instrument_id: InstrumentId
    symbol: units.Symbol
    client_order_id: units.Key
    side: units.SideCode
    order_type: units.OrderTypeCode
    time_in_force: units.TimeInForceCode
    qty: units.Qty
    filled: units.Qty
    limit_price: units.Price
    stop_price: units.Price
    price_decimals: units.Decimals
    expires_at: Instant
    post_only: bool
    status: units.OrderStatusCode
    submitted_at: Instant
    updated_at: Instant
    filled_at: Instant = 0
    ended_at: Instant = 0
    triggered_at: Instant = 0
    replaces: RevisionId = NO_ID
    group_id: GroupId = NO_ID
    leg: units.LegCode = int(Leg.NONE)
    end_reason: units.CancelReasonCode = 0
    refusal_code: str = ""
    protection_price: units.PriceOrNone = 0
    notional: units.Cents = 0
    trail_price: units.PriceOrNone = 0
    trail_percent: units.TrailPercent = 0
    water_mark: units.PriceOrNone = 0
    replaced_at: Instant = 0
    replaced_by: RevisionId = NO_ID

    @classmethod
    def of(cls, order: Order) -> Self:
        """An order as it stands: its newest revision, which nothing has replaced."""
        return cls(to_digits(order.value), *_standing(order.__dict__))

    def replaced(self, by: RevisionId, at: Instant) -> Self:
        """The revision from when another took its place: nothing changes it any more."""
        return replace(self, replaced_by=by, replaced_at=at, updated_at=at)


_NAMED_OTHERWISE = {"order_id": "_id", "updated_at": "modified_at"}
_SET_APART = ("value", "replaced_at", "replaced_by")
# A third of what named arguments cost, on the way of every order.
_standing: Callable[[dict[str, Any]], tuple[Any, ...]] = itemgetter(
    *(
        _NAMED_OTHERWISE.get(name, name)
        for name in OrderView.__struct_fields__
        if name not in _SET_APART
    )
)
