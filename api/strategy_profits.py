"""Multi-leg orders as holdings: what they won and what is open, as clients see it."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from api.documents import AveragePrice, Document, Dollars, Price, Quantity
from api.rendering import cents, quantity
from api.vocabulary import SIDE_NAMES
from domain import profit
from domain.identifiers import iso
from domain.money import average_cost_text, to_text
from projections.strategy_positions import LegPosition
from projections.strategy_positions import StrategyPosition as Holding


class StrategyLegPosition(Document):
    """What a leg of a multi-leg order has traded, and what of it is open."""

    symbol: str
    asset_id: UUID
    side: Literal["buy", "sell"]
    ratio_qty: str
    traded_qty: Quantity
    open_qty: Quantity
    avg_entry_price: AveragePrice | None
    current_price: Price | None
    realized_pl: Dollars
    unrealized_pl: Dollars | None


class StrategyPosition(Document):
    """A multi-leg order as a holding of its own: what its legs opened, and what closed it.

    A trade of the account closes what is open against it of the multi-leg order that opened it
    first; what a leg's trade closes it has not opened. Profits are without commissions, and null
    where an open leg has no price. `flags`: `leg_busted` where a leg's trade was busted,
    `out_of_ratio` where the legs of one that trades all at once no longer stand in ratio.
    """

    order_id: UUID
    client_order_id: str
    submitted_at: datetime
    open: bool
    legs: list[StrategyLegPosition]
    realized_pl: Dollars
    unrealized_pl: Dollars | None
    flags: list[Literal["leg_busted", "out_of_ratio"]]


def strategy_position_document(one: Holding) -> dict[str, Any]:
    """A multi-leg order, its legs and what all of them came to; rounded once in all."""
    open_legs = [leg for leg in one.legs if leg.lots.open_qty]
    priced = all(leg.price for leg in open_legs)
    unrealized = sum(leg.lots.unrealized(leg.worth, leg.price) for leg in open_legs)
    return {
        "order_id": str(one.strategy_id),
        "client_order_id": one.client_order_id,
        "submitted_at": iso(one.submitted_at),
        "open": one.is_open,
        "legs": [_leg_document(leg) for leg in one.legs],
        "realized_pl": cents(profit.to_cents(sum(leg.lots.realized for leg in one.legs))),
        "unrealized_pl": cents(profit.to_cents(unrealized)) if priced else None,
        "flags": list(one.flags),
    }


def _leg_document(leg: LegPosition) -> dict[str, Any]:
    lots, worth = leg.lots, leg.worth
    is_open = bool(lots.open_qty)
    average = None
    if is_open:
        contracts = lots.open_qty * worth.multiplier
        average = average_cost_text(lots.cost, contracts, worth.price_decimals)
    unrealized = None
    if leg.price or not is_open:
        unrealized = cents(profit.to_cents(lots.unrealized(worth, leg.price)))
    return {
        "symbol": leg.symbol,
        "asset_id": str(leg.instrument_id),
        "side": SIDE_NAMES[leg.side],
        "ratio_qty": str(leg.ratio),
        "traded_qty": quantity(lots.traded),
        "open_qty": quantity(lots.open_qty),
        "avg_entry_price": average,
        "current_price": to_text(leg.price, worth.price_decimals) if leg.price else None,
        "realized_pl": cents(profit.to_cents(lots.realized)),
        "unrealized_pl": unrealized,
    }
