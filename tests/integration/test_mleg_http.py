"""Multi-leg orders over HTTP: as Alpaca writes them, shown, listed, replaced and canceled."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import httpx
import pytest

from infrastructure.embedded_server import EmbeddedServer
from tests.venue import Venue, served


@pytest.fixture(scope="module")
def venue(postgres: EmbeddedServer) -> Iterator[Venue]:
    """One venue for all tests of this file."""
    with served(postgres.dsn()) as venue:
        yield venue


class Desk:
    """Two instruments, a trader who holds of both, and somebody to trade with."""

    def __init__(self, venue: Venue) -> None:
        self.venue = venue
        self.symbols = venue.instrument(), venue.instrument()
        self.trader, self.other = venue.trader(), venue.trader()
        for who in (self.trader, self.other):
            for symbol in self.symbols:
                venue.hold(who, symbol, "1000", "100000")
        self.client, self.market = venue.client(self.trader), venue.client(self.other)

    def quotes(self, offer: str = "101", bid: str = "99", qty: str = "100") -> None:
        """Somebody offers the first instrument and bids for the second."""
        for symbol, side, price in (
            (self.symbols[0], "sell", offer),
            (self.symbols[1], "buy", bid),
        ):
            answer = self.market.post("/v2/orders", json=plain(symbol, side, price, qty))
            assert answer.status_code == 200, answer.text

    def spread(self, **terms: Any) -> dict[str, Any]:
        """A purchase of the first instrument against a sale of the second."""
        first, second = self.symbols
        body = {
            "order_class": "mleg",
            "qty": "10",
            "type": "limit",
            "limit_price": "1.50",
            "time_in_force": "gtc",
            "legs": [
                {"symbol": first, "ratio_qty": "1", "side": "buy"},
                {"symbol": second, "ratio_qty": "1", "position_intent": "sell_to_close"},
            ],
        }
        return {name: value for name, value in {**body, **terms}.items() if value is not None}

    def placed(self, **terms: Any) -> dict[str, Any]:
        """A spread as it was answered."""
        answer = self.client.post("/v2/orders", json=self.spread(**terms))
        assert answer.status_code == 200, answer.text
        document: dict[str, Any] = answer.json()
        return document

    def got(self, order_id: str, **params: str) -> dict[str, Any]:
        """An order by its id."""
        answer = self.client.get(f"/v2/orders/{order_id}", params=params)
        assert answer.status_code == 200, answer.text
        document: dict[str, Any] = answer.json()
        return document

    def listed(self, **params: str) -> list[dict[str, Any]]:
        """The trader's orders."""
        answer = self.client.get("/v2/orders", params=params)
        assert answer.status_code == 200, answer.text
        documents: list[dict[str, Any]] = answer.json()
        return documents


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


@pytest.fixture
def desk(venue: Venue) -> Iterator[Desk]:
    """A desk of the test's own."""
    desk = Desk(venue)
    with desk.client, desk.market:
        yield desk


def problem(answer: httpx.Response) -> tuple[int, str, str | None, Any]:
    """What a refusal says: status, reason, field and leg."""
    said = answer.json()
    return answer.status_code, said["reason"], said["field"], said["leg"]


def test_mleg_rests_and_is_shown_with_its_legs(desk: Desk) -> None:
    """Answered, got by each id and listed nested: the same document."""
    parent = desk.placed()

    assert ("mleg", "new", "working", "", None, None) == tuple(
        parent[name]
        for name in ("order_class", "status", "strategy_status", "symbol", "side", "asset_class")
    )
    assert ("10.00000000", "0.00000000", None, "1.50") == tuple(
        parent[name] for name in ("qty", "filled_qty", "filled_avg_price", "limit_price")
    )
    assert [
        (desk.symbols[0], "buy", "1", None, "first", "10.00000000"),
        (desk.symbols[1], "sell", "1", "sell_to_close", "second", "10.00000000"),
    ] == [
        tuple(
            leg[name] for name in ("symbol", "side", "ratio_qty", "position_intent", "leg", "qty")
        )
        for leg in parent["legs"]
    ]
    assert parent == desk.got(parent["id"])
    named = desk.client.get(
        "/v2/orders:by_client_order_id", params={"client_order_id": parent["client_order_id"]}
    )
    assert parent == named.json()
    assert [parent] == desk.listed(nested="true")


