"""The numbers of FIX sessions on PostgreSQL: saved in groups, by one owner a session.

Whoever opens a session raises its epoch. What is saved names the epoch it was opened with, so
that an owner that was taken over, or whose numbers an operator began anew, learns it from what
it saves next. While the server is away, or the log moves to another store, everything waits; ids
and epochs are the same there.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, LiteralString, NamedTuple, TypeVar

import psycopg
from psycopg import sql

from application.fix_numbers import Numbered, Numbers, SessionEnded, SessionId, Source
from application.ports import Clock
from infrastructure.log.binary_arrays import bigints
from infrastructure.log.stores import WRITTEN, StoreAddress, Stores, read_state
from infrastructure.prepared import prepare, run_prepared

Done = TypeVar("Done")
Beginning = Callable[[SessionId], Awaitable[int]]
"""After which log position a session is told that is opened for the first time."""

ROWS_OF_A_GROUP = 20_000
THINNED_AT_ONCE = 5_000
FIRST_BACKOFF, LAST_BACKOFF = 0.05, 1.0
HELD_BACKOFF = 0.02
"""How soon what a switch of the store holds back is tried again."""
HELD_SAID_SECONDS = 1.0
AWAY = (psycopg.OperationalError, psycopg.InterfaceError, psycopg.InternalError, OSError)
"""Answers that say nothing of what was asked."""

OPEN = """
INSERT INTO {sessions} AS s (sender, target, epoch, life, next_in, next_out, arrived, told,
                             began, reserved, opened_at, saved_at)
VALUES (%s, %s, 1, 1, 1, 1, 0, %s, %s, 1, clock_timestamp(), clock_timestamp())
ON CONFLICT (sender, target) DO UPDATE SET epoch = s.epoch + 1, opened_at = clock_timestamp()
RETURNING id, epoch, life, next_in, next_out, arrived, told, began, reserved
"""
SAVE = """
WITH kept AS (
    UPDATE {sessions} s
    SET next_in = w.next_in, next_out = w.next_out, arrived = w.arrived, told = w.told,
        began = w.began, reserved = w.reserved, saved_at = clock_timestamp()
    FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[],
                $7::bigint[], $8::bigint[])
         AS w (id, epoch, next_in, next_out, arrived, told, began, reserved)
    WHERE s.id = w.id AND s.epoch = w.epoch
    RETURNING s.id, s.life
), numbered AS (
    INSERT INTO {messages} (session_id, life, seq_num, position, part, checksum, poss_resend)
    SELECT k.id, k.life, m.seq_num, m.position, m.part, m.checksum, m.poss_resend <> 0
    FROM unnest($9::bigint[], $10::bigint[], $11::bigint[], $12::bigint[], $13::bigint[],
                $14::bigint[])
         AS m (id, seq_num, position, part, checksum, poss_resend)
    JOIN kept k ON k.id = m.id
    {again}
)
SELECT id FROM kept
"""
# The outcome of the first try was lost: what is there already is what it has put there.
AGAIN = "ON CONFLICT (session_id, life, seq_num) DO NOTHING"
RESET = """
WITH before AS (
    SELECT id, life, arrived FROM {sessions} WHERE id = %s AND epoch = %s FOR UPDATE
), uncertain AS (
    UPDATE {messages} m SET life = -m.life FROM before b
    WHERE m.session_id = b.id AND m.life = b.life AND m.seq_num > b.arrived
)
UPDATE {sessions} s
SET life = b.life + 1, next_in = %s, next_out = %s, arrived = %s, told = %s, began = %s,
    reserved = %s, saved_at = clock_timestamp()
FROM before b WHERE s.id = b.id RETURNING s.life
"""
SENT = """
SELECT seq_num, position, part, checksum, poss_resend FROM {messages}
WHERE session_id = %s AND life = %s AND seq_num BETWEEN %s AND %s ORDER BY seq_num
"""
UNCERTAIN = """
SELECT DISTINCT position, part FROM {messages}
WHERE session_id = %s AND life < 0 ORDER BY position, part
"""
SETTLED = """
WITH owned AS (SELECT id FROM {sessions} WHERE id = %s AND epoch = %s FOR UPDATE), gone AS (
    DELETE FROM {messages} m USING owned o WHERE m.session_id = o.id AND m.life < 0
)
SELECT id FROM owned
"""
THIN = """
DELETE FROM {messages} WHERE (session_id, life, seq_num) IN (
    SELECT session_id, life, seq_num FROM {messages}
    WHERE session_id = %s AND life > 0 AND life < %s LIMIT %s)
