"""Value at risk: right on published examples, exact in decimals, defined at every edge."""

import ast
import inspect
from decimal import Decimal, FloatOperation, getcontext, localcontext
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import value_at_risk
from domain.money import EXACT, rounded_text
from domain.value_at_risk import (
    CONFIDENCES,
    Z_SCORES,
    historical,
    parametric,
    profits,
    returns_of,
)

MICROSOFT, AT_AND_T = Decimal(10_000_000), Decimal(5_000_000)
TEXTBOOK_Z = Decimal("2.33")
WORST_OF_500 = [
    *(477_841, 345_435, 282_204, 277_041, 253_385),
    *(217_974, 202_256, 201_389, 191_269, 191_050),
    *(185_127, 184_450, 182_707, 180_105, 172_224),
]


def two_series(correlation: str, volatility: str, other: str) -> list[list[Decimal]]:
    """Four days whose sample volatilities and correlation are exactly these."""
    with localcontext(EXACT):
        rho = Decimal(correlation)
        rest = (1 - rho * rho).sqrt()
        unit = Decimal("0.75").sqrt()
        signs = ((1, 1), (1, -1), (-1, 1), (-1, -1))
        return [
            [Decimal(volatility) * unit * x for x, _ in signs],
            [Decimal(other) * unit * (rho * x + rest * y) for x, y in signs],
        ]


def with_textbook_z(amount: Decimal) -> Decimal:
    """A 99 % figure as it is with the book's quantile of two places."""
    with localcontext(EXACT):
        return amount * TEXTBOOK_Z / Z_SCORES[99]


def series(numbers: list[int | str]) -> list[Decimal]:
    """Decimals of some numbers."""
    return [Decimal(number) for number in numbers]


def normal_share_below(z: Decimal) -> Decimal:
    """The standard normal distribution function by its power series, in Decimal alone."""
    with localcontext(EXACT):
        term = total = z
        odd = 1
        while abs(term) > Decimal(10) ** -75:
            odd += 2
            term = term * z * z / odd
            total += term
        pi = Decimal("3.14159265358979323846264338327950288419716939937510582097494459230781640629")
        return Decimal("0.5") + (-z * z / 2).exp() / (2 * pi).sqrt() * total


@pytest.mark.parametrize("confidence", CONFIDENCES)
def test_z_scores_are_the_quantiles_of_the_normal_distribution_in_decimal(confidence):
    """Each constant leaves exactly its tail, to 48 places of an independent series."""
    share = normal_share_below(Z_SCORES[confidence])

    with localcontext(EXACT):
        assert abs(share - Decimal(confidence) / 100) < Decimal(10) ** -48


@pytest.mark.parametrize(
    ("value", "volatility", "expected"),
    [(MICROSOFT, "0.02", "1473621"), (AT_AND_T, "0.01", "368405")],
)
def test_value_at_risk_of_one_stock_is_the_textbooks(value, volatility, expected):
    """Hull, *Options, Futures, and Other Derivatives*, the model-building approach.

    $10 million of Microsoft at 2 % a day, $5 million of AT&T at 1 %: 10-day 99 % value at risk,
    with the book's z of 2.33.
    """
    gains = profits([value], [two_series("0", volatility, "0")[0]])

    assert expected == rounded_text(with_textbook_z(parametric(gains, 99, 10)), 0)


@pytest.mark.parametrize(
    ("correlation", "expected"),
    [("0.3", "1622657"), ("0.7", "1751379"), ("1", "1842027"), ("-1", "1105216")],
)
def test_value_at_risk_of_two_stocks_is_the_textbooks(correlation, expected):
    """Hull's Microsoft and AT&T together: a correlation of 0.3, and of 0.7 in older editions.

    With a correlation of one nothing is diversified, with minus one the difference is left.
    """
    gains = profits([MICROSOFT, AT_AND_T], two_series(correlation, "0.02", "0.01"))

    assert expected == rounded_text(with_textbook_z(parametric(gains, 99, 10)), 0)


