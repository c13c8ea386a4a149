"""Stops that wait for their price, found by price."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort

from domain.matching.trailing import TrailingStops
from domain.price_range import PriceRange
from domain.terms import Side
from domain.trail import Trail

_BUY = int(Side.BUY)


class Stops:
    """The waiting stops of one instrument: (price, sequence), one sorted list a side.

    Those that trail stand apart; `count` is of all.
    """

    __slots__ = ("_buys", "_sells", "count", "trailing")

    def __init__(self) -> None:
        self._buys: list[tuple[int, int]] = []
        self._sells: list[tuple[int, int]] = []
        self.count = 0
        self.trailing = TrailingStops()

    def __len__(self) -> int:
        return self.count

    def add(self, side: int, price: int, sequence: int) -> None:
        """Let a stop wait."""
        self.count += 1
        insort(self._buys if side == _BUY else self._sells, (price, sequence))

    def remove(self, side: int, price: int, sequence: int) -> None:
        """Take a stop out; it must be there."""
        waiting = self._buys if side == _BUY else self._sells
        at = bisect_left(waiting, (price, sequence))
        assert waiting[at] == (price, sequence)
        del waiting[at]
        self.count -= 1

    def add_trailing(self, side: int, price: int, sequence: int, trail: Trail, tick: int) -> None:
        """Let a stop wait that trails."""
        self.count += 1
        self.trailing.add(side, price, sequence, trail, tick)

    def remove_trailing(self, side: int, sequence: int) -> None:
        """Take a stop out that trails; it must be there."""
        self.trailing.remove(side, sequence)
        self.count -= 1

    def reached(self, prices: PriceRange) -> list[tuple[int, int]]:
        """What these prices elect of those that do not trail, as (sequence, price seen).

        A buy is elected at its price or above, a sell at its price or below.
        """
        low, high = prices.low, prices.high
        elected: list[tuple[int, int]] = []
        if high and self._buys and self._buys[0][0] <= high:
            end = bisect_right(self._buys, (high, 1 << 62))
            elected += [(sequence, high) for _, sequence in self._buys[:end]]
        if low and self._sells and self._sells[-1][0] >= low:
            start = bisect_left(self._sells, (low, 0))
            elected += [(sequence, low) for _, sequence in self._sells[start:]]
        return elected

    def rows(self) -> list[tuple[int, int, int]]:
        """Every stop that does not trail as (side, price, sequence), in a fixed order."""
        return [(int(Side.BUY), *row) for row in self._buys] + [
            (int(Side.SELL), *row) for row in self._sells
        ]
