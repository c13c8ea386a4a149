"""Every operation of the OpenAPI document, tried with what it allows and what it does not.

The answers are those that the document tells of, in every part.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any, NamedTuple
from uuid import uuid4

import pytest
import requests
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from api.app import create_app
from api.cli.gateway import HEADERS
from infrastructure.embedded_server import EmbeddedServer
from tests.venue import ADMIN, Venue, running_with_market_data, served

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    import schemathesis
    from schemathesis import GenerationMode
    from schemathesis.specs.openapi import checks as openapi_checks

DOCUMENT: dict[str, Any] = create_app().state["openapi"]
OPERATIONS = [
    (method, path)
    for path, methods in DOCUMENT["paths"].items()
    for method in methods
    if method in ("get", "post", "put", "patch", "delete")
]
OF_TRANSPORT = {"content-type", "content-length", "connection", "date"}
"""Headers that every answer may have, and no document tells of."""
OF_EVERY_ANSWER = {name.lower() for name, _ in HEADERS}
"""Headers that the server says with every answer alike."""
OF_AGE = {"MARKS_TOO_OLD", "MARKET_DATA_UNAVAILABLE"}
FEW, MANY = 15, 400
SECONDS = 60


class Scene(NamedTuple):
    """A served venue with things in it, by the names that paths and bodies have for them."""

    url: str
    trader: dict[str, str]
    for_trader: dict[str, str]
    for_operator: dict[str, str]


@pytest.fixture(scope="module")
def scene(postgres: EmbeddedServer) -> Iterator[Scene]:
    """A venue in which each path leads to something; operators have things of their own to end."""
    with served(postgres.dsn(), running_with_market_data) as venue:
        yield furnished(venue)


def furnished(venue: Venue) -> Scene:
    """Two accounts that have traded, one for the trader's operations and one for the operator's."""
    found: list[dict[str, str]] = []
    traders = [venue.trader(kind="margin") for _ in range(2)]
    for trader in traders:
        symbol = venue.instrument(shortable=True)
        venue.hold(trader, symbol, "1000")
        other = venue.trader()
        with venue.client(trader) as client, venue.client(other) as seller:
            body = {"symbol": symbol, "type": "limit", "time_in_force": "gtc", "limit_price": "99"}
            order = client.post("/v2/orders", json={**body, "qty": "10", "side": "buy"}).json()
            venue.hold(other, symbol, "5")
            sold = seller.post("/v2/orders", json={**body, "qty": "5", "side": "sell"})
            assert sold.status_code == 200, sold.text
        seen = {"X-Nexus-Position": sold.headers["X-Nexus-Position"]}
        listed = venue.admin.get("/admin/trades", params={"symbol": symbol}, headers=seen)
        (trade,) = listed.json()
        found.append(
            {
                "account_id": trader.account_id,
                "key_id": trader.key_id,
                "order_id": order["id"],
                "symbol": symbol,
                "symbol_or_asset_id": symbol,
                "symbol_or_id": symbol,
                "trade_id": trade["trade_id"],
                "client_order_id": order["client_order_id"],
                "watchlist_id": str(uuid4()),
                "activity_type": "FILL",
            }
        )
    return Scene(venue.url, traders[0].headers, *found)


def documented(ctx: Any, response: Any, case: Any) -> None:
    """Every header of an answer is one that the document tells of."""
    told = case.operation.definition.raw["responses"][str(response.status_code)]
    known = {name.lower() for name in told.get("headers", {})} | OF_TRANSPORT | OF_EVERY_ANSWER
    assert set() == set(response.headers) - known


def no_fault(ctx: Any, response: Any, case: Any) -> None:
    """Nothing is a fault of the venue's own; prices may be too old for who asks for a limit."""
    if response.status_code != 503 or response.json()["reason"] not in OF_AGE:
        schemathesis.checks.not_a_server_error(ctx, response, case)


CHECKS = [
    no_fault,
    openapi_checks.status_code_conformance,
    openapi_checks.content_type_conformance,
    openapi_checks.response_headers_conformance,
    openapi_checks.response_schema_conformance,
    documented,
]


def examples_of(operation: dict[str, Any]) -> dict[str, Any]:
    """What an operation's document gives as examples of its body and of the members it needs."""
    content = operation["requestBody"]["content"]["application/json"]["schema"]
    model = DOCUMENT["components"]["schemas"][content["$ref"].rpartition("/")[2]]
    if model.get("examples"):
        return dict(model["examples"][0])
    members = {name: model["properties"][name] for name in model.get("required", ())}
    return {name: told["examples"][0] for name, told in members.items() if told.get("examples")}


def try_operation(scene: Scene, method: str, path: str, examples: int) -> None:
    """Send an operation what the document allows, and what it forbids."""
    schema = schemathesis.openapi.from_dict(DOCUMENT)
    operation = schema[path][method.upper()]
    by_operator = path.startswith("/admin")
    seeds = scene.for_operator if by_operator else scene.for_trader
    wanted = {name for name in seeds if f"{{{name}}}" in path}
    modes = [GenerationMode.POSITIVE, GenerationMode.NEGATIVE]
    cases = st.one_of(
        [
            operation.as_strategy(
                generation_mode=mode,
                **({"path_parameters": {name: seeds[name] for name in wanted}} if seeded else {}),
            )
            for mode in modes
            for seeded in {bool(wanted), False}
        ]
    )
    headers = ADMIN if by_operator else scene.trader

    with requests.Session() as session:

        @settings(
            max_examples=examples,
            deadline=None,
            derandomize=examples == FEW,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=cases, known=st.booleans())
        def answers_are_documented(case: Any, known: bool) -> None:
            if isinstance(case.body, dict) and known:
                case.body.update(examples_of(case.operation.definition.raw))
                case.body.update({name: seeds[name] for name in case.body.keys() & seeds.keys()})
            position = (case.headers or {}).get("X-Nexus-Position", "")
            if str(position).isdigit():
                # A position that the views never reach is waited for.
                case.headers["X-Nexus-Position"] = "1"
            response = case.call(
                base_url=scene.url, session=session, headers=headers, timeout=SECONDS
            )
            case.validate_response(response, checks=CHECKS, headers=headers)

        answers_are_documented()


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_openapi_tells_every_answer_of_an_operation(scene: Scene, method: str, path: str) -> None:
    """No status, content type, header or member is given that the document does not tell of."""
    try_operation(scene, method, path, FEW)


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_openapi_tells_every_answer_of_an_operation_however_often_it_is_asked(
    scene: Scene, method: str, path: str
) -> None:
    """The same, many times over and never twice alike."""
    try_operation(scene, method, path, MANY)
