"""Events of positions: what is held, reserved and traded of one instrument."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from domain.events.base import DomainEvent, SpentKey, spent, topic
from domain.identifiers import (
    AccountId,
    InstrumentId,
    OrderId,
    SettlementId,
    TradeId,
    operators_of,
)
from domain.units import (
    DAY,
    Cents,
    Day,
    Decimals,
    ExactUsd,
    Fingerprint,
    Key,
    Number,
    OptionEndCode,
    Price,
    PriceOrNone,
    Qty,
    SideCode,
    Unit,
    from_digits,
)


class PositionEvent(DomainEvent, frozen=True, array_like=True, gc=False):
    """An event of a position: one account's holding of one instrument."""

    AGGREGATE = "position"
    SETS: ClassVar[Mapping[str, Unit]] = {"marked_day": DAY}
    account_id: AccountId
    instrument_id: InstrumentId


@topic
class PositionOpened(PositionEvent, frozen=True, array_like=True, gc=False):
    """The account touches the instrument for the first time."""

    TOPIC = "position.opened.v1"

    def apply(self, aggregate: Any) -> None:
        aggregate.account_id = self.account_id
        aggregate.instrument_id = self.instrument_id


@topic
class QuantityReserved(PositionEvent, frozen=True, array_like=True, gc=False):
    """Held quantity is set aside for a working sell order."""

    TOPIC = "position.reserved.v1"
    order_id: OrderId
    qty: Qty
    reserved_after: Qty

    def apply(self, aggregate: Any) -> None:
        aggregate.reserved = self.reserved_after


@topic
class QuantityReleased(PositionEvent, frozen=True, array_like=True, gc=False):
    """Reserved quantity is free again because the order shrank or ended."""

    TOPIC = "position.released.v1"
    order_id: OrderId
    qty: Qty
    reserved_after: Qty

    def apply(self, aggregate: Any) -> None:
        aggregate.reserved = self.reserved_after


@topic
class PositionTraded(PositionEvent, frozen=True, array_like=True, gc=False):
    """One side of a trade in the position; `cost_after` is the cost basis, signed like qty.

    Costs and profits are exact: the cents and the `rest` in 1e-24 USD that was rounded off them.
    `rounded` is by how much the cents of both moved beyond the cents that were traded.
    """

    TOPIC = "position.traded.v1"
    order_id: OrderId
    trade_id: TradeId
    side: SideCode
    qty: Qty
    price: Price
    price_decimals: Decimals
    realized: Cents
    qty_after: Qty
    settled_after: Qty
    reserved_after: Qty
    cost_after: Cents
    realized_after: Cents
    unpaid_after: Qty = 0
    carried_after: ExactUsd = "0"
    """What is left in the holding of the profit that the last day's end found in it."""
    cost_rest_after: ExactUsd = "0"
    realized_rest_after: ExactUsd = "0"
    rounded: Cents = 0
    multiplier: Number = 1
    """Of its instrument: the trade is worth price times quantity times this."""

    def apply(self, aggregate: Any) -> None:
        aggregate.qty = self.qty_after
        aggregate.settled = self.settled_after
        aggregate.reserved = self.reserved_after
        aggregate.cost = self.cost_after
        aggregate.cost_rest = from_digits(self.cost_rest_after)
        aggregate.realized = self.realized_after
        aggregate.realized_rest = from_digits(self.realized_rest_after)
        aggregate.unpaid = self.unpaid_after
        aggregate.carried = from_digits(self.carried_after)


