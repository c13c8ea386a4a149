"""One key's share of a venue: whatever it asks for, others are answered as if it asked nothing."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import pairwise
from statistics import median
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect

from api.door.fairness import Bounds, Fairness
from api.processes.gateway import Gateway
from infrastructure.database import EmbeddedServer
from tests.venue import Trader, Venue, served

SECONDS = 60


@pytest.fixture(scope="module")
def venue(postgres: EmbeddedServer) -> Iterator[Venue]:
    """One venue for all of these."""
    with served(postgres.dsn()) as venue:
        yield venue


@pytest.fixture
def bounded(venue: Venue, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Sets what each key may have."""
    gateway: Gateway = venue.app.state["gateway"]

    def bound(**bounds: Any) -> None:
        monkeypatch.setattr(gateway, "fairness", Fairness(Bounds(**bounds)))

    return bound


def limits_of(answer: Any) -> list[str]:
    """What an answer says of its key."""
    return [answer.headers.get(f"RateLimit-{name}") for name in ("Limit", "Remaining", "Reset")]


def test_answers_say_how_much_more_a_key_may_ask_for(
    venue: Venue, bounded: Callable[..., None]
) -> None:
    """Whatever they answer; who is nobody is told nothing."""
    trader = venue.trader(cash="0")
    bounded(requests_per_second=1_000)
    with venue.client(trader) as client:
        answers = [
            client.get("/v2/account"),
            client.get("/v2/orders/none"),
            client.get("/v2/orders", params={"limit": "0"}),
            client.post("/v2/orders", content=b"{"),
            client.get("/admin/trades"),
        ]
        assert [200, 422, 422, 400, 403] == [answer.status_code for answer in answers]
        for limit, remaining, reset in map(limits_of, answers):
            assert ("1000", "1") == (limit, reset)
            assert 990 < int(remaining) < 1_000
        assert [None] * 3 == limits_of(client.get("/healthz"))
        wrong = client.get("/v2/account", headers={"APCA-API-SECRET-KEY": "x"})
        assert (401, [None] * 3) == (wrong.status_code, limits_of(wrong))


def test_key_that_asks_too_fast_is_refused_and_no_other(
    venue: Venue, bounded: Callable[..., None]
) -> None:
    """429 as a problem, with Retry-After; nothing was taken."""
    fast, other = venue.trader(cash="0"), venue.trader(cash="0")
    bounded(requests_per_second=3)
    with venue.client(fast) as client, venue.client(other) as calm:
        answers = (client.get("/v2/clock") for _ in range(200))
        refused = next(answer for answer in answers if answer.status_code != 200)
        assert 429 == refused.status_code
        assert "TOO_MANY_REQUESTS" == refused.json()["reason"]
        assert {"limit": 3} == refused.json()["details"]
        assert "application/problem+json" == refused.headers["content-type"]
        assert ("1", ["3", "0", "1"]) == (refused.headers["Retry-After"], limits_of(refused))
        assert 200 == calm.get("/v2/clock").status_code


async def ask(ws: ClientConnection, message: dict[str, Any]) -> Any:
    """Say something and hear the answer."""
    await ws.send(json.dumps(message))
    return json.loads(await ws.recv())


def sign_in(trader: Trader) -> dict[str, Any]:
    """The message that says who it is."""
    return {"action": "auth", "key": trader.key_id, "secret": trader.secret}


def test_commands_over_a_stream_count_as_those_over_http(
    venue: Venue, bounded: Callable[..., None]
) -> None:
    """In the words of the stream, which stays."""
    symbol, trader = venue.instrument(), venue.trader()
    bounded(requests_per_second=5)

    async def speak() -> list[Any]:
        async with connect(venue.ws_url) as ws:
            await ask(ws, sign_in(trader))
            for number in range(12):
                body = {"symbol": symbol, "qty": "1", "side": "buy", "type": "limit"}
                body |= {"limit_price": "90", "time_in_force": "gtc"}
                await ws.send(json.dumps({"action": "order", "id": number, "data": body}))
            return [json.loads(await ws.recv())["data"] for _ in range(12)]

    said = asyncio.run(asyncio.wait_for(speak(), SECONDS))

    refused = [one for one in said if one["status"] != 200]
    assert refused
    assert {(429, "TOO_MANY_REQUESTS", 1)} == {
        (one["status"], one["body"]["reason"], one["retry_after"]) for one in refused
    }


