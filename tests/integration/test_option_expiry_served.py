"""Options end in a venue that is served: shares change hands, and what happened is told."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any, NamedTuple

import httpx
import pytest

from domain.option_terms import OptionTerms, symbol_of
from domain.terms import Right
from infrastructure.embedded_server import EmbeddedServer
from tests.venue import Trader, Venue, running, served

TODAY = datetime.now(UTC).date() + timedelta(days=1)
"""A day of the session: never over while the test runs, whatever the hour."""
DAY = TODAY.year * 10_000 + TODAY.month * 100 + TODAY.day
SESSION = {
    "session_date": DAY,
    "value_date": DAY,
    "opens_at": "2026-11-20T00:00:00Z",
    "closes_at": "2100-01-01T00:00:00Z",
}


class Ended(NamedTuple):
    """A venue in which a call has been exercised and a put has gone for nothing."""

    venue: Venue
    long: Trader
    short: Trader
    call: str
    put: str

    def told(self, trader: Trader, path: str, **asked: Any) -> Any:
        """What a trader reads."""
        with self.venue.client(trader) as client:
            answer = client.get(path, params=asked)
        assert 200 == answer.status_code, answer.text
        return answer.json()


def symbol(right: Right, strike: int) -> str:
    """A contract of today."""
    return symbol_of("GONE", OptionTerms(DAY, int(right), strike * 10**9))


def done(answer: httpx.Response) -> None:
    """It must have been."""
    assert 200 == answer.status_code, f"{answer.request.url}: {answer.text}"


@pytest.fixture(scope="module")
def ended(postgres: EmbeddedServer) -> Iterator[Ended]:
    """Trade a call at 90 and a put at 80 of a share at 100, and close the share."""
    with served(postgres.dsn(), partial(running, timed=True)) as venue:
        listing = {"name": "Gone Incorporated", "tick": "0.01", "lot": "1"}
        share = {"symbol": "GONE", "reference_price": "100", "calendar": "manual", **listing}
        done(venue.admin.post("/admin/instruments", json=share))
        call, put = symbol(Right.CALL, 90), symbol(Right.PUT, 80)
        for name, right, strike in ((call, "call", "90"), (put, "put", "80")):
            option = {"underlying": "GONE", "expiry": TODAY.isoformat(), "right": right}
            body = {"symbol": name, **listing, "option": {**option, "strike": strike}}
            done(venue.admin.post("/admin/instruments", json=body))
        for name in ("GONE", call, put):
            done(venue.admin.post(f"/admin/instruments/{name}/open", json=SESSION))
        long, short = venue.trader("100000"), venue.trader("100000", kind="margin")
        scene = Ended(venue, long, short, call, put)
        for name, price in ((call, "11"), (put, "0.5")):
            body = {"symbol": name, "qty": "2", "type": "limit", "time_in_force": "day"}
            body |= {"limit_price": price}
            for trader, side in ((short, "sell"), (long, "buy")):
                with venue.client(trader) as client:
                    done(client.post("/v2/orders", json=body | {"side": side}))
        done(venue.admin.post("/admin/instruments/GONE/close"))
        until = time.monotonic() + 20
        while (
            scene.told(long, f"/v2/options/contracts/{put}")["tradable"]
            or scene.told(long, f"/v2/options/contracts/{call}")["tradable"]
        ):
            assert time.monotonic() < until, "the contracts did not end"
            time.sleep(0.05)
        yield scene


def test_option_holders_have_shares_at_the_strike(ended: Ended) -> None:
    """Two contracts of a hundred each; the premium is what was lost or won."""
    for trader, qty, cost in ((ended.long, 200, 18_000), (ended.short, -200, -18_000)):
        [position] = ended.told(trader, "/v2/positions")
        assert ("GONE", qty, cost) == (
            position["symbol"],
            Decimal(position["qty"]),
            Decimal(position["cost_basis"]),
        )
    account = ended.told(ended.long, "/v2/account")
    # 2,200 and 100 went for the premiums; the shares are worth 2,000 more than they cost.
    assert Decimal("99700") == Decimal(account["equity"])


def test_option_ends_are_activities_in_words_of_alpaca(ended: Ended) -> None:
    """OPEXC and OPASN with what they traded, OPEXP with nothing; each page by its type too."""
    for trader, sign, called in ((ended.long, 1, "OPEXC"), (ended.short, -1, "OPASN")):
        told = ended.told(trader, "/v2/account/activities", category="non_trade_activity")
        found = {
            (one["activity_type"], one["symbol"], Decimal(one["qty"]), Decimal(one["net_amount"]))
            for one in told
        }
        assert {
            (called, ended.call, Decimal(-2 * sign), Decimal(0)),
            ("OPTRD", "GONE", Decimal(200 * sign), Decimal(-18_000 * sign)),
            ("OPEXP", ended.put, Decimal(-2 * sign), Decimal(0)),
        } == found
        assert ["90.0000"] == [one["price"] for one in told if one["activity_type"] == "OPTRD"]
        alone = ended.told(trader, f"/v2/account/activities/{called}")
        assert [called] == [one["activity_type"] for one in alone]
        every = ended.told(trader, "/v2/account/activities")
        assert 2 + 3 == len(every)
        page = ended.told(trader, "/v2/account/activities", page_size=2)
        rest = ended.told(trader, "/v2/account/activities", page_token=page[-1]["id"])
        assert [one["id"] for one in every] == [one["id"] for one in (*page, *rest)]


def test_option_that_is_over_is_inactive_and_refused_by_name(ended: Ended) -> None:
    """As a contract, as an asset, in an order, and to be exercised."""
    inactive = ended.told(ended.long, "/v2/options/contracts", status="inactive")
    asset = ended.told(ended.long, f"/v2/assets/{ended.call}")
    order = {"symbol": ended.call, "qty": "1", "side": "buy", "type": "limit", "limit_price": "1"}
    with ended.venue.client(ended.long) as client:
        refused = client.post("/v2/orders", json=order | {"time_in_force": "gtc"})
        exercised = client.post(f"/v2/positions/{ended.call}/exercise")
    opened = ended.venue.admin.post(f"/admin/instruments/{ended.call}/open", json=SESSION)

    assert sorted([ended.call, ended.put]) == [
        one["symbol"] for one in inactive["option_contracts"]
    ]
    assert [] == ended.told(ended.long, "/v2/options/contracts")["option_contracts"]
    assert ("inactive", False, "expired") == (asset["status"], asset["tradable"], asset["phase"])
    assert ["OPTION_EXPIRED"] * 2 == [one.json()["reason"] for one in (refused, exercised)]
    assert "WRONG_SESSION_STATE" == opened.json()["reason"]
