"""Positions: what each account holds of each instrument, and what it is worth when asked."""

from __future__ import annotations

from decimal import Decimal
from uuid import UUID

import msgspec
from msgspec.structs import replace
from psycopg.rows import class_row

from domain import profit
from domain.events import (
    PositionEvent,
    PositionExpired,
    PositionMarked,
    PositionOpened,
    PositionReversed,
    PositionSettled,
    PositionTraded,
    PositionTransferred,
    QuantityReleased,
    QuantityReserved,
)
from domain.identifiers import NO_ID
from domain.money import EXACT_CENT, average_cost_text, cents, exact_value
from domain.position import closable
from domain.terms import TriggerRule
from domain.units import from_digits
from projections.columns import BIGINT, INTEGER, UUID_, WIDE
from projections.connections import Connection
from projections.instruments import named_by
from projections.pieces import rows_of
from projections.projection import Column, Index, Projection, Row, Table, on

_MARK = int(TriggerRule.MARK)
WIDEST = 10**38 - 1
"""The largest number that a wide column takes."""

POSITIONS = Table(
    "positions",
    (
        Column("account_id", UUID_),
        Column("instrument_id", UUID_),
        Column("position_id", UUID_),
        Column("qty", BIGINT),
        Column("settled", BIGINT),
        Column("reserved", BIGINT),
        Column("unpaid", BIGINT),
        Column("cost", BIGINT),
        Column("realized", BIGINT),
        Column("carried", WIDE),
        Column("carried_over", BIGINT),
        Column("marked_day", INTEGER),
        Column("opened_at", BIGINT),
        Column("updated_at", BIGINT),
        Column("cost_rest", WIDE),
        Column("realized_rest", WIDE),
    ),
    key=("account_id", "instrument_id"),
    indexes=(Index("instrument", ("instrument_id",)),),
    fillfactor=50,
    fresh=True,
)


class Positions(Projection):
    """Every position as it is now."""

    name = "positions"
    version = 4
    tables = (POSITIONS,)

    def __init__(self) -> None:
        super().__init__()
        (self.positions,) = self.changes

    @on(PositionOpened)
    def opened(self, log_position: int, e: PositionOpened) -> None:
        self.positions.put(
            e.originator_id.int,
            {
                "account_id": e.account_id,
                "instrument_id": e.instrument_id,
                "position_id": e.originator_id,
                "qty": 0,
                "settled": 0,
                "reserved": 0,
                "unpaid": 0,
                "cost": 0,
                "realized": 0,
                "carried": 0,
                "carried_over": 0,
                "marked_day": 0,
                "opened_at": e.at,
                "updated_at": e.at,
                "cost_rest": 0,
                "realized_rest": 0,
            },
        )

    @on(QuantityReserved, QuantityReleased)
    def reserved(self, log_position: int, e: QuantityReserved | QuantityReleased) -> None:
        self._patch(e, {"reserved": e.reserved_after})

    @on(PositionTraded)
    def traded(self, log_position: int, e: PositionTraded) -> None:
        self._patch(
            e,
            {
                "qty": e.qty_after,
                "settled": e.settled_after,
                "reserved": e.reserved_after,
                "cost": e.cost_after,
                "realized": e.realized_after,
                "unpaid": e.unpaid_after,
                "carried": _carried(e),
                **_rests(e),
            },
        )

    @on(PositionTransferred)
    def transferred(self, log_position: int, e: PositionTransferred) -> None:
        self._patch(
            e,
            {
                "qty": e.qty_after,
                "settled": e.settled_after,
                "cost": e.cost_after,
                "carried": _carried(e),
            },
        )

    @on(PositionMarked)
    def marked(self, log_position: int, e: PositionMarked) -> None:
        self._patch(
            e,
            {
                "carried": _carried(e),
                "carried_over": e.carried_over,
                "marked_day": e.session_date,
            },
        )

    @on(PositionReversed)
    def reversed(self, log_position: int, e: PositionReversed) -> None:
        self._patch(
            e,
            {
                "qty": e.qty_after,
                "settled": e.settled_after,
                "cost": e.cost_after,
                "realized": e.realized_after,
                "unpaid": e.unpaid_after,
                "carried": _carried(e),
                **_rests(e),
            },
        )

    @on(PositionExpired)
    def expired(self, log_position: int, e: PositionExpired) -> None:
        self._patch(
            e,
            {
                "qty": e.qty_after,
                "settled": e.settled_after,
                "cost": e.cost_after,
                "realized": e.realized_after,
                "carried": _carried(e),
                **_rests(e),
            },
        )

    @on(PositionSettled)
    def has_settled(self, log_position: int, e: PositionSettled) -> None:
        self._patch(e, {"settled": e.settled_after, "unpaid": e.unpaid_after})

    def _patch(self, e: PositionEvent, columns: Row) -> None:
        columns["account_id"] = e.account_id
        columns["instrument_id"] = e.instrument_id
        columns["updated_at"] = e.at
        self.positions.patch(e.originator_id.int, columns)


