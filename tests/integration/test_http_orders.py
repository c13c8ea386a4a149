"""Orders over HTTP against a real writer, real views and a real store."""

from collections.abc import Iterator

import pytest

from infrastructure.embedded_server import EmbeddedServer
from tests.venue import Venue, served


@pytest.fixture(scope="module")
def venue(postgres: EmbeddedServer) -> Iterator[Venue]:
    """One venue for all tests of this file."""
    with served(postgres.dsn()) as venue:
        yield venue


def limit_order(symbol: str, **terms: object) -> dict[str, object]:
    """A buy order that rests."""
    return {
        "symbol": symbol,
        "qty": "10",
        "side": "buy",
        "type": "limit",
        "time_in_force": "gtc",
        "limit_price": "99.50",
        **terms,
    }


def test_an_order_that_was_answered_is_read_back(venue: Venue) -> None:
    """A GET right after the POST shows the order: it waits for the views."""
    symbol = venue.instrument()
    with venue.client(venue.trader()) as client:
        placed = client.post("/v2/orders", json=limit_order(symbol))
        assert placed.status_code == 200, placed.text
        order = placed.json()
        read = client.get(f"/v2/orders/{order['id']}")

    assert ("new", "10.00000000", "99.5000") == (
        order["status"],
        order["qty"],
        order["limit_price"],
    )
    assert order == read.json()
    assert int(placed.headers["X-Nexus-Position"]) > 0
