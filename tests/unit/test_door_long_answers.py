"""Long answers are made a piece at a time, and few of one key at once."""

import asyncio
import json
from collections.abc import Awaitable
from time import perf_counter
from typing import Any, TypeVar

import psycopg
import pytest
from psycopg.rows import tuple_row

from api.door.fairness import Bounds, Fairness, Kind
from api.http.fairness import kind_of
from api.http.responses import encoded_list
from projections.pieces import rows_of
from tests.conftest import Schema

Done = TypeVar("Done")


async def beside(work: Awaitable[Done]) -> tuple[Done, int]:
    """What work comes to, and how often somebody else could go on meanwhile."""
    turns = 0

    async def somebody() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    other = asyncio.create_task(somebody())
    done = await work
    other.cancel()
    return done, turns


def slowly(number: int) -> dict[str, int]:
    """A document that takes a quarter of a millisecond to make."""
    ends = perf_counter() + 0.000_25
    while perf_counter() < ends:
        pass
    return {"number": number}


def test_long_list_is_encoded_while_others_go_on() -> None:
    """It is what it would be in one piece; nobody waits for more than a few of its rows."""
    body, turns = asyncio.run(beside(encoded_list(range(400), slowly)))

    assert [{"number": number} for number in range(400)] == json.loads(body)
    assert turns >= 50


@pytest.mark.parametrize("rows", [0, 1])
def test_short_list_is_encoded_at_once(rows: int) -> None:
    """Who has little to say gives no turn away."""
    body, turns = asyncio.run(beside(encoded_list(range(rows), slowly)))

    assert rows == len(json.loads(body))
    assert turns == 0


@pytest.mark.parametrize("count", [0, 1, 63, 64, 65, 128, 20_000])
def test_rows_of_a_long_answer_are_read_while_others_go_on(schema: Schema, count: int) -> None:
    """All of them, in their order."""

    async def read() -> tuple[list[Any], int]:
        query = "SELECT n, md5(n::text), now(), n::numeric FROM generate_series(1, %s) n ORDER BY 1"
        async with await psycopg.AsyncConnection.connect(schema.dsn) as conn:
            async with conn.cursor(row_factory=tuple_row) as cursor:
                await cursor.execute(query, (count,))
                return await beside(rows_of(cursor))

    rows, turns = asyncio.run(read())

    assert [*range(1, count + 1)] == [row[0] for row in rows]
    assert turns >= (5 if count == 20_000 else 0)


@pytest.mark.parametrize(
    ("method", "path", "kind"),
    [
        ("GET", "/v2/account", Kind.READ),
        ("GET", "/v2/orders/7", Kind.READ),
        ("GET", "/v2/orders", Kind.LIST),
        ("GET", "/v2/orders/", Kind.LIST),
        ("GET", "/v2/orders/7/events", Kind.LIST),
        ("GET", "/v2/account/activities", Kind.LIST),
        ("GET", "/v2/account/activities/FILL", Kind.LIST),
        ("GET", "/admin/trades", Kind.LIST),
        ("POST", "/v2/orders", Kind.ORDER),
        ("PATCH", "/v2/orders/7", Kind.ORDER),
        ("DELETE", "/v2/positions", Kind.ORDER),
        ("DELETE", "/v2/orders/7", Kind.CANCEL),
        ("DELETE", "/v2/orders", Kind.CANCEL),
        ("PUT", "/admin/kill-switch", Kind.CANCEL),
        ("POST", "/admin/instruments/X/halt", Kind.CANCEL),
    ],
)
def test_request_waits_for_those_of_its_kind(method: str, path: str, kind: Kind) -> None:
    """Cancels and operators for no order, short reads for no list."""
    assert kind is kind_of({"method": method, "path": path})


def test_key_has_fewer_lists_under_way_than_other_requests() -> None:
    """An eighth of its places, and one at least."""

    async def entered(under_way: int) -> int:
        fairness = Fairness(Bounds(under_way=under_way))
        asking = [asyncio.create_task(fairness.enter("a", Kind.LIST)) for _ in range(20)]
        for _ in range(5):
            await asyncio.sleep(0)
        done = sum(task.done() for task in asking)
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
        return done

    assert [1, 1, 2] == [asyncio.run(entered(under_way)) for under_way in (1, 8, 16)]
