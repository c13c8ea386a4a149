"""Brings what stands beside the log into the follower, however it has changed.

Again and again while a move is under way, and once more when a switch holds the truth still.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from psycopg import sql
from psycopg.rows import tuple_row

from infrastructure.log.copying import End, one
from infrastructure.log.follower import Follower
from infrastructure.log.piping import pipe
from infrastructure.log.stores import StoreAddress
from infrastructure.log.tables import BESIDE, FIX_MESSAGES, FIX_SESSIONS, BesideTable
from migrations.move.feed import Pair, opened_pair

BESIDE_LOCK = "hashtextextended('nexus beside ' || %s, 0)"
"""One at a time brings what stands beside the log: the mover, or a switch."""
GROUPS_AT_ONCE = 500
_WHOLE = sql.SQL("true")
_NUMBERS_OF_A_GROUP = 10_000

Group = tuple[Any, ...]


class Changed(NamedTuple):
    """What a pass has brought of a table."""

    table: str
    groups: int
    deleted: int
    inserted: int


def sync_beside(
    truth: StoreAddress, follower: StoreAddress, *, final: bool = False
) -> list[Changed]:
    """Bring the follower's tables beside the log in step with the truth's; what was changed.

    With `final` the truth is held: of FIX messages only those are looked at that can have changed
    since the pass before, and snapshots, which anybody can make again, are left.
    """
    with opened_pair(truth, follower, "nexus beside") as pair:
        return Beside(pair).sync(final=final)


class Beside:
    """The tables beside the log of a pair of stores."""

    def __init__(self, pair: Pair) -> None:
        self._pair = pair
        self._follower = Follower(pair.follower)

    def sync(self, *, final: bool = False) -> list[Changed]:
        """One pass; raises NotFollowing and psycopg.Error, with what was passed by then in step."""
        changed: list[Changed] = []
        for table in BESIDE:
            if table is FIX_MESSAGES or (final and not table.held):
                continue
            together = (FIX_SESSIONS, FIX_MESSAGES) if table is FIX_SESSIONS else (table,)
            changed += self._sync(together, final)
        return changed

    def _sync(self, tables: Sequence[BesideTable], final: bool) -> list[Changed]:
        """Bring tables as they stand together at one moment."""
        # Without a lock, which a switch would have to wait for: this may read much.
        seen = {} if final else {table: self._differing(table, _WHOLE) for table in tables}
        if not final and not any(seen.values()):
            return [Changed(table.name, 0, 0, 0) for table in tables]
        truth = self._pair.truth
        with self._alone(), truth.conn.transaction():
            # What is brought is never older than what another has brought before: it is looked at
            # only now.
            truth.conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            # Before the sessions are brought: they say what the messages may lack.
            doubtful = self._doubtful_messages() if FIX_MESSAGES in tables else _WHOLE
            changed = []
            for table in tables:
                groups = seen.get(table, [])
                if table is FIX_MESSAGES:
                    groups = [*{*groups, *self._differing(table, doubtful)}]
                elif not table.groups or final:
                    groups = self._differing(table, _WHOLE)
                changed.append(self._bring(table, groups))
                if table.identity:
                    self._number_on(table)
        return changed

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """A transaction of the one who changes these tables of the follower."""
        conn = self._pair.follower.conn
        with conn.transaction():
            lock = f"SELECT pg_advisory_xact_lock({BESIDE_LOCK})"
            conn.execute(lock, (self._pair.follower.store.schema,))
            self._follower.check_fed()
            conn.execute("SET LOCAL nexus.feeding = 'on'")
            # Of a table that was just filled nothing is known: row by row it would take for ever.
            conn.execute("SET LOCAL enable_nestloop TO off")
            yield

    def _differing(self, table: BesideTable, where: sql.Composable) -> list[Group]:
        """The groups of a table that are not the same on both sides."""
        theirs, ours = (_groups(end, table, where) for end in self._pair)
        return [key for key in theirs.keys() | ours.keys() if theirs.get(key) != ours.get(key)]

    def _bring(self, table: BesideTable, differing: Sequence[Group]) -> Changed:
        deleted = inserted = 0
        for start in range(0, len(differing), GROUPS_AT_ONCE):
            groups = differing[start : start + GROUPS_AT_ONCE]
            gone, come = self._bring_groups(table, groups)
            deleted += gone
            inserted += come
        return Changed(table.name, len(differing), deleted, inserted)

    def _bring_groups(self, table: BesideTable, groups: Sequence[Group]) -> tuple[int, int]:
        truth, follower = self._pair
        where = _in_groups(table, groups)
        incoming = sql.Identifier(f"incoming_{table.name}")
        names = {
            "table": follower.table(table.name),
            "incoming": incoming,
            "columns": _names(table.columns),
            "where": where,
            "same_key": sql.SQL(" AND ").join(
                sql.SQL("i.{0} = t.{0}").format(sql.Identifier(name)) for name in table.key
            ),
            "theirs": _row("i", table.columns),
            "ours": _row("t", table.columns),
        }
        follower.conn.execute(
            sql.SQL(
                "CREATE TEMPORARY TABLE IF NOT EXISTS {incoming} (LIKE {table})"
                " ON COMMIT DELETE ROWS"
            ).format(**names)
        )
        follower.conn.execute(sql.SQL("DELETE FROM {incoming}").format(**names))
        query = sql.SQL("SELECT {} FROM {} WHERE {}").format(
            names["columns"], truth.table(table.name), where
        )
        into = sql.SQL("{incoming} ({columns})").format(**names)
        pipe(truth.conn, query, follower.conn, into)
        gone = follower.conn.execute(sql.SQL(_DELETE).format(**names)).rowcount
        come = follower.conn.execute(sql.SQL(_INSERT).format(**names)).rowcount
        return gone, come

    def _doubtful_messages(self) -> sql.Composable:
        """Which FIX messages may have changed since the sessions were brought last.

        Every message is stored with its session's row, and what is stored later has a later number;
        only what was sent before a reset comes and goes by itself, and that is little.
        """
        theirs, ours = (_sessions(end) for end in self._pair)
        ids = list(theirs.keys() | ours.keys())
        doubtful: list[sql.Composable] = [
            sql.SQL("session_id = ANY({}::int[]) AND life < 0").format(ids)
        ]
        whole = [number for number in ours if number not in theirs]
        for number, session in theirs.items():
            before = ours.get(number)
            if session == before:
                continue
            if before is None or before.life != session.life:
                whole.append(number)
                continue
            first = (before.next_out // _NUMBERS_OF_A_GROUP - 1) * _NUMBERS_OF_A_GROUP
            doubtful.append(
                sql.SQL("session_id = {} AND life = {} AND seq_num >= {}").format(
                    number, session.life, first
                )
            )
        doubtful.append(sql.SQL("session_id = ANY({}::int[])").format(whole))
        return sql.SQL("({})").format(sql.SQL(" OR ").join(doubtful))

    def _number_on(self, table: BesideTable) -> None:
        """Let the follower number on where the truth does."""
        truth, follower = (
            one(
                end.conn,
                sql.SQL(_NUMBERED).format(
                    column=sql.Identifier(table.identity),
                    table=end.table(table.name),
                    named=end.table(table.name).as_string(end.conn),
                    identity=table.identity,
                ),
            )
            for end in self._pair
        )
        if (highest := max(truth)) > follower[1]:
            end = self._pair.follower
            end.conn.execute(
                "SELECT setval(pg_get_serial_sequence(%s, %s)::regclass, %s)",
                (end.table(table.name).as_string(end.conn), table.identity, highest),
            )


_DELETE = """
DELETE FROM {table} t WHERE {where} AND NOT EXISTS (
    SELECT FROM {incoming} i WHERE {same_key} AND {theirs} IS NOT DISTINCT FROM {ours})
