"""Who is told what is committed, and up to where each session was told.

One task follows the log for all sessions that have been told of everything up to where it stands.
Whoever has not, because it was away or reads too slowly, reads on from the log by itself until it
has. Nobody waits for another, and what is owed to a session is told by the log alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from typing import NamedTuple

from api.fix.application.rendering import Owed, Reports, account_of, rendered
from api.fix.application.reports import TOPICS
from api.fix.application.statuses import Statuses
from api.fix.ports import Link, Report, SessionEnded, Source
from api.order_lives import REMEMBERED_ORDERS
from application.log.ports import EventSource, Recorded, ReportsLog, UnreadableEvent
from application.log.whole_commands import WAIT_SECONDS, Commands, read_commands, read_stretch
from domain.events import OrderEvent

READ_AT_ONCE = 2_000
CATCH_UP_AT_ONCE = 1_000
REMEMBERED_ALONE = 5_000
MOST_PENDING = 10_000
"""How many reports wait for one session before it reads on by itself."""
TELL_WITHIN = 5.0
"""After so many seconds a session that is owed nothing has kept how far it was told of that."""
CATCHING_UP = 4
"""How many sessions read the log at a time."""
FIRST_BACKOFF, LAST_BACKOFF = 0.05, 2.0

log = logging.getLogger("nexus.fix")


class Following:
    """A session that is logged on: `told` of everything up to a position of the log."""

    def __init__(self, link: Link, owed: Owed, told: int) -> None:
        self.link = link
        self.owed = owed
        self.accounts = frozenset(one.int for one in owed.terms.accounts.values())
        self.told = told
        self.queued = told
        """Up to where what it is owed was told, or waits in `pending`."""
        self.pending: list[Report] = []
        self.awake = asyncio.Event()
        self.live = False
        self.told_at = 0.0
        self.task: asyncio.Task[None] | None = None

    def put(self, report: Report) -> bool:
        """Let a report wait; false when too many do."""
        if len(self.pending) >= MOST_PENDING:
            return False
        self.pending.append(report)
        return True

    def leave_behind(self) -> None:
        """Tell it no more with the others: it reads on by itself from what it was told."""
        self.live = False
        self.pending.clear()
        self.awake.set()


class Batch(NamedTuple):
    """Reports that belong together, after which a session was told up to a position."""

    reports: Sequence[Report]
    up_to: int


class Follower:
    """All sessions of this process."""

    def __init__(self, source: EventSource, reads: ReportsLog, statuses: Statuses) -> None:
        self._source = source
        self._log = reads
        self._statuses = statuses
        self._together = Reports(reads, REMEMBERED_ORDERS)
        self._all: dict[Link, Following] = {}
        self._live: dict[int, list[Following]] = {}
        self._reached = 0
        self._follower: asyncio.Task[None] | None = None
        self._starting = asyncio.Lock()
        self._places = asyncio.Semaphore(CATCHING_UP)

    async def begin(self, link: Link, owed: Owed, told: int, uncertain: Sequence[Source]) -> None:
        """Report to a session from a position on, and first again what may not have arrived."""
        await self.end(link)
        session = Following(link, owed, told)
        self._all[link] = session
        session.task = asyncio.create_task(self._serve(session, uncertain), name="fix-session")

    async def end(self, link: Link) -> None:
        """Report to a session no further; without any, the log is followed no further."""
        session = self._all.pop(link, None)
        if session is not None:
            self._let_go(session)
            await _ended(session.task)
        async with self._starting:
            if not self._all:
                follower, self._follower = self._follower, None
                await _ended(follower)
                self._together.forget()

    def told(self, link: Link) -> int:
        """Up to where a session was told."""
        return self._all[link].told

    async def stop(self) -> None:
        """Follow no further."""
        for link in tuple(self._all):
            await self.end(link)

    # All who have been told everything

    async def _begin_to_follow(self) -> None:
        async with self._starting:
            if self._follower is None or self._follower.done():
                self._reached = await self._source.last_position()
                self._follower = asyncio.create_task(self._follow(), name="fix-reports")

    async def _follow(self) -> None:
        """Tell of what is committed, for as long as any session is there."""
        backoff = FIRST_BACKOFF
        while True:
            try:
                await self._tell_next()
                backoff = FIRST_BACKOFF
            except UnreadableEvent as error:
                # Later reports rest on it: better none than wrong ones.
                log.error("no more reports: %s", error)
                return
            except Exception as error:
                log.warning("reports cannot be read, trying again: %r", error)
                await asyncio.sleep(backoff)
                backoff = min(2 * backoff, LAST_BACKOFF)

    async def _tell_next(self) -> None:
        events, caught_up = await self._next_together()
        live = self._live
        await self._look_ahead(events)
        for recorded in events:
            told = live.get(account_of(recorded.event))
            if told:
                await self._tell_live(recorded, list(told))
            self._reached = recorded.position
        self._wake()
        if caught_up and not events:
            await self._source.wait(WAIT_SECONDS)

    async def _look_ahead(self, events: Sequence[Recorded]) -> None:
        live = self._live
        of_live = [
            event
            for _, event in events
            if isinstance(event, OrderEvent) and event.account_id.int in live
        ]
        try:
            await self._together.look_ahead(of_live)
        except Exception as error:
            # What is wrong with one order is met where its account alone waits for it.
            log.warning("orders are looked up one by one: %r", error)

    async def _next_together(self) -> Commands:
        """The next whole commands; where there are none, `_reached` is the end of the log."""
        found = await read_commands(self._source, self._reached, READ_AT_ONCE, topics=TOPICS)
        if found.events:
            return found
        # Asked first: what is read afterwards holds all up to there that is of these topics.
        end = await self._source.last_position()
        found = await read_commands(self._source, self._reached, READ_AT_ONCE, topics=TOPICS)
        if not found.events:
            self._reached = max(self._reached, end)
        return found

    async def _tell_live(self, recorded: Recorded, live: list[Following]) -> None:
        try:
            reports = await self._together.of(recorded, [one.owed for one in live])
        except Exception as error:
            # Nobody else waits for what is wrong with one account's orders.
            log.warning("sessions read on by themselves: %r", error)
            for session in live:
                self._let_go(session)
            return
        for session, report in zip(live, reports, strict=True):
            if not session.live or recorded.position <= session.queued:
                continue
            if report is not None and not session.put(report):
                self._let_go(session)
            else:
                session.queued = recorded.position

    def _wake(self) -> None:
        """Let those tell who have something to tell, or have long told nothing."""
        now = asyncio.get_running_loop().time()
        for session in self._all.values():
            if session.live:
                session.queued = max(session.queued, self._reached)
                if session.pending or now - session.told_at > TELL_WITHIN:
                    session.awake.set()

    def _let_go(self, session: Following) -> None:
        if session.live:
            for account in session.accounts:
                live = self._live[account]
                live.remove(session)
                if not live:
                    del self._live[account]
        session.leave_behind()

    # Each of them

    async def _serve(self, session: Following, uncertain: Sequence[Source]) -> None:
        """Bring a session to where all are, and tell it what waits, for as long as it is there."""
        backoff = FIRST_BACKOFF
        begins = True
        while True:
            try:
                if uncertain:
                    await self._tell_again(session, uncertain)
                    uncertain = ()
                if begins:
                    instead = self._statuses.instead
                    session.told = await instead(session.link, session.owed, session.told)
                    begins = False
                await self._begin_to_follow()
                await self._catch_up(session)
                await self._tell(session)
                backoff = FIRST_BACKOFF
            except SessionEnded:
                return
            except UnreadableEvent as error:
                log.error("no more reports for %s: %s", session.link.session_id, error)
                return
            except Exception as error:
                log.warning("%s waits for its reports: %r", session.link.session_id, error)
                self._let_go(session)
                await asyncio.sleep(backoff)
                backoff = min(2 * backoff, LAST_BACKOFF)

    async def _tell_again(self, session: Following, uncertain: Sequence[Source]) -> None:
        alone = Reports(self._log, REMEMBERED_ALONE)
        for start in range(0, len(uncertain), CATCH_UP_AT_ONCE):
            part = uncertain[start : start + CATCH_UP_AT_ONCE]
            bodies = await rendered(self._log, alone, session.owed, part)
            reports = [Report(*one) for one in zip(part, bodies, strict=True)]
            await session.link.deliver(reports, session.told, resent=True)

    async def _tell(self, session: Following) -> None:
        """Tell what waits, until the session is left behind."""
        while session.live:
            await session.awake.wait()
            session.awake.clear()
            reports, session.pending = session.pending, []
            up_to = session.queued
            if session.live and up_to > session.told:
                await session.link.deliver(reports, up_to)
                session.told = up_to
            session.told_at = asyncio.get_running_loop().time()

    async def _catch_up(self, session: Following) -> None:
        """Read on for one session until it can be told with the others."""
        # Not the others' memory of orders: theirs are ahead.
        alone = Reports(self._log, REMEMBERED_ALONE)
        while True:
            if session.told >= self._reached:
                session.queued = session.told
                session.live = True
                session.awake.clear()
                for account in session.accounts:
                    self._live.setdefault(account, []).append(session)
                return
            async with self._places:
                batch = await self._next_alone(session, alone)
            await session.link.deliver(batch.reports, batch.up_to)
            session.told = batch.up_to

    async def _next_alone(self, session: Following, alone: Reports) -> Batch:
        end = await self._log.last_position()
        wanted = range(session.told + 1, end + 1)
        events: list[Recorded] = []
        reached = end
        for account_id in session.owed.terms.accounts.values():
            found, up_to = await read_stretch(
                self._log, account_id, wanted, CATCH_UP_AT_ONCE, TOPICS
            )
            events += found
            reached = min(reached, up_to)
        reports: list[Report] = []
        for recorded in sorted(events, key=lambda one: one.position):
            if recorded.position <= reached:
                (report,) = await alone.of(recorded, [session.owed])
                if report is not None:
                    reports.append(report)
        return Batch(reports, max(reached, session.told))


async def _ended(task: asyncio.Task[None] | None) -> None:
    if task is not None and task is not asyncio.current_task():
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
