"""Value at risk: what a portfolio may lose in some days, exceeded at a known rate, in Decimal.

Both methods value today's holdings at the returns of past days. *Parametric* takes what they
would have gained as normal with an expectation of zero: z times the sample standard deviation
(n - 1). *Historical* is the loss, of n with the worst first, that stands at n times the tail's
share, rounded down and at least the first: the fifth worst of 500 at 99 %. Both grow with the
square root of the days, and neither is below zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal, localcontext
from itertools import pairwise

from domain.money import EXACT

Z_SCORES = {
    95: Decimal("1.64485362695147271486384890799163213608319574427532"),
    99: Decimal("2.32634787404084110088560616334691172335181714153201"),
}
"""Quantiles of the standard normal distribution by confidence in per cent, to 50 places."""

CONFIDENCES = tuple(Z_SCORES)
LEAST_OBSERVATIONS = 2

Series = Sequence[Decimal]


def returns_of(prices: Series) -> list[Decimal]:
    """The relative change from each price to the next, oldest first."""
    with localcontext(EXACT):
        return [after / before - 1 for before, after in pairwise(prices)]


def profits(values: Series, returns: Sequence[Series]) -> list[Decimal]:
    """What holdings of these values would have gained on each day of the past."""
    with localcontext(EXACT):
        return [
            sum((value * change for value, change in zip(values, day, strict=True)), Decimal())
            for day in zip(*returns, strict=True)
        ]


def parametric(gains: Series, confidence: int, days: int = 1) -> Decimal:
    """The value at risk by covariances, of holdings that would have gained this on past days.

    The sample variance of their gains is the sum of the covariances of all pairs of holdings,
    each times both values: what moves together adds up, what offsets each other does not.
    """
    count = len(gains)
    assert count >= LEAST_OBSERVATIONS
    with localcontext(EXACT):
        mean = sum(gains, Decimal()) / count
        squares = sum(((gain - mean) ** 2 for gain in gains), Decimal())
        return Z_SCORES[confidence] * (squares / (count - 1) * days).sqrt()


def historical(gains: Series, confidence: int, days: int = 1) -> Decimal:
    """The value at risk by the past: the loss that the tail of these gains begins with."""
    assert len(gains) >= LEAST_OBSERVATIONS
    worst_first = sorted(gains)
    tail = max(1, len(gains) * (100 - confidence) // 100)
    with localcontext(EXACT):
        return max(-worst_first[tail - 1], Decimal()) * Decimal(days).sqrt()
