"""Repeats while PostgreSQL ends the writer's connection again and again: first results, always."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import psycopg
import pytest

from infrastructure.log.snapshots import PostgresSnapshots
from infrastructure.log.writing import PostgresEventLog
from tests.log_checks import read_log
from tests.repeat_driver import RepeatDriver

SEED = 20261129


async def _end_backend(dsn: str, schema: str) -> int:
    """End the store's side of the writer, as a failing network would; how many ended."""
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as conn:
        cursor = await conn.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s",
            (f"nexus writer {schema}",),
        )
        return len(await cursor.fetchall())


@pytest.mark.parametrize(
    "ends", [12, pytest.param(150, marks=[pytest.mark.soak, pytest.mark.slow])]
)
@pytest.mark.timeout(240)
def test_repeat_gets_its_first_result_whenever_the_connection_ends(schema: Any, ends: int) -> None:
    """Orders, groups, cancels, replaces, deposits, repeated; late cancels of what ended."""

    async def play() -> int:
        log = PostgresEventLog(schema.dsn, schema.schema, 0)
        snapshots = PostgresSnapshots(schema.dsn, schema.schema)
        driver = RepeatDriver(log, snapshots, SEED, lease=log)
        chance = random.Random(SEED)
        await driver.start()
        await driver.open(accounts=6)
        await driver.forget()
        stop = asyncio.Event()
        working = asyncio.create_task(driver.work(stop))
        ended = 0
        while ended < ends and not working.done():
            await asyncio.sleep(chance.random() * 0.1)
            ended += await _end_backend(schema.dsn, schema.schema)
        stop.set()
        await working
        await driver.stop()
        await log.close()
        return driver.answers

    answers = asyncio.run(play())

    assert answers > ends
    with psycopg.connect(schema.dsn) as conn:
        query = f'SELECT count(*) FROM "{schema.schema}".quarantined_commands'
        assert (0,) == conn.execute(query.encode()).fetchone()
    read_log(schema.dsn, schema.schema).check()
