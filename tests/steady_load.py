"""Orders at a steady rate that all end soon, and how much the processes hold meanwhile."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import UUID

from api.processes.supervisor import Supervisor
from application.commands import CancelOrder, PlaceOrder, ReplaceOrder
from application.requests import Command
from bench.flow import Floor, furnish
from domain.identifiers import NO_ID
from domain.money import QTY_UNIT
from infrastructure.command_bus import UnixSocketBus

LIVES_SECONDS = 3.0
"""How long an order that does not trade stands until it is canceled."""
_TICK = 10**7
_PRICE = 10_000 * _TICK
FAR = 1_900_000_000_000_000
"""An instant of the year 2030, long after the orders that name it are canceled."""


def resident(pid: int) -> int:
    """The bytes of memory that a process holds."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * 4096


def held_by(venue: Supervisor) -> dict[str, int]:
    """What each process of a venue holds, by its name."""
    found = {}
    for child in venue.children:
        if child.pid is not None:
            found[child.role] = resident(child.pid)
    return found


class SteadyLoad:
    """Places so many orders a second over the bus, and ends each of them."""

    def __init__(self, bus: UnixSocketBus, rate: int, say: Callable[[str], object] = bool) -> None:
        self._bus = bus
        self._rate = rate
        self._say = say
        self._number = 0
        self._standing: deque[tuple[float, UUID, str]] = deque()
        self._under_way: set[asyncio.Task[None]] = set()
        self.orders = self.refused = 0

    async def run(self, seconds: float, every: float, look: Callable[[], object]) -> None:
        """Trade for a while; `look` is called every so many seconds."""
        floor = await furnish(self._bus)
        begun = looked = time.monotonic()
        while (now := time.monotonic()) < begun + seconds:
            while self.orders < (now - begun) * self._rate:
                for command in self._next(floor, now):
                    self._send(command)
            while self._standing and self._standing[0][0] <= now:
                _, account, key = self._standing.popleft()
                self._send(CancelOrder(account, None, key, "x" + key))
            if now - looked >= every:
                looked = now
                look()
            await asyncio.sleep(0.01)
        await asyncio.gather(*self._under_way)

    def _next(self, floor: Floor, now: float) -> Iterator[Command]:
        self._number += 1
        number = self._number
        account = floor.accounts[number % len(floor.accounts)]
        other = floor.accounts[(number + 1) % len(floor.accounts)]
        symbol = floor.symbols[number % len(floor.symbols)]
        key = f"steady-{number}"
        lot = 100 * QTY_UNIT
        if number % 3 == 0:
            # One trades with the other.
            self.orders += 2
            yield PlaceOrder(other, symbol, 2, 2, 1, lot, _PRICE, 0, "s" + key)
            yield PlaceOrder(account, symbol, 1, 2, 1, lot, _PRICE, 0, key)
            self._standing.append((now + LIVES_SECONDS, other, "s" + key))
            self._standing.append((now + LIVES_SECONDS, account, key))
            return
        self.orders += 1
        price = _PRICE - (1 + number % 50) * _TICK
        dated = number % 3 == 1
        time_in_force, expires_at = (6, FAR + number) if dated else (1, 0)
        yield PlaceOrder(
            account, symbol, 1, 2, time_in_force, lot, price, 0, key, expires_at=expires_at
        )
        if number % 10 == 1:
            yield ReplaceOrder(account, NO_ID, "", "r" + key, 2 * lot, name=key)
        self._standing.append((now + LIVES_SECONDS, account, key))

    def _send(self, command: Command) -> None:
        task = asyncio.get_running_loop().create_task(self._ask(command))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _ask(self, command: Command) -> None:
        reply = await self._bus.send(command, "steady", "load")
        if reply.refusal is not None:
            self.refused += 1
            if not isinstance(command, CancelOrder) and self.refused < 1_000:
                self._say(f"{type(command).__name__}: {reply.refusal.message}")
