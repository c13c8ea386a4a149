"""The one writer of a partition: decide on arrival, commit in groups, answer after the commit.

A command is decided in memory the moment it arrives; what has gathered is one transaction;
meanwhile the next group is decided. No answer, not even of a refusal or a read, leaves before
everything decided before it is committed. When a commit fails, or a command breaks the desk,
the state built on it is dropped and rebuilt from the log.

Four parts, each with its own state: *admission* takes commands in, *numbering* has them
decided, *committing* stores them and answers, *recovering* goes on after a failure.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import monotonic_ns
from typing import Any

import msgspec

from application.commands import Envelope, Reply, encode_command
from application.deciding.handlers import HANDLERS
from application.desk.desk import Desk
from application.log.ports import DeskSnapshots, EventLog, Fenced, Lease, OutcomeUnknown
from application.ports import Clock
from application.writer.admission import Admission
from application.writer.beside import rows_beside
from application.writer.committing import Committing, Unstorable
from application.writer.gathering import Answer, Journal, Limits, Pending, refused
from application.writer.numbering import DeskBroken, Numbering
from application.writer.order_rates import OrderRates
from application.writer.reads import read
from application.writer.recovering import Recovering
from application.writer.request_keys import RequestKeys
from domain.errors import Rejection, VenueUnavailable


class Sequencer:
    """Numbers, decides, commits and answers the commands of one partition."""

    def __init__(
        self,
        log: EventLog,
        snapshots: DeskSnapshots,
        clock: Clock,
        *,
        partition: int = 0,
        limits: Limits | None = None,
        journal: Journal | None = None,
        lease: Lease | None = None,
        led: Callable[[], object] = bool,
        say: Callable[[str], object] = print,
        numbering: Numbering | None = None,
        elapsed: Callable[[], int] = monotonic_ns,
    ) -> None:
        limits = limits or Limits()
        self._say = say
        self._numbering = numbering or Numbering(partition, clock, journal)
        self._committing = Committing(log, limits, lease, self._numbering.flush_journal)
        self._admission = Admission(
            log,
            self._committing,
            limits,
            lambda: self.desk,
            self._decide,
            self._set_aside,
            say,
            OrderRates(elapsed),
        )
        self._recovering = Recovering(
            log,
            snapshots,
            partition,
            admission=self._admission,
            numbering=self._numbering,
            committing=self._committing,
            led=led,
            say=say,
        )

    @property
    def desk(self) -> Desk:
        """The desk of the moment, which a recovery replaces."""
        return self._numbering.desk

    @property
    def committed(self) -> int:
        """The position up to which events are known to be stored."""
        return self._committing.committed

    @property
    def unanswered(self) -> int:
        """How many commands wait for their answer."""
        return self._committing.unanswered

    @property
    def ready(self) -> asyncio.Event:
        """Set while this writer leads and its desk stands."""
        return self._recovering.ready

    @property
    def store_is_away(self) -> bool:
        """Whether the store has failed, and not yet taken anything since."""
        return self._recovering.store_is_away

    def submit(self, envelope: Envelope, answer: Answer) -> None:
        """Take a command in; `answer` is called once, after what it rests on is committed.

        When the queue is full it is refused at once and nothing is decided.
        """
        self._admission.submit(envelope, answer)

    async def send(self, command: Any, actor: str = "venue", gateway: str = "timer") -> Reply:
        """Submit from inside the process and wait for the answer; no queue is too full for it."""
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()

        def answer(reply: Reply) -> None:
            if not future.done():
                future.set_result(reply)

        own = Envelope(actor, gateway, msgspec.Raw(encode_command(command)))
        self._admission.take(own, answer)
        return await future

    async def flush(self) -> None:
        """Return when everything decided until now is committed."""
        await self._committing.flush()

    def beat(self) -> None:
        """Have the lease renewed after what is under way; a lost connection is noticed so."""
        self._committing.doubt_lease()

    def _decide(self, pending: Pending) -> None:
        """Decide an admitted command; its events and its answer go to the next commit."""
        committing = self._committing
        if type(pending.command) not in HANDLERS:
            committing.attach(pending, read(self.desk, pending.command, committing.unanswered))
            return
        try:
            decision, reply = self._numbering.decide(pending)
        except Rejection as refusal:
            committing.attach(pending, refused(refusal))
            return
        except DeskBroken as broken:
            self._recovering.note_broken(pending, broken.error)
            return
        if not decision.events:
            committing.attach(pending, reply)
            return
        key = self._admission.spend_key(pending, decision.first_position)
        committing.gather(pending, decision, key)
        if pending.command.KEEPS_BESIDE:
            committing.keep_beside(rows_beside(pending.command, decision, self.desk.keys.find))
        committing.attach(pending, reply)
        committing.close_if_full()

    async def _set_aside(self, pending: Pending, error: Exception) -> None:
        await self._recovering.set_aside(pending, error)

    async def run(self, warm: tuple[Desk, RequestKeys] | None = None) -> None:
        """Lead: recover, then commit what gathers, until fenced or canceled.

        `warm` is a desk that followed the log, when the log is led already: only its tail
        is read. Raises Fenced when another writer has taken over; what is unanswered then
        is refused with VENUE_UNAVAILABLE, and a retry with the same key is safe.
        """
        try:
            await self._recovering.recover([], warm)
            del warm
            while True:
                await self._committing.gathered()
                await self._commit_gathered()
        except Fenced:
            self._admission.close()
            self._refuse_all(VenueUnavailable("this writer was taken over"))
            raise
        finally:
            self._admission.close()
            self.ready.clear()
            self._admission.cancel_look_ups()

    async def _commit_gathered(self) -> None:
        while True:
            try:
                await self._committing.commit_all()
                break
            except OutcomeUnknown as error:
                await self._recovering.recover_uncommitted(
                    f"a commit or the lease failed, rebuilding from the log: {error}"
                )
            except Unstorable as failure:
                await self._recovering.isolate(failure)
        await self._recovering.set_broken_aside()

    def _refuse_all(self, why: Rejection) -> None:
        waiting = self._recovering.take_uncommitted() + self._admission.take_all()
        for pending in waiting:
            self._committing.answer(pending, refused(why))
