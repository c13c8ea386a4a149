"""A renamed instrument: shown and found by its symbol of today, and by the old one meanwhile."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect

from infrastructure.embedded_server import EmbeddedServer
from tests.venue import Trader, Venue, served

SECONDS = 20


@pytest.fixture(scope="module")
def venue(postgres: EmbeddedServer) -> Iterator[Venue]:
    """One venue for all tests of this file."""
    with served(postgres.dsn()) as venue:
        yield venue


class Renaming:
    """A trader with shares, and an instrument that will have another symbol."""

    def __init__(self, venue: Venue) -> None:
        self.venue = venue
        self.old = venue.instrument()
        self.new = self.old + "N"
        self.trader = venue.trader()
        venue.hold(self.trader, self.old, "50", "5000")
        self.client = venue.client(self.trader)

    def rename(self) -> None:
        """Give the instrument its new symbol; what is asked from now on knows of it."""
        path = f"/admin/instruments/{self.old}"
        done = self.venue.admin.patch(path, json={"new_symbol": self.new})
        assert done.status_code == 200, done.text
        self.client.headers["X-Nexus-Position"] = str(done.json()["position"])

    def order(self, symbol: str, side: str = "sell", price: str = "105") -> dict[str, Any]:
        """A limit order of ten shares."""
        return {
            "symbol": symbol,
            "qty": "10",
            "side": side,
            "type": "limit",
            "time_in_force": "gtc",
            "limit_price": price,
        }

    def place(
        self, symbol: str, client: httpx.Client | None = None, **terms: Any
    ) -> dict[str, Any]:
        """Place an order that is taken."""
        answer = (client or self.client).post("/v2/orders", json={**self.order(symbol), **terms})
        assert answer.status_code == 200, answer.text
        placed: dict[str, Any] = answer.json()
        return placed

    def get(self, path: str, **asked: Any) -> Any:
        """Ask for something that is there."""
        answer = self.client.get(path, params=asked)
        assert answer.status_code == 200, answer.text
        return answer.json()


@pytest.fixture
def renaming(venue: Venue) -> Iterator[Renaming]:
    """An instrument for one test."""
    made = Renaming(venue)
    yield made
    made.client.close()


def test_what_a_renamed_instrument_has_is_shown_by_its_symbol_of_today(renaming: Renaming) -> None:
    """Working orders, those that ended, revisions, legs, positions and activities."""
    new = renaming.new
    exits = {"take_profit": {"limit_price": "108"}, "stop_loss": {"stop_price": "95"}}
    group = renaming.place(renaming.old, order_class="oco", limit_price="108", **exits)
    body = {**renaming.order(renaming.old), "client_order_id": f"of {renaming.old}"}
    order = renaming.client.post("/v2/orders", json=body).json()
    other = renaming.place(renaming.old, limit_price="106")
    renaming.client.delete(f"/v2/orders/{other['id']}")
    with renaming.venue.client(renaming.venue.trader()) as buyer:
        renaming.place(renaming.old, buyer, side="buy", qty="2")
    renaming.rename()

    listed = renaming.get("/v2/orders", status="all", nested="true")
    assert 3 == len(listed)
    assert {new} == {one["symbol"] for one in listed}
    assert {new} == {leg["symbol"] for one in listed for leg in one["legs"] or ()}
    assert new == renaming.get(f"/v2/orders/{group['legs'][0]['id']}")["symbol"]
    assert [new] == [one["symbol"] for one in renaming.get("/v2/positions")]
    assert [new] == [one["symbol"] for one in renaming.get("/v2/account/activities")]

    again = renaming.client.post("/v2/orders", json=body).json()
    replaced = renaming.client.patch(f"/v2/orders/{order['id']}", json={"qty": "8"}).json()
    assert (order["id"], new, new) == (again["id"], again["symbol"], replaced["symbol"])


def test_both_symbols_find_what_a_renamed_instrument_has(renaming: Renaming) -> None:
    """The present one and the old one: lists, asset, position, new orders, and what closes it."""
    order = renaming.place(renaming.old)
    renaming.rename()

    for symbol in (renaming.old, renaming.new):
        (found,) = renaming.get("/v2/orders", symbols=symbol)
        assert (order["id"], renaming.new) == (found["id"], found["symbol"])
        assert order["asset_id"] == renaming.get(f"/v2/assets/{symbol}")["id"]
        assert renaming.new == renaming.get(f"/v2/positions/{symbol}")["symbol"]
    placed = renaming.place(renaming.old, limit_price="106")
    assert (renaming.new, order["asset_id"]) == (placed["symbol"], placed["asset_id"])
    with renaming.venue.client(renaming.venue.trader()) as buyer:
        renaming.place(renaming.new, buyer, side="buy", qty="30", limit_price="100")
        closed = renaming.client.delete(f"/v2/positions/{renaming.old}")
    seen = {"X-Nexus-Position": closed.headers["X-Nexus-Position"]}
    assert (200, renaming.new, "30.00000000") == (
        closed.status_code,
        closed.json()["symbol"],
        closed.json()["filled_qty"],
    )
    tape = renaming.venue.admin.get("/admin/trades", params={"symbol": renaming.old}, headers=seen)
    assert {renaming.new} == {trade["symbol"] for trade in tape.json()}
    due = renaming.get("/v2/settlements", symbol=renaming.old)
    assert [renaming.new] == [one["symbol"] for one in due]


def test_an_old_symbol_leads_to_who_takes_it(renaming: Renaming) -> None:
    """From then on orders and lists by it are of the other instrument."""
    order = renaming.place(renaming.old)
    renaming.rename()
    renaming.venue.instrument(renaming.old)
    with renaming.venue.client(renaming.venue.trader()) as other:
        second = renaming.place(renaming.old, other, side="buy", limit_price="90")

    assert second["asset_id"] != order["asset_id"]
    assert renaming.old == second["symbol"]
    renaming.client.headers["X-Nexus-Position"] = str(
        renaming.venue.admin.post(
            f"/admin/instruments/{renaming.old}/halt", json={"reason": "n"}
        ).json()["position"]
    )
    assert [] == renaming.get("/v2/orders", symbols=renaming.old)
    assert [order["id"]] == [one["id"] for one in renaming.get("/v2/orders", symbols=renaming.new)]
    assert second["asset_id"] == renaming.get(f"/v2/assets/{renaming.old}")["id"]
    assert 404 == renaming.client.get(f"/v2/positions/{renaming.old}").status_code


@pytest.mark.parametrize("listens_before", [True, False])
def test_updates_of_a_renamed_instruments_orders_say_its_symbol_of_today(
    renaming: Renaming, listens_before: bool
) -> None:
    """Whether it was renamed before the account listened, or while it did."""

    async def ask(ws: ClientConnection, message: Any) -> Any:
        await ws.send(json.dumps(message))
        return json.loads(await ws.recv())

    async def speak(trader: Trader) -> dict[str, Any]:
        async with asyncio.timeout(SECONDS), connect(renaming.venue.ws_url) as ws:
            keys = {"key_id": trader.key_id, "secret_key": trader.secret}
            await ask(ws, {"action": "authenticate", "data": keys})
            order = await asyncio.to_thread(renaming.place, renaming.old)
            if not listens_before:
                await asyncio.to_thread(renaming.rename)
            await ask(ws, {"action": "listen", "data": {"streams": ["trade_updates"]}})
            if listens_before:
                await asyncio.to_thread(renaming.rename)
            await asyncio.to_thread(renaming.client.delete, f"/v2/orders/{order['id']}")
            told: dict[str, Any] = json.loads(await ws.recv())["data"]
            return told

    update = asyncio.run(speak(renaming.trader))

    assert ("canceled", renaming.new) == (update["event"], update["order"]["symbol"])
