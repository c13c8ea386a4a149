"""Whatever is sent, the answer is one that the OpenAPI document tells of."""

import json
import socket
import struct
import time
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import httpx
import pytest
from websockets.exceptions import ConnectionClosedError
from websockets.sync.client import connect

from api.cli.gateway import HEADERS
from infrastructure.embedded_server import EmbeddedServer
from tests.venue import Trader, Venue, served


@pytest.fixture(scope="module")
def venue(postgres: EmbeddedServer) -> Iterator[Venue]:
    """One venue for all tests of this file."""
    with served(postgres.dsn()) as venue:
        yield venue


@pytest.fixture(scope="module")
def trader(venue: Venue) -> Trader:
    """An account with cash."""
    return venue.trader()


def raw(venue: Venue, sent: bytes) -> tuple[int, dict[str, str], Any]:
    """Send bytes as they are; the status, the headers and the document of the answer."""
    with socket.create_connection(venue.address, timeout=20) as wire:
        wire.sendall(sent)
        got = b""
        while part := wire.recv(65536):
            got += part
            head, _, body = got.partition(b"\r\n\r\n")
            if b"content-length" in head.lower():
                length = int(head.lower().partition(b"content-length:")[2].split()[0])
                if len(body) >= length:
                    break
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {n.lower(): v.strip() for n, _, v in (line.partition(":") for line in lines)}
    return int(first.split()[1]), headers, json.loads(body[:length]) if body else None


def key(trader: Trader) -> bytes:
    """The headers of a key."""
    return "".join(f"{n}: {v}\r\n" for n, v in trader.headers.items()).encode()


GET = b"GET %s HTTP/1.1\r\nHost: %s\r\n%s\r\n"


@pytest.mark.parametrize(
    "host", [b"a:b", b"a:99999999", b"[", b"[::1", b"", b"a b", b"\xff", b"a/b"]
)
@pytest.mark.parametrize(
    ("path", "good"), [(b"/nothing", 404), (b"/v2/account", 200), (b"/v2/orders", 200)]
)
def test_host_of_any_kind_is_answered_in_our_words(
    venue: Venue, trader: Trader, host: bytes, path: bytes, good: int
) -> None:
    """A Host that can be none is refused by its name, any other is not looked at."""
    status, headers, document = raw(venue, GET % (path, host, key(trader)))

    assert status in (400, good)
    if status != 200:
        assert "application/problem+json" == headers["content-type"]
        assert status == document["status"]
    if status == 400:
        assert ("MALFORMED_REQUEST", "Host") == (document["reason"], document["field"])


@pytest.mark.parametrize(
    "sent",
    [
        b"\x00\x01\x02\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /v2/\xff HTTP/1.1\r\nHost: a\r\n\r\n",
        b"CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"NONSENSE /v2/account HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n",
        b"POST /v2/orders HTTP/1.1\r\nHost: a\r\nContent-Length: ten\r\n\r\n",
        b"POST /v2/orders HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}",
        b"POST /v2/orders HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: odd\r\n\r\n",
    ],
    ids=range(9),
)
def test_what_is_no_http_is_refused_with_a_problem(venue: Venue, sent: bytes) -> None:
    """Noise, and lengths that cannot be: 400 with a document, then the end."""
    status, headers, document = raw(venue, sent)

    assert (400, "application/problem+json") == (status, headers["content-type"])
    assert ("MALFORMED_REQUEST", 400) == (document["reason"], document["status"])
    assert {"status": "ok"} == venue.admin.get("/healthz").json()


@pytest.mark.parametrize("broken", [b"zz\r\n{}\r\n0\r\n\r\n", b"2\r\n{}garbage", b"-1\r\n\r\n"])
def test_chunked_body_that_breaks_is_refused_with_a_problem(
    venue: Venue, trader: Trader, broken: bytes
) -> None:
    """Whether or not the request has been looked at, its sender gets a problem or nothing."""
    head = b"POST /v2/orders HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n" + key(trader)
    status, headers, document = raw(venue, head + b"\r\n" + broken)

    assert (400, "application/problem+json") == (status, headers["content-type"])
    assert 400 == document["status"]


