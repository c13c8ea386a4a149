"""Multi-leg executions written for the eye: unit by unit, fractions, every price tried."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import product
from typing import NamedTuple

BUY = 1
WITHIN = 1


class Offered(NamedTuple):
    """An order that a leg may meet: its key, its whole shares or contracts, its price in dollars,
    and who it is of.
    """

    key: int
    qty: Fraction
    price: Fraction
    owner: int


class NaiveLeg(NamedTuple):
    """A leg: what of each unit it trades, the worst price it may trade at, and whom it meets, in
    priority.
    """

    side: int
    ratio: int
    multiplier: int
    bound: Fraction | None
    offered: Sequence[Offered]


class Rule(NamedTuple):
    """What must hold between the average prices of two legs."""

    kind: int
    left: int
    right: int
    a: Fraction
    b: Fraction
    c: Fraction

    def holds(self, prices: Sequence[Fraction]) -> bool:
        """Whether it does at these prices."""
        left, right = prices[self.left], prices[self.right]
        if self.kind == WITHIN:
            return abs(left / right - 1) <= self.a
        return self.a * left + self.b * right <= self.c


Took = tuple[int, Fraction, Fraction]


def reachable(leg: NaiveLeg, owner: int) -> list[Offered]:
    """Whom a leg may meet: up to its bound, and up to the first order of its own owner."""
    found = []
    for one in leg.offered:
        worse = leg.bound is not None and (
            one.price > leg.bound if leg.side == BUY else one.price < leg.bound
        )
        if worse or one.owner == owner:
            break
        found.append(one)
    return found


def taken(offered: Sequence[Offered], skipped: int, wanted: int) -> list[Took] | None:
    """What the so many units behind those skipped would take, or None when they are not there."""
    took = []
    ahead, left = Fraction(skipped), Fraction(wanted)
    for one in offered:
        passed = min(ahead, one.qty)
        ahead -= passed
        qty = min(one.qty - passed, left)
        if qty:
            took.append((one.key, qty, one.price))
            left -= qty
    return took if not left else None


def net_of(legs: Sequence[NaiveLeg], prices: Sequence[Fraction]) -> Fraction:
    """What a unit costs at its legs' prices, for one unit of the underlying."""
    largest = max(leg.multiplier for leg in legs)
    return sum(
        (
            (1 if leg.side == BUY else -1) * leg.ratio * price * Fraction(leg.multiplier, largest)
            for leg, price in zip(legs, prices, strict=True)
        ),
        Fraction(0),
    )


def average(took: Sequence[Took]) -> Fraction:
    """The average price of what was taken."""
    value = sum((qty * price for _, qty, price in took), Fraction(0))
    return value / sum((qty for _, qty, _ in took), Fraction(0))


def most_units(
    legs: Sequence[NaiveLeg],
    units: int,
    limit: Fraction | None,
    rules: Sequence[Rule],
    owner: int,
) -> tuple[int, list[list[Took]]]:
    """How many units trade, and whom each leg meets for how much, by trying every number."""
    offers = [reachable(leg, owner) for leg in legs]
    most = 0
    found: list[list[Took]] = [[] for _ in legs]
    for unit in range(1, units + 1):
        alone = [
            taken(offered, (unit - 1) * leg.ratio, leg.ratio)
            for leg, offered in zip(legs, offers, strict=True)
        ]
        if any(took is None for took in alone):
            break
        if limit is not None and net_of(legs, [average(took) for took in alone]) > limit:
            break
        together = [
            taken(offered, 0, unit * leg.ratio) for leg, offered in zip(legs, offers, strict=True)
        ]
        if all(rule.holds([average(took) for took in together]) for rule in rules):
            most, found = unit, together
    return most, found


class Place(NamedTuple):
    """Where a leg of two complex orders may trade: every price there is, and the one it is drawn
    to, with what a price of one and what a tick adds to the net.
    """

    prices: Sequence[Fraction]
    near: Fraction
    weight: Fraction
    by_tick: Fraction


def nearest_prices(places: Sequence[Place], net: Fraction) -> tuple[Fraction, ...] | None:
    """Of all prices that make a net, those nearest to where the legs are drawn: first the leg
    whose tick moves the net most, of two as near the lower.
    """
    order = sorted(range(len(places)), key=lambda leg: -abs(places[leg].by_tick))

    def far(prices: tuple[Fraction, ...]) -> list[tuple[Fraction, Fraction]]:
        return [(abs(prices[leg] - places[leg].near), prices[leg]) for leg in order]

    making = [
        prices
        for prices in product(*(place.prices for place in places))
        if net == sum((p.weight * price for p, price in zip(places, prices, strict=True)), 0)
    ]
    return min(making, key=far, default=None)
