"""The one writer of a partition: decide on arrival, commit in groups, answer after the commit.

A command is decided in memory the moment it arrives; what has gathered is one transaction;
meanwhile the next group is decided. No answer, not even of a refusal or a read, leaves before
everything decided before it is committed. When a commit fails, or a command breaks the desk,
the state built on it is dropped and rebuilt from the log.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from time import monotonic
from typing import Any
from uuid import UUID

import msgspec

from application.commands import (
    Envelope,
    Reply,
    decode_command,
    encode_command,
)
from application.deciding.handlers import HANDLERS
from application.deciding.step import Step
from application.desk.desk import Desk
from application.log.ports import (
    Batch,
    DeskSnapshots,
    EventLog,
    Fenced,
    Lease,
    OutcomeUnknown,
    RequestKey,
)
from application.ports import Clock
from application.writer.gathering import (
    MARKER,
    Answer,
    Gathered,
    Journal,
    Limits,
    Pending,
    check_storable,
    refused,
)
from application.writer.look_ups import Finding, first_result, missing
from application.writer.pacing import Pacer
from application.writer.parking import Parking
from application.writer.reads import read
from application.writer.recovery import commands_since, load_desk, quarantine, warm_filter
from application.writer.replies import render
from application.writer.request_keys import RequestKeys, fingerprint
from domain.decision import Decision
from domain.errors import (
    CommandQuarantined,
    InvalidField,
    QueueFull,
    Rejection,
    RequestKeyReused,
    VenueUnavailable,
)
from domain.identifiers import Instant

SURE_SECONDS = 2.0
"""How long an answer without a commit may rest on the last sign that this writer leads."""


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
    ) -> None:
        self._log = log
        self._snapshots = snapshots
        self._clock = clock
        self._partition = partition
        self._limits = limits or Limits()
        self._journal = journal
        self._lease = lease
        self._led = led
        self._say = say
        self.desk = Desk(partition)
        self._keys = RequestKeys()
        self._number = 0
        self._last_at: Instant = 0
        self.committed = 0
        self._unanswered = 0
        self._open = Gathered(1)
        self._closed: deque[Gathered] = deque()
        self._backlog: deque[Pending] = deque()
        self._parking = Parking(
            self.flush, lambda: self.desk, self._admit_in_order, self._attach, say
        )
        self._deciding = False
        self._broken: tuple[Pending, BaseException] | None = None
        self._one_by_one = 0
        self._pacer = Pacer()
        self._wake = asyncio.Event()
        self._doubtful = False
        self._sure_at = 0.0
        self.ready = asyncio.Event()

    def submit(self, envelope: Envelope, answer: Answer) -> None:
        """Take a command in; `answer` is called once, after what it rests on is committed.

        When the queue is full it is refused at once and nothing is decided.
        """
        if self._unanswered >= self._limits.queue:
            answer(refused(QueueFull()))
            return
        self._unanswered += 1
        pending = Pending(envelope, answer)
        if self._deciding:
            self._admit(pending)
        else:
            self._backlog.append(pending)

    async def send(self, command: Any, actor: str = "venue", gateway: str = "timer") -> Reply:
        """Submit from inside the process and wait for the answer."""
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()

        def answer(reply: Reply) -> None:
            if not future.done():
                future.set_result(reply)

        self.submit(Envelope(actor, gateway, msgspec.Raw(encode_command(command))), answer)
        return await future

    def _admit(self, pending: Pending) -> None:
        """Decide a command now, or park it behind a look-up of its account."""
        if pending.command is None:
            try:
                body = bytes(pending.envelope.body)
                command = decode_command(body)
                pending.body = fingerprint(body)
                pending.key = command.key()
                check_storable(pending)
                # Not before: what is refused here is looked at anew when its group is.
                pending.command = command
            except msgspec.MsgspecError as error:
                self._attach(pending, refused(InvalidField("command", str(error))))
                return
            except Rejection as refusal:
                self._attach(pending, refused(refusal))
                return
        account_id = pending.command.scope()
        if account_id in self._parking:
            self._parking.add(account_id, pending)
            return
        key = pending.key
        if key is not None:
            known = self._keys.recent(key)
            if known is not None:
                self._repeat(pending, known[0])
                return
            if not pending.key_looked_up and self._keys.needs_look_up(key):
                pending.key_looked_up = True
                self._parking.park(account_id, pending, partial(self._look_up_key, key))
                return
        if not pending.looked_up and pending.command.LOOKS_BACK:
            find = self._missing(pending.command)
            if find is not None:
                pending.looked_up = True
                self._parking.park(account_id, pending, find)
                return
        self._decide(pending)

    def _decide(self, pending: Pending) -> None:
        command = pending.command
        handler = HANDLERS.get(type(command))
        if handler is None:
            self._attach(pending, read(self.desk, command, self._unanswered))
            return
        at = max(self._clock.now(), self._last_at)
        self._last_at = at
        self._number += 1
        if self._journal is not None:
            self._journal.write(self._number, at, pending.envelope)
        desk = self.desk
        envelope = pending.envelope
        step = Step(desk, at, self._number, envelope.actor, envelope.gateway, pending.body)
        try:
            reply = handler(step, command)
            events = step.events
            if reply is None:
                reply = render(events, step.last_position())
        except Rejection as refusal:
            if step.events:
                self._break(pending, refusal)
            else:
                self._attach(pending, refused(refusal))
            return
        except Exception as error:
            self._break(pending, error)
            return
        if not events:
            self._attach(pending, reply)
            return
        pending.correlation_id = step.correlation_id
        gathered = self._open
        if pending.key is not None:
            first = step.first_position
            self._keys.add(pending.key, pending.body, first)
            gathered.keys.append(RequestKey(*pending.key, pending.body, first))
        gathered.events += events
        desk.moved_to(desk.position + len(events), at, self._number)
        self._attach(pending, reply)
        if (
            len(gathered.answers) >= (1 if self._one_by_one else self._limits.batch_commands)
            or len(gathered.events) >= self._limits.batch_events
        ):
            self._one_by_one = max(0, self._one_by_one - 1)
            self._close_open()

    def _close_open(self) -> None:
        self._closed.append(self._open)
        self._open = Gathered(self.desk.position + 1)

    def _attach(self, pending: Pending, reply: Reply) -> None:
        """Let an answer wait for everything that was decided before it."""
        self._open.answers.append((pending, reply))
        self._wake.set()

    # More than memory

    def _repeat(self, pending: Pending, body: bytes) -> None:
        """Answer a repeated request with its first result, or refuse another body."""
        if body != pending.body:
            assert pending.key is not None
            self._attach(pending, refused(RequestKeyReused(pending.key[1])))
            return
        self._parking.answer(pending, partial(self._answer_first_result, pending))

    async def _answer_first_result(self, pending: Pending) -> None:
        assert pending.key is not None
        # Only now: a recovery may have decided the first request anew, elsewhere or not at all.
        found = await self._log.find_key(*pending.key)
        if found is None or found.fingerprint != pending.body:
            self._admit_in_order([pending])
            return
        reply = await first_result(self._log, found)
        self._answer(pending, reply)

    def _admit_in_order(self, waiting: Sequence[Pending]) -> None:
        """Decide commands that waited; while nothing is decided they stay before newer ones."""
        left = deque(waiting)
        while left and self._deciding:
            self._admit(left.popleft())
        self._backlog.extendleft(reversed(left))

    async def _look_up_key(self, key: tuple[UUID, str]) -> None:
        found = await self._log.find_key(*key)
        if found is not None:
            self._keys.add(key, found.fingerprint, found.position)

    def _missing(self, command: Any) -> Finding | None:
        """How to find what the command needs and memory does not hold."""
        return missing(self._log, lambda: self.desk, self._keys, command)

    async def flush(self) -> None:
        """Return when everything decided until now is committed."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        marker = Pending(MARKER, lambda _: None if done.done() else done.set_result(None))
        self._unanswered += 1
        self._open.answers.append((marker, Reply(0)))
        self._wake.set()
        await done

    # Commit

    async def run(self, warm: tuple[Desk, RequestKeys] | None = None) -> None:
        """Lead: recover, then commit what gathers, until fenced or canceled.

        `warm` is a desk that followed the log, when the log is led already: only its tail
        is read. Raises Fenced when another writer has taken over; what is unanswered then
        is refused with VENUE_UNAVAILABLE, and a retry with the same key is safe.
        """
        try:
            await self._recover([], warm)
            del warm
            while True:
                await self._wake.wait()
                self._wake.clear()
                await self._commit_gathered()
                if self._doubtful:
                    self._doubtful = False
                    await self._renew()
        except Fenced:
            self._deciding = False
            self._refuse_all(VenueUnavailable("this writer was taken over"))
            raise
        finally:
            self._deciding = False
            self.ready.clear()
            self._parking.cancel()

    def beat(self) -> None:
        """Have the lease renewed after what is under way; a lost connection is noticed so."""
        self._doubtful = True
        self._wake.set()

    async def _renew(self) -> None:
        if self._lease is None:
            return
        began = monotonic()
        try:
            await self._lease.renew()
            self._sure_at = began
        except OutcomeUnknown as error:
            self._say(f"the lease cannot be renewed, rebuilding from the log: {error}")
            await self._recover(self._take_uncommitted(Gathered(0)))

    @property
    def unanswered(self) -> int:
        """How many commands wait for their answer."""
        return self._unanswered

    async def _commit_gathered(self) -> None:
        while self._closed or self._open.answers:
            rest = self._pacer.rest(monotonic())
            if not self._closed and rest > 0:
                await asyncio.sleep(rest)
            if not self._closed:
                self._close_open()
            gathered = self._closed.popleft()
            try:
                await self._commit(gathered)
            except OutcomeUnknown as error:
                self._say(f"commit failed, rebuilding from the log: {error}")
                await self._recover(self._take_uncommitted(gathered))
            except (ValueError, OverflowError) as error:
                await self._isolate(gathered, error)
            except Fenced:
                self._closed.appendleft(gathered)
                raise
        if self._broken is not None:
            await self._set_aside(*self._broken)

    async def _commit(self, gathered: Gathered) -> None:
        began = monotonic()
        self._pacer.began(len(gathered.answers), began)
        if self._journal is not None:
            self._journal.flush()
        if gathered.events:
            batch = Batch(gathered.first_position, gathered.events, gathered.keys)
            await self._log.append(batch)
            self.committed = gathered.first_position + len(gathered.events) - 1
            self._sure_at = began
        elif self._lease is not None and began - self._sure_at > SURE_SECONDS:
            # Nothing to commit, so nothing would say that another writer leads by now.
            await self._lease.renew()
            self._sure_at = began
        for pending, reply in gathered.answers:
            self._answer(pending, reply)

    def _answer(self, pending: Pending, reply: Reply) -> None:
        self._unanswered -= 1
        pending.answer(reply)

    # Failure

    def _break(self, pending: Pending, error: BaseException) -> None:
        """Stop deciding: the desk may be half changed. What was decided before still commits."""
        self._deciding = False
        self._broken = (pending, error)
        self._wake.set()

    async def _set_aside(self, pending: Pending, error: BaseException) -> None:
        """Quarantine the command that broke the desk, and go on without it."""
        self._broken = None
        await self._quarantine(pending, error)
        await self._recover([])

    async def _quarantine(self, pending: Pending, error: BaseException) -> None:
        decision = Decision(self._last_at, self._partition, self._number, "", "", 0)
        identifier = pending.correlation_id or decision.correlation_id
        await quarantine(self._log, pending.envelope, identifier, error, self._say)
        self._answer(pending, refused(CommandQuarantined()))

    async def _isolate(self, gathered: Gathered, error: Exception) -> None:
        """A batch holds values that cannot be stored: find the one command whose they are."""
        self._deciding = False
        again = self._take_uncommitted(gathered)
        decided = [pending for pending, _ in gathered.answers if pending.correlation_id]
        if len(decided) == 1:
            again.remove(decided[0])
            await self._quarantine(decided[0], error)
        self._one_by_one = len(decided)
        await self._recover(again)

    def _take_uncommitted(self, failed: Gathered) -> list[Pending]:
        """Every command whose commit failed or was not tried, in order of arrival."""
        gathered = [failed, *self._closed, self._open]
        self._closed.clear()
        self._open = Gathered(0)
        taken = []
        for part in gathered:
            for pending, reply in part.answers:
                pending.reply = reply
                taken.append(pending)
        if self._broken is not None:
            # Its desk is dropped anyway: on the next it may break again, or not.
            taken.append(self._broken[0])
            self._broken = None
        return taken

    async def _recover(
        self, again: Sequence[Pending], warm: tuple[Desk, RequestKeys] | None = None
    ) -> None:
        """Lead anew, rebuild the desk from the log, and finish what was under way."""
        self._deciding = False
        self.ready.clear()
        delay = 0.05
        while True:
            try:
                began = monotonic()
                if warm is None:
                    await self._log.take_over()
                self.desk, self._keys = await load_desk(
                    self._log, self._snapshots, self._partition, warm=warm
                )
                stored = await commands_since(self._log, self.committed) if again else set()
                break
            except (OutcomeUnknown, OSError) as error:
                self._say(f"the store is away, trying again: {error}")
                warm = None
                await asyncio.sleep(delay)
                delay = min(delay * 2, 0.5)
            except Fenced:
                self._backlog.extendleft(reversed(again))
                raise
        if self._journal is not None:
            self._journal.begin(self.desk.command)
        self._number = max(self._number, self.desk.command)
        self._last_at = max(self._last_at, self.desk.last_at)
        self._sure_at = began
        self.committed = self.desk.position
        again = [*again, *self._take_uncommitted(Gathered(0))]
        self._open = Gathered(self.desk.position + 1)
        self._deciding = True
        if self._keys.warming:
            self._parking.spawn(warm_filter(self._log, self._keys))
        self._finish(again, stored)
        while self._backlog and self._deciding:
            self._admit(self._backlog.popleft())
        self.ready.set()
        self._led()

    def _finish(self, again: Sequence[Pending], stored: set[UUID]) -> None:
        """Answer commands that were stored after all; decide the others again, in order."""
        parked = self._parking.accounts()
        older: list[tuple[UUID | None, Pending]] = []
        left: list[Pending] = []
        for pending in again:
            account_id = pending.scope()
            if pending.correlation_id in stored or pending.envelope is MARKER:
                # What is stored is what was decided, so its reply holds.
                assert pending.reply is not None
                self._attach(pending, pending.reply)
                continue
            pending.correlation_id = None
            pending.key_looked_up = pending.looked_up = False
            if not self._deciding:
                left.append(pending)
            elif account_id in parked:
                older.append((account_id, pending))
            else:
                self._admit(pending)
        for account_id, pending in reversed(older):
            self._parking.add_before(account_id, pending)
        self._backlog.extendleft(reversed(left))

    def _refuse_all(self, why: Rejection) -> None:
        waiting = self._take_uncommitted(Gathered(0)) + list(self._backlog)
        waiting += self._parking.take_all()
        self._backlog.clear()
        for pending in waiting:
            self._answer(pending, refused(why))
