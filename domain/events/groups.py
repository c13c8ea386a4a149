"""Events of order groups: a take-profit and a stop-loss that end each other, and their entry."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from domain.events.base import DomainEvent, SpentKey, spent, topic
from domain.identifiers import AccountId, InstrumentId, OrderId
from domain.terms import GroupPhase
from domain.units import (
    GROUP_PHASE,
    AdjustmentCode,
    Decimals,
    Fingerprint,
    GroupEndCode,
    Key,
    LegCode,
    OrderClassCode,
    Price,
    PriceOrNone,
    Qty,
    SideCode,
    Symbol,
    Unit,
)

_WAITING = int(GroupPhase.WAITING)
_WORKING = int(GroupPhase.WORKING)
_STOPPED = int(GroupPhase.STOPPED)
_ENDED = int(GroupPhase.ENDED)


class GroupEvent(DomainEvent, frozen=True, array_like=True, gc=False):
    """An event of a group; the originator is the group, `leg` the one it is about (0: all)."""

    AGGREGATE = "oco"
    SETS: ClassVar[Mapping[str, Unit]] = {"phase": GROUP_PHASE}
    account_id: AccountId
    instrument_id: InstrumentId
    leg: LegCode


@topic
class GroupPlaced(GroupEvent, frozen=True, array_like=True, gc=False):
    """All legs passed every check; `side` is that of the exits, nil ids are legs it lacks.

    `fingerprint` is of the body that asked for it. Prices are 0 where a leg has none.
    """

    TOPIC = "oco.placed.v1"
    symbol: Symbol
    order_class: OrderClassCode
    side: SideCode
    qty: Qty
    entry_id: OrderId
    take_profit_id: OrderId
    stop_loss_id: OrderId
    client_order_id: Key
    fingerprint: Fingerprint
    price_decimals: Decimals
    take_profit_price: PriceOrNone
    stop_price: Price
    stop_limit_price: PriceOrNone

    def spends(self) -> SpentKey | None:
        return spent(self.account_id, self.client_order_id, self.fingerprint)

    def apply(self, aggregate: Any) -> None:
        aggregate.account_id = self.account_id
        aggregate.instrument_id = self.instrument_id
        aggregate.symbol = self.symbol
        aggregate.order_class = self.order_class
        aggregate.side = self.side
        aggregate.qty = self.qty
        aggregate.entry_id = self.entry_id
        aggregate.take_profit_id = self.take_profit_id
        aggregate.stop_loss_id = self.stop_loss_id
        aggregate.client_order_id = self.client_order_id
        has_entry = self.entry_id.int != 0
        aggregate.phase = _WAITING if has_entry else _WORKING
        aggregate.exit_qty = 0 if has_entry else self.qty


@topic
class GroupEntryFilled(GroupEvent, frozen=True, array_like=True, gc=False):
    """The entry traded and the exits grew with it, by what the position can give up."""

    TOPIC = "oco.entry_filled.v1"
    qty: Qty
    entry_filled_after: Qty
    exit_qty_after: Qty

    def apply(self, aggregate: Any) -> None:
        aggregate.entry_filled = self.entry_filled_after
        aggregate.exit_qty = self.exit_qty_after
        if self.exit_qty_after:
            aggregate.phase = _WORKING


@topic
class GroupLegFilled(GroupEvent, frozen=True, array_like=True, gc=False):
    """An exit traded, and the other exit shrank by as much."""

    TOPIC = "oco.leg_filled.v1"
    order_id: OrderId
    qty: Qty
    filled_after: Qty
    """What both exits have traded; never more than `exit_qty`."""
    left_after: Qty

    def apply(self, aggregate: Any) -> None:
        aggregate.filled = self.filled_after


@topic
class GroupStopTriggered(GroupEvent, frozen=True, array_like=True, gc=False):
    """The stop's condition was met: the take-profit's remainder is canceled, the stop runs.

    `low_price` and `high_price` bound the prices seen in this step (0: none on that side);
    `gap` says that they passed the take-profit's level as well.
    """

    TOPIC = "oco.stop_triggered.v1"
    order_id: OrderId
    low_price: PriceOrNone
    high_price: PriceOrNone
    gap: bool
    left: Qty

    def apply(self, aggregate: Any) -> None:
        aggregate.phase = _STOPPED


@topic
class GroupResized(GroupEvent, frozen=True, array_like=True, gc=False):
    """The exits' total quantity changed; `reason` is an Adjustment."""

    TOPIC = "oco.resized.v1"
    reason: AdjustmentCode
    qty_after: Qty
    exit_qty_after: Qty

    def apply(self, aggregate: Any) -> None:
        aggregate.qty = self.qty_after
        aggregate.exit_qty = self.exit_qty_after


@topic
class GroupEnded(GroupEvent, frozen=True, array_like=True, gc=False):
    """No leg works any more; `reason` is a GroupEnd."""

    TOPIC = "oco.ended.v1"
    reason: GroupEndCode
    filled: Qty

    def apply(self, aggregate: Any) -> None:
        aggregate.phase = _ENDED
