"""What options and the shares they are for bind, reckoned again in dollars and fractions.

Told as what must be set aside for each short: the cheapest of standing alone, beside a short of
the other right, on shares, or in a group that pays out so much at the worst. Which mixture is
cheapest is asked of a textbook's simplex.
"""

from __future__ import annotations

from fractions import Fraction
from typing import NamedTuple

CALL = 1
TOGETHER = 12
"""Of more options each expiry is reckoned by itself."""
_NONE = Fraction(0)
_FIFTH, _TENTH, _ALL = Fraction(1, 5), Fraction(1, 10), Fraction(1)


class Contract(NamedTuple):
    """So many options by the share, short below 0; prices in dollars."""

    is_call: bool
    strike: Fraction
    expiry: int
    shares: Fraction
    mark: Fraction

    def pays(self, price: Fraction) -> Fraction:
        """What one pays its holder at the end."""
        return max(_NONE, price - self.strike if self.is_call else self.strike - price)


class Lot(NamedTuple):
    """Shares that are held or owed, the part of their worth that they bind, and whether an option
    that protects them lowers that.
    """

    shares: Fraction
    rate: Fraction
    protected: bool


class _Table:
    """Maximise gains under ceilings, by the rule that picks the first of all: slow, and it ends."""

    def __init__(self) -> None:
        self.gains: list[Fraction] = []
        self.rows: list[tuple[dict[int, Fraction], Fraction]] = []

    def choice(self, gain: Fraction, *ceilings: int) -> int:
        """Another amount to choose, that takes of these ceilings."""
        self.gains.append(gain)
        for row in ceilings:
            self.rows[row][0][len(self.gains) - 1] = _ALL
        return len(self.gains) - 1

    def ceiling(self, most: Fraction, parts: dict[int, Fraction] | None = None) -> int:
        """Another bound on what is chosen."""
        self.rows.append((parts or {}, most))
        return len(self.rows) - 1

    def best(self) -> Fraction:
        """The largest gain there is."""
        wide, high = len(self.gains), len(self.rows)
        lines = []
        for number, (parts, most) in enumerate(self.rows):
            line = [parts.get(column, _NONE) for column in range(wide)]
            line += [_ALL if column == number else _NONE for column in range(high)]
            lines.append([*line, most])
        goal = [*self.gains, *[_NONE] * (high + 1)]
        chosen = list(range(wide, wide + high))
        while True:
            column = next((at for at in range(wide + high) if goal[at] > 0), None)
            if column is None:
                return -goal[-1]
            ratios = [
                (line[-1] / line[column], chosen[at], at)
                for at, line in enumerate(lines)
                if line[column] > 0
            ]
            _, _, row = min(ratios)
            self._turn(lines, goal, row, column)
            chosen[row] = column

    @staticmethod
    def _turn(lines: list[list[Fraction]], goal: list[Fraction], row: int, column: int) -> None:
        by = lines[row][column]
        turned = lines[row] = [entry / by for entry in lines[row]]
        for line in (*lines[:row], *lines[row + 1 :], goal):
            times = line[column]
            if times:
                line[:] = [
                    entry - times * other if other else entry
                    for entry, other in zip(line, turned, strict=True)
                ]