METHODS = {
    "/v2/orders": "DELETE, GET, OPTIONS, POST",
    "/v2/orders/x": "DELETE, GET, OPTIONS, PATCH",
    "/admin/accounts": "GET, OPTIONS, POST",
    "/admin/kill-switch": "GET, OPTIONS, PUT",
    "/healthz": "GET, OPTIONS",
}


@pytest.mark.parametrize("path", METHODS)
def test_a_paths_methods_are_those_of_all_its_handlers(
    venue: Venue, trader: Trader, path: str
) -> None:
    """Both who asks for them and who takes a wrong one is told the same."""
    keys = venue.admin.headers if path.startswith("/admin") else trader.headers
    with httpx.Client(base_url=venue.url, headers=keys) as client:
        asked = client.options(path)
        wrong = client.request("TRACE", path)
        looked = client.head(path)

    assert (204, METHODS[path], b"") == (asked.status_code, asked.headers["allow"], asked.content)
    assert (405, METHODS[path]) == (wrong.status_code, wrong.headers["allow"])
    assert METHODS[path].split(", ") == wrong.json()["details"]["allowed"]
    assert (405, b"") == (looked.status_code, looked.content)


def test_stream_asked_for_without_an_upgrade_says_what_it_is(venue: Venue) -> None:
    """It is a WebSocket, and no method of HTTP."""
    answer = venue.admin.get("/stream")

    assert (426, "websocket") == (answer.status_code, answer.headers["upgrade"])
    assert "UPGRADE_REQUIRED" == answer.json()["reason"]


@pytest.mark.parametrize("written", ["1e2", "1e0", "1.0", "+5", " 5", "5 ", "0x5", "٥", "5_0", ""])
def test_whole_number_is_written_in_digits(venue: Venue, trader: Trader, written: str) -> None:
    """1e2 is a hundred to JSON and a slip of the hand in a query."""
    paths = {
        "/v2/orders": "limit",
        "/v2/account/activities": "page_size",
        "/v2/settlements": "limit",
        "/v2/account/risk": "days",
    }
    with venue.client(trader) as client:
        for path, name in paths.items():
            answer = client.get(path, params={name: written})
            assert (422, name) == (answer.status_code, answer.json()["field"]), path
        if written.strip() == written:
            header = client.get("/v2/clock", headers={"X-Nexus-Position": written.encode()})
            assert (422, "X-Nexus-Position") == (header.status_code, header.json()["field"])
    assert (422, "limit") == (
        venue.admin.get("/admin/trades", params={"limit": written}).status_code,
        venue.admin.get("/admin/trades", params={"limit": written}).json()["field"],
    )


DOUBLED = [
    ('{"symbol": "A", "qty": "1", "qty": "100"}', "qty"),
    ('{"symbol": "A", "q\\u0074y": "1", "qty": "1"}', "qty"),
    ('{"take_profit": {"limit_price": "1", "limit_price": "2"}}', "take_profit.limit_price"),
    ('{"unknown": [{}, {"a": 1, "a": 1}]}', "unknown.1.a"),
    ('{"a": {"": 1, "": 1}}', "a."),
    ('{"client_order_id": "a:b:c", "note": "::", "x": 1, "x": 2}', "x"),
]


@pytest.mark.parametrize(("body", "field"), DOUBLED)
def test_member_that_is_given_twice_is_refused_by_name(
    venue: Venue, trader: Trader, body: str, field: str
) -> None:
    """Which of the two was meant nobody can know."""
    with venue.client(trader) as client:
        traders = client.post("/v2/orders", content=body)
    operators = venue.admin.post("/admin/accounts", content=body)

    for answer in (traders, operators):
        document = answer.json()
        assert (422, "INVALID_FIELD", field) == (
            answer.status_code,
            document["reason"],
            document["field"],
        )
        assert f"{field} is given more than once" == document["message"]


