"""What the options of one underlying bind, together with the shares that they are for.

Exact and pure. A requirement is beyond value: equity holds the options at their marks already,
longs added and shorts taken off, so a long option binds all that it is worth, and a credit
spread its width less what it costs to close.

Every short option is covered in the way that asks least, and parts of a position may be covered
in different ways: by itself (a rate of the underlying less what it is out of the money), as half
of a straddle or strangle (the larger of both sides), by shares, or in a group that is margined by
its largest payout at expiry: verticals, butterflies, condors, and whatever else is bounded. A
group has the shorts of one expiry, and longs that live as long: those that live longer count at
intrinsic value, as of a calendar. What asks least in all is a small linear programme.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from itertools import chain
from math import gcd
from typing import NamedTuple

from domain.linear_program import Most, Row, most
from domain.money import QTY_SCALE, USD_SCALE, WIRE_PRICE_SCALE
from domain.terms import Right

MOST_TOGETHER = 12
"""So many options of one underlying are looked at together. Of more, those of each expiry are by
themselves: each short alone, its calls, its puts or all of them as one group, as asks least.
"""
_CALL = int(Right.CALL)
_WHOLE = 10_000
_CENT: int = _WHOLE * 10 ** (WIRE_PRICE_SCALE + QTY_SCALE - USD_SCALE)
"""Rates times prices times quantities in a cent."""
_REMEMBERED = 4_096
# A third of what the named constructor takes.
_new = tuple.__new__


class OptionHolding(NamedTuple):
    """A position in an option as margin sees it, `qty` below 0 when it is short.

    `strike` has the places of a wire price, `mark` those of `price_decimals`.
    """

    right: int
    strike: int
    expiry: int
    qty: int
    mark: int
    price_decimals: int
    multiplier: int


class StockHolding(NamedTuple):
    """A position in the underlying itself; rates in basis points."""

    qty: int
    mark: int
    price_decimals: int
    initial_bps: int
    maintenance_bps: int


class Requirement(NamedTuple):
    """Cents, rounded up; never negative."""

    initial: int
    maintenance: int


class Rates(NamedTuple):
    """What a short option by itself binds of the underlying, and at the least, in basis points."""

    of_underlying: int
    least: int


LISTED = Rates(2_000, 1_000)
"""An equity option, by CBOE Rule 10.3 and FINRA Rule 4210(f)(2)."""
UNLEVERED = Rates(_WHOLE, _WHOLE)
"""Of an account that opens with its own money alone: the strike of a put, all of the underlying
of a call.
"""
PROTECTED = 1_000
"""What a protected share binds at the least, of the strike that protects it (FINRA)."""


class Bound(NamedTuple):
    """What a requirement is reckoned from. `underlying` is the mark of what the options are for,
    of a wire price's places (where it has none the strikes stand for it), `shares` what is held
    of it; `protects` says whether longs may lower what shares bind, `apart` what is bound besides,
    prices times quantities times basis points.
    """

    underlying: int
    options: tuple[OptionHolding, ...]
    rates: Rates
    shares: int = 0
    share_bps: int = 0
    protects: bool = False
    apart: int = 0


def requirement_of(
    underlying: int,
    stock: StockHolding | None,
    options: tuple[OptionHolding, ...],
    opening: Rates = LISTED,
) -> Requirement:
    """What an account's options of one underlying bind, and its shares of it with them; `opening`
    are the rates of the initial requirement.
    """
    if stock is None or not stock.qty:
        initial = required(Bound(underlying, options, opening))
        return Requirement(initial, required(Bound(underlying, options, LISTED)))
    shares, first, then = stock.qty, stock.initial_bps, stock.maintenance_bps
    return Requirement(
        required(Bound(underlying, options, opening, shares, first)),
        required(Bound(underlying, options, LISTED, shares, then, protects=True)),
    )


def required(bound: Bound) -> int:
    """The cents that it binds: what all does by itself, less the most that covers save.

    What all quantities share is divided out: every size of one strategy is reckoned once.
    """
    options, shares, apart = bound.options, bound.shares, bound.apart
    size = gcd(shares, *(one.qty for one in options))
    if not size:
        return max(0, -(-apart // _CENT))
    if size > 1:
        options = tuple(
            _new(OptionHolding, (right, strike, expiry, qty // size, *priced))
            for right, strike, expiry, qty, *priced in options
        )
    underlying, _, rates, _, share_bps, protects, _ = bound
    least = (underlying, options, rates, shares // size, share_bps, protects, 0)
    reckoned = _reckoned(_new(Bound, least))
    above = reckoned.above * size + apart * reckoned.below
    return max(0, -(-above // (reckoned.below * _CENT)))


@lru_cache(_REMEMBERED)
def _reckoned(bound: Bound) -> Most:
    """What it binds, exactly, in prices times quantities times basis points."""
    pool = _Pool(bound)
    if len(pool.options) > MOST_TOGETHER:
        saved = pool.saved_by_expiry()
    else:
        saved = pool.saved_at_one_price() or _Plan(pool).saved()
    return Most(pool.alone * saved.below - saved.above, saved.below)


def worst_loss(stock: StockHolding | None, options: Iterable[OptionHolding]) -> int | None:
    """The largest loss from the present marks at the options' expiry, in cents, rounded up; None
    where it has no bound. Exact: a payout bends at strikes alone.
    """
    held = [_unit_of(one) for one in options if one.qty]
    value = sum(one.units * one.mark for one in held)
    if stock is not None:
        # A share is a call that is struck at nothing.
        mark = stock.mark * 10 ** (WIRE_PRICE_SCALE - stock.price_decimals)
        held.append(_Option(_CALL, 0, 0, stock.qty, mark))
        value += stock.qty * mark
    paid_out = _largest_payout(held)
    if paid_out is None:
        return None
    return max(0, -(-(value + paid_out) * _WHOLE // _CENT))


class _Option(NamedTuple):
    """An option by the unit of the underlying; prices have the places of a wire price."""

    right: int
    strike: int
    expiry: int
    units: int
    mark: int

    def pays(self, price: int) -> int:
        """What a unit pays at expiry."""
        inside = price - self.strike if self.right == _CALL else self.strike - price
        return inside if inside > 0 else 0

    def alone(self, underlying: int, rates: Rates) -> int:
        """What a short unit binds by itself beyond its value: prices times basis points."""
        strike = self.strike
        price = underlying or strike
        out = strike - price if self.right == _CALL else price - strike
        asked = rates.of_underlying * price - (_WHOLE * out if out > 0 else 0)
        least = rates.least * (price if self.right == _CALL else strike)
        return asked if asked > least else least


class _Pool:
    """The options of one underlying and the shares, and what each binds by itself."""

    def __init__(self, bound: Bound) -> None:
        self.bound = bound
        self.underlying, self.shares = bound.underlying, abs(bound.shares)
        self.options = [_unit_of(one) for one in bound.options if one.qty]
        self.shorts = [one for one in self.options if one.units < 0]
        self.longs = [one for one in self.options if one.units > 0]
        self.single = [one.alone(bound.underlying, bound.rates) for one in self.shorts]
        """What a unit of each short binds beyond its value."""
        self.whole = [
            single + _WHOLE * one.mark for single, one in zip(self.single, self.shorts, strict=True)
        ]
        """The same with what it costs to close."""
        paid = sum(one.units * one.mark for one in self.longs)
        rest = sum(
            -one.units * single for one, single in zip(self.shorts, self.single, strict=True)
        )
        self.alone = paid * _WHOLE + rest + bound.share_bps * self.underlying * self.shares
        self.alone += bound.apart

    def saved_at_one_price(self) -> Most | None:
        """What is saved where all that lasts as one group asks least; None where that cannot be
        told without looking at every cover.

        It is told by one price at which every short pays what it pays in the group, and neither a
        short alone nor two that are a straddle ask for less than they pay there: no cover, nor any
        mixture, asks for less than what is paid out at one price.
        """
        expiries = {one.expiry for one in self.shorts}
        if len(expiries) != 1 or self.shares:
            return None
        expiry = expiries.pop()
        if all(one.expiry < expiry for one in self.longs):
            return None
        group = [one for one in self.options if one.units < 0 or one.expiry >= expiry]
        bends = _payouts(group)
        if bends is None:
            return None
        price, paid_out = max(bends, key=lambda bend: bend[1])
        if paid_out > 0:
            pays = [one.pays(price) * _WHOLE for one in self.shorts]
            for number, (short, pay) in enumerate(zip(self.shorts, pays, strict=True)):
                if pay > self.whole[number]:
                    return None
                for other in range(number):
                    if self.shorts[other].right != short.right:
                        single = min(self.single[number], self.single[other])
                        both = self.whole[number] + self.whole[other] - single
                        if pay + pays[other] > both:
                            return None
        alone = sum(-one.units * whole for one, whole in zip(self.shorts, self.whole, strict=True))
        return Most(alone - _WHOLE * max(0, paid_out), 1)

    def saved_by_expiry(self) -> Most:
        """What is saved where there are too many to look at all covers: of each expiry, what asks
        least of the shorts by themselves, the calls or the puts as one group, and all as one.
        """
        saved = 0
        for expiry in {one.expiry for one in self.shorts}:
            calls = self._saved_as_one(expiry, calls=True)
            puts = self._saved_as_one(expiry, calls=False)
            saved += max(calls + puts, self._saved_as_one(expiry))
        return Most(saved, 1)

    def _saved_as_one(self, expiry: int, calls: bool | None = None) -> int:
        """What one group saves, of all options of an expiry or of one right."""
        group = [
            one
            for one in self.options
            if one.expiry == expiry and (calls is None or (one.right == _CALL) is calls)
        ]
        paid_out = _largest_payout(group)
        if paid_out is None:
            return 0
        alone = sum(
            -one.units * whole
            for one, whole in zip(self.shorts, self.whole, strict=True)
            if one.expiry == expiry and (calls is None or (one.right == _CALL) is calls)
        )
        return max(0, alone - _WHOLE * max(0, paid_out))


class _Plan:
    """The programme: how much of what is covered by what, and what that saves.

    Rows 0 and on bound what there is: of each short, of each long, and of shares. Then follow,
    for each expiry of shorts, what its group pays at each kink, and how that ends.
    """

    def __init__(self, pool: _Pool) -> None:
        self._pool = pool
        self._gains: list[int] = []
        self._rows = [Row({}, abs(one.units)) for one in chain(pool.shorts, pool.longs)]
        self._first_long = len(pool.shorts)
        self._of_shares = len(self._rows)
        self._rows.append(Row({}, pool.shares))
        self._pair_straddles()
        if pool.shares:
            self._cover_by_shares()
            if pool.bound.protects:
                self._protect_shares()
        if pool.longs:
            for expiry in sorted({one.expiry for one in pool.shorts}):
                self._group(expiry)

    def saved(self) -> Most:
        """What the best cover saves of what everything binds alone."""
        if not self._gains:
            return Most(0, 1)
        # Small numbers are faster: what all share is multiplied in again at the end.
        each = gcd(*self._gains)
        unit = gcd(*(row.limit for row in self._rows))
        rows = [Row(row.coefficients, row.limit // unit) for row in self._rows]
        found = most([gain // each for gain in self._gains], rows)
        return Most(found.above * each * unit, found.below)

    def _add(self, gain: int, *rows: int) -> int:
        """A variable that takes one unit of each of these rows."""
        number = len(self._gains)
        self._gains.append(gain)
        for row in rows:
            self._rows[row].coefficients[number] = 1
        return number

    def _pair_straddles(self) -> None:
        """A short call and a short put bind the larger of what both do."""
        shorts, single = self._pool.shorts, self._pool.single
        for call, short in enumerate(shorts):
            if short.right == _CALL:
                for put, other in enumerate(shorts):
                    if other.right != _CALL:
                        self._add(min(single[call], single[put]), call, put)

    def _cover_by_shares(self) -> None:
        """A short call on shares that are held binds nothing but that they are worth no more than
        the strike; a short put on shares that are owed, what it is in the money.
        """
        pool = self._pool
        long = pool.bound.shares > 0
        part = max(0, _WHOLE - pool.bound.share_bps) if long else _WHOLE
        for number, short in enumerate(pool.shorts):
            if (short.right == _CALL) is long:
                gain = pool.whole[number] - part * short.pays(pool.underlying)
                if gain > 0:
                    self._add(gain, number, self._of_shares)

    def _protect_shares(self) -> None:
        """A long put on shares that are held, or a call on those that are owed, bounds what they
        can lose: a tenth of the strike and what it is out of the money.
        """
        pool = self._pool
        long, price = pool.bound.shares > 0, pool.underlying
        for number, option in enumerate(pool.longs, self._first_long):
            if (option.right != _CALL) is long:
                out = price - option.strike if long else option.strike - price
                least = PROTECTED * option.strike + _WHOLE * max(0, out)
                gain = pool.bound.share_bps * price - least
                if gain > 0:
                    self._add(gain, number, self._of_shares)

    def _group(self, expiry: int) -> None:
        """Shorts of one expiry and longs that live as long, at their largest payout."""
        pool = self._pool
        members = []
        for number, short in enumerate(pool.shorts):
            if short.expiry == expiry:
                members.append((self._add(pool.whole[number], number), short, 1))
        owed = len(members)
        for number, long in enumerate(pool.longs, self._first_long):
            if long.expiry >= expiry:
                members.append((self._add(0, number), long, -1))
        if len(members) == owed:
            self._forget(owed)
            return
        unit = gcd(*(one.strike for _, one, _ in members))
        largest = self._add(-_WHOLE * unit)
        for price in sorted({0, *(one.strike for _, one, _ in members)}):
            pays = {number: sign * one.pays(price) // unit for number, one, sign in members}
            if any(value > 0 for value in pays.values()):
                self._rows.append(Row({**pays, largest: -1}, 0))
        slope = {number: sign for number, one, sign in members if one.right == _CALL}
        self._rows.append(Row(slope, 0))

    def _forget(self, last: int) -> None:
        """Take back the newest variables: nothing covers them."""
        for _ in range(last):
            self._gains.pop()
            for row in self._rows:
                row.coefficients.pop(len(self._gains), None)


def _unit_of(one: OptionHolding) -> _Option:
    units = one.qty * one.multiplier
    mark = one.mark * 10 ** (WIRE_PRICE_SCALE - one.price_decimals)
    return _Option(one.right, one.strike, one.expiry, units, mark)


def _largest_payout(options: Iterable[_Option]) -> int | None:
    """The most that a group pays out at expiry, below 0 where it never does; None without a
    bound.
    """
    bends = _payouts(options)
    return None if bends is None else max(paid for _, paid in bends)


def _payouts(options: Iterable[_Option]) -> list[tuple[int, int]] | None:
    """The prices at which a group's payout bends, and what it pays out there; None where it grows
    without a bound.
    """
    paid = slope = 0
    at: dict[int, int] = {}
    for one in options:
        at[one.strike] = at.get(one.strike, 0) - one.units
        if one.right != _CALL:
            paid -= one.units * one.strike
            slope += one.units
    bends, last = [(0, paid)], 0
    for strike in sorted(at):
        paid += slope * (strike - last)
        slope += at[strike]
        bends.append((strike, paid))
        last = strike
    return None if slope > 0 else bends
