"""Views on a real server: what each query answers after the projector has run."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from psycopg import AsyncConnection, sql

from domain.identifiers import NO_ID
from domain.money import QTY_UNIT
from infrastructure.log.source import PostgresEventSource
from infrastructure.log.statements import Subqueries
from projections.balances import get_account, list_accounts
from projections.daily_volume import list_daily_volume
from projections.instruments import get_instrument, list_instruments, market_clock
from projections.ledger import all_balances
from projections.order_reads import get_order, get_order_by_client_id, list_orders
from projections.positions import get_position, list_positions
from projections.runner import Runner
from projections.tracking import views_position
from projections.trades import get_trade, list_trades
from projections.views import all_views
from tests.conftest import Schema
from tests.model.event_rows import append_events, append_keys
from tests.model.event_streams import EventStream

Answer = TypeVar("Answer")


async def connect(schema: Schema) -> AsyncConnection[Any]:
    """A connection as the projector and the API open it."""
    conn = await AsyncConnection.connect(schema.dsn, autocommit=True)
    await conn.execute(sql.SQL("SET search_path TO {}").format(sql.Identifier(schema.schema)))
    return conn


def ask(
    schema: Schema,
    stream: EventStream,
    question: Callable[[AsyncConnection[Any]], Coroutine[Any, Any, Answer]],
) -> Answer:
    """Store a stream, project it, and put a question to the views."""
    append_events(schema.dsn, schema.schema, stream.events)
    append_keys(schema.dsn, schema.schema, stream.keys)

    async def project_and_ask() -> Answer:
        async with PostgresEventSource(schema.dsn, schema.schema) as source:
            runner = Runner(lambda: connect(schema), source, all_views())
            while await runner.step():
                pass
            await runner.close()
        async with await connect(schema) as conn:
            assert await views_position(conn) == len(stream.events)
            return await question(conn)

    return asyncio.run(project_and_ask())


def market() -> EventStream:
    """Two funded accounts that hold shares of two open instruments."""
    return EventStream().some_market(accounts=2, instruments=2)


def test_projection_of_a_resting_order_is_read_back(schema):
    """An accepted order is found by its id, and in its account's open orders."""
    stream = market()
    account = stream.accounts[0]
    order = stream.place(account, stream.instruments[0], 1, 7 * QTY_UNIT, 1_012_500)

    async def question(conn):
        return (
            await get_order(conn, account.id, order.id),
            await list_orders(conn, account.id),
        )

    found, listed = ask(schema, stream, question)
    assert (order.id, 7 * QTY_UNIT, 1_012_500, 0) == (
        found.order_id, found.qty, found.limit_price, found.status,
    )  # fmt: skip
    assert [found] == listed


def test_projection_keeps_orders_apart_by_account(schema):
    """Nobody reads another's order."""
    stream = market()
    one, other = stream.accounts
    order = stream.place(one, stream.instruments[0])

    async def question(conn):
        return await get_order(conn, other.id, order.id), await get_order(conn, one.id, order.id)

    foreign, found = ask(schema, stream, question)
    assert foreign is None
    assert order.id == found.order_id


def test_projection_resolves_every_revision_of_a_replaced_order(schema):
    """Each revision keeps its own terms and its fills of then; all ids lead to the order."""
    stream = market()
    account, other = stream.accounts
    instrument = stream.instruments[0]
    order = stream.place(account, instrument, 1, 10 * QTY_UNIT, 1_000_000)
    first_client_id = order.client_order_id
    stream.trade(order, stream.place(other, instrument, 2, 2 * QTY_UNIT), 2 * QTY_UNIT, aggressor=2)
    second = stream.replace(order, 8 * QTY_UNIT, 1_000_100)
    third = stream.replace(order, 9 * QTY_UNIT, 1_000_200)

    async def question(conn):
        return (
            [await get_order(conn, account.id, i) for i in (order.id, second, third)],
            await get_order_by_client_id(conn, Subqueries(), account.id, first_client_id),
            await get_order_by_client_id(conn, Subqueries(), account.id, order.client_order_id),
            await list_orders(conn, account.id, status="open"),
            await list_orders(conn, account.id, status="closed"),
            await list_orders(conn, account.id, status="all", direction="asc"),
        )

    revisions, by_first, by_last, opened, closed, everything = ask(schema, stream, question)
    assert [10 * QTY_UNIT, 8 * QTY_UNIT, 9 * QTY_UNIT] == [r.qty for r in revisions]
    assert [1_000_000, 1_000_100, 1_000_200] == [r.limit_price for r in revisions]
    assert [NO_ID, order.id, second] == [r.replaces for r in revisions]
    assert [second, third, NO_ID] == [r.replaced_by for r in revisions]
    assert [2 * QTY_UNIT] * 3 == [r.filled for r in revisions]
    assert [True, True, False] == [r.replaced_at > 0 for r in revisions]
    assert (revisions[0], revisions[2]) == (by_first, by_last)
    assert [revisions[2]] == opened
    assert [revisions[1], revisions[0]] == closed
    assert revisions == everything


