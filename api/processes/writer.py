"""The writer process: sequencer, its connections, the bus and the timers, and nothing else."""

from __future__ import annotations

import asyncio
import gc
from contextlib import suppress
from pathlib import Path

import uvloop

from api.cli import leaving
from api.cli.exit_codes import Exit
from api.processes.lifeline import beat_in_loop
from api.processes.standby import ClockBehind, Say, Standby
from api.processes.tidying import keep_tidy
from application.desk.following import DeskDiverged
from application.keys import AdoptKeys, RevokeKey
from application.log.away import Away
from application.log.patience import persist
from application.log.ports import Fenced, UnreadableEvent
from application.writer.gathering import Limits
from application.writer.numbering import CommandClock, Numbering
from application.writer.sequencer import Sequencer
from application.writer.timers import Timers
from infrastructure.calendar_source import Calendars
from infrastructure.clock import SteadyClock, VenueClock
from infrastructure.command_bus import BusServer
from infrastructure.database import open_database
from infrastructure.journal import CommandJournal
from infrastructure.log.snapshots import PostgresSnapshots
from infrastructure.log.stores import find_truth
from infrastructure.log.writing import PostgresEventLog
from infrastructure.log_lines import say as say_line
from infrastructure.scheduling import give_way, take_turns
from infrastructure.settings import Settings
from migrations.runner import MigrationError, status

BEAT_SECONDS = 1.0
"""How often the lease is renewed; the standby waits for several missing beats."""
NOT_STORED = "it is not stored any more"
DRAIN_SECONDS = 1.5
"""How long a writer that is asked to leave may take to answer what it has taken in."""


def say_on_stdout(text: str) -> None:
    """Print one line at once; a reader that went away is no reason to stop."""
    with suppress(OSError, ValueError):
        say_line(f"writer {text}")


def run_writer(settings: Settings, *, record: Path | None = None, say: Say = say_on_stdout) -> Exit:
    """Stand by, lead when nobody else does, and return when told to leave or fenced.

    Exit.FENCED says that another writer leads: start again, as its standby. Exit.CHECK_FAILED
    says that the log does not add up, Exit.MIGRATION that another program wrote it, Exit.USAGE that
    the machine's clock is wrong, and nothing is served from it. Raises MigrationError.
    """
    gc.disable()
    with open_database(settings, on_message=say, process="writer") as database:
        check_migrated(database.dsn, settings.partition_schema)
        give_way()
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(Writer(settings, database.dsn, record=record, say=say).run())


def check_migrated(dsn: str, schema: str) -> None:
    """Raises MigrationError unless the store that is the truth is as this program needs it."""
    store = find_truth(dsn, schema).address
    pending = [row for row in status(*store) if row.pending]
    if pending:
        raise MigrationError(
            f"schema {store.schema!r} lacks {len(pending)} migrations: run `nexus db migrate`"
        )