@pytest.mark.parametrize("path", ["/stream", "/v2/book"])
def test_key_has_so_many_sockets_and_another_when_one_is_closed(
    venue: Venue, bounded: Callable[..., None], path: str
) -> None:
    """Counted over all sockets of a gateway that say who they are."""
    trader, other = venue.trader(cash="0"), venue.trader(cash="0")
    bounded(sockets=2)
    url = venue.url.replace("http", "ws") + path

    async def speak() -> list[Any]:
        async def opened(who: Trader) -> tuple[ClientConnection, str]:
            ws = await connect(url)
            if path != "/stream":
                await ws.recv()
            return ws, json.dumps(await ask(ws, sign_in(who)))

        first, second, third = [await opened(trader) for _ in range(3)]
        fourth = await opened(other)
        said = [one for _, one in (first, second, third, fourth)]
        await first[0].close()
        while venue.app.state["gateway"].fairness._sockets[trader.key_id] > 1:
            await asyncio.sleep(0.01)
        again = json.dumps(await ask(third[0], sign_in(trader)))
        for ws, _ in (second, third, fourth):
            await ws.close()
        return [*said, again]

    said = asyncio.run(asyncio.wait_for(speak(), SECONDS))

    assert [True, True, False, True, True] == [
        "thenticated" in one or "authorized" in one for one in said
    ]
    assert "TOO_MANY_REQUESTS" in said[2]


@pytest.mark.parametrize("path", ["/stream", "/v2/book"])
def test_sockets_of_a_key_are_read_at_its_rate(
    venue: Venue, bounded: Callable[..., None], path: str
) -> None:
    """Whatever it says over however many of them: what is too much is read later."""
    trader = venue.trader(cash="0")
    bounded(requests_per_second=20)
    answers = 0
    opened: list[ClientConnection] = []

    async def flood() -> None:
        nonlocal answers
        url = venue.url.replace("http", "ws") + path
        # Its goodbye stands behind all that is read at the key's rate.
        async with connect(url, close_timeout=0.1) as ws:
            opened.append(ws)
            if path != "/stream":
                await ws.recv()
            await ask(ws, sign_in(trader))
            for _ in range(200):
                await ws.send("{}")
            async for _ in ws:
                answers += 1

    async def main() -> None:
        floods = [asyncio.create_task(flood()) for _ in range(3)]
        await asyncio.wait(floods, timeout=1.5)
        for one in floods:
            one.cancel()
        await asyncio.gather(*floods, return_exceptions=True)
        for ws in opened:
            ws.transport.abort()
        # What was cut off is closed in the loop's next turns.
        await asyncio.sleep(0.1)

    asyncio.run(main())

    assert 20 <= answers < 200


def test_position_that_the_log_does_not_have_is_refused_at_once(venue: Venue) -> None:
    """By the header's name, with the log's end; nobody waits for what may never come."""
    trader = venue.trader()
    with venue.client(trader) as client:
        began = time.monotonic()
        answers = [
            client.get("/v2/account", headers={"X-Nexus-Position": str(position)})
            for position in (10**6, 2**40, 2**62)
        ]
        assert time.monotonic() - began < venue.app.state["gateway"].settings.read_wait_ms / 1000
    for answer in answers:
        assert (422, "X-Nexus-Position") == (answer.status_code, answer.json()["field"])
        assert 0 < answer.json()["details"]["limit"] < 10**6