def test_projection_lists_orders_as_asked(schema):
    """Status, time, side, symbol, direction and pages all narrow what is listed."""
    stream = market()
    account = stream.accounts[0]
    one, two = stream.instruments
    orders = [stream.place(account, i, side) for i in (one, two) for side in (1, 2, 1)]
    stream.cancel(orders[0])
    stream.cancel(orders[4], expire=True)
    refused = stream.reject(account)

    async def listed(conn, **terms):
        return [row.order_id for row in await list_orders(conn, account.id, **terms)]

    async def question(conn):
        return {
            "open": await listed(conn),
            "closed": await listed(conn, status="closed"),
            "asc": await listed(conn, status="all", direction="asc"),
            "sells": await listed(conn, status="all", side=2),
            "symbol": await listed(conn, symbols=[two.symbol]),
            "after": await listed(conn, status="all", after=orders[3].submitted_at),
            "until": await listed(conn, status="all", until=orders[2].submitted_at),
            "page": await listed(conn, status="all", limit=2, before_id=orders[4].id),
        }

    answers = ask(schema, stream, question)
    ids = [order.id for order in orders]
    assert [ids[i] for i in (5, 3, 2, 1)] == answers["open"]
    assert [refused, ids[4], ids[0]] == answers["closed"]
    assert [*ids, refused] == answers["asc"]
    assert [ids[4], ids[1]] == answers["sells"]
    assert [ids[5], ids[3]] == answers["symbol"]
    assert [refused, ids[5], ids[4]] == answers["after"]
    assert [ids[1], ids[0]] == answers["until"]
    assert [ids[3], ids[2]] == answers["page"]


def test_projection_of_a_refused_order_says_why(schema):
    """A refused order is an order too, with its code."""
    stream = market()
    account = stream.accounts[0]
    refused = stream.reject(account)
    row = ask(schema, stream, lambda conn: get_order(conn, account.id, refused))
    assert ("UNKNOWN_INSTRUMENT", 8, 9) == (row.refusal_code, row.status, row.price_decimals)


def test_projection_of_positions_values_them_at_the_last_price(schema):
    """Quantity and cost from the events, market value from the instrument's last trade."""
    stream = market()
    buyer, seller = stream.accounts
    instrument = stream.instruments[0]
    buy = stream.place(buyer, instrument, 1, 10 * QTY_UNIT, 1_100_000)
    sell = stream.place(seller, instrument, 2, 10 * QTY_UNIT, 1_100_000)
    stream.trade(buy, sell, 10 * QTY_UNIT)

    async def question(conn):
        return (
            await get_position(conn, buyer.id, instrument.symbol),
            await get_position(conn, buyer.id, instrument.id),
            await list_positions(conn, buyer.id),
        )

    by_symbol, by_id, listed = ask(schema, stream, question)
    assert by_symbol == by_id
    assert by_symbol in listed and 2 == len(listed)
    assert 10_010 * QTY_UNIT == by_symbol.qty
    assert 10_010 * 110_00 == by_symbol.market_value
    assert 10_000 * 10_00 == by_symbol.unrealized
    assert "100.009990" == by_symbol.average_price_text


def test_projection_of_balances_follows_cash_and_holds(schema):
    """Cash, what working orders hold, and the account's state stand as the last event left them."""
    stream = market()
    account = stream.accounts[0]
    stream.place(account, stream.instruments[0], 1, QTY_UNIT, 1_000_000)
    stream.restrict(account)

    async def question(conn):
        return await get_account(conn, account.id), await list_accounts(conn)

    row, accounts = ask(schema, stream, question)
    assert (100_000_000, 100_00, 0) == (row.cash, row.held, row.payable)
    assert (1, "watched", 5_000_000) == (row.status, row.status_reason, row.max_order_notional)
    assert [a.id for a in stream.accounts] == [a.account_id for a in accounts]


def test_projection_of_the_ledger_sums_to_zero(schema):
    """After any stream of commands the ledger sums to zero, and cash agrees with the accounts."""
    stream = market().some_commands(400)

    async def question(conn):
        return await all_balances(conn), await list_accounts(conn)

    balances, accounts = ask(schema, stream, question)
    assert 0 == sum(balance.amount for balance in balances)
    cash = {balance.party: balance.amount for balance in balances if balance.ledger == 1}
    assert {a.account_id: a.cash for a in accounts} == cash
    assert {a.id: a.cash for a in stream.accounts} == cash


