"""Groups of linked orders over HTTP and the socket: nested, linked, canceled and refused whole."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import httpx
import pytest
from websockets.asyncio.client import connect

from infrastructure.embedded_server import EmbeddedServer
from tests.venue import Trader, Venue, served

SECONDS = 20


@pytest.fixture(scope="module")
def venue(postgres: EmbeddedServer) -> Iterator[Venue]:
    """One venue for all tests of this file."""
    with served(postgres.dsn()) as venue:
        yield venue


@pytest.fixture
def symbol(venue: Venue) -> str:
    """An instrument of the test's own, open."""
    return venue.instrument()


@pytest.fixture
def trader(venue: Venue, symbol: str) -> Trader:
    """A trader who holds 50 shares."""
    trader = venue.trader()
    venue.hold(trader, symbol, "50", "5000")
    return trader


@pytest.fixture
def client(venue: Venue, trader: Trader) -> Iterator[httpx.Client]:
    """The trader's client."""
    with venue.client(trader) as client:
        yield client


def plain(symbol: str, side: str, price: str, qty: str = "10") -> dict[str, Any]:
    """A limit order of its own."""
    return {
        "symbol": symbol,
        "qty": qty,
        "side": side,
        "type": "limit",
        "time_in_force": "gtc",
        "limit_price": price,
    }


def oco(symbol: str, **terms: Any) -> dict[str, Any]:
    """Exits for ten shares that are held."""
    return {
        **plain(symbol, "sell", "105"),
        "order_class": "oco",
        "limit_price": None,
        "take_profit": {"limit_price": "105"},
        "stop_loss": {"stop_price": "95"},
        **terms,
    }


def bracket(symbol: str, **terms: Any) -> dict[str, Any]:
    """An entry for ten shares with both exits."""
    return {**oco(symbol), "order_class": "bracket", "side": "buy", "limit_price": "100", **terms}


def placed(client: httpx.Client, body: dict[str, Any]) -> dict[str, Any]:
    """A group as it was answered."""
    answer = client.post("/v2/orders", json=body)
    assert answer.status_code == 200, answer.text
    document: dict[str, Any] = answer.json()
    return document


def refused(client: httpx.Client, body: dict[str, Any]) -> tuple[int, str, str | None, str | None]:
    """Status, reason, field and leg of a refusal, and nothing works afterwards."""
    answer = client.post("/v2/orders", json=body)
    problem = answer.json()
    assert [] == client.get("/v2/orders").json()
    return answer.status_code, problem["reason"], problem["field"], problem["leg"]


def test_oco_legs_carry_group_leg_and_class_wherever_they_are_shown(
    client: httpx.Client, symbol: str
) -> None:
    """Answered nested, read flat and nested: the same documents."""
    group = placed(client, oco(symbol))
    (stop,) = group["legs"]

    flat = {order["id"]: order for order in client.get("/v2/orders").json()}
    (nested,) = client.get("/v2/orders", params={"nested": "true"}).json()

    assert group == nested
    assert {stop["id"]: stop, group["id"]: {**group, "legs": None}} == flat
    assert [("oco", "take_profit"), ("oco", "stop_loss")] == [
        (order["order_class"], order["leg"]) for order in (group, stop)
    ]
    assert {group["group_id"]} == {order["group_id"] for order in (group, stop)}
    by_group = client.get(f"/v2/orders/{group['group_id']}", params={"nested": "true"})
    assert group == by_group.json()


def test_oco_exits_reserve_each_share_once(client: httpx.Client, symbol: str) -> None:
    """Both legs stand for the same ten shares; what is left of fifty may still be sold."""
    placed(client, oco(symbol))

    held = client.get(f"/v2/positions/{symbol}").json()
    beyond = client.post("/v2/orders", json=plain(symbol, "sell", "104", "41"))
    rest = client.post("/v2/orders", json=plain(symbol, "sell", "104", "40"))

    assert "40.00000000" == held["qty_available"]
    assert (403, "INSUFFICIENT_QTY") == (beyond.status_code, beyond.json()["reason"])
    assert 200 == rest.status_code