def test_mleg_legs_are_listed_apart_without_nested(desk: Desk) -> None:
    """As Alpaca lists them: the parent without its legs, and each leg as the parent shows it."""
    parent = desk.placed()

    listed = {order["id"]: order for order in desk.listed()}

    legs = {leg["id"]: leg for leg in parent["legs"]}
    assert {parent["id"]: {**parent, "legs": None}, **legs} == listed
    assert legs[parent["legs"][0]["id"]] == desk.got(parent["legs"][0]["id"])


def test_mleg_fills_at_its_net_price(desk: Desk) -> None:
    """All legs in one step; the parent's average is what a unit cost."""
    desk.quotes()

    parent = desk.placed(limit_price="2")

    assert ("filled", "filled", "10.00000000", "2.000000") == tuple(
        parent[name] for name in ("status", "strategy_status", "filled_qty", "filled_avg_price")
    )
    assert [("filled", "101.000000"), ("filled", "99.000000")] == [
        (leg["status"], leg["filled_avg_price"]) for leg in parent["legs"]
    ]
    assert parent == desk.got(parent["id"])
    assert [parent] == desk.listed(status="closed", nested="true")
    assert [] == desk.listed()


def test_mleg_credit_is_negative_both_ways(desk: Desk) -> None:
    """A net price below zero is received: asked for and shown with its sign."""
    desk.quotes("98", "99")

    parent = desk.placed(limit_price="-1", qty="4")

    assert ("-1.00", "-1.000000") == (parent["limit_price"], parent["filled_avg_price"])


def test_mleg_partly_filled_and_canceled_with_all_its_legs(desk: Desk) -> None:
    """A cancel of the parent ends what is left of every leg."""
    desk.quotes(qty="4")
    parent = desk.placed(limit_price="2")
    assert ("partially_filled", "4.00000000") == (parent["status"], parent["filled_qty"])

    assert 204 == desk.client.delete(f"/v2/orders/{parent['id']}").status_code

    after = desk.got(parent["id"])
    assert ("canceled", "canceled", "client") == (
        *(after["status"], after["strategy_status"], after["cancel_reason"]),
    )
    assert ["canceled", "canceled"] == [leg["status"] for leg in after["legs"]]
    assert after["canceled_at"] and not desk.listed()


def test_mleg_leg_is_not_canceled_by_itself(desk: Desk) -> None:
    """It goes with its parent, and the refusal says so."""
    parent = desk.placed()

    answer = desk.client.delete(f"/v2/orders/{parent['legs'][0]['id']}")

    assert (422, "LEG_OF_STRATEGY", "order_id", None) == problem(answer)
    assert "new" == desk.got(parent["id"])["status"]


def test_mleg_cancel_all_tells_of_the_parent(desk: Desk) -> None:
    """One id for each order that a client placed, no leg's."""
    parent = desk.placed()
    single = desk.client.post("/v2/orders", json=plain(desk.symbols[0], "buy", "90")).json()

    canceled = desk.client.delete("/v2/orders").json()

    assert {parent["id"], single["id"]} == {one["id"] for one in canceled}
    assert [] == desk.listed()


def test_mleg_is_replaced_by_another_revision(desk: Desk) -> None:
    """Price and quantity change; the revision before is a closed order as it stood."""
    desk.quotes(qty="4")
    first = desk.placed(limit_price="2")

    answer = desk.client.patch(
        f"/v2/orders/{first['id']}",
        json={"qty": "6", "limit_price": "-0.25", "client_order_id": f"new-{uuid4().hex}"},
    )

    assert answer.status_code == 200, answer.text
    second = answer.json()
    assert (first["id"], "6.00000000", "-0.25", "partially_filled", "4.00000000") == tuple(
        second[name] for name in ("replaces", "qty", "limit_price", "status", "filled_qty")
    )
    assert ["6.00000000", "6.00000000"] == [leg["qty"] for leg in second["legs"]]
    assert second == desk.got(second["id"])
    before = desk.got(first["id"])
    assert ("replaced", second["id"], "10.00000000", "4.00000000", "2.000000") == tuple(
        before[name] for name in ("status", "replaced_by", "qty", "filled_qty", "filled_avg_price")
    )
    assert [before["id"]] == [one["id"] for one in desk.listed(status="closed", nested="true")]
    assert [second] == desk.listed(nested="true")
    assert 204 == desk.client.delete(f"/v2/orders/{second['id']}").status_code


