"""The naive twin of the stream: what a listener must have been told, read off the log alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple
from uuid import UUID

from application.log.ports import Recorded
from domain.events import (
    MultiLegCanceled,
    MultiLegExecuted,
    MultiLegExpired,
    MultiLegPlaced,
    MultiLegRejected,
    MultiLegReplaced,
    MultiLegUnwinding,
    MultiLegUnwound,
    OrderAccepted,
    OrderAdjusted,
    OrderCanceled,
    OrderExpired,
    OrderFillBusted,
    OrderFillCorrected,
    OrderFilled,
    OrderRejected,
    OrderReplaced,
    OrderTrailed,
    OrderTriggered,
)
from domain.terms import OrderStatus


class Told(NamedTuple):
    """Where an update stands in the log, and which it is."""

    position: int
    event: str

    @classmethod
    def by(cls, update: dict[str, Any]) -> Told:
        """What a message of the stream tells."""
        return cls(update["position"], update["exact_event"])


_PLAIN = {
    OrderRejected: "rejected",
    OrderTrailed: "restated",
    OrderTriggered: "triggered",
    OrderCanceled: "canceled",
    OrderExpired: "expired",
    OrderFillBusted: "trade_bust",
    OrderFillCorrected: "trade_correct",
    MultiLegPlaced: "new",
    MultiLegRejected: "rejected",
    MultiLegCanceled: "canceled",
    MultiLegExpired: "expired",
    MultiLegUnwinding: "unwinding",
    MultiLegUnwound: "unwound",
}


def told_of(log: Sequence[Recorded], account_id: UUID) -> list[Told]:
    """Every update of an account, in order."""
    told: list[Told] = []
    waiting: dict[UUID, bool] = {}
    for position, event in log:
        if getattr(event, "account_id", None) != account_id:
            continue
        order_id = event.originator_id
        if isinstance(event, OrderAccepted):
            held = event.status == OrderStatus.HELD
            waiting[order_id] = held
            told.append(Told(position, "held" if held else "new"))
        elif isinstance(event, OrderReplaced | MultiLegReplaced):
            told += [Told(position, "replaced"), Told(position, "new")]
        elif isinstance(event, OrderAdjusted):
            was_held, held = waiting[order_id], event.status_after == OrderStatus.HELD
            waiting[order_id] = held
            told.append(Told(position, "new" if was_held and not held else "restated"))
        elif isinstance(event, OrderFilled | MultiLegExecuted):
            told.append(Told(position, "partial_fill" if event.leaves_after else "fill"))
        elif type(event) in _PLAIN:
            told.append(Told(position, _PLAIN[type(event)]))
    return told
