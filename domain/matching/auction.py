# cython: language_level=3, overflowcheck=True, boundscheck=False, wraparound=False
# cython: initializedcheck=False, auto_pickle=False
# mypy: disable-error-code="import-untyped,untyped-decorator,no-any-return"
"""The price an auction trades at and who trades with whom, over what a book says of itself."""

# Lots are Python's integers: a side of an auction may hold more than 64 bits of them. Prices are
# below 10**17 and are only compared and subtracted.

from __future__ import annotations

from typing import Any

import cython

Level = tuple[int, int, int]
Order = tuple[int, int, int, int]


def implementation() -> str:
    """Which form of this file runs: 'compiled' or 'interpreted'."""
    return "compiled" if cython.compiled else "interpreted"


def best_price(bids: list[Level], asks: list[Level], reference: int) -> tuple[int, int, int]:
    """The price of an auction, its volume and its imbalance (buys less sells).

    Levels are (ticks, lots, orders), best first, of each side those that the other's best crosses.
    Most volume, then the least imbalance, then nearest the reference, then the higher price; zeros
    when nothing crosses. Only level prices and the gaps between them can differ, and inside a gap
    only the price nearest the reference counts: one step a level, not a price.
    """
    bid: cython.Py_ssize_t = len(bids) - 1
    ask: cython.Py_ssize_t = 0
    offers: cython.Py_ssize_t = len(asks)
    near: cython.longlong = reference
    price: cython.longlong
    level: cython.longlong
    ceiling: cython.longlong
    demand: Any = sum([lots for _, lots, _ in bids])
    supply: Any = 0
    found: tuple[int, int, int, int, int] = (0, 0, 0, 0, 0)
    while bid >= 0:
        level = price = bids[bid][0]
        if ask < offers and asks[ask][0] <= price:
            price = asks[ask][0]
            supply += asks[ask][1]
            ask += 1
        found = max(found, _judged(price, demand, supply, near))
        if level == price:
            demand -= bids[bid][1]
            bid -= 1
        if bid >= 0:
            ceiling = bids[bid][0] - 1
            if ask < offers and asks[ask][0] <= ceiling:
                ceiling = asks[ask][0] - 1
            if ceiling > price:
                price = min(max(near, price + 1), ceiling)
                found = max(found, _judged(price, demand, supply, near))
    return (found[3], found[0], found[4])


def crosses(buys: list[Order], sells: list[Order]) -> list[tuple[int, int, int]]:
    """Who trades with whom as (buy key, sell key, lots), until one side is used up.

    Orders are (key, ticks, lots, owner), in priority.
    """
    trades: list[tuple[int, int, int]] = []
    buy: cython.Py_ssize_t = 0
    sell: cython.Py_ssize_t = 0
    wanted: cython.longlong = buys[0][2] if buys else 0
    offered: cython.longlong = sells[0][2] if sells else 0
    lots: cython.longlong
    while wanted > 0 and offered > 0:
        lots = min(wanted, offered)
        trades.append((buys[buy][0], sells[sell][0], lots))
        wanted -= lots
        offered -= lots
        if wanted == 0:
            buy += 1
            wanted = buys[buy][2] if buy < len(buys) else 0
        if offered == 0:
            sell += 1
            offered = sells[sell][2] if sell < len(sells) else 0
    return trades


@cython.cfunc
def _judged(
    price: cython.longlong,
    demand: Any,
    supply: Any,
    reference: cython.longlong,
) -> tuple[int, int, int, int, int]:
    """An auction price so that the better one compares greater."""
    imbalance: Any = demand - supply
    excess: Any = imbalance if imbalance > 0 else -imbalance
    away: cython.longlong = price - reference if price > reference else reference - price
    return (min(demand, supply), -excess, -away, price, imbalance)
