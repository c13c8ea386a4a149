"""Stops that trail: found by the price that elects them, and by the price that moves them."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from typing import NamedTuple

from domain.terms import Side
from domain.trail import Trail

_BUY = int(Side.BUY)
_SELL = int(Side.SELL)
_LAST = 1 << 62
Row = tuple[int, int, int, int, int]
"""A trailing stop as plain values: side, price, sequence, and both kinds of trail."""


class Trailing(NamedTuple):
    """A stop that waits, how it trails, and the nearest price that would move it by a tick."""

    price: int
    trail: Trail
    next_mark: int


class TrailingStops:
    """The trailing stops of one instrument. What no price reaches is not looked at."""

    __slots__ = ("_by_mark", "_by_price", "_stops", "count")

    def __init__(self) -> None:
        self._stops: dict[int, Trailing] = {}
        self._by_price: dict[int, list[tuple[int, int]]] = {_BUY: [], _SELL: []}
        self._by_mark: dict[int, list[tuple[int, int]]] = {_BUY: [], _SELL: []}
        self.count = 0

    def add(self, side: int, price: int, sequence: int, trail: Trail, tick: int) -> None:
        """Let a stop wait and trail."""
        stop = Trailing(price, trail, trail.next_mark(side, price, tick))
        self._stops[sequence] = stop
        insort(self._by_price[side], (price, sequence))
        insort(self._by_mark[side], (stop.next_mark, sequence))
        self.count += 1

    def remove(self, side: int, sequence: int) -> None:
        """Take a stop out; it must be there."""
        stop = self._stops.pop(sequence)
        _take_out(self._by_price[side], (stop.price, sequence))
        _take_out(self._by_mark[side], (stop.next_mark, sequence))
        self.count -= 1

    def move(self, side: int, price: int, sequence: int, tick: int) -> None:
        """Let a stop wait at another price."""
        trail = self._stops[sequence].trail
        self.remove(side, sequence)
        self.add(side, price, sequence, trail, tick)

    def reached(self, side: int, price: int) -> list[int]:
        """The stops that a price elects, by their sequence."""
        rows = self._by_price[side]
        if side == _SELL:
            found = rows[bisect_left(rows, (price, 0)) :]
        else:
            found = rows[: bisect_right(rows, (price, _LAST))]
        return [sequence for _, sequence in found]

    def moved(self, side: int, price: int) -> list[tuple[int, Trail]]:
        """The stops that a price moves by a tick or more, in order of acceptance."""
        rows = self._by_mark[side]
        if side == _SELL:
            found = rows[: bisect_right(rows, (price, _LAST))]
        else:
            found = rows[bisect_left(rows, (price, 0)) :]
        return sorted((sequence, self._stops[sequence].trail) for _, sequence in found)

    def rows(self) -> list[Row]:
        """Every trailing stop, in a fixed order."""
        return [
            (side, price, sequence, *self._stops[sequence].trail)
            for side in (_BUY, _SELL)
            for price, sequence in self._by_price[side]
        ]


def _take_out(rows: list[tuple[int, int]], row: tuple[int, int]) -> None:
    at = bisect_left(rows, row)
    assert rows[at] == row
    del rows[at]