@pytest.mark.parametrize("which", ["parent", "leg", "group"])
def test_oco_is_canceled_by_parent_leg_or_group_id(
    client: httpx.Client, symbol: str, which: str
) -> None:
    """Any of its ids ends all of it, and frees the shares."""
    group = placed(client, oco(symbol))
    ids = {"parent": group["id"], "leg": group["legs"][0]["id"], "group": group["group_id"]}

    canceled = client.delete(f"/v2/orders/{ids[which]}")

    assert 204 == canceled.status_code, canceled.text
    for other in ids.values():
        again = client.delete(f"/v2/orders/{other}")
        assert (422, "ORDER_NOT_WORKING") == (again.status_code, again.json()["reason"])
    assert [] == client.get("/v2/orders", params={"nested": "true"}).json()
    shown = client.get(f"/v2/orders/{group['id']}", params={"nested": "true"}).json()
    assert ["canceled", "canceled"] == [o["status"] for o in (shown, *shown["legs"])]
    assert "50.00000000" == client.get(f"/v2/positions/{symbol}").json()["qty_available"]


def test_a_bracket_is_canceled_by_its_group_id(client: httpx.Client, symbol: str) -> None:
    """Before its entry trades, all three orders end."""
    group = placed(client, bracket(symbol))

    assert 204 == client.delete(f"/v2/orders/{group['group_id']}").status_code

    shown = client.get(f"/v2/orders/{group['id']}", params={"nested": "true"}).json()
    assert ["canceled"] * 3 == [o["status"] for o in (shown, *shown["legs"])]
    assert [] == client.get("/v2/orders").json()


def test_oco_of_another_is_not_there(venue: Venue, client: httpx.Client, symbol: str) -> None:
    """Neither group nor leg nor their events can be seen or canceled by a stranger."""
    group = placed(client, oco(symbol))

    with venue.client(venue.trader()) as stranger:
        for order_id in (group["id"], group["group_id"], group["legs"][0]["id"]):
            assert 404 == stranger.get(f"/v2/orders/{order_id}").status_code
            assert 404 == stranger.get(f"/v2/orders/{order_id}/events").status_code
            assert 404 == stranger.delete(f"/v2/orders/{order_id}").status_code


def test_oco_events_print_the_linked_life_in_order(
    venue: Venue, client: httpx.Client, symbol: str
) -> None:
    """By any of its ids: every leg's events and the group's own, as the log has them."""
    group = placed(client, oco(symbol))
    with venue.client(venue.trader()) as buyer:
        buyer.post("/v2/orders", json=plain(symbol, "buy", "105", "4"))
        seen = buyer.post("/v2/orders", json=plain(symbol, "buy", "105", "6")).headers

    lives = [
        client.get(
            f"/v2/orders/{order_id}/events",
            headers={"X-Nexus-Position": seen["X-Nexus-Position"]},
        ).json()
        for order_id in (group["id"], group["group_id"], group["legs"][0]["id"])
    ]

    assert lives[0] == lives[1] == lives[2]
    told = [(event["type"].rsplit(".", 1)[0], event["data"]["leg"]) for event in lives[0]]
    assert [
        ("oco.placed", None),
        ("order.accepted", "take_profit"),
        ("order.accepted", "stop_loss"),
        ("order.filled", "take_profit"),
        ("oco.leg_filled", "take_profit"),
        ("order.adjusted", "stop_loss"),
        ("order.filled", "take_profit"),
        ("oco.leg_filled", "take_profit"),
        ("order.canceled", "stop_loss"),
        ("oco.ended", None),
    ] == told
    positions = [event["position"] for event in lives[0]]
    assert sorted(positions) == positions
    group_ids = {e["data"].get("group_id", e["originator_id"]) for e in lives[0]}
    assert {group["group_id"]} == group_ids


