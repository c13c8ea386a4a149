"""A busy writer keeps its lease: commits alone do not say that it is alive."""

from __future__ import annotations

import asyncio

import msgspec

from application.commands import Envelope, OpenAccount, Reply, encode_command
from application.log.ports import Batch, Fenced
from application.writer.sequencer import Sequencer
from infrastructure.log.memory import MemoryLog, MemorySnapshots
from tests.model.command_flow import SteppingClock

COMMITS = 300


class SlowLog(MemoryLog):
    """Answers a commit only after others had their turn, so that the next group always gathers."""

    async def append(self, batch: Batch) -> None:
        """Keep the batch, later."""
        await asyncio.sleep(0.001)
        await super().append(batch)


class CountedLease:
    """Notes how far the log was at each renewal; `lost` is when another writer has taken it."""

    def __init__(self, log: MemoryLog, *, lost: bool = False) -> None:
        self.renewed_at: list[int] = []
        self._log = log
        self._lost = lost

    async def renew(self) -> None:
        """Say that this writer is alive."""
        self.renewed_at.append(len(self._log.rows))
        if self._lost:
            raise Fenced


async def busy(lease_of: type[CountedLease], *, lost: bool = False) -> CountedLease:
    """A writer that is asked to renew once, while two commands are always under way."""
    log = SlowLog()
    lease = lease_of(log, lost=lost)
    writer = Sequencer(log, MemorySnapshots(), SteppingClock(1), lease=lease, say=lambda _: None)
    writing = asyncio.create_task(writer.run())
    await writer.ready.wait()
    answered, done = 0, asyncio.Event()

    def send() -> None:
        body = encode_command(OpenAccount(f"account {answered} {writer.unanswered}", "", 1))
        writer.submit(Envelope("somebody", "test", msgspec.Raw(body)), again)

    def again(reply: Reply) -> None:
        nonlocal answered
        answered += 1
        if answered == COMMITS // 3:
            writer.beat()
        if reply.refusal is not None or answered >= COMMITS:
            done.set()
        else:
            send()

    send()
    send()
    await asyncio.wait_for(done.wait(), 30)
    writing.cancel()
    await asyncio.gather(writing, return_exceptions=True)
    return lease


def test_lease_is_renewed_while_commands_never_stop_coming() -> None:
    """Asked for in the middle of a load, it is renewed after the commit under way, not at the
    load's end: a standby would take a writer for silent that answers thousands a second.
    """
    lease = asyncio.run(busy(CountedLease))

    assert 1 == len(lease.renewed_at)
    assert COMMITS // 3 <= lease.renewed_at[0] <= COMMITS // 2


def test_busy_writer_whose_lease_is_lost_answers_nothing_more() -> None:
    """What is under way then is refused, and a retry is safe."""
    lease = asyncio.run(busy(CountedLease, lost=True))

    assert 1 == len(lease.renewed_at)
    assert lease.renewed_at[0] <= COMMITS // 2
