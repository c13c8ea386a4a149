"""Any keyed table summed up for comparison with another store's: whole, by bucket, by row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg import sql

BUCKETS = 1024
"""Into how many a table is cut by the hash of its keys, to find where two differ."""


class TableSums:
    """The questions that compare one table; columns in an order that both stores share."""

    def __init__(
        self, schema: str, relation: str, columns: Sequence[str], key: Sequence[str]
    ) -> None:
        self._from = sql.SQL(" FROM {} AS t").format(sql.Identifier(schema, relation))
        self._row = _names(columns)
        self._hash = sql.SQL("hash_record_extended(ROW({}), 0)").format(self._row)
        self._key = sql.SQL("concat_ws(' ', {})").format(_names(key))
        self._bucket = sql.SQL("hash_record_extended(ROW({}), 0) & {}").format(
            _names(key), sql.Literal(BUCKETS - 1)
        )

    def whole(self) -> sql.Composed:
        """One row: how many rows, and the sum of their hashes."""
        return sql.SQL("SELECT count(*), COALESCE(sum({}::numeric), 0){}").format(
            self._hash, self._from
        )

    def buckets(self) -> sql.Composed:
        """A row a bucket that has any: its number, how many rows, and the sum of their hashes."""
        return sql.SQL("SELECT {}, count(*), sum({}::numeric){} GROUP BY 1").format(
            self._bucket, self._hash, self._from
        )

    def hashes(self) -> sql.Composed:
        """Of the rows of some `buckets`: each one's key as text, and its hash."""
        return sql.SQL("SELECT {}, {}{} WHERE {} = ANY(%(buckets)s)").format(
            self._key, self._hash, self._from, self._bucket
        )

    def row(self) -> sql.Composed:
        """The rows under a `key` within a `bucket`, column by column."""
        return sql.SQL(
            "SELECT row_to_json(r) FROM (SELECT {}{} WHERE {} = ANY(%(buckets)s)"
            " AND {} = %(key)s) AS r"
        ).format(self._row, self._from, self._bucket, self._key)


def table_sums(conn: psycopg.Connection[Any], schema: str, table: str) -> TableSums:
    """The questions to a table whose columns and key the database knows."""
    columns = conn.execute(
        "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0"
        " AND NOT attisdropped ORDER BY attname",
        (sql.Identifier(schema, table).as_string(None),),
    ).fetchall()
    key = conn.execute(
        "SELECT a.attname FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid"
        " AND a.attnum = ANY(i.indkey) WHERE i.indrelid = %s::regclass AND i.indisprimary"
        " ORDER BY 1",
        (sql.Identifier(schema, table).as_string(None),),
    ).fetchall()
    return TableSums(schema, table, [row[0] for row in columns], [row[0] for row in key])


def _names(names: Sequence[str]) -> sql.Composed:
    return sql.SQL(", ").join(sql.SQL("t.{}").format(sql.Identifier(name)) for name in names)
