"""Wrong input of any kind: a 4xx that names the field, never a 5xx, never half an effect."""

import json
import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import httpx
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from infrastructure.embedded_server import EmbeddedServer
from tests.venue import ADMIN, Trader, Venue, served

# The same in every process, as the names of tests are made of it.
NOBODYS = "5f0c8a1e-3d57-4c1b-9a55-0e6b8f1d2c47"


@pytest.fixture(scope="module")
def venue(postgres: EmbeddedServer) -> Iterator[Venue]:
    """One venue for all tests of this file."""
    with served(postgres.dsn()) as venue:
        yield venue


@pytest.fixture(scope="module")
def trader(venue: Venue) -> Trader:
    """An account with cash."""
    return venue.trader()


@pytest.fixture(scope="module")
def client(venue: Venue, trader: Trader) -> Iterator[httpx.Client]:
    """The trader's client."""
    with venue.client(trader) as client:
        yield client


@pytest.fixture(scope="module")
def symbol(venue: Venue) -> str:
    """An instrument, open."""
    return venue.instrument()


def refusal(answer: httpx.Response) -> tuple[int, str, str | None]:
    """Status, reason and field of a problem."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    body = answer.json()
    assert {
        "type",
        "title",
        "status",
        "detail",
        "code",
        "message",
        "reason",
        "field",
        "leg",
        "details",
    } == set(body)
    assert body["status"] == answer.status_code
    assert body["message"] == body["detail"]
    return answer.status_code, body["reason"], body["field"]


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        (b"", (400, "MALFORMED_BODY", "body")),
        (b"{", (400, "MALFORMED_BODY", "body")),
        (b"\xff\xfe", (400, "MALFORMED_BODY", "body")),
        (b'{"symbol": "\xff"}', (400, "MALFORMED_BODY", "body")),
        (b"[" * 5000, (400, "MALFORMED_BODY", "body")),
        (b'{"qty": NaN}', (400, "MALFORMED_BODY", "body")),
        (b"null", (422, "INVALID_FIELD", "body")),
        (b"[]", (422, "INVALID_FIELD", "body")),
        (b'"order"', (422, "INVALID_FIELD", "body")),
        (b"{}", (422, "INVALID_FIELD", "symbol")),
        (b'{"symbol": "A\\u0000"}', (422, "INVALID_FIELD", "symbol")),
        (b" " * 70_000, (413, "BODY_TOO_LARGE", "body")),
    ],
)
def test_a_body_that_is_no_order_is_refused(
    client: httpx.Client, body: bytes, wanted: tuple[int, str, str]
) -> None:
    """Syntax, text, nesting, size and shape each have their refusal."""
    assert wanted == refusal(client.post("/v2/orders", content=body))


def test_a_body_without_a_length_is_cut_off(client: httpx.Client) -> None:
    """A chunked body is refused once it is too large."""

    def endless() -> Iterator[bytes]:
        for _ in range(100):
            yield b" " * 1024

    assert (413, "BODY_TOO_LARGE", "body") == refusal(client.post("/v2/orders", content=endless()))


@pytest.mark.parametrize(
    ("method", "path", "wanted"),
    [
        ("GET", "/v2/nothing", (404, "NOT_FOUND", None)),
        ("GET", "/nothing", (404, "NOT_FOUND", None)),
        ("PUT", "/v2/orders", (405, "METHOD_NOT_ALLOWED", None)),
        ("GET", "/v2/orders/not-an-id", (422, "INVALID_FIELD", "order_id")),
        ("DELETE", "/v2/orders/not-an-id", (422, "INVALID_FIELD", "order_id")),
        ("GET", "/v2/orders/%00", (422, "INVALID_FIELD", "order_id")),
        ("GET", f"/v2/orders/{NOBODYS}", (404, "NOT_FOUND", "order_id")),
        ("DELETE", f"/v2/orders/{NOBODYS}", (404, "UNKNOWN_ORDER", "order_id")),
        ("GET", "/v2/orders:by_client_order_id", (422, "INVALID_FIELD", "client_order_id")),
        (
            "GET",
            "/v2/orders:by_client_order_id?client_order_id=%00",
            (422, "INVALID_FIELD", "client_order_id"),
        ),
        (
            "GET",
            "/v2/orders:by_client_order_id?client_order_id=none",
            (404, "NOT_FOUND", "client_order_id"),
        ),
        ("GET", "/v2/orders?limit=0", (422, "INVALID_FIELD", "limit")),
        ("GET", "/v2/orders?limit=501", (422, "INVALID_FIELD", "limit")),
        ("GET", "/v2/orders?limit=ten", (422, "INVALID_FIELD", "limit")),
        ("GET", "/v2/orders?limit=99999999999999999999", (422, "INVALID_FIELD", "limit")),
        ("GET", "/v2/orders?status=done", (422, "INVALID_FIELD", "status")),
        ("GET", "/v2/orders?direction=up", (422, "INVALID_FIELD", "direction")),
        ("GET", "/v2/orders?side=hold", (422, "INVALID_FIELD", "side")),
        ("GET", "/v2/orders?after=yesterday", (422, "INVALID_FIELD", "after")),
        ("GET", "/v2/orders?until=20261120T999999", (422, "INVALID_FIELD", "until")),
        ("GET", "/v2/orders?symbols=%00", (422, "INVALID_FIELD", "symbols")),
        ("GET", "/v2/orders?nested=perhaps", (422, "INVALID_FIELD", "nested")),
        ("GET", "/v2/positions/NOPE", (404, "NOT_FOUND", "symbol_or_asset_id")),
        ("GET", "/v2/positions/%00", (422, "INVALID_FIELD", "symbol_or_asset_id")),
        ("DELETE", "/v2/positions/NOPE", (404, "NOT_FOUND", "symbol_or_asset_id")),
        ("GET", "/v2/assets/NOPE", (404, "NOT_FOUND", "symbol_or_asset_id")),
        ("GET", f"/v2/assets/{NOBODYS}", (404, "NOT_FOUND", "symbol_or_asset_id")),
    ],
)
def test_a_wrong_path_or_parameter_is_named(
    client: httpx.Client, method: str, path: str, wanted: tuple[int, str, str | None]
) -> None:
    """What is not there is 404, what cannot be is 422 and named."""
    assert wanted == refusal(client.request(method, path))


@pytest.mark.parametrize("key", ["", "k" * 129, "a\tb"])
def test_a_wrong_idempotency_key_is_named(client: httpx.Client, key: str) -> None:
    """A key is 1 to 128 characters that can be seen."""
    answer = client.delete(f"/v2/orders/{uuid4()}", headers={"Idempotency-Key": key})

    assert (422, "INVALID_FIELD", "Idempotency-Key") == refusal(answer)


def test_a_position_that_the_log_does_not_have_is_not_waited_for(client: httpx.Client) -> None:
    """A wanted position beyond the log's end is wrong, and not one that the views may reach."""
    answer = client.get("/v2/orders", headers={"X-Nexus-Position": str(2**40)})

    assert (422, "INVALID_FIELD", "X-Nexus-Position") == refusal(answer)


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("accounts", {"name": ""}, "name"),
        ("accounts", {"name": "a\x00"}, "name"),
        ("accounts", {"name": "a", "kind": "loan"}, "kind"),
        ("accounts", {"name": "a", "max_order_notional": "-1"}, "max_order_notional"),
        ("accounts", {"name": "a", "surprise": 1}, "surprise"),
        ("accounts/x/deposits", {"amount": "1"}, "account_id"),
        ("accounts/{a}/deposits", {"amount": "1.001"}, "amount"),
        ("accounts/{a}/deposits", {"amount": "0"}, "amount"),
        ("accounts/{a}/deposits", {"amount": "1e3"}, "amount"),
        ("accounts/{a}/deposits", {"amount": "1", "request_key": ""}, "request_key"),
        ("accounts/{a}/withdrawals", {"amount": "9999999999"}, "amount"),
        ("accounts/{a}/positions", {"symbol": "NOPE", "qty": "1", "cost": "1"}, "symbol"),
        ("instruments", {"symbol": "A B", "name": "x", "tick": "1", "lot": "1"}, "symbol"),
        ("instruments", {"symbol": "AB", "name": "x", "tick": "0", "lot": "1"}, "tick"),
        ("instruments", {"symbol": "AB", "name": "x", "tick": "1"}, "lot"),
        ("instruments/NOPE/halt", {"reason": "x"}, "symbol"),
        ("instruments/NOPE/halt", {}, "reason"),
        ("instruments/NOPE/mark", {"price": "1"}, "symbol"),
        ("trades/x/bust", {"reason": "x"}, "trade_id"),
        (f"trades/{NOBODYS}/bust", {"reason": "x"}, "trade_id"),
    ],
)
def test_an_operators_wrong_input_is_named(
    venue: Venue, trader: Trader, path: str, body: dict[str, Any], field: str
) -> None:
    """The venue's own requests name what is wrong with them."""
    answer = venue.admin.post(f"/admin/{path.format(a=trader.account_id)}", json=body)

    status, _, named = refusal(answer)
    assert status in (403, 404, 422)
    assert field == named


