"""Makes the store that a log is to move to: the extension, its tables, and who it follows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import tuple_row

from infrastructure.log.layouts import Layout
from infrastructure.log.partitions import DAY
from infrastructure.log.roles import let_work_on
from infrastructure.log.stores import StoreAddress, moves_channel
from infrastructure.log.upkeep import DAYS_AHEAD, make_parts
from migrations.move.planning import Plan, plan
from migrations.move.servers import connected, server_facts
from migrations.runner import migrate

KEYS_INDEX = "request_keys_position_idx"
_WHO_MAY = (
    "user {} may not make the extension ({}): name who owns the database, or a superuser, with"
    " --owner-dsn"
)


class CannotPrepare(Exception):
    """The target cannot be made, and nothing was; each reason says what would help."""

    def __init__(self, reasons: tuple[str, ...]) -> None:
        super().__init__("; ".join(reasons))
        self.reasons = reasons


@dataclass(frozen=True, slots=True)
class Prepared:
    """What `prepare` made; what was there already is not counted."""

    layout: Layout
    extension: str | None
    """The version of TimescaleDB in the target's database; None where the layout needs none."""
    migrations: int
    parts: int
    index_made: bool


def prepare(
    source: StoreAddress,
    target: StoreAddress,
    *,
    layout: Layout | None = None,
    owner_dsn: str | None = None,
    partition: int = 0,
    say: Callable[[str], object] = lambda _: None,
) -> Prepared:
    """Make an empty store in a layout, which follows the source from then on.

    It may be stopped at any point and run again. Raises CannotPrepare, MigrationError and
    psycopg.Error.
    """
    planned = plan(source, target, layout=layout, owner_dsn=owner_dsn)
    if not planned.possible:
        raise CannotPrepare(planned.refusals)
    version = None
    if planned.layout in (Layout.HYPERTABLE, Layout.TIMESCALE):
        version = _extend(planned, owner_dsn or target.dsn, say)
    say(f"tables of {target.schema} ({planned.layout})")
    with connected(target.dsn) as conn:
        done = migrate(conn, target.schema, layout=planned.layout)
    with connected(source.dsn) as conn:
        say("an index of request keys by position on the source, beside its traffic")
        index_made = _index_keys(conn, source)
        epoch_of_partition = _lead_row(conn, source, partition)
    with connected(target.dsn) as conn:
        if planned.same_database:
            let_work_on(conn, source.schema, target.schema)
        _follow(conn, target, source, epoch_of_partition, same=planned.same_database)
        parts = _make_parts(conn, target, planned)
    return Prepared(planned.layout, version, len(done), parts, index_made)


def _extend(planned: Plan, dsn: str, say: Callable[[str], object]) -> str:
    """Have the extension in the target's database; answers with its version."""
    if planned.server.installed is None:
        say(f"extension timescaledb {planned.server.available}")
        try:
            with connected(dsn) as conn:
                # Nothing may come before it in a session: the library is loaded by it.
                conn.execute("CREATE EXTENSION IF NOT EXISTS timescaledb")
        except psycopg.errors.InsufficientPrivilege as error:
            raise CannotPrepare(
                (_WHO_MAY.format(planned.server.user, str(error).strip()),)
            ) from error
    facts = server_facts(planned.target.dsn)
    if facts.installed is None:
        raise CannotPrepare(("--owner-dsn names another database than the target's",))
    reasons = facts.lacks(planned.layout)
    if reasons:
        raise CannotPrepare(tuple(reasons))
    return facts.installed


def _index_keys(conn: psycopg.Connection[Any], source: StoreAddress) -> bool:
    """Find request keys by the range of positions; what a killed run left half made goes first."""
    index = sql.Identifier(source.schema, KEYS_INDEX)
    found = _row(
        conn,
        "SELECT (SELECT i.indisvalid FROM pg_index i WHERE i.indexrelid = to_regclass(%s))",
        (index.as_string(None),),
    )
    if found[0]:
        return False
    if found[0] is False:
        conn.execute(sql.SQL("DROP INDEX CONCURRENTLY {}").format(index))
    conn.execute(
        sql.SQL(
            "CREATE INDEX CONCURRENTLY {} ON {} USING brin (position) WITH (autosummarize = on)"
        ).format(sql.Identifier(KEYS_INDEX), sql.Identifier(source.schema, "request_keys"))
    )
    return True


def _lead_row(conn: psycopg.Connection[Any], source: StoreAddress, partition: int) -> int:
    """Have a row in the source that says where the log is written; answers with its partition."""
    # Of a store that nobody has led yet: whoever comes first leads at once.
    conn.execute(
        sql.SQL(
            "INSERT INTO {epochs} (partition, epoch, holder, backend_pid, taken_at, renewed_at)"
            " SELECT %s, 0, '', 0, clock_timestamp(), '-infinity'"
            "  WHERE NOT EXISTS (SELECT FROM {epochs})"
        ).format(epochs=sql.Identifier(source.schema, "writer_epoch")),
        (partition,),
    )
    return int(
        _row(
            conn,
            sql.SQL("SELECT partition FROM {}").format(
                sql.Identifier(source.schema, "writer_epoch")
            ),
        )[0]
    )


def _follow(
    conn: psycopg.Connection[Any],
    target: StoreAddress,
    source: StoreAddress,
    partition: int,
    *,
    same: bool,
) -> None:
    """Have the target say that it follows the source; one that does is left alone."""
    values = {
        "partition": partition,
        "dsn": None if same else source.dsn,
        "schema": source.schema,
    }
    with conn.transaction():
        said = conn.execute(
            sql.SQL(
                "INSERT INTO {} AS e (partition, epoch, holder, backend_pid, taken_at, renewed_at,"
                " writes, peer_dsn, peer_schema)"
                " VALUES (%(partition)s, 0, '', 0, clock_timestamp(), '-infinity', 'fed', %(dsn)s,"
                " %(schema)s) ON CONFLICT (partition) DO UPDATE SET writes = 'fed',"
                " peer_dsn = %(dsn)s, peer_schema = %(schema)s, generation = e.generation + 1"
                " WHERE (e.writes, e.peer_dsn, e.peer_schema) IS DISTINCT FROM"
                " ('fed', %(dsn)s, %(schema)s)"
            ).format(sql.Identifier(target.schema, "writer_epoch")),
            values,
        ).rowcount
        if said:
            conn.execute("SELECT pg_notify(%s, '')", (moves_channel(target),))


def _make_parts(conn: psycopg.Connection[Any], target: StoreAddress, planned: Plan) -> int:
    """Make the chunks of all that is to come, in their order: compressed ones join only so.

    PostgreSQL's own partitions are made with the rows of each day: of a day without any is none.
    """
    now = _row(conn, "SELECT clock_timestamp()")[0]
    if planned.layout is not Layout.TIMESCALE:
        return make_parts(conn, target.schema, planned.layout, now, now + DAYS_AHEAD * DAY).parts
    ends = [now, *(at for at in (planned.facts.first_at, planned.facts.last_at) if at)]
    return make_parts(
        conn, target.schema, planned.layout, min(ends), max(ends) + DAYS_AHEAD * DAY
    ).parts


def _row(
    conn: psycopg.Connection[Any], query: Any, values: tuple[Any, ...] = ()
) -> tuple[Any, ...]:
    with conn.cursor(row_factory=tuple_row) as cursor:
        row: tuple[Any, ...] | None = cursor.execute(query, values).fetchone()
    assert row is not None
    return row
