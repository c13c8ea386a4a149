"""What a day's end makes of documents: yesterday's equity and close, and the profit of today."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from typing import Any

import httpx
import psycopg
import pytest

from infrastructure.embedded_server import EmbeddedServer
from tests.conftest import Schema
from tests.model.projecting import nexus, wait_until
from tests.venue import YEAR_2100, Trader, Venue, running, served

FIRST, SECOND, THIRD = 20261120, 20261123, 20261124


class Trading:
    """A buyer and a seller of one instrument, and what their documents say."""

    def __init__(self, venue: Venue, dsn: str) -> None:
        self.venue, self.dsn = venue, dsn
        self.symbol = venue.instrument()
        self.buyer, self.seller = venue.trader("10000.00"), venue.trader("10000.00")
        venue.hold(self.seller, self.symbol, "100", "5000")

    def trade(self, qty: str, price: str, *, back: bool = False) -> None:
        """The seller sells, or with `back` the buyer does."""
        sides = (self.buyer, self.seller) if back else (self.seller, self.buyer)
        for trader, side in zip(sides, ("sell", "buy"), strict=True):
            done = self.post(trader, side, qty, price)
            assert done.status_code == 200, done.text

    def post(self, trader: Trader, side: str, qty: str, price: str) -> httpx.Response:
        """A limit order."""
        body = {"symbol": self.symbol, "side": side, "qty": qty, "limit_price": price}
        with self.venue.client(trader) as client:
            return client.post("/v2/orders", json={**body, "type": "limit", "time_in_force": "gtc"})

    def account(self, trader: Trader) -> dict[str, Any]:
        """The trader's account as it is shown."""
        return self._get(trader, "/v2/account")

    def position(self, trader: Trader) -> dict[str, Any]:
        """The trader's holding as it is shown."""
        return self._get(trader, f"/v2/positions/{self.symbol}")

    def _get(self, trader: Trader, path: str) -> dict[str, Any]:
        with self.venue.client(trader) as client:
            answer = client.get(path)
            assert answer.status_code == 200, answer.text
            found: dict[str, Any] = answer.json()
            return found

    def end_day(self) -> None:
        """Close, and wait until the day is on record."""
        self.account(self.buyer)
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
def trading(postgres: EmbeddedServer) -> Iterator[Trading]:
    """A venue whose timers run, and an instrument in its first session."""
    with served(postgres.dsn(), partial(running, timed=True)) as venue:
        yield Trading(venue, postgres.dsn())


TODAY = (
    "unrealized_pl",
    "unrealized_intraday_pl",
    "unrealized_intraday_plpc",
    "lastday_price",
    "current_price",
    "change_today",
)


def of_today(position: dict[str, Any]) -> tuple[str | None, ...]:
    """What a document says of the day."""
    return tuple(position[name] for name in TODAY)


def test_day_closed_shows_in_the_documents_of_the_next(trading: Trading) -> None:
    """Ten bought, closed at 102.00; then two more at 103.00, and six of all sold at 105.00."""
    buyer = trading.buyer
    trading.trade("9", "100")
    trading.trade("1", "102")
    assert "0.00" == trading.account(buyer)["last_equity"]
    assert ("18.00", "18.00", "0.017964", None, "102.0000", None) == of_today(
        trading.position(buyer)
    )
    trading.end_day()
    # In the evening the day is still today.
    assert ("10018.00", "0.00") == equities(trading.account(buyer))
    assert ("18.00", "18.00", "0.017964", None, "102.0000", None) == of_today(
        trading.position(buyer)
    )

    trading.begin_day(SECOND)
    assert ("10018.00", "10018.00") == equities(trading.account(buyer))
    assert ("18.00", "0.00", "0.000000", "102.0000", "102.0000", "0.000000") == of_today(
        trading.position(buyer)
    )
    trading.trade("2", "103")
    assert ("10028.00", "10018.00") == equities(trading.account(buyer))
    # Ten are one dollar up on the day; the two of today are where they were bought.
    assert ("28.00", "10.00", "0.008157", "102.0000", "103.0000", "0.009804") == of_today(
        trading.position(buyer)
    )
    trading.trade("6", "105", back=True)
    # Six of twelve are left: half of the 18.00 that yesterday had found went with the others.
    assert ("26.00", "17.00", "0.027732", "102.0000", "105.0000", "0.029412") == of_today(
        trading.position(buyer)
    )

    trading.end_day()
    trading.begin_day(THIRD)
    assert ("10052.00", "10052.00") == equities(trading.account(buyer))
    assert ("26.00", "0.00", "0.000000", "105.0000", "105.0000", "0.000000") == of_today(
        trading.position(buyer)
    )
    assert [
        {
            "day": "2026-11-20",
            "equity": "10018.00",
            "cash": "10000.00",
            "unsettled": "-1002.00",
            "long_value": "1020.00",
            "short_value": "0.00",
        },
        {
            "day": "2026-11-23",
            "equity": "10052.00",
            "cash": "10000.00",
            "unsettled": "-578.00",
            "long_value": "630.00",
            "short_value": "0.00",
        },
    ] == reported(trading)["days"]
    assert ["2026-11-23"] == [
        row["day"] for row in reported(trading, "--from", "2026-11-21")["days"]
    ]


def equities(account: dict[str, Any]) -> tuple[str, str]:
    """What the account is worth, and was at its last close."""
    return account["equity"], account["last_equity"]


def reported(trading: Trading, *arguments: str) -> dict[str, Any]:
    """What `nexus report days` says of the buyer."""
    schema = Schema(trading.dsn, trading.venue.schema)
    process = nexus(schema, "report", "days", trading.buyer.account_id, "--json", *arguments)
    out, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    found: dict[str, Any] = json.loads(out)
    return found


def test_day_closed_tells_operators_the_same_as_tables(trading: Trading) -> None:
    """Without --json the report is a table, and says as of when."""
    trading.end_day()
    schema = Schema(trading.dsn, trading.venue.schema)
    process = nexus(schema, "report", "days", trading.buyer.account_id)
    out, errors = process.communicate(timeout=60)

    assert process.returncode == 0, errors
    assert "2026-11-20" in out and "10000.00" in out and "1 days, as of position" in out
