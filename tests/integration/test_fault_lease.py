"""A lease is the beats that are heard: no clock of another machine, or of the store, moves it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import psycopg
import pytest
from psycopg import sql

from api.processes.standby import ClockBehind, Standby
from application.log.ports import Fenced, OutcomeUnknown
from domain.identifiers import Instant
from infrastructure.log.snapshots import PostgresSnapshots
from infrastructure.log.writing import PostgresEventLog
from infrastructure.settings import Settings
from tests.integration.test_event_store import account_events, batch

LEASE = 0.3
JUMPS = ("1 day", "-1 day", "3650 days")


def run(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a test's coroutine, not for ever."""
    asyncio.run(asyncio.wait_for(work(), 60))


def jumped(schema: Any, by: str) -> None:
    """Let the leader's row say what it would had the store's clock been elsewhere."""
    with psycopg.connect(schema.dsn, autocommit=True) as conn:
        conn.execute(
            sql.SQL("UPDATE {}.writer_epoch SET renewed_at = renewed_at + %s::interval").format(
                sql.Identifier(schema.schema)
            ),
            (by,),
        )


async def silent(standby: PostgresEventLog) -> float:
    """How long it took until the leader was found to be silent."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    while not await standby.leader_is_gone(LEASE):
        assert loop.time() - began < 20 * LEASE, "it is never found to be silent"
        await asyncio.sleep(0.02)
    return loop.time() - began


@pytest.mark.parametrize("jump", JUMPS)
def test_silent_leader_is_taken_over_wherever_the_stores_clock_stands(
    schema: Any, jump: str
) -> None:
    """A writer whose last beat is dated a day ahead, or ten years: the standby listens for a
    lease, and leads.
    """

    async def work() -> None:
        leader, standby = (PostgresEventLog(schema.dsn, schema.schema, 0) for _ in range(2))
        assert 1 == await leader.try_take_over()
        jumped(schema, jump)
        assert await silent(standby) >= LEASE
        assert 2 == await standby.try_take_over(LEASE)
        with pytest.raises((Fenced, OutcomeUnknown)):
            await leader.append(batch(account_events(1)))
        await standby.append(batch(account_events(1)))
        for log in (leader, standby):
            await log.close()

    run(work)


@pytest.mark.parametrize("jump", JUMPS)
def test_leader_that_beats_keeps_the_lead_wherever_the_stores_clock_stands(
    schema: Any, jump: str
) -> None:
    """However old its last beat looks: there was one since the last look."""

    async def work() -> None:
        leader, standby = (PostgresEventLog(schema.dsn, schema.schema, 0) for _ in range(2))
        assert 1 == await leader.try_take_over()
        ends = asyncio.get_running_loop().time() + 3 * LEASE
        while asyncio.get_running_loop().time() < ends:
            await leader.renew()
            jumped(schema, jump)
            assert not await standby.leader_is_gone(LEASE)
            assert None is await standby.try_take_over(LEASE)
            await asyncio.sleep(LEASE / 5)
        for log in (leader, standby):
            await log.close()

    run(work)


def test_standby_that_was_stopped_itself_gives_the_leader_its_time(schema: Any) -> None:
    """Whoever slept has heard nothing, and that is no silence of the leader's."""

    async def work() -> None:
        leader, standby = (PostgresEventLog(schema.dsn, schema.schema, 0) for _ in range(2))
        assert 1 == await leader.try_take_over()
        assert not await standby.leader_is_gone(1.5)
        await asyncio.sleep(1.6)
        assert not await standby.leader_is_gone(1.5)
        for log in (leader, standby):
            await log.close()

    run(work)


DAY = 86_400_000_000
YEAR = 365 * DAY


class SetClock:
    """A clock that stands where it is put."""

    def __init__(self, at: Instant) -> None:
        self.at = at

    def now(self) -> Instant:
        return self.at


def test_venue_whose_log_is_a_year_ahead_of_the_clock_is_not_led(schema: Any) -> None:
    """A machine that has lost its time gives no command a time: whoever would lead ends, and says
    why. Where the clock is a day back it leads.
    """

    async def work() -> None:
        leader = PostgresEventLog(schema.dsn, schema.schema, 0)
        assert 1 == await leader.try_take_over()
        events = account_events(1)
        await leader.append(batch(events))
        await leader.close()
        said: list[str] = []
        clock = SetClock(events[0].at - YEAR)
        log = PostgresEventLog(schema.dsn, schema.schema, 0)
        standby = Standby(
            Settings(partition_schema=schema.schema),
            log,
            PostgresSnapshots(schema.dsn, schema.schema),
            clock,
            said.append,
        )
        with pytest.raises(ClockBehind, match="ahead of the machine's clock"):
            await standby.until_leading()
        clock.at = events[0].at - DAY
        await asyncio.wait_for(standby.until_leading(), 10)
        await log.close()

    run(work)