@topic
class PositionTransferred(PositionEvent, frozen=True, array_like=True, gc=False):
    """Settled quantity came in or went out without a trade; `cost` is its basis."""

    TOPIC = "position.transferred.v1"
    request_key: Key
    fingerprint: Fingerprint
    qty: Qty
    cost: Cents
    qty_after: Qty
    settled_after: Qty
    cost_after: Cents
    description: str
    carried_after: ExactUsd = "0"
    mark: PriceOrNone = 0
    """What the instrument's holdings were valued at then."""
    price_decimals: Decimals = 0
    multiplier: Number = 1

    def spends(self) -> SpentKey | None:
        return spent(operators_of(self.account_id), self.request_key, self.fingerprint)

    def apply(self, aggregate: Any) -> None:
        aggregate.qty = self.qty_after
        aggregate.settled = self.settled_after
        aggregate.cost = self.cost_after
        aggregate.carried = from_digits(self.carried_after)


@topic
class PositionReversed(PositionEvent, frozen=True, array_like=True, gc=False):
    """A traded quantity undone: `reason` is bust or correct."""

    TOPIC = "position.reversed.v1"
    order_id: OrderId
    trade_id: TradeId
    reason: str
    side: SideCode
    qty: Qty
    realized: Cents
    qty_after: Qty
    settled_after: Qty
    cost_after: Cents
    realized_after: Cents
    unpaid_after: Qty = 0
    carried_after: ExactUsd = "0"
    cost_rest_after: ExactUsd = "0"
    realized_rest_after: ExactUsd = "0"
    rounded: Cents = 0

    def apply(self, aggregate: Any) -> None:
        aggregate.qty = self.qty_after
        aggregate.settled = self.settled_after
        aggregate.cost = self.cost_after
        aggregate.cost_rest = from_digits(self.cost_rest_after)
        aggregate.realized = self.realized_after
        aggregate.realized_rest = from_digits(self.realized_rest_after)
        aggregate.unpaid = self.unpaid_after
        aggregate.carried = from_digits(self.carried_after)


@topic
class PositionExpired(PositionEvent, frozen=True, array_like=True, gc=False):
    """Contracts of an option that has expired left the position, for nothing: what they had cost
    or brought is realized.

    `qty` is signed like the holding. What is exercised or assigned is a trade of the underlying,
    `trade_id`, at the strike.
    """

    TOPIC = "position.expired.v1"
    how: OptionEndCode
    qty: Qty
    trade_id: TradeId
    realized: Cents
    qty_after: Qty
    settled_after: Qty
    cost_after: Cents
    realized_after: Cents
    carried_after: ExactUsd
    cost_rest_after: ExactUsd
    realized_rest_after: ExactUsd
    rounded: Cents

    def apply(self, aggregate: Any) -> None:
        aggregate.qty = self.qty_after
        aggregate.settled = self.settled_after
        aggregate.cost = self.cost_after
        aggregate.cost_rest = from_digits(self.cost_rest_after)
        aggregate.realized = self.realized_after
        aggregate.realized_rest = from_digits(self.realized_rest_after)
        aggregate.carried = from_digits(self.carried_after)


@topic
class PositionSettled(PositionEvent, frozen=True, array_like=True, gc=False):
    """An obligation was settled: `qty`, signed, was received or delivered."""

    TOPIC = "position.settled.v1"
    settlement_id: SettlementId
    value_date: Day
    qty: Qty
    settled_after: Qty
    unpaid_after: Qty

    def apply(self, aggregate: Any) -> None:
        aggregate.settled = self.settled_after
        aggregate.unpaid = self.unpaid_after


@topic
class PositionMarked(PositionEvent, frozen=True, array_like=True, gc=False):
    """What a holding was worth when a session of its instrument had ended.

    `unrealized` is what closing it at the mark would bring beyond its cost, and `carried_over`
    what of that earlier days' marks had found already: the rest is the day's own.
    """

    TOPIC = "position.marked.v1"
    session_date: Day
    mark: Price
    price_decimals: Decimals
    qty: Qty
    market_value: Cents
    """Signed like the quantity."""
    unrealized: Cents
    carried_over: Cents
    carried_after: ExactUsd
    """The unrealized profit, exact: what the next day begins with."""
    multiplier: Number = 1

    def apply(self, aggregate: Any) -> None:
        aggregate.marked_day = self.session_date
        aggregate.carried = from_digits(self.carried_after)
