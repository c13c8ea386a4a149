"""Reckons a move before anything is changed: what there is, what it takes, what is missing."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, LiteralString

import psycopg
from psycopg import sql
from psycopg.rows import tuple_row

from infrastructure.log.layouts import Layout, layout_of
from infrastructure.log.roles import has_roles, may_make_roles
from infrastructure.log.stores import WRITTEN, StoreAddress, read_state_now, told_of
from infrastructure.log.upkeep import compressed_before
from migrations.move.servers import (
    LOST_WITHOUT_COMPRESSION,
    ServerFacts,
    connected,
    holds_password,
    schema_facts,
    server_facts,
)

RATE: Final = 100_000
"""Rows a second that a backfill is reckoned with, unless another rate is stated."""
COMPRESSED_SHARE: Final = 0.19
"""Of the room that events take as rows, what they take compressed (docs/timescale-layout.md)."""
HEAD_BYTES: Final = 100
"""Of each aggregate, its row in stream_heads with the index."""
WAL_SHARE: Final = 1.1
"""Of the rows that are written, what is written to the log of the server."""
_SAMPLE = 256


@dataclass(frozen=True, slots=True)
class SourceFacts:
    """What there is to move."""

    layout: Layout
    rows: int
    old_rows: int
    """Of them, those that a target compresses."""
    event_bytes: int
    """The events with their indexes."""
    other_bytes: int
    """All that moves beside them: request keys, snapshots, sessions."""
    aggregates: int
    first_at: datetime | None
    last_at: datetime | None


@dataclass(frozen=True, slots=True)
class Plan:
    """A move as it is reckoned; with refusals it cannot begin."""

    source: StoreAddress
    target: StoreAddress
    layout: Layout
    same_database: bool
    facts: SourceFacts
    server: ServerFacts
    target_bytes: int
    wal_bytes: int
    rate: int
    seconds: int
    refusals: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def possible(self) -> bool:
        """Whether nothing stands against it."""
        return not self.refusals

    def as_document(self) -> dict[str, Any]:
        """The plan for machines, and to be kept; no address in it holds a password."""
        facts = self.facts
        return {
            "source": {"store": told_of(self.source), "layout": str(facts.layout)},
            "target": {
                "store": told_of(self.target),
                "layout": str(self.layout),
                "same_database": self.same_database,
                "postgres": self.server.postgres,
                "timescaledb": self.server.version,
                "edition": self.server.edition,
            },
            "rows": facts.rows,
            "old_rows": facts.old_rows,
            "aggregates": facts.aggregates,
            "first_at": facts.first_at.isoformat() if facts.first_at else None,
            "last_at": facts.last_at.isoformat() if facts.last_at else None,
            "source_bytes": facts.event_bytes + facts.other_bytes,
            "target_bytes": self.target_bytes,
            "wal_bytes": self.wal_bytes,
            "rate": self.rate,
            "seconds": self.seconds,
            "refusals": list(self.refusals),
            "warnings": list(self.warnings),
        }

    def lines(self) -> list[str]:
        """The plan for people."""
        facts, server = self.facts, self.server
        extension = ""
        if server.version is not None and self.layout is not Layout.NATIVE:
            edition = f" ({server.edition})" if server.edition else ""
            extension = f", TimescaleDB {server.version}{edition}"
        told = [
            f"from    {told_of(self.source)}: {facts.layout}, {facts.rows:,} events of"
            f" {facts.aggregates:,} aggregates, {_span(facts)}",
            f"to      {told_of(self.target)}: {self.layout}, PostgreSQL"
            f" {server.postgres}{extension}",
            f"disk    {_size(facts.event_bytes + facts.other_bytes)} here; about"
            f" {_size(self.target_bytes)} there"
            + (", on the same disk until `finalize`" if self.same_database else ""),
            f"wal     about {_size(self.wal_bytes)} in all, {server.max_wal_mb:,} MB between two"
            " checkpoints; archiving and standbys of that server get all of it",
            f"time    {_duration(self.seconds)} for the backfill at {self.rate:,} rows/s; verifying"
            " reads everything once more on both sides",
        ]
        told += [f"note    {warning}" for warning in self.warnings]
        told += [f"REFUSED {refusal}" for refusal in self.refusals]
        return told


def plan(
    source: StoreAddress,
    target: StoreAddress,
    *,
    layout: Layout | None = None,
    rate: int = RATE,
    owner_dsn: str | None = None,
) -> Plan:
    """Reckon a move of the log from one store to another; changes nothing. Raises psycopg.Error.

    Without a layout it is the best one that the server of the target has.
    """
    server = server_facts(target.dsn)
    wanted = layout or server.best_layout()
    with connected(source.dsn) as conn:
        refusals = _against_source(conn, source)
        facts = _source_facts(conn, source) if not refusals else _NOTHING
        refusals += _against_positions(conn, source, facts) if facts.rows else []
    same = server_facts(source.dsn).database == server.database
    refusals += _against_target(source, target, wanted, same)
    refusals += server.lacks(wanted)
    warnings = []
    if wanted is Layout.HYPERTABLE:
        warnings.append(LOST_WITHOUT_COMPRESSION)
    if server.installed is None and server.available and wanted is not Layout.NATIVE:
        who = "--owner-dsn" if owner_dsn else f"user {server.user}"
        warnings.append(
            f"the extension {server.available} is not in that database yet: `prepare` makes it as"
            f" {who}, who must own the database or be a superuser"
        )
    size = _reckon_bytes(facts, wanted)
    return Plan(
        source=source,
        target=target,
        layout=wanted,
        same_database=same,
        facts=facts,
        server=server,
        target_bytes=size,
        wal_bytes=int(size * WAL_SHARE),
        rate=rate,
        seconds=-(-facts.rows // rate),
        refusals=tuple(refusals),
        warnings=tuple(warnings),
    )


_NOTHING = SourceFacts(Layout.PLAIN, 0, 0, 0, 0, 0, None, None)


def _against_source(conn: psycopg.Connection[Any], source: StoreAddress) -> list[str]:
    layout = layout_of(conn, source.schema)
    if layout is None:
        return [
            f"no store is in schema {source.schema}, or its migrations are behind: nexus db migrate"
        ]
    state = read_state_now(conn, source)
    if state.writes not in WRITTEN:
        where = "" if state.peer is None else f": it is {told_of(state.peer)}"
        return [f"the store in schema {source.schema} is not the one that is written{where}"]
    return []


def _against_target(
    source: StoreAddress, target: StoreAddress, layout: Layout, same: bool
) -> list[str]:
    if layout is Layout.PLAIN:
        return ["a log in one table is moved to one in parts by time, and to no other plain one"]
    if same and source.schema == target.schema:
        return ["a store cannot be moved onto itself: name another schema or another database"]
    reasons = []
    for store, option in ((target, "the target"), (source, "NEXUS_DATABASE_URL")):
        if not same and holds_password(store):
            reasons.append(
                f"{option} holds a password, which would be kept in a table where the other store"
                " finds it: put it into the password file (~/.pgpass, or PGPASSFILE) or a service"
                " file, and leave it out of the address"
            )
    with connected(source.dsn) as conn:
        apart = has_roles(conn, source.schema)
    with connected(target.dsn) as conn:
        if apart and not same and not may_make_roles(conn):
            reasons.append(
                f"user {conn.info.user} of the target may make no roles, and every process has one"
                f" of its own: ALTER ROLE {conn.info.user} CREATEROLE, as a superuser"
            )
        found = schema_facts(conn, target.schema)
        state = read_state_now(conn, target) if found.layout else None
    peer = state.peer if state else None
    ours = peer is not None and peer.schema == source.schema
    if found.others:
        reasons.append(f"schema {target.schema} holds {found.others} tables that are no store's")
    elif found.layout is not None and found.layout is not layout:
        reasons.append(f"schema {target.schema} holds a store that is {found.layout} already")
    elif found.events and not ours:
        reasons.append(f"schema {target.schema} holds events of another log")
    elif state is not None and not ours and (peer is not None or state.epoch):
        reasons.append(f"schema {target.schema} holds a store of another partition or move")
    return reasons


def _against_positions(
    conn: psycopg.Connection[Any], source: StoreAddress, facts: SourceFacts
) -> list[str]:
    """Time must rise with the position, since chunks are found by it: of every so manieth row."""
    positions = sorted({1, facts.rows, *range(1, facts.rows, max(facts.rows // _SAMPLE, 1))})
    found = _at(conn, source, positions)
    if len(found) != len(positions):
        missing = next(p for p in positions if p not in found)
        return [f"the log has no event at position {missing:,}: nexus audit verify says more"]
    times = [found[position] for position in positions]
    for (before, earlier), (after, later) in zip(
        zip(positions, times, strict=True), zip(positions[1:], times[1:], strict=True), strict=False
    ):
        if later < earlier:
            return [
                f"the event at position {after:,} was recorded before the one at {before:,}: parts"
                " by time would not be in the order of the log"
            ]
    return []


def _source_facts(conn: psycopg.Connection[Any], source: StoreAddress) -> SourceFacts:
    layout = layout_of(conn, source.schema) or Layout.PLAIN
    last = "log_head" if layout.chunked else "stored_events"
    of_last: LiteralString = (
        "SELECT position FROM {}" if layout.chunked else "SELECT max(notification_id) FROM {}"
    )
    rows = int(_value(conn, sql.SQL(of_last).format(sql.Identifier(source.schema, last))) or 0)
    table = sql.Identifier(source.schema, "stored_events").as_string(None)
    events = int(_value(conn, _PARTS_SIZE, (table, table)))
    whole = int(_value(conn, _SCHEMA_SIZE, (source.schema,)))
    ends = _at(conn, source, [1, rows]) if rows else {}
    last_at = ends.get(rows)
    old = compressed_before(max(datetime.now(UTC), last_at)) if last_at else None
    return SourceFacts(
        layout,
        rows,
        _position_at(conn, source, old, rows) if old else 0,
        events,
        max(whole - events, 0),
        int(_value(conn, _AGGREGATES, (source.schema, rows))),
        ends.get(1),
        last_at,
    )


# Chunks stand in schemas of their own.
_PARTS_SIZE = sql.SQL(
    "SELECT COALESCE(sum(pg_total_relation_size(oid)), 0)::bigint FROM ("
    "SELECT inhrelid AS oid FROM pg_inherits WHERE inhparent = %s::regclass"
    " UNION SELECT %s::regclass) AS parts"
)
_SCHEMA_SIZE = sql.SQL(
    "SELECT COALESCE(sum(pg_total_relation_size(c.oid)), 0)::bigint FROM pg_class c"
    " JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = %s AND c.relkind IN ('r','p')"
)
_AGGREGATES = sql.SQL(
    "SELECT COALESCE((SELECT CASE WHEN n_distinct < 0 THEN -n_distinct * r.rows ELSE n_distinct END"
    " FROM pg_stats WHERE schemaname = s.schema AND tablename = 'stored_events'"
    " AND attname = 'originator_id'), r.rows / 5)::bigint"
    " FROM (SELECT %s::text AS schema) AS s, (SELECT %s::float8 AS rows) AS r"
)


def _position_at(
    conn: psycopg.Connection[Any], source: StoreAddress, before: datetime, last: int
) -> int:
    """The last position that was recorded before an instant."""
    low, high = 0, last
    while low < high:
        middle = (low + high + 1) // 2
        at = _at(conn, source, [middle]).get(middle)
        if at is None or at >= before:
            high = middle - 1
        else:
            low = middle
    return low


def _at(
    conn: psycopg.Connection[Any], source: StoreAddress, positions: list[int]
) -> dict[int, datetime]:
    """When the events at these positions were recorded."""
    query = sql.SQL(
        "SELECT p, e.recorded_at FROM unnest(%s::bigint[]) AS p, LATERAL (SELECT recorded_at"
        " FROM {schema}.stored_events WHERE notification_id = p"
        " AND recorded_at >= {schema}.recorded_from(p - 1)"
        " AND recorded_at <= {schema}.recorded_until(p) LIMIT 1) AS e"
    ).format(schema=sql.Identifier(source.schema))
    with conn.cursor(row_factory=tuple_row) as cursor:
        return dict(cursor.execute(query, (positions,)).fetchall())


def _reckon_bytes(facts: SourceFacts, layout: Layout) -> int:
    share = 1.0
    if layout is Layout.TIMESCALE and facts.rows:
        share = 1 - (1 - COMPRESSED_SHARE) * facts.old_rows / facts.rows
    return int(facts.event_bytes * share) + facts.aggregates * HEAD_BYTES + facts.other_bytes


def _value(
    conn: psycopg.Connection[Any], query: sql.SQL | sql.Composed, values: tuple[Any, ...] = ()
) -> Any:
    with conn.cursor(row_factory=tuple_row) as cursor:
        row = cursor.execute(query, values).fetchone()
    return row[0] if row else None


def _span(facts: SourceFacts) -> str:
    if facts.first_at is None or facts.last_at is None:
        return "nothing yet"
    return f"{facts.first_at:%Y-%m-%d} to {facts.last_at:%Y-%m-%d}"


def _size(count: int) -> str:
    amount = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1000:
            return f"{amount:,.0f} {unit}" if unit in ("B", "kB") else f"{amount:,.1f} {unit}"
        amount /= 1000
    return f"{amount:,.1f} TB"


def _duration(seconds: int) -> str:
    return str(timedelta(seconds=seconds))
