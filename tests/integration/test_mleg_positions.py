"""Multi-leg orders as holdings: what they won, what is open, and what the venue undid."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from infrastructure.embedded_server import EmbeddedServer
from tests.integration.test_mleg_http import Desk, plain, problem
from tests.venue import Venue, served


@pytest.fixture(scope="module")
def venue(postgres: EmbeddedServer) -> Iterator[Venue]:
    """One venue for all tests of this file."""
    with served(postgres.dsn()) as venue:
        yield venue


@pytest.fixture
def desk(venue: Venue) -> Iterator[Desk]:
    """A desk of the test's own, with ten spreads bought at 101 less 99."""
    desk = Desk(venue)
    with desk.client, desk.market:
        desk.quotes()
        desk.placed(limit_price="2", client_order_id=f"first-{desk.symbols[0]}")
        yield desk


def positions(client: httpx.Client, **params: str) -> list[dict[str, Any]]:
    """The multi-leg orders that are shown as holdings."""
    answer = client.get("/v2/positions", params={"group": "strategy", **params})
    assert answer.status_code == 200, answer.text
    documents: list[dict[str, Any]] = answer.json()
    return documents


def legs(one: dict[str, Any], *members: str) -> list[tuple[Any, ...]]:
    """Some members of each leg."""
    return [tuple(leg[name] for name in members) for leg in one["legs"]]


def _behind(desk: Desk, answer: httpx.Response) -> list[dict[str, Any]]:
    """What is shown once the views hold what an operator did."""
    desk.client.headers["X-Nexus-Position"] = str(answer.json()["position"])
    return positions(desk.client)


def test_mleg_position_is_all_legs_together(desk: Desk) -> None:
    """Open at the average of each leg; what it is worth follows the prices of all legs."""
    (one,) = positions(desk.client)

    assert [
        (desk.symbols[0], "buy", "10.00000000", "10.00000000", "101.000000"),
        (desk.symbols[1], "sell", "10.00000000", "10.00000000", "99.000000"),
    ] == legs(one, "symbol", "side", "traded_qty", "open_qty", "avg_entry_price")
    assert (True, "0.00", "0.00", []) == (
        *(one["open"], one["realized_pl"], one["unrealized_pl"], one["flags"]),
    )

    desk.market.delete("/v2/orders")
    desk.market.post("/v2/orders", json=plain(desk.symbols[0], "buy", "103", "1"))
    # A sale of its own closes one of the ten.
    desk.client.post("/v2/orders", json=plain(desk.symbols[0], "sell", "103", "1"))
    (one,) = positions(desk.client)
    assert [("9.00000000",), ("10.00000000",)] == legs(one, "open_qty")
    assert ("2.00", "18.00") == (one["realized_pl"], one["unrealized_pl"])


def test_mleg_closes_the_oldest_first(desk: Desk) -> None:
    """A multi-leg order the other way round closes, and opens nothing of its own."""
    desk.placed(limit_price="2", qty="5")
    desk.market.delete("/v2/orders")
    for symbol, side, price in ((desk.symbols[0], "buy", "102"), (desk.symbols[1], "sell", "98")):
        desk.market.post("/v2/orders", json=plain(symbol, side, price, "12"))
    first, second = desk.symbols
    back = [
        {"symbol": first, "ratio_qty": "1", "side": "sell"},
        {"symbol": second, "ratio_qty": "1", "side": "buy"},
    ]
    desk.placed(legs=back, limit_price="-4", qty="12")

    (left,) = positions(desk.client)
    assert [("3.00000000",), ("3.00000000",)] == legs(left, "open_qty")
    assert "4.00" == left["realized_pl"]
    closed = positions(desk.client, status="closed")
    assert [("20.00", False), ("0.00", False)] == [
        (one["realized_pl"], one["open"]) for one in closed
    ]
    assert 3 == len(positions(desk.client, status="all"))


def test_mleg_follows_a_correction_and_flags_a_bust(desk: Desk, venue: Venue) -> None:
    """A corrected price is what was paid; a busted leg leaves the order out of ratio."""
    trades = {
        one["symbol"]: one["execution_id"]
        for one in desk.client.get("/v2/account/activities").json()
    }
    first, second = desk.symbols
    corrected = venue.admin.post(
        f"/admin/trades/{trades[first]}/correct", json={"price": "100", "reason": "wrong"}
    )
    assert corrected.status_code == 200, corrected.text
    (one,) = _behind(desk, corrected)
    assert [("100.000000",), ("99.000000",)] == legs(one, "avg_entry_price")
    assert [] == one["flags"]

    busted = venue.admin.post(f"/admin/trades/{trades[second]}/bust", json={"reason": "wrong"})
    assert busted.status_code == 200, busted.text

    (one,) = _behind(desk, busted)
    assert ["leg_busted", "out_of_ratio"] == one["flags"]
    assert [("10.00000000",), ("0.00000000",)] == legs(one, "open_qty")


def test_mleg_status_is_taken_of_multileg_positions_alone(desk: Desk) -> None:
    """Without group it would say nothing, and is refused by name."""
    answer = desk.client.get("/v2/positions", params={"status": "open"})

    assert (422, "INVALID_FIELD", "status", None) == problem(answer)
    assert 422 == desk.client.get("/v2/positions", params={"group": "none"}).status_code


def test_mleg_unwound_leg_is_closed_in_its_own_order(desk: Desk) -> None:
    """What closes a leg that was ahead closes that, not what another order opened before it."""
    desk.market.delete("/v2/orders")
    first = desk.symbols[0]
    for side, price in (("sell", "102"), ("buy", "101")):
        desk.market.post("/v2/orders", json=plain(first, side, price, "5"))

    placed = desk.placed(execution="sequential", leg_seconds=60, qty="5", limit_price="10")
    assert 204 == desk.client.delete(f"/v2/orders/{placed['id']}").status_code

    order = desk.got(placed["id"])
    assert ("canceled", "unwound", "5.00") == (
        *(order["status"], order["strategy_status"], order["strategy"]["unwinding_cost"]),
    )
    life = desk.client.get(f"/v2/orders/{placed['id']}/events").json()
    (closed,) = (one for one in life if one["type"] == "multileg.closed.v1")
    assert "order.filled.v1" in {
        one["type"] for one in life if one["originator_id"] == closed["data"]["order_id"]
    }
    shown = positions(desk.client, status="all")
    assert [("0.00", True), ("-5.00", False)] == [
        (one["realized_pl"], one["open"]) for one in shown
    ]
    assert [] == shown[1]["flags"]