def test_exact_quantile_gives_the_later_editions_figure_for_one_stock():
    """With z of 2.326 Hull's Microsoft position has a one-day value at risk of $465,300."""
    gains = profits([MICROSOFT], [two_series("0", "0.02", "0")[0]])

    assert "465269.57" == rounded_text(parametric(gains, 99), 2)
    assert "328970.73" == rounded_text(parametric(gains, 95), 2)


def test_historical_value_at_risk_is_the_fifth_worst_of_500():
    """Hull, *Options, Futures, and Other Derivatives*, the historical simulation of four indices.

    Of 500 scenarios the fifth-worst loss, $253,385, is the one-day 99 % value at risk, and its
    ten-day figure that times the square root of ten, $801,274.
    """
    calm = [Decimal(-100_000) + step * 500 for step in range(485)]
    gains = [*calm, *(-Decimal(loss) for loss in WORST_OF_500)]

    assert "253385.00" == rounded_text(historical(gains, 99), 2)
    assert "801274" == rounded_text(historical(gains, 99, 10), 0)


@pytest.mark.parametrize(
    ("observations", "confidence", "rank"),
    [
        (2, 99, 1),
        (19, 95, 1),
        (20, 95, 1),
        (39, 95, 1),
        (40, 95, 2),
        (99, 99, 1),
        (100, 99, 1),
        (199, 99, 1),
        (200, 99, 2),
        (500, 95, 25),
        (500, 99, 5),
    ],
)
def test_historical_rank_is_the_tails_share_rounded_down_and_at_least_one(
    observations, confidence, rank
):
    """Few observations give the worst loss seen, never one that was not."""
    gains = [Decimal(-loss) for loss in range(1, observations + 1)]

    assert observations + 1 - rank == historical(gains, confidence)


def test_past_without_a_loss_risks_nothing_by_history():
    """Value at risk is a loss: only gains make it zero, not negative."""
    assert Decimal(0) == historical(series([1, 2, 3]), 95)


def test_prices_that_never_moved_risk_nothing_by_either_method():
    """No variance, no loss."""
    gains = profits(series([1000]), [returns_of(series([7, 7, 7, 7]))])

    assert [Decimal(0)] * 4 == [
        method(gains, c) for method in (parametric, historical) for c in CONFIDENCES
    ]


def test_short_holding_loses_when_the_price_rises():
    """A value below zero turns the past around."""
    returns = [series(["0.10", "-0.01", "-0.02"])]

    assert Decimal("2.00") == historical(profits(series([100]), returns), 95)
    assert Decimal("10.00") == historical(profits(series([-100]), returns), 95)


def test_perfect_hedge_risks_nothing():
    """The same returns long and short cancel day by day."""
    returns = [series(["0.1", "-0.3", "0.07"])] * 2
    gains = profits(series([100, -100]), returns)

    assert [Decimal(0), Decimal(0)] == [parametric(gains, 99), historical(gains, 99)]


@given(st.lists(st.integers(-(10**6), 10**6), min_size=2, max_size=30), st.integers(1, 250))
def test_more_days_and_more_confidence_never_risk_less(losses, days):
    """Both methods grow with the horizon, by its square root, and with the confidence."""
    gains = [Decimal(loss) for loss in losses]
    for method in (parametric, historical):
        one, many = method(gains, 99), method(gains, 99, days)
        with localcontext(EXACT):
            assert abs(one * one * days - many * many) <= Decimal(10) ** -60
        assert method(gains, 95, days) <= many


