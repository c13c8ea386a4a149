"""What clients are told of orders that wait for trading to go on, and of what trading leaves."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import httpx
import pytest

from infrastructure.embedded_server import EmbeddedServer
from tests.venue import YEAR_2100, Trader, Venue, served

SESSION = {
    "session_date": 20261123,
    "value_date": 20261124,
    "opens_at": "2026-11-23T00:00:00Z",
    "closes_at": YEAR_2100,
}


@pytest.fixture(scope="module")
def venue(postgres: EmbeddedServer) -> Iterator[Venue]:
    """One venue for all tests of this file."""
    with served(postgres.dsn()) as venue:
        yield venue


@pytest.fixture
def symbol(venue: Venue) -> str:
    """An instrument about 100, protected by one percent."""
    return venue.instrument()


@pytest.fixture
def trader(venue: Venue, symbol: str) -> Trader:
    """A trader with fifty shares."""
    trader = venue.trader()
    venue.hold(trader, symbol, "50", "5000")
    return trader


@pytest.fixture
def client(venue: Venue, trader: Trader) -> Iterator[httpx.Client]:
    """The trader's way in."""
    with venue.client(trader) as client:
        yield client


@pytest.fixture
def other(venue: Venue, symbol: str) -> Iterator[httpx.Client]:
    """Somebody to trade with."""
    trader = venue.trader()
    venue.hold(trader, symbol, "50", "5000")
    with venue.client(trader) as client:
        yield client


def order(symbol: str, side: str, qty: str, price: str | None = None, **terms: Any) -> Any:
    """A day order, by a limit when a price is given."""
    limit = {"type": "limit", "limit_price": price} if price else {"type": "market"}
    body = {"symbol": symbol, "side": side, "qty": qty, "time_in_force": "day"}
    return {**body, **limit, **terms}


def done(answer: httpx.Response) -> Any:
    """The document of what was taken."""
    assert 200 == answer.status_code, answer.text
    return answer.json()


def operate(venue: Venue, symbol: str, step: str) -> httpx.Response:
    """Move an instrument on in its session."""
    body = {"halt": {"reason": "news"}, "open": SESSION}.get(step)
    answer = venue.admin.post(f"/admin/instruments/{symbol}/{step}", json=body)
    assert 200 == answer.status_code, answer.text
    return answer


def read(client: httpx.Client, placed: Any, after: httpx.Response | None = None) -> Any:
    """An order as it stands, once what another did is seen."""
    seen = {"X-Nexus-Position": after.headers["X-Nexus-Position"]} if after else {}
    return done(client.get(f"/v2/orders/{placed['id']}", headers=seen))


@pytest.mark.parametrize(("pause", "go_on"), [("halt", "resume"), ("close", "open")])
def test_queued_orders_of_every_kind_are_taken_replaced_and_trade_in_the_auction(
    venue: Venue,
    symbol: str,
    client: httpx.Client,
    other: httpx.Client,
    pause: str,
    go_on: str,
) -> None:
    """Market, stop, stop-limit, bracket, close of a position; a limit is replaced meanwhile."""
    limit = done(
        client.post("/v2/orders", json=order(symbol, "buy", "5", "85", time_in_force="gtc"))
    )
    operate(venue, symbol, pause)

    market = done(client.post("/v2/orders", json=order(symbol, "buy", "4")))
    stop = done(
        client.post(
            "/v2/orders", json={**order(symbol, "sell", "1"), "type": "stop", "stop_price": "80"}
        )
    )
    assert ("new", None, "new") == (market["status"], market["protection_price"], stop["status"])
    replaced = done(client.patch(f"/v2/orders/{limit['id']}", json={"limit_price": "86"}))
    assert "86.0000" == replaced["limit_price"]
    exits = {"take_profit": {"limit_price": "120"}, "stop_loss": {"stop_price": "85"}}
    group = done(
        client.post("/v2/orders", json=order(symbol, "buy", "2", order_class="bracket", **exits))
    )
    assert "new" == group["status"]
    closing = done(other.delete(f"/v2/positions/{symbol}", params={"qty": "8"}))
    assert ("market", "new") == (closing["type"], closing["status"])

    goes_on = operate(venue, symbol, go_on)

    assert "filled" == read(client, market, goes_on)["status"]
    assert "filled" == read(client, group)["status"]
    left = read(other, closing, goes_on)
    assert ("partially_filled", "6.00000000") == (left["status"], left["filled_qty"])
    assert left["protection_price"] is not None
    nested = done(client.get(f"/v2/orders/{group['id']}", params={"nested": "true"}))
    assert ["new", "held"] == [leg["status"] for leg in nested["legs"]]


