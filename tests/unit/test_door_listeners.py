"""One account's many listeners are told a few in a turn of the loop, and each of everything."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from api.asset_classes import AssetClasses
from api.groups import Groups
from api.ws.subscriptions import TOLD_AT_ONCE, Subscriptions
from application.log.ports import Batch, Recorded
from infrastructure.log.memory import MemoryLog
from tests.model.command_flow import lived
from tests.model.told_updates import told_of

LISTENERS = 200


class Log(MemoryLog):
    """A log that says when something was added."""

    def __init__(self) -> None:
        super().__init__()
        self._news = asyncio.Event()

    async def add(self, events: Sequence[Any]) -> None:
        """Commit events."""
        await self.append(Batch(len(self.rows) + 1, [*events], []))
        self._news.set()

    async def wait(self, timeout: float) -> None:
        """Return when something was."""
        await self._news.wait()
        self._news.clear()


class Listener:
    """Notes in which turn of the loop it was told."""

    def __init__(self, turns: Counter[int], now: list[int]) -> None:
        self._turns = turns
        self._now = now
        self.told: list[str] = []

    def tell(self, updates: Sequence[dict[str, Any]]) -> bool:
        """Take everything."""
        self._turns[self._now[0]] += 1
        self.told += [update["exact_event"] for update in updates]
        return True

    async def room(self) -> None:
        """There is room always."""

    def end(self) -> None:
        """It does not end here."""
        raise AssertionError("nothing has failed")


def busiest_account(story: Sequence[Recorded]) -> UUID:
    """The one of which most is told."""
    accounts = {getattr(event, "account_id", None) for _, event in story} - {None}
    return max(accounts, key=lambda one: (len(told_of(story, one)), one.int))


def test_door_one_accounts_listeners_do_not_stop_the_others_of_a_gateway() -> None:
    """However many it has: each of them sends what it is told, and others are served between. Who
    leaves or comes meanwhile changes nothing for the rest.
    """
    events = lived(7, 120).log.events()
    story = [Recorded(number, event) for number, event in enumerate(events, 1)]
    account_id = busiest_account(story)

    async def play() -> tuple[list[Listener], Counter[int]]:
        log, now, turns = Log(), [0], Counter[int]()
        updates = Subscriptions(log, log, AssetClasses(log), Groups(log))

        async def count() -> None:
            while True:
                now[0] += 1
                await asyncio.sleep(0)

        await log.add(events[:1])
        listeners = [Listener(turns, now) for _ in range(LISTENERS)]
        for one in listeners:
            await updates.listen(account_id, one)
        for _ in range(50):
            # Each comes to where all are, by itself.
            await asyncio.sleep(0)
        counting = asyncio.create_task(count())
        await log.add(events[1:])
        wanted = len(told_of(story, account_id))
        while len(listeners[0].told) < wanted // 2:
            await asyncio.sleep(0)
        await updates.leave(listeners.pop(LISTENERS // 2))
        while any(len(one.told) < wanted for one in listeners):
            await asyncio.sleep(0)
        counting.cancel()
        await updates.stop()
        return listeners, turns

    listeners, turns = asyncio.run(asyncio.wait_for(play(), 60))

    assert 1 == len({tuple(one.told) for one in listeners})
    assert max(turns.values()) <= 3 * TOLD_AT_ONCE