def test_projection_of_instruments_shows_phase_and_prices(schema):
    """An instrument is found by symbol and id, as its last event left it."""
    stream = market()
    instrument = stream.instruments[1]
    stream.list_instrument("AAAA", open_it=False)
    stream.interrupt(instrument)

    async def question(conn):
        return (
            await get_instrument(conn, instrument.symbol),
            await get_instrument(conn, instrument.id),
            await get_instrument(conn, "NONE"),
            await list_instruments(conn),
            await market_clock(conn),
        )

    by_symbol, by_id, nothing, listed, clock = ask(schema, stream, question)
    assert by_symbol == by_id and nothing is None
    assert ("New name", 900, 1_010_000, 1) == (
        by_id.name, by_id.collar_bps, by_id.mark_price, by_id.phase,
    )  # fmt: skip
    assert ["AAAA", "SYM0", "SYM1"] == [row.symbol for row in listed]
    assert clock.is_open and clock.closes_at > clock.opens_at


def test_projection_of_trades_joins_both_sides(schema):
    """A trade has both orders and accounts, its aggressor, and the position of its first fill."""
    stream = market()
    buyer, seller = stream.accounts
    instrument = stream.instruments[0]
    buy = stream.place(buyer, instrument, 1, 10 * QTY_UNIT, 1_000_500)
    sell = stream.place(seller, instrument, 2, 3 * QTY_UNIT)
    trade_id = stream.trade(buy, sell, 3 * QTY_UNIT, aggressor=2)

    async def question(conn):
        return (
            await get_trade(conn, trade_id),
            await list_trades(conn, symbol_or_id=instrument.symbol),
            await list_trades(conn, symbol_or_id="SYM1"),
        )

    trade, of_symbol, of_other = ask(schema, stream, question)
    assert (buy.id, buyer.id, sell.id, seller.id, 2) == (
        trade.buy_order_id, trade.buy_account_id, trade.sell_order_id, trade.sell_account_id,
        trade.aggressor,
    )  # fmt: skip
    assert (3 * QTY_UNIT, 1_000_500, 300_15, 20251120, 20251121) == (
        trade.qty, trade.price, trade.notional, trade.session_date, trade.value_date,
    )  # fmt: skip
    assert trade_id == stream.events[trade.position - 1].trade_id
    assert "order.filled.v1" == stream.events[trade.position - 1].TOPIC
    assert [trade] == of_symbol
    assert [] == of_other


def test_projection_of_trades_pages_backwards(schema):
    """Pages by id cover every trade once."""
    stream = market()
    for _ in range(7):
        buy, sell = (
            stream.place(a, stream.instruments[0], side)
            for a, side in zip(stream.accounts, (1, 2), strict=True)
        )
        stream.trade(buy, sell, QTY_UNIT)
    ids = [trade.id for trade in stream.trades]

    async def question(conn):
        first = await list_trades(conn, limit=3)
        rest = await list_trades(conn, limit=9, before_id=first[-1].trade_id)
        return [[t.trade_id for t in page] for page in (first, rest)]

    first, rest = ask(schema, stream, question)
    assert list(reversed(ids)) == first + rest


def test_projection_shows_busts_and_corrections(schema):
    """A busted trade leaves the day's volume and says so; a corrected one has its new price."""
    stream = market()
    buyer, seller = stream.accounts
    instrument = stream.instruments[0]
    for price in (1_000_000, 1_020_000, 1_010_000):
        buy = stream.place(buyer, instrument, 1, 10 * QTY_UNIT, price)
        sell = stream.place(seller, instrument, 2, 10 * QTY_UNIT, price)
        stream.trade(buy, sell, 10 * QTY_UNIT, aggressor=1)
    busted, corrected, _ = stream.trades
    stream.correct(corrected, 1_030_000)
    stream.correct(corrected, 1_040_000)
    stream.bust(busted)

    async def question(conn):
        return (
            await get_trade(conn, busted.id),
            await get_trade(conn, corrected.id),
            await list_daily_volume(conn, symbol=instrument.symbol),
            await get_order(conn, buyer.id, busted.buy.id),
        )

    undone, changed, days, order = ask(schema, stream, question)
    assert undone.busted_at and changed.corrected_at
    assert (1_040_000, 1_020_000, 1040_00) == (
        changed.price, changed.original_price, changed.notional,
    )  # fmt: skip
    (day,) = days
    assert (2, 20 * QTY_UNIT, 2050_00, "102.500000") == (
        day.trades, day.volume, day.notional, day.vwap_text,
    )  # fmt: skip
    assert (1_000_000, 1_020_000, 1_000_000, 1_010_000) == (day.open, day.high, day.low, day.close)
    assert (0, "0") == (order.filled, order.value)


def test_projection_of_daily_volume_agrees_with_the_trades(schema):
    """The day's totals are the sums over the trades that stand."""
    stream = market().some_commands(400)

    async def question(conn):
        return await list_daily_volume(conn), await list_trades(conn, limit=10_000)

    days, trades = ask(schema, stream, question)
    for day in days:
        own = [t for t in trades if t.symbol == day.symbol and t.busted_at is None]
        assert len(own) == day.trades > 0
        assert sum(t.qty for t in own) == day.volume
        assert sum(t.notional for t in own) == day.notional
        assert sum(t.price * t.qty for t in own) == day.value
