"""Commands that wait for a look-up in the store: only their own account waits with them."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any
from uuid import UUID

from application.log.away import Away
from application.log.patience import persist
from application.writer.gathering import Pending

LookUp = Callable[[], Awaitable[None]]


class Parking:
    """The accounts whose commands wait, each in order of arrival.

    `flush` returns when all that was decided is committed, `resume` takes an account's commands
    back in order, `failed` takes a command whose look-up broke.
    """

    def __init__(
        self,
        flush: Callable[[], Awaitable[None]],
        resume: Callable[[Sequence[Pending]], None],
        failed: Callable[[Pending, Exception], Awaitable[None]],
        say: Callable[[str], object],
    ) -> None:
        self._flush = flush
        self._resume = resume
        self._failed = failed
        self._say = say
        # Said by whoever recovers: the store is away for all alike.
        self._away = Away(bool)
        self._waiting: dict[UUID | None, deque[Pending]] = {}
        self._alone: set[Pending] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    def holds(self, account_id: UUID | None) -> bool:
        """Whether commands of an account wait."""
        # Nearly always none do, and to hash a UUID is dear.
        return bool(self._waiting) and account_id in self._waiting

    def accounts(self) -> set[UUID | None]:
        """The accounts that wait now."""
        return set(self._waiting)

    def add(self, account_id: UUID | None, pending: Pending) -> None:
        """Let a command wait behind the others of its account."""
        self._waiting[account_id].append(pending)

    def add_before(self, account_id: UUID | None, pending: Pending) -> None:
        """Let a command wait before the others of its account."""
        self._waiting[account_id].appendleft(pending)

    def park(self, account_id: UUID | None, pending: Pending, find: LookUp) -> None:
        """Let one command look something up; its account waits until it has."""
        self._waiting[account_id] = deque([pending])
        self.spawn(self._find(account_id, pending, find))

    def look_up(self, pending: Pending, find: LookUp) -> None:
        """Let one command, which waits for nobody, read what is committed."""
        self.spawn(self._look_up(pending, find))

    def take_all(self) -> list[Pending]:
        """Every command that waits; none waits afterwards."""
        taken = [pending for waiting in self._waiting.values() for pending in waiting]
        taken += self._alone
        self._waiting.clear()
        self._alone.clear()
        return taken

    async def _find(self, account_id: UUID | None, pending: Pending, find: LookUp) -> None:
        try:
            await self._until_store_answers(find)
        except Exception as error:
            # Whoever stood behind it must not wait for ever.
            self._waiting[account_id].remove(pending)
            await self._fail(pending, error)
        self._resume(self._waiting.pop(account_id))

    async def _look_up(self, pending: Pending, find: LookUp) -> None:
        self._alone.add(pending)
        try:
            await self._until_store_answers(find)
        except Exception as error:
            await self._fail(pending, error)
        self._alone.discard(pending)

    async def _fail(self, pending: Pending, error: Exception) -> None:
        self._alone.add(pending)
        await self._failed(pending, error)
        self._alone.discard(pending)

    async def _until_store_answers(self, find: LookUp) -> None:
        """Read what is committed once all that was decided is; ask again while the store is
        away, for a command that waits must not be forgotten.
        """

        async def flushed() -> None:
            await self._flush()
            await find()

        await persist(flushed, self._away)

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something beside the rest."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._say(f"work beside the rest failed: {error!r}")

    def cancel(self) -> None:
        """End all that runs beside the rest."""
        for task in self._tasks:
            task.cancel()
