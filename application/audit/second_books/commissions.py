"""What trades cost, worked out a second time: in fractions of dollars, rounded only when posted."""

from __future__ import annotations

from fractions import Fraction
from typing import NamedTuple

PER_SHARE, PROPORTIONAL = 1, 2
ADDED = 1
NOTHING = Fraction(0)
_RATE = 10**9
_THOUSANDTH_OF_BPS = 10**7
_SHARE = 10**8


class Rates(NamedTuple):
    """An account's schedule: (month's quantity from which it holds, adding, taking) a tier."""

    kind: int
    tiers: tuple[tuple[int, int, int], ...]
    minimum: int
    cap_bps: int


def told(digits: str) -> Fraction:
    """An exact commission as events write it: digits in 1e-24 dollars."""
    return Fraction(int(digits), 10**24)


def asked(
    rates: Rates, liquidity: int, qty: int, price: int, decimals: int, month_qty: int
) -> Fraction:
    """What one fill costs in dollars: each share pays the rate of the tier in which it falls,
    counted from what the month had before.
    """
    ends = [tier[0] for tier in rates.tiers[1:]] + [month_qty + qty]
    cost = NOTHING
    for (begins, adding, taking), end in zip(rates.tiers, ends, strict=True):
        falls = min(end, month_qty + qty) - max(begins, month_qty)
        if falls > 0:
            rate = adding if liquidity == ADDED else taking
            cost += _charge(rates.kind, rate, falls, price, decimals)
    return cost


def bounded(
    rates: Rates | None, asked_in_all: Fraction, value: Fraction, *, sale: bool
) -> Fraction:
    """An order's commission: no less than the minimum, and then no more than the cap; an
    account that pays nothing any more has neither. What a sale brings bounds it in any case.
    """
    if not value:
        return NOTHING
    cost = asked_in_all
    if rates is not None and rates.minimum:
        cost = max(cost, Fraction(rates.minimum, 100))
    if rates is not None and rates.cap_bps:
        cost = min(cost, value * rates.cap_bps / 10_000)
    return min(cost, value) if sale else cost


def most(rates: Rates | None, qty: int, price: int, decimals: int) -> int:
    """Cents to hold for the commission of an order: its dearest rate, and one cent to round."""
    if rates is None or not qty:
        return 0
    rate = max(0, *(rate for tier in rates.tiers for rate in tier[1:]))
    value = Fraction(price * qty, 10**decimals * _SHARE)
    cost = bounded(rates, _charge(rates.kind, rate, qty, price, decimals), value, sale=False)
    return -(-cost * 100 // 1) + 1


def posted(amount: Fraction) -> int:
    """An exact amount in cents, half to even."""
    return round(amount * 100)


def _charge(kind: int, rate: int, qty: int, price: int, decimals: int) -> Fraction:
    if kind == PER_SHARE:
        return Fraction(rate * qty, _RATE * _SHARE)
    return Fraction(rate * qty * price, _THOUSANDTH_OF_BPS * _SHARE * 10**decimals)
