"""Events of orders: one literal shape for every step of an order's life."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar
from uuid import UUID

from domain.events.base import DomainEvent, SpentKey, spent, topic
from domain.identifiers import NO_ID, AccountId, GroupId, Instant, InstrumentId, RevisionId
from domain.money import WIRE_PRICE_SCALE
from domain.terms import Leg, OrderClass, OrderStatus
from domain.units import (
    CANCEL_REASON,
    INSTANT,
    AdjustmentCode,
    CancelReasonCode,
    Cents,
    Decimals,
    Fingerprint,
    Key,
    LegCode,
    OrderClassCode,
    OrderStatusCode,
    OrderTypeCode,
    Price,
    PriceOrNone,
    Qty,
    SelfTradeCode,
    Sequence,
    SideCode,
    Symbol,
    TimeInForceCode,
    TrailPercent,
    TriggerRuleCode,
    Unit,
    Value,
    WirePrice,
    Words,
    from_digits,
)

_NEW = int(OrderStatus.NEW)
_PARTIAL = int(OrderStatus.PARTIALLY_FILLED)
_CANCELED = int(OrderStatus.CANCELED)
_REJECTED = int(OrderStatus.REJECTED)
_EXPIRED = int(OrderStatus.EXPIRED)
_SIMPLE = int(OrderClass.SIMPLE)
_NO_LEG = int(Leg.NONE)


_ID_LENGTH = len(str(NO_ID))


def _is_nameless(client_order_id: str, order_id: UUID) -> bool:
    """Whether no client named an order: the venue calls it by its own id then."""
    # Most names are told apart by their length, which spares making a text of the id.
    return len(client_order_id) == _ID_LENGTH and client_order_id == str(order_id)


class OrderEvent(DomainEvent, frozen=True, array_like=True, gc=False):
    """An event of an order."""

    AGGREGATE = "order"
    SETS: ClassVar[Mapping[str, Unit]] = {
        "replaced_at": INSTANT,
        "ended_at": INSTANT,
        "end_reason": CANCEL_REASON,
        "refusal_code": Words(),
        "submitted_at": INSTANT,
    }
    account_id: AccountId
    instrument_id: InstrumentId


@topic
class OrderAccepted(OrderEvent, frozen=True, array_like=True, gc=False):
    """The order passed every check, its holds are taken, and it works from now on.

    `sequence` is its priority number; `revision_id` the API id of this revision of it;
    `limit_price` 0 for market and stop, `stop_price` 0 for market and limit; of a stop that
    trails where it begins, reckoned from its `water_mark`.
    """

    TOPIC = "order.accepted.v1"
    symbol: Symbol
    side: SideCode
    order_type: OrderTypeCode
    time_in_force: TimeInForceCode
    qty: Qty
    limit_price: Price
    stop_price: Price
    price_decimals: Decimals
    expires_at: Instant
    post_only: bool
    self_trade: SelfTradeCode
    client_order_id: Key
    fingerprint: Fingerprint
    revision_id: RevisionId
    sequence: Sequence
    working_price: Price
    """What bounds its trades: the limit, the protection price of a market order, or the collar
    of one that is queued and of a stop that waits.
    """
    hold: Cents
    hold_qty: Qty
    locate: bool = False
    """The client says that it has located the shares it sells short (FIX tag 114)."""
    status: OrderStatusCode = _NEW
    """New, or held while another order of its group comes first."""
    armed: bool = True
    """Whether it is in the book or among the waiting stops."""
    group_id: GroupId = NO_ID
    leg: LegCode = _NO_LEG
    protection_price: PriceOrNone = 0
    """How far a market order may trade; 0 when it is queued, and of all other types."""
    rests: bool = False
    """Whether a market order stays in the book with what does not trade at once."""
    notional: Cents = 0
    """What a market order trades for at most; `qty` is what that reaches at the best price."""
    trail_price: PriceOrNone = 0
    trail_percent: TrailPercent = 0
    water_mark: PriceOrNone = 0

    def spends(self) -> SpentKey | None:
        """The order's own key. A leg has none, its group carries that of the request; nor has an
        order that the venue named, for no request did.
        """
        if self.leg or _is_nameless(self.client_order_id, self.originator_id):
            return None
        return spent(self.account_id, self.client_order_id, self.fingerprint)

    def apply(self, aggregate: Any) -> None:
        aggregate.account_id = self.account_id
        aggregate.instrument_id = self.instrument_id
        aggregate.symbol = self.symbol
        aggregate.side = self.side
        aggregate.order_type = self.order_type
        aggregate.time_in_force = self.time_in_force
        aggregate.qty = self.qty
        aggregate.leaves = self.qty
        aggregate.status = self.status
        aggregate.armed = self.armed
        aggregate.locate = self.locate
        aggregate.group_id = self.group_id
        aggregate.leg = self.leg
        aggregate.limit_price = self.limit_price
        aggregate.stop_price = self.stop_price
        aggregate.price_decimals = self.price_decimals
        aggregate.expires_at = self.expires_at
        aggregate.post_only = self.post_only
        aggregate.self_trade = self.self_trade
        aggregate.client_order_id = self.client_order_id
        aggregate.revision_id = self.revision_id
        aggregate.submitted_at = self.at
        aggregate.sequence = self.sequence
        aggregate.working_price = self.working_price
        aggregate.hold = self.hold
        aggregate.hold_qty = self.hold_qty
        aggregate.protection_price = self.protection_price
        aggregate.rests = self.rests
        aggregate.notional = self.notional
        if self.water_mark:
            aggregate.trail_price = self.trail_price
            aggregate.trail_percent = self.trail_percent
            aggregate.water_mark = self.water_mark


@topic
class OrderRejected(OrderEvent, frozen=True, array_like=True, gc=False):
    """The order was refused; this is its whole life. `instrument_id` is nil when unknown."""

    TOPIC = "order.rejected.v1"
    symbol: Symbol
    side: SideCode
    order_type: OrderTypeCode
    time_in_force: TimeInForceCode
    qty: Qty
    limit_price_wire: WirePrice
    """As asked for, in 1e-9 units: the instrument's scale may be unknown."""
    stop_price_wire: WirePrice
    client_order_id: Key
    fingerprint: Fingerprint
    code: str
    message: str
    details: dict[str, Any]
    order_class: OrderClassCode = _SIMPLE
    notional: Cents = 0
    trail_price_wire: WirePrice = 0
    trail_percent: TrailPercent = 0

    def spends(self) -> SpentKey | None:
        """The order's own key, unless the venue named it."""
        if _is_nameless(self.client_order_id, self.originator_id):
            return None
        return spent(self.account_id, self.client_order_id, self.fingerprint)

    def apply(self, aggregate: Any) -> None:
        aggregate.account_id = self.account_id
        aggregate.instrument_id = self.instrument_id
        aggregate.symbol = self.symbol
        aggregate.side = self.side
        aggregate.order_type = self.order_type
        aggregate.time_in_force = self.time_in_force
        aggregate.qty = self.qty
        aggregate.limit_price = self.limit_price_wire
        aggregate.stop_price = self.stop_price_wire
        aggregate.trail_price = self.trail_price_wire
        aggregate.trail_percent = self.trail_percent
        aggregate.price_decimals = WIRE_PRICE_SCALE
        aggregate.client_order_id = self.client_order_id
        aggregate.notional = self.notional
        aggregate.revision_id = self.originator_id
        aggregate.submitted_at = self.at
        aggregate.status = _REJECTED
        aggregate.refusal_code = self.code
        aggregate.ended_at = self.at


