"""What a moved store answers from its sums is what its rows say, however far these have come."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from typing import Any

import psycopg
import pytest
from psycopg import sql

from api.cli.report_asking import Days
from api.cli.report_log import add_up, traded
from application.log.ports import Batch
from domain.events import DomainEvent, OrderFilled
from domain.identifiers import datetime_of
from infrastructure.log.aggregates import EVENTS, KINDS, Added, Sums
from infrastructure.log.codec import typed_columns
from infrastructure.log.layouts import Layout
from infrastructure.log.partitions import midnight
from infrastructure.log.reader import LogReader
from infrastructure.log.timescale import Span, refresh
from infrastructure.log.upkeep import keep, refresh_summaries
from projections.daily_volume import list_daily_volume
from tests.conftest import CHUNKED, dsn_of
from tests.model.event_streams import EventStream
from tests.model.projecting import project
from tests.stores import Store, fill, leading_in, store_of

DAY = timedelta(days=1)
ALL = Days(date.min, date.max)


def five_days() -> EventStream:
    """Five days of a market; trades of the first are undone on others, and one day is empty."""
    stream = EventStream(seed=5).some_market(accounts=3, instruments=3)
    for number in range(5):
        stream.some_commands(120)
        stream.at += 86_400_000_000
        if number == 2:
            stream.at += 86_400_000_000
        if stream.trades:
            stream.correct(stream.trades[0], 1_030_000)
            stream.bust(stream.trades[0])
            stream.correct(stream.trades[-1], 990_000)
    return stream


@pytest.fixture(scope="module")
def stream() -> EventStream:
    """The events of the stores."""
    return five_days()


@pytest.fixture(scope="module", params=[Layout.PLAIN, *CHUNKED], ids=str)
def store(request: pytest.FixtureRequest, stream: EventStream) -> Iterator[Store]:
    """A store of each layout with the events in it, nothing summed up yet."""
    with store_of(dsn_of(request, request.param), request.param) as made:
        asyncio.run(fill(made, stream.events))
        yield made


def events_of(stream: EventStream) -> dict[tuple[Any, ...], int]:
    """The stream's events by day, instrument and topic."""
    counts: dict[tuple[Any, ...], int] = {}
    for event in stream.events:
        instrument = typed_columns(event).instrument_id
        key = (
            datetime_of(event.at).date(),
            instrument if instrument is not None and instrument.int else None,
            event.TOPIC,
        )
        counts[key] = counts.get(key, 0) + 1
    return counts


def kinds_of(stream: EventStream) -> dict[tuple[Any, ...], int]:
    """The stream's events by day and kind of aggregate."""
    counts: dict[tuple[Any, ...], int] = {}
    for event in stream.events:
        key = (datetime_of(event.at).date(), event.AGGREGATE)
        counts[key] = counts.get(key, 0) + 1
    return counts


def summed(store: Store, sums: Sums, days: Days = ALL, only: Any = None) -> dict[Any, int]:
    """What the store answers, of one amount."""
    with LogReader(store.dsn, store.schema) as log:
        found: Added = add_up(log, sums, days, only, show=False)
    return {key: amounts[0] for key, amounts in found.items()}


def sum_up(store: Store) -> None:
    """Have the days summed up that are over, as the store's upkeep and its policies do."""
    with psycopg.connect(store.dsn, autocommit=True) as conn:
        keep(conn, store.schema, store.layout)
        if store.layout is Layout.TIMESCALE:
            ((first, last),) = store.rows(
                "SELECT min(recorded_at), max(recorded_at) FROM stored_events"
            )
            refresh_summaries(conn, store.schema, store.layout, first, last)


def is_asked(store: Store, sums: Sums) -> bool:
    """Whether an answer comes from the sums: a lie in them is told."""
    if store.layout is Layout.TIMESCALE:
        return True  # Nobody may write there.
    with psycopg.connect(store.dsn) as conn:
        conn.execute(
            sql.SQL("UPDATE {} SET {} = 'a lie' WHERE {} = %s").format(
                sql.Identifier(store.schema, sums.table),
                *[sql.Identifier("kind" if sums is KINDS else "topic")] * 2,
            ),
            ("order" if sums is KINDS else OrderFilled.TOPIC,),
        )
        conn.commit()
        try:
            return any("a lie" in key for key in summed(store, sums))
        finally:
            conn.execute(
                sql.SQL("UPDATE {} SET {} = %s WHERE {} = 'a lie'").format(
                    sql.Identifier(store.schema, sums.table),
                    *[sql.Identifier("kind" if sums is KINDS else "topic")] * 2,
                ),
                ("order" if sums is KINDS else OrderFilled.TOPIC,),
            )


def test_events_are_counted_by_day_symbol_and_topic(store: Store, stream: EventStream) -> None:
    """Before anything is summed up, and after: the answers are those of the rows."""
    expected = events_of(stream)
    assert expected == summed(store, EVENTS)
    sum_up(store)
    assert expected == summed(store, EVENTS)
    if store.layout.chunked:
        assert is_asked(store, EVENTS)

    instrument = stream.instruments[0].id
    middle = sorted({key[0] for key in expected})[1:3]
    assert {k: n for k, n in expected.items() if k[1] == instrument and k[0] in middle} == summed(
        store, EVENTS, Days(middle[0], middle[-1]), instrument
    )


def test_events_are_counted_by_kind_of_aggregate(store: Store, stream: EventStream) -> None:
    """A topic begins with the kind of the aggregate whose event it is."""
    sum_up(store)
    assert kinds_of(stream) == summed(store, KINDS)
    if store.layout.chunked:
        assert is_asked(store, KINDS)


