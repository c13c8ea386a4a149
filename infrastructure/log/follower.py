"""A store that follows another: how far it has come, what it still lacks, and what bars it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import psycopg
from psycopg import sql
from psycopg.rows import tuple_row

from infrastructure.log.copying import Copied, End, Positions, one

FEEDERS_LOCK = "hashtextextended('nexus feed ' || %s, 0)"
"""One at a time brings rows by position: the mover, or a switch that wants the rest at once."""
COPIERS_LOCK = "hashtextextended('nexus backfill ' || %s, 0)"
"""Shared by whoever brings a range; a new backfill waits until those of one before it are gone."""


class NotFollowing(Exception):
    """The store is not one that is fed: a switch has opened it, or none has prepared it."""

    def __init__(self, end: End, writes: str) -> None:
        super().__init__(f"store {end.store.schema} is not fed: it is {writes}")


class Overtaken(Exception):
    """A writer of both stores has brought the next positions itself meanwhile."""


class Reached(NamedTuple):
    """How far a follower has come."""

    position: int
    base: int
    """Rows up to here come from a backfill that is not done; 0 when none is under way."""


class Follower:
    """One end as the store that is fed."""

    def __init__(self, end: End) -> None:
        self.end = end
        self._conn: psycopg.Connection[Any] = end.conn

    def reached(self) -> Reached:
        """Where it stands."""
        if not self.end.layout.chunked:
            return Reached(self.end.last_position(), 0)
        head = self.end.table("log_head")
        return Reached(*one(self._conn, sql.SQL("SELECT position, base FROM {}").format(head)))

    @contextmanager
    def feeding(self) -> Iterator[Reached]:
        """A transaction that brings what comes after the position it gives, alone in doing so.

        Raises NotFollowing.
        """
        with self._conn.transaction():
            lock = f"SELECT pg_advisory_xact_lock({FEEDERS_LOCK})"
            self._conn.execute(lock, (self.end.store.schema,))
            self.check_fed()
            yield self.reached()

    def check_fed(self) -> None:
        """Hold the store to being fed until the transaction ends; raises NotFollowing."""
        query = sql.SQL("SELECT writes FROM {} FOR SHARE").format(self.end.table("writer_epoch"))
        with self._conn.cursor(row_factory=tuple_row) as cursor:
            row = cursor.execute(query).fetchone()
        if row is None or row[0] != "fed":
            raise NotFollowing(self.end, "new" if row is None else row[0])

    def advance(self, positions: Positions) -> None:
        """Stand at the end of what was brought, and tell who follows this store.

        Raises Overtaken.
        """
        if self.end.layout.chunked:
            moved = self._conn.execute(
                sql.SQL("UPDATE {} SET position = {} WHERE position = {}").format(
                    self.end.table("log_head"), positions.last, positions.first - 1
                )
            )
            if moved.rowcount != 1:
                raise Overtaken
        channel = self.end.store.schema
        self._conn.execute("SELECT pg_notify(%s, %s)", (channel, str(positions.last)))

    def be_impatient(self) -> None:
        """Give up rather than wait long: a writer waits for what is done here."""
        self._conn.execute("SET lock_timeout TO '2s'")
        self._conn.execute("SET statement_timeout TO '5s'")

    # What a backfill brings

    def begin(self, position: int) -> bool:
        """Be fed from a position on, what stands before it being left to a backfill.

        False when it has begun already.
        """
        moved = self._conn.execute(
            sql.SQL(
                "UPDATE {} SET position = {}, base = {} WHERE position = 0 AND base = 0"
            ).format(self.end.table("log_head"), position, position)
        )
        return moved.rowcount == 1

    @contextmanager
    def bringing(self, positions: Positions) -> Iterator[None]:
        """A transaction that brings a range; raises NotFollowing."""
        with self._conn.transaction():
            lock = f"SELECT pg_advisory_xact_lock_shared({COPIERS_LOCK})"
            self._conn.execute(lock, (self.end.store.schema,))
            self.check_fed()
            base = self.reached().base
            assert positions.last <= base, f"{positions} is no part of a backfill up to {base}"
            yield

    def note(self, positions: Positions, copied: Copied) -> None:
        """Enter a range in the ledger, in the transaction that brings it."""
        self._conn.execute(
            sql.SQL("INSERT INTO {} (first, last, rows, keys) VALUES (%s, %s, %s, %s)").format(
                self.end.table("copied_ranges")
            ),
            (*positions, *copied),
        )

    def wait_for_others(self) -> None:
        """Wait until no range of a backfill that was killed is still being committed."""
        for work in ("lock", "unlock"):
            self._conn.execute(
                f"SELECT pg_advisory_{work}({COPIERS_LOCK})", (self.end.store.schema,)
            )

    def missing(self, size: int) -> list[Positions]:
        """The ranges that a backfill has still to bring, each of a size at most, oldest first."""
        base = self.reached().base
        query = sql.SQL("SELECT first, last FROM {} ORDER BY first").format(
            self.end.table("copied_ranges")
        )
        with self._conn.cursor(row_factory=tuple_row) as cursor:
            there = [Positions(*row) for row in cursor.execute(query).fetchall()]
        found: list[Positions] = []
        after = 0
        for known in (*there, Positions(base + 1, base + 1)):
            found += _cut(after + 1, min(known.first - 1, base), size)
            after = max(after, known.last)
        return found

    def brought(self) -> Copied:
        """How many rows and keys the ledger counts."""
        query = sql.SQL("SELECT COALESCE(sum(rows), 0), COALESCE(sum(keys), 0) FROM {}").format(
            self.end.table("copied_ranges")
        )
        rows, keys = one(self._conn, query)
        return Copied(int(rows), int(keys))

    def complete(self) -> None:
        """Be whole: nothing before the position is missing."""
        assert not self.missing(1_000_000), "a store is whole when nothing is missing"
        self._conn.execute(sql.SQL("UPDATE {} SET base = 0").format(self.end.table("log_head")))


def _cut(first: int, last: int, size: int) -> Iterator[Positions]:
    """A range in pieces that begin at multiples of the size, so that each has the same bounds
    whenever it is cut.
    """
    while first <= last:
        end = min(last, -(-first // size) * size)
        yield Positions(first, end)
        first = end + 1
