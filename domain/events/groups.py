"""Events of order groups: a take-profit and a stop-loss that end each other, and their entry."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from domain.events.base import DomainEvent, topic
from domain.identifiers import HOUSE
from domain.terms import GroupPhase

_WAITING = int(GroupPhase.WAITING)
_WORKING = int(GroupPhase.WORKING)
_STOPPED = int(GroupPhase.STOPPED)
_ENDED = int(GroupPhase.ENDED)


class GroupEvent(DomainEvent, frozen=True, array_like=True, gc=False):
    """An event of a group; the originator is the group, `leg` the one it is about (0: all)."""

    AGGREGATE = "oco"
    account_id: UUID
    instrument_id: UUID
    leg: int


@topic
class GroupPlaced(GroupEvent, frozen=True, array_like=True, gc=False):
    """All legs passed every check; `side` is that of the exits, nil ids are legs it lacks.

    `fingerprint` is of the body that asked for it. Prices are 0 where a leg has none.
    """

    TOPIC = "oco.placed.v1"
    symbol: str
    order_class: int
    side: int
    qty: int
    entry_id: UUID
    take_profit_id: UUID
    stop_loss_id: UUID
    client_order_id: str
    fingerprint: bytes
    price_decimals: int
    take_profit_price: int
    stop_price: int
    stop_limit_price: int

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
        aggregate.phase = _WORKING if self.entry_id == HOUSE else _WAITING
        aggregate.exit_qty = self.qty if self.entry_id == HOUSE else 0


@topic
class GroupEntryFilled(GroupEvent, frozen=True, array_like=True, gc=False):
    """The entry traded and the exits grew with it, by what the position can give up."""

    TOPIC = "oco.entry_filled.v1"
    qty: int
    entry_filled_after: int
    exit_qty_after: int

    def apply(self, aggregate: Any) -> None:
        aggregate.entry_filled = self.entry_filled_after
        aggregate.exit_qty = self.exit_qty_after
        if self.exit_qty_after:
            aggregate.phase = _WORKING


@topic
class GroupLegFilled(GroupEvent, frozen=True, array_like=True, gc=False):
    """An exit traded, and the other exit shrank by as much."""

    TOPIC = "oco.leg_filled.v1"
    order_id: UUID
    qty: int
    filled_after: int
    """What both exits have traded; never more than `exit_qty`."""
    left_after: int

    def apply(self, aggregate: Any) -> None:
        aggregate.filled = self.filled_after


@topic
class GroupStopTriggered(GroupEvent, frozen=True, array_like=True, gc=False):
    """The stop's condition was met: the take-profit's remainder is canceled, the stop runs.

    `low_price` and `high_price` bound the prices seen in this step (0: none on that side);
    `gap` says that they passed the take-profit's level as well.
    """

    TOPIC = "oco.stop_triggered.v1"
    order_id: UUID
    low_price: int
    high_price: int
    gap: bool
    left: int

    def apply(self, aggregate: Any) -> None:
        aggregate.phase = _STOPPED


@topic
class GroupResized(GroupEvent, frozen=True, array_like=True, gc=False):
    """The exits' total quantity changed; `reason` is an Adjustment."""

    TOPIC = "oco.resized.v1"
    reason: int
    qty_after: int
    exit_qty_after: int

    def apply(self, aggregate: Any) -> None:
        aggregate.qty = self.qty_after
        aggregate.exit_qty = self.exit_qty_after


@topic
class GroupEnded(GroupEvent, frozen=True, array_like=True, gc=False):
    """No leg works any more; `reason` is a GroupEnd."""

    TOPIC = "oco.ended.v1"
    reason: int
    filled: int

    def apply(self, aggregate: Any) -> None:
        aggregate.phase = _ENDED