"""


_SAVE, _SAVE_AGAIN = b"save", b"save again"


class Owned(NamedTuple):
    """A session as it was opened."""

    id: int
    epoch: int
    life: int


class _Saving(NamedTuple):
    session: Owned
    numbers: Numbers
    sent: Sequence[Numbered]
    done: asyncio.Future[None]


class PostgresSessionStore:
    """Numbers of FIX sessions (`application.fix_numbers.SessionStore`) on one connection.

    What is saved while a commit is under way makes up the next one.
    """

    def __init__(
        self,
        dsn: str,
        schema: str,
        clock: Clock,
        beginning: Beginning,
        *,
        say: Callable[[str], object],
    ) -> None:
        self._stores = Stores(dsn, schema)
        self._clock = clock
        self._beginning = beginning
        self._say = say
        self._away = False
        self._conn: psycopg.AsyncConnection[Any] | None = None
        self._store: StoreAddress | None = None
        self._turn = asyncio.Lock()
        self._owned: dict[SessionId, Owned] = {}
        self._waiting: list[_Saving] = []
        self._committing: asyncio.Task[None] | None = None
        self._thinning: set[asyncio.Task[None]] = set()
        self._statements = {
            _SAVE: _sql(SAVE).as_string(None).encode(),
            _SAVE_AGAIN: _sql(SAVE, AGAIN).as_string(None).encode(),
        }

    async def close(self) -> None:
        """Leave the server; what was not saved by now is not."""
        tasks = [*self._thinning]
        if self._committing is not None:
            tasks.append(self._committing)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for saving in self._waiting:
            if not saving.done.done():
                saving.done.set_exception(SessionEnded("the gateway leaves"))
        self._waiting.clear()
        await self._drop()

    async def moved(self) -> None:
        """Leave the store, as the log has moved to another."""
        async with self._turn:
            await self._drop()

    async def open(self, session_id: SessionId) -> Numbers:
        """Take a session over, or begin it; see the port."""
        known = await self._rows(
            "SELECT 1 FROM {sessions} WHERE sender = %s AND target = %s", tuple(session_id)
        )
        told = 0 if known else await self._beginning(session_id)
        ((number, epoch, life, *numbers),) = await self._rows(
            OPEN, (*session_id, told, self._clock.now())
        )
        owned = self._owned[session_id] = Owned(number, epoch, life)
        self._thin(owned)
        return Numbers(*numbers)

    async def save(
        self, session_id: SessionId, numbers: Numbers, sent: Sequence[Numbered] = ()
    ) -> None:
        """Keep where a session stands with all others that wait to be saved; see the port."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Saving(self._session(session_id), numbers, sent, done))
        if self._committing is None or self._committing.done():
            self._committing = asyncio.create_task(self._commit_groups(), name="fix numbers")
        await done

    async def sent(self, session_id: SessionId, first: int, last: int) -> Sequence[Numbered]:
        """What a range of own numbers was used for; see the port."""
        owned = self._session(session_id)
        rows = await self._rows(SENT, (owned.id, owned.life, first, last))
        return [
            Numbered(seq_num, Source(position, part), checksum, poss_resend)
            for seq_num, position, part, checksum, poss_resend in rows
        ]

    async def reset(self, session_id: SessionId, numbers: Numbers) -> None:
        """Begin the numbers anew; see the port."""
        owned = self._session(session_id)
        rows = await self._rows(RESET, (owned.id, owned.epoch, *numbers))
        if not rows:
            raise _ended(session_id)
        owned = self._owned[session_id] = owned._replace(life=rows[0][0])
        self._thin(owned)

    async def uncertain(self, session_id: SessionId) -> Sequence[Source]:
        """What was sent before the last reset and may not have arrived; see the port."""
        rows = await self._rows(UNCERTAIN, (self._session(session_id).id,))
        return [Source(position, part) for position, part in rows]

    async def settled(self, session_id: SessionId) -> None:
        """What was uncertain was sent again; see the port."""
        owned = self._session(session_id)
        if not await self._rows(SETTLED, (owned.id, owned.epoch)):
            raise _ended(session_id)

    def _session(self, session_id: SessionId) -> Owned:
        owned = self._owned.get(session_id)
        if owned is None:
            raise SessionEnded(f"{session_id} was not opened")
        return owned

    # Saving in groups

    async def _commit_groups(self) -> None:
        while self._waiting:
            group, self._waiting = _cut(self._waiting)
            try:
                await self._commit(group)
            except BaseException as error:
                for saving in group:
                    if not saving.done.done():
                        saving.done.set_exception(
                            SessionEnded("the gateway leaves")
                            if isinstance(error, asyncio.CancelledError)
                            else error
                        )
                if not isinstance(error, Exception):
                    raise

    async def _commit(self, group: Sequence[_Saving]) -> None:
        """Save a group in one transaction; of a session that breaks it the others are kept."""
        values = _values(group)
        tries = 0

        async def save(conn: psycopg.AsyncConnection[Any]) -> set[int]:
            nonlocal tries
            tries += 1
            rows = await run_prepared(conn, _SAVE if tries == 1 else _SAVE_AGAIN, values)
            return {_int(rows.get_value(row, 0)) for row in range(rows.ntuples)}

        try:
            kept = await self._persist(save)
        except psycopg.errors.IntegrityError as error:
            if len(group) > 1:
                for saving in group:
                    await self._commit([saving])
                return
            # It would give a number another content: whoever does so has lost its count.
            self._say(f"a FIX session is ended, its numbers are in use: {str(error).strip()}")
            kept = set()
        for saving in group:
            if saving.done.done():
                continue
            if saving.session.id in kept:
                saving.done.set_result(None)
            else:
                saving.done.set_exception(SessionEnded("another has the session by now"))

    def _thin(self, owned: Owned) -> None:
        """Take out the rows of former lives that had arrived, a few at a time."""

        async def thin() -> None:
            text = _sql(THIN)

            async def some(conn: psycopg.AsyncConnection[Any]) -> int:
                values = (owned.id, owned.life, THINNED_AT_ONCE)
                return (await conn.execute(text, values)).rowcount

            while await self._persist(some) == THINNED_AT_ONCE:
                await asyncio.sleep(0)

        task = asyncio.create_task(thin(), name="thinning fix messages")
        self._thinning.add(task)
        task.add_done_callback(self._thinning.discard)

    # The connection

    async def _rows(self, text: LiteralString, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        composed = _sql(text)

        async def ask(conn: psycopg.AsyncConnection[Any]) -> list[tuple[Any, ...]]:
            return await (await conn.execute(composed, values)).fetchall()

        return await self._persist(ask)

    async def _persist(
        self, work: Callable[[psycopg.AsyncConnection[Any]], Awaitable[Done]]
    ) -> Done:
        """Do a piece of work, again and again while the server is away or the store is not written,
        which is said once.
        """
        backoff = FIRST_BACKOFF
        held_since = 0.0
        while True:
            try:
                async with self._turn:
                    done = await work(await self._connected())
            except psycopg.errors.ObjectNotInPrerequisiteState as held:
                # Nothing was changed. The switch that holds it back is over in a moment.
                held_since = held_since or time.monotonic()
                if time.monotonic() - held_since > HELD_SAID_SECONDS:
                    self._wait(held)
                async with self._turn:
                    await self._drop_unless_held()
                await asyncio.sleep(HELD_BACKOFF)
                continue
            except AWAY as error:
                self._wait(error)
                async with self._turn:
                    await self._drop()
                await asyncio.sleep(backoff)
                backoff = min(2 * backoff, LAST_BACKOFF)
                continue
            if self._away:
                self._away = False
                self._say("FIX sessions go on, the store answers again")
            return done

    def _wait(self, error: Exception) -> None:
        if not self._away:
            self._away = True
            why = error.diag.message_primary if isinstance(error, psycopg.Error) else None
            self._say(f"FIX sessions wait, the store is away: {why or str(error).strip()}")

    async def _connected(self) -> psycopg.AsyncConnection[Any]:
        if self._conn is None:
            conn, state = await self._stores.connect("nexus fix", names=True)
            try:
                for name, text in self._statements.items():
                    await prepare(conn, name, text)
            except BaseException:
                await conn.close()
                raise
            self._conn, self._store = conn, state.address
        return self._conn

    async def _drop_unless_held(self) -> None:
        """Keep a connection to a store that is the truth still: it will be written again."""
        with suppress(*AWAY):
            if (
                self._conn is not None
                and self._store is not None
                and (await read_state(self._conn, self._store)).writes in WRITTEN
            ):
                return
        await self._drop()

    async def _drop(self) -> None:
        conn, self._conn = self._conn, None
        if conn is not None:
            with suppress(psycopg.Error, OSError):
                await conn.close()


def _sql(text: LiteralString, again: LiteralString = "") -> sql.Composed:
    return sql.SQL(text).format(
        sessions=sql.Identifier("fix_sessions"),
        messages=sql.Identifier("fix_messages"),
        again=sql.SQL(again),
    )


def _ended(session_id: SessionId) -> SessionEnded:
    return SessionEnded(f"another has {session_id} by now")


def _cut(waiting: list[_Saving]) -> tuple[list[_Saving], list[_Saving]]:
    """What can be saved together, each session once; and the rest, in order."""
    group: list[_Saving] = []
    present: set[int] = set()
    rows = 0
    for place, saving in enumerate(waiting):
        rows += len(saving.sent)
        if saving.session.id in present or (group and rows > ROWS_OF_A_GROUP):
            return group, waiting[place:]
        present.add(saving.session.id)
        group.append(saving)
    return group, []


def _int(value: bytes | None) -> int:
    assert value is not None
    return int.from_bytes(value, "big")


def _values(group: Sequence[_Saving]) -> list[bytes]:
    sessions = [(s.session.id, s.session.epoch, *s.numbers) for s in group]
    messages = [
        (s.session.id, m.seq_num, m.source.position, m.source.part, m.checksum, m.poss_resend)
        for s in group
        for m in s.sent
    ]
    columns = [
        *zip(*sessions, strict=True),
        *(zip(*messages, strict=True) if messages else [()] * 6),
    ]
    return [bigints(column) for column in columns]
