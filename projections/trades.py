"""Trades: one row each with both its sides, and the tape."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import msgspec
from psycopg.rows import class_row

from domain.events import OrderFillBusted, OrderFillCorrected, OrderFilled
from domain.terms import Liquidity, Side
from projections.columns import BIGINT, INTEGER, SMALLINT, UUID_
from projections.connections import Connection
from projections.instruments import named_by
from projections.pieces import rows_of
from projections.projection import (
    Column,
    Index,
    Merge,
    Projection,
    Table,
    on,
)

_BUY = int(Side.BUY)
_REMOVED = int(Liquidity.REMOVED)
_AUCTION = int(Liquidity.AUCTION)


def _one_side(name: str) -> Column:
    """A column that one of the two fills knows."""
    return Column(name, BIGINT if name.endswith("_fee") else UUID_, True, Merge.FILL)


TRADES = Table(
    "trades",
    (
        Column("trade_id", UUID_),
        Column("instrument_id", UUID_),
        _one_side("buy_order_id"),
        _one_side("buy_account_id"),
        _one_side("sell_order_id"),
        _one_side("sell_account_id"),
        Column("position", BIGINT, merge=Merge.LEAST),
        Column("at", BIGINT),
        Column("qty", BIGINT),
        Column("price", BIGINT),
        Column("notional", BIGINT),
        _one_side("buy_fee"),
        _one_side("sell_fee"),
        Column("busted_at", BIGINT, True, Merge.FILL),
        Column("corrected_at", BIGINT, True, Merge.FILL),
        Column("original_price", BIGINT, True, Merge.FIRST),
        Column("session_date", INTEGER),
        Column("value_date", INTEGER),
        Column("aggressor", SMALLINT, True, Merge.FILL),
        Column("price_decimals", SMALLINT),
    ),
    key=("trade_id",),
    indexes=(Index("tape", ("instrument_id", "trade_id")),),
)


class Trades(Projection):
    """Every trade, from the two fills that are its sides."""

    name = "trades"
    version = 4
    tables = (TRADES,)

    def __init__(self) -> None:
        super().__init__()
        (self.trades,) = self.changes

    @on(OrderFilled)
    def filled(self, position: int, e: OrderFilled) -> None:
        row = self.trades.puts.get(e.trade_id.int)
        if row is None:
            row = {
                "trade_id": e.trade_id,
                "instrument_id": e.instrument_id,
                "position": position,
                "at": e.at,
                "qty": e.qty,
                "price": e.price,
                "notional": e.notional,
                "session_date": e.session_date,
                "value_date": e.value_date,
                "price_decimals": e.price_decimals,
            }
            self.trades.put(e.trade_id.int, row)
        if e.side == _BUY:
            row["buy_order_id"] = e.originator_id
            row["buy_account_id"] = e.account_id
            row["buy_fee"] = e.fee
        else:
            row["sell_order_id"] = e.originator_id
            row["sell_account_id"] = e.account_id
            row["sell_fee"] = e.fee
        if e.liquidity == _REMOVED:
            row["aggressor"] = e.side
        elif e.liquidity == _AUCTION:
            row["aggressor"] = 0

    @on(OrderFillBusted)
    def busted(self, position: int, e: OrderFillBusted) -> None:
        self.trades.patch(e.trade_id.int, {"trade_id": e.trade_id, "busted_at": e.at})

    @on(OrderFillCorrected)
    def corrected(self, position: int, e: OrderFillCorrected) -> None:
        key = e.trade_id.int
        seen = self.trades.puts.get(key) or self.trades.patches.get(key) or {}
        self.trades.patch(
            key,
            {
                "trade_id": e.trade_id,
                "price": e.price,
                "notional": e.notional,
                "corrected_at": e.at,
                "original_price": seen.get("original_price") or e.old_price,
                "buy_fee" if e.side == _BUY else "sell_fee": e.fee_after,
            },
        )


class TradeRow(msgspec.Struct, frozen=True, gc=False):
    """One trade.

    `position` is where the log holds its first fill; `aggressor` the side that took, 0 in an
    auction. `price` and `notional` are as corrected, `original_price` as printed when they differ.
    """

    trade_id: UUID
    instrument_id: UUID
    symbol: str
    position: int
    at: int
    qty: int
    price: int
    price_decimals: int
    notional: int
    session_date: int
    value_date: int
    aggressor: int | None
    buy_order_id: UUID
    buy_account_id: UUID
    buy_fee: int
    sell_order_id: UUID
    sell_account_id: UUID
    sell_fee: int
    busted_at: int | None
    corrected_at: int | None
    original_price: int | None


_COLUMNS = ", ".join(
    "i.symbol" if name == "symbol" else f"t.{name}" for name in TradeRow.__struct_fields__
)
_SELECT = f"SELECT {_COLUMNS} FROM trades t JOIN instruments i USING (instrument_id)"
_PAGE = f"""
{_SELECT}
 WHERE (%(end)s::uuid IS NULL OR t.trade_id < %(end)s)
   AND (%(instrument)s::uuid IS NULL OR t.instrument_id = %(instrument)s)
 ORDER BY trade_id DESC LIMIT %(limit)s
"""


async def list_trades(
    conn: Connection,
    *,
    symbol_or_id: str | UUID | None = None,
    before_id: UUID | None = None,
    limit: int = 100,
) -> Sequence[TradeRow]:
    """Trades, the newest first: all, or an instrument's; `before_id` is the last trade id of an
    earlier page.
    """
    instrument_id = await _instrument_id(conn, symbol_or_id)
    if symbol_or_id is not None and instrument_id is None:
        return []
    arguments = {"instrument": instrument_id, "end": before_id, "limit": limit}
    async with conn.cursor(row_factory=class_row(TradeRow)) as cursor:
        return await rows_of(await cursor.execute(_PAGE, arguments))


async def get_trade(conn: Connection, trade_id: UUID) -> TradeRow | None:
    """One trade."""
    async with conn.cursor(row_factory=class_row(TradeRow)) as cursor:
        return await (
            await cursor.execute(_SELECT + " WHERE t.trade_id = %s", (trade_id,))
        ).fetchone()


async def _instrument_id(conn: Connection, symbol_or_id: str | UUID | None) -> UUID | None:
    if not isinstance(symbol_or_id, str):
        return symbol_or_id
    cursor = await conn.execute(named_by("%s"), (symbol_or_id,))
    row = await cursor.fetchone()
    return row[0] if row is not None else None