@topic
class OrderTrailed(OrderEvent, frozen=True, array_like=True, gc=False):
    """A stop that trails moved by a tick or more: a sell's up, a buy's down, never back.

    `water_mark` is the price seen that moved it, the best since the order was accepted.
    """

    TOPIC = "order.trailed.v1"
    side: SideCode
    stop_price: Price
    water_mark: PriceOrNone

    def apply(self, aggregate: Any) -> None:
        aggregate.stop_price = self.stop_price
        aggregate.water_mark = self.water_mark


@topic
class OrderTriggered(OrderEvent, frozen=True, array_like=True, gc=False):
    """A stop was elected; `seen_price` is the price that did it, `rule` which kind it was.

    One without a limit trades to its `protection_price` and, where it `rests`, works on there.
    """

    TOPIC = "order.triggered.v1"
    rule: TriggerRuleCode
    seen_price: Price
    sequence: Sequence
    working_price: Price
    group_id: GroupId = NO_ID
    leg: LegCode = _NO_LEG
    protection_price: PriceOrNone = 0
    rests: bool = False

    def apply(self, aggregate: Any) -> None:
        aggregate.triggered_at = self.at
        aggregate.sequence = self.sequence
        aggregate.working_price = self.working_price
        aggregate.protection_price = self.protection_price
        aggregate.rests = self.rests


@topic
class OrderAdjusted(OrderEvent, frozen=True, array_like=True, gc=False):
    """The venue changed what is left, held or ready because something else happened.

    `reason` is an Adjustment; `sequence` is a new one when the order goes to the end of its
    price; an order that becomes `armed` enters the book or the waiting stops. A price other
    than 0 is the `protection_price` at which a queued market order works from now on.
    """

    TOPIC = "order.adjusted.v1"
    reason: AdjustmentCode
    side: SideCode
    qty: Qty
    filled: Qty
    leaves_after: Qty
    sequence: Sequence
    hold_after: Cents
    hold_qty_after: Qty
    status_after: OrderStatusCode
    armed: bool
    group_id: GroupId = NO_ID
    leg: LegCode = _NO_LEG
    protection_price: PriceOrNone = 0

    def apply(self, aggregate: Any) -> None:
        aggregate.qty = self.qty
        aggregate.leaves = self.leaves_after
        aggregate.sequence = self.sequence
        aggregate.hold = self.hold_after
        aggregate.hold_qty = self.hold_qty_after
        aggregate.status = self.status_after
        aggregate.armed = self.armed
        if self.protection_price:
            aggregate.working_price = self.protection_price
            aggregate.protection_price = self.protection_price


