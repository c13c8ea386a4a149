"""A symbol such as BTC/USD is found by every path that names one, plain and percent-encoded."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import httpx
import pytest

from infrastructure.embedded_server import EmbeddedServer
from tests.venue import YEAR_2100, Trader, Venue, served

SESSION = {
    "session_date": 20261120,
    "value_date": 20261123,
    "opens_at": "2026-11-20T00:00:00Z",
    "closes_at": YEAR_2100,
}


@pytest.fixture(scope="module")
def venue(postgres: EmbeddedServer) -> Iterator[Venue]:
    """One venue for all tests of this file."""
    with served(postgres.dsn()) as venue:
        yield venue


@pytest.fixture(scope="module")
def trader(venue: Venue) -> Trader:
    """Somebody who holds what is traded."""
    return venue.trader(kind="margin")


@pytest.fixture(params=["/", "%2F", "%2f"])
def written(request: pytest.FixtureRequest) -> str:
    """How a path writes the slash."""
    return str(request.param)


def instrument(venue: Venue) -> tuple[str, str]:
    """A pair that is listed and closed: what it is called, and its parts with a place between."""
    base = f"B{uuid4().hex[:7].upper()}"
    body = {
        "symbol": f"{base}/USD",
        "name": "a pair",
        "tick": "0.01",
        "lot": "0.001",
        "reference_price": "100",
        "calendar": "manual",
        "asset_class": "crypto",
    }
    listed = venue.admin.post("/admin/instruments", json=body)
    assert 200 == listed.status_code, listed.text
    return f"{base}/USD", base + "{}USD"


def test_operators_find_an_instrument_by_a_symbol_with_a_slash(venue: Venue, written: str) -> None:
    """Whatever they do with it."""
    symbol, parts = instrument(venue)
    path = f"/admin/instruments/{parts.format(written)}"

    def done(answer: httpx.Response) -> None:
        assert 200 == answer.status_code, f"{answer.request.url}: {answer.text}"

    done(venue.admin.post(f"{path}/open", json=SESSION))
    done(venue.admin.post(f"{path}/halt", json={"reason": "a test"}))
    done(venue.admin.post(f"{path}/resume"))
    done(venue.admin.post(f"{path}/mark", json={"price": "101"}))
    done(venue.admin.post(f"{path}/close"))
    done(venue.admin.patch(path, json={"name": "another name"}))
    done(venue.admin.patch(path, json={"new_symbol": f"{symbol}T"}))
    wrong = venue.admin.put(path)
    assert (405, "OPTIONS, PATCH") == (wrong.status_code, wrong.headers["allow"])


def test_traders_find_an_asset_and_a_position_by_a_symbol_with_a_slash(
    venue: Venue, trader: Trader, written: str
) -> None:
    """They read and close it, and are told the symbol as it is."""
    symbol, parts = instrument(venue)
    opened = venue.admin.post(f"/admin/instruments/{parts.format('/')}/open", json=SESSION)
    assert 200 == opened.status_code, opened.text
    venue.hold(trader, symbol, "3", "300")
    buyer = venue.trader()
    bid = {"symbol": symbol, "qty": "2", "side": "buy", "type": "limit", "limit_price": "100"}
    with venue.client(buyer) as other:
        assert 200 == other.post("/v2/orders", json=bid | {"time_in_force": "gtc"}).status_code
    path = parts.format(written)

    with venue.client(trader) as client:
        asset, held = client.get(f"/v2/assets/{path}"), client.get(f"/v2/positions/{path}")
        exercised = client.post(f"/v2/positions/{path}/exercise")
        contract = client.get(f"/v2/options/contracts/{path}")
        closed = client.delete(f"/v2/positions/{path}/", params={"qty": "2"})
        unknown = client.get(f"/v2/assets/{path}X")

    assert (200, symbol) == (asset.status_code, asset.json()["symbol"])
    assert (200, symbol) == (held.status_code, held.json()["symbol"])
    assert (404, "symbol_or_asset_id") == (exercised.status_code, exercised.json()["field"])
    assert (404, "symbol_or_id") == (contract.status_code, contract.json()["field"])
    assert (200, symbol, "filled") == (
        closed.status_code,
        closed.json()["symbol"],
        closed.json()["status"],
    )
    assert (404, "symbol_or_asset_id") == (unknown.status_code, unknown.json()["field"])


@pytest.mark.parametrize(
    "path",
    [
        "/v2/assets/%2F",
        "/v2/assets/a%252Fb",
        "/v2/assets/a//b",
        "/v2/assets/%FF%2Fa",
        "/v2/assets/%2E%2E%2F%2E%2E%2Fadmin%2Faccounts",
        "/v2/assets/a%2F%00",
        "/v2/assets/" + "a/" * 400,
        "/v2/positions/exercise",
        "/v2/positions/a%2Fexercise",
    ],
)
def test_a_path_that_names_nothing_is_not_there(venue: Venue, trader: Trader, path: str) -> None:
    """And leads nowhere else: what a slash separates is looked up, never walked."""
    with httpx.Client(headers=trader.headers) as client:
        answer = client.get(httpx.URL(venue.url).copy_with(raw_path=path.encode()))
    assert answer.status_code in (404, 422), answer.text
    assert "application/problem+json" == answer.headers["content-type"]
