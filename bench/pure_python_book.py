"""The fastest book we know how to write in plain Python: integers, dictionaries as queues."""

from bisect import bisect_left, insort

Fill = tuple[int, int, int]


class PurePythonBook:
    """Levels are dictionaries from key to lots: first in, first out, and any key out at once.

    A level is found by its rank, the price of a buy and the negated price of a sell, so that the
    best level of either side is the last of its list and both sides run the same lines.
    """

    __slots__ = ("levels", "ranks", "where")

    def __init__(self) -> None:
        self.levels: tuple[dict[int, dict[int, int]], ...] = ({}, {}, {})
        self.ranks: tuple[list[int], ...] = ([], [], [])
        self.where: dict[int, tuple[int, int]] = {}

    def execute(self, key: int, side: int, price: int, qty: int) -> list[Fill]:
        """Match a limit order, rest what is left, say what traded as (key, lots, ticks)."""
        fills: list[Fill] = []
        other = 3 - side
        ranks = self.ranks[other]
        limit = price if other == 1 else -price
        while ranks and ranks[-1] >= limit:
            rank = ranks[-1]
            level = self.levels[other][rank]
            at = rank if other == 1 else -rank
            taken = []
            for resting, lots in level.items():
                if lots > qty:
                    level[resting] = lots - qty
                    fills.append((resting, qty, at))
                    qty = 0
                    break
                qty -= lots
                fills.append((resting, lots, at))
                taken.append(resting)
                if not qty:
                    break
            for resting in taken:
                del level[resting]
                del self.where[resting]
            if not level:
                ranks.pop()
                del self.levels[other][rank]
            if not qty:
                return fills
        rank = price if side == 1 else -price
        found = self.levels[side].get(rank)
        if found is None:
            insort(self.ranks[side], rank)
            self.levels[side][rank] = {key: qty}
        else:
            found[key] = qty
        self.where[key] = (side, rank)
        return fills

    def cancel(self, key: int) -> int:
        """Take an order out and return what it had left."""
        place = self.where.pop(key, None)
        if place is None:
            return 0
        side, rank = place
        level = self.levels[side][rank]
        lots = level.pop(key)
        if not level:
            del self.levels[side][rank]
            ranks = self.ranks[side]
            del ranks[bisect_left(ranks, rank)]
        return lots

    def replace(self, key: int, price: int, qty: int) -> list[Fill]:
        """Reduce an order where it stands, or take it out and let it come in anew."""
        side, rank = self.where[key]
        level = self.levels[side][rank]
        if price == (rank if side == 1 else -rank) and qty <= level[key]:
            level[key] = qty
            return []
        self.cancel(key)
        return self.execute(key, side, price, qty)
