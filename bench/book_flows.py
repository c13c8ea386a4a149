"""Three ways in which a book is busy: at the touch, deep down, and in one long queue."""

from __future__ import annotations

import random
from array import array
from collections.abc import Callable
from typing import NamedTuple

from domain.matching.book import (
    BATCH_ADD,
    BATCH_CANCEL,
    BATCH_EXECUTE,
    BATCH_REPLACE,
    BUY,
    SELL,
    STP_NONE,
    Book,
)

MIX = {"limits that rest": 0.45, "replaces": 0.15, "cancels": 0.3, "marketable": 0.1}
MIDDLE = 1_000_000
OWNERS = 100

Draw = random.Random
Price = Callable[[Draw, Book, int], int]


class Regime(NamedTuple):
    """Where orders stand, what a price is there, how many rest beforehand and how much is done."""

    name: str
    where: str
    price: Price
    resting: int
    operations: int


class Flow(NamedTuple):
    """What rests beforehand and what is then done, in the form of `Book.run_batch`."""

    resting: array[int]
    operations: array[int]


def at_the_touch(draw: Draw, book: Book, side: int) -> int:
    """Within twenty ticks of the other side, most of them close."""
    away = min(1 + int(draw.expovariate(0.25)), 20)
    if side == BUY:
        return (book.best(SELL) or MIDDLE) - away
    return (book.best(BUY) or MIDDLE) + away


def deep(draw: Draw, _: Book, side: int) -> int:
    """Anywhere on five thousand ticks of the side."""
    away = draw.randint(1, 5_000)
    return MIDDLE - away if side == BUY else MIDDLE + away


def in_one_queue(_: Draw, __: Book, side: int) -> int:
    """One price a side, where everybody waits."""
    return MIDDLE if side == BUY else MIDDLE + 1


def regimes(operations: int) -> list[Regime]:
    """The three; in the deep one as many orders rest as are then done, in the others a share.

    In the queue less is done, as the naive book looks through it for every order that leaves.
    """
    return [
        Regime(
            "touch", "within 20 ticks of the touch", at_the_touch, operations // 100, operations
        ),
        Regime("deep", "over 5,000 ticks a side", deep, operations, operations),
        Regime("queue", "at one price a side", in_one_queue, operations // 5, operations // 5),
    ]


def flow(regime: Regime, seed: int) -> Flow:
    """A seeded stream of operations on a seeded book.

    A marketable order is as large as one order and a half, so that the book neither empties nor
    grows without end. Of the replacements one half only reduces, the other moves to a new price.
    """
    drawn = _Drawn(regime, seed)
    resting, table = array("q"), array("q")
    for _ in range(regime.resting):
        resting.extend(drawn.resting())
    for _ in range(regime.operations):
        table.extend(drawn.operation())
    return Flow(resting, table)


class _Drawn:
    """Draws operations on a book that it keeps, so as to name orders that rest."""

    def __init__(self, regime: Regime, seed: int) -> None:
        self.draw = Draw(seed)
        self.regime = regime
        self.book = Book(regime.resting + 1)
        self.placed: dict[int, tuple[int, int]] = {}
        self.live: list[int] = []
        self.key = 0

    def resting(self) -> list[int]:
        """An order that rests beforehand."""
        return self._limit(BATCH_ADD)

    def operation(self) -> list[int]:
        """The next thing that is done."""
        what = self.draw.choices(list(MIX), list(MIX.values()))[0]
        if what == "limits that rest" or not len(self.book):
            return self._limit(BATCH_EXECUTE)
        if what == "marketable":
            return self._marketable()
        known = self._known()
        if what == "cancels":
            return self._done([BATCH_CANCEL, known, 0, 0, 0, 0, 0, 0])
        side, price = self.placed[known]
        lots = self.draw.randint(1, self.book.leaves(known))
        if self.draw.random() < 0.5:
            price, lots = self.regime.price(self.draw, self.book, side), self.draw.randint(1, 10)
        self.placed[known] = side, price
        self.live.append(known)
        return self._done([BATCH_REPLACE, known, 0, price, lots, 0, STP_NONE, 0])

    def _limit(self, what: int) -> list[int]:
        self.key += 1
        side, owner = self.draw.choice((BUY, SELL)), self.draw.randrange(OWNERS)
        price = self.regime.price(self.draw, self.book, side)
        self.placed[self.key] = side, price
        self.live.append(self.key)
        lots = self.draw.randint(1, 10)
        return self._done([what, self.key, side, price, lots, owner, STP_NONE, 1])

    def _marketable(self) -> list[int]:
        """An order through the touch, which trades first."""
        self.key += 1
        side, owner = self.draw.choice((BUY, SELL)), self.draw.randrange(OWNERS)
        away = self.draw.randrange(5)
        best = self.book.best(SELL if side == BUY else BUY) or MIDDLE
        price = best + (away if side == BUY else -away)
        self.placed[self.key] = side, price
        self.live.append(self.key)
        lots = self.draw.randint(1, 16)
        return self._done([BATCH_EXECUTE, self.key, side, price, lots, owner, STP_NONE, 1])

    def _known(self) -> int:
        """The key of an order that rests, any of them."""
        while True:
            place = self.draw.randrange(len(self.live))
            self.live[place], self.live[-1] = self.live[-1], self.live[place]
            key = self.live.pop()
            if key in self.book:
                return key

    def _done(self, row: list[int]) -> list[int]:
        self.book.run_batch(array("q", row))
        return row
