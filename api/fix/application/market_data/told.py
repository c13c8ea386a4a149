"""What of a book a session was told, and in which words an update changes that.

Of a depth of so many levels the window counts: a level that comes into it is new, also when it
rested there before, and one that falls out of it is deleted.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from projections.market_data.levels import BUY, Resting
from projections.market_data.records import Record, level_of

NEW, CHANGED, DELETED = b"0", b"1", b"2"
"""MDUpdateAction(279)."""

_Rests = tuple[int, int]
"""A quantity and how many orders that is."""


class Change(NamedTuple):
    """A level that is new, another, or gone."""

    action: bytes
    side: int
    level: Resting


class _Side:
    """One side of a book, whole, and the window of it that is told."""

    def __init__(self, side: int, depth: int) -> None:
        self._side = side
        self._depth = depth
        self._sign = 1 if side == BUY else -1
        self.begin()

    def begin(self) -> None:
        """Know of no level."""
        self._at: dict[int, _Rests] = {}
        # Ranks ascend, so that the best level stands last.
        self._ranks: list[int] = []
        self._before: dict[int, _Rests | None] = {}
        self._shown: dict[int, _Rests] = {}

    def __len__(self) -> int:
        return len(self._at)

    def put(self, level: Resting) -> None:
        """Have a level be as it is now."""
        price, qty, orders = level
        before = self._at.get(price)
        self._before.setdefault(price, before)
        rank = self._sign * price
        if qty:
            if before is None:
                insort(self._ranks, rank)
            self._at[price] = (qty, orders)
        elif before is not None:
            del self._at[price], self._ranks[bisect_left(self._ranks, rank)]

    def shown(self) -> list[Resting]:
        """The levels that are told, best first."""
        ranks = reversed(self._ranks[-self._depth :] if self._depth else self._ranks)
        return [Resting(price, *self._at[price]) for price in (self._sign * rank for rank in ranks)]

    def noted(self) -> None:
        """Take what is shown for told."""
        self._before.clear()
        if self._depth:
            self._shown = {price: (qty, orders) for price, qty, orders in self.shown()}

    def changes(self) -> list[Change]:
        """What is otherwise than it was told; it is told by that."""
        if not self._before:
            return []
        before, after = self._before, self._at
        if self._depth:
            after = {price: (qty, orders) for price, qty, orders in self.shown()}
            before = {**dict.fromkeys(after), **self._shown}
            self._shown = after
        changes = [
            change
            for price, was in before.items()
            if (change := self._change(price, was, after.get(price))) is not None
        ]
        self._before = {}
        changes.sort(reverse=True)
        return changes

    def _change(self, price: int, was: _Rests | None, now: _Rests | None) -> Change | None:
        if was == now:
            return None
        if now is None:
            return Change(DELETED, self._side, Resting(price, 0, 0))
        action = NEW if was is None else CHANGED
        return Change(action, self._side, Resting(price, *now))


class ToldBook:
    """The sides of a book that a session wants, to a depth; 0 is all of it."""

    def __init__(self, sides: Collection[int], depth: int) -> None:
        self._sides = {side: _Side(side, depth) for side in sorted(sides)}

    def begin(self, records: Sequence[Record]) -> None:
        """Begin with a whole book: it is told by a snapshot."""
        for side in self._sides.values():
            side.begin()
        self._put(records)
        for side in self._sides.values():
            side.noted()

    def update(self, records: Sequence[Record]) -> list[Change]:
        """Levels as they are after an update; what that is for the session, what is gone first."""
        self._put(records)
        return [change for side in self._sides.values() for change in side.changes()]

    def _put(self, records: Sequence[Record]) -> None:
        for record in records:
            level = level_of(record)
            side = self._sides.get(level.side)
            if side is not None:
                side.put(Resting(level.price, level.qty, level.orders))

    def shown(self) -> Mapping[int, list[Resting]]:
        """The levels that are told of each side, best first."""
        return {number: side.shown() for number, side in self._sides.items()}

    def deepest(self) -> int:
        """How many levels the deeper side has."""
        return max((len(side) for side in self._sides.values()), default=0)
