"""The one statement of a commit: the fence, the events, what is derived from them, the notice."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg import sql

from application.log.ports import Batch
from domain.events import DomainEvent
from infrastructure.log.binary_arrays import bigints, byteas, texts, uuids
from infrastructure.log.codec import encode_event, rows_of
from infrastructure.log.derived import DERIVED_ROWS, Column, DerivedRows
from infrastructure.log.statements import EventTable
from infrastructure.prepared import prepare, run_prepared

STATEMENT_EVENTS = 10_000
"""One decision may be larger than a statement should be; it is still one transaction."""

# In the order of `codec.rows_of`, after which come the bytes.
_COLUMNS = (
    Column("originator_id", "uuid", uuids),
    Column("originator_version", "bigint", bigints),
    Column("topic", "text", texts),
    Column("recorded_at", "bigint", bigints),
    Column("instrument_id", "uuid", uuids),
    Column("account_id", "uuid", uuids),
    Column("traded_qty", "bigint", bigints),
    Column("traded_notional", "bigint", bigints),
    Column("correlation_id", "uuid", uuids),
    Column("actor", "text", texts),
    Column("state", "bytea", byteas),
)
_PACKERS = tuple(column.pack for column in _COLUMNS[:-1])
_NO_EVENTS: list[tuple[Any, ...]] = [()] * len(_PACKERS)
_BIGINT = struct.Struct("!q").pack
_ONE = _BIGINT(1)
_NAME = b"append"
_LEADING = ("partition", "epoch", "first position", "channel", "last position")


class AppendStatement:
    """Stores batches of one partition's events; its values are bytes that the server reads as
    they are.
    """

    def __init__(
        self, schema: str, partition: int, derived: Sequence[DerivedRows] = DERIVED_ROWS
    ) -> None:
        self._leading = _BIGINT(partition)
        self._channel = schema.encode()
        self._derived = tuple(derived)
        self._text = _compose(schema, self._derived).encode()
        self._none = [column.pack(()) for kind in self._derived for column in kind.columns]

    async def prepare(self, conn: psycopg.AsyncConnection[Any]) -> None:
        """Make the statement known to a connection, once for its life."""
        await prepare(conn, _NAME, self._text)

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

    async def run(self, conn: psycopg.AsyncConnection[Any], values: list[bytes]) -> bool:
        """Store one statement's values; false when another writer's epoch kept it from that.

        Raises psycopg.Error.
        """
        result = await run_prepared(conn, _NAME, values)
        return result.get_value(0, 0) == _ONE


def _compose(schema: str, derived: Sequence[DerivedRows]) -> str:
    """The statement's text, the events first and then every kind of derived rows."""
    taken = len(_LEADING) + len(_COLUMNS) + 1
    inserts = []
    for kind in derived:
        table = sql.Identifier(schema, kind.table).as_string(None)
        rows = f"{_unnested(kind.columns, taken)} AS k ({kind.names})"
        inserts.append(
            f", {kind.table}_stored AS ("
            f"INSERT INTO {table} ({kind.names}) SELECT {kind.names} FROM fence, {rows})"
        )
        taken += len(kind.columns)
    names = ", ".join(column.name for column in _COLUMNS)
    epochs = sql.Identifier(schema, "writer_epoch").as_string(None)
    return f"""
WITH fence AS MATERIALIZED (
    SELECT partition FROM {epochs}
    WHERE partition = $1::bigint AND epoch = $2::bigint FOR SHARE
), stored AS (
    INSERT INTO {EventTable(schema).name.as_string(None)} (notification_id, {names})
    SELECT $3::bigint + e.number - 1, {_selected()}
    FROM fence, {_unnested(_COLUMNS, len(_LEADING) + 1)} WITH ORDINALITY AS e ({names}, number)
){"".join(inserts)}
SELECT (SELECT count(*) FROM fence), pg_notify($4::text, $5::text)
"""


def _unnested(columns: Sequence[Column], first: int) -> str:
    arrays = (f"${number}::{column.type}[]" for number, column in enumerate(columns, first))
    return f"unnest({', '.join(arrays)})"


def _selected() -> str:
    time = "timestamptz 'epoch' + e.recorded_at * interval '1 microsecond'"
    return ", ".join(time if c.name == "recorded_at" else f"e.{c.name}" for c in _COLUMNS)
