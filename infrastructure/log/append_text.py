"""The text of the statement that stores a batch, for every layout of the store and of its peer.

A plain table's unique indexes refuse a version or a position that is there already. A table in
chunks has none, so heads are moved in the same statement: each from exactly where this batch
begins, or nothing is stored.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from psycopg import sql

from infrastructure.log.binary_arrays import bigints, byteas, texts, uuids
from infrastructure.log.derived import CHUNKED_ROWS, DERIVED_ROWS, Column, DerivedRows
from infrastructure.log.statements import EVENT_TABLE

# In the order of `codec.rows_of`, after which come the bytes.
EVENT_COLUMNS = (
    Column("originator_id", "uuid", uuids),
    Column("originator_version", "bigint", bigints),
    Column("topic", "text", texts),
    Column("recorded_at", "bigint", bigints, "timestamptz 'epoch' + {} * interval '1 microsecond'"),
    Column("instrument_id", "uuid", uuids),
    Column("account_id", "uuid", uuids),
    Column("traded_qty", "bigint", bigints),
    Column("traded_notional", "bigint", bigints),
    Column("correlation_id", "uuid", uuids),
    Column("actor", "text", texts),
    Column("state", "bytea", byteas),
)
LEADING = ("partition", "epoch", "first position", "channel", "last position", "offsets")
MARK_EVERY = 256
"""Of every so many positions one has its time marked."""

_NAMES = ", ".join(column.name for column in EVENT_COLUMNS)
_BEFORE = "$3::bigint - 1"
_DERIVED_AT = len(LEADING) + len(EVENT_COLUMNS) + 1


class Half(NamedTuple):
    """One store of those that a statement writes: its schema and whether its log is in chunks."""

    schema: str
    chunked: bool

    def table(self, name: str) -> str:
        """The quoted name of one of its tables."""
        return sql.Identifier(self.schema, name).as_string(None)


def derived_rows(
    truth: Half, follower: Half | None, everywhere: Sequence[DerivedRows] = DERIVED_ROWS
) -> tuple[DerivedRows, ...]:
    """The kinds of rows that cross with a batch; those of chunks when one of the stores has any."""
    if truth.chunked or (follower is not None and follower.chunked):
        return (*everywhere, *(kind for kind in CHUNKED_ROWS if kind not in everywhere))
    return tuple(everywhere)


def append_text(truth: Half, follower: Half | None, derived: Sequence[DerivedRows]) -> str:
    """The whole statement; what it stores in a follower as well is the same rows."""
    parts = [_fence(truth, follower)]
    if truth.chunked or follower is not None:
        # Both stores, or heads and events, take the rows from one place.
        parts.append(f"batch AS MATERIALIZED (SELECT {_from_values()})")
        parts += [_events(truth, "stored", f"SELECT notification_id, {_NAMES} FROM batch")]
    else:
        parts += [_events(truth, "stored", f"SELECT {_from_values()}")]
    parts += _derived(truth, "", derived)
    broken = []
    if truth.chunked or (follower is not None and follower.chunked):
        parts.append(_STREAMS)
    if truth.chunked:
        parts += _heads_judged(truth)
        broken += [
            f"WHEN NOT EXISTS (SELECT FROM moved) THEN {_broken(truth, 'position')}",
            "WHEN (SELECT count(*) FROM begun) + (SELECT count(*) FROM grown)"
            " <> (SELECT count(*) FROM streams WHERE whole)"
            f" OR EXISTS (SELECT FROM streams WHERE NOT whole) THEN {_broken(truth, 'version')}",
        ]
    notices = "(SELECT pg_notify($4::text, $5::text) FROM fence)"
    if follower is not None:
        parts.append(
            _events(follower, "peer_stored", f"SELECT notification_id, {_NAMES} FROM batch")
        )
        parts += _derived(follower, "peer_", derived)
        if follower.chunked:
            parts += _heads_merged(follower)
            broken.append(
                f"WHEN NOT EXISTS (SELECT FROM peer_moved) THEN {_broken(follower, 'position')}"
            )
        notices += f", (SELECT pg_notify({sql.quote(follower.schema)}, $5::text) FROM fence)"
    stored = "(SELECT count(*) FROM fence)"
    if broken:
        # A fenced writer's heads do not move: that is no fault.
        stored = f"CASE WHEN NOT EXISTS (SELECT FROM fence) THEN 0 {' '.join(broken)} ELSE 1 END"
    return f"WITH {', '.join(parts)}\nSELECT {stored}, {notices}\n"


def _fence(truth: Half, follower: Half | None) -> str:
    """The row that says who may write and where; none when it is not this writer, or not there."""
    mode = "here" if follower is None else "both"
    ready = ""
    if follower is not None and follower.chunked:
        ready = f" AND EXISTS (SELECT FROM {follower.table('log_head')} WHERE position = {_BEFORE})"
    elif follower is not None:
        newest = f"SELECT FROM {follower.table(EVENT_TABLE)} WHERE notification_id = {_BEFORE}"
        ready = f" AND ({_BEFORE} = 0 OR EXISTS ({newest}))"
    return f"""fence AS MATERIALIZED (
    SELECT partition FROM {truth.table("writer_epoch")}
    WHERE partition = $1::bigint AND epoch = $2::bigint AND writes = '{mode}'{ready} FOR SHARE
)"""


def _from_values() -> str:
    """The rows of the arrays that crossed, where the fence let them through.

    Arrays are taken apart side by side in the list of what is selected: as a table each of them
    would be kept in a store of rows of its own first.
    """
    named = ", ".join(
        f"{values} AS {column.name}"
        for column, values in zip(
            EVENT_COLUMNS, _unnested(EVENT_COLUMNS, len(LEADING) + 1), strict=True
        )
    )
    return f"$3::bigint + unnest($6::bigint[]) AS notification_id, {named} FROM fence"


def _events(store: Half, name: str, rows: str) -> str:
    return f"{name} AS (INSERT INTO {store.table(EVENT_TABLE)} (notification_id, {_NAMES}) {rows})"


def _derived(store: Half, prefix: str, derived: Sequence[DerivedRows]) -> list[str]:
    """What is kept beside the events: packed, or taken from the rows themselves."""
    inserts = []
    taken = _DERIVED_AT
    for kind in derived:
        first, taken = taken, taken + len(kind.columns)
        if kind in CHUNKED_ROWS and kind not in DERIVED_ROWS and not store.chunked:
            continue
        inserts.append(
            f"{prefix}{kind.table}_stored AS ("
            f"INSERT INTO {store.table(kind.table)} ({kind.names})"
            f" SELECT {', '.join(_unnested(kind.columns, first))} FROM fence)"
        )
    if store.chunked:
        inserts.append(
            f"{prefix}marked AS ("
            f"INSERT INTO {store.table('log_marks')} (position, recorded_at)"
            " SELECT notification_id, recorded_at FROM batch"
            f" WHERE notification_id % {MARK_EVERY} = 0)"
        )
    return inserts


# Each aggregate of the batch: where it begins and ends in it, and whether every version between
# is there once.
_STREAMS = """streams AS MATERIALIZED (
    SELECT originator_id, min(originator_version) AS first, max(originator_version) AS last,
           min(recorded_at) AS first_at, max(recorded_at) AS last_at,
           count(DISTINCT originator_version) = count(*)
           AND max(originator_version) - min(originator_version) + 1 = count(*) AS whole
      FROM batch GROUP BY originator_id
)"""


def _moved(store: Half, name: str) -> str:
    return (
        f"{name} AS (UPDATE {store.table('log_head')} SET position = $5::text::bigint"
        f" FROM fence WHERE position = {_BEFORE} RETURNING 1)"
    )


def _heads_judged(store: Half) -> list[str]:
    """Heads go from exactly where this batch begins: of two writers one finds them moved."""
    heads = store.table("stream_heads")
    return [
        _moved(store, "moved"),
        f"begun AS (INSERT INTO {heads} (originator_id, version, first_at, last_at)"
        " SELECT originator_id, last, first_at, last_at FROM streams WHERE first = 1 RETURNING 1)",
        f"grown AS (UPDATE {heads} h SET version = s.last,"
        " last_at = greatest(h.last_at, s.last_at) FROM streams s"
        " WHERE h.originator_id = s.originator_id AND s.first > 1 AND h.version = s.first - 1"
        " RETURNING 1)",
    ]


def _heads_merged(store: Half) -> list[str]:
    """Heads as far as they are known: older versions may not have been brought yet."""
    return [
        _moved(store, "peer_moved"),
        f"peer_heads AS (INSERT INTO {store.table('stream_heads')} AS h"
        " (originator_id, version, first_at, last_at)"
        " SELECT originator_id, last, first_at, last_at FROM streams"
        " ON CONFLICT (originator_id) DO UPDATE SET"
        " version = greatest(h.version, excluded.version),"
        " first_at = least(h.first_at, excluded.first_at),"
        " last_at = greatest(h.last_at, excluded.last_at))",
    ]


def _broken(store: Half, what: str) -> str:
    return f"{store.table('log_broken')}({sql.quote(f'{store.schema}: {what}')})"


def _unnested(columns: Sequence[Column], first: int) -> list[str]:
    """What is stored of each value of the arrays from a place on, row by row."""
    return [
        column.stored.format(f"unnest(${number}::{column.type}[])")
        for number, column in enumerate(columns, first)
    ]
