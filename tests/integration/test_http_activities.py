"""Activities and revisions: every fill with what became of it, every revision with its times."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import httpx
import pytest

from infrastructure.embedded_server import EmbeddedServer
from tests.venue import Venue, served


@pytest.fixture(scope="module")
def venue(postgres: EmbeddedServer) -> Iterator[Venue]:
    """One venue for all tests of this file."""
    with served(postgres.dsn()) as venue:
        yield venue


class Market:
    """Two traders in an instrument of their own."""

    def __init__(self, venue: Venue) -> None:
        self.venue = venue
        self.symbol = venue.instrument()
        self.position = 0
        self.buyer, self.seller = venue.trader(), venue.trader()
        venue.hold(self.seller, self.symbol, "100", "10000")
        self.buys, self.sells = venue.client(self.buyer), venue.client(self.seller)

    def close(self) -> None:
        """Let both clients go."""
        self.buys.close()
        self.sells.close()

    def place(self, client: httpx.Client, side: str, qty: str, price: str) -> dict[str, Any]:
        """Place a limit order."""
        body = {
            "symbol": self.symbol,
            "qty": qty,
            "side": side,
            "type": "limit",
            "time_in_force": "gtc",
            "limit_price": price,
        }
        answer = client.post("/v2/orders", json=body)
        assert answer.status_code == 200, answer.text
        self.position = int(answer.headers["X-Nexus-Position"])
        placed: dict[str, Any] = answer.json()
        return placed

    def trade(self, qty: str, price: str) -> str:
        """Let the buyer buy from the seller: the trade's id."""
        self.place(self.sells, "sell", qty, price)
        self.place(self.buys, "buy", qty, price)
        return str(self.activities(self.buys)[0]["execution_id"])

    def revise(self, trade_id: str, how: str, **terms: str) -> None:
        """Bust or correct a trade."""
        body = {"reason": "an error", **terms}
        done = self.venue.admin.post(f"/admin/trades/{trade_id}/{how}", json=body)
        assert done.status_code == 200, done.text
        self.position = done.json()["position"]

    def activities(self, client: httpx.Client, **asked: Any) -> list[dict[str, Any]]:
        """What an account is told of its fills, when all that is committed is shown."""
        answer = client.get("/v2/account/activities", params=asked, headers=self.seen())
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json()
        return found

    def seen(self) -> dict[str, str]:
        """The header that asks for all that was done here."""
        return {"X-Nexus-Position": str(self.position)}


@pytest.fixture
def market(venue: Venue) -> Iterator[Market]:
    """A market for one test."""
    market = Market(venue)
    yield market
    market.close()


def summed(activities: list[dict[str, Any]]) -> tuple[Decimal, Decimal]:
    """The quantity and the value that activities add up to, bought positive."""
    signs = {"buy": 1, "sell": -1}
    signed = [(signs[a["side"]] * Decimal(a["qty"]), Decimal(a["price"])) for a in activities]
    return sum((q for q, _ in signed), Decimal(0)), sum((q * p for q, p in signed), Decimal(0))


def test_activities_add_up_to_the_position(market: Market) -> None:
    """Fills, busts and corrections of both accounts, in the order in which they happened."""
    first = market.trade("5", "100")
    second = market.trade("3", "101")
    third = market.trade("7", "99.5")
    market.revise(second, "correct", price="100.25")
    market.revise(third, "bust")
    market.revise(second, "correct", price="100.75")
    market.revise(first, "correct", price="98")
    market.revise(first, "bust")

    told = market.activities(market.buys)
    held = market.buys.get(f"/v2/positions/{market.symbol}", headers=market.seen()).json()

    assert (Decimal(3), Decimal("302.25")) == summed(told)
    assert "3.00000000" == held["qty"]
    # What was paid is what the rest costs, less what was won by those that were taken back.
    assert Decimal("302.25") == Decimal(held["cost_basis"]) - Decimal(held["realized_pl"])
    assert [
        ("fill", "5.00000000", "100.0000", first),
        ("fill", "3.00000000", "101.0000", second),
        ("fill", "7.00000000", "99.5000", third),
        ("trade_correct", "-3.00000000", "101.0000", second),
        ("trade_correct", "3.00000000", "100.2500", second),
        ("trade_bust", "-7.00000000", "99.5000", third),
        ("trade_correct", "-3.00000000", "100.2500", second),
        ("trade_correct", "3.00000000", "100.7500", second),
        ("trade_correct", "-5.00000000", "100.0000", first),
        ("trade_correct", "5.00000000", "98.0000", first),
        ("trade_bust", "-5.00000000", "98.0000", first),
    ] == [(a["exact_type"], a["qty"], a["price"], a["execution_id"]) for a in reversed(told)]
    assert {"fill"} == {a["type"] for a in told}
    assert len(told) == len({a["id"] for a in told})

    sold = market.activities(market.sells)
    left = market.sells.get(f"/v2/positions/{market.symbol}", headers=market.seen()).json()
    assert (Decimal(-3), Decimal("-302.25")) == summed(sold)
    assert "97.00000000" == left["qty"]
    assert {"sell"} == {a["side"] for a in sold}


