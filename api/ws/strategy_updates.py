"""Updates of multi-leg orders: what their committed events tell, with their legs as they stood.

A parent's event stands before the accepting and the ending of its legs, and behind their fills:
its message shows the legs as they were at that event, and theirs follow it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from msgspec.structs import replace

from api.asset_classes import AssetClasses
from api.multileg import net_of_text, strategy_document
from api.order_lives import REMEMBERED_ORDERS, OrderLives
from api.rendering import quantity
from api.strategy_documents import leg_document
from api.strategy_lives import StrategyLives
from api.symbols import Symbols
from api.vocabulary import UpdateName
from application.log.ports import EventStreams, Recorded
from application.multileg import StrategyView
from application.orders import OrderView
from domain.events import (
    MultiLegCanceled,
    MultiLegEvent,
    MultiLegExecuted,
    MultiLegExpired,
    MultiLegPlaced,
    MultiLegRejected,
    MultiLegReplaced,
    MultiLegUnwinding,
    MultiLegUnwound,
)
from domain.terms import StrategyStatus
from domain.units import from_digits

NAMES: dict[type[MultiLegEvent], UpdateName] = {
    MultiLegPlaced: "new",
    MultiLegRejected: "rejected",
    MultiLegReplaced: "replaced",
    MultiLegExecuted: "partial_fill",
    MultiLegCanceled: "canceled",
    MultiLegExpired: "expired",
    MultiLegUnwinding: "unwinding",
    MultiLegUnwound: "unwound",
}
"""What each event of one is called to who listens."""
_FILLED = int(StrategyStatus.FILLED)


class Told(NamedTuple):
    """A message of a multi-leg order: what happened, what else is said of it, and the order."""

    name: UpdateName
    more: dict[str, Any]
    order: dict[str, Any]


class StrategyUpdates:
    """Makes the messages of events of multi-leg orders that are read in log order."""

    def __init__(
        self,
        log: EventStreams,
        lives: OrderLives,
        asset_classes: AssetClasses,
        symbols: Symbols,
        remembered: int = REMEMBERED_ORDERS,
    ) -> None:
        self._strategies = StrategyLives(log, remembered)
        self._lives = lives
        self._asset_classes = asset_classes
        self._symbols = symbols

    def forget(self) -> None:
        """Let go of what is remembered."""
        self._strategies.forget()

    async def of(self, recorded: Recorded) -> list[Told]:
        """The messages of one event: a replacement ends a revision and begins another."""
        position, event = recorded
        assert isinstance(event, MultiLegEvent)
        step = await self._strategies.follow(event)
        view = step.view
        if isinstance(event, MultiLegRejected):
            return [Told("rejected", {"reason": event.code}, strategy_document(self._named(view)))]
        legs = await self._legs_at(view, position)
        document = strategy_document(self._named(view), legs)
        if step.replaced is not None:
            ended = strategy_document(self._named(step.replaced))
            return [Told("replaced", {}, ended), Told("new", {}, document)]
        name = NAMES[type(event)]
        more: dict[str, Any] = {}
        if isinstance(event, MultiLegExecuted):
            name = "fill" if event.status_after == _FILLED else name
            more["price"] = net_of_text(from_digits(event.cost), event.qty, view.multiplier)
            more["qty"] = quantity(event.qty)
        return [Told(name, more, document)]

    async def _legs_at(self, view: StrategyView, position: int) -> list[dict[str, Any]]:
        """The orders that its legs are, as they stood at a position; those that were there."""
        legs = []
        for leg in view.legs:
            order = await self._lives.before(leg[0], position)
            if order is not None:
                shown = OrderView.of(order)
                named = self._symbols.of(shown.instrument_id, shown.symbol)
                asset_class = await self._asset_classes.of(shown.instrument_id)
                legs.append(leg_document(view, replace(shown, symbol=named), asset_class))
        return legs

    def _named(self, view: StrategyView) -> StrategyView:
        """The order with its legs' present symbols."""
        return replace(
            view,
            legs=tuple(
                (leg[0], leg[1], self._symbols.of(leg[1], leg[2]), *leg[3:]) for leg in view.legs
            ),
        )
