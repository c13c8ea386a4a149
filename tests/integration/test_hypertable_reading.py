"""What a read of the log looks into, where its events stand in parts by time."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import psycopg
import pytest
from psycopg import sql

from infrastructure.log.layouts import Layout
from infrastructure.log.statements import INDEXES_ALONE, EventTable, Query, Subqueries, Wanted
from infrastructure.log.timescale import compress_old
from infrastructure.log.upkeep import make_parts
from migrations.runner import migrate
from tests.conftest import dsn_of

DAY = timedelta(days=1)
BEGIN = datetime(2025, 11, 3, tzinfo=UTC)
DAYS, A_DAY = 12, 288
LAST = DAYS * A_DAY
COMPRESSED_DAYS = 8
"""Of these the chunks are compressed: two, of a week and of a day."""

_FILL = """
INSERT INTO stored_events (originator_id, originator_version, topic, state, notification_id,
                           recorded_at, account_id, correlation_id, actor)
SELECT md5(format('%%s %%s', i / 100, i %% 4))::uuid, (i %% 100) / 4 + 1, 'order.accepted.v1', 'x',
       i, %s::timestamptz + (i - 1) * interval '5 minutes', md5((i %% 7)::text)::uuid,
       md5((i / 4)::text)::uuid, ''
  FROM generate_series(1, %s) i ORDER BY i
"""
_HEADS = """
INSERT INTO stream_heads
SELECT originator_id, max(originator_version), min(recorded_at), max(recorded_at)
  FROM stored_events GROUP BY originator_id
"""
_MARKS = """
INSERT INTO log_marks SELECT notification_id, recorded_at FROM stored_events
 WHERE notification_id % 256 = 0
