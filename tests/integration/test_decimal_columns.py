"""The database keeps amounts as integers at fixed scales or as numerics with explicit digits."""

from __future__ import annotations

import asyncio
import re
from typing import Any, NamedTuple

import psycopg
import pytest
from psycopg import AsyncConnection, sql

from domain.money import MAX_AMOUNT
from projections.columns import BIGINT, WIDE
from projections.connections import Statement, StatementFailed, ViewConnection
from projections.projection import create_table
from projections.views import VIEWS
from tests.conftest import Schema
from tests.model.event_rows import append_events, append_keys
from tests.model.event_streams import EventStream
from tests.model.projecting import project

AMOUNT = re.compile(
    r"(^|_)(qty|quantity|price|notional|cash|cost|amount|fee|fees|held|hold|realized|unsettled"
    r"|receivable|payable|unpaid|settled|reserved|volume|value|open|high|low|close|tick|lot|filled"
    r"|leaves|balance|equity|maintenance|debit|credit|limit|commission|commissions|sold|bought)$"
)
WHOLE = {"bigint": 64, "integer": 32, "smallint": 16}
INEXACT = {"real", "double precision", "money"}


class ColumnFact(NamedTuple):
    """What the database says of one column."""

    table: str
    name: str
    type: str
    precision: int | None
    scale: int | None


@pytest.fixture
def columns(schema: Schema) -> list[ColumnFact]:
    """Every column of a venue that has traded: events, keys, views, the tables behind them."""
    stream = EventStream().some_market(accounts=2, instruments=2)
    append_events(schema.dsn, schema.schema, stream.events)
    append_keys(schema.dsn, schema.schema, stream.keys)
    project(schema)
    with psycopg.connect(schema.dsn) as conn:
        rows = conn.execute(
            "SELECT table_name, column_name, data_type, numeric_precision, numeric_scale"
            "  FROM information_schema.columns WHERE table_schema = %s",
            (schema.schema,),
        ).fetchall()
    return [ColumnFact(*row) for row in rows]


def test_decimal_columns_are_never_floating_point(columns: list[ColumnFact]) -> None:
    """Not one column of the schema, whatever it holds, is a float or PostgreSQL's money."""
    assert [] == [column for column in columns if column.type in INEXACT]


def test_decimal_columns_of_type_numeric_say_their_digits(columns: list[ColumnFact]) -> None:
    """A numeric without precision and scale takes anything, so there is none."""
    numerics = [column for column in columns if column.type == "numeric"]

    assert numerics
    assert [] == [c for c in numerics if c.precision is None or c.scale is None]


def test_decimal_columns_that_hold_amounts_are_integers_or_sized_numerics(
    columns: list[ColumnFact],
) -> None:
    """Every column named for money, a price or a quantity has a type that counts units."""
    amounts = [column for column in columns if AMOUNT.search(column.name)]

    assert {"orders", "positions", "trades", "balances", "instruments", "stored_events"} <= {
        column.table for column in amounts
    }
    assert [] == [
        column
        for column in amounts
        # Yes or no is no amount: an order is open, a policy uses unsettled proceeds.
        if (column.type, column.name) not in (("boolean", "open"), ("boolean", "use_unsettled"))
        and column.type not in WHOLE
        and (column.type, column.scale) != ("numeric", 0)
    ]


def test_decimal_columns_of_prices_and_money_have_64_bits(columns: list[ColumnFact]) -> None:
    """The rule book's largest amount and its sums fit: no amount sits in a narrow integer."""
    narrow = {
        (column.table.partition("_v")[0], column.name)
        for column in columns
        if AMOUNT.search(column.name) and WHOLE.get(column.type, 64) < 64
    }

    assert set() == narrow


@pytest.mark.parametrize("units", [MAX_AMOUNT - 1, 1 - MAX_AMOUNT, 2**63 - 1, -(2**63), 0, -1])
def test_decimal_columns_give_the_largest_amounts_back(schema: Schema, units: int) -> None:
    """What the venue's own encoder writes is read as the same integer."""
    assert units == written_and_read(schema, BIGINT, units)


@pytest.mark.parametrize(
    "units", [10**38 - 1, 1 - 10**38, 10**37, 2**63, -(2**63) - 1, 10_000, 9_999, 0, -1]
)
def test_decimal_columns_for_sums_hold_38_digits_exactly(schema: Schema, units: int) -> None:
    """Sums of products leave 64 bits and lose nothing."""
    assert units == written_and_read(schema, WIDE, units)


def test_decimal_columns_refuse_a_39th_digit(schema: Schema) -> None:
    """What does not fit is an error, never a rounded number."""
    with pytest.raises(StatementFailed) as failed:
        written_and_read(schema, WIDE, 10**38)

    assert isinstance(failed.value.__cause__, psycopg.errors.NumericValueOutOfRange)


def test_decimal_columns_of_all_views_come_from_the_tested_types() -> None:
    """The views make their tables from their declared columns alone."""
    for view in VIEWS:
        for table in view.tables:
            made = create_table(table, table.name).as_string()
            assert not re.search(r"\b(real|double|float|money)\b|numeric(?!\()", made)


def written_and_read(schema: Schema, kind: Any, units: int) -> int:
    """Store one amount by a column's encoder, and read it."""

    async def run() -> int:
        async with await AsyncConnection.connect(schema.dsn, autocommit=True) as conn:
            table = sql.Identifier(schema.schema, "amounts")
            await conn.execute(
                sql.SQL("CREATE TABLE {} (amount {})").format(table, sql.SQL(kind.ddl))
            )
            insert = sql.SQL("INSERT INTO {} SELECT unnest($1::{})").format(
                table, sql.SQL(kind.array)
            )
            value = kind.array_of(kind.encode([units]))
            await ViewConnection(conn).run([Statement(insert.as_bytes(None), [value])])
            row = await (
                await conn.execute(sql.SQL("SELECT amount FROM {}").format(table))
            ).fetchone()
            assert row is not None and row[0] == int(row[0])
            return int(row[0])

    return asyncio.run(run())
