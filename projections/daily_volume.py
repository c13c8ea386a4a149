"""Daily volume: what each instrument traded on each UTC day, its prices and its average price.

A trade counts on the day it printed, once, on its buyer's fill. A bust or a correction is kept
beside that, on the same day, and taken off when asked; open, high, low and close are as printed.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec

from domain.events import OrderFillBusted, OrderFillCorrected, OrderFilled
from domain.money import average_price_text, cents, exact_value
from domain.terms import Side
from projections.columns import BIGINT, INTEGER, SMALLINT, UUID_, WIDE
from projections.connections import Connection
from projections.days import day_of, day_of_id
from projections.instruments import named_by
from projections.projection import Column, Index, Merge, Projection, Row, Table, on

_BUY = int(Side.BUY)
_SUMS = ("volume", "value", "undone_volume", "undone_value")

DAILY_VOLUME = Table(
    "daily_volume",
    (
        Column("instrument_id", UUID_),
        Column("trades", BIGINT, merge=Merge.ADD),
        Column("undone_trades", BIGINT, merge=Merge.ADD),
        Column("open", BIGINT, True, Merge.FIRST),
        Column("high", BIGINT, True, Merge.GREATEST),
        Column("low", BIGINT, True, Merge.LEAST),
        Column("close", BIGINT, True, Merge.FILL),
        Column("day", INTEGER),
        Column("price_decimals", SMALLINT),
        *(Column(name, WIDE, merge=Merge.ADD) for name in _SUMS),
    ),
    key=("instrument_id", "day"),
    indexes=(Index("day", ("day",)),),
    fillfactor=50,
)


class DailyVolume(Projection):
    """Volume, value, trades and prices by instrument and UTC day."""

    name = "daily_volume"
    version = 2
    tables = (DAILY_VOLUME,)

    def __init__(self) -> None:
        super().__init__()
        (self.days,) = self.changes

    @on(OrderFilled)
    def filled(self, position: int, e: OrderFilled) -> None:
        if e.side != _BUY:
            return
        row = self._row(e.instrument_id, day_of(e.at), e.price_decimals)
        price = e.price
        row["trades"] += 1
        row["volume"] += e.qty
        row["value"] += price * e.qty
        if row["open"] is None:
            row["open"] = row["high"] = row["low"] = price
        elif price > row["high"]:
            row["high"] = price
        elif price < row["low"]:
            row["low"] = price
        row["close"] = price

    @on(OrderFillBusted)
    def busted(self, position: int, e: OrderFillBusted) -> None:
        if e.side != _BUY:
            return
        row = self._row(e.instrument_id, day_of_id(e.trade_id), e.price_decimals)
        row["undone_trades"] += 1
        row["undone_volume"] += e.qty
        row["undone_value"] += e.price * e.qty

    @on(OrderFillCorrected)
    def corrected(self, position: int, e: OrderFillCorrected) -> None:
        if e.side != _BUY:
            return
        row = self._row(e.instrument_id, day_of_id(e.trade_id), e.price_decimals)
        row["undone_value"] += (e.old_price - e.price) * e.qty

    def _row(self, instrument_id: UUID, day: int, price_decimals: int) -> Row:
        key = (instrument_id.int, day)
        row = self.days.puts.get(key)
        if row is None:
            row = self.days.puts[key] = {
                "instrument_id": instrument_id,
                "day": day,
                "price_decimals": price_decimals,
                "trades": 0,
                "undone_trades": 0,
                "open": None,
                "high": None,
                "low": None,
                "close": None,
                **dict.fromkeys(_SUMS, 0),
            }
        return row


class DailyVolumeRow(msgspec.Struct, frozen=True, gc=False):
    """One instrument's day, busts and corrections taken off.

    `volume` is 1e-8 units, `value` price times quantity exactly, in 10^-(price_decimals + 8) USD;
    what was traded is worth that times the `multiplier`.
    """

    instrument_id: UUID
    symbol: str
    day: int
    price_decimals: int
    trades: int
    volume: int
    value: int
    open: int
    high: int
    low: int
    close: int
    multiplier: int = 1

    @property
    def exact_notional(self) -> int:
        """What all trades of the day were worth together, in 1e-24 USD."""
        # Its unit is that of a price times a quantity of one.
        return exact_value(self.value, self.multiplier, self.price_decimals)

    @property
    def notional(self) -> int:
        """The same in cents, rounded once."""
        return cents(self.exact_notional)

    @property
    def vwap_text(self) -> str:
        """The average price by volume, at two more decimals than the price."""
        if self.volume == 0:
            return "0"
        return average_price_text(self.value, self.volume, self.price_decimals)


_SELECT = f"""
SELECT d.instrument_id, i.symbol, d.day, d.price_decimals, d.trades - d.undone_trades,
       d.volume - d.undone_volume, d.value - d.undone_value, d.open, d.high,
       d.low, d.close, i.multiplier
  FROM daily_volume d JOIN instruments i USING (instrument_id)
 WHERE d.day BETWEEN %(first)s AND %(last)s
   AND (%(symbol)s::text IS NULL OR i.instrument_id = {named_by("%(symbol)s")})
 ORDER BY d.day, i.symbol
"""


async def list_daily_volume(
    conn: Connection,
    *,
    symbol: str | None = None,
    first_day: int = 0,
    last_day: int = 99_991_231,
) -> Sequence[DailyVolumeRow]:
    """Days by date and symbol; days as 20261120, both included."""
    cursor = await conn.execute(_SELECT, {"symbol": symbol, "first": first_day, "last": last_day})
    # The sums are wide and come as decimals.
    return [DailyVolumeRow(*map(_whole, row)) for row in await cursor.fetchall()]


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, Decimal) else value
