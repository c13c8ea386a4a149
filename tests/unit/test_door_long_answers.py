"""Long answers are made a piece at a time, and few of one key at once."""

import asyncio
import json
import random
from collections.abc import Awaitable
from time import perf_counter
from typing import Any, TypeVar
from uuid import UUID

import psycopg
import pytest
from psycopg.rows import tuple_row

from api.door.fairness import Bounds, Fairness, Kind
from api.http.kinds import kind_of
from api.http.responses import encoded_list
from api.marks import Choice, Habits, Marks, Valued, ViewsSeen
from api.valuation import valued, valued_by_turns
from domain.terms import AccountKind
from infrastructure.clock import SteadyClock
from infrastructure.log.codec import encode_event
from infrastructure.log.reads import EventReads
from projections.balances import AccountRow, VenueSwitch
from projections.pair_margins import PairRow
from projections.pieces import rows_of
from projections.positions import PositionRow
from tests.conftest import Schema
from tests.model.command_flow import lived

Done = TypeVar("Done")


@pytest.fixture(autouse=True)
def shorter_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """However fast the machine is, others have their turn in the middle of what is asked here."""
    monkeypatch.setattr("application.turns.TURN_SECONDS", 0.000_05)


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
        ("GET", "/v2/account/risk", Kind.LIST),
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


def blank(row: type[Any], **said: Any) -> Any:
    """A row with nothing in it but what is said."""
    return row(**(dict.fromkeys(row.__struct_fields__, 0) | said))


def holdings(shares: int, families: int) -> list[PositionRow]:
    """So many shares, and options short and long on so many underlyings."""
    draw = random.Random(7)
    found = [
        blank(
            PositionRow,
            instrument_id=UUID(int=number + 1),
            qty=draw.choice((-3, 5)) * 10**8,
            price_decimals=2,
            multiplier=1,
            last_price=draw.randint(1_000, 90_000),
            initial_margin_bps=5_000,
            maintenance_margin_bps=2_500,
        )
        for number in range(shares)
    ]
    for number in range(families):
        price = draw.randint(90, 110) * 10**9
        for place in range(6):
            terms = {
                "underlying_id": UUID(int=number + 1),
                "underlying_price": price,
                "underlying_decimals": 9,
                "underlying_initial_bps": 5_000,
                "underlying_maintenance_bps": 2_500,
                "right_code": 1 + place % 2,
                "strike": (85 + 5 * place) * 10**9,
                "expiry": 20_270_100 + draw.choice((1, 8)),
                "multiplier": 100,
                "last_price": draw.randint(1, 900),
            }
            found.append(
                blank(
                    PositionRow,
                    instrument_id=UUID(int=10**6 + 10 * number + place),
                    qty=draw.choice((-2, -1, 1, 3)) * 10**8,
                    price_decimals=2,
                    **terms,
                )
            )
    return found


@pytest.mark.parametrize(
    ("shares", "families", "pairs"), [(0, 0, 0), (3, 1, 1), (3_000, 0, 0), (300, 60, 40)]
)
def test_account_with_much_in_it_is_valued_while_others_go_on(
    shares: int, families: int, pairs: int
) -> None:
    """It is worth what it would be in one piece: thousands of shares, or options of many
    underlyings, of which each is a small programme of its own.
    """
    row = blank(AccountRow, account_id=UUID(int=9), kind=AccountKind.MARGIN, cash=10**9, name="")
    held, venue = holdings(shares, families), VenueSwitch()
    hedges = [
        blank(PairRow, instrument_id=UUID(int=n + 1), other_id=UUID(int=n + 2), bps=1_000)
        for n in range(0, 2 * pairs, 2)
    ]

    value, turns = asyncio.run(beside(valued_by_turns(row, held, venue, hedges)))

    assert valued(row, held, venue, hedges) == value
    if shares + families > 100:
        assert value.margin.maintenance > 0
        assert turns >= 5


def test_many_holdings_stand_beside_the_feeds_prices_while_others_go_on() -> None:
    """At prices of one moment, though the feed goes on too; and their age goes on with the time."""

    async def scene() -> tuple[Valued, int]:
        feed = Feed()
        marks = Marks(feed, None, None, SteadyClock(), HABITS)  # type: ignore[arg-type]
        held = holdings(4_000, 0)
        return await beside(marks.value(held, 0, ViewsSeen(None), Choice()))

    found, turns = asyncio.run(scene())

    assert 4_000 == len(found.held)
    assert 1 == len({row.feed_price for row in found.held})
    assert found.age is not None and found.age > 1
    assert turns >= 2


HABITS = Habits(1_000, "wait", "views", 0.5)


class Feed:
    """A feed whose every price is another whenever somebody else has had a turn."""

    away = False
    position = 0

    def __init__(self) -> None:
        self.freshness = self
        self._price = 100
        asyncio.get_running_loop().call_soon(self._go_on)

    def _go_on(self) -> None:
        self._price += 1
        asyncio.get_running_loop().call_soon(self._go_on)

    def age(self, _: str) -> int:
        """A microsecond."""
        return 1

    def valued_at(self, _: UUID) -> int:
        """The price now."""
        return self._price


def test_long_life_of_an_order_is_decoded_while_others_go_on() -> None:
    """A thousand events are read and brought to their shape in pieces."""
    event = lived(11, 20).log.events()[-1]
    row = (1, event.TOPIC, encode_event(event))

    class Reads(EventReads):
        async def _fetch(self, ask: Any) -> list[tuple[Any, ...]]:
            return [(number, *row[1:]) for number in range(20_000)]

    found, turns = asyncio.run(beside(Reads().lives([UUID(int=1)], after=0, limit=20_000)))

    assert [*range(20_000)] == [one.position for one in found]
    assert event == found[-1].event
    assert turns >= 3
