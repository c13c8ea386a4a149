"""Strangers at the door of a served venue: what they send, and what they do not send."""

from __future__ import annotations

import json
import logging
import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Thread

import pytest

from api.door.limits import Limits
from infrastructure.embedded_server import EmbeddedServer
from tests.venue import Trader, Venue, served

LIMITS = Limits(
    head_seconds=0.6,
    body_seconds=0.8,
    idle_seconds=0.8,
    unread_seconds=0.8,
    strangers_unread_seconds=0.8,
    abort_seconds=0.4,
    tick_seconds=0.05,
    strangers=40,
    strangers_of_an_address=12,
)
UPGRADE = (
    b"GET %b HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n%b\r\n"
)
CHUNKED = b"POST /v2/orders HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
GET = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
PLACES = [b"/stream", b"/v2/quotes"]
ANSWERED = b"HTTP/1.1 %d "
QUICKLY = 1.0
"""Seconds: what stops a gateway stops it for longer, whatever else a machine does."""


@pytest.fixture(scope="module")
def venue(postgres: EmbeddedServer) -> Iterator[Venue]:
    """One venue with little patience for all tests of this file."""
    with served(postgres.dsn(), limits=LIMITS) as venue:
        # What waits for a client is to wait here, and not in the kernel.
        venue.listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4_096)
        yield venue


@pytest.fixture(scope="module")
def trader(venue: Venue) -> Trader:
    """Somebody who has a key."""
    return venue.trader()


@contextmanager
def connected(venue: Venue, opening: bytes = b"") -> Iterator[socket.socket]:
    """A connection that has sent its opening."""
    with socket.create_connection(("127.0.0.1", venue.address[1]), 10) as conn:
        conn.sendall(opening)
        yield conn


def heard(conn: socket.socket, until: bytes | None = None) -> bytes:
    """All that is told until the connection ends, or until some bytes are there."""
    told = b""
    while until is None or until not in told:
        try:
            part = conn.recv(65_536)
        except ConnectionResetError:
            return told
        if not part:
            return told
        told += part
    return told


def pour(conn: socket.socket, bytes_: bytes, most: int) -> int:
    """Send the same until the connection is closed or so much is sent; how much it was."""
    sent = 0
    conn.settimeout(5)
    try:
        while sent < most:
            sent += conn.send(bytes_)
    except OSError:
        pass
    return sent


def frame(kind: int, payload: bytes = b"", *, last: bool = True) -> bytes:
    """A client's frame; its mask is zeros."""
    size = len(payload)
    mark = bytes((0x80 | size,)) if size < 126 else b"\xfe" + size.to_bytes(2, "big")
    return bytes((kind | (0x80 if last else 0),)) + mark + bytes(4) + payload


def closed_with(told: bytes) -> int:
    """The code of the close with which what was told ends."""
    kind = told.rfind(b"\x88")
    return int(struct.unpack_from("!H", told, kind + 2)[0])


@contextmanager
def open_socket(venue: Venue, path: bytes, headers: bytes = b"") -> Iterator[socket.socket]:
    """A WebSocket that stands."""
    with connected(venue, UPGRADE % (path, headers)) as conn:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += conn.recv(1)
        assert b" 101 " in head
        yield conn


def key_of(trader: Trader) -> bytes:
    """A trader's key as headers."""
    return "".join(f"{name}: {value}\r\n" for name, value in trader.headers.items()).encode()


def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    """Return when something is so."""
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.01)


def gone(venue: Venue, before: int) -> None:
    """Return when no more connections stand than before."""
    until(lambda: len(venue.door.connections) <= before)


