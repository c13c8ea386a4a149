"""The warm standby: follows committed events on a desk of its own, and takes the snapshots."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from application.desk.desk import Desk
from application.log.away import Away
from application.log.patience import persist
from application.log.snapshots import SnapshotTaker
from application.log.whole_commands import read_commands
from application.ports import Clock
from application.writer.loading import PAGE, apply, load_snapshot, warm_filter
from application.writer.request_keys import RequestKeys
from domain.identifiers import iso
from infrastructure.log.snapshots import PostgresSnapshots
from infrastructure.log.writing import PostgresEventLog
from infrastructure.settings import Settings

Say = Callable[[str], object]
Found = TypeVar("Found")

FOLLOW_SECONDS = 0.1
"""How often the log is read: what a takeover finds unread is what came since."""
SAY_SECONDS = 2.0
_SECOND = 1_000_000


class ClockBehind(Exception):
    """The machine's clock stands so far back that no command could be given a time."""


class Standby:
    """A writer that does not lead (yet): as warm as the log, until it may take over."""

    def __init__(
        self,
        settings: Settings,
        log: PostgresEventLog,
        store: PostgresSnapshots,
        clock: Clock,
        say: Say,
    ) -> None:
        self._partition = settings.partition
        self._clock = clock
        self._most_ahead = settings.clock_most_s * _SECOND
        self._log = log
        self._store = store
        self._say = say
        self._away = Away(say)
        self._snapshots = SnapshotTaker(
            store,
            desk_every=settings.desk_snapshot_every,
            aggregate_every=settings.snapshot_every,
            every_of_kind=settings.snapshot_every_of_kind,
            say=say,
        )
        self._standing_by = False
        self._warming: asyncio.Task[None] | None = None
        self.settled_at = -1
        """The position as it was when all that was due there had been done."""
        self.desk = Desk(settings.partition)
        self.keys = RequestKeys()

    async def until_leading(self) -> None:
        """Follow until the lead is taken."""
        try:
            await self._persist(self._load)
            while not await self._persist(self._look):
                await asyncio.sleep(FOLLOW_SECONDS)
        finally:
            # Who leads reads what is left of it; until then every older key is looked up.
            if self._warming is not None:
                self._warming.cancel()

    async def _warm(self) -> None:
        """Read the keys older than the snapshot, beside the following: there may be many."""
        try:
            await warm_filter(self._log, self.keys)
        except Exception as error:
            self._say(f"older keys cannot be read, each will be looked up: {error!r}")

    async def _look(self) -> bool:
        """Read what is new; true when the lead was free and is taken."""
        while not await self._follow():
            self._snapshots.take(self.desk)
        if await self._log.leader_is_gone():
            self._check_in_time()
            if await self._log.try_take_over():
                return True
        self._snapshots.take(self.desk)
        if not self._standing_by:
            # Only now: who can lead at once must not be kept from it.
            self._standing_by = True
            self._say(f"standing by at position {self.desk.position:,}")
            self._warming = asyncio.create_task(self._warm())
        self.settled_at = self.desk.position
        return False

    def _check_in_time(self) -> None:
        """Raise ClockBehind where the log's end is further ahead of the clock than it may be."""
        now = self._clock.now()
        ahead = self.desk.last_at - now
        if ahead > self._most_ahead:
            raise ClockBehind(
                f"the log ends at {iso(self.desk.last_at)}, {ahead // _SECOND:,} s ahead of the"
                f" machine's clock, {iso(now)}: set that right and start again, or let the log be"
                " so far ahead with NEXUS_CLOCK_MOST_S"
            )

    async def _persist(self, work: Callable[[], Awaitable[Found]]) -> Found:
        return await persist(work, self._away)

    def hand_over(self) -> tuple[Desk, RequestKeys]:
        """Give the desk away, for the sequencer to go on with."""
        warm = self.desk, self.keys
        self.desk, self.keys = Desk(self._partition), RequestKeys()
        return warm

    async def saved(self) -> None:
        """Wait for the snapshot that is being saved."""
        await self._snapshots.finish()

    async def _load(self) -> None:
        """The newest snapshot, then the log to its end, with a word now and then."""
        self.desk, self.keys = await load_snapshot(self._store, self._partition, self._say)
        self._snapshots.begin(self.desk.position)
        began = said = time.monotonic()
        start = self.desk.position
        last = await self._log.last_position()
        if last > start:
            self._say(f"recovering: {last - start:,} events after position {start:,}")
        while not await self._follow():
            now = time.monotonic()
            if now - said >= SAY_SECONDS:
                said = now
                done = self.desk.position - start
                self._say(
                    f"recovering: {done:,} of {last - start:,} events,"
                    f" {done / (now - began):,.0f} events/s"
                )
        if self.desk.position > start:
            self._say(
                f"recovered to position {self.desk.position:,} in {time.monotonic() - began:.1f} s"
            )

    async def _follow(self) -> bool:
        """Apply the next commands, whole; true when the log holds no more for now."""
        events, caught_up = await read_commands(self._log, self.desk.position, PAGE)
        if events:
            apply(self.desk, self.keys, events)
            self._snapshots.observe(events)
        return caught_up
