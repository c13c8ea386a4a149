"""Stops that wait for their price, found by price."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort

from domain.price_range import PriceRange
from domain.terms import Side

_BUY = int(Side.BUY)


class Stops:
    """The waiting stops of one instrument: (price, sequence), one sorted list a side."""

    __slots__ = ("_buys", "_sells", "count")

    def __init__(self) -> None:
        self._buys: list[tuple[int, int]] = []
        self._sells: list[tuple[int, int]] = []
        self.count = 0

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

    def reached(self, prices: PriceRange) -> list[tuple[int, int]]:
        """What these prices elect, as (sequence, price seen).

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
        """Every waiting stop as (side, price, sequence), in a fixed order."""
        return [(int(Side.BUY), *row) for row in self._buys] + [
            (int(Side.SELL), *row) for row in self._sells
        ]
