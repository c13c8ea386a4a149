"""The level-2 book of one instrument: what rests at each price, what changed, and a checksum."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Sequence
from typing import NamedTuple
from zlib import crc32

from domain.terms import Side

BUY, SELL = int(Side.BUY), int(Side.SELL)
CHECKED = 10
"""How many levels of each side the checksum is over."""
KEPT_GONE = 1_024
"""How many levels that are gone are remembered, for those who were told of them."""


class Resting(NamedTuple):
    """What rests at a price: units of 1e-8, and how many orders that is."""

    price: int
    qty: int
    orders: int


class Changed(NamedTuple):
    """A level after an update; nothing rests there where `qty` is 0."""

    side: int
    price: int
    qty: int
    orders: int


class Depth(NamedTuple):
    """The book after the update with this sequence, best prices first."""

    sequence: int
    bids: Sequence[Resting]
    asks: Sequence[Resting]
    checksum: int


NOTHING = (0, 0)


def checksum(bids: Iterable[Resting], asks: Iterable[Resting]) -> int:
    """CRC-32 (as of zlib and PNG) over the best ten levels of both sides, best first.

    The bytes are ASCII: of each bid its price, a colon, its quantity and a comma; a bar; the same
    of each ask. Both are digits without sign, point or leading zeros: prices at the instrument's
    `price_decimals`, quantities in 1e-8 units. So the strings that documents show give them by
    leaving out the point and then the zeros in front. A book of one bid, 10.00000000 at 99.5000,
    is `995000:1000000000,|`; an empty one is `|`.
    """
    return crc32(f"{_side_text(bids)}|{_side_text(asks)}".encode())


def _side_text(levels: Iterable[Resting]) -> str:
    best = [f"{price}:{qty}," for (price, qty, _), _ in zip(levels, range(CHECKED), strict=False)]
    return "".join(best)


class Levels:
    """Both sides by price, kept by what orders add and take away.

    `sequence` counts the updates, one a command that changes anything. Memory goes with the
    levels that stand, and a bounded number of those that are gone, whatever the rate.
    """

    def __init__(
        self, sequence: int, bids: Iterable[Resting] = (), asks: Iterable[Resting] = ()
    ) -> None:
        self.sequence = sequence
        self._at: dict[int, dict[int, tuple[int, int]]] = {
            BUY: {price: (qty, orders) for price, qty, orders in bids},
            SELL: {price: (qty, orders) for price, qty, orders in asks},
        }
        # Ranks ascend, so that the best level stands last: a price, negated for sells.
        self._ranks = {
            BUY: sorted(self._at[BUY]),
            SELL: sorted(-price for price in self._at[SELL]),
        }
        self._before: dict[tuple[int, int], tuple[int, int]] = {}
        # Of each level the update that changed it, the latest last; those of old as the first.
        self._changed: dict[tuple[int, int], int] = {
            (side, price): sequence for side in (BUY, SELL) for price in self._at[side]
        }
        self._complete_from = sequence
        self._gone = 0
        self.checksum = checksum(self.best(BUY, CHECKED), self.best(SELL, CHECKED))

    # Questions

    def best(self, side: int, levels: int) -> list[Resting]:
        """The best levels of a side, best first."""
        at, ranks = self._at[side], self._ranks[side]
        prices = ranks[: -levels - 1 : -1] if levels else []
        if side == SELL:
            return [Resting(-rank, *at[-rank]) for rank in prices]
        return [Resting(rank, *at[rank]) for rank in prices]

    def depth(self, levels: int = 2**30) -> Depth:
        """A snapshot: the best levels of both sides after the latest update."""
        return Depth(self.sequence, self.best(BUY, levels), self.best(SELL, levels), self.checksum)

    def standing(self, levels: int = 2**30) -> list[Changed]:
        """The best levels of both sides, bids first, as who knows nothing yet is told of them."""
        return [Changed(side, *level) for side in (BUY, SELL) for level in self.best(side, levels)]

    def since(self, sequence: int) -> list[Changed] | None:
        """Each level that changed after an update, once, as it is now; the oldest change first.

        None where that is not known any more: whoever asks begins with a snapshot again.
        """
        if not self._complete_from <= sequence <= self.sequence:
            return None
        found: list[Changed] = []
        for key, changed_at in reversed(self._changed.items()):
            if changed_at <= sequence:
                break
            side, price = key
            found.append(Changed(side, price, *self._at[side].get(price, NOTHING)))
        found.reverse()
        return found

    # Changes

    def add(self, side: int, price: int, qty: int, orders: int) -> None:
        """Have a level grow, or fall where the numbers are negative; `commit` tells of it."""
        at = self._at[side]
        before = at.get(price, NOTHING)
        self._before.setdefault((side, price), before)
        after = before[0] + qty, before[1] + orders
        assert after == NOTHING or (after[0] > 0 and after[1] > 0), (side, price, before, after)
        rank = price if side == BUY else -price
        if after != NOTHING:
            if before == NOTHING:
                insort(self._ranks[side], rank)
            at[price] = after
        elif before != NOTHING:
            ranks = self._ranks[side]
            del at[price], ranks[bisect_left(ranks, rank)]

    def put(self, changed: Changed) -> None:
        """Have a level be what somebody was told of it; `commit` tells of it."""
        qty, orders = self._at[changed.side].get(changed.price, NOTHING)
        if (qty, orders) != (changed.qty, changed.orders):
            self.add(changed.side, changed.price, changed.qty - qty, changed.orders - orders)

    def commit(self) -> list[Changed]:
        """What a command changed, in the order in which it touched it; an update, if anything."""
        changed = [
            Changed(side, price, *after)
            for (side, price), before in self._before.items()
            if (after := self._at[side].get(price, NOTHING)) != before
        ]
        if changed:
            self.sequence += 1
            for side, price, qty, _ in changed:
                before = self._before[side, price]
                self._gone += (qty == 0) - (before == NOTHING and (side, price) in self._changed)
                self._changed.pop((side, price), None)
                self._changed[side, price] = self.sequence
            if self._gone > 2 * KEPT_GONE:
                self._forget_gone()
            if any(self._is_checked(one) for one in changed):
                self.checksum = checksum(self.best(BUY, CHECKED), self.best(SELL, CHECKED))
        self._before.clear()
        return changed

    def _is_checked(self, changed: Changed) -> bool:
        """Whether a change is among the best levels, or of one that was."""
        ranks = self._ranks[changed.side]
        rank = changed.price if changed.side == BUY else -changed.price
        return len(ranks) < CHECKED or rank >= ranks[-CHECKED]

    def _forget_gone(self) -> None:
        """Remember only the latest of the levels that are gone."""
        for (side, price), changed_at in list(self._changed.items()):
            if self._gone <= KEPT_GONE:
                break
            if price not in self._at[side]:
                del self._changed[side, price]
                self._gone -= 1
                self._complete_from = changed_at