CONTENT_TYPES = [
    "",
    "text/plain",
    "application/xml",
    "multipart/form-data",
    "multipart/form-data; boundary=x",
    "application/x-www-form-urlencoded",
    "application/msgpack",
    "application/json; charset=utf-16",
    "no type; =;;",
]


@pytest.mark.parametrize("content_type", CONTENT_TYPES)
def test_body_under_any_content_type_is_read_as_json(
    venue: Venue, trader: Trader, content_type: str
) -> None:
    """Whatever the header says, the answer is an order's, or a problem."""
    with venue.client(trader) as client:
        headers = {"Content-Type": content_type}
        answers = [
            client.post("/v2/orders", content=body, headers=headers) for body in (b"{}", b"\xff{")
        ]

    assert [(422, "symbol"), (400, "body")] == [
        (answer.status_code, answer.json()["field"]) for answer in answers
    ]


@pytest.mark.parametrize("length", [256, 257, 500])
def test_reason_is_taken_as_long_as_documented(venue: Venue, trader: Trader, length: int) -> None:
    """What the document allows the writer takes, a character of many bytes as one."""
    symbol = venue.instrument()
    reason = "\u00e4" * length
    answers = [
        venue.admin.post(f"/admin/instruments/{symbol}/halt", json={"reason": reason}),
        venue.admin.post(
            f"/admin/accounts/{trader.account_id}/fees",
            json={"amount": "0.01", "description": reason},
        ),
        venue.admin.put(
            f"/admin/accounts/{trader.account_id}/kill-switch",
            json={"engaged": False, "reason": reason},
        ),
    ]

    assert [200] * 3 == [answer.status_code for answer in answers]


@pytest.mark.parametrize("by", ["header", "body"])
def test_refusal_names_the_key_where_its_sender_put_it(
    venue: Venue, trader: Trader, by: str
) -> None:
    """A header by its name and a member by its own; nobody sent a `client_order_id` here."""
    path, key = f"/admin/accounts/{trader.account_id}/deposits", f"key-by-{by}"
    headers = {"Idempotency-Key": key} if by == "header" else {}
    member = {"request_key": key} if by == "body" else {}
    paid = [
        venue.admin.post(path, json={"amount": amount, **member}, headers=headers)
        for amount in ("1", "2")
    ]
    with venue.client(trader) as client:
        canceled = [
            client.delete(f"/v2/orders/{UUID(int=number)}", headers={"Idempotency-Key": key})
            for number in (1, 2)
        ]

    name = "Idempotency-Key" if by == "header" else "request_key"
    assert [200, 422] == [answer.status_code for answer in paid]
    refused = paid[1].json()
    assert ("REQUEST_KEY_REUSED", name, key) == (
        refused["reason"],
        refused["field"],
        refused["details"]["key"],
    )
    assert refused["message"].startswith(f"{name} ")
    assert "Idempotency-Key" == canceled[1].json()["field"]


def test_refusal_of_an_ocos_limit_names_the_member_that_was_sent(
    venue: Venue, trader: Trader
) -> None:
    """The limit of an oco is its take-profit's; its sender finds it under the name he gave it."""
    symbol = venue.instrument()
    venue.hold(trader, symbol, "10")
    oco = {
        "symbol": symbol,
        "qty": "10",
        "side": "sell",
        "type": "limit",
        "time_in_force": "gtc",
        "order_class": "oco",
        "stop_loss": {"stop_price": "90"},
    }
    with venue.client(trader) as client:
        own = client.post("/v2/orders", json={**oco, "limit_price": "110.001"}).json()
        leg = client.post("/v2/orders", json={**oco, "take_profit": {"limit_price": "110.001"}})

    assert ["limit_price", "take_profit.limit_price"] == [own["field"], leg.json()["field"]]
    assert own["message"].startswith("limit_price ")
    assert {"price": "110.0010", "tick": "0.0100"} == own["details"] == leg.json()["details"]


