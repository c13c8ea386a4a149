"""/v2/account/risk over a served venue: exact strings from closes that stand, never an error."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator
from decimal import Decimal
from typing import Any
from uuid import UUID

import httpx
import pytest
from psycopg import AsyncConnection, sql

from domain.money import rounded_text
from domain.value_at_risk import historical, parametric, profits, returns_of
from infrastructure.database import EmbeddedServer
from projections.daily_closes import list_daily_closes
from tests.venue import YEAR_2100, Trader, Venue, served

CALM = ("100", "101", "99.5", "99.5", "103.25")
WILD = ("50", "45", "49.5", "60", "48")


@pytest.fixture(scope="module")
def venue(postgres: EmbeddedServer) -> Iterator[Venue]:
    """One venue for the module."""
    with served(postgres.dsn()) as started:
        yield started


class Market:
    """A venue with a counterparty that trades any instrument at any price in any session."""

    def __init__(self, venue: Venue) -> None:
        self.venue = venue
        self.trader = venue.trader(cash="100000000.00")
        self.maker = venue.trader(cash="100000000.00")
        self.day = 20260000

    def listed(self, reference: str = "100", **terms: Any) -> str:
        """An instrument that the maker can sell."""
        symbol = self.venue.instrument(reference_price=reference, collar_bps=9_999, **terms)
        self.venue.hold(self.maker, symbol, "1000000")
        self.closed(symbol)
        return symbol

    def closed(self, symbol: str) -> None:
        answer = self.venue.admin.post(f"/admin/instruments/{symbol}/close", json={})
        assert answer.status_code == 200, answer.text

    def session(self, date: int, **prices: str | None) -> list[str]:
        """One session in which each instrument trades once at its price; the trades' ids."""
        trades = []
        for symbol, price in prices.items():
            opened = self.venue.admin.post(
                f"/admin/instruments/{symbol}/open",
                json={
                    "session_date": date,
                    "value_date": 20991231,
                    "opens_at": "2026-11-20T00:00:00Z",
                    "closes_at": YEAR_2100,
                },
            )
            assert opened.status_code == 200, opened.text
            if price is not None:
                trades.append(self.trade(symbol, price))
            self.closed(symbol)
        return trades

    def trade(self, symbol: str, price: str, qty: str = "1") -> str:
        """One trade, and its id."""
        for who, side in ((self.maker, "sell"), (self.trader, "buy")):
            with self.venue.client(who) as client:
                order = {
                    "symbol": symbol,
                    "qty": qty,
                    "side": side,
                    "type": "limit",
                    "time_in_force": "day",
                    "limit_price": price,
                }
                placed = client.post("/v2/orders", json=order)
                assert placed.status_code == 200, placed.text
                found = client.get("/v2/account/activities").json()
        trade_id: str = found[0]["id"].partition("::")[2]
        return trade_id

    def risk(self, trader: Trader | None = None, **query: Any) -> dict[str, Any]:
        """What the account may lose."""
        with self.venue.client(trader or self.trader) as client:
            answer = client.get("/v2/account/risk", params=query)
        assert answer.status_code == 200, answer.text
        body: dict[str, Any] = answer.json()
        return body


@pytest.fixture
def market(venue: Venue) -> Market:
    """Traders of a test's own."""
    return Market(venue)


def expected(holdings: dict[str, list[str]], days: int = 1) -> dict[str, dict[str, str]]:
    """Figures out of (value, prices) by hand."""
    values = [Decimal(value) for value in holdings]
    gains = profits(values, [returns_of([Decimal(p) for p in ps]) for ps in holdings.values()])
    return {
        name: {f"var_{c}": rounded_text(method(gains, c, days), 2) for c in (95, 99)}
        for name, method in (("historical", historical), ("parametric", parametric))
    }


def figures(document: dict[str, Any]) -> dict[str, Any]:
    """Only what was calculated."""
    return {name: document[name] for name in ("historical", "parametric")}


def test_risk_of_positions_and_portfolio_is_that_of_their_closes_in_decimal(market):
    """Each holding alone and both together, at its present value, over its daily returns."""
    calm, wild = market.listed(), market.listed("50")
    for day, (one, other) in enumerate(zip(CALM, WILD, strict=True)):
        market.session(20260105 + day, **{calm: one, wild: other})

    told = market.risk()

    by_symbol = {row["symbol"]: row for row in told["positions"]}
    assert {calm: "516.25", wild: "240.00"} == {
        symbol: row["market_value"] for symbol, row in by_symbol.items()
    }
    assert expected({"516.25": list(CALM)}) == figures(by_symbol[calm])
    assert expected({"240": list(WILD)}) == figures(by_symbol[wild])
    assert expected({"516.25": list(CALM), "240": list(WILD)}) == figures(told["portfolio"])
    assert ("756.25", 4, [], None) == tuple(
        told["portfolio"][name] for name in ("market_value", "observations", "unmeasured", "reason")
    )
    # The worst day of the wild one, from 60 to 48, is a fifth of what it is worth.
    assert "48.00" == by_symbol[wild]["historical"]["var_99"]


def test_risk_over_ten_days_grows_with_the_root_of_ten_in_decimal(market):
    """?days=10 multiplies by the square root of ten, in decimals, before it rounds."""
    symbol = market.listed("50")
    for day, price in enumerate(WILD):
        market.session(20260105 + day, **{symbol: price})

    told = market.risk(days=10)

    assert 10 == told["days"]
    assert expected({"240": list(WILD)}, days=10) == figures(told["portfolio"])


