"""Settlements: what an account's trades in an instrument come to on a value date, and what moved.

A row adds up every trade of its value date, busts and corrections with them, exactly: price
times quantity at the instrument's scale, and commission in 1e-24 USD. What has settled is kept
beside that, in the cents that moved, so that trades booked after a settlement of their own value
date show as what is still to come.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Literal, NamedTuple
from uuid import UUID

import msgspec

from domain.events import SettlementFailed, SettlementSettled, TradeBooked, TradeReversed
from domain.money import (
    EXACT_CENT,
    QTY_SCALE,
    USD_SCALE,
    cents,
    divide_half_even,
    exact_value,
)
from domain.terms import DueAs, Side
from domain.units import from_digits
from projections.columns import BIGINT, INTEGER, TEXT, UUID_, WIDE
from projections.connections import Connection
from projections.instruments import named_by
from projections.projection import Column, Index, Merge, Projection, Row, Table, on

Direction = Literal["asc", "desc"]

_BUY = int(Side.BUY)
_AS_POSTED = int(DueAs.AS_POSTED)
_BOUGHT = ("bought_qty", "bought_value", "bought_cost")
_SOLD = ("sold_qty", "sold_value", "sold_cost")
_SUMS = (*_BOUGHT, *_SOLD, "settled_qty", "settled_amount")

SETTLEMENTS = Table(
    "settlements",
    (
        Column("account_id", UUID_),
        Column("instrument_id", UUID_),
        Column("settlement_id", UUID_, True, Merge.FILL),
        Column("traded_position", BIGINT, merge=Merge.GREATEST),
        Column("failed_position", BIGINT, merge=Merge.GREATEST),
        Column("settled_position", BIGINT, merge=Merge.GREATEST),
        Column("updated_at", BIGINT, merge=Merge.GREATEST),
        Column("value_date", INTEGER),
        Column("run_date", INTEGER, True, Merge.FILL),
        Column("attempts", INTEGER, True, Merge.FILL),
        Column("reason", TEXT, True, Merge.FILL),
        *(Column(name, WIDE, merge=Merge.ADD) for name in _SUMS),
    ),
    key=("account_id", "value_date", "instrument_id"),
    indexes=(Index("day", ("value_date",)),),
    fillfactor=50,
)


class Settlements(Projection):
    """Bought, sold, net and settled, by account, instrument and value date."""

    name = "settlements"
    version = 2
    tables = (SETTLEMENTS,)

    def __init__(self) -> None:
        super().__init__()
        (self.settlements,) = self.changes

    @on(TradeBooked)
    def trade_booked(self, position: int, e: TradeBooked) -> None:
        self._trade(position, e, 1)

    @on(TradeReversed)
    def trade_reversed(self, position: int, e: TradeReversed) -> None:
        self._trade(position, e, -1)

    def _trade(self, position: int, e: TradeBooked | TradeReversed, sign: int) -> None:
        row = self._row(e.originator_id, e.instrument_id, e.value_date)
        # A trade that is due as it was posted is worth what it posted.
        exact = e.due != _AS_POSTED
        value = from_digits(e.traded_value) if exact else e.notional * EXACT_CENT
        cost = from_digits(e.commission) if exact else e.fee * EXACT_CENT
        of_qty, of_value, of_cost = _BOUGHT if e.side == _BUY else _SOLD
        row[of_qty] += sign * e.qty
        row[of_value] += sign * value // exact_value(1, 1, e.price_decimals)
        row[of_cost] += sign * cost
        row["traded_position"] = position
        row["updated_at"] = e.at

    @on(SettlementFailed)
    def failed(self, position: int, e: SettlementFailed) -> None:
        row = self._attempted(e)
        row["reason"] = e.reason
        row["failed_position"] = position

    @on(SettlementSettled)
    def settled(self, position: int, e: SettlementSettled) -> None:
        row = self._attempted(e)
        row["settled_qty"] += e.qty
        row["settled_amount"] += e.amount
        row["settled_position"] = position

    def _attempted(self, e: SettlementFailed | SettlementSettled) -> Row:
        row = self._row(e.account_id, e.instrument_id, e.value_date)
        row["settlement_id"] = e.originator_id
        row["run_date"] = e.run_date
        row["attempts"] = e.attempts
        row["updated_at"] = e.at
        return row

    def _row(self, account_id: UUID, instrument_id: UUID, value_date: int) -> Row:
        key = (account_id.int, value_date, instrument_id.int)
        row = self.settlements.puts.get(key)
        if row is None:
            row = self.settlements.puts[key] = {
                "account_id": account_id,
                "instrument_id": instrument_id,
                "value_date": value_date,
                "traded_position": 0,
                "failed_position": 0,
                "settled_position": 0,
                "updated_at": 0,
                **dict.fromkeys(_SUMS, 0),
            }
        return row


class SettlementRow(msgspec.Struct, frozen=True, gc=False):
    """One account's trades of one instrument and value date.

    Quantities are 1e-8 units; values are price times quantity, costs are commissions in 1e-24
    USD; amounts are cents, each sum rounded for itself. `status` is pending, failed or settled;
    `settled_qty` and `settled_amount` are what moved, signed as the account sees it.
    """

    account_id: UUID
    instrument_id: UUID
    symbol: str
    value_date: int
    status: str
    reason: str | None
    run_date: int | None
    attempts: int
    updated_at: int
    bought_qty: int
    bought_value: int
    bought_cost: int
    sold_qty: int
    sold_value: int
    sold_cost: int
    settled_qty: int
    settled_amount: int
    price_decimals: int

    @property
    def net_qty(self) -> int:
        """What is to be received; negative: delivered."""
        return self.bought_qty - self.sold_qty

    @property
    def bought_amount(self) -> int:
        """What the purchases cost, with commission."""
        return self._cents(self.bought_value) + cents(self.bought_cost)

    @property
    def sold_amount(self) -> int:
        """What the sales bring, less commission."""
        return self._cents(self.sold_value) - cents(self.sold_cost)

    def _cents(self, value: int) -> int:
        return divide_half_even(value, 10 ** (QTY_SCALE + self.price_decimals - USD_SCALE))

    @property
    def net_amount(self) -> int:
        """What is to be paid to the account; negative: by it."""
        return self.sold_amount - self.bought_amount


_SELECT = f"""
SELECT * FROM (
    SELECT s.account_id, s.instrument_id, i.symbol, s.value_date,
           CASE WHEN s.settled_position > s.traded_position THEN 'settled'
                WHEN s.failed_position > s.settled_position THEN 'failed'
                ELSE 'pending' END AS status,
           CASE WHEN s.failed_position > s.settled_position THEN s.reason END AS reason,
           s.run_date, COALESCE(s.attempts, 0), s.updated_at, s.bought_qty, s.bought_value,
           s.bought_cost, s.sold_qty, s.sold_value, s.sold_cost, s.settled_qty,
           s.settled_amount, i.price_decimals
      FROM settlements s JOIN instruments i USING (instrument_id)
     WHERE s.account_id = %(account_id)s
       AND (%(value_date)s::int IS NULL OR s.value_date = %(value_date)s)
       AND (%(symbol)s::text IS NULL OR i.instrument_id = {named_by("%(symbol)s")})
       AND (%(after_date)s::int IS NULL
            OR (s.value_date, s.instrument_id) {{further}} (%(after_date)s, %(after_id)s))
) AS found
 WHERE %(status)s::text IS NULL OR status = %(status)s
 ORDER BY value_date {{order}}, instrument_id {{order}}
 LIMIT %(limit)s
