"""Events of fills: what was traded against an order, and what the venue undid or corrected."""

from __future__ import annotations

from typing import Any

from domain.commission import Kind
from domain.events.base import Traded, topic
from domain.events.orders import OrderEvent
from domain.identifiers import NO_ID, GroupId, TradeId
from domain.terms import Leg, Side
from domain.units import (
    Cents,
    CommissionKindCode,
    Day,
    Decimals,
    ExactUsd,
    LegCode,
    LiquidityCode,
    Number,
    OrderStatusCode,
    Price,
    Qty,
    SideCode,
    Value,
    from_digits,
)

_BUY = int(Side.BUY)
_NO_LEG = int(Leg.NONE)
_FREE = int(Kind.NONE)


@topic
class OrderFilled(OrderEvent, frozen=True, array_like=True, gc=False):
    """One trade against the order. `value_after` is the exact sum of price times qty so far,
    as decimal digits in 10^-(price_decimals + 8) units: it may exceed 64 bits.

    `commission` is what the schedule asks for this fill, `commission_after` what it asks for
    the order so far within its minimum and cap, both exact, as digits in 1e-24 USD.

    `notional` is what the trade is worth, in cents, the same on both sides. What its account
    posts follows from the `exact` value and all it traded before; of a fill from before that
    was so it is the notional.
    """

    TOPIC = "order.filled.v1"
    trade_id: TradeId
    side: SideCode
    qty: Qty
    price: Price
    price_decimals: Decimals
    notional: Cents
    fee: Cents
    liquidity: LiquidityCode
    session_date: Day
    value_date: Day
    filled_after: Qty
    leaves_after: Qty
    value_after: Value
    hold_after: Cents
    hold_qty_after: Qty
    status_after: OrderStatusCode
    commission_kind: CommissionKindCode = _FREE
    commission: ExactUsd = "0"
    commission_base_after: ExactUsd = "0"
    commission_after: ExactUsd = "0"
    unpaid_qty: Qty = 0
    group_id: GroupId = NO_ID
    leg: LegCode = _NO_LEG
    exact: bool = False
    multiplier: Number = 1
    """Of its instrument: the trade is worth price times quantity times this."""

    def traded(self) -> Traded | None:
        """Both sides have a fill, and the buyer's counts."""
        return Traded(self.qty, self.notional) if self.side == _BUY else None

    def apply(self, aggregate: Any) -> None:
        aggregate.filled = self.filled_after
        aggregate.leaves = self.leaves_after
        aggregate.value = from_digits(self.value_after)
        aggregate.hold = self.hold_after
        aggregate.hold_qty = self.hold_qty_after
        aggregate.status = self.status_after
        aggregate.filled_at = self.at
        aggregate.commission_base = from_digits(self.commission_base_after)
        aggregate.commission = from_digits(self.commission_after)


@topic
class OrderFillBusted(OrderEvent, frozen=True, array_like=True, gc=False):
    """A fill was undone by the venue; what is left of the order does not grow by it.

    When none stands of one that was filled, or of a group's entry, `OrderCanceled` follows.
    """

    TOPIC = "order.fill_busted.v1"
    trade_id: TradeId
    side: SideCode
    qty: Qty
    price: Price
    price_decimals: Decimals
    filled_after: Qty
    value_after: Value
    commission_base_after: ExactUsd = "0"
    commission_after: ExactUsd = "0"
    group_id: GroupId = NO_ID
    leg: LegCode = _NO_LEG
    multiplier: Number = 1

    def apply(self, aggregate: Any) -> None:
        aggregate.filled = self.filled_after
        aggregate.value = from_digits(self.value_after)
        aggregate.commission_base = from_digits(self.commission_base_after)
        aggregate.commission = from_digits(self.commission_after)


@topic
class OrderFillCorrected(OrderEvent, frozen=True, array_like=True, gc=False):
    """A fill's price was corrected by the venue; `trade_id` is the corrected trade.

    `fee` is what the correction posts more, or less; `fee_after` what the fill costs now.
    """

    TOPIC = "order.fill_corrected.v1"
    trade_id: TradeId
    side: SideCode
    qty: Qty
    price: Price
    price_decimals: Decimals
    old_price: Price
    notional: Cents
    value_after: Value
    fee: Cents = 0
    commission: ExactUsd = "0"
    commission_base_after: ExactUsd = "0"
    commission_after: ExactUsd = "0"
    group_id: GroupId = NO_ID
    leg: LegCode = _NO_LEG
    fee_after: Cents = 0
    exact: bool = False
    """Whether accounts are posted its exact value, as of `OrderFilled`."""
    multiplier: Number = 1

    def apply(self, aggregate: Any) -> None:
        aggregate.value = from_digits(self.value_after)
        aggregate.commission_base = from_digits(self.commission_base_after)
        aggregate.commission = from_digits(self.commission_after)
