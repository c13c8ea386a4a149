"""Repeats and late cancels while the writer recovers again and again: each gets its own answer."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from uuid import UUID

import pytest

from application.log.ports import Batch, OutcomeUnknown, Recorded, RequestKey
from infrastructure.log.memory import MemoryLog, MemorySnapshots
from tests.repeat_driver import RepeatDriver

RECOVERIES = 40


class RestlessLog(MemoryLog):
    """A log that loses the outcome of many commits, and takes its time over look-ups."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self._chance = random.Random(seed)
        self.restless = False
        self.takeovers = 0

    async def take_over(self) -> int:
        self.takeovers += 1
        await self._rest()
        return await super().take_over()

    async def append(self, batch: Batch) -> None:
        await self._rest()
        dice = self._chance.random() if self.restless else 1.0
        if dice < 0.15:
            raise OutcomeUnknown("the connection broke before the commit")
        self._refuse_collisions(batch)
        await super().append(batch)
        if dice < 0.3:
            raise OutcomeUnknown("the connection broke after the commit")

    def _refuse_collisions(self, batch: Batch) -> None:
        for key in batch.keys:
            if (key.account_id, key.key) in self.keys:
                raise ValueError(f"the key {key.key} is there already")

    async def stream(
        self, originator_id: UUID, after_version: int = 0, up_to_version: int | None = None
    ) -> Sequence[Recorded]:
        await self._rest()
        return await super().stream(originator_id, after_version, up_to_version)

    async def find_key(self, account_id: UUID, key: str) -> RequestKey | None:
        await self._rest()
        return await super().find_key(account_id, key)

    async def _rest(self) -> None:
        for _ in range(self._chance.randint(0, 20)):
            await asyncio.sleep(0)


@pytest.mark.parametrize("seed", [1, 2])
def test_repeat_gets_its_first_result_through_any_number_of_recoveries(seed: int) -> None:
    """Never set aside, never done again; and what ended stays known to have ended."""

    async def play() -> None:
        log = RestlessLog(seed)
        driver = RepeatDriver(log, MemorySnapshots(), seed)
        await driver.start()
        await driver.open(accounts=4)
        await driver.forget()
        log.restless = True
        stop = asyncio.Event()
        working = asyncio.create_task(driver.work(stop))
        while log.takeovers < RECOVERIES and not working.done():
            await asyncio.sleep(0)
        stop.set()
        await working
        assert driver.answers > 2 * RECOVERIES
        assert [] == log.quarantined
        await driver.stop()

    asyncio.run(play())
