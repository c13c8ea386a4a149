"""Multi-leg orders as the log has them now, for answers that no view may be behind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple
from uuid import UUID

from application.log.ports import EventStreams
from application.multileg import StrategyView
from application.orders import OrderView
from domain.aggregate import Aggregate


class WholeStrategy(NamedTuple):
    """A multi-leg order and the orders that its legs are."""

    parent: StrategyView
    legs: Sequence[OrderView]


async def strategy_now(log: EventStreams, strategy_id: UUID) -> WholeStrategy:
    """A multi-leg order that was placed, with its legs."""
    parent: Any = await _folded(log, strategy_id)
    view = StrategyView.of(parent)
    legs: list[Any] = [await _folded(log, leg[0]) for leg in view.legs]
    return WholeStrategy(view, [OrderView.of(leg) for leg in legs])


async def _folded(log: EventStreams, identifier: UUID) -> Aggregate:
    found: Any = None
    for recorded in await log.stream(identifier):
        found = recorded.event.mutate(found)
    assert found is not None, f"the log lacks the beginning of {identifier}"
    assert isinstance(found, Aggregate)
    return found
