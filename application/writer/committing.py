"""Commits what was decided, in groups, and only then lets the answers go.

While one group is being committed the next one gathers. No answer, not even of a refusal or a
read, leaves before everything decided before it is committed.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from time import monotonic

from application.commands import Reply
from application.log.ports import Batch, BesideRow, EventLog, Lease, RequestKey
from application.writer.gathering import MARKER, Gathered, Limits, Pending
from application.writer.pacing import Pacer
from domain.decision import Decision

SURE_SECONDS = 2.0
"""How long an answer without a commit may rest on the last sign that this writer leads."""

lasting: Callable[[], float] = partial(
    time.clock_gettime, getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
)
"""Seconds that go on while the machine sleeps: a leader that slept is not sure of its lead."""


class Unstorable(Exception):
    """The store refuses the values of a group; these are its commands that have events."""

    def __init__(self, error: Exception, decided: Sequence[Pending]) -> None:
        super().__init__(repr(error))
        self.error = error
        self.decided = decided


class Committing:
    """The groups on their way to the log, and who waits for them.

    `noted` is called before each commit, for what must not be lost when the commit is.
    """

    def __init__(
        self,
        log: EventLog,
        limits: Limits,
        lease: Lease | None,
        noted: Callable[[], object],
        pacer: Pacer | None = None,
    ) -> None:
        self._log = log
        self._limits = limits
        self._lease = lease
        self._noted = noted
        self._pacer = pacer or Pacer()
        self._open = Gathered(1)
        self._full: deque[Gathered] = deque()
        self._one_by_one = 0
        self._sure_at = 0.0
        self._work = asyncio.Event()
        self._resting: asyncio.Event | None = None
        self._in_doubt = False
        self.stored: Callable[[], object] = bool
        """Called when the store has shown that it can be written."""
        self.committed = 0
        self.unanswered = 0

    # Gathering

    def attach(self, pending: Pending, reply: Reply) -> None:
        """Let an answer wait for everything that was decided before it."""
        self._open.answers.append((pending, reply))
        self._work.set()

    def gather(self, pending: Pending, decision: Decision, key: RequestKey | None) -> None:
        """Take in a decision's events and the request key they spend."""
        gathered = self._open
        if key is not None:
            gathered.keys.append(key)
        gathered.events += decision.events
        pending.correlation_id = decision.correlation_id

    def waits_since(self) -> int:
        """When the command came that waits longest of those decided; 0 when none does."""
        first = self._full[0] if self._full else self._open
        for pending, _ in first.answers:
            if pending.arrived:
                return pending.arrived
        return 0

    def keep_beside(self, rows: Sequence[BesideRow]) -> None:
        """Take in what the decision that was gathered last leaves beside the log."""
        self._open.beside += rows

    def close_if_full(self) -> None:
        """End the group that gathers when it holds as much as one transaction should.

        Asked after a whole decision, so that none is ever split.
        """
        gathered = self._open
        if (
            len(gathered.answers) >= (1 if self._one_by_one else self._limits.batch_commands)
            or len(gathered.events) >= self._limits.batch_events
        ):
            self._one_by_one = max(0, self._one_by_one - 1)
            self._close_open()

    def _close_open(self) -> None:
        gathered = self._open
        self._full.append(gathered)
        self._open = Gathered(gathered.first_position + len(gathered.events))
        if self._resting is not None:
            self._resting.set()

    async def flush(self) -> None:
        """Return when everything decided until now is committed."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        marker = Pending(MARKER, lambda _: None if done.done() else done.set_result(None))
        self.unanswered += 1
        self.attach(marker, Reply(0))
        await done

    # Committing

    def doubt_lease(self) -> None:
        """Have the lease renewed after the commit that is under way, whatever gathers behind it."""
        self._in_doubt = True
        self._work.set()

    def wake(self) -> None:
        """Have `gathered` return although nothing may have gathered."""
        self._work.set()

    async def gathered(self) -> None:
        """Return when there may be something to do."""
        await self._work.wait()
        self._work.clear()

    async def commit_all(self) -> None:
        """Commit until nothing is left, each group when its time has come; renew a lease in doubt.

        Raises OutcomeUnknown, Unstorable or Fenced; the group that failed is then the first
        of those that are not committed.
        """
        while self._full or self._open.answers:
            if self._in_doubt:
                # Not when nothing is left: under load that may never be, and a lease that is not
                # renewed is another writer's, although commits go through.
                await self.renew_lease()
            if not self._full:
                await self._wait_for_company()
            if not self._full:
                self._close_open()
            # It stays the first in line until its outcome is known.
            gathered = self._full[0]
            try:
                await self._commit(gathered)
            except (ValueError, OverflowError) as error:
                decided = [pending for pending, _ in gathered.answers if pending.correlation_id]
                raise Unstorable(error, decided) from error
            self._full.popleft()
            for pending, reply in gathered.answers:
                self.answer(pending, reply)
        if self._in_doubt:
            await self.renew_lease()
            # Nothing waits to be stored, so nothing else would say so.
            self.stored()

    async def _wait_for_company(self) -> None:
        """Rest as long as the pace asks for; a group that is full goes at once."""
        rest = self._pacer.rest(monotonic())
        if rest <= 0:
            return
        self._resting = resting = asyncio.Event()
        timer = asyncio.get_running_loop().call_later(rest, resting.set)
        try:
            await resting.wait()
        finally:
            timer.cancel()
            self._resting = None

    async def _commit(self, gathered: Gathered) -> None:
        began = lasting()
        self._pacer.began(len(gathered.answers), monotonic())
        self._noted()
        if gathered.events:
            batch = Batch(gathered.first_position, gathered.events, gathered.keys, gathered.beside)
            await self._log.append(batch)
            self.committed = gathered.first_position + len(gathered.events) - 1
            self._sure_at = began
            self.stored()
        elif began - self._sure_at > SURE_SECONDS:
            # Nothing to commit, so nothing would say that another writer leads by now.
            await self.renew_lease()

    async def renew_lease(self) -> None:
        """Say that this writer is alive; raises Fenced or OutcomeUnknown."""
        self._in_doubt = False
        if self._lease is None:
            return
        began = lasting()
        await self._lease.renew()
        self._sure_at = began

    def answer(self, pending: Pending, reply: Reply) -> None:
        """Give a command its one answer."""
        self.unanswered -= 1
        pending.answer(reply)

    # Failing

    def begin(self, position: int, sure_at: float) -> None:
        """Go on from a position of the log, as it was at an instant when this writer led."""
        self.committed = position
        self._sure_at = sure_at
        self._open = Gathered(position + 1)

    def commit_one_by_one(self, commands: int) -> None:
        """Give each of the next so many commands a transaction of its own."""
        self._one_by_one = commands

    def take_uncommitted(self) -> list[Pending]:
        """Every command whose commit failed or was not tried, in order of arrival."""
        gathered = [*self._full, self._open]
        self._full.clear()
        self._open = Gathered(0)
        taken = []
        for part in gathered:
            for pending, reply in part.answers:
                pending.reply = reply
                taken.append(pending)
        return taken