BOUNDS = [
    ("GET", "/v2/orders?limit=501", None, "limit", {"limit": 500}),
    ("GET", "/v2/orders?limit=0", None, "limit", {"limit": 1}),
    ("POST", "/v2/orders", {"side": "hold"}, "side", {"allowed": ["buy", "sell"]}),
    ("POST", "/v2/orders", {"client_order_id": "k" * 129}, "client_order_id", {"limit": 128}),
    ("POST", "/v2/orders", {"qty": "0.000000001"}, "qty", {"value": "0.000000001"}),
]


@pytest.mark.parametrize(("method", "path", "member", "field", "details"), BOUNDS)
def test_refusal_of_a_value_tells_its_bound(
    venue: Venue,
    trader: Trader,
    method: str,
    path: str,
    member: dict[str, str] | None,
    field: str,
    details: dict[str, Any],
) -> None:
    """Who sends too much, or another word, need not read a sentence to send what is taken."""
    order = {"symbol": "X", "qty": "1", "side": "buy", "type": "market", "time_in_force": "day"}
    with venue.client(trader) as client:
        answer = client.request(method, path, json=None if member is None else order | member)

    assert (422, field, details) == (
        answer.status_code,
        answer.json()["field"],
        answer.json()["details"],
    )


UPGRADE = b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: %s\r\n"
NONCE = b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"


@pytest.mark.parametrize(
    ("path", "headers", "wanted"),
    [
        (b"/nothing", UPGRADE % b"13" + NONCE, (404, "NOT_FOUND")),
        (b"/v2/orders", UPGRADE % b"13" + NONCE, (404, "NOT_FOUND")),
        (b"/stream", UPGRADE % b"13", (400, "MALFORMED_REQUEST")),
        (b"/stream", UPGRADE % b"12" + NONCE, (400, "MALFORMED_REQUEST")),
        (b"/stream", UPGRADE % b"13" + b"Sec-WebSocket-Key: x\r\n", (400, "MALFORMED_REQUEST")),
        (b"/stream", UPGRADE % b"13" + NONCE + NONCE, (400, "MALFORMED_REQUEST")),
        (b"/stream", UPGRADE % b"13" + UPGRADE % b"13" + NONCE, (400, "MALFORMED_REQUEST")),
        (
            b"/stream",
            UPGRADE % b"13" + NONCE + b"Sec-WebSocket-Protocol: ,\x01\r\n",
            (400, "MALFORMED_REQUEST"),
        ),
        (b"/stream", UPGRADE % b"13" + NONCE + b"X: y\r\n" * 200, (431, "HEAD_TOO_LARGE")),
        (
            b"/stream",
            UPGRADE % b"13" + NONCE + b"X: " + b"y" * 9_000 + b"\r\n",
            (400, "MALFORMED_REQUEST"),
        ),
        (b"/stream?" + b"x" * 9_000, UPGRADE % b"13" + NONCE, (400, "MALFORMED_REQUEST")),
    ],
)
def test_websocket_that_cannot_be_opened_is_refused_with_a_problem(
    venue: Venue, path: bytes, headers: bytes, wanted: tuple[int, str]
) -> None:
    """There is one stream, and a handshake has its parts; it is answered as all else is."""
    status, told, document = raw(venue, GET % (path, b"a", headers))

    for name, value in HEADERS:
        assert value == told.get(name.lower())
    assert "application/problem+json" == told["content-type"]
    assert wanted == (status, document["reason"])


def test_websocket_is_opened_by_get_alone(venue: Venue) -> None:
    """Another method is named, with the one that there is."""
    asked = b"POST /stream HTTP/1.1\r\nHost: a\r\n" + UPGRADE % b"13" + NONCE + b"\r\n"
    status, told, document = raw(venue, asked)

    assert (405, "METHOD_NOT_ALLOWED", "GET") == (status, document["reason"], told["allow"])
    assert dict((name.lower(), value) for name, value in HEADERS).items() <= told.items()