def test_activities_are_asked_by_time_and_page(market: Market) -> None:
    """A bust is of the moment it was made, not of its trade's."""
    trade_id = market.trade("5", "100")
    (fill,) = market.activities(market.buys)
    market.revise(trade_id, "bust")
    bust, again = market.activities(market.buys)

    assert fill == again
    assert [bust] == market.activities(market.buys, after=fill["transaction_time"])
    assert [fill] == market.activities(market.buys, until=bust["transaction_time"])
    assert [bust] == market.activities(market.buys, page_size=1)
    assert [] == market.activities(market.buys, activity_types="DIV")


TIMES = (
    "created_at",
    "submitted_at",
    "filled_at",
    "replaced_at",
    "updated_at",
    "canceled_at",
    "expired_at",
)


def test_every_revision_has_times_of_its_own(market: Market) -> None:
    """It began when it took the place of the one before, and is filled by what it traded itself."""
    first = market.place(market.buys, "buy", "10", "100")
    market.place(market.sells, "sell", "2", "100")
    patched = market.buys.patch(f"/v2/orders/{first['id']}", json={"limit_price": "101"})
    second = patched.json()
    third = market.buys.patch(f"/v2/orders/{second['id']}", json={"qty": "9"}).json()
    market.place(market.sells, "sell", "3", "101")
    gone = market.buys.delete(f"/v2/orders/{third['id']}")
    market.position = int(gone.headers["X-Nexus-Position"])

    shown = [
        {name: one[name] for name in ("id", "filled_qty", "status", *TIMES)}
        for one in (
            market.buys.get(f"/v2/orders/{order['id']}", headers=market.seen()).json()
            for order in (first, second, third)
        )
    ]

    begun = [one["submitted_at"] for one in shown]
    assert begun == sorted(set(begun)) == [one["created_at"] for one in shown]
    assert [first["submitted_at"], second["submitted_at"], third["submitted_at"]] == begun
    assert [begun[1], begun[2], None] == [one["replaced_at"] for one in shown]
    assert begun[0] < shown[0]["filled_at"] < begun[1]
    assert None is shown[1]["filled_at"]
    assert begun[2] < shown[2]["filled_at"] < shown[2]["canceled_at"]
    assert [begun[1], begun[2], shown[2]["canceled_at"]] == [one["updated_at"] for one in shown]
    assert [None, None] == [one["canceled_at"] for one in shown[:2]]
    assert ["2.00000000", "2.00000000", "5.00000000"] == [one["filled_qty"] for one in shown]
    listed = market.buys.get("/v2/orders", params={"status": "all", "direction": "asc"}).json()
    assert shown == [{name: one[name] for name in shown[0]} for one in listed]


def test_revisions_are_listed_by_their_own_time(market: Market) -> None:
    """What was submitted later is later, also when an order was replaced after another came."""
    first = market.place(market.buys, "buy", "10", "99")
    other = market.place(market.buys, "buy", "1", "98")
    second = market.buys.patch(f"/v2/orders/{first['id']}", json={"qty": "9"}).json()

    def listed(**asked: Any) -> list[str]:
        answer = market.buys.get("/v2/orders", params=asked, headers=market.seen())
        return [order["id"] for order in answer.json()]

    assert [second["id"], other["id"]] == listed()
    assert [other["id"], second["id"]] == listed(direction="asc")
    assert [first["id"], other["id"], second["id"]] == listed(status="all", direction="asc")
    assert [second["id"]] == listed(after=other["submitted_at"])
    assert [first["id"]] == listed(status="all", until=other["submitted_at"])
    assert [first["id"]] == listed(status="closed")
    assert [second["id"]] == listed(status="all", limit=1)
    assert [first["id"]] == listed(status="all", limit=1, direction="asc")
