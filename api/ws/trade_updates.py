"""Trade updates: the messages that committed events of orders make.

Each carries the order as it stood after its event, folded from the order's own events, so that
a view that is behind changes nothing here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from msgspec.structs import replace

from api.asset_classes import AssetClasses
from api.groups import Groups
from api.order_lives import REMEMBERED_ORDERS, OrderLives
from api.orders import order_document
from api.rendering import quantity
from api.symbols import Symbols
from api.vocabulary import UpdateName, alpaca_update
from api.ws.strategy_updates import NAMES as STRATEGY_NAMES
from api.ws.strategy_updates import StrategyUpdates
from application.log.ports import EventStreams, Recorded
from application.orders import OrderView
from domain.events import (
    InstrumentTermsChanged,
    MultiLegEvent,
    OrderAccepted,
    OrderAdjusted,
    OrderCanceled,
    OrderEvent,
    OrderExpired,
    OrderFillBusted,
    OrderFillCorrected,
    OrderFilled,
    OrderRejected,
    OrderReplaced,
    OrderTrailed,
    OrderTriggered,
    PositionTraded,
)
from domain.identifiers import iso
from domain.money import to_text
from domain.terms import OrderStatus

_NAMES: dict[type[OrderEvent], UpdateName] = {
    OrderAccepted: "new",
    OrderAdjusted: "restated",
    OrderRejected: "rejected",
    OrderTrailed: "restated",
    OrderTriggered: "triggered",
    OrderCanceled: "canceled",
    OrderExpired: "expired",
    OrderReplaced: "replaced",
    OrderFilled: "partial_fill",
    OrderFillBusted: "trade_bust",
    OrderFillCorrected: "trade_correct",
}
_UPDATES: tuple[UpdateName, ...] = (*_NAMES.values(), *STRATEGY_NAMES.values(), "held", "fill")
EVENT_NAMES = frozenset({*_UPDATES, *map(alpaca_update, _UPDATES)})
"""Every `event` and `exact_event` that an update may have."""
_BESIDE = (PositionTraded.TOPIC, InstrumentTermsChanged.TOPIC)
TOPICS = tuple(sorted({kind.TOPIC for kind in (*_NAMES, *STRATEGY_NAMES)} | {*_BESIDE}))
TOLD = (OrderEvent, MultiLegEvent)
"""Events that make updates, each of one account."""
_FILLED = int(OrderStatus.FILLED)
_HELD = int(OrderStatus.HELD)


def holdings_in(events: Sequence[Recorded]) -> dict[tuple[UUID, UUID], int]:
    """What each fill left its account with, by trade and order."""
    held: dict[tuple[UUID, UUID], int] = {}
    for _, event in events:
        if type(event) is PositionTraded:
            # The first is the fill's own: a correction books the trade once more.
            held.setdefault((event.trade_id, event.order_id), event.qty_after)
    return held


def _named(name: UpdateName) -> dict[str, str]:
    """What an update tells of, as Alpaca's clients call it and exactly."""
    return {"event": alpaca_update(name), "exact_event": name}


class TradeUpdates:
    """Makes the messages of events that are read in log order."""

    def __init__(
        self,
        log: EventStreams,
        asset_classes: AssetClasses,
        groups: Groups,
        symbols: Symbols,
        remembered: int = REMEMBERED_ORDERS,
    ) -> None:
        self._lives = OrderLives(log, remembered)
        self._strategies = StrategyUpdates(log, self._lives, asset_classes, symbols, remembered)
        self._asset_classes = asset_classes
        self._groups = groups
        self._symbols = symbols

    def forget(self) -> None:
        """Let go of what is remembered of orders."""
        self._lives.forget()
        self._strategies.forget()

    async def of(
        self, recorded: Recorded, holdings: dict[tuple[UUID, UUID], int]
    ) -> list[dict[str, Any]]:
        """The messages of one event of an order, none for what no client sees."""
        position, event = recorded
        if isinstance(event, MultiLegEvent):
            beside = {"timestamp": iso(event.at), "position": position}
            return [
                {**_named(told.name), **beside, **told.more, "order": told.order}
                for told in await self._strategies.of(recorded)
            ]
        assert isinstance(event, OrderEvent)
        return await self._updates(position, event, holdings)

    async def _updates(
        self, position: int, event: OrderEvent, holdings: dict[tuple[UUID, UUID], int]
    ) -> list[dict[str, Any]]:
        """The messages one event makes: a replacement ends a revision and begins another."""
        update: dict[str, Any] = {
            **_named(_NAMES[type(event)]),
            "timestamp": iso(event.at),
            "position": position,
        }
        step = await self._lives.follow(event)
        order = step.order
        view = OrderView.of(order)
        if isinstance(event, OrderRejected):
            update["reason"] = event.code
            return [await self._with_order(update, view, event.order_class)]
        if isinstance(event, OrderAccepted) and order.is_held:
            update |= _named("held")
        if isinstance(event, OrderAdjusted) and step.status_before == _HELD and not order.is_held:
            update |= _named("new")
        if isinstance(event, OrderReplaced):
            assert step.replaced is not None, "a replacement ends a revision"
            old = step.replaced.replaced(event.revision_id, event.at)
            new = update | _named("new")
            return [await self._with_order(update, old), await self._with_order(new, view)]
        if isinstance(event, OrderFilled):
            if event.status_after == _FILLED:
                update |= _named("fill")
            held = holdings.get((event.trade_id, event.originator_id))
            update["position_qty"] = None if held is None else quantity(held)
        if isinstance(event, OrderFilled | OrderFillBusted | OrderFillCorrected):
            update["execution_id"] = str(event.trade_id)
            update["price"] = to_text(event.price, event.price_decimals)
            update["qty"] = quantity(event.qty)
        return [await self._with_order(update, view)]

    async def _with_order(
        self,
        update: dict[str, Any],
        view: OrderView,
        order_class: int | None = None,
    ) -> dict[str, Any]:
        asset_class = await self._asset_classes.of(view.instrument_id)
        terms = await self._groups.of(view.group_id)
        ratio, position_intent = terms.share(view.leg)
        named = replace(view, symbol=self._symbols.of(view.instrument_id, view.symbol))
        document = order_document(
            named,
            asset_class,
            order_class=terms.order_class if order_class is None else order_class,
            ratio=ratio,
            position_intent=position_intent,
        )
        return {**update, "order": document}