def test_position_that_another_gateway_has_just_acknowledged_is_there(venue: Venue) -> None:
    """Whoever does not know of it asks the log before it refuses."""
    trader = venue.trader()
    gateway: Gateway = venue.app.state["gateway"]
    for _ in range(5):
        done = venue.admin.post(
            f"/admin/accounts/{trader.account_id}/deposits", json={"amount": "1"}
        )
        gateway._end = 0
        seen = {"X-Nexus-Position": done.headers["X-Nexus-Position"]}
        with venue.client(trader) as client:
            assert 200 == client.get("/v2/account", headers=seen).status_code


def test_many_who_wait_for_views_or_name_far_positions_ask_the_store_together(
    venue: Venue,
) -> None:
    """A hundred at once take no connection each, neither for the log's end nor for the views."""
    gateway: Gateway = venue.app.state["gateway"]
    trader = venue.trader(cash="0")

    async def main() -> list[int]:
        statuses = await asyncio.gather(
            *(
                one_get(venue, trader, f"X-Nexus-Position: {2**50 + number}\r\n")
                for number in range(100)
            )
        )
        return statuses

    before = gateway.pool.get_stats()["requests_num"]
    assert {422} == set(asyncio.run(asyncio.wait_for(main(), SECONDS)))
    assert gateway.pool.get_stats()["requests_num"] - before < 50


def head(trader: Trader, more: str = "", path: str = "/v2/account") -> bytes:
    """A request for an account, as bytes."""
    return (
        f"GET {path} HTTP/1.1\r\nHost: venue\r\nAPCA-API-KEY-ID: {trader.key_id}\r\n"
        f"APCA-API-SECRET-KEY: {trader.secret}\r\n{more}\r\n"
    ).encode()


async def answered(reader: asyncio.StreamReader) -> int:
    """The status of the next answer."""
    said = await reader.readuntil(b"\r\n\r\n")
    length = next(
        int(line.partition(b":")[2])
        for line in said.split(b"\r\n")
        if line.lower().startswith(b"content-length:")
    )
    await reader.readexactly(length)
    return int(said[9:12])


async def leave(writer: asyncio.StreamWriter) -> None:
    """End a connection, and wait until nothing of it is left."""
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()


async def one_get(venue: Venue, trader: Trader, more: str = "") -> int:
    """One request over a connection of its own."""
    reader, writer = await asyncio.open_connection(*venue.address)
    writer.write(head(trader, more))
    try:
        return await answered(reader)
    finally:
        await leave(writer)


class Asking:
    """Connections that ask again as soon as they are answered."""

    def __init__(self, venue: Venue, trader: Trader) -> None:
        self.venue = venue
        self.request = head(trader)
        self.statuses: Counter[int] = Counter()

    async def ask(self, times: int = 1_000_000, after: Callable[[], object] = bool) -> None:
        """Ask so often over one connection; `after` is called when it is answered."""
        reader, writer = await asyncio.open_connection(*self.venue.address)
        try:
            for _ in range(times):
                writer.write(self.request)
                self.statuses[await answered(reader)] += 1
                after()
        finally:
            await leave(writer)


def test_key_with_hundreds_of_connections_makes_no_other_wait(venue: Venue) -> None:
    """Its own requests wait in its line; another key's goes past all of them: what is answered
    before it are those that were under way, and not one for each connection.
    """
    connections = 300
    crowd, other = (Asking(venue, venue.trader(cash="0")) for _ in range(2))
    done_by: list[int] = []

    async def main() -> None:
        crowding = [asyncio.create_task(crowd.ask()) for _ in range(connections)]
        while crowd.statuses.total() < connections:
            await asyncio.sleep(0.01)
        done_by.append(crowd.statuses[200])
        await other.ask(25, lambda: done_by.append(crowd.statuses[200]))
        for task in crowding:
            task.cancel()
        await asyncio.gather(*crowding, return_exceptions=True)

    asyncio.run(asyncio.wait_for(main(), SECONDS))

    assert {200: 25} == other.statuses
    assert crowd.statuses.keys() <= {200, 429}
    assert median(later - one for one, later in pairwise(done_by)) < connections / 4
