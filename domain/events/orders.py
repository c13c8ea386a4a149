"""Events of orders: one literal shape for every step of an order's life."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from domain.events.base import DomainEvent, topic
from domain.identifiers import HOUSE


class OrderEvent(DomainEvent, frozen=True, array_like=True, gc=False):
    """An event of an order."""

    AGGREGATE = "order"
    account_id: UUID
    instrument_id: UUID


@topic
class OrderAccepted(OrderEvent, frozen=True, array_like=True, gc=False):
    """The order passed every check, its holds are taken, and it works from now on.

    `sequence` is its priority number; `revision_id` the API id of this revision of it;
    `limit_price` 0 for market and stop, `stop_price` 0 for market and limit.
    """

    TOPIC = "order.accepted.v1"
    symbol: str
    side: int
    order_type: int
    time_in_force: int
    qty: int
    limit_price: int
    stop_price: int
    price_decimals: int
    expires_at: int
    post_only: bool
    self_trade: int
    client_order_id: str
    fingerprint: bytes
    revision_id: UUID
    sequence: int
    working_price: int
    """What bounds its trades: the limit, or the collar of a market order."""
    hold: int
    hold_qty: int
    locate: bool = False
    """The client says that it has located the shares it sells short (FIX tag 114)."""
    status: int = 0
    """New, or held while another order of its group comes first."""
    armed: bool = True
    """Whether it is in the book or among the waiting stops."""
    group_id: UUID = HOUSE
    leg: int = 0

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
        aggregate.sequence = self.sequence
        aggregate.working_price = self.working_price
        aggregate.hold = self.hold
        aggregate.hold_qty = self.hold_qty


@topic
class OrderRejected(OrderEvent, frozen=True, array_like=True, gc=False):
    """The order was refused; this is its whole life. `instrument_id` is nil when unknown."""

    TOPIC = "order.rejected.v1"
    symbol: str
    side: int
    order_type: int
    time_in_force: int
    qty: int
    limit_price_wire: int
    """As asked for, in 1e-9 units: the instrument's scale may be unknown."""
    stop_price_wire: int
    client_order_id: str
    fingerprint: bytes
    code: str
    message: str
    details: dict[str, Any]
    order_class: int = 0

    def apply(self, aggregate: Any) -> None:
        aggregate.account_id = self.account_id
        aggregate.instrument_id = self.instrument_id
        aggregate.symbol = self.symbol
        aggregate.side = self.side
        aggregate.order_type = self.order_type
        aggregate.time_in_force = self.time_in_force
        aggregate.qty = self.qty
        aggregate.client_order_id = self.client_order_id
        aggregate.status = 8


@topic
class OrderTriggered(OrderEvent, frozen=True, array_like=True, gc=False):
    """A stop was elected; `seen_price` is the price that did it, `rule` which kind it was."""

    TOPIC = "order.triggered.v1"
    rule: int
    seen_price: int
    sequence: int
    working_price: int
    group_id: UUID = HOUSE
    leg: int = 0

    def apply(self, aggregate: Any) -> None:
        aggregate.triggered_at = self.at
        aggregate.sequence = self.sequence
        aggregate.working_price = self.working_price


@topic
class OrderFilled(OrderEvent, frozen=True, array_like=True, gc=False):
    """One trade against the order. `value_after` is the exact sum of price times qty so far,
    as decimal digits in 10^-(price_decimals + 8) units: it may exceed 64 bits.

    `commission` is what the schedule asks for this fill, `commission_after` what it asks for
    the order so far within its minimum and cap, both exact, as digits in 1e-24 USD.
    """

    TOPIC = "order.filled.v1"
    trade_id: UUID
    side: int
    qty: int
    price: int
    price_decimals: int
    notional: int
    fee: int
    liquidity: int
    session_date: int
    value_date: int
    filled_after: int
    leaves_after: int
    value_after: str
    hold_after: int
    hold_qty_after: int
    status_after: int
    commission_kind: int = 0
    commission: str = "0"
    commission_base_after: str = "0"
    commission_after: str = "0"
    unpaid_qty: int = 0
    group_id: UUID = HOUSE
    leg: int = 0

    def apply(self, aggregate: Any) -> None:
        aggregate.filled = self.filled_after
        aggregate.leaves = self.leaves_after
        aggregate.value = int(self.value_after)
        aggregate.hold = self.hold_after
        aggregate.hold_qty = self.hold_qty_after
        aggregate.status = self.status_after
        aggregate.filled_at = self.at
        aggregate.commission_base = int(self.commission_base_after)
        aggregate.commission = int(self.commission_after)