"""
_PAGES = {
    "asc": _SELECT.format(further=">", order="ASC"),
    "desc": _SELECT.format(further="<", order="DESC"),
}
_KNOWN = """
SELECT EXISTS (SELECT FROM settlements s
                WHERE (s.account_id, s.value_date, s.instrument_id)
                    = (%(account_id)s, %(value_date)s, %(instrument_id)s))
"""


class Due(NamedTuple):
    """Which of an account's rows one is: a page ends at one, and the next begins behind it."""

    value_date: int
    instrument_id: UUID


class Wanted(NamedTuple):
    """Which rows are asked for: all where nothing is said."""

    status: str | None = None
    value_date: int | None = None
    symbol: str | None = None


async def list_settlements(
    conn: Connection,
    account_id: UUID,
    wanted: Wanted,
    *,
    behind: Due | None = None,
    direction: Direction = "desc",
    limit: int = 100,
) -> list[SettlementRow]:
    """An account's rows by value date and instrument: those `behind` one of them."""
    cursor = await conn.execute(
        _PAGES[direction],
        {
            "account_id": account_id,
            **wanted._asdict(),
            "after_date": None if behind is None else behind.value_date,
            "after_id": None if behind is None else behind.instrument_id,
            "limit": limit,
        },
    )
    # The sums are wide and come as decimals.
    return [SettlementRow(*map(_whole, row)) for row in await cursor.fetchall()]


async def is_settlement(conn: Connection, account_id: UUID, due: Due) -> bool:
    """Whether an account has such a row."""
    cursor = await conn.execute(_KNOWN, {"account_id": account_id, **due._asdict()})
    row = await cursor.fetchone()
    return row is not None and bool(row[0])


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, Decimal) else value