"""
_INSERT = """
INSERT INTO {table} AS t ({columns}) OVERRIDING SYSTEM VALUE
SELECT {columns} FROM {incoming} i
WHERE NOT EXISTS (SELECT FROM {table} t WHERE {same_key})
"""
# The highest number in use, and the last that the server gave.
_NUMBERED = """
SELECT COALESCE(max({column}), 0)::bigint,
       COALESCE(pg_sequence_last_value(pg_get_serial_sequence({named}, {identity})), 0)
FROM {table}
"""


class _Session(NamedTuple):
    life: int
    next_out: int
    checksum: int


def _sessions(end: End) -> dict[int, _Session]:
    query = sql.SQL("SELECT id, life, next_out, hash_record_extended({}, 0) FROM {} t").format(
        _row("t", FIX_SESSIONS.columns), end.table(FIX_SESSIONS.name)
    )
    with end.conn.cursor(row_factory=tuple_row) as cursor:
        return {row[0]: _Session(*row[1:]) for row in cursor.execute(query)}


def _groups(end: End, table: BesideTable, where: sql.Composable) -> Mapping[Group, Group]:
    """Every group of a table: how many rows it has, and the sum of what stands in them."""
    groups = _expressions(table)
    compared = sql.SQL("ROW({})").format(
        sql.SQL(table.compared) if table.compared else _names(table.columns)
    )
    query = sql.SQL(
        "SELECT {groups} count(*), sum(hash_record_extended({compared}, 0)::numeric)"
        " FROM {table} WHERE {where} GROUP BY ({groups_again})"
    ).format(
        groups=sql.SQL("").join(sql.SQL("{}, ").format(group) for group in groups),
        compared=compared,
        table=end.table(table.name),
        where=where,
        groups_again=sql.SQL(", ").join(groups),
    )
    with end.conn.cursor(row_factory=tuple_row) as cursor:
        rows = cursor.execute(query).fetchall()
    return {row[: len(groups)]: row[len(groups) :] for row in rows}


def _in_groups(table: BesideTable, groups: Sequence[Group]) -> sql.Composable:
    if not table.groups:
        return _WHOLE
    values = sql.SQL(", ").join(
        sql.SQL("({})").format(sql.SQL(", ").join(map(sql.Literal, group))) for group in groups
    )
    # By its first column a part of the index is read, and not the whole of it.
    return sql.SQL("{} IN ({}) AND ({}) IN ({})").format(
        sql.Identifier(table.key[0]),
        sql.SQL(", ").join(map(sql.Literal, sorted({group[0] for group in groups}))),
        sql.SQL(", ").join(_expressions(table)),
        values,
    )


def _expressions(table: BesideTable) -> list[sql.Composable]:
    return [sql.SQL(group) for group in table.groups]


def _names(columns: Sequence[str]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, columns))


def _row(alias: str, columns: Sequence[str]) -> sql.Composed:
    return sql.SQL("ROW({})").format(
        sql.SQL(", ").join(sql.Identifier(alias, name) for name in columns)
    )