@contextmanager
def somebody_who_behaves(venue: Venue, trader: Trader) -> Iterator[list[float]]:
    """A client that asks all the while; the seconds that each of its answers took."""
    took: list[float] = []
    ends: list[bool] = []

    def ask() -> None:
        with venue.client(trader) as client:
            while not ends:
                began = time.monotonic()
                assert 200 == client.get("/v2/account").status_code
                took.append(time.monotonic() - began)
                time.sleep(0.005)

    thread = Thread(target=ask)
    thread.start()
    # The first is asked of a venue that is cold.
    until(lambda: len(took) > 2)
    took.clear()
    try:
        yield took
        until(lambda: len(took) > 0)
    finally:
        ends.append(True)
        thread.join()


@pytest.mark.parametrize(
    ("opening", "repeated", "status", "field"),
    [
        (b"GET / HTTP/1.1\r\nA: ", b"x" * 4_096, 431, "head"),
        (b"GET / HTTP/1.1\r\n", b"A: b\r\n" * 700, 431, "head"),
        (b"GET /", b"a" * 4_096, 431, "target"),
        (b"", b"\r\n" * 2_000, 431, "head"),
    ],
    ids=["a header", "headers", "a path", "blank lines"],
)
def test_door_ends_a_head_that_does_not_end(
    venue: Venue, trader: Trader, opening: bytes, repeated: bytes, status: int, field: str
) -> None:
    """It is refused by what is too much of it, after few bytes, and nobody waits for it."""
    with somebody_who_behaves(venue, trader) as took, connected(venue, opening) as conn:
        sent = pour(conn, repeated, 60_000_000)
        told = heard(conn)

    assert sent < 8_000_000
    assert max(took) < QUICKLY
    if told:
        # A client that writes on may lose what it was told.
        assert told.startswith(ANSWERED % status)
        assert field == json.loads(told.partition(b"\r\n\r\n")[2])["field"]


def test_door_says_which_part_of_a_head_is_too_large(venue: Venue) -> None:
    """To a client that has sent no more than is read."""
    for head, field in [
        (b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 128 + b"\r\n", "head"),
        (b"GET /?a=" + b"b" * LIMITS.target_bytes + b" HTTP/1.1\r\nHost: x\r\n\r\n", "target"),
    ]:
        with connected(venue, head) as conn:
            told = heard(conn)
        document = json.loads(told.partition(b"\r\n\r\n")[2])
        assert told.startswith(ANSWERED % 431)
        assert ("HEAD_TOO_LARGE", field) == (document["reason"], document["field"])


@pytest.mark.parametrize(
    ("opening", "repeated"),
    [
        (CHUNKED + b"1\r\nx\r\n0\r\n", b"A: b\r\n" * 700),
        (CHUNKED + b"0\r\nA: ", b"x" * 4_096),
        (CHUNKED + b"1;", b"x" * 4_096),
        (CHUNKED, b"1\r\nx\r\n" * 700),
        (CHUNKED, b"1000\r\n" + b"x" * 4_096 + b"\r\n"),
    ],
    ids=["trailers", "a trailer", "a chunk extension", "chunks of a byte", "a body"],
)
def test_door_ends_a_body_that_does_not_end(
    venue: Venue, trader: Trader, opening: bytes, repeated: bytes
) -> None:
    """Whatever it is made of, with a key as without one."""
    before = len(venue.door.connections)
    for keyed in (opening, opening.replace(b"Host: x\r\n", b"Host: x\r\n" + key_of(trader))):
        with somebody_who_behaves(venue, trader) as took, connected(venue, keyed) as conn:
            assert pour(conn, repeated, 60_000_000) < 8_000_000
            heard(conn)
        assert max(took) < QUICKLY
    gone(venue, before)


def test_trailer_is_no_header(venue: Venue, trader: Trader) -> None:
    """What stands behind a body says nothing of who asks."""
    chunked = b"POST /v2/orders HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    with connected(venue, chunked + b"2\r\n{}\r\n0\r\n" + key_of(trader) + b"\r\n" + GET) as conn:
        told = heard(conn, b"200 OK")

    assert told.startswith(ANSWERED % 401)


