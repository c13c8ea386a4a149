"""The answer about risk, from holdings and closes: what is measured, and what is said when not."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from api.http.risk import risk_document
from projections.positions import PositionRow

PRICES = (100, 90, 99, 110)


def holding(number: int, shares: int, price: int = 100) -> PositionRow:
    """So many shares of an instrument at a price in whole dollars."""
    blank: dict[str, Any] = dict.fromkeys(PositionRow.__struct_fields__, 0)
    identifier = UUID(int=number)
    return PositionRow(
        **{
            **blank,
            "account_id": UUID(int=0),
            "instrument_id": identifier,
            "position_id": identifier,
            "symbol": f"S{number}",
            "asset_class": "us_equity",
            "price_decimals": 4,
            "multiplier": 1,
            "qty": shares * 10**8,
            "last_price": price * 10**4,
        }
    )


def closes(*prices: int, first: int = 20260105) -> dict[int, Decimal]:
    """Closes of sessions in a row."""
    return {first + day: Decimal(price) for day, price in enumerate(prices)}


def figures(document: dict[str, Any]) -> list[str]:
    """The four figures of a document."""
    return [document[m][c] for m in ("historical", "parametric") for c in ("var_95", "var_99")]


def test_risk_of_a_short_holding_is_its_loss_when_prices_rise_in_decimal():
    """Long a thousand dollars loses a tenth on the worst day, short the same gains it and more."""
    history = {UUID(int=1): closes(*PRICES)}

    long = risk_document([holding(1, 10)], history, 1)["portfolio"]
    short = risk_document([holding(1, -10)], history, 1)["portfolio"]

    assert ("1000.00", "-1000.00") == (long["market_value"], short["market_value"])
    # Up ten per cent, and then eleven point one: the worst for who is short.
    assert ("100.00", "111.11") == (long["historical"]["var_99"], short["historical"]["var_99"])
    assert long["parametric"] == short["parametric"]


def test_risk_of_a_hedged_portfolio_is_less_than_the_sum_in_decimal():
    """The same movements long and short leave nothing at risk."""
    history = {UUID(int=n): closes(*PRICES) for n in (1, 2)}

    told = risk_document([holding(1, 10), holding(2, -10)], history, 1)

    assert ["0.00"] * 4 == figures(told["portfolio"])
    assert all(figure != "0.00" for row in told["positions"] for figure in figures(row))


def test_risk_of_the_portfolio_is_over_the_sessions_that_all_have():
    """One was listed two sessions later: of five closes the last three are shared."""
    history = {
        UUID(int=1): closes(100, 200, 100, 101, 102),
        UUID(int=2): closes(100, 101, 102, first=20260107),
    }

    told = risk_document([holding(1, 10), holding(2, 10)], history, 1)

    assert [4, 2, 2] == [
        *(row["observations"] for row in told["positions"]),
        told["portfolio"]["observations"],
    ]


@given(
    st.lists(
        st.tuples(
            st.integers(-(10**6), 10**6).filter(bool),
            st.integers(0, 10**5),
            st.lists(st.integers(1, 10**6), max_size=8),
        ),
        max_size=5,
    ),
    st.integers(1, 250),
)
def test_risk_of_any_holdings_is_figures_or_a_reason_in_decimal(rows, days):
    """Whatever is held and whatever was traded: strings of two places, or null and why."""
    held = [holding(n, shares, price) for n, (shares, price, _) in enumerate(rows, 1)]
    history = {UUID(int=n): closes(*prices) for n, (_, _, prices) in enumerate(rows, 1) if prices}

    told = risk_document(held, history, days)

    for part in (*told["positions"], told["portfolio"]):
        if part["reason"] is None:
            assert part["observations"] >= 2
            assert all(f.partition(".")[2].isdigit() and f[-3] == "." for f in figures(part))
        else:
            assert part["historical"] is None is part["parametric"]
    unmeasured = [row["symbol"] for row in told["positions"] if row["reason"]]
    assert unmeasured == told["portfolio"]["unmeasured"]
