"""The writer's log on PostgreSQL: one fenced statement and one commit a batch.

Every batch takes the epoch row FOR SHARE where the epoch is this writer's and the store is in the
mode that the statement was made for; the insert reads from that row. A writer that was taken over
inserts nothing and learns that it is fenced; one whose log has moved goes after it with the same
batch.
"""

from __future__ import annotations

import asyncio
import logging
import struct
from contextlib import suppress
from time import monotonic
from typing import NamedTuple
from uuid import uuid4

import psycopg
from psycopg import sql
from psycopg.pq import TransactionStatus

from application.log.ports import Batch, Fenced, OutcomeUnknown
from infrastructure.log.append_text import Half
from infrastructure.log.appending import AppendStatement
from infrastructure.log.layouts import Layout
from infrastructure.log.leading import (
    LEASE_SECONDS,
    Lead,
    WriterClaim,
    backend_name,
    end_of,
    take_lead,
)
from infrastructure.log.lease_watch import Beat, LeaseWatch
from infrastructure.log.looking_up import WritersLookUps, in_schema
from infrastructure.log.modes import Standing
from infrastructure.log.statements import EventTable, Query
from infrastructure.log.stores import StoreAddress, Stores, Writes

log = logging.getLogger(__name__)

HELD_AGAIN = 0.005
"""How often a writer looks that a switch keeps back."""
HELD_MOST = 60.0
"""How long it waits for a switch at most, whatever the store's clock does meanwhile."""
_OF_VALUES = (psycopg.DataError, psycopg.IntegrityError, psycopg.errors.ProgramLimitExceeded)
"""Answers that say that the values cannot be stored, and so that none was."""


_LACKS_ROOM = "53"
"""How the codes of answers begin that say that the server lacks disk, memory or connections."""


class _Hold(NamedTuple):
    """A hold that was met: which change of which store's row it is, and how long it is good for."""

    store: StoreAddress | None
    generation: int
    until: float


