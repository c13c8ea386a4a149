"""The two stores that the benchmark of the move has: where they are, filled, copied, backfilled."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from bench.venue import server, warm_wal
from infrastructure.log.copying import open_end
from infrastructure.log.follower import Follower
from infrastructure.log.layouts import Layout
from infrastructure.log.measuring import (
    copy_plainly,
    recorded_between,
    say_alone,
    vacuum,
)
from infrastructure.log.stores import StoreAddress
from infrastructure.log.upkeep import refresh_summaries
from migrations.move.backfill import Backfill, Pacing
from migrations.move.feed import begin_following, opened_pair
from migrations.move.preparing import prepare

URL = "NEXUS_TIMESCALE_URL"
SOURCE = "bench_plain"
_RANGE = 100_000


class Place(NamedTuple):
    """A database for both stores, and the layout that its server can give the target."""

    dsn: str
    layout: Layout
    about: str


class Pair(NamedTuple):
    """A plain store and the one that it moves to."""

    source: StoreAddress
    target: StoreAddress
    layout: Layout


@contextmanager
def place() -> Iterator[Place]:
    """A database of its own on the server that NEXUS_TIMESCALE_URL names, or an embedded server
    without the extension; gone afterwards.
    """
    url = os.environ.get(URL)
    if not url:
        with server() as running:
            yield Place(
                running.dsn(), Layout.NATIVE, f"PostgreSQL's own partitions: {URL} is unset"
            )
        return
    name = f"bench_move_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    try:
        dsn = make_conninfo(url, dbname=name)
        with psycopg.connect(dsn, autocommit=True) as conn:
            conn.execute("CREATE EXTENSION IF NOT EXISTS timescaledb")
            row = conn.execute(
                "SELECT current_setting('server_version'), extversion FROM pg_extension"
                " WHERE extname = 'timescaledb'"
            ).fetchone()
        assert row is not None
        warm_wal(dsn)
        yield Place(dsn, Layout.TIMESCALE, f"TimescaleDB {row[1]} on PostgreSQL {row[0]}")
    finally:
        with psycopg.connect(url, autocommit=True) as conn:
            conn.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def new_pair(where: Place, target: str) -> Pair:
    """The source and a new target that follows it from now on; what came before is missing."""
    pair = Pair(StoreAddress(where.dsn, SOURCE), StoreAddress(where.dsn, target), where.layout)
    prepare(pair.source, pair.target, layout=where.layout)
    with opened_pair(pair.source, pair.target, "bench") as ends:
        begin_following(ends)
    return pair


def forget(pair: Pair) -> None:
    """Drop a target, and have the source be alone again."""
    with psycopg.connect(pair.source.dsn, autocommit=True) as conn:
        conn.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(pair.target.schema)))
        say_alone(conn, pair.source)


def missing_rows(pair: Pair) -> int:
    """How many rows the target lacks of those from before it followed."""
    end = open_end(pair.target, pair.layout, "bench")
    try:
        return sum(positions.size for positions in Follower(end).missing(_RANGE))
    finally:
        end.conn.close()


def copied(where: Place) -> dict[str, Any]:
    """Plain COPY of the events out of the source and into an empty table of its shape."""
    with (
        psycopg.connect(where.dsn, autocommit=True) as source,
        psycopg.connect(where.dsn, autocommit=True) as target,
    ):
        began = time.perf_counter()
        rows = copy_plainly(source, target, SOURCE)
        seconds = time.perf_counter() - began
    return {"rows": rows, "rows/s": round(rows / seconds)}


def backfilled(pair: Pair) -> dict[str, Any]:
    """A backfill with nothing beside it."""
    rows = missing_rows(pair)
    began = time.perf_counter()
    brought = Backfill(pair.source, pair.target, Pacing(), probe=lambda: None).run()
    seconds = time.perf_counter() - began
    assert brought.rows == rows, f"{brought.rows} rows were brought of {rows}"
    return {"rows": rows, "rows/s": round(rows / seconds)}


def summed_up(pair: Pair) -> None:
    """Sum up the days of the target that are over, and have the server look at its tables."""
    with psycopg.connect(pair.target.dsn, autocommit=True) as conn:
        first, last = recorded_between(conn, pair.target.schema)
        refresh_summaries(conn, pair.target.schema, pair.layout, first, last)
        vacuum(conn, pair.target.schema)