"""


class Store(NamedTuple):
    """A store with twelve days of events, read as every reader here reads."""

    conn: psycopg.Connection[Any]
    table: EventTable

    def parts_read(self, query: Query) -> set[str]:
        """The partitions or chunks that a statement really looks into, by the first day of each."""
        row = self.conn.execute(
            f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {query.text}", query.values
        ).fetchone()
        assert row is not None
        return {self._first_day(name) for name in set(scanned(row[0][0]["Plan"]))} - {""}

    def _first_day(self, relation: str) -> str:
        if relation.startswith("stored_events_p"):
            return relation.removeprefix("stored_events_p")
        if self.table.layout is Layout.NATIVE:
            return ""
        row = self.conn.execute(
            "SELECT to_char(range_start AT TIME ZONE 'UTC', 'YYYYMMDD')"
            " FROM timescaledb_information.chunks"
            " WHERE chunk_name = %s OR chunk_name = (SELECT c.relname FROM"
            " _timescaledb_catalog.compression_settings s JOIN pg_class c ON c.oid = s.relid"
            " WHERE s.compress_relid::text LIKE '%%' || %s)",
            (relation, relation),
        ).fetchone()
        return str(row[0]) if row else ""

    def rows(self, query: Query) -> list[tuple[Any, ...]]:
        """What a statement answers."""
        return self.conn.execute(query.text, query.values).fetchall()


def scanned(plan: dict[str, Any]) -> Iterator[str]:
    """The tables under a plan that were looked into; what was passed over has no loops."""
    if plan.get("Actual Loops", 0) and "Relation Name" in plan:
        yield plan["Relation Name"]
    for child in plan.get("Plans", ()):
        yield from scanned(child)


@pytest.fixture(
    scope="module",
    params=[Layout.NATIVE, pytest.param(Layout.TIMESCALE, marks=pytest.mark.timescale)],
    ids=str,
)
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    """The store, of each layout; of TimescaleDB with old days compressed."""
    layout: Layout = request.param
    dsn = dsn_of(request, layout)
    name = f"reading_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(dsn, autocommit=True) as conn:
        migrate(conn, name, layout=layout)
        conn.execute(sql.SQL("SET search_path TO {}, public").format(sql.Identifier(name)))
        try:
            if layout is Layout.NATIVE:
                make_parts(conn, name, layout, BEGIN, BEGIN + (DAYS - 1) * DAY)
            conn.execute(_FILL, (BEGIN, LAST))
            conn.execute(_HEADS)
            conn.execute(_MARKS)
            if layout is Layout.TIMESCALE:
                compress_old(conn, name, BEGIN + COMPRESSED_DAYS * DAY)
            conn.execute("ANALYZE stored_events")
            for setting in INDEXES_ALONE:
                conn.execute(sql.SQL("SET {} TO off").format(sql.Identifier(setting)))
            yield Store(conn, EventTable(name, layout))
        finally:
            conn.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(name)))


def positions_of_day(day: int) -> int:
    """The first position of a day, counted from 0."""
    return day * A_DAY + 1


def of_days(store: Store, days: Sequence[int]) -> set[str]:
    """The parts that these days stand in."""
    chunked = store.table.layout is Layout.TIMESCALE
    begins = {0 if chunked and day < 7 else day for day in days}
    return {f"{BEGIN + begin * DAY:%Y%m%d}" for begin in begins}


def around(store: Store, day: int) -> set[str]:
    """The parts of a day and of those beside it: a mark of time is at most 256 positions away."""
    return of_days(store, [day - 1, day, day + 1])


OLD, LATE = 2, 10
"""A day that is compressed, where days are, and one that is not."""


@pytest.mark.parametrize("day", [OLD, LATE])
def test_aggregate_is_loaded_from_the_days_it_lived_in(store: Store, day: int) -> None:
    """Its head says between which times to look: no other day is opened."""
    position = positions_of_day(day) + 100 - positions_of_day(day) % 100
    row = store.conn.execute(
        "SELECT originator_id FROM stored_events WHERE notification_id = %s", (position,)
    ).fetchone()
    assert row is not None
    originator: UUID = row[0]
    query = store.table.select(Wanted(originator=originator))

    assert list(range(position, position + 100, 4)) == [row[0] for row in store.rows(query)]
    assert of_days(store, [day]) == store.parts_read(query)


@pytest.mark.parametrize("day", [OLD, LATE])
def test_first_events_are_found_on_their_day(store: Store, day: int) -> None:
    """Whose first events are asked for says when they were."""
    position = positions_of_day(day) + 100 - positions_of_day(day) % 100
    row = store.conn.execute(
        "SELECT originator_id FROM stored_events WHERE notification_id = %s", (position,)
    ).fetchone()
    assert row is not None
    query = store.table.firsts([row[0]])

    assert [position] == [row[0] for row in store.rows(query)]
    assert of_days(store, [day]) == store.parts_read(query)


@pytest.mark.parametrize("day", [OLD, LATE])
def test_page_from_a_position_opens_the_days_it_is_of(store: Store, day: int) -> None:
    """A follower that comes back after days goes on at its place: nothing before it is opened, and
    nothing after the page.
    """
    position = positions_of_day(day) + 30
    query = store.table.select(Wanted(after=position, limit=50))

    assert list(range(position + 1, position + 51)) == [row[0] for row in store.rows(query)]
    assert of_days(store, [day]) <= store.parts_read(query) <= around(store, day)


@pytest.mark.parametrize("day", [OLD, LATE])
def test_range_of_positions_opens_the_days_it_is_of(store: Store, day: int) -> None:
    """Marks of time around it pass the others over; one lies at most 256 positions away."""
    first = positions_of_day(day)
    query = store.table.select(Wanted(after=first + 9, up_to=first + 20))

    assert list(range(first + 10, first + 21)) == [row[0] for row in store.rows(query)]
    assert of_days(store, [day]) <= store.parts_read(query) <= around(store, day)


@pytest.mark.parametrize("day", [OLD, LATE])
def test_single_positions_open_the_days_between_them(store: Store, day: int) -> None:
    """As with a range, from the first of them to the last."""
    first = positions_of_day(day)
    query = store.table.select(Wanted(positions=[first + 12, first + 10]))

    assert [first + 10, first + 12] == [row[0] for row in store.rows(query)]
    assert of_days(store, [day]) <= store.parts_read(query) <= around(store, day)


@pytest.mark.parametrize("day", [OLD, LATE])
def test_order_of_a_request_is_found_on_its_day(store: Store, day: int) -> None:
    """An old request key names a position, and the order is looked for close behind it."""
    position = positions_of_day(day) + 40
    row = store.conn.execute(
        "INSERT INTO request_keys SELECT account_id, 'ticket', 'f', notification_id"
        " FROM stored_events WHERE notification_id = %s RETURNING account_id",
        (position,),
    ).fetchone()
    assert row is not None
    (account,) = row
    values = {"account_id": account, "client_order_id": "ticket"}
    query = Query(Subqueries.order_of_request, values)
    made = store.table.select(Wanted(positions=[position]), "account_id, originator_id")

    assert store.rows(made) == store.rows(query)
    assert of_days(store, [day]) <= store.parts_read(query) <= around(store, day)


def test_last_position_opens_no_day(store: Store) -> None:
    """It stands in the head of the log."""
    assert set() == store.parts_read(store.table.last())


def test_follower_at_the_end_opens_the_last_days_alone(store: Store) -> None:
    """The newest events are read by everybody, all the time."""
    query = store.table.select(Wanted(after=LAST - 3, limit=1000))

    assert [LAST - 2, LAST - 1, LAST] == [row[0] for row in store.rows(query)]
    assert store.parts_read(query) <= of_days(store, [DAYS - 2, DAYS - 1])
