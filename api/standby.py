"""The warm standby: follows committed events on a desk of its own, and takes the snapshots."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

from application.desk import Desk
from application.ports import OutcomeUnknown, Recorded
from application.recovery import PAGE, apply, load_snapshot, warm_filter
from application.request_keys import RequestKeys
from application.snapshots import SnapshotTaker
from infrastructure.recorder import PostgresEventLog
from infrastructure.settings import Settings
from infrastructure.snapshot_store import PostgresSnapshots

Say = Callable[[str], object]

FOLLOW_SECONDS = 0.1
"""How often the log is read: what a takeover finds unread is what came since."""
SAY_SECONDS = 2.0
_LAST_BACKOFF = 0.5


class Standby:
    """A writer that does not lead (yet): as warm as the log, until it may take over."""

    def __init__(
        self, settings: Settings, log: PostgresEventLog, store: PostgresSnapshots, say: Say
    ) -> None:
        self._partition = settings.partition
        self._log = log
        self._store = store
        self._say = say
        self._snapshots = SnapshotTaker(
            store,
            desk_every=settings.desk_snapshot_every,
            aggregate_every=settings.snapshot_every,
            every_of_kind=settings.snapshot_every_of_kind,
            say=say,
        )
        self.desk = Desk(settings.partition)
        self.keys = RequestKeys()

    async def until_leading(self) -> None:
        """Follow until the lead is taken."""
        await self._load()
        waiting = False
        backoff = FOLLOW_SECONDS
        while True:
            try:
                caught_up = await self._follow()
                backoff = FOLLOW_SECONDS
                if caught_up:
                    if await self._log.leader_is_gone() and await self._log.try_take_over():
                        await self._snapshots.finish()
                        return
                    if not waiting:
                        self._say(f"standing by at position {self.desk.position}")
                        waiting = True
                    await asyncio.sleep(FOLLOW_SECONDS)
            except OutcomeUnknown as error:
                self._say(f"the store is away, trying again: {error}")
                await asyncio.sleep(backoff)
                backoff = min(2 * backoff, _LAST_BACKOFF)

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
        backoff = FOLLOW_SECONDS
        while True:
            try:
                self.desk, self.keys = await load_snapshot(self._store, self._partition)
                self._snapshots.begin(self.desk.position)
                await self._catch_up()
                await warm_filter(self._log, self.keys)
                return
            except OutcomeUnknown as error:
                self._say(f"the store is away, trying again: {error}")
                await asyncio.sleep(backoff)
                backoff = min(2 * backoff, _LAST_BACKOFF)

    async def _catch_up(self) -> None:
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
        """Apply the next page; true when the log holds no more for now."""
        page = await self._log.read(self.desk.position, PAGE)
        whole = _between_commands(page) if len(page) == PAGE else len(page)
        self._apply(page[:whole])
        self._snapshots.take(self.desk)
        self._apply(page[whole:])
        return len(page) < PAGE

    def _apply(self, page: Sequence[Recorded]) -> None:
        if page:
            apply(self.desk, self.keys, page)
            self._snapshots.observe(page)


def _between_commands(page: Sequence[Recorded]) -> int:
    """How many events of a full page come before its last, possibly cut, command."""
    last = page[-1].event.correlation_id
    end = len(page)
    while end and page[end - 1].event.correlation_id == last:
        end -= 1
    return end