def test_oco_example_of_a_partial_take_profit_and_then_the_stop_loss(
    venue: Venue, trader: Trader, client: httpx.Client, symbol: str
) -> None:
    """Ten to sell at 105 or stopped at 95: four take the profit, five the loss at once, and the
    last waits at the protection price until somebody pays it.
    """
    buyer, seller = venue.trader(), venue.trader()
    venue.hold(seller, symbol, "1", "100")
    group = placed(client, oco(symbol))
    with venue.client(buyer) as buying, venue.client(seller) as selling:

        def now(answer: httpx.Response) -> list[tuple[str, str, str]]:
            seen = {"X-Nexus-Position": answer.headers["X-Nexus-Position"]}
            shown = client.get(
                f"/v2/orders/{group['id']}", params={"nested": "true"}, headers=seen
            ).json()
            return [(o["status"], o["qty"], o["filled_qty"]) for o in (shown, *shown["legs"])]

        taken = now(buying.post("/v2/orders", json=plain(symbol, "buy", "105", "4")))
        buying.post("/v2/orders", json=plain(symbol, "buy", "95", "1"))
        buying.post("/v2/orders", json=plain(symbol, "buy", "94.5", "5"))
        buying.post("/v2/orders", json=plain(symbol, "buy", "90", "50"))
        hit = selling.post("/v2/orders", json=plain(symbol, "sell", "95", "1"))
        stopped = now(hit)
        rests = client.get(f"/v2/orders/{group['legs'][0]['id']}").json()
        sold = now(buying.post("/v2/orders", json=plain(symbol, "buy", "94.05", "1")))

    assert [
        ("partially_filled", "10.00000000", "4.00000000"),
        ("held", "6.00000000", "0.00000000"),
    ] == taken
    assert [
        ("canceled", "10.00000000", "4.00000000"),
        ("partially_filled", "6.00000000", "5.00000000"),
    ] == stopped
    assert ("94.0500", None) == (rests["protection_price"], rests["cancel_reason"])
    assert ("filled", "6.00000000", "6.00000000") == sold[1]
    stop = client.get(f"/v2/orders/{group['legs'][0]['id']}").json()
    held = client.get(f"/v2/positions/{symbol}").json()
    account = client.get("/v2/account").json()
    assert ("94.425000", "40.00000000", "986.55") == (
        stop["filled_avg_price"],
        held["qty"],
        account["unsettled_receivable"],
    )
    (met,) = (
        event["data"]
        for event in client.get(f"/v2/orders/{group['id']}/events").json()
        if event["type"] == "oco.stop_triggered.v1"
    )
    assert ("95.0000", "95.0000", False, "6.00000000") == (
        met["low_price"],
        met["high_price"],
        met["gap"],
        met["left"],
    )


def test_oco_with_a_stop_loss_of_another_quantity_is_refused(
    client: httpx.Client, symbol: str
) -> None:
    """Legs of unequal quantity are no group."""
    body = oco(symbol, stop_loss={"stop_price": "95", "qty": "9"})

    assert (422, "LEG_QTY_MISMATCH", "qty", "stop_loss") == refused(client, body)
    body["stop_loss"]["qty"] = 10
    assert "held" == placed(client, body)["legs"][0]["status"]


@pytest.mark.parametrize(
    ("terms", "wanted"),
    [
        (
            {"take_profit": {"limit_price": "94"}},
            (422, "LEG_PRICE_ORDER", "take_profit.limit_price", "take_profit"),
        ),
        (
            {"take_profit": {"limit_price": "105.001"}},
            (422, "TICK_VIOLATION", "take_profit.limit_price", "take_profit"),
        ),
        (
            {"take_profit": {"limit_price": "105.00001"}},
            (422, "PRICE_PRECISION", "take_profit.limit_price", "take_profit"),
        ),
        (
            {"stop_loss": {"stop_price": "95.001"}},
            (422, "TICK_VIOLATION", "stop_loss.stop_price", "stop_loss"),
        ),
        (
            {"stop_loss": {"stop_price": "95", "limit_price": "94.999"}},
            (422, "TICK_VIOLATION", "stop_loss.limit_price", "stop_loss"),
        ),
        ({"qty": "51"}, (403, "INSUFFICIENT_QTY", "qty", "take_profit")),
        ({"symbol": "NOPE"}, (422, "UNKNOWN_INSTRUMENT", "symbol", "take_profit")),
    ],
)
def test_oco_refused_names_the_take_profit_or_stop_loss_at_fault(
    client: httpx.Client, symbol: str, terms: dict[str, Any], wanted: tuple[Any, ...]
) -> None:
    """One leg refuses the group; field and leg say which, and nothing is accepted."""
    assert wanted == refused(client, {**oco(symbol), **terms})


