"""What strangers send to harm others: each attack as the bytes that it opens with and repeats."""

from __future__ import annotations

from typing import NamedTuple

HTTP, FIX = "http", "fix"
_UPGRADE = (
    b"GET %b HTTP/1.1\r\nHost: siege\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)
_CHUNKED = b"POST /v2/orders HTTP/1.1\r\nHost: siege\r\nTransfer-Encoding: chunked\r\n\r\n"
_GET = b"GET /healthz HTTP/1.1\r\nHost: siege\r\n\r\n"
_LARGE = b"GET /openapi.json HTTP/1.1\r\nHost: siege\r\n\r\n"
_PLACES = {"stream": b"/stream", "quotes": b"/v2/quotes"}


class Attack(NamedTuple):
    """One way to harm: what each of its connections opens with, and sends again and again.

    A rate of 0 sends nothing more after the opening. Who does not read leaves all answers where
    they are; who drops ends each connection without a word and opens another.
    """

    name: str
    opening: bytes
    repeated: bytes = b""
    connections: int = 1
    bytes_a_second: int = 1_500_000
    reads: bool = True
    drops: bool = False
    door: str = HTTP


def _frame(kind: int, payload: bytes = b"", *, last: bool = True) -> bytes:
    """A client's frame; its mask is zeros."""
    size = len(payload)
    mark = bytes((0x80 | size,)) if size < 126 else b"\xfe" + size.to_bytes(2, "big")
    return bytes((kind | (0x80 if last else 0),)) + mark + bytes(4) + payload


def _over_http() -> list[Attack]:
    return [
        Attack("one endless header", b"GET / HTTP/1.1\r\nA: ", b"x" * 4_096, 1, 30_000_000),
        Attack("endless headers", b"GET / HTTP/1.1\r\n", b"A: b\r\n" * 500, 1, 30_000_000),
        Attack("an endless path", b"GET /", b"a" * 4_096, 1, 30_000_000),
        Attack("endless blank lines", b"", b"\r\n" * 1_000, 1, 30_000_000),
        Attack("endless trailers", _CHUNKED + b"1\r\nx\r\n0\r\n", b"A: b\r\n" * 500, 1, 30_000_000),
        Attack("one endless trailer", _CHUNKED + b"0\r\nA: ", b"x" * 4_096, 1, 30_000_000),
        Attack("an endless chunk extension", _CHUNKED + b"1;", b"x" * 4_096, 1, 30_000_000),
        Attack("chunks of a byte", _CHUNKED, b"1\r\nx\r\n" * 500, 1, 6_000_000),
        Attack("an endless body", _CHUNKED, b"1000\r\n" + b"x" * 4_096 + b"\r\n", 1, 30_000_000),
        Attack("pipelined requests that are not read", b"", _GET * 50, 4, reads=False),
        Attack("large answers that are not read", b"", _LARGE, 500, 200_000, reads=False),
        Attack("a flood of requests", b"", _GET, 8, 200_000),
        Attack("silent connections", b"", b"", 1_000),
        Attack("half a head", b"GET /healthz HTTP/1.1\r\nHo", b"", 1_000),
        Attack(
            "half a body",
            b"POST /v2/orders HTTP/1.1\r\nHost: siege\r\nContent-Length: 100\r\n\r\n{",
            b"",
            1_000,
        ),
        Attack("a head a byte at a time", b"GET / HTTP/1.1\r\nA: ", b"x", 200, 2_000),
        Attack("connections that are dropped", _GET, b"", 20, drops=True),
    ]


def _over_sockets(place: str, path: bytes) -> list[Attack]:
    opening = _UPGRADE % path
    parts = opening + _frame(1, last=False)
    return [
        Attack(f"empty pings, {place}", opening, _frame(9) * 500),
        Attack(f"empty pongs, {place}", opening, _frame(10) * 500),
        Attack(f"empty parts of a message, {place}", parts, _frame(0, last=False) * 500),
        Attack(f"tiny messages, {place}", opening, _frame(1, b"{}") * 500),
        Attack(
            f"pongs that are not read, {place}", opening, _frame(9, b"p" * 125) * 20, reads=False
        ),
        Attack(f"large messages, {place}", opening, _frame(1, b'{"id":"%b"}' % (b"i" * 60_000))),
        Attack(f"who never says who it is, {place}", opening, b"", 500),
    ]


def _over_fix() -> list[Attack]:
    endless = b"8=FIX.4.4\x019=60000\x0135=A\x0149="
    return [
        Attack("garbage, FIX", b"", b"8=FIX" * 500, door=FIX),
        Attack("an endless field, FIX", endless, b"x" * 4_096, door=FIX),
        Attack("silent connections, FIX", b"", b"", 300, door=FIX),
        Attack("half a logon, FIX", endless, b"", 300, door=FIX),
        Attack("connections that are dropped, FIX", b"8=FIX", b"", 20, drops=True, door=FIX),
    ]


def with_a_key(key: dict[str, str]) -> list[Attack]:
    """Attacks of somebody who has a key: what is echoed, and answers that are not read."""
    said = b'{"action":"authenticate","data":{"key_id":"%b","secret_key":"%b"}}'
    known = _frame(1, said % (key["id"].encode(), key["secret"].encode()))
    opening = _UPGRADE % b"/stream" + known
    long_id = _frame(1, b'{"action":"order","data":{},"id":"%b"}' % (b"i" * 60_000))
    short = _frame(1, b'{"action":"order","data":{},"id":"%b"}' % (b"i" * 100))
    return [
        Attack("long ids that are echoed", opening, long_id, 25, 6_000_000, reads=False),
        Attack("answers that are not read", opening, short * 20, 25, 3_000_000, reads=False),
    ]


def all_of(key: dict[str, str]) -> list[Attack]:
    """Every attack, over every door."""
    sockets = [one for place in _PLACES.items() for one in _over_sockets(*place)]
    return [*_over_http(), *sockets, *with_a_key(key), *_over_fix()]