class Writer:
    """One writer's life, from standing by to leaving."""

    def __init__(
        self,
        settings: Settings,
        dsn: str,
        *,
        record: Path | None = None,
        clock: VenueClock | None = None,
        say: Say = say_on_stdout,
    ) -> None:
        self._settings = settings
        self._say = say
        self._log = PostgresEventLog(dsn, settings.partition_schema, settings.partition)
        self._store = PostgresSnapshots(dsn, settings.partition_schema)
        clock = clock or VenueClock.of(settings, say)
        self._standby = Standby(settings, self._log, self._store, clock, say)
        self._stop = asyncio.Event()
        self._led = asyncio.Event()
        numbering = Numbering(
            settings.partition,
            clock,
            None if record is None else CommandJournal(record, say=say),
            SteadyClock().now,
        )
        self.sequencer = Sequencer(
            self._log,
            self._store,
            clock,
            partition=settings.partition,
            limits=Limits(
                settings.queue_limit, settings.batch_orders, oldest_ms=settings.queue_age_ms
            ),
            lease=self._log,
            led=self._led.set,
            say=say,
            numbering=numbering,
        )
        self._timers = Timers(
            lambda: self.sequencer.desk,
            self.sequencer.send,
            Calendars(),
            CommandClock(numbering),
            say=say,
        )
        self._bus = BusServer(settings.bus_socket, self.sequencer.submit)

    def stop(self) -> None:
        """Take no more commands, answer those taken in, and leave."""
        self._stop.set()

    async def run(self) -> Exit:
        """Stand by, lead, leave."""
        leaving.call_in_loop(asyncio.get_running_loop(), self.stop)
        beat_in_loop()
        stopping = asyncio.create_task(self._stop.wait())
        standing_by = asyncio.create_task(self._standby.until_leading())
        tidying = asyncio.create_task(keep_tidy())
        try:
            await asyncio.wait((stopping, standing_by), return_when=asyncio.FIRST_COMPLETED)
            if not standing_by.done():
                return Exit.OK
            standing_by.result()
            return await self._lead(stopping)
        except UnreadableEvent as error:
            self._say(f"serves nothing: {error}")
            return Exit.MIGRATION
        except ClockBehind as error:
            self._say(f"does not lead: {error}")
            return Exit.USAGE
        except DeskDiverged as error:
            self._say(f"serves nothing: the log does not add up: {error}; see `nexus audit verify`")
            return Exit.CHECK_FAILED
        finally:
            for task in (stopping, standing_by, tidying):
                task.cancel()
            await asyncio.gather(stopping, standing_by, tidying, return_exceptions=True)
            await self._log.close()

    async def _lead(self, stopping: asyncio.Task[bool]) -> Exit:
        gc.freeze()
        take_turns()
        leading = asyncio.create_task(self.sequencer.run(self._standby.hand_over()))
        serving = asyncio.create_task(self._serve())
        try:
            await asyncio.wait((leading, serving, stopping), return_when=asyncio.FIRST_COMPLETED)
            if serving.done():
                serving.result()
            if not leading.done():
                await self._drain(leading)
                self._say("left")
                return Exit.OK
            leading.result()
            raise AssertionError("unreachable: a sequencer leads until it fails")
        except Fenced:
            self._say("was taken over by another writer and acknowledges nothing more")
            return Exit.FENCED
        finally:
            serving.cancel()
            leading.cancel()
            await asyncio.gather(serving, leading, return_exceptions=True)
            await self._bus.close()

    async def _serve(self) -> None:
        await self.sequencer.ready.wait()
        await asyncio.gather(self._listen(), self._beat(), self._keep_time())

    async def _listen(self) -> None:
        """Have the bus whenever the lead is taken: another may have led, and gone, meanwhile."""
        while True:
            await self._led.wait()
            self._led.clear()
            await self._see_to_keys()
            await self._bus.open()
            if self.sequencer.store_is_away:
                # It is led again after each try. That it is back is said when it takes something.
                continue
            position = self.sequencer.desk.position
            self._say(f"leads partition {self._settings.partition} at position {position:,}")

    async def _see_to_keys(self) -> None:
        """Have the keys written down that were stored before keys were events; once, by the first
        writer that leads. What is stored without an event afterwards lets nobody in.

        Keys that are not stored any more, as after a log was brought back from an archive, end.
        """
        keys = self.sequencer.desk.keys
        commands: list[AdoptKeys | RevokeKey] = []
        if not keys.begun:
            before = await persist(self._log.keys_of_before, Away(self._say))
            commands += [AdoptKeys(tuple(before))] if before else []
        else:
            stored = await persist(self._log.key_ids, Away(self._say))
            commands += [RevokeKey(one, NOT_STORED) for one in keys.live() if one not in stored]
        for command in commands:
            reply = await self.sequencer.send(command, gateway="writer")
            if reply.refusal is not None:
                self._say(f"keys cannot be looked after: {reply.refusal.message}")
                return
        if commands:
            self._say("keys are as they are stored from now on")

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(BEAT_SECONDS)
            self.sequencer.beat()

    async def _keep_time(self) -> None:
        """Run the timers; a fault in them stops neither the writer nor, for long, themselves."""
        while True:
            try:
                await self._timers.run()
            except Exception as error:
                self._say(f"timers failed, starting them again: {error!r}")
                await asyncio.sleep(BEAT_SECONDS)

    async def _drain(self, leading: asyncio.Task[None]) -> None:
        """Take nothing more in and answer what is there."""
        self._bus.stop_reading()
        deadline = asyncio.get_running_loop().time() + DRAIN_SECONDS
        while self.sequencer.unanswered and not leading.done():
            if asyncio.get_running_loop().time() > deadline:
                self._say(f"leaves {self.sequencer.unanswered} commands unanswered")
                return
            await asyncio.sleep(0.005)
