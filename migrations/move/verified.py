"""What is remembered of comparing two stores: how far, when whole, and what was unequal.

Both stores keep it, and what only one of them says does not count: a target that was made anew has
been compared with nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

import psycopg
from psycopg import sql

from infrastructure.log.stores import StoreAddress
from migrations.move.differences import Difference

Connection = psycopg.Connection[Any]

KEPT = 1000
"""How many differences are remembered by name."""


class Verified(NamedTuple):
    """How far two stores were compared, and how it went."""

    up_to: int
    """Every position up to it was found equal."""
    whole_at: datetime | None
    """When all was compared, views and samples too, and was equal."""
    differences: int


NOTHING = Verified(0, None, 0)


def verified(
    ours: Connection, truth: StoreAddress, theirs: Connection, follower: StoreAddress
) -> Verified:
    """What both stores remember."""
    one, other = _kept(ours, truth.schema), _kept(theirs, follower.schema)
    whole = None if None in (one.whole_at, other.whole_at) else one.whole_at
    return Verified(min(one.up_to, other.up_to), whole, max(one.differences, other.differences))


def remember(conn: Connection, store: StoreAddress, found: Verified) -> None:
    """Keep in a store how far it was compared."""
    conn.execute(
        sql.SQL(
            "INSERT INTO {}.store_verification AS v (up_to, whole_at, differences)"
            " VALUES (%(up_to)s, %(whole_at)s, %(differences)s) ON CONFLICT (one) DO UPDATE"
            " SET up_to = excluded.up_to, whole_at = excluded.whole_at,"
            " differences = excluded.differences, saved_at = clock_timestamp()"
        ).format(sql.Identifier(store.schema)),
        found._asdict(),
    )


def remember_differences(
    conn: Connection, store: StoreAddress, differences: Sequence[Difference]
) -> None:
    """Keep in a store what the last run found, in place of what an earlier one had found."""
    name = sql.Identifier(store.schema)
    with conn.transaction():
        conn.execute(sql.SQL("DELETE FROM {}.store_differences").format(name))
        with conn.cursor() as cursor:
            cursor.executemany(
                sql.SQL(
                    "INSERT INTO {}.store_differences (place, key, column_name, truth, follower)"
                    " VALUES (%s, %s, %s, %s, %s)"
                ).format(name),
                differences[:KEPT],
            )


def differences_in(conn: Connection, store: StoreAddress) -> list[Difference]:
    """What the last run found unequal."""
    rows = conn.execute(
        sql.SQL(
            "SELECT place, key, column_name, truth, follower FROM {}.store_differences"
            " ORDER BY place, key, column_name"
        ).format(sql.Identifier(store.schema))
    ).fetchall()
    return [Difference._make(row) for row in rows]


def _kept(conn: Connection, schema: str) -> Verified:
    row = conn.execute(
        sql.SQL("SELECT up_to, whole_at, differences FROM {}.store_verification").format(
            sql.Identifier(schema)
        )
    ).fetchone()
    return NOTHING if row is None else Verified._make(row)