@topic
class OrderReplaced(OrderEvent, frozen=True, array_like=True, gc=False):
    """New terms. `sequence` is the old one when priority was kept. Carries all terms, so that
    the reply can be rendered from this event alone.
    """

    TOPIC = "order.replaced.v1"
    revision_id: RevisionId
    replaces: RevisionId
    request_key: Key
    fingerprint: Fingerprint
    client_order_id: Key
    symbol: Symbol
    side: SideCode
    order_type: OrderTypeCode
    time_in_force: TimeInForceCode
    qty: Qty
    limit_price: Price
    stop_price: Price
    price_decimals: Decimals
    expires_at: Instant
    post_only: bool
    filled: Qty
    value: Value
    leaves_after: Qty
    sequence: Sequence
    working_price: Price
    kept_priority: bool
    hold_after: Cents
    hold_qty_after: Qty
    submitted_at: Instant
    """When the order was accepted, whatever its revisions."""
    filled_at: Instant = 0
    """When it last traded under the terms that end here."""
    triggered_at: Instant = 0
    status_after: OrderStatusCode = _NEW
    group_id: GroupId = NO_ID
    leg: LegCode = _NO_LEG
    protection_price: PriceOrNone = 0
    rests: bool = False
    notional: Cents = 0
    trail_price: PriceOrNone = 0
    trail_percent: TrailPercent = 0
    water_mark: PriceOrNone = 0
    stop_before: PriceOrNone = 0
    """Where its stop stood under the terms that end here, of one that trails."""
    water_mark_before: PriceOrNone = 0

    @property
    def status(self) -> int:
        """The order's status, which new terms do not change."""
        # A bust may leave nothing filled; a row from before `status_after` reads as zero.
        return max(_PARTIAL if self.filled else _NEW, self.status_after)

    def spends(self) -> SpentKey | None:
        return spent(self.account_id, self.request_key, self.fingerprint)

    def apply(self, aggregate: Any) -> None:
        aggregate.client_order_id = self.client_order_id
        aggregate.revision_id = self.revision_id
        aggregate.replaces = self.replaces
        aggregate.symbol = self.symbol
        aggregate.time_in_force = self.time_in_force
        aggregate.expires_at = self.expires_at
        aggregate.qty = self.qty
        aggregate.limit_price = self.limit_price
        aggregate.stop_price = self.stop_price
        aggregate.trail_price = self.trail_price
        aggregate.trail_percent = self.trail_percent
        aggregate.water_mark = self.water_mark
        aggregate.leaves = self.leaves_after
        aggregate.sequence = self.sequence
        aggregate.working_price = self.working_price
        aggregate.hold = self.hold_after
        aggregate.hold_qty = self.hold_qty_after
        aggregate.replaced_at = self.at
        aggregate.submitted_at = self.at
        aggregate.filled_at = 0

    def apply_rest(self, aggregate: Any) -> None:
        """Copy what new terms do not change onto an order that is known by nothing else."""
        aggregate.account_id = self.account_id
        aggregate.instrument_id = self.instrument_id
        aggregate.side = self.side
        aggregate.order_type = self.order_type
        aggregate.price_decimals = self.price_decimals
        aggregate.post_only = self.post_only
        aggregate.filled = self.filled
        aggregate.value = from_digits(self.value)
        aggregate.triggered_at = self.triggered_at
        aggregate.group_id = self.group_id
        aggregate.leg = self.leg
        aggregate.status = self.status
        aggregate.protection_price = self.protection_price
        aggregate.rests = self.rests
        aggregate.notional = self.notional


@topic
class OrderCanceled(OrderEvent, frozen=True, array_like=True, gc=False):
    """The order left the market; what was filled stays filled."""

    TOPIC = "order.canceled.v2"
    request_key: Key
    fingerprint: Fingerprint
    reason: CancelReasonCode
    side: SideCode
    canceled_qty: Qty
    filled: Qty
    group_id: GroupId = NO_ID
    leg: LegCode = _NO_LEG

    def spends(self) -> SpentKey | None:
        return spent(self.account_id, self.request_key, self.fingerprint)

    def apply(self, aggregate: Any) -> None:
        aggregate.status = _CANCELED
        aggregate.end_reason = self.reason
        aggregate.leaves = 0
        aggregate.hold = 0
        aggregate.hold_qty = 0
        aggregate.ended_at = self.at


@topic
class OrderExpired(OrderEvent, frozen=True, array_like=True, gc=False):
    """The order's time ran out."""

    TOPIC = "order.expired.v1"
    side: SideCode
    expired_qty: Qty
    filled: Qty
    group_id: GroupId = NO_ID
    leg: LegCode = _NO_LEG

    def apply(self, aggregate: Any) -> None:
        aggregate.status = _EXPIRED
        aggregate.leaves = 0
        aggregate.hold = 0
        aggregate.hold_qty = 0
        aggregate.ended_at = self.at
