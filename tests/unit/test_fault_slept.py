"""A machine that slept: its leader answers nothing by what it knew before."""

from __future__ import annotations

import asyncio

import pytest

from application.commands import CloseInstrument, ReadState
from application.log.ports import Fenced
from application.writer import committing
from application.writer.sequencer import Sequencer
from domain.errors import VenueUnavailable
from infrastructure.log.memory import MemoryLog, MemorySnapshots
from tests.model.command_flow import SteppingClock

TEN_MINUTES = 600.0


class TakenLease:
    """Somebody else leads as soon as that is said."""

    def __init__(self) -> None:
        self.renewals = 0
        self.is_taken = False

    async def renew(self) -> None:
        """Say that this writer is alive."""
        self.renewals += 1
        if self.is_taken:
            raise Fenced


@pytest.mark.parametrize("command", [ReadState(), CloseInstrument("NONE")], ids=["read", "refusal"])
def test_nobody_is_answered_by_a_leader_that_slept_and_was_taken_over(
    monkeypatch: pytest.MonkeyPatch, command: ReadState | CloseInstrument
) -> None:
    """The seconds in which a leader is sure of its lead go on while its machine sleeps, when no
    other clock of it does: neither a read nor a refusal leaves before the lease was renewed.
    """
    slept = 0.0
    lasting = committing.lasting
    monkeypatch.setattr(committing, "lasting", lambda: lasting() + slept)

    async def work() -> None:
        nonlocal slept
        lease = TakenLease()
        writer = Sequencer(
            MemoryLog(), MemorySnapshots(), SteppingClock(1), lease=lease, say=lambda _: None
        )
        writing = asyncio.create_task(writer.run())
        await writer.ready.wait()
        assert (await writer.send(ReadState())).refusal is None
        assert 0 == lease.renewals
        lease.is_taken, slept = True, TEN_MINUTES
        reply = await asyncio.wait_for(writer.send(command), 10)
        assert reply.refusal is not None and VenueUnavailable.code == reply.refusal.code
        assert 1 == lease.renewals
        with pytest.raises(Fenced):
            await writing

    asyncio.run(work())
