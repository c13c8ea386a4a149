"""A writer in this process, asked without a bus: what it does when nothing holds it up."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from time import perf_counter, time_ns

import msgspec

from application.commands import Envelope, Reply, encode_command
from application.requests import Command
from application.writer.sequencer import Sequencer
from infrastructure.log.snapshots import PostgresSnapshots
from infrastructure.log.writing import PostgresEventLog
from migrations.runner import migrate

_IN_FLIGHT = 4_000


class WallClock:
    """The machine's clock."""

    def now(self) -> int:
        """Microseconds since 1970 UTC."""
        return time_ns() // 1000


@asynccontextmanager
async def leading(dsn: str, schema: str) -> AsyncIterator[Sequencer]:
    """A sequencer that leads on a new schema, and stops afterwards."""
    migrate(dsn, schema)
    log = PostgresEventLog(dsn, schema, 0)
    sequencer = Sequencer(log, PostgresSnapshots(dsn, schema), WallClock(), say=lambda _: None)
    running = asyncio.create_task(sequencer.run())
    try:
        await sequencer.ready.wait()
        yield sequencer
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await log.close()


@contextmanager
def uncollected() -> Iterator[None]:
    """Keep the collector of cycles out of what is timed."""
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()


def envelopes_of(commands: Sequence[Command]) -> list[Envelope]:
    """Commands as the bus hands them over."""
    return [Envelope("bench", "bench", msgspec.Raw(encode_command(one))) for one in commands]


class Offered:
    """Envelopes on their way through a sequencer."""

    def __init__(self, sequencer: Sequencer, envelopes: Sequence[Envelope]) -> None:
        self._sequencer = sequencer
        self._envelopes = envelopes
        self._answered = 0
        self._done = asyncio.Event()
        self.refused: list[Reply] = []

    async def seconds(self) -> float:
        """How long until all of them are decided, committed and answered."""
        started = perf_counter()
        for number, envelope in enumerate(self._envelopes):
            self._sequencer.submit(envelope, self._answer)
            if number % 100 == 99:
                await asyncio.sleep(0)
                while number - self._answered > _IN_FLIGHT:
                    await asyncio.sleep(0.001)
        await self._done.wait()
        return perf_counter() - started

    def _answer(self, reply: Reply) -> None:
        self._answered += 1
        if reply.refusal is not None:
            self.refused.append(reply)
        if self._answered == len(self._envelopes):
            self._done.set()
