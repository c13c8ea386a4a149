"""Trades: one row each with both its sides, and the tape."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import msgspec
from psycopg.rows import class_row

from domain.events import OrderFillBusted, OrderFillCorrected, OrderFilled
from domain.identifiers import Instant, uuid7
from domain.terms import Liquidity, Side
from projections.columns import BIGINT, INTEGER, SMALLINT, UUID_
from projections.connections import Connection
from projections.instruments import named_by
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
    indexes=(
        Index("tape", ("instrument_id", "trade_id")),
        Index("buyer", ("buy_account_id", "trade_id")),
        Index("seller", ("sell_account_id", "trade_id")),
    ),
)


REVISIONS = Table(
    "trade_revisions",
    (
        Column("account_id", UUID_),
        Column("trade_id", UUID_),
        Column("order_id", UUID_),
        Column("instrument_id", UUID_),
        Column("position", BIGINT),
        Column("at", BIGINT),
        Column("qty", BIGINT),
        Column("old_price", BIGINT),
        Column("new_price", BIGINT, nullable=True),
        Column("side", SMALLINT),
        Column("price_decimals", SMALLINT),
    ),
    key=("account_id", "position"),
    fresh=True,
)
"""What became of an account's fills afterwards: one row a bust, or a correction, of a side."""


class Trades(Projection):
    """Every trade, from the two fills that are its sides."""

    name = "trades"
    version = 3
    tables = (TRADES, REVISIONS)

    def __init__(self) -> None:
        super().__init__()
        self.trades, self.revisions = self.changes

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
        self._revised(position, e, e.price, None)

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
        self._revised(position, e, e.old_price, e.price)

    def _revised(
        self,
        position: int,
        e: OrderFillBusted | OrderFillCorrected,
        old_price: int,
        new_price: int | None,
    ) -> None:
        self.revisions.put(
            position,
            {
                "account_id": e.account_id,
                "trade_id": e.trade_id,
                "order_id": e.originator_id,
                "instrument_id": e.instrument_id,
                "position": position,
                "at": e.at,
                "qty": e.qty,
                "old_price": old_price,
                "new_price": new_price,
                "side": e.side,
                "price_decimals": e.price_decimals,
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


class RevisionRow(msgspec.Struct, frozen=True, gc=False):
    """A bust or a correction of one side of a trade; `new_price` is None of a bust."""

    trade_id: UUID
    order_id: UUID
    symbol: str
    position: int
    at: int
    qty: int
    old_price: int
    new_price: int | None
    side: int
    price_decimals: int


_COLUMNS = ", ".join(
    "i.symbol" if name == "symbol" else f"t.{name}" for name in TradeRow.__struct_fields__
)
_SELECT = f"SELECT {_COLUMNS} FROM trades t JOIN instruments i USING (instrument_id)"
_WINDOW = (
    " (%(first)s::uuid IS NULL OR t.trade_id >= %(first)s)"
    " AND (%(end)s::uuid IS NULL OR t.trade_id < %(end)s)"
    " AND (%(instrument)s::uuid IS NULL OR t.instrument_id = %(instrument)s)"
)


async def list_trades(
    conn: Connection,
    *,
    account_id: UUID | None = None,
    symbol_or_id: str | UUID | None = None,
    after: Instant | None = None,
    until: Instant | None = None,
    before_id: UUID | None = None,
    limit: int = 100,
) -> Sequence[TradeRow]:
    """Trades, the newest first: all, or an account's, or an instrument's, in a window of time.

    `after` and `until` are exclusive; `before_id` is the last trade id of an earlier page.
    """
    instrument_id = await _instrument_id(conn, symbol_or_id)
    if symbol_or_id is not None and instrument_id is None:
        return []
    ends = [i for i in (before_id, uuid7(until, 0, 0, 0) if until is not None else None) if i]
    arguments = {
        "account": account_id,
        "instrument": instrument_id,
        "first": uuid7(after + 1, 0, 0, 0) if after is not None else None,
        "end": min(ends) if ends else None,
        "limit": limit,
    }
    order = " ORDER BY trade_id DESC LIMIT %(limit)s"
    if account_id is None:
        query = f"{_SELECT} WHERE {_WINDOW}{order}"
    else:
        bought, sold = (
            f"({_SELECT} WHERE t.{side}_account_id = %(account)s AND {_WINDOW}{order})"
            for side in ("buy", "sell")
        )
        query = f"{bought} UNION {sold}{order}"
    async with conn.cursor(row_factory=class_row(TradeRow)) as cursor:
        return await (await cursor.execute(query, arguments)).fetchall()


_REVISIONS = """
SELECT r.trade_id, r.order_id, i.symbol, r.position, r.at, r.qty, r.old_price, r.new_price,
       r.side, r.price_decimals
  FROM trade_revisions r JOIN instruments i USING (instrument_id)
 WHERE r.account_id = %(account)s
   AND (%(after)s::bigint IS NULL OR r.at > %(after)s)
   AND (%(until)s::bigint IS NULL OR r.at < %(until)s)
 ORDER BY r.position DESC LIMIT %(limit)s
"""


async def list_revisions(
    conn: Connection,
    account_id: UUID,
    *,
    after: Instant | None = None,
    until: Instant | None = None,
    limit: int = 100,
) -> Sequence[RevisionRow]:
    """What became of an account's fills, the newest first; `after` and `until` are exclusive."""
    arguments = {"account": account_id, "after": after, "until": until, "limit": limit}
    async with conn.cursor(row_factory=class_row(RevisionRow)) as cursor:
        return await (await cursor.execute(_REVISIONS, arguments)).fetchall()


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
