"""The source of events: in order, without gaps, woken by notice, patient with the server."""

import asyncio
import time
from uuid import uuid4

import psycopg
import pytest

from application.log.ports import UnreadableEvent
from application.log.whole_commands import follow as follow_log
from domain.events import OrderAccepted, OrderCanceled, OrderEvent, OrderFilled
from domain.upcasts import OrderCanceledV1
from infrastructure.database import EmbeddedServer
from infrastructure.log.codec import encode_event
from infrastructure.log.source import PostgresEventSource
from migrations.runner import migrate
from projections.orders import Orders
from tests.conftest import Schema
from tests.model.event_rows import append_events
from tests.model.event_streams import EventStream


@pytest.fixture
def stream(schema: Schema) -> EventStream:
    """A stored market."""
    made = EventStream().some_market(accounts=2, instruments=1).some_commands(50)
    append_events(schema.dsn, schema.schema, made.events)
    return made


def test_event_store_is_read_in_order_and_in_pieces(schema, stream):
    """Pages of any size, one after the other, are the whole log with its positions."""

    async def pages() -> list:
        found = []
        async with PostgresEventSource(schema.dsn, schema.schema) as source:
            assert len(stream.events) == await source.last_position()
            while page := await source.read(found[-1].position if found else 0, 17):
                found += page
        return found

    found = asyncio.run(pages())
    assert list(range(1, len(stream.events) + 1)) == [position for position, _ in found]
    assert stream.events == [event for _, event in found]


def test_event_store_is_read_by_topic_and_by_range(schema, stream):
    """Topics and ranges narrow what is sent, and never what a range has covered."""
    topics = (OrderAccepted.TOPIC, OrderFilled.TOPIC)
    expected = [
        (position, event)
        for position, event in enumerate(stream.events, 1)
        if event.TOPIC in topics
    ]

    async def read() -> tuple:
        async with PostgresEventSource(schema.dsn, schema.schema) as source:
            return (
                await source.read(0, 10_000, topics=topics),
                await source.read(0, 3, topics=topics),
                await source.read_range(10, 40, topics=topics),
                await source.read_range(10, 40),
            )

    every, first, ranged, whole = asyncio.run(read())
    assert expected == every
    assert expected[:3] == first
    assert [pair for pair in expected if 10 < pair[0] <= 40] == ranged
    assert list(range(11, 41)) == [position for position, _ in whole]


def test_event_store_stream_of_one_aggregate_is_its_versions(schema, stream):
    """One aggregate's events come by version, with their positions in the log."""
    order = stream.orders[0]

    async def read() -> tuple:
        async with PostgresEventSource(schema.dsn, schema.schema) as source:
            return await source.stream(order.id), await source.stream(stream.instruments[0].id)

    events, _ = asyncio.run(read())
    own = [e for e in stream.events if e.originator_id == order.id]
    assert own == [event for _, event in events]
    assert [stream.events.index(e) + 1 for e in own] == [position for position, _ in events]


def test_event_store_tells_how_several_aggregates_began_in_one_question(schema, stream):
    """The first event of each with its position; of one that there is not there is none."""
    asked = [order.id for order in stream.orders[:20]]

    async def read() -> list:
        async with PostgresEventSource(schema.dsn, schema.schema) as source:
            assert [] == list(await source.first_events([]))
            return list(await source.first_events([*asked, uuid4()]))

    expected = [
        (position, event)
        for position, event in enumerate(stream.events, 1)
        if event.originator_id in asked and event.originator_version == 1
    ]
    assert expected == sorted(asyncio.run(read()))
    assert len(asked) == len(expected) > 1


def test_event_store_serves_old_shapes_as_new_ones(schema, stream):
    """A view that wants cancels gets those of version 1 too, in today's shape."""
    order = stream.place(stream.accounts[0], stream.instruments[0])
    begin = len(stream.events)
    stream.cancel(order)
    new = stream.events[begin]
    append_events(schema.dsn, schema.schema, stream.events[begin - 2 : begin + 1])
    old = OrderCanceledV1(
        *(getattr(new, name) for name in OrderEvent.__struct_fields__), "key", "ioc"
    )
    with psycopg.connect(schema.dsn) as conn:
        conn.execute(f'SET search_path TO "{schema.schema}"')
        conn.execute(
            "UPDATE stored_events SET topic = %s, state = %s WHERE notification_id = %s",
            (old.TOPIC, encode_event(old), begin + 1),
        )

    async def read() -> list:
        async with PostgresEventSource(schema.dsn, schema.schema) as source:
            topics = Orders().topics
            return list(await source.read_range(begin - 1, begin + 1, topics=topics))

    assert OrderCanceledV1.TOPIC in Orders().topics
    *_, (position, event) = asyncio.run(read())
    assert (begin + 1, OrderCanceled, 2) == (position, type(event), event.reason)


