"""A FIX client that trades on whatever is killed: it logs on again, its numbers do the rest."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable

from api.fix.codec import Message
from tests.fix_client import Away, Fields, FixClient
from tests.fix_settings import PASSWORD

AWAY_SECONDS = 0.1
ANSWERED_WITHIN = 60.0
NOT_AVAILABLE = b"4"


class FixTrader:
    """Orders in bursts, and what was told of each; it never begins its numbers anew."""

    def __init__(self, port: Callable[[], int], target: str, symbol: str, seed: int) -> None:
        self._port = port
        self.target = target
        self._symbol = symbol.encode()
        self._chance = random.Random(seed)
        self._client: FixClient | None = None
        self._count = 0
        self.orders: dict[bytes, Fields] = {}
        self.told: dict[bytes, list[Message]] = {}
        self.reports: list[Message] = []
        self.again: list[bytes] = []
        self._logged_on = False
        self.logons = 0

    @property
    def wrong(self) -> list[str]:
        """What an engine would complain of."""
        return [] if self._client is None else self._client.memory.wrong

    @property
    def unanswered(self) -> list[bytes]:
        """Orders of which nothing was told yet."""
        return [one for one in self.orders if one not in self.told]

    async def run(self, stop: asyncio.Event) -> None:
        """Keep the session until told to stop, and all is answered."""
        while not (stop.is_set() and not self.unanswered and self.connected):
            if not self.connected:
                await self._log_on()
            while self.again and self.connected:
                self._send(self.again.pop(), poss_resend=True)
            await asyncio.sleep(0.02)
        assert self._client is not None
        await self._client.log_out()

    @property
    def connected(self) -> bool:
        """Whether it is logged on."""
        return self._logged_on and self._client is not None and self._client.connected

    def burst(self, count: int) -> None:
        """Send so many orders, and do not wait."""
        for _ in range(count):
            self._count += 1
            name = b"%s-%d" % (self.target.encode(), self._count)
            self.orders[name] = self._order(name)
            self._send(name)

    async def answered(self) -> None:
        """Return when something was told of every order."""
        deadline = time.monotonic() + ANSWERED_WITHIN
        while self.unanswered:
            left = self.unanswered
            assert time.monotonic() < deadline, f"{len(left)} orders without an answer: {left[:5]}"
            await asyncio.sleep(0.02)

    def _send(self, name: bytes, *, poss_resend: bool = False) -> None:
        assert self._client is not None
        header = [(97, b"Y")] if poss_resend else []
        self._client.send(b"D", self.orders[name], header)

    def _order(self, name: bytes) -> Fields:
        """On both sides of one price, so that many trade and many rest."""
        return [
            (11, name),
            (55, self._symbol),
            (54, self._chance.choice((b"1", b"2"))),
            (60, time.strftime("%Y%m%d-%H:%M:%S", time.gmtime()).encode()),
            (38, b"%d" % self._chance.randint(1, 20)),
            (40, b"2"),
            (44, b"%d" % self._chance.randint(98, 102)),
            (59, b"1"),
        ]

    async def _log_on(self) -> None:
        self._logged_on = False
        memory = None if self._client is None else self._client.memory
        self._client = FixClient(
            self._port(), self.target, PASSWORD, memory=memory, on_message=self._take, heartbeat=2
        )
        try:
            await self._client.log_on(seconds=15)
            self._logged_on = True
            self.logons += 1
        except (Away, TimeoutError):
            await asyncio.sleep(AWAY_SECONDS)

    def _take(self, message: Message) -> None:
        if message.msg_type == b"j":
            if message.get(380) == NOT_AVAILABLE:
                self.again.append(message.get(379) or b"")
            return
        name = message.get(11) or b""
        self.told.setdefault(name, []).append(message)
        if message.msg_type == b"8" and message.get(150) != b"I":
            self.reports.append(message)

    def twice(self) -> dict[bytes, int]:
        """Executions that were told more than once."""
        counted = Counter(message.get(17) or b"" for message in self.reports)
        return {name: count for name, count in counted.items() if count > 1}
