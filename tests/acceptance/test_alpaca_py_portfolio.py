"""alpaca-py reads the portfolio history: equity, gains and cash flows, by day and finer."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import httpx
import psycopg
import pytest

from infrastructure.embedded_server import EmbeddedServer
from tests.acceptance.methods import shows
from tests.acceptance.scene import client_of
from tests.alpaca_py import (
    ActivityType,
    APIError,
    GetPortfolioHistoryRequest,
    PortfolioHistory,
    TradingClient,
)
from tests.model.projecting import wait_until
from tests.venue import YEAR_2100, Trader, Venue, running, served

FIRST, SECOND = 20261120, 20261123


class Trading:
    """A venue whose timers run, a buyer with a client, and a seller of one instrument."""

    def __init__(self, venue: Venue, dsn: str) -> None:
        self.venue, self.dsn = venue, dsn
        self.symbol = venue.instrument()
        self.buyer, self.seller = venue.trader("10000.00"), venue.trader("10000.00")
        venue.hold(self.seller, self.symbol, "100", "5000")
        self.client = self.client_of(self.buyer)

    def client_of(self, trader: Trader) -> TradingClient:
        """The client of a trader."""
        return client_of(self.venue, trader)

    def history(self, trader: Trader | None = None, **asked: Any) -> PortfolioHistory:
        """The portfolio history that is asked for; its arrays are of one length."""
        client = self.client_of(trader or self.buyer)
        found = client.get_portfolio_history(GetPortfolioHistoryRequest(**asked))
        length = len(found.timestamp)
        assert length == len(found.equity) == len(found.profit_loss) == len(found.profit_loss_pct)
        assert {length} >= {len(amounts) for amounts in found.cashflow.values()}
        assert sorted(set(found.timestamp)) == found.timestamp
        return found

    def raw(self, **asked: str) -> httpx.Response:
        """The buyer's request without the client."""
        with self.venue.client(self.buyer) as http:
            return http.get("/v2/account/portfolio/history", params=asked)

    def trade(self, qty: str, price: str, *, back: bool = False) -> None:
        """The seller sells, or with `back` the buyer does."""
        sides = (self.buyer, self.seller) if back else (self.seller, self.buyer)
        for trader, side in zip(sides, ("sell", "buy"), strict=True):
            body = {"symbol": self.symbol, "side": side, "qty": qty, "limit_price": price}
            body |= {"type": "limit", "time_in_force": "gtc"}
            with self.venue.client(trader) as http:
                done = http.post("/v2/orders", json=body)
            assert done.status_code == 200, done.text

    def move(self, what: str, amount: str) -> None:
        """A deposit, a withdrawal or a fee of the buyer's."""
        path = f"/admin/accounts/{self.buyer.account_id}/{what}"
        moved = self.venue.admin.post(path, json={"amount": amount})
        assert moved.status_code == 200, moved.text

    def equity(self) -> float:
        """The buyer's equity as its account shows it."""
        account = self.client.get_account()
        assert account.equity is not None
        return float(account.equity)

    def end_day(self) -> None:
        """Close, and wait until the day is on record."""
        # An answer from the views says that they are there.
        self.equity()
        before = self.days()
        closed = self.venue.admin.post(f"/admin/instruments/{self.symbol}/close")
        assert closed.status_code == 200, closed.text
        wait_until(lambda: self.days() > before)

    def days(self) -> int:
        """How many days of the buyer are on record."""
        query = f"SELECT count(*) FROM {self.venue.schema}.account_days WHERE account_id = %s"
        with psycopg.connect(self.dsn) as conn:
            row = conn.execute(query, (self.buyer.account_id,)).fetchone()  # type: ignore[arg-type]
        assert row is not None
        return int(row[0])

    def begin_day(self, session_date: int) -> None:
        """Open the session of another date."""
        opened = self.venue.admin.post(
            f"/admin/instruments/{self.symbol}/open",
            json={
                "session_date": session_date,
                "value_date": session_date + 1,
                "opens_at": "2026-11-20T00:00:00Z",
                "closes_at": YEAR_2100,
            },
        )
        assert opened.status_code == 200, opened.text


@pytest.fixture
def trading(venue: Venue, postgres: EmbeddedServer) -> Trading:
    """Traders and an instrument of the test's own."""
    return Trading(venue, postgres.dsn())


@pytest.fixture
def days(postgres: EmbeddedServer) -> Iterator[Trading]:
    """A venue of the test's own, whose timers end days."""
    with served(postgres.dsn(), partial(running, timed=True)) as venue:
        yield Trading(venue, postgres.dsn())


def epoch(day: int) -> int:
    """The first second of a date."""
    return int(datetime.strptime(str(day), "%Y%m%d").replace(tzinfo=UTC).timestamp())