def test_oco_refused_is_kept_as_a_rejected_order_of_its_class(
    client: httpx.Client, symbol: str
) -> None:
    """Its history is one rejected order, found by the client's id."""
    key = f"mine-{uuid4().hex}"
    refused(client, oco(symbol, qty="51", client_order_id=key))

    kept = client.get("/v2/orders:by_client_order_id", params={"client_order_id": key}).json()

    assert ("rejected", "oco", None, None) == (
        kept["status"],
        kept["order_class"],
        kept["group_id"],
        kept["legs"],
    )


def test_oco_take_profit_keeps_the_groups_time_in_force(client: httpx.Client, symbol: str) -> None:
    """What belongs to the whole group is not replaced on one leg."""
    group = placed(client, oco(symbol))

    answer = client.patch(f"/v2/orders/{group['id']}", json={"time_in_force": "day"})

    assert (422, "LEG_FIXED", "time_in_force") == (
        answer.status_code,
        answer.json()["reason"],
        answer.json()["field"],
    )


def test_bracket_exits_take_their_quantity_from_the_entry_alone(
    client: httpx.Client, symbol: str
) -> None:
    """A take_profit's qty cannot be replaced by itself; the entry's changes all three."""
    group = placed(client, bracket(symbol))

    own = client.patch(f"/v2/orders/{group['legs'][0]['id']}", json={"qty": "5"})
    entry = client.patch(f"/v2/orders/{group['id']}", json={"qty": "12"})

    assert (422, "LEG_FIXED") == (own.status_code, own.json()["reason"])
    assert 200 == entry.status_code, entry.text
    (shown,) = client.get("/v2/orders", params={"nested": "true"}).json()
    assert ["12.00000000"] * 3 == [order["qty"] for order in (shown, *shown["legs"])]


def test_oco_over_the_socket_is_that_of_http(venue: Venue, trader: Trader, symbol: str) -> None:
    """Placed with its stop_loss nested, told to those who listen, canceled by the group's id."""

    async def main() -> list[Any]:
        async with asyncio.timeout(SECONDS), connect(venue.ws_url) as ws:

            async def say(message: Any) -> None:
                await ws.send(json.dumps(message))

            async def hear(count: int) -> list[Any]:
                return [json.loads(await ws.recv()) for _ in range(count)]

            who = {"key_id": trader.key_id, "secret_key": trader.secret}
            await say({"action": "authenticate", "data": who})
            await say({"action": "listen", "data": {"streams": ["trade_updates"]}})
            await hear(2)
            await say({"action": "order", "id": 1, "data": oco(symbol)})
            first = await hear(3)
            (answer,) = [m["data"] for m in first if m["stream"] == "orders"]
            group_id = answer["body"]["group_id"]
            await say({"action": "cancel", "id": 2, "data": {"order_id": group_id}})
            return [answer, *first, *await hear(3)]

    answer, *messages = asyncio.run(main())

    assert (200, ["held"]) == (answer["status"], [leg["status"] for leg in answer["body"]["legs"]])
    updates = [m["data"] for m in messages if m["stream"] == "trade_updates"]
    assert [
        ("new", "take_profit"),
        ("held", "stop_loss"),
        ("canceled", "take_profit"),
        ("canceled", "stop_loss"),
    ] == [(update["exact_event"], update["order"]["leg"]) for update in updates]
    assert {answer["body"]["group_id"]} == {update["order"]["group_id"] for update in updates}