Carrying = (
    PositionTraded | PositionTransferred | PositionReversed | PositionMarked | PositionExpired
)


def _carried(e: Carrying) -> int:
    """What is carried on, as far as the column reaches: beyond a hundred trillion dollars not."""
    return max(-WIDEST, min(from_digits(e.carried_after), WIDEST))


def _rests(e: PositionTraded | PositionReversed | PositionExpired) -> Row:
    """What was rounded off cost and profit."""
    return {
        "cost_rest": from_digits(e.cost_rest_after),
        "realized_rest": from_digits(e.realized_rest_after),
    }


class PositionRow(msgspec.Struct, frozen=True, gc=False):
    """One position, with the instrument's present prices and margin rates beside it.

    `qty`, `settled`, `reserved` and `unpaid` are 1e-8 units, `cost` and `realized` cents, and
    `cost_rest` and `realized_rest` what was rounded off them, in 1e-24 USD. `carried`, in 1e-24
    USD, is what the end of `marked_day` found unrealized and is still held, `carried_over` what
    that day itself had begun with, in cents. `feed_price` is the present price where somebody told
    it since, 0 where the view's own prices stand. Of an option the underlying's id, price and
    margin rates stand beside it, and its own terms. `joined` is what of `reserved` is for legs of
    multi-leg orders, where somebody asked.
    """

    account_id: UUID
    instrument_id: UUID
    position_id: UUID
    symbol: str
    asset_class: str
    price_decimals: int
    qty: int
    settled: int
    reserved: int
    unpaid: int
    cost: int
    realized: int
    carried: Decimal
    carried_over: int
    marked_day: int
    opened_at: int
    updated_at: int
    last_price: int
    mark_price: int
    reference_price: int
    previous_close: int
    session_date: int
    trigger_rule: int
    initial_margin_bps: int
    maintenance_margin_bps: int
    cost_rest: int = 0
    realized_rest: int = 0
    feed_price: int = 0
    multiplier: int = 1
    underlying_id: UUID = NO_ID
    right_code: int = 0
    strike: int = 0
    expiry: int = 0
    underlying_price: int = 0
    underlying_decimals: int = 0
    underlying_initial_bps: int = 0
    underlying_maintenance_bps: int = 0
    joined: int = 0

    @property
    def exact_cost(self) -> int:
        """The cost basis in 1e-24 USD, signed like the quantity."""
        return self.cost * EXACT_CENT + self.cost_rest

    @property
    def exact_realized(self) -> int:
        """The profit of what was closed, in 1e-24 USD."""
        return self.realized * EXACT_CENT + self.realized_rest

    @property
    def exact_value(self) -> int:
        """What it is worth at the present price, in 1e-24 USD, signed like the quantity."""
        return exact_value(self.price, self.qty * self.multiplier, self.price_decimals)

    @property
    def price(self) -> int:
        """What it is valued at, as the writer does: the mark where it moves stops, else the
        last trade, the mark, the reference.
        """
        if self.feed_price:
            return self.feed_price
        if self.trigger_rule == _MARK and self.mark_price:
            return self.mark_price
        return self.last_price or self.mark_price or self.reference_price

    @property
    def market_value(self) -> int:
        """Cents, signed like the quantity."""
        return cents(self.exact_value)

    @property
    def unrealized(self) -> int:
        """What closing at the present price would bring beyond the cost, in cents; rounded once."""
        return profit.to_cents(self._gained)

    @property
    def _gained(self) -> int:
        return self.exact_value - self.exact_cost

    @property
    def unrealized_today(self) -> int:
        """What of it the present session has brought, or the last one while it is closed."""
        if self.marked_day and self.marked_day >= self.session_date:
            return self.unrealized - self.carried_over
        return profit.to_cents(self._gained - int(self.carried))

    @property
    def available(self) -> int:
        """What may still be closed, signed like the quantity."""
        return closable(self.qty, self.reserved, self.unpaid)

    @property
    def average_price_text(self) -> str:
        """Cost basis per unit of the price, at two more decimals; `0` when nothing is held."""
        if self.qty == 0:
            return "0"
        units = abs(self.qty) * self.multiplier
        return average_cost_text(abs(self.exact_cost), units, self.price_decimals)


