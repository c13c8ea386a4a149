"""More orders over more connections than are decided in time: the rest hear that it is busy."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import pairwise
from statistics import median
from typing import NamedTuple
from uuid import uuid4

import pytest

from api.door.fairness import Bounds, Fairness
from api.door.limits import Limits
from infrastructure.database import EmbeddedServer
from tests.log_checks import read_log
from tests.venue import Trader, Venue, served

OLDEST = 0.15
"""Seconds that a request of this venue waits, in the door and behind it."""
KEYS, CONNECTIONS = 6, 600


@pytest.fixture(scope="module")
def venue(postgres: EmbeddedServer) -> Iterator[Venue]:
    """A venue whose requests wait for some hundredths of a second at most."""
    limits = Limits(begun_seconds=OLDEST, requests_of_a_turn=1)
    with served(postgres.dsn(), limits=limits) as venue:
        venue.app.state["gateway"].fairness = Fairness(Bounds(oldest_seconds=OLDEST))
        yield venue


class Refusal(NamedTuple):
    """What a client that is refused goes by."""

    status: int
    retry_after: str
    reason: str


class Client:
    """One connection of a key, which asks again as soon as it is answered."""

    def __init__(self, venue: Venue, trader: Trader) -> None:
        self._venue = venue
        self._trader = trader
        self.taken: set[str] = set()
        self.refused: dict[str, Refusal] = {}

    async def order(self, symbol: str, times: int, after: Callable[[], object] = bool) -> None:
        """Place so many orders, one after the other."""
        reader, writer = await asyncio.open_connection(*self._venue.address)
        terms = {"symbol": symbol, "qty": "1", "side": "buy", "type": "limit"}
        terms |= {"limit_price": "90", "time_in_force": "gtc"}
        asked = (
            "POST /v2/orders HTTP/1.1\r\nHost: venue\r\n"
            f"APCA-API-KEY-ID: {self._trader.key_id}\r\n"
            f"APCA-API-SECRET-KEY: {self._trader.secret}\r\n"
        )
        try:
            for _ in range(times):
                name = uuid4().hex
                body = json.dumps(terms | {"client_order_id": name})
                writer.write(f"{asked}Content-Length: {len(body)}\r\n\r\n{body}".encode())
                said = await _answer(reader)
                if said is None:
                    self.taken.add(name)
                else:
                    self.refused[name] = said
                after()
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()


async def _answer(reader: asyncio.StreamReader) -> Refusal | None:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    lines = [line.partition(": ") for line in head.split("\r\n")[1:]]
    said = {name.lower(): value for name, _, value in lines}
    body = json.loads(await reader.readexactly(int(said["content-length"])))
    status = int(head[9:12])
    return None if status == 200 else Refusal(status, said.get("retry-after", ""), body["reason"])


def test_crowd_beyond_what_is_decided_in_time_is_refused_and_nobody_elses_order(
    venue: Venue, postgres: EmbeddedServer
) -> None:
    """503 with Retry-After; what was acknowledged is in the log, and nothing that was refused;
    another key's orders are taken as ever, past all that wait.
    """
    symbol = venue.instrument()
    crowd = [Client(venue, trader) for trader in [venue.trader() for _ in range(KEYS)]]
    other = Client(venue, venue.trader())
    answered = 0
    seen: list[int] = []

    def one_more() -> None:
        nonlocal answered
        answered += 1

    async def main() -> None:
        crowding = [
            asyncio.create_task(crowd[n % KEYS].order(symbol, 1_000_000, one_more))
            for n in range(CONNECTIONS)
        ]
        while answered < 2 * CONNECTIONS:
            await asyncio.sleep(0.01)
        await other.order(symbol, 20, lambda: seen.append(answered))
        for task in crowding:
            task.cancel()
        await asyncio.gather(*crowding, return_exceptions=True)

    asyncio.run(asyncio.wait_for(main(), 100))

    log = read_log(postgres.dsn(), venue.schema)
    log.check()
    placed = log.orders_by_client_id().keys()
    assert not other.refused
    assert other.taken <= placed
    for client in crowd:
        assert client.taken and client.taken <= placed
        assert client.refused and client.refused.keys().isdisjoint(placed)
        assert {Refusal(503, "1", "QUEUE_FULL")} == {*client.refused.values()}
    assert median(later - one for one, later in pairwise(seen)) < CONNECTIONS / 4
