"""The logs of two stores compared range by range, and ranges of the follower brought again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple, Self, TypeVar

import psycopg

from infrastructure.attentive import AttentiveConnectionNow
from infrastructure.log import checksums, derived_checks, recopying, undone_checks
from infrastructure.log.checksums import EventSum, Range, RowHash
from infrastructure.log.derived_checks import Mismatch
from infrastructure.log.layouts import Layout, layout_of
from infrastructure.log.statements import EventTable
from infrastructure.log.stores import StoreAddress
from migrations.move.differences import NAMED, Difference, Rows, differences_of, unequal_keys

Connection = psycopg.Connection[Any]
Answer = TypeVar("Answer")

RANGE_ROWS = 20_000
"""Positions that are summed up at once."""

_SETTINGS = {"TimeZone": "UTC", "jit": "off", "enable_seqscan": "off"}


class Side(NamedTuple):
    """One of the two stores, and the connection that it is asked over."""

    conn: Connection
    store: StoreAddress
    layout: Layout

    @property
    def schema(self) -> str:
        """Its schema."""
        return self.store.schema

    def last_position(self) -> int:
        """The position of its newest event."""
        query = EventTable(self.schema, self.layout).last()
        row = self.conn.execute(query.text.encode(), query.values).fetchone()
        assert row is not None
        return int(row[0])

    def backfilled(self) -> bool:
        """Whether it has every event from the first on."""
        if not self.layout.chunked:
            return True
        row = self.conn.execute(f"SELECT base FROM {_name(self.schema)}.log_head".encode())
        return row.fetchone() == (0,)


@contextmanager
def opened_side(store: StoreAddress) -> Iterator[Side]:
    """A store to compare, asked in autocommit."""
    with AttentiveConnectionNow.open(
        store.dsn, application_name=f"nexus verify {store.schema}"[:63]
    ) as conn:
        for name, value in _SETTINGS.items():
            conn.execute("SELECT set_config(%s, %s, false)", (name, value))
        layout = layout_of(conn, store.schema)
        if layout is None:
            raise psycopg.OperationalError(f"schema {store.schema} holds no store")
        yield Side(conn, store, layout)


class RangeComparison:
    """Compares and repairs ranges of two stores; both are asked at the same time."""

    def __init__(self, truth: Side, follower: Side) -> None:
        self.truth = truth
        self.follower = follower
        self._threads = ThreadPoolExecutor(2, "verify")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._threads.shutdown()

    def compare(self, wanted: Range) -> list[Difference]:
        """What differs in a range of positions, down to the column."""
        ours, theirs = self._sums(wanted)
        found: list[Difference] = []
        if ours.sum != theirs.sum:
            found += self._unequal_events(wanted)
        if not ours.fills(wanted):
            found.append(_broken("the truth", wanted, ours))
        if self._keys(wanted):
            found += self._unequal_keys(wanted)
        for side in (self.truth, self.follower):
            if side.layout.chunked:
                found += self._derived(side, wanted)
        return found

    def repair(self, wanted: Range) -> tuple[datetime, datetime]:
        """Bring a range of the follower again from the truth, which is not touched; the times
        between which its rows stood and stand.

        Raises TruthBroken where the truth's own range is not whole.
        """
        ours, theirs = self._sums(wanted)
        if not ours.fills(wanted):
            raise TruthBroken(str(_broken("the truth", wanted, ours)))
        times = [t for t in (ours.earliest, ours.latest, theirs.earliest, theirs.latest) if t]
        between = (min(times), max(times))
        conn, schema = self.follower.conn, self.follower.schema
        with conn.transaction():
            conn.execute("SET LOCAL nexus.feeding = 'on'")
            recopying.recopy_range(
                self.truth.conn, self.truth.schema, conn, schema, wanted, between
            )
            if self.follower.layout.chunked:
                recopying.remake_marks(conn, schema, wanted, between)
                undone_checks.remake_undone(conn, schema, wanted)
        if self.follower.layout.chunked:
            wrong = derived_checks.heads_of(conn, schema, wanted, wanted.positions)
            if wrong:
                recopying.remake_heads(conn, schema, [mismatch.key for mismatch in wrong])
        return between

    def _sums(self, wanted: Range) -> tuple[EventSum, EventSum]:
        return self._both(lambda side: checksums.event_sum(side.conn, side.schema, wanted))

    def _keys(self, wanted: Range) -> bool:
        """Whether the request keys of a range differ."""
        ours, theirs = self._both(lambda s: checksums.key_sum(s.conn, s.schema, wanted))
        return ours != theirs

    def _unequal_events(self, wanted: Range) -> list[Difference]:
        def row(key: str, side: Side) -> Rows:
            return checksums.event_row(side.conn, side.schema, int(key))

        return self._named(
            "stored_events", lambda s: checksums.event_hashes(s.conn, s.schema, wanted), row
        )

    def _unequal_keys(self, wanted: Range) -> list[Difference]:
        def row(key: str, side: Side) -> Rows:
            return checksums.key_row(side.conn, side.schema, wanted, key)

        return self._named(
            "request_keys", lambda s: checksums.key_hashes(s.conn, s.schema, wanted), row
        )

    def _named(
        self,
        table: str,
        hashes: Callable[[Side], list[RowHash]],
        row: Callable[[str, Side], Rows],
    ) -> list[Difference]:
        """Which rows of a table differ in a range, and in which columns."""
        keys = unequal_keys(*self._both(hashes))
        found: list[Difference] = []
        for key in keys[:NAMED]:
            found += differences_of(table, key, *self._both(partial(row, key)))
        if len(keys) > NAMED:
            found.append(Difference(table, f"{len(keys) - NAMED} more rows", "", None, None))
        return found

    def _derived(self, side: Side, wanted: Range) -> list[Difference]:
        heads = derived_checks.heads_of(side.conn, side.schema, wanted, NAMED)
        marks = derived_checks.marks_of(side.conn, side.schema, wanted, NAMED)
        undone = undone_checks.undone_in(side.conn, side.schema, wanted)[:NAMED]
        return [
            *(self.mismatch(side, "stream_heads", found) for found in heads),
            *(self.mismatch(side, "log_marks", found) for found in marks),
            *(self.mismatch(side, "undone_trades", found) for found in undone),
        ]

    def mismatch(self, side: Side, table: str, found: Mismatch) -> Difference:
        """A row that does not say what the events of its own store say, as a difference."""
        whose = "the truth" if side is self.truth else "the follower"
        return Difference(f"{table} of {whose}", found.key, "", found.told, found.kept)

    def _both(self, ask: Callable[[Side], Answer]) -> tuple[Answer, Answer]:
        other = self._threads.submit(ask, self.follower)
        ours = ask(self.truth)
        return ours, other.result()


class TruthBroken(Exception):
    """The truth itself is not whole where it should be copied from: nothing is repaired by it."""


def ranges(first: int, last: int, rows: int = RANGE_ROWS) -> Iterator[Range]:
    """The ranges that cover some positions, each beginning where ranges from 1 on do."""
    while first <= last:
        end = min(last, (first - 1) // rows * rows + rows)
        yield Range(first, end)
        first = end + 1


def _broken(whose: str, wanted: Range, found: EventSum) -> Difference:
    said = (
        f"{found.rows} rows, positions {found.first} to {found.last},"
        f" {found.misplaced} of them out of order"
    )
    key = f"{wanted.first}-{wanted.last}"
    return Difference(f"stored_events of {whose}", key, "", said, f"{wanted.positions} in order")


def _name(schema: str) -> str:
    return f'"{schema}"'