def test_nothing_is_done_halfway(venue: Venue, client: httpx.Client) -> None:
    """A refused body leaves no order and no hold behind."""
    before = client.get("/v2/account").json()
    orders = client.get("/v2/orders", params={"status": "all", "limit": 500}).json()

    for body in ({"qty": 1}, {"symbol": "X", "qty": "1e999", "side": "buy"}):
        assert client.post("/v2/orders", json=body).status_code == 422

    assert before == client.get("/v2/account").json()
    assert orders == client.get("/v2/orders", params={"status": "all", "limit": 500}).json()


def test_a_request_that_is_no_http_does_not_end_the_gateway(venue: Venue) -> None:
    """Noise on the socket is answered or dropped, and the next client is served."""
    address = venue.url.removeprefix("http://").split(":")
    for noise in (
        b"\x00\x01\x02\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST /v2/orders HTTP/1.1\r\n",
    ):
        with socket.create_connection((address[0], int(address[1])), timeout=10) as raw:
            raw.sendall(noise)

    assert {"status": "ok"} == venue.admin.get("/healthz").json()


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
MEMBERS = st.sampled_from(
    ["symbol", "qty", "side", "type", "time_in_force", "limit_price", "client_order_id", "legs"]
)


@settings(max_examples=150, suppress_health_check=list(HealthCheck))
@given(
    st.dictionaries(MEMBERS | st.text(), JSON, max_size=8).map(lambda d: json.dumps(d).encode())
    | JSON.map(lambda v: json.dumps(v).encode())
    | st.binary(max_size=200)
)
def test_no_body_makes_the_venue_fail(client: httpx.Client, symbol: str, body: bytes) -> None:
    """Whatever is sent, the answer is a refusal of the sender's input."""
    answer = client.post("/v2/orders", content=body)

    assert 400 <= answer.status_code < 500, answer.text
    refusal(answer)


