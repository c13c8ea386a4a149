"""Commands that wait for a look-up in the store: only their own account waits with them."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any
from uuid import UUID

from application.commands import Reply
from application.desk.desk import Desk
from application.log.patience import persist
from application.log.ports import UnreadableEvent
from application.writer.gathering import Pending, refused
from application.writer.look_ups import Finding
from domain.errors import VenueUnavailable

_CANNOT_BE_READ = "what the request rests on cannot be read from the log"


class Parking:
    """The accounts whose commands wait, each in order of arrival.

    `flush` returns when all that was decided is committed, `desk` tells the desk of the
    moment, `resume` takes an account's commands back in order, `refuse` answers one whose
    look-up cannot be made.
    """

    def __init__(
        self,
        flush: Callable[[], Awaitable[None]],
        desk: Callable[[], Desk],
        resume: Callable[[Sequence[Pending]], None],
        refuse: Callable[[Pending, Reply], None],
        say: Callable[[str], object],
    ) -> None:
        self._flush = flush
        self._desk = desk
        self._resume = resume
        self._refuse = refuse
        self._say = say
        self._waiting: dict[UUID | None, deque[Pending]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def __contains__(self, account_id: UUID | None) -> bool:
        return account_id in self._waiting

    def accounts(self) -> set[UUID | None]:
        """The accounts that wait now."""
        return set(self._waiting)

    def add(self, account_id: UUID | None, pending: Pending) -> None:
        """Let a command wait behind the others of its account."""
        self._waiting[account_id].append(pending)

    def add_before(self, account_id: UUID | None, pending: Pending) -> None:
        """Let a command wait before the others of its account."""
        self._waiting[account_id].appendleft(pending)

    def park(self, account_id: UUID | None, pending: Pending, find: Finding) -> None:
        """Let one command look something up; its account waits until it has."""
        self._waiting[account_id] = deque([pending])
        self.spawn(self._find(account_id, pending, find))

    def take_all(self) -> list[Pending]:
        """Every command that waits; none waits afterwards."""
        taken = [pending for waiting in self._waiting.values() for pending in waiting]
        self._waiting.clear()
        return taken

    async def _find(self, account_id: UUID | None, pending: Pending, find: Finding) -> None:
        desk = None
        try:
            # A desk that was rebuilt meanwhile has not got what was found.
            while desk is not self._desk():
                desk = self._desk()
                await self._until_store_answers(find)
        except Exception as error:
            # Whatever it is: the others of the account must not wait for ever.
            self._waiting[account_id].remove(pending)
            self._fail(pending, error)
        self._resume(self._waiting.pop(account_id))

    def answer(self, pending: Pending, find: Finding) -> None:
        """Have a look-up answer one command; its account's others go on meanwhile."""
        self.spawn(self._answer(pending, find))

    async def _answer(self, pending: Pending, find: Finding) -> None:
        try:
            await self._until_store_answers(find)
        except UnreadableEvent as error:
            self._fail(pending, error)

    def _fail(self, pending: Pending, error: Exception) -> None:
        self._say(f"look-up failed: {error}")
        self._refuse(pending, refused(VenueUnavailable(_CANNOT_BE_READ)))

    async def _until_store_answers(self, find: Finding) -> None:
        """Read what is committed once all that was decided is; ask again while the store is
        away, for a command that waits must not be forgotten.
        """

        async def ask() -> None:
            await self._flush()
            await find()

        await persist(ask, self._say)

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a look-up beside the rest."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._say(f"look-up failed: {error!r}")

    def cancel(self) -> None:
        """End every look-up."""
        for task in self._tasks:
            task.cancel()
