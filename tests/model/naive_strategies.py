"""Books and multi-leg orders written for the eye: unit by unit, in dollars, every price tried.

Where two multi-leg orders may meet it is told by the venue whether they did and at which prices,
and judges that: no arithmetic of the venue is asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import product
from math import floor

from tests.model.naive_strategy import NaiveLeg, Offered, Rule, Took, most_units, net_of, taken

BUY, SELL = 1, 2
Legs = tuple[tuple[str, int, int], ...]


@dataclass(eq=False)
class NaiveOrder:
    """An order of one instrument that rests; `number` is its place in the queue."""

    number: int
    owner: int
    symbol: str
    side: int
    price: Fraction
    left: Fraction


@dataclass(eq=False)
class NaiveParent:
    """A multi-leg order: units, and what one may cost; None is anything."""

    number: int
    owner: int
    legs: Legs
    net: Fraction | None
    left: int
    rules: tuple[Rule, ...] = ()
    filled: int = 0
    cost: Fraction = Fraction(0)

    @property
    def strategy(self) -> frozenset[tuple[str, int, int]]:
        """What is traded as one."""
        return frozenset(self.legs)

    @property
    def wanted(self) -> frozenset[tuple[str, int, int]]:
        """What the other side of it is."""
        return frozenset((symbol, BUY + SELL - side, ratio) for symbol, side, ratio in self.legs)

    @property
    def place(self) -> tuple[Fraction, int]:
        """Where it stands among those that want the same."""
        assert self.net is not None
        return -self.net, self.number


@dataclass(eq=False)
class Met:
    """Two multi-leg orders that the venue says have met, who came first, and the legs' prices."""

    comes: NaiveParent
    rests: NaiveParent
    prices: dict[str, Fraction]


