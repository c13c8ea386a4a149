"""Value at risk: what a portfolio may lose in some days, exceeded at a known rate, in Decimal.

*Parametric* takes returns as normal with an expectation of zero: z times the standard deviation
of the portfolio, out of the sample covariances (n - 1). *Historical* values today's positions
at every day's returns: of n losses, the worst first, it is the one at n times the tail's share,
rounded down and at least the first, as in Hull's fifth-worst of 500 at 99 %. Both grow with the
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


def covariance(one: Series, other: Series) -> Decimal:
    """The sample covariance of two series of equal length, two observations at least."""
    assert len(one) == len(other) >= LEAST_OBSERVATIONS
    with localcontext(EXACT):
        mean, other_mean = sum(one, Decimal()) / len(one), sum(other, Decimal()) / len(other)
        products = ((a - mean) * (b - other_mean) for a, b in zip(one, other, strict=True))
        return sum(products, Decimal()) / (len(one) - 1)


def covariances(returns: Sequence[Series]) -> list[list[Decimal]]:
    """The covariance matrix of the returns of some instruments."""
    return [[covariance(one, other) for other in returns] for one in returns]


def parametric(values: Series, matrix: Sequence[Series], confidence: int, days: int = 1) -> Decimal:
    """The value at risk of holdings of these values (short ones negative), by covariances.

    Exposures of opposite signs offset each other as far as they move together.
    """
    with localcontext(EXACT):
        variance = sum(
            (
                value * other * matrix[i][j]
                for i, value in enumerate(values)
                for j, other in enumerate(values)
            ),
            Decimal(),
        )
        # A perfect hedge may come out a last digit below zero.
        return Z_SCORES[confidence] * (max(variance, Decimal()) * days).sqrt()


def profits(values: Series, returns: Sequence[Series]) -> list[Decimal]:
    """What holdings of these values would have gained on each day of the past."""
    with localcontext(EXACT):
        return [
            sum((value * change for value, change in zip(values, day, strict=True)), Decimal())
            for day in zip(*returns, strict=True)
        ]


def historical(gains: Series, confidence: int, days: int = 1) -> Decimal:
    """The value at risk by the past: the loss that the tail of these gains begins with."""
    assert len(gains) >= LEAST_OBSERVATIONS
    worst_first = sorted(gains)
    tail = max(1, len(gains) * (100 - confidence) // 100)
    with localcontext(EXACT):
        return max(-worst_first[tail - 1], Decimal()) * Decimal(days).sqrt()