def test_mleg_repeat_is_the_order_as_it_is_now(desk: Desk) -> None:
    """The same client order id and body place nothing again."""
    name = f"mine-{uuid4().hex}"
    desk.placed(client_order_id=name, limit_price="2")
    desk.quotes()

    again = desk.client.post("/v2/orders", json=desk.spread(client_order_id=name, limit_price="2"))

    assert "true" == again.headers["X-Nexus-Duplicate"]
    assert "filled" == again.json()["status"]
    other = desk.client.post("/v2/orders", json=desk.spread(client_order_id=name, qty="3"))
    assert 422 == other.status_code


def test_mleg_pages_stand_among_other_orders(desk: Desk) -> None:
    """Pages by one order, newest first and oldest first, meet each order once."""
    ids = []
    for number in range(3):
        ids.append(desk.placed(qty=str(number + 1))["id"])
        single = desk.client.post("/v2/orders", json=plain(desk.symbols[0], "buy", "90"))
        ids.append(single.json()["id"])
    for direction, expected in (("asc", ids), ("desc", ids[::-1])):
        seen: list[str] = []
        while True:
            token = {"page_token": seen[-1]} if seen else {}
            page = desk.listed(nested="true", limit="1", direction=direction, **token)
            if not page:
                break
            seen += [one["id"] for one in page]
        assert expected == seen


def test_mleg_is_found_by_the_symbol_of_any_leg(desk: Desk) -> None:
    """It has its legs' symbols and classes, and no side."""
    parent = desk.placed()

    for symbol in desk.symbols:
        assert [parent] == desk.listed(symbols=symbol, nested="true")
    assert [] == desk.listed(symbols="NOSUCH", nested="true")
    assert [parent] == desk.listed(asset_class="us_equity", nested="true")
    assert [] == desk.listed(asset_class="us_option", nested="true")
    assert [] == desk.listed(side="buy", nested="true")


def test_mleg_that_was_refused_is_shown_with_what_it_asked_for(desk: Desk) -> None:
    """Nothing of it exists but itself; its legs are told as they were asked for."""
    name = f"bad-{uuid4().hex}"
    legs = [
        {"symbol": desk.symbols[0], "ratio_qty": "2", "side": "buy"},
        {"symbol": desk.symbols[1], "ratio_qty": "4", "side": "sell"},
    ]

    answer = desk.client.post("/v2/orders", json=desk.spread(client_order_id=name, legs=legs))

    assert (422, "LEG_RATIO", "legs.0.ratio_qty", 1) == problem(answer)
    (refused,) = desk.listed(status="closed")
    assert (name, "rejected", "rejected", "LEG_RATIO", None) == tuple(
        refused[one]
        for one in ("client_order_id", "status", "strategy_status", "reject_reason", "legs")
    )
    assert ["2", "4"] == [leg["ratio_qty"] for leg in refused["strategy"]["legs"]]
    assert refused == desk.got(refused["id"])


