"""The matching book written for the eye: sorted prices, a queue at each, nothing clever."""

from collections import deque
from copy import deepcopy
from dataclasses import dataclass

BUY, SELL = 1, 2
CANCEL_NEWEST, CANCEL_OLDEST, CANCEL_BOTH = 1, 2, 3
FILL, STP_CANCELLED = 0, 1

Row = tuple[int, int, int, int, int]


@dataclass
class Resting:
    """One order in a queue."""

    key: int
    lots: int
    owner: int


class NaiveBook:
    """What domain.matching.book must agree with, however slow."""

    def __init__(self) -> None:
        self.sides: dict[int, dict[int, deque[Resting]]] = {BUY: {}, SELL: {}}
        self.last_remainder = 0
        self.last_incoming_cancelled = False

    def prices(self, side: int) -> list[int]:
        """The prices of a side, best first."""
        return sorted(self.sides[side], reverse=side == BUY)

    def find(self, key: int) -> tuple[int, int, Resting] | None:
        """Look through the whole book for an order."""
        for side, levels in self.sides.items():
            for price, queue in levels.items():
                for order in queue:
                    if order.key == key:
                        return side, price, order
        return None

    def drop(self, side: int, price: int, order: Resting) -> None:
        """Take an order out, and its level when it was the last there."""
        self.sides[side][price].remove(order)
        if not self.sides[side][price]:
            del self.sides[side][price]

    def __len__(self) -> int:
        return sum(len(queue) for levels in self.sides.values() for queue in levels.values())

    def __contains__(self, key: int) -> bool:
        return self.find(key) is not None

    def add(self, key: int, side: int, price: int, lots: int, owner: int) -> None:
        if key in self:
            raise KeyError(key)
        self.sides[side].setdefault(price, deque()).append(Resting(key, lots, owner))

    def cancel(self, key: int) -> int:
        found = self.find(key)
        if found is None:
            return 0
        self.drop(*found)
        return found[2].lots

    def reduce(self, key: int, lots: int) -> None:
        found = self.find(key)
        if found is None:
            raise KeyError(key)
        if not 0 < lots < found[2].lots:
            raise ValueError(lots)
        found[2].lots = lots

    def replace(self, key: int, price: int, lots: int, stp: int) -> list[Row]:
        found = self.find(key)
        if found is None:
            raise KeyError(key)
        side, stood_at, order = found
        if price == stood_at and lots <= order.lots:
            order.lots = lots
            self.last_remainder, self.last_incoming_cancelled = lots, False
            return []
        self.drop(side, stood_at, order)
        return self.execute(key, side, price, lots, order.owner, stp, True)

    def leaves(self, key: int) -> int:
        found = self.find(key)
        return 0 if found is None else found[2].lots

    def best(self, side: int) -> int:
        return next(iter(self.prices(side)), 0)

    def best_qty(self, side: int) -> int:
        return sum(order.lots for order in self.sides[side].get(self.best(side), ()))

    def depth(self, side: int, levels: int) -> list[tuple[int, int, int]]:
        return [
            (price, sum(order.lots for order in queue), len(queue))
            for price in self.prices(side)[:levels]
            for queue in [self.sides[side][price]]
        ]

    def orders(self, side: int) -> list[tuple[int, int, int, int]]:
        return [
            (order.key, price, order.lots, order.owner)
            for price in self.prices(side)
            for order in self.sides[side][price]
        ]

    def state_rows(self) -> list[tuple[int, int, int, int]]:
        return self.orders(BUY) + self.orders(SELL)

    def clear(self) -> None:
        self.sides = {BUY: {}, SELL: {}}

    def execute(
        self, key: int, side: int, limit: int, lots: int, owner: int, stp: int, rest: bool
    ) -> list[Row]:
        if key in self:
            raise KeyError(key)
        rows: list[Row] = []
        other = SELL if side == BUY else BUY
        ended = False
        while lots and not ended and self.sides[other]:
            price = self.best(other)
            if price > limit if side == BUY else price < limit:
                break
            order = self.sides[other][price][0]
            if stp and order.owner == owner:
                ended = stp in (CANCEL_NEWEST, CANCEL_BOTH)
                if stp in (CANCEL_OLDEST, CANCEL_BOTH):
                    rows.append((STP_CANCELLED, order.key, order.lots, price, 0))
                    self.drop(other, price, order)
                continue
            traded = min(lots, order.lots)
            lots -= traded
            order.lots -= traded
            rows.append((FILL, order.key, traded, price, order.lots))
            if not order.lots:
                self.drop(other, price, order)
        self.last_remainder = lots
        self.last_incoming_cancelled = ended
        if lots and rest and not ended:
            self.add(key, side, limit, lots, owner)
        return rows

    def plan(
        self, side: int, limit: int, lots: int, owner: int, stp: int
    ) -> tuple[list[tuple[int, int, int, int]], int, bool]:
        """Do it on a copy, and look at what happened."""
        copy = deepcopy(self)
        rows = copy.execute(-1, side, limit, lots, owner, stp, False)
        return [row[:4] for row in rows], copy.last_remainder, copy.last_incoming_cancelled

    def uncross_price(self, reference: int) -> tuple[int, int, int]:
        """Try every price there is between the two sides."""
        low, high = self.best(SELL), self.best(BUY)
        if not low or low > high:
            return (0, 0, 0)
        tried = []
        for price in range(low, high + 1):
            demand = sum(lots for _, at, lots, _ in self.orders(BUY) if at >= price)
            supply = sum(lots for _, at, lots, _ in self.orders(SELL) if at <= price)
            imbalance = demand - supply
            merit = (min(demand, supply), -abs(imbalance), -abs(price - reference), price)
            tried.append((merit, imbalance))
        (volume, _, _, price), imbalance = max(tried)
        return (price, volume, imbalance)

    def uncross(self, price: int) -> list[tuple[int, int, int, int, int]]:
        trades = []
        while self.best(BUY) >= price and 0 < self.best(SELL) <= price:
            bid, ask = self.best(BUY), self.best(SELL)
            buy, sell = self.sides[BUY][bid][0], self.sides[SELL][ask][0]
            lots = min(buy.lots, sell.lots)
            buy.lots -= lots
            sell.lots -= lots
            trades.append((buy.key, sell.key, lots, buy.lots, sell.lots))
            if not buy.lots:
                self.drop(BUY, bid, buy)
            if not sell.lots:
                self.drop(SELL, ask, sell)
        return trades