def test_trades_are_those_of_the_view_after_busts_and_corrections(
    store: Store, stream: EventStream
) -> None:
    """Each on the day it printed, also where that was summed up before it was undone."""
    sum_up(store)
    project(store)
    with LogReader(store.dsn, store.schema) as log:
        found = traded(log, ALL, None, show=False)
        assert log.undone(0, *ALL)

    view = asyncio.run(volumes(store))
    assert view == {key: amounts[:2] for key, amounts in found.items() if any(amounts[:2])}
    assert {key: cents_of(stream, *key) for key in found} == {
        key: amounts[2] for key, amounts in found.items()
    }


async def volumes(store: Store) -> dict[tuple[date, Any], tuple[int, int]]:
    """Trades and quantity by day and instrument, as the view of the daily volume has them."""
    async with await psycopg.AsyncConnection.connect(
        store.dsn, options=f"-c search_path={store.schema}"
    ) as conn:
        rows = await list_daily_volume(conn)
    return {
        (date(row.day // 10_000, row.day // 100 % 100, row.day % 100), row.instrument_id): (
            row.trades,
            row.volume,
        )
        for row in rows
        if row.trades
    }


def cents_of(stream: EventStream, day: date, instrument_id: Any) -> int:
    """What the day's trades are worth that stand, each rounded to cents."""
    worth = {}
    for event in stream.events:
        if getattr(event, "side", None) != 1 or getattr(event, "trade_id", None) is None:
            continue
        name = type(event).__name__
        if (
            name == "OrderFilled"
            and ((datetime_of(event.at).date(), event.instrument_id) == (day, instrument_id))
        ) or (name == "OrderFillCorrected" and event.trade_id in worth):
            worth[event.trade_id] = event.notional
        elif name == "OrderFillBusted":
            worth.pop(event.trade_id, None)
    return sum(worth.values())


def test_sums_that_lack_events_are_not_believed(store: Store, stream: EventStream) -> None:
    """A day whose sum was made before all of its events had come is counted in the log."""
    if store.layout in (Layout.PLAIN, Layout.TIMESCALE):
        pytest.skip("no sums here that could be changed")
    sum_up(store)
    store.rows("UPDATE topic_days SET events = events - 1 WHERE topic = %s", OrderFilled.TOPIC)
    store.rows("DELETE FROM topic_days WHERE day = (SELECT min(day) FROM topic_days)")

    assert events_of(stream) == summed(store, EVENTS)

    store.rows("DELETE FROM kind_days WHERE day = (SELECT max(day) FROM kind_days)")
    with psycopg.connect(store.dsn, autocommit=True) as conn:
        assert keep(conn, store.schema, store.layout).days
    assert events_of(stream) == summed(store, EVENTS)


def test_sum_of_a_part_of_a_day_is_made_anew(store: Store, stream: EventStream) -> None:
    """It is whole by itself, and ends before the next day begins: the rest is counted till then."""
    if store.layout in (Layout.PLAIN, Layout.TIMESCALE):
        pytest.skip("no sums here that could be changed")
    sum_up(store)
    store.rows("DELETE FROM kind_days WHERE day = (SELECT min(day) FROM kind_days)")
    store.rows(
        "INSERT INTO kind_days SELECT date_trunc('day', min(recorded_at), 'UTC'),"
        " split_part(topic, '.', 1), count(*), min(notification_id), max(notification_id)"
        " FROM stored_events WHERE notification_id <= 10 GROUP BY 2"
    )

    assert kinds_of(stream) == summed(store, KINDS)
    with psycopg.connect(store.dsn, autocommit=True) as conn:
        assert 1 == keep(conn, store.schema, store.layout).days
    assert kinds_of(stream) == summed(store, KINDS)


def test_day_that_was_repaired_is_summed_up_again(store: Store, stream: EventStream) -> None:
    """As many events as before, and one of them is another: only who repaired it knows."""
    sum_up(store)
    ((right, at),) = store.rows(
        "SELECT topic, recorded_at FROM stored_events WHERE notification_id = 20"
    )
    for topic in ("order.triggered.v1", right):
        store.rows("UPDATE stored_events SET topic = %s WHERE notification_id = 20", topic)
        with psycopg.connect(store.dsn, autocommit=True) as conn:
            refresh_summaries(conn, store.schema, store.layout, at, at)
        with LogReader(store.dsn, store.schema) as log:
            row = store.rows("SELECT count(*) FROM stored_events WHERE topic = %s", topic)
            found = add_up(log, EVENTS, ALL, None, show=False)
        assert row == [(sum(n for key, (n,) in found.items() if key[2] == topic),)]
    assert events_of(stream) == summed(store, EVENTS)


@pytest.mark.timescale
def test_day_that_was_summed_up_while_it_went_on_is_counted(
    timescale: str, stream: EventStream
) -> None:
    """A refresh in the middle of a day hides what comes after it from whoever asks the sums alone;
    nobody here does.
    """
    half = len(stream.events) * 9 // 10
    with store_of(timescale, Layout.TIMESCALE) as store:
        asyncio.run(fill(store, stream.events[:half]))
        ((first, last),) = store.rows(
            "SELECT min(recorded_at), max(recorded_at) FROM stored_events"
        )
        with psycopg.connect(timescale, autocommit=True) as conn:
            refresh(conn, store.schema, Span(midnight(first), midnight(last) + DAY))
        asyncio.run(grow(store, stream.events[half:], half + 1))

        ((said,),) = store.rows("SELECT sum(events)::int FROM topic_days")
        assert said < len(stream.events), "the sums are not behind: nothing is shown"
        assert events_of(stream) == summed(store, EVENTS)


async def grow(store: Store, events: Sequence[DomainEvent], first: int) -> None:
    """Append more events to a store."""
    async with leading_in(store) as log:
        await log.append(Batch(first, events, []))