_SELECT = """
SELECT p.account_id, p.instrument_id, p.position_id, i.symbol, i.asset_class, i.price_decimals,
       p.qty, p.settled, p.reserved, p.unpaid, p.cost, p.realized, p.carried, p.carried_over,
       p.marked_day, p.opened_at, p.updated_at, i.last_price, i.mark_price, i.reference_price,
       i.previous_close, i.session_date, i.trigger_rule, i.initial_margin_bps,
       i.maintenance_margin_bps, p.cost_rest, p.realized_rest, i.multiplier,
       i.underlying_id, i.right_code, i.strike, i.expiry, COALESCE(u.price_decimals, 0)
         AS underlying_decimals, COALESCE(u.initial_margin_bps, 0) AS underlying_initial_bps,
       COALESCE(u.maintenance_margin_bps, 0) AS underlying_maintenance_bps,
       COALESCE(CASE WHEN u.trigger_rule = 3 THEN NULLIF(u.mark_price, 0) END,
                NULLIF(u.last_price, 0), NULLIF(u.mark_price, 0), u.reference_price, 0)
         AS underlying_price
  FROM positions p JOIN instruments i USING (instrument_id)
       LEFT JOIN instruments u ON i.expiry > 0 AND u.instrument_id = i.underlying_id
 WHERE p.account_id = %(account_id)s
"""


async def list_positions(
    conn: Connection, account_id: UUID, *, include_flat: bool = False
) -> list[PositionRow]:
    """An account's positions by symbol; flat ones only when asked for."""
    condition = "" if include_flat else " AND p.qty <> 0"
    async with conn.cursor(row_factory=class_row(PositionRow)) as cursor:
        await cursor.execute(f"{_SELECT}{condition} ORDER BY i.symbol", {"account_id": account_id})
        return [_whole(row) for row in await rows_of(cursor)]


async def get_position(
    conn: Connection, account_id: UUID, symbol_or_id: str | UUID
) -> PositionRow | None:
    """One position of an account, by a symbol of the instrument or its id; a flat one too."""
    which = "%(which)s" if isinstance(symbol_or_id, UUID) else named_by("%(which)s")
    async with conn.cursor(row_factory=class_row(PositionRow)) as cursor:
        await cursor.execute(
            f"{_SELECT} AND p.instrument_id = {which}",
            {"account_id": account_id, "which": symbol_or_id},
        )
        row = await cursor.fetchone()
        return _whole(row) if row is not None else None


def _whole(row: PositionRow) -> PositionRow:
    """A row whose wide numbers, which come as decimals, are integers like the others."""
    return replace(row, cost_rest=int(row.cost_rest), realized_rest=int(row.realized_rest))
