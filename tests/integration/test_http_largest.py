"""The finest lots and the largest quantities through every door, into every table and out again."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from infrastructure.embedded_server import EmbeddedServer
from tests.venue import Venue, served

LARGEST = "999999999.99999999"


@pytest.fixture(scope="module")
def venue(postgres: EmbeddedServer) -> Iterator[Venue]:
    """One venue for all tests of this file."""
    with served(postgres.dsn()) as venue:
        yield venue


def order(symbol: str, side: str, qty: str, price: str, **terms: Any) -> dict[str, Any]:
    """A limit order."""
    return {
        "symbol": symbol,
        "qty": qty,
        "side": side,
        "type": "limit",
        "time_in_force": "gtc",
        "limit_price": price,
        **terms,
    }


def placed(client: httpx.Client, body: dict[str, Any]) -> Any:
    """The document of an order that is taken."""
    answer = client.post("/v2/orders", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.parametrize("qty", ["22", "21.47483648", "1234567.00000001", LARGEST])
def test_a_lot_of_a_hundred_millionth_takes_every_quantity(venue: Venue, qty: str) -> None:
    """It is traded, shown and held to the last place."""
    symbol = venue.instrument(tick="0.0001", lot="0.00000001", reference_price="0.0003")
    buyer, seller = venue.trader(), venue.trader()
    venue.hold(seller, symbol, qty)
    with venue.client(buyer) as buying, venue.client(seller) as selling:
        placed(selling, order(symbol, "sell", qty, "0.0003"))
        bought = placed(buying, order(symbol, "buy", qty, "0.0003"))
        held = buying.get(f"/v2/positions/{symbol}").json()

    units = qty if "." in qty else f"{qty}.00000000"
    assert ("filled", units, units) == tuple(bought[n] for n in ("status", "qty", "filled_qty"))
    assert units == held["qty"]


def test_a_quantity_that_is_too_large_is_refused_with_the_bound(venue: Venue) -> None:
    """The refusal names the field and the largest there is, of prices as of quantities."""
    symbol = venue.instrument(tick="0.0001", lot="0.00000001", reference_price="1")
    with venue.client(venue.trader()) as client:
        qty = client.post("/v2/orders", json=order(symbol, "buy", "1000000000", "1"))
        price = client.post("/v2/orders", json=order(symbol, "buy", "1", "100000000"))

    for answer, field, largest in ((qty, "qty", LARGEST), (price, "limit_price", "99999999.9")):
        assert (422, "INVALID_AMOUNT", field) == (
            answer.status_code,
            answer.json()["reason"],
            answer.json()["field"],
        )
        assert f"is larger than {largest}" in answer.json()["message"]


def test_a_side_of_more_than_64_bits_goes_through_auction_and_views(venue: Venue) -> None:
    """A hundred and twenty of the largest orders a side: they open, trade and are read back."""
    symbol = venue.instrument(
        tick="0.000000001",
        lot="0.00000001",
        price_decimals=9,
        reference_price="0.000000003",
        shortable=True,
    )
    admin = f"/admin/instruments/{symbol}"
    assert 200 == venue.admin.post(f"{admin}/halt", json={"reason": "news"}).status_code
    pairs = [(venue.trader(kind="margin"), venue.trader(kind="margin")) for _ in range(4)]
    for buyer, seller in pairs:
        with venue.client(buyer) as buying, venue.client(seller) as selling:
            for _ in range(30):
                placed(buying, order(symbol, "buy", LARGEST, "0.000000003"))
                placed(selling, order(symbol, "sell", LARGEST, "0.000000003"))

    resumed = venue.admin.post(f"{admin}/resume")

    assert resumed.status_code == 200, resumed.text
    seen = {"X-Nexus-Position": str(resumed.json()["position"])}
    for buyer, seller in pairs:
        with venue.client(buyer) as buying, venue.client(seller) as selling:
            path = f"/v2/positions/{symbol}"
            sides = buying.get(path, headers=seen), selling.get(path, headers=seen)
            quantities = [answer.json()["qty"] for answer in sides]
            assert ["29999999999.99999970", "-29999999999.99999970"] == quantities
            shown = buying.get("/v2/orders", params={"status": "all", "limit": 50}).json()
            assert 30 * ["filled"] == [order["status"] for order in shown]
    assert 200 == venue.admin.get("/readyz").status_code