@settings(max_examples=100, suppress_health_check=list(HealthCheck))
@given(MEMBERS, JSON)
def test_no_member_makes_the_venue_fail(
    client: httpx.Client, symbol: str, name: str, value: Any
) -> None:
    """A good order with one member replaced is taken or refused, never stumbled over."""
    body = {
        "symbol": symbol,
        "qty": "1",
        "side": "buy",
        "type": "limit",
        "time_in_force": "ioc",
        "limit_price": "99",
        name: value,
    }

    assert client.post("/v2/orders", content=json.dumps(body)).status_code in (200, 403, 422)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"APCA-API-KEY-ID": "admin"},
        {"APCA-API-SECRET-KEY": "x"},
        {"APCA-API-KEY-ID": "nobody", "APCA-API-SECRET-KEY": "x"},
        {**ADMIN, "APCA-API-SECRET-KEY": "wrong"},
        {"APCA-API-KEY-ID": "k" * 5000, "APCA-API-SECRET-KEY": "x"},
        {"APCA-API-KEY-ID": "\xff", "APCA-API-SECRET-KEY": "\xff"},
        {"Authorization": "Bearer x"},
    ],
)
def test_without_a_live_key_nothing_is_told(venue: Venue, headers: dict[str, str]) -> None:
    """Every door but the health and the documentation wants a key, before it reads a body."""
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    with httpx.Client(base_url=venue.url) as anybody:
        for method, path in (
            ("GET", "/v2/orders"),
            ("POST", "/v2/orders"),
            ("GET", "/v2/assets"),
            ("GET", "/admin/accounts"),
            ("POST", "/admin/accounts"),
        ):
            answer = anybody.request(method, path, headers=raw, content=b"{")
            assert (401, "NOT_AUTHORIZED", None) == refusal(answer)


ESCAPED = st.text(max_size=20).map(lambda t: quote(t, safe="")) | st.binary(max_size=12).map(
    lambda b: "".join(f"%{byte:02x}" for byte in b)
)
PLACES = st.sampled_from(
    [
        "/v2/orders?status={}",
        "/v2/orders?symbols={}",
        "/v2/orders?after={}",
        "/v2/orders?limit={}",
        "/v2/orders?{}",
        "/v2/orders:by_client_order_id?client_order_id={}",
        "/v2/orders/{}",
        "/v2/orders/{}/events",
        "/v2/positions/{}",
        "/v2/assets/{}",
        "/v2/assets?asset_class={}",
        "/v2/account/activities?activity_types={}&page_size=5",
        "/v2/account/activities?until={}",
        "/{}",
    ]
)


@settings(max_examples=200, suppress_health_check=list(HealthCheck))
@given(PLACES, ESCAPED)
@example("/v2/orders?symbols={}", "%25")
def test_no_path_or_query_makes_the_venue_fail(
    client: httpx.Client, place: str, written: str
) -> None:
    """Whatever a path or a query holds, the answer is a document or a refusal."""
    assert client.get(place.format(written)).status_code in (200, 401, 403, 404, 405, 422, 426)


@settings(max_examples=50, suppress_health_check=list(HealthCheck))
@given(
    st.sampled_from(["Idempotency-Key", "X-Nexus-Position", "APCA-API-KEY-ID", "Content-Type"]),
    st.lists(st.integers(0x20, 0x7E) | st.integers(0x80, 0xFF), max_size=20).map(bytes),
)
def test_no_header_makes_the_venue_fail(venue: Venue, name: str, value: bytes) -> None:
    """Whatever a header holds, the answer is a refusal."""
    headers = [(name.encode(), value.strip())]
    with httpx.Client(base_url=venue.url, headers=ADMIN) as operator:
        answer = operator.post("/admin/accounts/x/deposits", headers=headers, content=b"{}")

    assert answer.status_code in (400, 401, 422)
