"""What an account's trades did to its multi-leg orders: which opened, and which closed what.

A trade first closes what is open against it, of the multi-leg order that opened it first; what is
left of a leg's own trade is opened by its order, and what is left of any other trade is nobody's.
An order that unwinds a leg closes what that has opened. Amounts are exact: 1e-24 USD.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from typing import NamedTuple
from uuid import UUID

import msgspec

from domain.money import exact_value
from domain.terms import Side

_BUY = int(Side.BUY)


class Fill(NamedTuple):
    """What one order of the account traded at once, as it stands now."""

    order_id: UUID
    instrument_id: UUID
    side: int
    qty: int
    price: int


class Orders(NamedTuple):
    """Which orders are legs, and of which side; and which closed a leg that had traded ahead."""

    legs: Mapping[UUID, int]
    closers: Mapping[UUID, UUID]


class Worth(NamedTuple):
    """How trades of an instrument are valued: a price's decimals, and what a contract is for."""

    price_decimals: int
    multiplier: int

    def of(self, price: int, qty: int) -> int:
        """What a quantity is worth at a price."""
        return exact_value(price, qty * self.multiplier, self.price_decimals)


class LegLots(msgspec.Struct):
    """What a leg has opened, and what of that is open, and was won where it was closed.

    `cost` is what the open quantity was opened at, without a sign; `side` that of the leg.
    """

    side: int
    traded: int = 0
    opened: int = 0
    open_qty: int = 0
    cost: int = 0
    realized: int = 0

    def unrealized(self, worth: Worth, price: int) -> int:
        """What closing the open quantity at a price would bring beyond its cost."""
        value = worth.of(price, self.open_qty)
        return value - self.cost if self.side == _BUY else self.cost - value


class _Lot(msgspec.Struct):
    order_id: UUID
    side: int
    qty: int
    price: int


def lots_of(
    fills: Iterable[Fill], orders: Orders, worths: Mapping[UUID, Worth]
) -> dict[UUID, LegLots]:
    """What became of each leg that traded, by its order's id.

    `fills` are those of one account in the order of the log, `worths` how each instrument is
    valued.
    """
    found: dict[UUID, LegLots] = {}
    open_lots: dict[UUID, deque[_Lot]] = {}
    for fill in fills:
        worth = worths[fill.instrument_id]
        lots = open_lots.setdefault(fill.instrument_id, deque())
        left = _close(found, lots, fill, worth, orders.closers.get(fill.order_id))
        if fill.order_id not in orders.legs:
            continue
        leg = found.setdefault(fill.order_id, LegLots(orders.legs[fill.order_id]))
        leg.traded += fill.qty
        if left:
            leg.opened += left
            leg.open_qty += left
            leg.cost += worth.of(fill.price, left)
            lots.append(_Lot(fill.order_id, fill.side, left, fill.price))
    return found


def _close(
    found: dict[UUID, LegLots],
    lots: deque[_Lot],
    fill: Fill,
    worth: Worth,
    unwound: UUID | None,
) -> int:
    """Close what is open against a fill: of the leg that it unwinds, then the oldest first; what
    is left of the fill.
    """
    left = fill.qty
    if unwound is not None and lots and lots[0].side != fill.side:
        for lot in lots:
            if lot.order_id == unwound:
                left -= _take(found, lot, fill, left, worth)
        # What others have open keeps its place.
        kept = [lot for lot in lots if lot.qty]
        lots.clear()
        lots.extend(kept)
    while left and lots and lots[0].side != fill.side:
        left -= _take(found, lots[0], fill, left, worth)
        if not lots[0].qty:
            lots.popleft()
    return left


def _take(found: dict[UUID, LegLots], lot: _Lot, fill: Fill, most: int, worth: Worth) -> int:
    """Close as much of a lot as a fill has left; how much that is."""
    qty = min(most, lot.qty)
    leg = found[lot.order_id]
    cost, value = worth.of(lot.price, qty), worth.of(fill.price, qty)
    leg.open_qty -= qty
    leg.cost -= cost
    leg.realized += value - cost if lot.side == _BUY else cost - value
    lot.qty -= qty
    return qty