WRONG: list[tuple[dict[str, Any], tuple[int, str, str, Any]]] = [
    ({"legs": []}, (422, "LEG_COUNT", "legs", None)),
    ({"legs": "AB"}, (422, "INVALID_FIELD", "legs", None)),
    ({"legs": [{"symbol": "A", "side": "buy"}]}, (422, "INVALID_FIELD", "legs.0.ratio_qty", None)),
    (
        {"legs": [{"symbol": "A", "ratio_qty": "1"}]},
        (422, "INVALID_FIELD", "legs.0.side", None),
    ),
    (
        {"legs": [{"symbol": "A", "ratio_qty": "1.5", "side": "buy"}]},
        (422, "INVALID_AMOUNT", "legs.0.ratio_qty", None),
    ),
    (
        {"legs": [{"symbol": "A", "ratio_qty": 1, "side": "up"}]},
        (422, "INVALID_FIELD", "legs.0.side", None),
    ),
    ({"legs": [7]}, (422, "INVALID_FIELD", "legs.0", None)),
    ({"limit_price": None}, (422, "INVALID_FIELD", "limit_price", None)),
    ({"type": "market"}, (422, "INVALID_FIELD", "limit_price", None)),
    ({"type": "stop"}, (422, "INVALID_FIELD", "type", None)),
    ({"time_in_force": "opg"}, (422, "INVALID_FIELD", "time_in_force", None)),
    ({"symbol": "A"}, (422, "INVALID_FIELD", "symbol", None)),
    ({"notional": "10"}, (422, "INVALID_FIELD", "notional", None)),
    ({"qty": "1.5"}, (422, "STRATEGY_QTY", "qty", None)),
    ({"qty": "-1"}, (422, "INVALID_FIELD", "qty", None)),
    ({"limit_price": "1e400"}, (422, "INVALID_AMOUNT", "limit_price", None)),
    ({"limit_price": "99999999999999999999"}, (422, "INVALID_AMOUNT", "limit_price", None)),
    ({"execution": "both"}, (422, "INVALID_FIELD", "execution", None)),
    ({"leg_seconds": 5}, (422, "INVALID_FIELD", "leg_seconds", None)),
    ({"constraints": [{}]}, (422, "INVALID_FIELD", "constraints.0.within", None)),
    (
        {"constraints": [{"within": {"left": 1, "right": 5, "percent": "1"}}]},
        (422, "INVALID_CONSTRAINT", "constraints.0", None),
    ),
    (
        {"constraints": [{"within": {"left": 0, "right": 1, "percent": "1"}}]},
        (422, "INVALID_FIELD", "constraints.0.within.left", None),
    ),
]


@pytest.mark.parametrize(("terms", "said"), WRONG, ids=lambda one: str(one)[:60])
def test_mleg_refusal_names_the_field(
    desk: Desk, terms: dict[str, Any], said: tuple[int, str, str, Any]
) -> None:
    """Whatever is wrong is named with its place, and nothing works afterwards."""
    answer = desk.client.post("/v2/orders", json=desk.spread(**terms))

    assert said == problem(answer), answer.text
    assert [] == desk.listed()


def test_mleg_constraints_are_shown_as_they_were_asked_for(desk: Desk) -> None:
    """Each by its kind, legs counted from 1."""
    constraints = [
        {"within": {"left": 1, "right": 2, "percent": "0.5"}},
        {"linear": {"left": 2, "right": 1, "a": "1", "b": "-2", "at_most": "0.10"}},
    ]

    parent = desk.placed(constraints=constraints, execution="simultaneous")

    shown = [{k: v for k, v in one.items() if v} for one in parent["strategy"]["constraints"]]
    assert constraints == shown
    assert parent == desk.got(parent["id"])


def test_mleg_events_are_those_of_the_parent_and_its_legs(desk: Desk) -> None:
    """The life of all of it, asked for by the parent or by a leg."""
    desk.quotes()
    parent = desk.placed(limit_price="2")

    by_parent = desk.client.get(f"/v2/orders/{parent['id']}/events").json()
    by_leg = desk.client.get(f"/v2/orders/{parent['legs'][1]['id']}/events").json()

    assert by_parent == by_leg
    assert [
        "multileg.placed.v1",
        "order.accepted.v1",
        "order.accepted.v1",
        "order.filled.v1",
        "order.filled.v1",
        "multileg.executed.v1",
    ] == [one["type"] for one in by_parent]


def test_mleg_of_another_account_is_not_there(desk: Desk) -> None:
    """By no id, in no list, and not to be canceled."""
    parent = desk.placed()

    assert 404 == desk.market.get(f"/v2/orders/{parent['id']}").status_code
    assert 404 == desk.market.delete(f"/v2/orders/{parent['id']}").status_code
    assert 404 == desk.market.patch(f"/v2/orders/{parent['id']}", json={"qty": "3"}).status_code
    token = desk.market.get("/v2/orders", params={"page_token": parent["id"]})
    assert (422, "INVALID_FIELD", "page_token", None) == problem(token)
