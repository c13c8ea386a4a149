"""What every store of FIX numbers keeps, and what the one on PostgreSQL keeps through crashes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import psycopg
import pytest
from psycopg import sql

from api.fix.session.memory import MemorySessionStore
from application.fix_numbers import (
    Numbered,
    Numbers,
    SessionEnded,
    SessionId,
    SessionStore,
    Source,
)
from infrastructure import fix_numbers
from infrastructure.fix_numbers import PostgresSessionStore
from infrastructure.fix_overview import FixOverview, Standing
from tests.conftest import Schema

ALPHA, BETA = SessionId("NEXUS", "ALPHA"), SessionId("NEXUS", "BETA")
LOG_END = 700
NOW = 1_795_600_000_000_000

OpenStore = Callable[[], AbstractAsyncContextManager[SessionStore]]


class FixedClock:
    """A clock that stands still."""

    def now(self) -> int:
        """Always the same instant."""
        return NOW


async def log_end(_: SessionId) -> int:
    """Where the log ends."""
    return LOG_END


@asynccontextmanager
async def on_postgres(
    schema: Schema, say: Callable[[str], object] = lambda _: None
) -> AsyncIterator[PostgresSessionStore]:
    """A gateway's store."""
    store = PostgresSessionStore(schema.dsn, schema.schema, FixedClock(), log_end, say=say)
    try:
        yield store
    finally:
        await store.close()


@pytest.fixture(params=["memory", "postgres"])
def open_store(request: pytest.FixtureRequest) -> OpenStore:
    """Opens the store of a test."""
    if request.param == "postgres":
        schema: Schema = request.getfixturevalue("schema")
        return lambda: on_postgres(schema)

    @asynccontextmanager
    async def in_memory() -> AsyncIterator[SessionStore]:
        yield MemorySessionStore(lambda: LOG_END, lambda: NOW)

    return in_memory


def run(open_store: OpenStore, scene: Callable[[SessionStore], Awaitable[None]]) -> None:
    """Play a scene on a store."""

    async def play() -> None:
        async with open_store() as store:
            await scene(store)

    asyncio.run(play())


