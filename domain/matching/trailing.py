"""Stops that trail: found by the price that elects them, and by the price that moves them."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator
from typing import NamedTuple

from domain.terms import Side
from domain.trail import Trail

_BUY = int(Side.BUY)
_SELL = int(Side.SELL)
Row = tuple[int, int, int, int, int]
"""A trailing stop as plain values: side, price, sequence, and both kinds of trail."""


class Trailing(NamedTuple):
    """A stop that waits, how it trails, and the nearest price that would move it by a tick."""

    price: int
    trail: Trail
    next_mark: int


class Levels:
    """Which stops there are at each price: a price is looked for once for all that are at it."""

    __slots__ = ("_at", "_prices")

    def __init__(self) -> None:
        self._at: dict[int, set[int]] = {}
        self._prices: list[int] = []

    def add(self, price: int, sequence: int) -> None:
        """Put a stop at a price."""
        level = self._at.get(price)
        if level is None:
            self._at[price] = {sequence}
            insort(self._prices, price)
        else:
            level.add(sequence)

    def remove(self, price: int, sequence: int) -> None:
        """Take a stop out; it must be there."""
        level = self._at[price]
        level.remove(sequence)
        if not level:
            del self._at[price]
            del self._prices[bisect_left(self._prices, price)]

    def reached(self, price: int, *, upwards: bool) -> Iterator[int]:
        """The stops at a price and at all above it, or below it."""
        prices = self._prices
        found = (
            prices[bisect_left(prices, price) :]
            if upwards
            else prices[: bisect_right(prices, price)]
        )
        for one in found:
            yield from self._at[one]

    def rows(self) -> Iterator[tuple[int, int]]:
        """Every price and stop, in their order."""
        for price in self._prices:
            for sequence in sorted(self._at[price]):
                yield price, sequence


class TrailingStops:
    """The trailing stops of one instrument. What no price reaches is not looked at."""

    __slots__ = ("_by_mark", "_by_price", "_stops", "count")

    def __init__(self) -> None:
        self._stops: dict[int, Trailing] = {}
        self._by_price = {_BUY: Levels(), _SELL: Levels()}
        self._by_mark = {_BUY: Levels(), _SELL: Levels()}
        self.count = 0

    def add(self, side: int, price: int, sequence: int, trail: Trail, tick: int) -> None:
        """Let a stop wait and trail."""
        stop = Trailing(price, trail, trail.next_mark(side, price, tick))
        self._stops[sequence] = stop
        self._by_price[side].add(price, sequence)
        self._by_mark[side].add(stop.next_mark, sequence)
        self.count += 1

    def remove(self, side: int, sequence: int) -> None:
        """Take a stop out; it must be there."""
        stop = self._stops.pop(sequence)
        self._by_price[side].remove(stop.price, sequence)
        self._by_mark[side].remove(stop.next_mark, sequence)
        self.count -= 1

    def move(self, side: int, price: int, sequence: int, tick: int) -> None:
        """Let a stop wait at another price."""
        trail = self._stops[sequence].trail
        self.remove(side, sequence)
        self.add(side, price, sequence, trail, tick)

    def reached(self, side: int, price: int) -> list[int]:
        """The stops that a price elects, by their sequence."""
        return sorted(self._by_price[side].reached(price, upwards=side == _SELL))

    def moved(self, side: int, price: int) -> list[tuple[int, Trail]]:
        """The stops that a price moves by a tick or more, in order of acceptance."""
        found = self._by_mark[side].reached(price, upwards=side == _BUY)
        return [(sequence, self._stops[sequence].trail) for sequence in sorted(found)]

    def rows(self) -> list[Row]:
        """Every trailing stop, in a fixed order."""
        return [
            (side, price, sequence, *self._stops[sequence].trail)
            for side in (_BUY, _SELL)
            for price, sequence in self._by_price[side].rows()
        ]