@shows("get_portfolio_history", "every timeframe: the last point is the equity of now")
@pytest.mark.parametrize("timeframe", ["1Min", "5Min", "15Min", "1H", "1D"])
def test_get_portfolio_history_ends_at_the_equity_of_now(trading: Trading, timeframe: str) -> None:
    """Gains are what trading brought and leave the deposit out; shares are of what was brought."""
    trading.trade("10", "100")
    trading.trade("1", "101")

    found = trading.history(period="1D", timeframe=timeframe)

    assert timeframe == found.timeframe
    assert trading.equity() == found.equity[-1] == 10_010.00
    assert 10.00 == found.profit_loss[-1]
    assert 0.001 == found.profit_loss_pct[-1]
    assert 10_000.00 == found.base_value
    assert {ActivityType.CSD} == found.cashflow.keys()
    assert 10_000.00 == sum(found.cashflow[ActivityType.CSD])


@shows("get_portfolio_history", "days of a month")
def test_get_portfolio_history_without_a_filter_tells_days(trading: Trading) -> None:
    """The period is a month, the timeframe a day; the day under way is there."""
    found = trading.client.get_portfolio_history()

    assert ("1D", [epoch(FIRST)], [10_000.00]) == (found.timeframe, found.timestamp, found.equity)
    assert ([0.0], [0.0]) == (found.profit_loss, found.profit_loss_pct)


@shows("get_portfolio_history", "gains without deposits and withdrawals; cash flows")
def test_portfolio_gains_leave_out_what_comes_in_and_goes_out(trading: Trading) -> None:
    """A deposit and a withdrawal are no gain, a fee is a loss; each is told as a cash flow."""
    trading.trade("10", "100")
    trading.move("deposits", "500.00")
    trading.move("withdrawals", "200.00")
    trading.move("fees", "1.25")

    for asked in ({"timeframe": "1D"}, {"timeframe": "1Min", "period": "1D"}):
        found = trading.history(**asked)
        assert 10_298.75 == found.equity[-1]
        assert -1.25 == found.profit_loss[-1]
        assert {"CSD": 10_500.00, "CSW": -200.00, "FEE": -1.25} == {
            kind.value: sum(amounts) for kind, amounts in found.cashflow.items()
        }
    only = trading.history(timeframe="1D", cashflow_types="CSW,DIV")
    assert {ActivityType.CSW: [-200.00]} == only.cashflow
    assert {} == trading.history(timeframe="1D", cashflow_types="NONE").cashflow


@shows("get_portfolio_history", "gains without what was transferred")
def test_portfolio_gains_leave_out_what_was_transferred(trading: Trading) -> None:
    """A holding that is brought counts from what it was worth then, whatever it had cost."""
    trading.venue.hold(trading.buyer, trading.symbol, "20", "1")
    brought = trading.history(timeframe="1D")
    trading.trade("1", "102")

    found = trading.history(timeframe="1D")

    assert ([12_000.00], [0.00]) == (brought.equity, brought.profit_loss)
    assert ([12_040.00], [40.00]) == (found.equity, found.profit_loss)


@shows("get_portfolio_history", "busts count when they are made")
def test_portfolio_history_takes_busts_and_corrections_in(trading: Trading) -> None:
    """What is undone leaves no gain behind, what is corrected the right one."""
    trading.trade("10", "100")
    trading.trade("5", "90")
    lost = trading.history(timeframe="1Min", period="1D").profit_loss[-1]
    with trading.venue.client(trading.buyer) as http:
        fill = http.get("/v2/account/activities/FILL").json()
        fill = fill if isinstance(fill, list) else http.get("/v2/account/activities").json()
    busted = trading.venue.admin.post(
        f"/admin/trades/{fill[0]['execution_id']}/bust", json={"reason": "erroneous"}
    )
    assert busted.status_code == 200, busted.text

    found = trading.history(timeframe="1Min", period="1D")

    assert -100.00 == lost
    assert trading.equity() == found.equity[-1]
    assert round(trading.equity() - 10_000, 2) == found.profit_loss[-1]


@shows("get_portfolio_history", "each day as it was closed, and the one under way")
def test_portfolio_history_by_day_is_what_each_day_was_closed_with(days: Trading) -> None:
    """The day under way is its last; gains of a later part count from the day before it."""
    days.trade("10", "100")
    days.trade("1", "101")
    days.end_day()
    days.begin_day(SECOND)
    days.trade("1", "103")
    days.move("deposits", "1000.00")

    whole = days.history(period="1A")
    last = days.history(period="1D", timeframe="1D")
    each = days.history(period="all", pnl_reset="per_day")
    fine = days.history(period="1D", timeframe="1Min")

    assert [epoch(FIRST), epoch(SECOND)] == whole.timestamp
    assert [10_010.00, 11_032.00] == whole.equity
    assert [10.00, 32.00] == whole.profit_loss
    assert 10_000.00 == whole.base_value
    assert [10_000.00, 1_000.00] == whole.cashflow[ActivityType.CSD]
    assert ([epoch(SECOND)], [22.00], 10_010.00) == (
        last.timestamp,
        last.profit_loss,
        last.base_value,
    )
    assert [10.00, 22.00] == each.profit_loss
    assert (11_032.00, 22.00, 10_010.00) == (
        fine.equity[-1],
        fine.profit_loss[-1],
        fine.base_value,
    )
    shown = days.raw(period="1D").json()
    assert "2026-11-20" == shown["base_value_asof"]
    assert "base_value_asof" not in days.raw(period="1A").json()
    assert [epoch(FIRST)] == days.history(date_end=datetime(2026, 11, 20).date()).timestamp