@pytest.mark.parametrize("days", ["0", "-1", "251", "1.5", "ten", ""])
def test_risk_over_no_number_of_days_is_refused_by_name(market, days):
    """The horizon is a whole number from 1 to 250."""
    with market.venue.client(market.trader) as client:
        answer = client.get("/v2/account/risk", params={"days": days})

    assert (422, "days") == (answer.status_code, answer.json()["field"])


def test_risk_of_a_young_holding_says_why_it_is_not_measured(market):
    """Two closes make one return, and one return no variance: null and a reason."""
    young, old = market.listed(), market.listed("50")
    for day, price in enumerate(WILD):
        market.session(20260105 + day, **{old: price})
    market.session(20260112, **{young: "100"})
    market.session(20260113, **{young: "90"})

    told = market.risk()

    row = next(row for row in told["positions"] if row["symbol"] == young)
    assert {"historical": None, "parametric": None} == figures(row)
    assert ("180.00", 1, "fewer than 2 daily returns") == (
        row["market_value"],
        row["observations"],
        row["reason"],
    )
    assert [young] == told["portfolio"]["unmeasured"]
    assert expected({"240": list(WILD)}) == figures(told["portfolio"])


def test_risk_of_holdings_that_share_no_sessions_is_not_made_up(market):
    """Returns of different days say nothing of each other: the portfolio has no figure."""
    one, other = market.listed(), market.listed("50")
    for day in range(3):
        market.session(20260105 + day, **{one: CALM[day]})
        market.session(20260112 + day, **{other: WILD[day]})

    told = market.risk()

    assert all(row["historical"] and row["parametric"] for row in told["positions"])
    assert {"historical": None, "parametric": None} == figures(told["portfolio"])
    assert "fewer than 2 daily returns" == told["portfolio"]["reason"]


def test_risk_of_an_empty_account_is_no_figure(market):
    """Nothing held, nothing at risk, no error."""
    told = market.risk(market.venue.trader())

    assert [] == told["positions"]
    assert ("0.00", "nothing is held") == (
        told["portfolio"]["market_value"],
        told["portfolio"]["reason"],
    )


def test_risk_of_a_holding_without_any_price_is_no_figure(market):
    """What was never priced has no value to lose."""
    symbol = market.venue.instrument(reference_price="0")
    holder = market.venue.trader()
    market.venue.hold(holder, symbol, "5")

    told = market.risk(holder)

    assert (None, "no price yet") == (
        told["positions"][0]["market_value"],
        told["positions"][0]["reason"],
    )
    assert [symbol] == told["portfolio"]["unmeasured"]
    assert "0.00" == told["portfolio"]["market_value"]


def test_risk_follows_a_bust_and_a_correction_of_the_closes_in_decimal(market):
    """A busted close is the trade before it, a corrected one its right price."""
    symbol = market.listed("50")
    market.session(20260105, **{symbol: "50"})
    (wrong,) = market.session(20260106, **{symbol: "55"})
    market.session(20260107, **{symbol: "60"})
    (busted,) = market.session(20260108, **{symbol: "90"})
    admin = market.venue.admin
    for path, body in (
        (f"/admin/trades/{wrong}/correct", {"price": "45", "reason": "mispriced"}),
        (f"/admin/trades/{busted}/bust", {"reason": "erroneous"}),
    ):
        answer = admin.post(path, json=body)
        assert answer.status_code == 200, answer.text

    told = market.risk()

    value = told["portfolio"]["market_value"]
    assert 2 == told["portfolio"]["observations"]
    assert expected({value: ["50", "45", "60"]}) == figures(told["portfolio"])


def test_closes_are_those_of_the_newest_sessions_oldest_first(market, postgres):
    """Each instrument's last sessions, whatever others did, at their last trades that stand."""
    one, other = market.listed(), market.listed("50")
    for day in range(4):
        market.session(20260105 + day, **{one: CALM[day]})
    market.session(20260105, **{other: "50"})
    wanted = {row["symbol"]: UUID(row["asset_id"]) for row in market.risk()["positions"]}

    async def ask() -> list[tuple[UUID, int, int]]:
        async with await AsyncConnection.connect(postgres.dsn(), autocommit=True) as conn:
            schema = sql.Identifier(market.venue.schema)
            await conn.execute(sql.SQL("SET search_path TO {}").format(schema))
            found = await list_daily_closes(conn, wanted.values(), sessions=2)
            return [(row.instrument_id, row.session_date, row.price) for row in found]

    assert {
        (wanted[one], 20260107, 995_000),
        (wanted[one], 20260108, 995_000),
        (wanted[other], 20260105, 500_000),
    } == set(asyncio.run(ask()))


def test_risk_asks_for_a_key(venue):
    """It is the caller's own account, so somebody must call."""
    assert 401 == httpx.get(f"{venue.url}/v2/account/risk").status_code
    assert 403 == venue.admin.get("/v2/account/risk").status_code


def test_no_risk_is_shown_of_another_account(market):
    """Every account sees its own holdings."""
    symbol = market.listed("50")
    market.session(20260105, **{symbol: "50"})

    assert [symbol] == [row["symbol"] for row in market.risk()["positions"]]
    assert [] == market.risk(market.venue.trader(name=f"t-{uuid.uuid4().hex}"))["positions"]