@pytest.mark.parametrize(
    "begun",
    [
        b"Content-Length: 1000\r\n\r\n{",
        b"Content-Length: 1000\r\n\r\n",
        b'Transfer-Encoding: chunked\r\n\r\n5\r\n{"a":\r\n',
    ],
)
@pytest.mark.parametrize("reset", [False, True])
def test_client_that_hangs_up_in_its_body_is_no_fault_of_ours(
    venue: Venue, trader: Trader, caplog: pytest.LogCaptureFixture, begun: bytes, reset: bool
) -> None:
    """One line says so, below a warning, and the next request is answered."""
    caplog.set_level("INFO")
    head = b"POST /v2/orders HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n" + key(
        trader
    )
    with socket.create_connection(venue.address, timeout=10) as wire:
        wire.sendall(head + begun)
        time.sleep(0.05)
        if reset:
            wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    told = [record for record in caplog.records if "hung up" in record.getMessage()]
    deadline = time.monotonic() + 10
    while not told and time.monotonic() < deadline:
        time.sleep(0.01)
        told = [record for record in caplog.records if "hung up" in record.getMessage()]
    with venue.client(trader) as client:
        assert 200 == client.get("/v2/account").status_code
    (line,) = told
    assert ("INFO", None) == (line.levelname, line.exc_info)
    assert [] == [one.getMessage() for one in caplog.records if one.levelno > line.levelno]


def test_client_that_hangs_up_before_its_answers_is_no_fault_of_ours(
    venue: Venue, caplog: pytest.LogCaptureFixture
) -> None:
    """However many it has asked for at once: who is gone is answered nothing, and nothing is said
    of it.
    """
    for many in (1, 2, 40):
        with socket.create_connection(venue.address, timeout=10) as wire:
            wire.sendall(GET % (b"/openapi.json", b"a", b"") * many)
            time.sleep(0.05)
            wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        with httpx.Client(base_url=venue.url) as client:
            for _ in range(3):
                assert 200 == client.get("/openapi.json").status_code
    assert [] == [record.getMessage() for record in caplog.records if record.levelno > 20]


@pytest.mark.parametrize("parts", [[b"\xff\xfe"], [b"ab\xc3", b"\x28"]])
def test_text_that_is_none_ends_a_stream_and_is_no_fault_of_ours(
    venue: Venue, caplog: pytest.LogCaptureFixture, parts: list[bytes]
) -> None:
    """It is closed with the code for that, whole and in parts, and nothing is said of it."""
    with connect(venue.ws_url) as stream:
        stream.send(iter(parts), text=True)
        with pytest.raises(ConnectionClosedError) as closed:
            stream.recv(10)

    assert closed.value.rcvd is not None
    assert 1007 == closed.value.rcvd.code
    assert [] == [record.getMessage() for record in caplog.records if record.levelno > 20]


@pytest.mark.parametrize(
    ("headers", "field"),
    [
        (["Idempotency-Key: a", "Idempotency-Key: b"], "Idempotency-Key"),
        (["Idempotency-Key: a", "idempotency-key: a"], "Idempotency-Key"),
        (["Idempotency-Key: caf\u00e9"], "Idempotency-Key"),
        (["Idempotency-Key: \u20ac"], "Idempotency-Key"),
        (["X-Nexus-Position: 1", "X-Nexus-Position: 2"], "X-Nexus-Position"),
        (["X-Nexus-Position: -1"], "X-Nexus-Position"),
        ([f"X-Nexus-Position: {2**62 + 1}"], "X-Nexus-Position"),
        (["X-Nexus-Position: 99999999999999999999999"], "X-Nexus-Position"),
    ],
)
@pytest.mark.parametrize("path", ["/v2/orders", "/v2/watchlists", "/v2/positions/X"])
def test_header_that_may_mean_two_things_is_refused_by_its_name(
    venue: Venue, trader: Trader, path: str, headers: list[str], field: str
) -> None:
    """A key that is said twice, or in letters that a header has not, is nobody's; nor is a
    position out of range named otherwise than it was sent.
    """
    method = "DELETE" if path.startswith("/v2/positions") else "POST"
    said = "".join(f"{one}\r\n" for one in headers).encode()
    head = f"{method} {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n".encode()
    status, _, document = raw(venue, head + key(trader) + said + b"\r\n{}")

    assert (422, field) == (status, document["field"])