@pytest.mark.parametrize(
    ("opening", "keyed", "status"),
    [
        (b"", False, 0),
        (b"GET /heal", False, 408),
        (b"POST /v2/orders HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n%b\r\n{", True, 408),
        (b"POST /v2/orders HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{", False, 401),
        (GET, False, 200),
        (GET + b"GET /he", False, 200),
    ],
    ids=["nothing", "half a head", "half a body", "a stranger's half body", "a rest", "a second"],
)
def test_door_ends_who_sends_no_more(
    venue: Venue, trader: Trader, opening: bytes, keyed: bool, status: int
) -> None:
    """In its time; what was begun is answered with what is missing."""
    before = len(venue.door.connections)
    with connected(venue, opening % key_of(trader) if keyed else opening) as conn:
        began = time.monotonic()
        told = heard(conn)
        assert time.monotonic() - began < 5

    assert told.startswith(ANSWERED % status if status else b"")
    assert bool(told) == bool(status)
    assert (b"REQUEST_TIMEOUT" in told) == (status == 408 or opening.endswith(b"/he"))
    gone(venue, before)


def test_door_does_not_end_a_rest_of_somebody_it_knows(venue: Venue, trader: Trader) -> None:
    """Who has shown a key may wait with its next request."""
    request = b"GET /v2/account HTTP/1.1\r\nHost: x\r\n" + key_of(trader) + b"\r\n"
    with connected(venue, request) as conn:
        heard(conn, b"account_number")
        conn.settimeout(1.5 * LIMITS.idle_seconds)
        with pytest.raises(TimeoutError):
            conn.recv(1)


def test_head_that_comes_a_byte_at_a_time_has_no_longer(venue: Venue) -> None:
    """Each byte is progress, and none of them buys time."""
    with connected(venue, b"GET / HTTP/1.1\r\nA: ") as conn:
        began = time.monotonic()
        sent = 0
        try:
            while time.monotonic() - began < 5:
                conn.sendall(b"x")
                sent += 1
                time.sleep(0.02)
        except OSError:
            pass
        assert time.monotonic() - began < 3
    assert sent > 5