def reports(first: int, last: int, position: int = 1_000) -> list[Numbered]:
    """Reports under a range of numbers, two of each event."""
    return [
        Numbered(n, Source(position + (n - first) // 2, (n - first) % 2), 0xFFFFFFFF - n)
        for n in range(first, last + 1)
    ]


def test_session_that_begins_is_told_of_what_comes(open_store: OpenStore) -> None:
    """Its numbers are 1 on both sides, and they began now."""

    async def scene(store: SessionStore) -> None:
        assert Numbers(told=LOG_END, began=NOW) == await store.open(ALPHA)
        assert Numbers(told=LOG_END, began=NOW) == await store.open(ALPHA)
        assert [] == list(await store.sent(ALPHA, 1, 100))
        assert [] == list(await store.uncertain(ALPHA))

    run(open_store, scene)


def test_what_is_saved_is_found_when_it_is_opened_again(open_store: OpenStore) -> None:
    """Each session its own."""

    async def scene(store: SessionStore) -> None:
        await store.open(ALPHA)
        await store.open(BETA)
        numbers = Numbers(12, 8, 3, 1_003, NOW - 1, 20)
        await store.save(ALPHA, numbers, reports(2, 7))
        await store.save(ALPHA, numbers._replace(next_in=13))

        assert numbers._replace(next_in=13) == await store.open(ALPHA)
        assert Numbers(told=LOG_END, began=NOW) == await store.open(BETA)
        assert reports(2, 7) == list(await store.sent(ALPHA, 1, 100))
        assert [] == list(await store.sent(BETA, 1, 100))

    run(open_store, scene)


def test_range_of_numbers_is_given_in_order_without_those_of_no_report(
    open_store: OpenStore,
) -> None:
    """A ResendRequest for any part of them, also for more than there are."""

    async def scene(store: SessionStore) -> None:
        await store.open(ALPHA)
        kept = [*reports(2, 4), *reports(7, 9, 2_000)]
        kept[1] = kept[1]._replace(poss_resend=True)
        await store.save(ALPHA, Numbers(next_out=10), kept)

        assert kept == list(await store.sent(ALPHA, 1, 1 << 60))
        assert kept[1:4] == list(await store.sent(ALPHA, 3, 7))
        assert [] == list(await store.sent(ALPHA, 5, 6))
        assert [] == list(await store.sent(ALPHA, 9, 2))

    run(open_store, scene)


def test_reset_leaves_what_may_not_have_arrived_to_be_sent_again(open_store: OpenStore) -> None:
    """By the log, each once, whatever numbers they had; then they are settled."""

    async def scene(store: SessionStore) -> None:
        await store.open(ALPHA)
        await store.save(ALPHA, Numbers(9, 10, 5, 1_004, 1), reports(2, 9))
        begun = Numbers(told=1_004, began=NOW)
        await store.reset(ALPHA, begun)

        assert begun == await store.open(ALPHA)
        assert [] == list(await store.sent(ALPHA, 1, 100))
        owed = [Source(1_002, 0), Source(1_002, 1), Source(1_003, 0), Source(1_003, 1)]
        assert owed == list(await store.uncertain(ALPHA))

        # Sent again and not known to have arrived, when the numbers begin anew once more.
        again = [Numbered(n, source, 7, True) for n, source in enumerate(owed[1:], 2)]
        await store.save(ALPHA, begun._replace(next_out=5), again)
        await store.reset(ALPHA, begun)
        assert owed == list(await store.uncertain(ALPHA))

        await store.settled(ALPHA)
        assert [] == list(await store.uncertain(ALPHA))
        await store.save(ALPHA, begun._replace(next_out=3), reports(2, 2))
        assert reports(2, 2) == list(await store.sent(ALPHA, 1, 100))

    run(open_store, scene)


def test_reset_of_one_session_leaves_the_others(open_store: OpenStore) -> None:
    """Neither their numbers nor what they are owed."""

    async def scene(store: SessionStore) -> None:
        for session_id in (ALPHA, BETA):
            await store.open(session_id)
            await store.save(session_id, Numbers(2, 4, 1), reports(2, 3))
        await store.reset(ALPHA, Numbers(began=NOW))
        await store.settled(ALPHA)

        assert Numbers(2, 4, 1) == await store.open(BETA)
        assert reports(2, 3) == list(await store.sent(BETA, 1, 9))
        assert [] == list(await store.uncertain(BETA))

    run(open_store, scene)


def test_many_sessions_save_at_once(open_store: OpenStore) -> None:
    """A hundred of them, each several times without waiting for the others."""

    async def scene(store: SessionStore) -> None:
        sessions = [SessionId("NEXUS", f"C{n}") for n in range(100)]
        for session_id in sessions:
            await store.open(session_id)

        async def trade(session_id: SessionId, seed: int) -> None:
            for n in range(1, 6):
                at = 10 * n
                await store.save(session_id, Numbers(n, at + 5, seed), reports(at, at + 4, seed))

        await asyncio.gather(*(trade(one, seed) for seed, one in enumerate(sessions, 1)))

        for seed, session_id in enumerate(sessions, 1):
            assert Numbers(5, 55, seed) == await store.open(session_id)
            assert reports(30, 34, seed) == list(await store.sent(session_id, 30, 39))

    run(open_store, scene)


def test_of_two_gateways_the_later_has_the_session(schema: Schema) -> None:
    """What the earlier one saves changes nothing, and it learns that it is over."""

    async def play() -> None:
        async with on_postgres(schema) as earlier, on_postgres(schema) as later:
            await earlier.open(ALPHA)
            await earlier.open(BETA)
            await earlier.save(ALPHA, Numbers(2, 3), reports(2, 2))
            assert Numbers(2, 3) == await later.open(ALPHA)

            outcomes = await asyncio.gather(
                earlier.save(ALPHA, Numbers(9, 9), reports(3, 8)),
                earlier.save(BETA, Numbers(5, 5), reports(4, 4)),
                return_exceptions=True,
            )
            assert isinstance(outcomes[0], SessionEnded) and outcomes[1] is None
            for act in (earlier.reset(ALPHA, Numbers()), earlier.settled(ALPHA)):
                with pytest.raises(SessionEnded):
                    await act

            await later.save(ALPHA, Numbers(2, 4), reports(3, 3))
            assert [*reports(2, 2), *reports(3, 3)] == list(await later.sent(ALPHA, 1, 9))

    asyncio.run(play())


def test_number_is_never_kept_for_two_contents(schema: Schema) -> None:
    """Whoever has lost its count is ended, and what was first stays; others are saved."""
    said: list[str] = []

    async def play() -> None:
        async with on_postgres(schema, said.append) as store:
            await store.open(ALPHA)
            await store.open(BETA)
            await store.save(ALPHA, Numbers(2, 3), reports(2, 2))

            outcomes = await asyncio.gather(
                store.save(ALPHA, Numbers(2, 3), reports(2, 2, 5_000)),
                store.save(BETA, Numbers(3, 3), reports(2, 2)),
                return_exceptions=True,
            )

            assert isinstance(outcomes[0], SessionEnded) and outcomes[1] is None
            assert reports(2, 2) == list(await store.sent(ALPHA, 1, 9))
            assert Numbers(3, 3) == await store.open(BETA)

    asyncio.run(play())
    assert ["a FIX session is ended, its numbers are in use"] == [
        line.partition(":")[0] for line in said
    ]


def test_what_had_arrived_before_a_reset_is_thinned_out(
    schema: Schema, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows do not pile up over the days; what is uncertain stays."""
    monkeypatch.setattr(fix_numbers, "THINNED_AT_ONCE", 7)

    async def play() -> None:
        async with on_postgres(schema) as store:
            await store.open(ALPHA)
            await store.save(ALPHA, Numbers(2, 101, 90), reports(1, 100))
            await store.reset(ALPHA, Numbers(began=NOW))
            while rows(schema) != 10:
                await asyncio.sleep(0.01)
            assert 5 == len({source.position for source in await store.uncertain(ALPHA)})
            await store.settled(ALPHA)
            assert 0 == rows(schema)

    asyncio.run(asyncio.wait_for(play(), 30))


def rows(schema: Schema) -> int:
    """How many messages are kept."""
    with psycopg.connect(schema.dsn) as conn:
        found = conn.execute(
            sql.SQL("SELECT count(*) FROM {}.fix_messages").format(sql.Identifier(schema.schema))
        ).fetchone()
    assert found is not None
    return int(found[0])


def end_connections(schema: Schema) -> None:
    """Take the server away from who stores numbers, for a moment."""
    with psycopg.connect(schema.dsn, autocommit=True) as conn:
        conn.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name LIKE 'nexus fix %'"
        )


def test_store_that_goes_away_is_waited_for(schema: Schema) -> None:
    """Everything asked of it happens, once; that it is away is said once, and that it is back."""
    said: list[str] = []

    async def play() -> None:
        async with on_postgres(schema, said.append) as store:
            await store.open(ALPHA)
            for n in range(20):
                saving: list[Any] = [
                    asyncio.ensure_future(
                        store.save(ALPHA, Numbers(n, 5 * n + 6), reports(5 * n + 1, 5 * n + 5))
                    )
                ]
                await asyncio.sleep(0)
                await asyncio.to_thread(end_connections, schema)
                await asyncio.gather(*saving)
            assert 100 == len(await store.sent(ALPHA, 1, 1_000))
            assert Numbers(19, 101) == await store.open(ALPHA)

    asyncio.run(asyncio.wait_for(play(), 60))
    kinds = [line.partition(",")[0] for line in said]
    assert ["FIX sessions wait", "FIX sessions go on"] * (len(kinds) // 2) == kinds != []


def test_operator_begins_numbers_anew_while_the_session_is_open(schema: Schema) -> None:
    """Its gateway learns it with what it saves next; what may not have arrived is owed still."""

    async def play() -> None:
        async with on_postgres(schema) as store:
            await store.open(ALPHA)
            await store.save(ALPHA, Numbers(9, 10, 5, 1_004, 1, 40), reports(2, 9))
            with psycopg.connect(schema.dsn, autocommit=True) as conn:
                operator = FixOverview(conn, schema.schema)
                assert reports(2, 9)[-2:] == list(operator.last_messages(ALPHA, 2))
                assert operator.begin_anew(ALPHA, NOW + 1)
                assert not operator.begin_anew(BETA, NOW + 1)

            with pytest.raises(SessionEnded):
                await store.save(ALPHA, Numbers(9, 11), reports(10, 10))
            assert Numbers(told=1_004, began=NOW + 1) == await store.open(ALPHA)
            assert 4 == len(await store.uncertain(ALPHA))

    asyncio.run(play())


def test_operator_sees_what_each_client_has_seen(schema: Schema) -> None:
    """Numbers of both sides, what it has confirmed, what it will be sent again."""

    async def play() -> list[Standing]:
        async with on_postgres(schema) as store:
            await store.open(BETA)
            await store.open(ALPHA)
            await store.save(ALPHA, Numbers(9, 10, 5, 1_004, 1), reports(2, 9))
            await store.reset(ALPHA, Numbers(told=1_004, began=2))
            await store.save(ALPHA, Numbers(2, 4, 2, 1_006, 2, 8), reports(2, 3))
        with psycopg.connect(schema.dsn, autocommit=True) as conn:
            operator = FixOverview(conn, schema.schema)
            assert operator.begin_anew(BETA, NOW, 12)
            found = operator.standings()
            # What is to be told again from a position on is not sent again beside that.
            assert operator.begin_anew(ALPHA, NOW, 1_001)
            assert 1 == operator.standings()[0].uncertain
            return found

    alpha, beta = asyncio.run(play())

    assert (ALPHA, Numbers(2, 4, 2, 1_006, 2, 8), 1, 4) == (
        alpha.session_id,
        alpha.numbers,
        alpha.unconfirmed,
        alpha.uncertain,
    )
    assert (BETA, Numbers(told=12, began=NOW)) == (beta.session_id, beta.numbers)
    assert alpha.opened_at <= alpha.saved_at
