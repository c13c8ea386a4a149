"""Where a gateway waits to before it reads: nothing that a client was told of is missed."""

import asyncio
from typing import Any, cast

import pytest

from api.auth import Principal
from api.processes.gateway import Gateway
from application.commands import CancelAll, Reply
from domain.identifiers import uuid7
from infrastructure.clock import SystemClock
from infrastructure.settings import Settings

ME, YOU = uuid7(1, 0, 1, 1), uuid7(1, 0, 1, 2)


class Store:
    """A log whose end is known, and the bus that moves it."""

    def __init__(self, position: int) -> None:
        self.position = position

    async def last_position(self) -> int:
        return self.position

    async def stream(self, *_: Any) -> list[Any]:
        return []

    async def send(self, *_: Any) -> Reply:
        self.position += 1
        return Reply(self.position)


class Waits:
    """Notes what was waited for."""

    def __init__(self) -> None:
        self.seen: list[int] = []

    async def wait_for(self, position: int, views: Any, seconds: float) -> None:
        self.seen.append(position)


@pytest.fixture
def waits() -> Waits:
    """What the gateway waited for."""
    return Waits()


def gateway_on(store: Store, waits: Waits) -> Gateway:
    """A gateway that has just started."""
    parts = cast("Any", (Settings(), store, None, store, None, waits, SystemClock(), None))
    return Gateway(*parts, market=cast("Any", None))


def test_a_gateway_waits_for_the_accounts_own_last_write(waits: Waits) -> None:
    """Not for what others wrote meanwhile."""

    async def work() -> None:
        store = Store(0)
        gateway = gateway_on(store, waits)
        await gateway.catch_up(ME, None, "orders")
        await gateway.send(CancelAll(ME), Principal("k", ME, "trader"))
        await gateway.send(CancelAll(YOU), Principal("k", YOU, "trader"))
        await gateway.catch_up(ME, None, "orders")
        store.position = 9
        await gateway.catch_up(ME, 9, "orders")

    asyncio.run(work())
    assert [1, 9] == waits.seen


def test_a_gateway_that_starts_anew_misses_nothing_that_the_former_acknowledged(
    waits: Waits,
) -> None:
    """It does not know whose last write was where, so all that was committed counts."""

    async def work() -> None:
        store = Store(41)
        gateway = gateway_on(store, waits)
        await gateway.catch_up(ME, None, "orders")
        store.position = 50
        await gateway.catch_up(ME, None, "orders")

    asyncio.run(work())
    assert [41, 41] == waits.seen
