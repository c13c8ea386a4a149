"""Recovers after a failure: leads anew, loads the desk from the log, finishes what was under way.

A commit whose outcome was lost may have happened: what the log holds is answered, the rest is
decided again, in order. A command that broke the desk or the store is set aside.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from uuid import UUID

from application.commands import Envelope
from application.desk.desk import Desk
from application.log.away import Away
from application.log.patience import persist
from application.log.ports import DeskSnapshots, EventLog, Fenced, OutcomeUnknown, UnreadableEvent
from application.writer.admission import Admission
from application.writer.committing import Committing, Unstorable, lasting
from application.writer.gathering import MARKER, Pending, refused
from application.writer.loading import PAGE, load_desk
from application.writer.numbering import Numbering
from application.writer.request_keys import RequestKeys
from domain.errors import VenueUnavailable
from domain.request_errors import CommandQuarantined

_CANNOT_BE_READ = "what the request rests on cannot be read from the log"


class Recovering:
    """Brings admission, numbering and committing back to where the log is.

    `led` is called whenever the lead was taken and the desk stands.
    """

    def __init__(
        self,
        log: EventLog,
        snapshots: DeskSnapshots,
        partition: int,
        *,
        admission: Admission,
        numbering: Numbering,
        committing: Committing,
        led: Callable[[], object],
        say: Callable[[str], object],
    ) -> None:
        self._log = log
        self._snapshots = snapshots
        self._partition = partition
        self._admission = admission
        self._numbering = numbering
        self._committing = committing
        self._led = led
        self._say = say
        self._away = Away(say)
        committing.stored = self._away.back
        self._broken: tuple[Pending, Exception] | None = None
        self.ready = asyncio.Event()

    @property
    def store_is_away(self) -> bool:
        """Whether the store has failed, and not yet taken anything since."""
        return self._away.lasts

    def note_broken(self, pending: Pending, error: Exception) -> None:
        """Stop deciding: the desk may be half changed. What was decided before still commits."""
        self._admission.close()
        pending.correlation_id = self._numbering.newest_id()
        self._broken = (pending, error)
        self._committing.wake()

    async def set_broken_aside(self) -> None:
        """Quarantine the command that broke the desk, if one did, and go on without it."""
        if self._broken is None:
            return
        pending, error = self._broken
        self._broken = None
        await self._quarantine(pending, error)
        await self.recover([])

    async def set_aside(self, pending: Pending, error: Exception) -> None:
        """Answer a command whose look-up broke: the desk is whole, and nothing was decided.

        An event that this program cannot read is no fault of the command; else it is quarantined.
        """
        if isinstance(error, UnreadableEvent):
            self._say(f"look-up failed: {error}")
            self._committing.attach(pending, refused(VenueUnavailable(_CANNOT_BE_READ)))
            return
        pending.correlation_id = self._numbering.spare_id()
        await self._quarantine(pending, error)

    async def recover_uncommitted(self, why: str) -> None:
        """The store may or may not hold what was under way: ask it, and finish that."""
        self._away.gone(why)
        await self.recover(self.take_uncommitted())

    async def isolate(self, failure: Unstorable) -> None:
        """Find the one command of a group whose values cannot be stored.

        A command is at fault when it fails alone and was decided on a desk fresh from the log:
        until then another writer's events may be what its own collide with.
        """
        self._admission.close()
        again = self.take_uncommitted()
        decided = failure.decided
        if len(decided) == 1 and decided[0].suspected:
            again.remove(decided[0])
            await self._quarantine(decided[0], failure.error)
        for pending in decided:
            pending.suspected = True
        self._committing.commit_one_by_one(len(decided))
        await self.recover(again)

    def take_uncommitted(self) -> list[Pending]:
        """Every command that was decided and is not committed, in order of arrival."""
        taken = self._committing.take_uncommitted()
        if self._broken is not None:
            # Its desk is dropped anyway: on the next it may break again, or not.
            taken.append(self._broken[0])
            self._broken = None
        return taken

    async def recover(
        self, again: Sequence[Pending], warm: tuple[Desk, RequestKeys] | None = None
    ) -> None:
        """Lead anew, rebuild the desk from the log, and finish what was under way."""
        self._admission.close()
        self.ready.clear()
        while True:
            try:
                if self._away.lasts:
                    # A store that can be read and not be written fails again as soon as it is led.
                    await asyncio.sleep(self._away.pause())
                began = lasting()
                if warm is None:
                    await self._log.take_over()
                desk, keys = await load_desk(
                    self._log, self._snapshots, self._partition, warm=warm, say=self._say
                )
                committed = self._committing.committed
                stored = await commands_since(self._log, committed) if again else set()
                break
            except (OutcomeUnknown, OSError) as error:
                self._away.gone(error)
                warm = None
            except Fenced:
                self._admission.put_first(again)
                raise
        self._numbering.begin(desk)
        # Whoever came meanwhile to wait for what was decided waits behind it.
        again = [*again, *self.take_uncommitted()]
        self._committing.begin(desk.position, began)
        self._admission.open(keys)
        self._finish(again, stored)
        self._admission.admit_line()
        self.ready.set()
        self._led()

    def _finish(self, again: Sequence[Pending], stored: set[UUID]) -> None:
        """Answer commands that were stored after all; decide the others again, in order."""

        def settle(pending: Pending) -> bool:
            if pending.correlation_id not in stored and pending.envelope is not MARKER:
                return False
            # What is stored is what was decided, so its reply holds.
            assert pending.reply is not None
            self._committing.attach(pending, pending.reply)
            return True

        self._admission.readmit(again, settle)

    async def _quarantine(self, pending: Pending, error: Exception) -> None:
        identifier = pending.correlation_id
        assert identifier is not None
        await quarantine(self._log, pending.envelope, identifier, error, self._say)
        self._committing.answer(pending, refused(CommandQuarantined()))


async def commands_since(log: EventLog, position: int) -> set[UUID]:
    """The commands that have events above a position."""
    found: set[UUID] = set()
    while page := await log.read(position, PAGE):
        found.update(recorded.event.correlation_id for recorded in page)
        position = page[-1].position
    return found


async def quarantine(
    log: EventLog,
    envelope: Envelope,
    identifier: UUID,
    error: BaseException,
    say: Callable[[str], object],
) -> None:
    """Set a command aside that broke the writer, however long the store is away."""
    say(f"quarantined {identifier}: {error!r}")
    actor, gateway, body = envelope.actor, envelope.gateway, bytes(envelope.body)
    await persist(
        lambda: log.quarantine(identifier, actor, gateway, body, repr(error)),
        Away(say),
    )
