"""The orders that the legs of a multi-leg order are, as its document shows them."""

from __future__ import annotations

from typing import Any

from api.orders import order_document
from application.multileg import StrategyView
from application.orders import OrderView
from domain.terms import Leg, OrderClass

_FIRST = int(Leg.FIRST)
_MLEG = int(OrderClass.MLEG)


def leg_document(parent: StrategyView, leg: OrderView, asset_class: str | None) -> dict[str, Any]:
    """A leg as an order of its own, with how much of it a unit has and what it is meant to do."""
    _, _, _, _, ratio, position_intent = parent.legs[leg.leg - _FIRST]
    return order_document(
        leg, asset_class, order_class=_MLEG, ratio=ratio, position_intent=position_intent
    )
