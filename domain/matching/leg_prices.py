"""At which prices the legs of two complex orders trade with each other: together exactly the net.

Each leg's price stands between the best bid and offer of its book, inside the collar and the
leg's bound, as near to its reference as the legs after it allow. The legs come in the order of
what a tick of theirs moves the net by, the largest first, so that the last ones can meet what is
left; those without any reference come behind all others.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import gcd
from typing import NamedTuple

from domain.matching.strategy import LegAsk
from domain.matching.strategy_constraints import planes_of
from domain.money import LARGEST
from domain.strategy_terms import Constraint
from domain.terms import Side

_BUY = int(Side.BUY)
_SELL = int(Side.SELL)
MOST_TRIES = 2_000
"""After so many prices that the legs behind could not meet, there are none. Only ticks and ratios
that hardly fit each other in very narrow markets come near it."""


class Span(NamedTuple):
    """The ticks a leg may trade at, the one it is drawn to, and what a tick moves the net by."""

    leg: int
    weight: int
    low: int
    high: int
    near: int
    known: bool = True

    @property
    def least(self) -> int:
        """The least it can add to the net."""
        return self.weight * (self.low if self.weight > 0 else self.high)

    @property
    def most(self) -> int:
        """The most it can add to the net."""
        return self.weight * (self.high if self.weight > 0 else self.low)


def leg_prices(legs: Sequence[LegAsk], net: int) -> tuple[int, ...] | None:
    """The legs' prices that make this net for a unit exactly, in the order of the legs; None when
    there are none.
    """
    spans = []
    for place, leg in enumerate(legs):
        span = _span(place, leg)
        if span is None:
            return None
        spans.append(span)
    spans.sort(key=lambda span: (not span.known, -abs(span.weight), span.leg))
    target = net * max([leg.multiplier for leg in legs])
    found = _Search(spans).ticks(0, target)
    if found is None:
        return None
    prices = [0] * len(legs)
    for span, ticks in zip(spans, found, strict=True):
        prices[span.leg] = ticks * legs[span.leg].market.instrument.tick
    return tuple(prices)


def prices_hold(
    legs: Sequence[LegAsk], constraints: Sequence[Constraint], prices: Sequence[int]
) -> bool:
    """Whether the legs' prices are within all the constraints."""
    costs = [price * leg.lots for leg, price in zip(legs, prices, strict=True)]
    return all(plane.excess(costs, 1) <= 0 for plane in planes_of(legs, constraints))


def _span(place: int, leg: LegAsk) -> Span | None:
    """Where a leg may trade; None when that is nowhere."""
    market = leg.market
    tick = market.instrument.tick
    bid, offer = market.book.best(_BUY), market.book.best(_SELL)
    low, high = bid or 1, offer or LARGEST // tick
    reference = market.reference_price
    if reference:
        lowest, highest = market.collar(reference)
        low, high = max(low, lowest // tick), min(high, highest // tick)
    if leg.bound and leg.side == _BUY:
        high = min(high, leg.bound // tick)
    elif leg.bound:
        low = max(low, -(-leg.bound // tick))
    if low > high:
        return None
    # Without a reference it is drawn to the middle of its market, or to the one side there is.
    drawn = (2 * reference + tick) // (2 * tick) or (bid + offer) // (2 if bid and offer else 1)
    weight = leg.sign * leg.ratio * leg.multiplier * leg.price_units * tick
    return Span(place, weight, low, high, min(max(drawn, low), high), drawn != 0)


class _Search:
    """A search for ticks of all legs whose weights sum to a target, nearest ones first."""

    def __init__(self, spans: Sequence[Span]) -> None:
        self.spans = spans
        self.tries = MOST_TRIES
        # What the legs from each on can make together: multiples of this, between these.
        self.step, self.least, self.most = [0], [0], [0]
        for span in reversed(spans):
            self.step.insert(0, gcd(span.weight, self.step[0]))
            self.least.insert(0, span.least + self.least[0])
            self.most.insert(0, span.most + self.most[0])

    def ticks(self, place: int, target: int) -> tuple[int, ...] | None:
        """The ticks of the legs from a place on that make the target; None when there are none."""
        if place == len(self.spans):
            return None if target else ()
        for tick in self._nearest(place, target):
            self.tries -= 1
            rest = self.ticks(place + 1, target - self.spans[place].weight * tick)
            if rest is not None:
                return (tick, *rest)
            if self.tries <= 0:
                return None
        return None

    def _nearest(self, place: int, target: int) -> Iterator[int]:
        """The ticks of a leg that leave what the legs behind it might make, nearest first, of two
        as near the lower one first.
        """
        span, behind = self.spans[place], self.step[place + 1]
        if target % self.step[place]:
            return
        low, high = _between(span, target - self.most[place + 1], target - self.least[place + 1])
        apart = behind // self.step[place] or 1
        first = 0
        if apart > 1:
            unit = span.weight // self.step[place]
            first = target // self.step[place] * pow(unit, -1, apart) % apart
        # Of the ticks that leave a multiple of what is behind: the last up to `near`, and the next.
        start = min(max(span.near, low - 1), high)
        down = start - (start - first) % apart
        up = down + apart
        while down >= low or up <= high:
            if up > high or (down >= low and span.near - down <= up - span.near):
                yield down
                down -= apart
            else:
                yield up
                up += apart


def _between(span: Span, least: int, most: int) -> tuple[int, int]:
    """The ticks of a leg that add between so much to the net."""
    if span.weight < 0:
        least, most = most, least
    low, high = -(-least // span.weight), most // span.weight
    return max(span.low, low), min(span.high, high)
