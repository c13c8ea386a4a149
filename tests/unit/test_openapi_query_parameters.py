"""A route takes the query parameters that its documentation shows, and no others."""

from typing import Any

from litestar import Litestar
from litestar.routes import HTTPRoute

from api.app import create_app


def documented(app: Litestar) -> dict[tuple[str, str], dict[str, bool]]:
    """The query parameters of every documented operation, and whether each is an integer."""
    document: dict[str, Any] = app.state["openapi"]
    return {
        (path, method.upper()): {
            told["name"]: is_integer(told["schema"])
            for told in operation.get("parameters", [])
            if told["in"] == "query"
        }
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    }


def is_integer(schema: dict[str, Any]) -> bool:
    """Whether a schema is one of an integer, or of an integer that may be left out."""
    kinds = [schema, *schema.get("oneOf", []), *schema.get("anyOf", [])]
    types = {kind for one in kinds for kind in _types(one)}
    return "integer" in types


def _types(schema: dict[str, Any]) -> list[str]:
    kind = schema.get("type", [])
    return kind if isinstance(kind, list) else [kind]


def test_openapi_shows_the_query_parameters_that_are_taken() -> None:
    """Both are made of the signature of the route: what one has the other has."""
    app = create_app()
    taken = {
        (route.path_format, method): dict(app.state["query_parameters"][handler])
        for route in app.routes
        if isinstance(route, HTTPRoute)
        for method, (handler, _) in route.route_handler_map.items()
    }

    shown = documented(app)

    assert len(shown) > 40
    assert shown == {where: taken[where] for where in shown}
    assert {"limit", "until", "before_order_id", "after_order_id", "page_token"} <= taken[
        ("/v2/orders", "GET")
    ].keys()
    assert taken[("/v2/orders", "GET")]["limit"]
    assert {} == taken[("/v2/orders", "POST")]