class PostgresEventLog(WritersLookUps):
    """One partition's log as its writer sees it (`application.log.ports.EventLog`), in whichever
    store it stands.

    One connection inserts and carries the advisory lock; another reads.
    """

    def __init__(self, dsn: str, schema: str, partition: int) -> None:
        super().__init__(Stores(dsn, schema))
        self._partition = partition
        self._holder = uuid4().hex
        self._lead: Lead | None = None
        self._statement: AppendStatement | None = None
        self._statements: dict[Half | None, AppendStatement] = {}
        self._end = 0
        self._hold = _Hold(None, -1, 0.0)
        self._unopened_since: float | None = None
        self._lacked_room = False
        self.is_held = False
        self._watch = LeaseWatch()
        self._writing = asyncio.Lock()

    # Leading

    async def try_take_over(self, lease_seconds: float = LEASE_SECONDS) -> int | None:
        """Become the writer: lock, then raise the epoch; None while another one is alive.

        Another writer is ended when it is this object's own former connection, or has been
        silent for longer than the lease. Raises OutcomeUnknown when the store is away.
        """
        async with self._writing:
            return await self._take(lease_seconds)

    async def _take(self, lease_seconds: float = LEASE_SECONDS) -> int | None:
        await self._drop_writer()
        try:
            lead = await take_lead(
                self._stores,
                WriterClaim(self._partition, self._holder, lease_seconds, self._watch),
            )
            if lead is None:
                return None
            self._lead, self._end = lead, lead.end
            await self._append_to(None)
        except psycopg.Error as error:
            await self._drop_writer()
            raise OutcomeUnknown(str(error)) from error
        except BaseException:
            await self._drop_writer()
            raise
        return lead.seat.epoch

    async def leader_is_gone(self, lease_seconds: float = LEASE_SECONDS) -> bool:
        """Whether taking over is worth a try: nobody leads, or its backend is gone or silent, as
        far as this object has heard since it was asked first.

        Nobody has led a store before, or since it was opened, whose backend is none: for a lease
        it is left to the writer that follows its log.
        """

        def ask(table: EventTable) -> Query:
            name = backend_name(StoreAddress("", table.schema))
            return in_schema(
                table,
                "SELECT e.writes, e.backend_pid <> 0 AND NOT EXISTS (SELECT 1 FROM"
                " pg_stat_activity a WHERE a.pid = e.backend_pid AND a.application_name ="
                " %(name)s), e.epoch, e.renewed_at::text"
                " FROM {schema}.writer_epoch e WHERE e.partition = %(partition)s",
                {"name": name, "partition": self._partition},
            )

        for writes, gone, *beat in await self._fetch(ask):
            if writes not in (Writes.THERE, Writes.FED):
                self._unopened_since = None
                return bool(gone) or self._watch.silent(Beat(*beat)) >= lease_seconds
            # The log has moved: what is read next is read where it stands now.
            await self._drop_reader()
            if writes == Writes.THERE:
                return False
            self._unopened_since = self._unopened_since or monotonic()
            return monotonic() - self._unopened_since > lease_seconds
        return True

    async def take_over(self) -> int:
        """Take the lock again after a failure; raises Fenced when another writer leads.

        A server that has answered that it lacks room has stored nothing and is still led: to let
        go and come again each time would have leaders take turns, and nobody would gain.
        """
        async with self._writing:
            if self._lacked_room and await self._leads_yet():
                return self._leading().seat.epoch
        epoch = await self.try_take_over()
        if epoch is None:
            raise Fenced
        return epoch

    async def _leads_yet(self) -> bool:
        """Whether the lead is held over a connection that is well and has nothing under way."""
        lead = self._lead
        if lead is None or lead.conn.closed:
            return False
        if lead.conn.info.transaction_status is not TransactionStatus.IDLE:
            return False
        try:
            if not await lead.seat.renew(lead.conn):
                return False
            self._end = await end_of(lead.conn, lead.state)
        except psycopg.Error:
            return False
        return True

    async def renew(self) -> None:
        """Say that this writer is alive; raises Fenced or OutcomeUnknown."""
        async with self._writing:
            try:
                lead = self._leading()
                while not await lead.seat.renew(lead.conn):
                    await self._adapt()
                    lead = self._leading()
                if not lead.locked:
                    self._lead = await lead.lock()
            except psycopg.Error as error:
                raise OutcomeUnknown(str(error)) from error

    def _leading(self) -> Lead:
        if self._lead is None:
            raise OutcomeUnknown("not connected")
        return self._lead

    # Appending

    async def append(self, batch: Batch) -> None:
        """Commit one batch whole. Raises Fenced, OutcomeUnknown, or ValueError when the
        server refuses the values themselves and so has stored nothing.
        """
        async with self._writing:
            held = False
            try:
                while not await self._appended(batch):
                    await self._adapt()
                    held = held or self.is_held
            except psycopg.Error as error:
                raise OutcomeUnknown(str(error)) from error
            finally:
                # What gathered behind a batch that was held is stored by the next one.
                self.is_held = held
            self._end = batch.first_position + len(batch.events) - 1

    async def _appended(self, batch: Batch) -> bool:
        """Store a batch as the store was written when it was last looked at; false when it is
        written otherwise by now, or by somebody else.
        """
        lead, statement = self._leading(), self._statement
        assert statement is not None
        try:
            values = statement.values(lead.seat.epoch, batch)
        except (OverflowError, TypeError, struct.error) as error:
            raise ValueError(str(error)) from error
        try:
            stored = await statement.store(lead.conn, values, batch.beside)
            self._lacked_room = False
            return stored
        except psycopg.Error as error:
            self._lacked_room = (error.sqlstate or "").startswith(_LACKS_ROOM)
            if statement.follower is not None and _may_be_the_followers(error, lead):
                # No order fails for the sake of a follower: it catches up from the log.
                try:
                    await self._leave_behind(lead, statement.follower, str(error))
                except psycopg.Error as again:
                    raise OutcomeUnknown(str(again)) from error
                return False
            if isinstance(error, _OF_VALUES):
                raise ValueError(str(error)) from error
            raise OutcomeUnknown(str(error)) from error

    async def _adapt(self) -> None:
        """Find out why nothing was stored, and be ready to store it where the log is written now.

        Raises Fenced, OutcomeUnknown or psycopg.Error.
        """
        lead = self._leading()
        standing = await lead.seat.standing(lead.conn)
        if standing.epoch != lead.seat.epoch:
            raise Fenced
        if standing.writes in (Writes.THERE, Writes.FED):
            await self._follow()
        elif standing.writes is Writes.HERE:
            await self._append_to(None)
        elif standing.writes is Writes.BOTH:
            await self._append_to_both(lead, standing.peer_schema)
        elif not (self._overdue(lead, standing) and await lead.seat.release(lead.conn, standing)):
            self.is_held = True
            await asyncio.sleep(HELD_AGAIN)

    def _overdue(self, lead: Lead, standing: Standing) -> bool:
        """Whether a switch keeps this writer back for longer than it may, by the store's clock or
        by its own since it met this hold: the other one may have gone back.
        """
        now = monotonic()
        met = lead.seat.store, standing.generation
        if self._hold[:2] != met:
            # Two stores count their changes each by itself.
            self._hold = _Hold(*met, now + min(standing.held_seconds, HELD_MOST))
        return standing.held_seconds <= 0 or now >= self._hold.until

    async def _append_to_both(self, lead: Lead, schema: str | None) -> None:
        """Append to a peer in the same database too; without one, or while it lacks what came
        before, here alone.
        """
        tried = self._statement.follower if self._statement is not None else None
        if schema is None or (tried is not None and tried.schema == schema):
            await self._leave_behind(lead, tried, "it does not end where the log does")
            return
        try:
            cursor = await lead.conn.execute(
                sql.SQL("SELECT {}.store_layout()").format(sql.Identifier(schema))
            )
            row = await cursor.fetchone()
            assert row is not None
            await self._append_to(Half(schema, Layout(row[0]).chunked))
        except (psycopg.ProgrammingError, ValueError) as error:
            await self._leave_behind(lead, Half(schema, False), str(error))

    async def _leave_behind(self, lead: Lead, follower: Half | None, why: str) -> None:
        """Append here alone from now on, and say so where the mover looks."""
        if await lead.seat.leave_follower_behind(lead.conn):
            named = "its peer" if follower is None else follower.schema
            log.warning("the log is no more appended to %s as well: %s", named, why.strip())
        await self._append_to(None)

    async def _append_to(self, follower: Half | None) -> None:
        """Use the statement for the store alone, or for it and a follower."""
        lead = self._leading()
        statement = self._statements.get(follower)
        if statement is None:
            statement = AppendStatement(
                lead.state.address.schema,
                self._partition,
                chunked=lead.state.layout.chunked,
                follower=follower,
            )
            await statement.prepare(lead.conn)
            self._statements[follower] = statement
        if statement is not self._statement:
            await statement.begin(lead.conn)
        self._statement = statement

    async def _follow(self) -> None:
        """Lead in the store that the log has moved to, from exactly where it ended here."""
        came_from, end = self._leading().state.address.schema, self._end
        # A switch waits for everybody to leave.
        await self._drop_reader()
        if await self._take() is None:
            raise Fenced
        lead = self._leading()
        if lead.end != end:
            await self._drop_writer()
            if lead.end < end:
                raise RuntimeError(
                    f"the log went from store {came_from} to {lead.state.address.schema} and ends"
                    f" there at {lead.end:,}, although {end:,} is acknowledged: nothing is written"
                )
            raise OutcomeUnknown("another writer has written the store that the log moved to")
        log.warning("the log has moved from store %s to %s", came_from, lead.state.address.schema)

    # Leaving

    async def _drop_writer(self) -> None:
        lead, self._lead, self._statement = self._lead, None, None
        self._statements.clear()
        if lead is not None:
            with suppress(psycopg.Error, OSError):
                await lead.conn.close()

    async def close(self) -> None:
        """Leave the store; the lock is free afterwards."""
        async with self._writing:
            await self._drop_writer()
        await self._drop_reader()


def _may_be_the_followers(error: psycopg.Error, lead: Lead) -> bool:
    """Whether a failure may be the follower's; one of the values is theirs in both stores."""
    if lead.conn.closed:
        return False
    own = lead.state.address.schema
    if isinstance(error, psycopg.IntegrityError):
        said = error.diag.message_primary or ""
        return error.diag.schema_name != own and not said.startswith(f"{own}: ")
    return not isinstance(error, _OF_VALUES)