@shows("get_portfolio_history", "points between `start` and `end`")
def test_portfolio_history_between_two_instants(trading: Trading) -> None:
    """Points begin within them, as long as the account was there."""
    now = datetime.now(UTC)
    since = now - timedelta(hours=3)

    found = trading.history(
        start=since, end=now + timedelta(hours=1), timeframe="1Min", intraday_reporting="continuous"
    )
    before = trading.history(start=since, end=since + timedelta(hours=1), timeframe="1Min")

    assert found.timestamp[-1] <= datetime.now(UTC).timestamp()
    assert found.timestamp[0] >= int(now.timestamp()) // 60 * 60 - 60
    assert 10_000.00 == found.equity[-1]
    assert ([], [], 0.0) == (before.timestamp, before.equity, before.base_value)


@shows("get_portfolio_history", "422 by name of each parameter")
@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"period": "1Y"}, "period"),
        ({"period": "0D"}, "period"),
        ({"period": "all", "start": "2026-11-20T00:00:00Z"}, "period"),
        ({"period": "1D", "start": "2026-11-20", "end": "2026-11-21"}, "period"),
        ({"period": "2M", "timeframe": "1H"}, "timeframe"),
        ({"period": "intraday", "timeframe": "1D"}, "timeframe"),
        ({"timeframe": "1min"}, "timeframe"),
        ({"start": "2126-11-20T00:00:00Z"}, "start"),
        ({"start": "2026-11-21", "end": "2026-11-20"}, "start"),
        ({"start": "yesterday"}, "start"),
        ({"end": "2026-11-20", "date_end": "2026-11-20"}, "date_end"),
        ({"date_end": "2026-13-01"}, "date_end"),
        ({"intraday_reporting": "always"}, "intraday_reporting"),
        ({"extended_hours": "false", "intraday_reporting": "extended_hours"}, "extended_hours"),
        ({"pnl_reset": "never"}, "pnl_reset"),
        ({"cashflow_types": "CSD,XYZ"}, "cashflow_types"),
    ],
    ids=str,
)
def test_portfolio_history_refuses_what_it_cannot_tell_by_name(
    trading: Trading, asked: dict[str, str], field: str
) -> None:
    """Nothing is guessed and nothing passed over."""
    refused = trading.raw(**asked)

    assert (422, field) == (refused.status_code, refused.json()["field"])


@shows("get_portfolio_history", "422 by name of what cannot be told")
def test_portfolio_history_refusal_is_alpacas_error(trading: Trading) -> None:
    """The client raises it with what was wrong."""
    with pytest.raises(APIError) as refused:
        trading.history(period="9Z")

    assert 422 == refused.value.status_code
    assert "period must be" in refused.value.message


@shows("get_portfolio_history", "every parameter of the client")
def test_portfolio_history_takes_every_parameter_of_the_client(trading: Trading) -> None:
    """Each as the client sends it."""
    found = trading.history(
        period="5D",
        timeframe="15Min",
        intraday_reporting="extended_hours",
        extended_hours=True,
        pnl_reset="no_reset",
        date_end=datetime.now(UTC).date(),
        cashflow_types="ALL",
    )

    assert ("15Min", 10_000.00, 0.0) == (found.timeframe, found.equity[-1], found.profit_loss[-1])
    assert "1Min" == trading.history(period="intraday").timeframe
    assert "15Min" == trading.history(period="3W").timeframe
    assert "1D" == trading.history(period="3M").timeframe


@shows("get_portfolio_history", "the account's own alone")
def test_portfolio_history_is_an_accounts_own(trading: Trading) -> None:
    """Another's trades and deposits are not in it; an account without money is worth nothing."""
    trading.trade("10", "100")
    stranger = trading.venue.trader(cash="0")

    found = trading.history(stranger, period="1D", timeframe="1Min")

    assert {0.0} == {*found.equity, *found.profit_loss, *found.profit_loss_pct}
    assert (0.0, {}) == (found.base_value, found.cashflow)


@shows("get_portfolio_history", "JSON numbers")
def test_portfolio_numbers_are_numbers(trading: Trading) -> None:
    """As Alpaca sends them, with all their cents."""
    shown = trading.raw(period="1D").text

    assert '"equity":[10000.00' in shown
    assert '"base_value":10000.00' in shown