def test_what_cannot_be_queued_says_until_when_by_its_calendar(venue: Venue) -> None:
    """An exchange's instrument names its next session; one opened by hand an operator."""
    listed = {"tick": "0.01", "lot": "1", "reference_price": "100", "calendar": "XNYS"}
    body = {"symbol": "UNTIL", "name": "Until Incorporated", **listed}
    done(venue.admin.post("/admin/instruments", json=body))
    at_once = order("UNTIL", "buy", "1", time_in_force="ioc")
    with venue.client(venue.trader()) as client:
        said = client.post("/v2/orders", json=at_once)
        opens = datetime.fromisoformat(done(client.get("/v2/clock"))["next_open"])
        by_hand = venue.instrument()
        operate(venue, by_hand, "halt")
        halted = client.post("/v2/orders", json={**at_once, "symbol": by_hand}).json()
        operate(venue, by_hand, "close")
        closed = client.post("/v2/orders", json={**at_once, "symbol": by_hand}).json()

    problem = said.json()
    assert (403, "MARKET_CLOSED") == (said.status_code, problem["reason"])
    assert opens >= datetime.fromisoformat(problem["until"])
    assert problem["until"] in problem["message"]
    assert ("INSTRUMENT_HALTED", None) == (halted["reason"], halted["until"])
    assert ("MARKET_CLOSED", None) == (closed["reason"], closed["until"])


def test_stop_remainder_works_on_for_a_position_that_would_be_bare(
    venue: Venue, symbol: str, client: httpx.Client, other: httpx.Client
) -> None:
    """One is sold at 95, nine are offered at 94.05, shown in the order and in its group."""
    entry = order(symbol, "buy", "10", "100", time_in_force="gtc", order_class="bracket")
    exits = {"take_profit": {"limit_price": "110"}, "stop_loss": {"stop_price": "95"}}
    done(other.post("/v2/orders", json=order(symbol, "sell", "10", "100")))
    group = done(client.post("/v2/orders", json={**entry, **exits}))
    third = venue.trader()
    with venue.client(third) as buyer:
        done(buyer.post("/v2/orders", json=order(symbol, "buy", "2", "95")))
        done(buyer.post("/v2/orders", json=order(symbol, "buy", "50", "91")))
        hit = other.post("/v2/orders", json=order(symbol, "sell", "1", "95"))

        stop = read(client, group["legs"][1], hit)
        assert ("partially_filled", "1.00000000", "94.0500", None) == (
            stop["status"],
            stop["filled_qty"],
            stop["protection_price"],
            stop["cancel_reason"],
        )
        listed = done(client.get("/v2/orders", params={"status": "open"}))
        assert [stop["id"]] == [one["id"] for one in listed]
        taken = buyer.post("/v2/orders", json=order(symbol, "buy", "9", "94.05"))
        assert "filled" == read(client, stop, taken)["status"]


def test_stop_remainder_terms_are_the_operators_to_set(venue: Venue, symbol: str) -> None:
    """Shown with the instrument; what is left out stays, what is out of range is refused."""
    path = f"/admin/instruments/{symbol}"

    def terms() -> tuple[int, str]:
        with venue.client(venue.trader()) as client:
            shown = done(client.get(f"/v2/assets/{symbol}"))
        return shown["protection_bps"], shown["remainder"]

    assert (100, "rest") == terms()
    done(venue.admin.patch(path, json={"protection_bps": 250, "remainder": "cancel"}))
    assert (250, "cancel") == terms()
    done(venue.admin.patch(path, json={"name": "Another"}))
    assert (250, "cancel") == terms()
    for field, wrong in (("protection_bps", 0), ("protection_bps", 10_000), ("remainder", "keep")):
        refused = venue.admin.patch(path, json={field: wrong})
        assert (422, field) == (refused.status_code, refused.json()["field"])