@dataclass(eq=False)
class NaiveStrategies:
    """Instruments with their resting orders, and the multi-leg orders that rest on them."""

    multipliers: Mapping[str, int]
    tick: Fraction
    numbers: int = 0
    halted: set[str] = field(default_factory=set)
    orders: list[NaiveOrder] = field(default_factory=list)
    parents: list[NaiveParent] = field(default_factory=list)
    met: list[Met] = field(default_factory=list)
    _touched: list[str] = field(default_factory=list)
    _before: int = 0

    # What is asked for

    def begin(self, met: list[Met]) -> None:
        """A command begins; these have met in it, one after the other."""
        self.met = met
        self._before = self.numbers

    def order(
        self, owner: int, symbol: str, side: int, qty: int, price: int, *, rests: bool
    ) -> NaiveOrder | None:
        """An order comes, trades with who stands there, and what is left rests if it may."""
        self.numbers += 1
        order = NaiveOrder(self.numbers, owner, symbol, side, Fraction(price), Fraction(qty))
        self._touch(symbol)
        for other in self.book(symbol, BUY + SELL - side):
            beyond = other.price > order.price if side == BUY else other.price < order.price
            if beyond or not order.left:
                break
            if other.owner == owner:
                order.left, rests = Fraction(0), False
                break
            self._take(other, min(order.left, other.left), order)
        if order.left and rests:
            self.orders.append(order)
        self.settle()
        return order if order in self.orders else None

    def strategy(self, parent: NaiveParent, *, rests: bool, whole: bool = False) -> None:
        """A multi-leg order comes, takes what is within its net price, and rests if it may; one
        that trades whole or not at all takes opposite orders first.
        """
        self.numbers += 1
        parent.number = self.numbers
        self.numbers += len(parent.legs) - 1
        self._come(parent, rests=rests, whole=whole)

    def killed(self, legs: Legs) -> None:
        """A multi-leg order came and went without a trade."""
        self.numbers += len(legs)

    def replace(self, parent: NaiveParent, left: int, net: Fraction) -> None:
        """Other terms: it keeps its place only with fewer units at the same price."""
        if net != parent.net or left > parent.left:
            self.numbers += 1
            parent.number = self.numbers
            self.numbers += len(parent.legs) - 1
        parent.left, parent.net = left, net
        self.parents.remove(parent)
        self._come(parent, rests=True)

    def cancel_order(self, order: NaiveOrder) -> None:
        """It goes."""
        self.orders.remove(order)
        self._touch(order.symbol)
        self.settle()

    def cancel_strategy(self, parent: NaiveParent) -> None:
        """It goes, with all its legs."""
        self.parents.remove(parent)
        for symbol, _, _ in parent.legs:
            self._touch(symbol)
        self.settle()

    def halt(self, symbol: str) -> None:
        """It does not trade any more."""
        self.halted.add(symbol)

    def resume(self, symbol: str) -> None:
        """It trades on."""
        self.halted.discard(symbol)
        self._touch(symbol)
        self.settle()

    # What stands there

    def book(self, symbol: str, side: int) -> list[NaiveOrder]:
        """A side of a book, who trades first first."""
        found = [one for one in self.orders if (one.symbol, one.side) == (symbol, side)]
        way = -1 if side == BUY else 1
        return sorted(found, key=lambda one: (way * one.price, one.number))

    def most(self, parent: NaiveParent, limit: Fraction | None) -> tuple[int, list[list[Took]]]:
        """How many units the books give within a net price, and from whom."""
        legs = self._naive_legs(parent)
        return most_units(legs, parent.left, limit, parent.rules, parent.owner)

    def may_trade(self, parent: NaiveParent) -> bool:
        """Whether all its legs trade."""
        return not self.halted & {symbol for symbol, _, _ in parent.legs}

    def _naive_legs(self, parent: NaiveParent) -> list[NaiveLeg]:
        return [
            NaiveLeg(
                side,
                ratio,
                self.multipliers[symbol],
                None,
                [
                    Offered(one.number, one.left, one.price, one.owner)
                    for one in self.book(symbol, BUY + SELL - side)
                ],
            )
            for symbol, side, ratio in parent.legs
        ]

    # What happens

    def _come(self, parent: NaiveParent, *, rests: bool, whole: bool = False) -> None:
        self.parents.append(parent)
        for symbol, _, _ in parent.legs:
            self._touch(symbol)
        if whole:
            self._take_whole(parent)
        elif self.may_trade(parent):
            self._take_all(parent)
        if not rests and parent in self.parents:
            self.parents.remove(parent)
        self.settle()

    def _touch(self, symbol: str) -> None:
        legs = {name for parent in self.parents for name, _, _ in parent.legs}
        if symbol in legs and symbol not in self._touched:
            self._touched.append(symbol)

    def settle(self) -> None:
        """Let those that rest on what was touched look again, until nothing is."""
        while self._touched:
            symbol = self._touched.pop(0)
            for parent in self._resting_on(symbol):
                if parent in self.parents and self.may_trade(parent):
                    self._take_all(parent)
        assert [] == self.met, "two met that should not"

    def _resting_on(self, symbol: str) -> list[NaiveParent]:
        """Strategy by strategy, that of the oldest first one first."""
        by_strategy: dict[frozenset[tuple[str, int, int]], list[NaiveParent]] = {}
        for parent in sorted(
            (one for one in self.parents if one.net is not None), key=lambda one: one.place
        ):
            if symbol in {name for name, _, _ in parent.legs}:
                by_strategy.setdefault(parent.strategy, []).append(parent)
        found = sorted(by_strategy.values(), key=lambda row: row[0].number)
        return [parent for row in found for parent in row]

    def _take_all(self, parent: NaiveParent) -> None:
        """The better of books and opposite orders, books first, until neither will do."""
        passed: list[NaiveParent] = []
        while parent.left:
            other = self._opposite(parent, passed)
            limit = parent.net if other is None else other.place[0]
            if self._take_books(parent, limit):
                continue
            if other is None:
                return
            if not self._meet(parent, other):
                passed.append(other)

    def _take_whole(self, parent: NaiveParent) -> None:
        """Opposite orders first, where any are met at all, and then the books."""
        passed: list[NaiveParent] = []
        while self.met and (other := self._opposite(parent, passed)) is not None:
            if not parent.left or not self._meet(parent, other):
                passed.append(other)
        if parent.left:
            self._take_books(parent, parent.net)

    def _opposite(self, parent: NaiveParent, passed: Iterable[NaiveParent]) -> NaiveParent | None:
        """The best opposite order of somebody else's that came before it, within its net price."""
        found = [
            one
            for one in self.parents
            if one.net is not None
            and one.strategy == parent.wanted
            and one.owner != parent.owner
            and one.number < parent.number
            and one not in passed
            and (parent.net is None or -one.net <= parent.net)
        ]
        return min(found, key=lambda one: one.place, default=None)

    def _take_books(self, parent: NaiveParent, limit: Fraction | None) -> bool:
        units, took = self.most(parent, limit)
        if not units:
            return False
        better = self._improvement(parent, units, took)
        cost = Fraction(0)
        for (symbol, side, _), rows in zip(parent.legs, took, strict=True):
            sign = 1 if side == BUY else -1
            for number, qty, price in rows:
                other = next(one for one in self.orders if one.number == number)
                more = better.get(symbol, Fraction(0)) if number > self._before else Fraction(0)
                cost += sign * qty * (price + more) * self.multipliers[symbol]
                self._take(other, qty)
        self._executed(parent, units, cost)
        return True

    def _improvement(
        self, parent: NaiveParent, units: int, took: list[list[Took]]
    ) -> dict[str, Fraction]:
        """By how much the price of an order that came in this command is better for it."""
        if parent.rules or parent.number > self._before or parent.net is None:
            return {}
        legs = self._naive_legs(parent)
        last = [taken(leg.offered, (units - 1) * leg.ratio, leg.ratio) for leg in legs]
        prices = []
        for leg, rows in zip(legs, last, strict=True):
            assert rows is not None
            prices.append(sum((qty * price for _, qty, price in rows), Fraction(0)) / leg.ratio)
        left = parent.net - net_of(legs, prices)
        for (symbol, side, ratio), rows in zip(parent.legs, took, strict=True):
            if any(number > self._before for number, _, _ in rows):
                by_tick = ratio * self.tick * self.multipliers[symbol] / self._largest(parent)
                more = floor(left / by_tick) * self.tick
                return {symbol: more if side == BUY else -more}
        return {}

    def _meet(self, parent: NaiveParent, other: NaiveParent) -> bool:
        """Whether two meet; the venue says so, and must have had no choice."""
        assert other.net is not None
        net = -other.net
        told = self.met[0] if self.met else None
        if told is None or told.comes is not parent or told.rests is not other:
            free = not parent.rules and not other.rules
            assert not (free and self._some_prices(parent, net)), "two should have met"
            return False
        self.met.pop(0)
        prices = [told.prices[symbol] for symbol, _, _ in parent.legs]
        assert net == net_of(self._naive_legs(parent), prices)
        for symbol, price in told.prices.items():
            low, high = self._between(symbol)
            assert low <= price <= high, "a leg went past who stands there"
        theirs = [told.prices[symbol] for symbol, _, _ in other.legs]
        assert all(rule.holds(prices) for rule in parent.rules)
        assert all(rule.holds(theirs) for rule in other.rules)
        units = min(parent.left, other.left)
        cost = net * units * self._largest(parent)
        self._executed(parent, units, cost)
        self._executed(other, units, -cost)
        return True

    def _largest(self, parent: NaiveParent) -> int:
        """What a net price is for: so many units of the underlying."""
        return max(self.multipliers[symbol] for symbol, _, _ in parent.legs)

    def _between(self, symbol: str) -> tuple[Fraction, Fraction]:
        bids, offers = self.book(symbol, BUY), self.book(symbol, SELL)
        return (
            bids[0].price if bids else self.tick,
            offers[0].price if offers else Fraction(10_000),
        )

    def _some_prices(self, parent: NaiveParent, net: Fraction) -> bool:
        """Whether any prices between bids and offers make a net; wide books are not tried whole."""
        spans = []
        for symbol, _, _ in parent.legs:
            low, high = self._between(symbol)
            low, high = max(low, Fraction(88)), min(high, Fraction(112))
            ticks = floor((high - low) / self.tick)
            spans.append([low + n * self.tick for n in range(ticks + 1)])
        legs = self._naive_legs(parent)
        return any(net == net_of(legs, prices) for prices in product(*spans))

    def _take(self, other: NaiveOrder, qty: Fraction, order: NaiveOrder | None = None) -> None:
        other.left -= qty
        if order is not None:
            order.left -= qty
        if not other.left:
            self.orders.remove(other)
        self._touch(other.symbol)

    def _executed(self, parent: NaiveParent, units: int, cost: Fraction) -> None:
        parent.left -= units
        parent.filled += units
        parent.cost += cost
        for symbol, _, _ in parent.legs:
            self._touch(symbol)
        if not parent.left:
            self.parents.remove(parent)
