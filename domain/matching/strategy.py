"""How many units of a multi-leg order trade at once: every leg in ratio, or nothing.

The first unit takes each leg's best lots, the next one what stands behind them, so that no unit
costs less than the one before it. Where all legs stay on their price levels the units are alike:
the work is by levels and orders, never by units.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec

from domain.matching.book import MAX_LOTS, MAX_TICKS, STP_CANCEL_NEWEST, STP_NONE
from domain.matching.engine import Market, Meeting
from domain.matching.strategy_constraints import Before, Plane, most_within, planes_of
from domain.money import QTY_UNIT, WIRE_PRICE_SCALE
from domain.strategy_terms import Constraint
from domain.terms import Side

_BUY = int(Side.BUY)
_SELL = int(Side.SELL)
_WIDER = 8
FIRST_UNITS = 64
"""So many units are looked for at first; each time they are all found, so many times more."""
PRICE_UNITS: tuple[int, ...] = tuple(
    10 ** (WIRE_PRICE_SCALE - decimals) for decimals in range(WIRE_PRICE_SCALE + 1)
)
"""How many 1e-9 a price unit is, by an instrument's price decimals."""


class LegAsk(msgspec.Struct, frozen=True, gc=False):
    """One leg of what is asked for: `ratio` whole units of its instrument for each unit.

    `bound` is the worst price it may trade at, 0 none. A unit must be whole lots.
    """

    market: Market
    side: int
    ratio: int
    bound: int = 0
    multiplier: int = 1

    @property
    def lots(self) -> int:
        """The lots of this leg in one unit."""
        lots: int = self.ratio * QTY_UNIT // self.market.instrument.lot
        return lots

    @property
    def sign(self) -> int:
        """1 where the leg is paid for, -1 where it brings something in."""
        return 1 if self.side == _BUY else -1

    @property
    def weight(self) -> int:
        """What a lot costs for each unit of its price, in 1e-17 USD; negative is received."""
        lot: int = self.market.instrument.lot
        return self.sign * self.multiplier * self.price_units * lot

    @property
    def price_units(self) -> int:
        """How many 1e-9 a unit of its instrument's prices is."""
        return PRICE_UNITS[self.market.instrument.price_decimals]


class StrategyPlan(msgspec.Struct, frozen=True, gc=False):
    """What an execution would do: so many units, and for each leg the orders it would meet."""

    units: int
    legs: tuple[tuple[Meeting, ...], ...] = ()


NOTHING = StrategyPlan(0)
"""Not one unit trades."""


class Run(NamedTuple):
    """Lots that stand at one price of a leg's book."""

    price: int
    lots: int


class Segment(NamedTuple):
    """Units that cost the same one after the other: how many, and what each leg costs in one.

    A leg's cost is the sum of price times lots.
    """

    units: int
    costs: Sequence[int]


class Touch(NamedTuple):
    """The legs where their books begin: the lots of each in a unit, what one of these adds to the
    net for each unit of its price, the ticks that bound it, and what the first unit costs.
    """

    lots: Sequence[int]
    weights: Sequence[int]
    ticks: Sequence[int]
    costs: Sequence[int]

    def net(self, costs: Sequence[int]) -> int:
        """What a unit costs of which each leg costs so much."""
        net = 0
        for weight, cost in zip(self.weights, costs, strict=True):
            net += weight * cost
        return net


Rows = Sequence[tuple[int, int, int, int]]
"""The orders a leg meets, as its book tells them: kind, sequence, lots, ticks."""


def plan_units(
    legs: Sequence[LegAsk],
    units: int,
    net_limit: int | None,
    constraints: Sequence[Constraint],
    owner: int,
    self_trade: int,
) -> StrategyPlan:
    """The most units, up to those asked for, that trade at once; the books are as they were.

    Each unit's net price is within the limit, and the average prices of this execution are within
    the constraints. A sum over more units is the sum over fewer and over the rest, and so is each
    constraint: what could not trade with the others could not trade after them either. In front of
    an order of its own owner the plan stops.
    """
    ceiling = None if net_limit is None else _ceiling(legs, net_limit)
    found = _found(legs, units, ceiling, owner, self_trade)
    if found is None:
        return NOTHING
    reached = found.units
    if constraints and reached:
        reached = most_within(found.segments, planes_of(legs, constraints))
    return _planned(legs, found, reached)


def plan_leg(
    leg: LegAsk,
    units: int,
    planes: Sequence[Plane],
    before: Before,
    owner: int,
    self_trade: int,
) -> StrategyPlan:
    """The most units of one leg alone, up to those asked for, that trade at once.

    Together with those `before` they are within the planes.
    """
    found = _found((leg,), units, None, owner, self_trade)
    if found is None:
        return NOTHING
    reached = found.units
    if planes and reached:
        reached = most_within(found.segments, planes, before)
    return _planned((leg,), found, reached)


class Found(NamedTuple):
    """What legs meet in their books, and the units that this is."""

    touch: Touch
    sides: Sequence[Rows]
    segments: Sequence[Segment]

    @property
    def units(self) -> int:
        """How many units it is."""
        return sum([each.units for each in self.segments])