def test_requests_that_follow_each_other_are_answered_in_order(venue: Venue) -> None:
    """All of them, however many come at once; none is parsed long before its turn."""
    with connected(venue) as conn:
        asked = b"".join(b"GET /%d HTTP/1.1\r\nHost: x\r\n\r\n" % number for number in range(120))
        conn.sendall(asked + b"GET /last HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        told = heard(conn)

    details = [part.split(b'"', 1)[0] for part in told.split(b'"detail":"/')[1:]]
    assert [*(b"%d not found" % number for number in range(120)), b"last not found"] == details


def test_request_before_one_that_cannot_be_read_has_its_own_answer(venue: Venue) -> None:
    """Its answer is not taken for the other's refusal; then the connection ends."""
    with connected(venue, GET + b"\x00\x01 nonsense\r\n\r\n") as conn:
        told = heard(conn)

    assert told.startswith(ANSWERED % 200)
    assert 1 == told.count(b"HTTP/1.1 ")


def test_door_cuts_who_asks_and_does_not_read(venue: Venue, trader: Trader) -> None:
    """Nothing is read of it while it leaves answers unread, and its end comes in time."""
    before = len(venue.door.connections)
    request = b"GET /v2/account HTTP/1.1\r\nHost: x\r\n" + key_of(trader) + b"\r\n"
    with somebody_who_behaves(venue, trader) as took, socket.socket() as conn:
        conn.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        conn.connect(("127.0.0.1", venue.address[1]))
        assert pour(conn, request * 20, 200_000_000) < 60_000_000
        gone(venue, before + 1)

    assert max(took) < QUICKLY


def test_request_that_was_whole_is_answered_before_one_that_is_not(
    venue: Venue, trader: Trader
) -> None:
    """However many stand before it; then the connection ends."""
    request = b"GET /v2/account HTTP/1.1\r\nHost: x\r\n" + key_of(trader) + b"\r\n"
    for broken in (b"\x00 nonsense\r\n\r\n", CHUNKED + b"zz\r\n"):
        with connected(venue, request * 3 + broken) as conn:
            told = heard(conn)
        assert 3 == told.count(b"HTTP/1.1 200 ") == told.count(b"HTTP/1.1 ")
        assert 1 == told.lower().count(b"connection: close")


@pytest.mark.parametrize("path", PLACES)
@pytest.mark.parametrize(
    "repeated",
    [
        frame(9) * 500,
        frame(10) * 500,
        frame(0, last=False) * 500,
        frame(1, b"{}") * 500,
        frame(9, b"p" * 125) * 50,
        frame(1, b'{"id":"%b"}' % (b"i" * 60_000)),
    ],
    ids=["pings", "pongs", "parts", "tiny", "large pings", "large"],
)
def test_door_sends_away_who_sends_frames_and_says_not_who_it_is(
    venue: Venue, trader: Trader, path: bytes, repeated: bytes
) -> None:
    """After as many as a key and a subscription need; nobody waits for the others to be read."""
    before = len(venue.door.connections)
    with somebody_who_behaves(venue, trader) as took, open_socket(venue, path) as conn:
        if repeated[0] == 0:
            conn.sendall(frame(1, last=False))
        assert pour(conn, repeated, 30_000_000) < 8_000_000
        heard(conn)
    assert max(took) < QUICKLY
    gone(venue, before)


def test_door_says_why_it_sends_away(venue: Venue, trader: Trader) -> None:
    """To a client that has sent no more than is read: a policy of the venue, in words."""
    with open_socket(venue, b"/stream") as conn:
        conn.sendall(frame(1, b"{}") * 65)
        told = heard(conn)
    assert 1008 == closed_with(told)
    assert b"before it is known who this is" in told
    with open_socket(venue, b"/v2/quotes", key_of(trader)) as conn:
        heard(conn, b'"authenticated"')
        conn.sendall(frame(9) * 600)
        told = heard(conn)
    assert 1008 == closed_with(told)
    assert b"too many frames that bring no message" in told


@pytest.mark.parametrize("kind", [9, 10])
def test_door_cuts_who_leaves_pongs_unread(venue: Venue, trader: Trader, kind: int) -> None:
    """With a key, too: what waits for it is bounded, and it is gone in time."""
    before = len(venue.door.connections)
    with somebody_who_behaves(venue, trader) as took:
        with open_socket(venue, b"/v2/quotes", key_of(trader)) as conn:
            heard(conn, b'"authenticated"')
            assert pour(conn, frame(kind, b"p" * 125) * 100, 60_000_000) < 20_000_000
        gone(venue, before + 1)
    assert max(took) < QUICKLY


def test_door_lets_through_what_clients_send(venue: Venue, trader: Trader) -> None:
    """A message in parts whose last is empty, and a ping between them, as clients have them."""
    said = {"action": "authenticate", "data": {"key_id": trader.key_id}}
    said["data"] |= {"secret_key": trader.secret}  # type: ignore[operator]
    whole = json.dumps(said).encode()
    with open_socket(venue, b"/stream") as conn:
        conn.sendall(frame(1, whole[:20], last=False) + frame(9, b"mid"))
        conn.sendall(frame(0, whole[20:], last=False) + frame(0))
        told = heard(conn, b"authorization")
        assert b"mid" in told
        for _ in range(200):
            conn.sendall(frame(1, b"{}"))
        count = 0
        while count < 200:
            count += heard(conn, b"error").count(b'"error"')


def test_stream_echoes_no_long_id(venue: Venue, trader: Trader) -> None:
    """It is refused by its name; an order in it is not taken."""
    said = {"action": "authenticate", "key": trader.key_id, "secret": trader.secret}
    with open_socket(venue, b"/stream") as conn:
        conn.sendall(frame(1, json.dumps(said).encode()))
        heard(conn, b'"authorized"')
        conn.sendall(frame(1, b'{"action":"order","data":{},"id":"%b"}' % (b"i" * 60_000)))
        told = heard(conn, b'"field":"id"')
        assert len(told) < 2_000
        conn.sendall(frame(1, b'{"action":"order","data":{},"id":"%b"}' % (b"i" * 128)))
        assert b"i" * 128 in heard(conn, b"i" * 128)


def test_stranger_that_was_there_longest_makes_room_for_another(
    venue: Venue, trader: Trader
) -> None:
    """Whoever has a key gets in, however many strangers stand there, and stays."""
    request = b"GET /v2/account HTTP/1.1\r\nHost: x\r\n" + key_of(trader) + b"\r\n"
    with connected(venue, request) as known:
        heard(known, b"account_number")
        with open_socket(venue, b"/v2/quotes", key_of(trader)) as channel:
            heard(channel, b'"authenticated"')
            strangers = []
            for _ in range(3 * LIMITS.strangers_of_an_address):
                strangers.append(socket.create_connection(("127.0.0.1", venue.address[1]), 10))
            first = heard(strangers[0])
            assert b"TOO_MANY_CONNECTIONS" in first
            assert b"Retry-After" in first
            known.sendall(request)
            assert b" 200 " in heard(known, b"account_number")
            channel.sendall(frame(9, b"there"))
            assert b"there" in heard(channel, b"there")
            with connected(venue, request) as another:
                assert b" 200 " in heard(another, b"account_number")
            for one in strangers:
                one.close()


def test_key_that_was_good_lately_does_not_stand_in_line_with_strangers(
    venue: Venue, trader: Trader
) -> None:
    """It is asked first over a new connection, too; a stranger who leaves the line is gone."""
    before = len(venue.door.connections)
    request = b"GET /v2/account HTTP/1.1\r\nHost: x\r\n" + key_of(trader) + b"\r\n"
    with connected(venue, request) as known:
        heard(known, b"account_number")
    venue.door.turns.charge(1_000)
    with connected(venue, GET) as stranger, connected(venue, request) as another:
        began = time.monotonic()
        assert b" 200 " in heard(another, b"account_number")
        assert time.monotonic() - began < 1
        stranger.settimeout(0.1)
        with pytest.raises(TimeoutError):
            stranger.recv(1)
    gone(venue, before)
    venue.door.turns.charge(-1_000)


def test_door_keeps_nothing_of_connections_that_are_dropped(venue: Venue) -> None:
    """Reset in the middle of whatever they were at."""
    before = len(venue.door.connections)
    for opening in (b"", b"GET /he", GET, CHUNKED + b"5\r\nab", UPGRADE % (b"/stream", b"")):
        for _ in range(5):
            with connected(venue, opening) as conn:
                conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    gone(venue, before)


def test_upload_that_is_aborted_is_said_in_a_line(
    venue: Venue, trader: Trader, caplog: pytest.LogCaptureFixture
) -> None:
    """No fault of ours, and no traceback."""
    caplog.set_level(logging.INFO)
    head = b"POST /v2/orders HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n%b\r\n{" % key_of(trader)
    chunked = CHUNKED.replace(b"Host: x\r\n", b"Host: x\r\n" + key_of(trader)) + b"5\r\n{"
    for opening in (head, chunked):
        for drop in (True, False):
            with connected(venue, opening) as conn:
                time.sleep(0.05)
                if drop:
                    conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    until(lambda: sum("hung up" in record.getMessage() for record in caplog.records) >= 4)

    assert not [record for record in caplog.records if record.exc_info]
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_refusals_of_the_door_stand_in_the_words_of_all(venue: Venue) -> None:
    """With the headers of every answer, and with what was judged."""
    with connected(venue, b"GET /heal") as conn:
        head, _, body = heard(conn).partition(b"\r\n\r\n")

    assert b"x-content-type-options: nosniff" in head.lower()
    assert {"limit_ms": 600} == json.loads(body)["details"]
