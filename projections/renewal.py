"""Builds views whose version grew, while the projector goes on and the old ones serve."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection
from contextlib import AbstractAsyncContextManager

import psycopg

from application.log.ports import EventRanges
from projections import tracking
from projections.connections import Connect
from projections.projection import Projection
from projections.rebuild import Progress, Rebuild, RebuildUnderWay, SwitchBlocked
from projections.tracking import Tracked

log = logging.getLogger(__name__)

OpenSource = Callable[[], AbstractAsyncContextManager[EventRanges]]
"""Opens the log a second time: the projector's own reader is busy following it."""

# The views that are kept meanwhile wait for a chunk to be folded, so chunks are small.
CHUNK_EVENTS = 1_000
_SAY_SECONDS = 5.0


class Renewal:
    """One view at a time, in a task beside the projector's own work.

    Whoever holds the projector's lock asks again now and then; what was built so far stays when
    the task is stopped or fails, and the next one goes on with it.
    """

    def __init__(self, connect: Connect, open_source: OpenSource) -> None:
        self._connect = connect
        self._open_source = open_source
        self._task: asyncio.Task[None] | None = None
        self._failed: set[str] = set()
        self._told: set[str] = set()
        self._said_at = 0.0

    def renew(self, view: Projection, serving: Tracked, stopped: Collection[str]) -> None:
        """Begin to build a view, unless one is being built or this one cannot be.

        One that failed is left until its recorded error is gone, which names it among `stopped`.
        """
        self._failed.intersection_update(stopped)
        if view.name not in self._failed and (self._task is None or self._task.done()):
            # Its own instance: the one that will be kept has changes of its own.
            self._task = asyncio.create_task(
                self._build(type(view)(), serving), name=f"renewal of {view.name}"
            )

    async def stop(self) -> None:
        """Leave what is being built as it is."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _build(self, view: Projection, serving: Tracked) -> None:
        self._tell(
            f"view {view.name}: version {view.version} is being built; version {serving.version}"
            " serves meanwhile"
        )
        try:
            async with self._open_source() as source:
                building = Rebuild(
                    self._connect,
                    source,
                    view,
                    chunk_events=CHUNK_EVENTS,
                    on_progress=lambda progress: self._say(view, progress),
                )
                done = await building.run()
        except (RebuildUnderWay, SwitchBlocked) as waiting:
            self._tell(str(waiting))
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            log.warning("view %s: building it waits for the server: %s", view.name, error)
        except Exception as error:
            await self._fail(view, serving, error.__cause__ or error)
        else:
            log.info(
                "view %s: version %d serves from position %d on",
                *(view.name, view.version, done.position),
            )

    def _tell(self, message: str) -> None:
        """Log something once, however often it is tried again."""
        if message not in self._told:
            self._told.add(message)
            log.info("%s", message)

    def _say(self, view: Projection, progress: Progress) -> None:
        now = time.monotonic()
        if now < self._said_at + _SAY_SECONDS:
            return
        self._said_at = now
        log.info(
            "view %s: version %d is at position %d of %d, %d events in %d s",
            *(view.name, view.version, progress.position, progress.target),
            *(progress.passed, progress.seconds),
        )

    async def _fail(self, view: Projection, serving: Tracked, error: BaseException) -> None:
        """Leave the old version serving; `status` shows why."""
        try:
            conn = await self._connect()
            try:
                await tracking.record_error(conn, view, serving.position, error)
                self._failed.add(view.name)
            finally:
                await conn.close()
        except (psycopg.OperationalError, psycopg.InterfaceError) as away:
            # It is tried, and said, again.
            log.warning("view %s: its error cannot be recorded: %s", view.name, away)
        log.error("view %s: version %d cannot be built", view.name, view.version, exc_info=error)