@topic
class OrderAdjusted(OrderEvent, frozen=True, array_like=True, gc=False):
    """The venue changed what is left, held or ready because something else happened.

    `reason` is an Adjustment; `sequence` is a new one when the order goes to the end of its
    price; an order that becomes `armed` enters the book or the waiting stops.
    """

    TOPIC = "order.adjusted.v1"
    reason: int
    side: int
    qty: int
    filled: int
    leaves_after: int
    sequence: int
    hold_after: int
    hold_qty_after: int
    status_after: int
    armed: bool
    group_id: UUID = HOUSE
    leg: int = 0

    def apply(self, aggregate: Any) -> None:
        aggregate.qty = self.qty
        aggregate.leaves = self.leaves_after
        aggregate.sequence = self.sequence
        aggregate.hold = self.hold_after
        aggregate.hold_qty = self.hold_qty_after
        aggregate.status = self.status_after
        aggregate.armed = self.armed


@topic
class OrderReplaced(OrderEvent, frozen=True, array_like=True, gc=False):
    """New terms. `sequence` is the old one when priority was kept. Carries all terms, so that
    the reply can be rendered from this event alone.
    """

    TOPIC = "order.replaced.v1"
    revision_id: UUID
    replaces: UUID
    request_key: str
    fingerprint: bytes
    client_order_id: str
    symbol: str
    side: int
    order_type: int
    time_in_force: int
    qty: int
    limit_price: int
    stop_price: int
    price_decimals: int
    expires_at: int
    post_only: bool
    filled: int
    value: str
    leaves_after: int
    sequence: int
    working_price: int
    kept_priority: bool
    hold_after: int
    hold_qty_after: int
    submitted_at: int
    filled_at: int = 0
    triggered_at: int = 0
    status_after: int = 0
    group_id: UUID = HOUSE
    leg: int = 0

    def apply(self, aggregate: Any) -> None:
        aggregate.client_order_id = self.client_order_id
        aggregate.revision_id = self.revision_id
        aggregate.replaces = self.replaces
        aggregate.time_in_force = self.time_in_force
        aggregate.expires_at = self.expires_at
        aggregate.qty = self.qty
        aggregate.limit_price = self.limit_price
        aggregate.stop_price = self.stop_price
        aggregate.leaves = self.leaves_after
        aggregate.sequence = self.sequence
        aggregate.working_price = self.working_price
        aggregate.hold = self.hold_after
        aggregate.hold_qty = self.hold_qty_after
        aggregate.replaced_at = self.at


@topic
class OrderCanceled(OrderEvent, frozen=True, array_like=True, gc=False):
    """The order left the market; what was filled stays filled."""

    TOPIC = "order.canceled.v2"
    request_key: str
    fingerprint: bytes
    reason: int
    side: int
    canceled_qty: int
    filled: int
    group_id: UUID = HOUSE
    leg: int = 0

    def apply(self, aggregate: Any) -> None:
        aggregate.status = 4
        aggregate.leaves = 0
        aggregate.hold = 0
        aggregate.hold_qty = 0
        aggregate.ended_at = self.at


@topic
class OrderExpired(OrderEvent, frozen=True, array_like=True, gc=False):
    """The order's time ran out."""

    TOPIC = "order.expired.v1"
    side: int
    expired_qty: int
    filled: int
    group_id: UUID = HOUSE
    leg: int = 0

    def apply(self, aggregate: Any) -> None:
        aggregate.status = 12
        aggregate.leaves = 0
        aggregate.hold = 0
        aggregate.hold_qty = 0
        aggregate.ended_at = self.at


@topic
class OrderFillBusted(OrderEvent, frozen=True, array_like=True, gc=False):
    """A fill was undone by the venue; the order's status and leaves do not move."""

    TOPIC = "order.fill_busted.v1"
    trade_id: UUID
    side: int
    qty: int
    price: int
    price_decimals: int
    filled_after: int
    value_after: str
    commission_base_after: str = "0"
    commission_after: str = "0"
    group_id: UUID = HOUSE
    leg: int = 0

    def apply(self, aggregate: Any) -> None:
        aggregate.filled = self.filled_after
        aggregate.value = int(self.value_after)
        aggregate.commission_base = int(self.commission_base_after)
        aggregate.commission = int(self.commission_after)


@topic
class OrderFillCorrected(OrderEvent, frozen=True, array_like=True, gc=False):
    """A fill's price was corrected by the venue; `trade_id` is the corrected trade.

    `fee` is what the correction posts more, or less; `fee_after` what the fill costs now.
    """

    TOPIC = "order.fill_corrected.v1"
    trade_id: UUID
    side: int
    qty: int
    price: int
    price_decimals: int
    old_price: int
    notional: int
    value_after: str
    fee: int = 0
    commission: str = "0"
    commission_base_after: str = "0"
    commission_after: str = "0"
    group_id: UUID = HOUSE
    leg: int = 0
    fee_after: int = 0

    def apply(self, aggregate: Any) -> None:
        aggregate.value = int(self.value_after)
        aggregate.commission_base = int(self.commission_base_after)
        aggregate.commission = int(self.commission_after)
