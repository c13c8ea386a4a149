"""A connection that keeps views: prepared statements, all of a transaction sent in one go.

What a batch changes is some twenty small statements. Sent one by one each costs a journey to the
server and back; here they leave together, and a second journey commits once all are known to be
well. The driver's own pipeline is not used: it stops sending while the kernel's buffer is full
and then waits for an answer to what was never sent, so that one large statement hangs for ever.
This one goes on sending until nothing is left, and reads meanwhile.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple

import psycopg
from psycopg import AsyncConnection, sql
from psycopg.abc import PQGen
from psycopg.errors import error_from_result
from psycopg.pq import ConnStatus, ExecStatus, Format
from psycopg.pq.abc import PGresult
from psycopg.waiting import Ready, Wait

Connection = AsyncConnection[Any]
Connect = Callable[[], Awaitable[Connection]]
"""Opens a connection whose search_path is the partition's schema, in autocommit."""

# A view can be built again, and its position is lost with its rows: no need to wait for the disk.
# Rows are found by key, whatever the statistics of a table said when a statement was planned.
KEEPING = {
    "synchronous_commit": "off",
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "plan_cache_mode": "force_generic_plan",
}


class Statement(NamedTuple):
    """SQL with its values in PostgreSQL's binary form, and what its result must be.

    `check` is called with the result of a statement that went well, and raises when the
    transaction must not be committed.
    """

    text: bytes
    values: Sequence[bytes] = ()
    check: Callable[[PGresult], None] | None = None


class StatementFailed(Exception):
    """A statement of a transaction failed, or its check; the cause is the error."""

    def __init__(self, number: int) -> None:
        super().__init__(f"statement {number} of the transaction")
        self.number = number


_BEGIN, _COMMIT, _ROLLBACK = Statement(b"BEGIN"), Statement(b"COMMIT"), Statement(b"ROLLBACK")
_WELL = (ExecStatus.COMMAND_OK, ExecStatus.TUPLES_OK)


class ViewConnection:
    """Statements on one connection, each prepared when it is first used."""

    def __init__(self, conn: Connection) -> None:
        self.conn = conn
        self._pgconn = conn.pgconn
        self._names: dict[bytes, bytes] = {}
        self._named = 0

    async def transact(self, statements: Sequence[Statement]) -> None:
        """Do all of these or, raising StatementFailed, none."""
        try:
            await self.run([_BEGIN, *statements])
        except StatementFailed as failed:
            await self.run([_ROLLBACK])
            raise StatementFailed(failed.number - 1) from failed.__cause__
        await self.run([_COMMIT])

    async def run(self, statements: Sequence[Statement]) -> None:
        """Send these together; the first that fails raises, and none after it is done."""
        async with self.conn.lock:
            results = await self.conn.wait(self._exchange(statements))
        for number, (statement, result) in enumerate(zip(statements, results, strict=True)):
            try:
                if result.status not in _WELL:
                    raise error_from_result(result)
                if statement.check is not None:
                    statement.check(result)
            except (psycopg.OperationalError, psycopg.InterfaceError):
                raise
            except Exception as error:
                raise StatementFailed(number) from error

    def _exchange(self, statements: Sequence[Statement]) -> PQGen[list[PGresult]]:
        """Queue everything, then send and receive until the server has answered it all."""
        pgconn = self._pgconn
        pgconn.enter_pipeline_mode()
        preparing: dict[int, tuple[bytes, bytes]] = {}
        new: dict[bytes, bytes] = {}
        queued = 0
        for statement in statements:
            name = self._names.get(statement.text) or new.get(statement.text)
            if name is None:
                self._named += 1
                name = new[statement.text] = b"view_%d" % self._named
                pgconn.send_prepare(name, statement.text)
                preparing[queued] = (statement.text, name)
                queued += 1
            formats = [Format.BINARY] * len(statement.values)
            pgconn.send_query_prepared(name, statement.values, formats)
            queued += 1
        pgconn.pipeline_sync()
        received: list[PGresult] = []
        unsent = pgconn.flush()
        synced = False
        while not synced:
            ready = yield Wait.RW if unsent else Wait.R
            if ready & Ready.R:
                pgconn.consume_input()
            if unsent:
                unsent = pgconn.flush()
            while not synced and not pgconn.is_busy():
                result = pgconn.get_result()
                if result is None:
                    if pgconn.status != ConnStatus.OK:
                        raise psycopg.OperationalError("the connection was lost")
                    continue
                if result.status == ExecStatus.PIPELINE_SYNC:
                    synced = True
                else:
                    received.append(result)
        pgconn.exit_pipeline_mode()
        return self._executed(received, preparing)

    def _executed(
        self, received: Sequence[PGresult], preparing: dict[int, tuple[bytes, bytes]]
    ) -> list[PGresult]:
        """The results without those of preparing; one that failed stands for its statement."""
        executed = []
        failed: PGresult | None = None
        for number, result in enumerate(received):
            prepared = preparing.get(number)
            if prepared is None:
                executed.append(failed or result)
                failed = None
            elif result.status == ExecStatus.COMMAND_OK:
                text, name = prepared
                self._names[text] = name
            else:
                failed = result
        return executed


async def open_connection(connect: Connect) -> ViewConnection:
    """A session of its own, set up for keeping views."""
    conn = await connect()
    try:
        for name, value in KEEPING.items():
            await conn.execute("SELECT set_config(%s, %s, false)", (name, value))
        await _be_the_keeper(conn)
    except BaseException:
        await conn.close()
        raise
    return ViewConnection(conn)


async def _be_the_keeper(conn: Connection) -> None:
    """Make and change tables as the role that has those of the views, also when it is the owner
    of the store who builds one: what he made, the projector could not keep.
    """
    cursor = await conn.execute(_KEEPER)
    row = await cursor.fetchone()
    if row is not None:
        await conn.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(row[0])))


_KEEPER = """
SELECT r.rolname FROM pg_class c JOIN pg_roles r ON r.oid = c.relowner
 WHERE c.oid = to_regclass('projection_tracking') AND r.rolname <> current_user
   AND pg_has_role(current_user, r.oid, 'MEMBER')
"""
