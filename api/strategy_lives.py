"""Multi-leg orders as the log has them now, for answers that no view may be behind."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, NamedTuple
from uuid import UUID

from msgspec.structs import replace

from application.log.ports import EventStreams
from application.multileg import StrategyView
from application.orders import OrderView
from domain.aggregate import Aggregate
from domain.events import MultiLegEvent, MultiLegRejected, MultiLegReplaced
from domain.identifiers import NO_ID
from domain.multileg import MultiLegOrder


class StrategyStep(NamedTuple):
    """What an event did to a multi-leg order."""

    view: StrategyView
    """The order behind the event; of one that was refused, as it was asked for."""
    replaced: StrategyView | None
    """The revision that the event put another in the place of."""
    name_before: str
    gateway: str
    """Through which the order came, whoever caused the event."""


class _Life(NamedTuple):
    parent: MultiLegOrder
    gateway: str


class StrategyLives:
    """Multi-leg orders as they stand at the events that are read in log order."""

    def __init__(self, log: EventStreams, remembered: int) -> None:
        self._log = log
        self._most = remembered
        self._lives: OrderedDict[UUID, _Life] = OrderedDict()

    def forget(self) -> None:
        """Let go of what is remembered."""
        self._lives.clear()

    async def follow(self, event: MultiLegEvent) -> StrategyStep:
        """Take an event in; what came before it is read where it is not remembered."""
        if isinstance(event, MultiLegRejected):
            return StrategyStep(_refused(event), None, "", event.gateway)
        before = await self._before(event)
        replaced, name = None, ""
        if before is not None:
            name = before.parent.client_order_id
            if isinstance(event, MultiLegReplaced):
                replaced = StrategyView.of(before.parent).replaced(event.revision_id, event.at)
        parent: Any = event.mutate(None if before is None else before.parent)
        life = _Life(parent, event.gateway if before is None else before.gateway)
        self._lives[event.originator_id] = life
        self._lives.move_to_end(event.originator_id)
        while len(self._lives) > self._most:
            self._lives.popitem(last=False)
        return StrategyStep(StrategyView.of(parent), replaced, name, life.gateway)

    async def before(self, strategy_id: UUID, position: int) -> StrategyView | None:
        """A multi-leg order as it stood before a position of the log; None of what is none."""
        found: Any = None
        for recorded in await self._log.stream(strategy_id):
            if recorded.position < position:
                found = recorded.event.mutate(found)
        return StrategyView.of(found) if isinstance(found, MultiLegOrder) else None

    async def _before(self, event: MultiLegEvent) -> _Life | None:
        """The order before an event of it; None before its first."""
        version = event.originator_version - 1
        if not version:
            return None
        known = self._lives.get(event.originator_id)
        if known is not None and known.parent.version == version:
            return known
        life = await self._log.stream(event.originator_id, 0, version)
        parent: Any = None
        for recorded in life:
            parent = recorded.event.mutate(parent)
        assert parent is not None, f"the log lacks the beginning of {event.originator_id}"
        return _Life(parent, life[0].event.gateway)


def _refused(event: MultiLegRejected) -> StrategyView:
    """A multi-leg order that was refused, as it was asked for."""
    parent: Any = event.mutate(None)
    return replace(
        StrategyView.of(parent),
        revision_id=event.originator_id,
        order_type=event.order_type,
        time_in_force=event.time_in_force,
        qty=event.qty,
        net_price=event.net_price,
        execution=event.execution,
        legs=tuple((NO_ID, NO_ID, *leg) for leg in event.legs),
    )


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