def _found(
    legs: Sequence[LegAsk], units: int, ceiling: int | None, owner: int, self_trade: int
) -> Found | None:
    """The units that the books hold, up to those asked for; None when it is not even one."""
    touch = _touch(legs)
    # No unit costs less than the first one does where the books begin.
    if touch is None or (ceiling is not None and touch.net(touch.costs) > ceiling):
        return None
    units = min(units, *[MAX_LOTS // lots for lots in touch.lots])
    prevention = STP_CANCEL_NEWEST if self_trade else STP_NONE
    asked = units if units < FIRST_UNITS else FIRST_UNITS
    while True:
        sides = []
        for leg, lots, ticks in zip(legs, touch.lots, touch.ticks, strict=True):
            rows, _, _ = leg.market.book.plan(leg.side, ticks, lots * asked, owner, prevention)
            if not rows:
                return None
            sides.append(rows)
        found = Found(touch, sides, _segments(legs, touch, sides, asked, ceiling))
        if asked == units or found.units < asked:
            return found
        asked = min(asked * _WIDER, units)


def _planned(legs: Sequence[LegAsk], found: Found, units: int) -> StrategyPlan:
    """So many of the units found."""
    if not units:
        return NOTHING
    met = [
        _met(leg, rows, units * lots)
        for leg, rows, lots in zip(legs, found.sides, found.touch.lots, strict=True)
    ]
    return StrategyPlan(units, tuple(met))


def _touch(legs: Sequence[LegAsk]) -> Touch | None:
    """Where the legs' books begin; None when one has nobody up to its leg's bound."""
    counts, weights, limits, costs = [], [], [], []
    for leg in legs:
        market, bound = leg.market, leg.bound
        terms = market.instrument
        tick, lot = terms.tick, terms.lot
        lots = leg.ratio * QTY_UNIT // lot
        weight = leg.multiplier * lot * PRICE_UNITS[terms.price_decimals]
        if leg.side == _BUY:
            best = market.book.best(_SELL)
            ticks = bound // tick if bound else MAX_TICKS
            beyond = best > ticks
        else:
            best = market.book.best(_BUY)
            ticks = -(-bound // tick) or 1
            beyond = best < ticks
            weight = -weight
        if not best or beyond:
            return None
        counts.append(lots)
        weights.append(weight)
        limits.append(ticks)
        costs.append(best * tick * lots)
    return Touch(counts, weights, limits, costs)


def _ceiling(legs: Sequence[LegAsk], net_limit: int) -> int:
    """The limit as weighted costs are: for all units of the underlying that a contract is for."""
    largest: int = max([leg.multiplier for leg in legs])
    return net_limit * largest * int(QTY_UNIT)


def _segments(
    legs: Sequence[LegAsk], touch: Touch, sides: Sequence[Rows], asked: int, ceiling: int | None
) -> list[Segment]:
    """The units that so many orders hold, up to the first that costs more than the limit."""
    for rows, lots in zip(sides, touch.lots, strict=True):
        first = rows[0]
        if first[3] != rows[-1][3] or (
            first[2] < lots * asked and sum([row[2] for row in rows]) < lots * asked
        ):
            break
    else:
        # All of it is where the books begin, as most of what trades is.
        return [Segment(asked, touch.costs)]
    ticks = [leg.market.instrument.tick for leg in legs]
    runs = [_runs(rows, tick) for rows, tick in zip(sides, ticks, strict=True)]
    found = []
    for segment in _alike(runs, touch.lots):
        if ceiling is not None and touch.net(segment.costs) > ceiling:
            break
        found.append(segment)
    return found


def _runs(rows: Rows, tick: int) -> list[Run]:
    """The levels of what is met, best first."""
    runs: list[Run] = []
    price, lots = rows[0][3], 0
    for _, _, standing, at in rows:
        if at != price:
            runs.append(Run(price * tick, lots))
            price, lots = at, 0
        lots += standing
    runs.append(Run(price * tick, lots))
    return runs


def _alike(sides: Sequence[Sequence[Run]], counts: Sequence[int]) -> Iterator[Segment]:
    """All units that the legs' levels hold, those alike together.

    A unit that does not end on the level it began on is a segment of its own.
    """
    legs = range(len(counts))
    at = [0] * len(counts)
    left = [runs[0].lots for runs in sides]
    while True:
        alike = min([left[leg] // counts[leg] for leg in legs])
        if alike:
            yield Segment(alike, [sides[leg][at[leg]].price * counts[leg] for leg in legs])
        costs = []
        for leg in legs:
            left[leg] -= alike * counts[leg]
            wanted, cost, runs = counts[leg], 0, sides[leg]
            while wanted:
                if not left[leg]:
                    at[leg] += 1
                    if at[leg] == len(runs):
                        return
                    left[leg] = runs[at[leg]].lots
                took = min(wanted, left[leg])
                cost += took * runs[at[leg]].price
                left[leg] -= took
                wanted -= took
            costs.append(cost)
        yield Segment(1, costs)


def _met(leg: LegAsk, rows: Rows, lots: int) -> tuple[Meeting, ...]:
    """The orders that a leg's first so many lots meet."""
    terms = leg.market.instrument
    lot, tick = terms.lot, terms.tick
    met = []
    for _, key, standing, ticks in rows:
        took = standing if standing < lots else lots
        met.append(Meeting(key, took * lot, ticks * tick, True))
        lots -= took
        if not lots:
            break
    return tuple(met)