@given(
    st.integers(-(10**9), 10**9),
    st.integers(-(10**9), 10**9),
    st.lists(st.tuples(st.integers(-999, 999), st.integers(-999, 999)), min_size=2, max_size=12),
)
def test_variance_of_the_gains_is_the_sum_over_the_covariance_matrix(a, b, days):
    """The parametric figure squared is z² times w'Σw, worked out in fractions."""
    one = [Fraction(x, 1000) for x, _ in days]
    other = [Fraction(y, 1000) for _, y in days]

    def covariance(u: list[Fraction], v: list[Fraction]) -> Fraction:
        mean_u, mean_v = sum(u) / len(u), sum(v) / len(v)
        return sum((x - mean_u) * (y - mean_v) for x, y in zip(u, v, strict=True)) / (len(u) - 1)

    expected = (
        a * a * covariance(one, one)
        + 2 * a * b * covariance(one, other)
        + b * b * covariance(other, other)
    )
    returns = [[Decimal(x).scaleb(-3) for x in xs] for xs in zip(*days, strict=True)]
    figure = parametric(profits(series([a, b]), returns), 95)
    found = (Fraction(figure) / Fraction(Z_SCORES[95])) ** 2
    assert abs(found - expected) <= max(expected, 1) / 10**60


@pytest.mark.parametrize("power", [-30, -12, 0, 12, 30])
@pytest.mark.parametrize("volatility", ["1e-30", "0.02", "1e30"])
def test_extreme_values_neither_overflow_nor_vanish_in_decimal(power, volatility):
    """Holdings and returns of 10^±30 give the same digits as ordinary ones."""
    with localcontext(EXACT):
        value = Decimal(10) ** power
    gains = profits([value], [two_series("0", volatility, "0")[0]])

    with localcontext(EXACT):
        expected = Z_SCORES[99] * value * Decimal(volatility)
        assert abs(parametric(gains, 99) / expected - 1) < Decimal(10) ** -70
        assert historical(gains, 99) > 0


def test_extreme_prices_make_returns_in_decimal():
    """A price may rise from 10^-30 to 10^30 and fall back."""
    down, up = Decimal("1e-30"), Decimal("1e30")
    with localcontext(EXACT):
        assert [up / down - 1, down / up - 1] == returns_of([down, up, down])


def test_portfolio_of_huge_and_tiny_holdings_keeps_the_tiny_one_in_decimal():
    """Beside 10^30 dollars a cent is not lost, as it would be in binary floating point."""
    returns = [series(["0.5", "-0.5"]), series(["0.5", "-0.5"])]
    huge, tiny = Decimal("1e30"), Decimal("0.01")

    assert Decimal("500000000000000000000000000000.005") == historical(
        profits([huge, tiny], returns), 99
    )


@given(st.lists(st.integers(1, 10**9), min_size=2, max_size=20))
def test_returns_are_exact_to_eighty_digits_in_decimal(prices):
    """One division each, rounded at the context's last digit alone."""
    for found, (before, after) in zip(
        returns_of([Decimal(p) for p in prices]), pairwise(prices), strict=True
    ):
        assert abs(Fraction(found) - (Fraction(after, before) - 1)) < Fraction(1, 10**60)


def test_a_float_among_the_values_raises_in_decimal():
    """Nothing is computed from a binary fraction."""
    wrong = 1.5
    with pytest.raises((TypeError, FloatOperation)):
        profits([wrong], [series(["0.1", "0.2"])])
    with pytest.raises((TypeError, FloatOperation)):
        parametric([wrong, wrong], 95)


def test_callers_context_changes_no_digit_of_a_figure_in_decimal():
    """The venue's context is set inside: a caller with six digits gets all of them."""
    gains = series(["-123456789.123456789", "987654321.987654321"])
    expected = parametric(gains, 99, 7), historical(gains, 99, 7)
    with localcontext() as context:
        context.prec = 6
        assert expected == (parametric(gains, 99, 7), historical(gains, 99, 7))
        assert 6 == getcontext().prec


@pytest.mark.parametrize("method", [parametric, historical])
def test_one_observation_measures_nothing(method):
    """Whoever asks must have two."""
    with pytest.raises(AssertionError):
        method(series([1]), 99)


def test_no_float_stands_in_the_module_of_value_at_risk_decimal():
    """Neither a literal, nor a name, nor a module that works with them."""
    tree = ast.parse(inspect.getsource(value_at_risk))
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    modules = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}

    assert not {"float", "math", "statistics", "numpy"} & (names | modules)
    assert not [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, float)
    ]
