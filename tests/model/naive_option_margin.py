"""What options bind, the slow way: every division of single contracts, on a grid of prices.

Fractions of dollars; strikes are whole dollars, so a grid of dollars meets every bend.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction

FAR = 1_000_000
"""A price beyond all strikes, where what has no bound shows."""
GRID = (*range(201), FAR)


@dataclass(frozen=True)
class Contract:
    """One contract, long (1) or short (-1); `group` is the expiry it is margined with."""

    right: str
    strike: int
    expiry: int
    sign: int
    mark: Fraction
    group: int = 0

    def pays(self, price: int) -> int:
        """At expiry, to who holds it."""
        return max(0, price - self.strike if self.right == "call" else self.strike - price)

    def alone(self, price: int, share: Fraction, least: Fraction) -> Fraction:
        """Short and uncovered, beyond its value."""
        out = self.strike - price if self.right == "call" else price - self.strike
        floor = least * (price if self.right == "call" else self.strike)
        return max(share * price - max(0, out), floor)


@dataclass(frozen=True)
class Shares:
    """Lots of shares, as many as a contract is for; `rate` is what they bind of their worth."""

    lots: int = 0
    rate: Fraction = Fraction(1, 2)
    protects: bool = False


@dataclass(frozen=True)
class Rules:
    """The underlying's price, and what a short by itself binds of it, and at the least."""

    price: int
    share: Fraction = Fraction(1, 5)
    least: Fraction = Fraction(1, 10)

    def alone(self, one: Contract) -> Fraction:
        """What one short binds beyond its value."""
        return one.alone(self.price, self.share, self.least)


def least_by_hand(rules: Rules, contracts: list[Contract], shares: Shares) -> Fraction:
    """The least that any division binds, beyond value, by the share."""
    own = abs(shares.lots) * shares.rate * rules.price
    return own + min(_divided(rules, contracts, shares, abs(shares.lots)))


def _divided(
    rules: Rules,
    rest: list[Contract],
    shares: Shares,
    lots: int,
    grouped: tuple[Contract, ...] = (),
) -> Iterator[Fraction]:
    """What each division of the rest binds, with what is in groups already."""
    if not rest:
        yield _groups(grouped)
        return
    one, others = rest[0], rest[1:]
    for alone in _by_itself(rules, one, others, shares, lots):
        yield from (
            alone.binds + more
            for more in _divided(rules, alone.others, shares, alone.lots, grouped)
        )
    expiries = {one.expiry for one in (*rest, *grouped) if one.sign < 0}
    for group in expiries:
        if one.expiry == group if one.sign < 0 else one.expiry >= group:
            inside = (*grouped, replace(one, group=group))
            yield from _divided(rules, others, shares, lots, inside)


@dataclass(frozen=True)
class _Covered:
    binds: Fraction
    others: list[Contract]
    lots: int


def _by_itself(
    rules: Rules, one: Contract, others: list[Contract], shares: Shares, lots: int
) -> Iterator[_Covered]:
    """One contract in no group: alone, with shares, or short with a short of the other right."""
    held = shares.lots > 0
    if one.sign > 0:
        yield _Covered(one.mark, others, lots)
        if lots and shares.protects and (one.right == "put") is held:
            out = rules.price - one.strike if held else one.strike - rules.price
            bound = Fraction(one.strike, 10) + max(0, out)
            yield _Covered(one.mark + bound - shares.rate * rules.price, others, lots - 1)
        return
    alone = rules.alone(one)
    yield _Covered(alone, others, lots)
    if lots and (one.right == "call") is held:
        part = max(Fraction(0), 1 - shares.rate) if held else Fraction(1)
        yield _Covered(part * one.pays(rules.price) - one.mark, others, lots - 1)
    for number, other in enumerate(others):
        if other.sign < 0 and other.right != one.right:
            left = others[:number] + others[number + 1 :]
            yield _Covered(max(alone, rules.alone(other)), left, lots)


def _groups(contracts: tuple[Contract, ...]) -> Fraction:
    """What groups bind beyond value: all that they can pay out, less what they are worth."""
    bound = Fraction(0)
    for group in {one.group for one in contracts}:
        inside = [one for one in contracts if one.group == group]
        bound += sum(one.sign * one.mark for one in inside)
        bound += max(0, *(-sum(one.sign * one.pays(p) for one in inside) for p in GRID))
    return bound


def worst_by_hand(contracts: list[Contract], lots: int, price: int) -> Fraction:
    """What is lost at most at expiry, on the grid, from the present worth."""
    value = sum((one.sign * one.mark for one in contracts), Fraction(lots * price))
    ends = (lots * p + sum(one.sign * one.pays(p) for one in contracts) for p in GRID)
    return max(Fraction(0), value - min(ends))
