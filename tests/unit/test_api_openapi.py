"""The OpenAPI document is complete, refers to nothing that is missing, and tells the truth."""

from importlib import import_module
from pkgutil import iter_modules
from typing import Any
from uuid import UUID

import pytest
from litestar.handlers import HTTPRouteHandler
from litestar.routes import HTTPRoute

import api.http
from api.app import create_app
from api.orders import Order as OrderDocument
from api.orders import order_document
from application.orders import OrderView
from domain.identifiers import uuid7
from domain.order import Order


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    """The document as it is served."""
    openapi: dict[str, Any] = create_app().state["openapi"]
    return openapi


def references(part: Any) -> set[str]:
    """Every reference in a part of the document."""
    if isinstance(part, list):
        return set().union(*map(references, part), set())
    if isinstance(part, dict):
        own = {part["$ref"]} if isinstance(part.get("$ref"), str) else set()
        return own.union(*map(references, part.values()), set())
    return set()


def operations(document: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    """Every operation with its path and method."""
    return [
        (path, method, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if isinstance(operation, dict)
    ]


def test_every_reference_resolves(document: dict[str, Any]) -> None:
    """A client generator finds every model it is sent to."""
    models = document["components"]["schemas"]

    found = references(document)

    assert "#/components/schemas/OrderRequest" in found
    assert set() == {r for r in found if r.removeprefix("#/components/schemas/") not in models}


def test_every_operation_says_what_it_may_answer(document: dict[str, Any]) -> None:
    """Each has a summary, a success, and its problems in their own media type."""
    for path, method, operation in operations(document):
        if path in ("/healthz", "/readyz", "/metrics"):
            continue
        where = f"{method} {path}"
        assert operation.get("summary"), where
        assert operation.get("security"), where
        answers = operation["responses"]
        assert {"401", "503"} <= answers.keys(), where
        assert any(status.startswith("2") for status in answers), where
        for status, answer in answers.items():
            if status[0] in "45":
                assert ["application/problem+json"] == list(answer["content"]), f"{where} {status}"
                schema = answer["content"]["application/problem+json"]["schema"]
                assert {"$ref": "#/components/schemas/Problem"} == schema, f"{where} {status}"
        if "requestBody" in operation:
            assert {"400", "413", "422"} <= answers.keys(), where


def test_every_route_that_is_written_is_served() -> None:
    """One that its file's list leaves out, or whose file the application does, answers nobody."""
    files = [import_module(f"api.http.{found.name}") for found in iter_modules(api.http.__path__)]
    written = {
        route.fn
        for file in files
        for route in vars(file).values()
        if isinstance(route, HTTPRouteHandler)
    }
    served = {
        route.fn
        for path in create_app().routes
        if isinstance(path, HTTPRoute)
        for route in path.route_handlers
    }

    assert len(written) > 30
    assert [] == sorted(f"{route.__module__}.{route.__name__}" for route in written - served)


def test_the_paths_of_alpaca_are_there(document: dict[str, Any]) -> None:
    """What alpaca-py calls is documented under the same paths."""
    assert {
        "/v2/account",
        "/v2/orders",
        "/v2/orders/{order_id}",
        "/v2/orders:by_client_order_id",
        "/v2/positions",
        "/v2/positions/{symbol_or_asset_id}",
        "/v2/assets",
        "/v2/assets/{symbol_or_asset_id}",
        "/v2/clock",
        "/v2/calendar",
        "/v2/watchlists",
        "/v2/watchlists/{watchlist_id}",
        "/v2/watchlists/{watchlist_id}/{symbol}",
        "/v2/watchlists:by_name",
    } <= document["paths"].keys()


def test_decimals_are_documented_as_they_are_read(document: dict[str, Any]) -> None:
    """A price may be sent as a string or a number, and comes back as a string."""
    models = document["components"]["schemas"]

    sent = models["OrderRequest"]["properties"]["limit_price"]
    assert ["string", "number"] == [kind["type"] for kind in sent["anyOf"]]
    assert "string" == models["Order"]["properties"]["filled_qty"]["type"]


def shown_order(order_id: UUID, at: int, **state: Any) -> OrderView:
    """An order of ten shares in this state, as a client sees it."""
    order = Order.blank(order_id, at)
    named = {"revision_id": order_id, "symbol": "AAPL", "client_order_id": "mine"}
    named |= {"qty": 10**9, "submitted_at": at}
    order.__dict__.update(named | state)
    return OrderView.of(order)


def test_the_legs_of_an_oco_are_documented_and_rendered_in_their_parent() -> None:
    """The take-profit holds the stop-loss, both with group and leg, as the model says."""
    at = 1_795_208_400_500_000
    group = uuid7(at, 0, 9, 1)
    profit, loss = (
        shown_order(uuid7(at, 0, number, 1), at, side=2, group_id=group, **terms)
        for number, terms in enumerate(
            (
                {"order_type": 2, "limit_price": 1_100_000, "status": 0, "leg": 2},
                {"order_type": 3, "stop_price": 950_000, "status": 9, "leg": 3},
            )
        )
    )

    nested = order_document(loss, "us_equity", order_class=1)
    shown = order_document(profit, "us_equity", order_class=1, legs=[nested])

    OrderDocument.model_validate(shown)
    assert ("oco", "take_profit", str(group)) == (
        shown["order_class"],
        shown["leg"],
        shown["group_id"],
    )
    (leg,) = shown["legs"]
    assert ("held", "stop_loss", "95.0000", None) == (
        leg["status"],
        leg["leg"],
        leg["stop_price"],
        leg["legs"],
    )


def test_an_order_is_rendered_as_documented() -> None:
    """The document of an order has exactly the members of its model."""
    at = 1_795_208_400_500_000
    view = shown_order(
        uuid7(at, 0, 1, 1),
        at,
        revision_id=uuid7(at, 0, 2, 1),
        replaces=uuid7(at, 0, 4, 1),
        order_type=4,
        time_in_force=6,
        limit_price=1_000_000,
        stop_price=990_000,
        expires_at=at,
        post_only=True,
        status=1,
        filled=4 * 10**8,
        value=4 * 10**8 * 995_000,
        filled_at=at,
        triggered_at=at,
        modified_at=at + 1,
    )

    shown = order_document(view, "us_equity")

    assert set(OrderDocument.model_fields) == set(shown)
    OrderDocument.model_validate(shown)
    assert ("99.500000", "4.00000000", "100.0000", "99.0000", "partially_filled") == (
        shown["filled_avg_price"],
        shown["filled_qty"],
        shown["limit_price"],
        shown["stop_price"],
        shown["status"],
    )
    assert "2026-11-20T21:00:00.500000Z" == shown["submitted_at"]


def test_a_replaced_revision_is_rendered_as_one() -> None:
    """It says by what it was replaced, and when; the one in its place says neither."""
    at = 1_795_208_400_500_000
    newer = shown_order(uuid7(at, 0, 1, 1), at, revision_id=uuid7(at, 0, 2, 1))
    older = shown_order(uuid7(at, 0, 1, 1), at).replaced(newer.revision_id, at + 1)

    shown = order_document(older, "us_equity")

    moment = "2026-11-20T21:00:00.500001Z"
    assert ("replaced", moment, moment, str(newer.revision_id)) == tuple(
        shown[name] for name in ("status", "replaced_at", "updated_at", "replaced_by")
    )
    present = order_document(newer, "us_equity")
    assert ("new", None, None) == tuple(
        present[name] for name in ("status", "replaced_at", "replaced_by")
    )