class Options:
    """What an account holds of one underlying's options, at a price of it."""

    def __init__(
        self, price: Fraction, contracts: list[Contract], lot: Lot, *, whole: bool = False
    ) -> None:
        self._price = price
        self._lot = lot
        self._shorts = [one for one in contracts if one.shares < 0]
        self._longs = [one for one in contracts if one.shares > 0]
        self._rates = (_ALL, _ALL) if whole else (_FIFTH, _TENTH)

    def bound(self) -> Fraction:
        """The dollars that must be the account's own, beyond what the shorts cost to close."""
        paid = sum((one.shares * one.mark for one in self._longs), _NONE)
        alone = sum((-one.shares * self._alone(one) for one in self._shorts), _NONE)
        own = abs(self._lot.shares) * self._lot.rate * self._price
        many = len(self._shorts) + len(self._longs) > TOGETHER
        saved = self._saved_apart() if many else self._saved_together()
        return max(_NONE, paid + alone + own - saved)

    def _alone(self, one: Contract) -> Fraction:
        share, least = self._rates
        price = self._price or one.strike
        out = max(_NONE, one.strike - price if one.is_call else price - one.strike)
        return max(share * price - out, least * (price if one.is_call else one.strike))

    def _saved_together(self) -> Fraction:
        table = _Table()
        shorts = [(one, table.ceiling(-one.shares)) for one in self._shorts]
        longs = [(one, table.ceiling(one.shares)) for one in self._longs]
        shares = table.ceiling(abs(self._lot.shares))
        for one, row in shorts:
            for other, beside in shorts:
                if one.is_call and not other.is_call:
                    table.choice(min(self._alone(one), self._alone(other)), row, beside)
            kept = self._on_shares(one)
            if kept > 0:
                table.choice(kept, row, shares)
        for long, row in longs:
            kept = self._protecting(long)
            if kept > 0:
                table.choice(kept, row, shares)
        for expiry in {one.expiry for one in self._shorts}:
            self._group(table, expiry, shorts, longs)
        return table.best() if table.gains else _NONE

    def _on_shares(self, one: Contract) -> Fraction:
        """What a short saves on shares that can be delivered, or taken, for it."""
        lot = self._lot
        if not lot.shares or one.is_call is not (lot.shares > 0):
            return _NONE
        lost = one.pays(self._price)
        if one.is_call:
            lost *= max(_NONE, 1 - lot.rate)
        return self._alone(one) + one.mark - lost

    def _protecting(self, one: Contract) -> Fraction:
        lot = self._lot
        if not lot.protected or not lot.shares or one.is_call is (lot.shares > 0):
            return _NONE
        out = one.strike - self._price if one.is_call else self._price - one.strike
        return lot.rate * self._price - (_TENTH * one.strike + max(_NONE, out))

    def _group(
        self,
        table: _Table,
        expiry: int,
        shorts: list[tuple[Contract, int]],
        longs: list[tuple[Contract, int]],
    ) -> None:
        lasting = [(one, row) for one, row in longs if one.expiry >= expiry]
        if not lasting:
            return
        worst = table.choice(-_ALL)
        parts = [
            (one, table.choice(self._alone(one) + one.mark, row), _ALL)
            for one, row in shorts
            if one.expiry == expiry
        ]
        parts += [(one, table.choice(_NONE, row), -_ALL) for one, row in lasting]
        for price in {_NONE, *(one.strike for one, _, _ in parts)}:
            pays = {number: sign * one.pays(price) for one, number, sign in parts}
            table.ceiling(_NONE, {**pays, worst: -_ALL})
        table.ceiling(_NONE, {number: sign for one, number, sign in parts if one.is_call})

    def _saved_apart(self) -> Fraction:
        saved = _NONE
        for expiry in {one.expiry for one in self._shorts}:
            inside = [one for one in (*self._shorts, *self._longs) if one.expiry == expiry]
            calls = [one for one in inside if one.is_call]
            puts = [one for one in inside if not one.is_call]
            halves = self._saved_as_one(calls) + self._saved_as_one(puts)
            saved += max(halves, self._saved_as_one(inside))
        return saved

    def _saved_as_one(self, inside: list[Contract]) -> Fraction:
        if sum((one.shares for one in inside if one.is_call), _NONE) < 0:
            return _NONE
        worst = max(
            -sum((one.shares * one.pays(price) for one in inside), _NONE)
            for price in (_NONE, *(one.strike for one in inside))
        )
        alone = (-one.shares * (self._alone(one) + one.mark) for one in inside if one.shares < 0)
        return max(_NONE, sum(alone, _NONE) - max(_NONE, worst))