def test_event_store_with_an_unknown_topic_stops_its_reader(schema, stream):
    """An event of a newer program is never skipped in silence."""
    with psycopg.connect(schema.dsn) as conn:
        conn.execute(f'SET search_path TO "{schema.schema}"')
        conn.execute("UPDATE stored_events SET topic = 'order.dreamt.v1' WHERE notification_id = 5")

    async def read() -> None:
        async with PostgresEventSource(schema.dsn, schema.schema) as source:
            await source.read(0, 100)

    with pytest.raises(UnreadableEvent, match=r"position 5 .* no topic order\.dreamt\.v1"):
        asyncio.run(read())


def test_event_store_wakes_its_follower_by_notice(schema, stream):
    """A notice ends the wait at once, also one that came while nobody waited."""

    async def wait() -> tuple[float, float, float]:
        async with PostgresEventSource(schema.dsn, schema.schema) as source:
            await source.last_position()
            return await timed(source, 5.0, 0.1), await timed(source, 5.0, 0), await timed(source)

    async def timed(source, timeout=0.2, delay=None) -> float:
        begin = len(stream.events)
        stream.some_commands(1)
        if delay == 0:
            append_events(schema.dsn, schema.schema, stream.events[begin:])
        began = time.monotonic()
        waiting = asyncio.create_task(source.wait(timeout))
        if delay:
            await asyncio.sleep(delay)
            append_events(schema.dsn, schema.schema, stream.events[begin:])
        await waiting
        return time.monotonic() - began

    during, before, silent = asyncio.run(wait())
    assert 0.1 <= during < 4.0
    assert before < 4.0
    assert silent >= 0.2


def test_event_store_is_followed_for_ever(schema, stream):
    """What stands, then what comes: in order, once, and only whole commands."""

    async def follow() -> list:
        found = []
        begin = len(stream.events)
        async with PostgresEventSource(schema.dsn, schema.schema) as source, asyncio.timeout(20):
            async for batch in follow_log(source, 3, limit=20):
                found += batch
                if len(found) == begin - 3:
                    stream.some_commands(30)
                    append_events(schema.dsn, schema.schema, stream.events[begin:])
                if len(found) == len(stream.events) - 3 > begin:
                    return found
        return []

    found = asyncio.run(follow())
    assert found == list(enumerate(stream.events, 1))[3:]


@pytest.mark.crash
@pytest.mark.slow
def test_event_store_source_outlives_its_connection(schema, stream):
    """A terminated backend is replaced while reading and while waiting, and nothing is lost."""

    async def read() -> list:
        async with PostgresEventSource(schema.dsn, schema.schema) as source:
            found = list(await source.read(0, 20))
            await asyncio.to_thread(terminate)
            found += await source.read(20, 10_000)
            waiting = asyncio.create_task(source.wait(0.5))
            await asyncio.sleep(0.1)
            await asyncio.to_thread(terminate)
            await waiting
            return found

    def terminate() -> None:
        with psycopg.connect(schema.dsn, autocommit=True) as conn:
            conn.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE pid <> pg_backend_pid() AND query LIKE '%stored_events%'"
                " OR query LIKE 'LISTEN%'"
            )

    assert stream.events == [event for _, event in asyncio.run(read())]


@pytest.mark.crash
@pytest.mark.slow
def test_event_store_source_waits_for_a_server_that_is_away(server_home):
    """A read begun while the server is down answers when it is up again."""
    stream = EventStream().some_market(accounts=1, instruments=1)
    home = server_home / "away"

    async def read() -> list:
        async with PostgresEventSource(schema.dsn, schema.schema) as source:
            await source.last_position()
            await asyncio.to_thread(server.stop)
            reading = asyncio.create_task(source.read(0, 1000))
            await asyncio.sleep(0.3)
            assert not reading.done()
            await asyncio.to_thread(server.start)
            return list(await asyncio.wait_for(reading, 30))

    with EmbeddedServer(home / "data", home / "run") as server:
        schema = Schema(server.dsn(), "away")
        migrate(schema.dsn, schema.schema)
        append_events(schema.dsn, schema.schema, stream.events)
        assert stream.events == [event for _, event in asyncio.run(read())]


def test_event_store_source_is_told_nothing_while_it_always_finds_something(schema):
    """Who reads on and never waits costs nobody a notice; once it waits again it misses none."""
    first, *more = EventStream().some_market(accounts=1, instruments=1).events
    append_events(schema.dsn, schema.schema, [first])

    async def read() -> float:
        async with PostgresEventSource(schema.dsn, schema.schema, pinned=True) as source:
            for _ in range(2):
                await source.wait(0.01)
            assert await asyncio.to_thread(last_statement) != "UNLISTEN *"
            while await asyncio.to_thread(last_statement) != "UNLISTEN *":
                await source.read(0, 1)
            # The first wait begins to listen, and leaves to its caller what came before.
            await source.wait(60)
            waiting = asyncio.create_task(source.wait(60))
            await asyncio.to_thread(append_events, schema.dsn, schema.schema, more)
            began = time.monotonic()
            await waiting
            return time.monotonic() - began

    def last_statement() -> str:
        with psycopg.connect(schema.dsn, autocommit=True) as conn:
            row = conn.execute(
                "SELECT query FROM pg_stat_activity WHERE application_name = %s",
                (f"nexus source {schema.schema}",),
            ).fetchone()
        return row[0]

    assert asyncio.run(read()) < 30
