"""The one statement of a commit: the fence, the events, what is derived from them, the notice."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import psycopg

from application.log.ports import Batch, BesideRow
from domain.events import DomainEvent
from infrastructure.log.append_text import EVENT_COLUMNS, Half, append_text, derived_rows
from infrastructure.log.beside_rows import store_beside
from infrastructure.log.binary_arrays import bigints, byteas
from infrastructure.log.codec import encode_event, rows_of
from infrastructure.log.derived import DERIVED_ROWS, DerivedRows
from infrastructure.prepared import prepare, run_prepared

STATEMENT_EVENTS = 10_000
"""One decision may be larger than a statement should be; it is still one transaction."""
FOLLOWER_SECONDS = 1
"""How long an append to both stores may wait for a lock before the follower is left behind."""
_PLANS_WITHOUT_KEYS = ("enable_seqscan", "enable_hashjoin", "enable_mergejoin")
_PACKERS = tuple(column.pack for column in EVENT_COLUMNS[:-1])
_NO_EVENTS: list[tuple[Any, ...]] = [()] * len(_PACKERS)
_BIGINT = struct.Struct("!q").pack
_ONE = _BIGINT(1)


class AppendStatement:
    """Stores batches of one partition's events; its values are bytes that the server reads as
    they are.

    With a follower the same statement stores them in a second schema of the database too. It
    stores nothing unless the store is in the mode that it was made for: here alone, or both.
    """

    def __init__(
        self,
        schema: str,
        partition: int,
        derived: Sequence[DerivedRows] = DERIVED_ROWS,
        *,
        chunked: bool = False,
        follower: Half | None = None,
    ) -> None:
        truth = Half(schema, chunked)
        self.follower = follower
        self._heads = chunked or (follower is not None and follower.chunked)
        self._leading = _BIGINT(partition)
        self._schema = schema
        self._channel = schema.encode()
        self._derived = derived_rows(truth, follower, derived)
        self._text = append_text(truth, follower, self._derived).encode()
        self._name = b"append" if follower is None else _named(follower)
        self._none = [column.pack(()) for kind in self._derived for column in kind.columns]

    async def prepare(self, conn: psycopg.AsyncConnection[Any]) -> None:
        """Make the statement known to a connection, once for its life."""
        await prepare(conn, self._name, self._text)

    async def begin(self, conn: psycopg.AsyncConnection[Any]) -> None:
        """Set a connection up for using this statement from now on.

        Heads are found by their keys, whatever the statistics say of a table that was empty, and
        no batch is worth a plan of its own. Nobody who locks the follower keeps orders waiting.
        """
        found = "off" if self._heads else "DEFAULT"
        waits = "DEFAULT" if self.follower is None else f"'{FOLLOWER_SECONDS}s'"
        settings = [f"SET {setting} TO {found}" for setting in _PLANS_WITHOUT_KEYS]
        settings.append("SET plan_cache_mode TO force_generic_plan")
        await conn.execute("; ".join([*settings, f"SET lock_timeout TO {waits}"]).encode())

    def values(self, epoch: int, batch: Batch) -> list[list[bytes]]:
        """The values of one statement; of several for a decision too large for one.

        Raises OverflowError, TypeError, ValueError or struct.error for what is no value of
        its column.
        """
        derived = self._derived_values(batch)
        events = batch.events
        if len(events) <= STATEMENT_EVENTS:
            return [self._values(epoch, batch.first_position, events, derived)]
        parts = []
        for start in range(0, len(events), STATEMENT_EVENTS):
            part = events[start : start + STATEMENT_EVENTS]
            parts.append(self._values(epoch, batch.first_position + start, part, derived))
            derived = self._none
        return parts

    def _values(
        self, epoch: int, first: int, events: Sequence[DomainEvent], derived: list[bytes]
    ) -> list[bytes]:
        columns = zip(*rows_of(events), strict=True) if events else _NO_EVENTS
        return [
            self._leading,
            _BIGINT(epoch),
            _BIGINT(first),
            self._channel,
            b"%d" % (first + len(events) - 1),
            _offsets(len(events)),
            *[pack(values) for pack, values in zip(_PACKERS, columns, strict=True)],
            byteas([encode_event(event) for event in events]),
            *derived,
        ]

    def _derived_values(self, batch: Batch) -> list[bytes]:
        packed: list[bytes] = []
        for kind in self._derived:
            rows = kind.of(batch)
            values = zip(*rows, strict=True) if rows else [()] * len(kind.columns)
            packed += [c.pack(v) for c, v in zip(kind.columns, values, strict=True)]
        return packed

    async def store(
        self,
        conn: psycopg.AsyncConnection[Any],
        statements: Sequence[list[bytes]],
        beside: Sequence[BesideRow] = (),
    ) -> bool:
        """Store a batch whole, with what it leaves beside the log; false when the store's mode or
        another writer's epoch kept it from that, and nothing is stored.

        Raises psycopg.Error.
        """
        if len(statements) == 1 and not beside:
            return await self.run(conn, statements[0])
        stored = False
        async with conn.transaction():
            for values in statements:
                stored = await self.run(conn, values)
                if not stored:
                    raise psycopg.Rollback
            await store_beside(conn, self._schema, beside)
        return stored

    async def run(self, conn: psycopg.AsyncConnection[Any], values: list[bytes]) -> bool:
        """Store one statement's values; false when the fence kept it from that.

        Raises psycopg.Error.
        """
        result = await run_prepared(conn, self._name, values)
        return result.get_value(0, 0) == _ONE


@lru_cache(maxsize=512)
def _offsets(count: int) -> bytes:
    """Where so many events stand behind the first of them."""
    return bigints(range(count))


def _named(follower: Half) -> bytes:
    return f"append both {'chunked' if follower.chunked else 'plain'} {follower.schema}".encode()
