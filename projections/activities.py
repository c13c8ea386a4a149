"""What an account's orders traded, and what became of it: one row for each event of a fill.

What becomes of its options at their expiry has rows of their own.

A row stands at its instant and log position, which only grow together, so that an account's
activities stand in the order in which they happened by key alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple
from uuid import UUID

import msgspec
from psycopg.rows import class_row

from domain.events import (
    OrderFillBusted,
    OrderFillCorrected,
    OrderFilled,
    PositionExpired,
    PositionTraded,
)
from domain.identifiers import MAX_INSTANT, NO_ID, Instant
from domain.terms import OptionEnd, Side
from projections.columns import BIGINT, SMALLINT, UUID_
from projections.connections import Connection
from projections.pieces import rows_of
from projections.projection import Column, Projection, Table, on

Direction = Literal["asc", "desc"]

_BUY = int(Side.BUY)
_SELL = int(Side.SELL)
FILLED = 0
BUSTED = 1
CORRECTED = 2
EXPIRED = 3
EXERCISED = 4
ASSIGNED = 5
OPTION_TRADE = 6
"""What an option that was exercised or assigned traded of its underlying."""
OF_FILLS = (FILLED, BUSTED, CORRECTED)
KINDS = (*OF_FILLS, EXPIRED, EXERCISED, ASSIGNED, OPTION_TRADE)

ACTIVITIES = Table(
    "activities",
    (
        Column("account_id", UUID_),
        Column("at", BIGINT),
        Column("position", BIGINT),
        Column("kind", SMALLINT),
        Column("trade_id", UUID_),
        Column("order_id", UUID_),
        Column("order_version", BIGINT),
        Column("instrument_id", UUID_),
        Column("qty", BIGINT),
        Column("price", BIGINT),
        Column("new_price", BIGINT, nullable=True),
        Column("cum_qty", BIGINT, nullable=True),
        Column("leaves_qty", BIGINT, nullable=True),
        Column("status", SMALLINT, nullable=True),
        Column("side", SMALLINT),
        Column("price_decimals", SMALLINT),
    ),
    key=("account_id", "at", "position"),
    fresh=True,
)


class Activities(Projection):
    """Every fill of every account, each bust and correction of one, and how its options ended."""

    name = "activities"
    version = 3
    tables = (ACTIVITIES,)

    def __init__(self) -> None:
        super().__init__()
        (self.activities,) = self.changes

    @on(OrderFilled)
    def filled(self, position: int, e: OrderFilled) -> None:
        row = _row(position, e, FILLED, e.price)
        row["cum_qty"] = e.filled_after
        row["leaves_qty"] = e.leaves_after
        row["status"] = e.status_after
        self.activities.put(position, row)

    @on(OrderFillBusted)
    def busted(self, position: int, e: OrderFillBusted) -> None:
        row = _row(position, e, BUSTED, e.price)
        row["cum_qty"] = e.filled_after
        self.activities.put(position, row)

    @on(OrderFillCorrected)
    def corrected(self, position: int, e: OrderFillCorrected) -> None:
        row = _row(position, e, CORRECTED, e.old_price)
        row["new_price"] = e.price
        self.activities.put(position, row)

    @on(PositionExpired)
    def ended(self, position: int, e: PositionExpired) -> None:
        row = _beside_orders(position, e, _ENDS[e.how])
        row |= {"qty": -e.qty, "price": 0, "side": _SELL if e.qty > 0 else _BUY}
        self.activities.put(position, row | {"price_decimals": 0})

    @on(PositionTraded)
    def exercised(self, position: int, e: PositionTraded) -> None:
        if e.order_id.int:
            return
        row = _beside_orders(position, e, OPTION_TRADE)
        row |= {"qty": e.qty if e.side == _BUY else -e.qty, "price": e.price, "side": e.side}
        self.activities.put(position, row | {"price_decimals": e.price_decimals})


_ENDS = {
    int(OptionEnd.EXPIRED): EXPIRED,
    int(OptionEnd.EXERCISED): EXERCISED,
    int(OptionEnd.ASSIGNED): ASSIGNED,
}


def _beside_orders(position: int, e: PositionExpired | PositionTraded, kind: int) -> dict[str, Any]:
    """A row of what no order has done; its quantity is signed as the position sees it."""
    return {
        "account_id": e.account_id,
        "at": e.at,
        "position": position,
        "kind": kind,
        "trade_id": e.trade_id,
        "order_id": NO_ID,
        "order_version": 0,
        "instrument_id": e.instrument_id,
    }


def _row(
    position: int, e: OrderFilled | OrderFillBusted | OrderFillCorrected, kind: int, price: int
) -> dict[str, Any]:
    return {
        "account_id": e.account_id,
        "at": e.at,
        "position": position,
        "kind": kind,
        "trade_id": e.trade_id,
        "order_id": e.originator_id,
        "order_version": e.originator_version,
        "instrument_id": e.instrument_id,
        "qty": e.qty,
        "price": price,
        "side": e.side,
        "price_decimals": e.price_decimals,
    }


class ActivityRow(msgspec.Struct, frozen=True, gc=False):
    """One event of a fill, or of an option's end; `price` is what it had, `new_price` what a
    correction gave it.

    `order_id` is the revision of the order that stood then. Of a trade with itself, as an auction
    may make one, an account has two fills, and this may be the `second_side`.

    `cum_qty`, `leaves_qty` and `status` are the order's after a fill. A bust or a correction says
    of them what it knows, and the rest is the order's as it is now.
    """

    at: int
    position: int
    kind: int
    trade_id: UUID
    order_id: UUID
    symbol: str
    qty: int
    price: int
    new_price: int | None
    cum_qty: int
    leaves_qty: int
    status: int
    side: int
    price_decimals: int
    second_side: bool


class Place(NamedTuple):
    """Where a row stands among those of its account."""

    at: Instant
    position: int


_CLOSE_BY = 64
"""Within so many positions of the log both sides of a trade have their fills."""
_LISTED = f"""
SELECT a.at, a.position, a.kind, a.trade_id,
       COALESCE((SELECT r.revision_id FROM order_revisions r
                  WHERE (r.account_id, r.order_id) = (a.account_id, a.order_id)
                    AND r.version < a.order_version
                  ORDER BY r.version DESC LIMIT 1), a.order_id) AS order_id,
       COALESCE(i.symbol, '') AS symbol, a.qty, a.price, a.new_price,
       COALESCE(a.cum_qty, o.filled, 0) AS cum_qty,
       COALESCE(a.leaves_qty, o.leaves, 0) AS leaves_qty,
       COALESCE(a.status, o.status, 0) AS status, a.side, a.price_decimals,
       EXISTS (SELECT FROM activities b
                WHERE (b.account_id, b.at) = (a.account_id, a.at) AND b.trade_id = a.trade_id
                  AND b.position BETWEEN a.position - {_CLOSE_BY} AND a.position - 1
              ) AS second_side
  FROM activities a
  LEFT JOIN instruments i USING (instrument_id)
  LEFT JOIN orders o USING (account_id, order_id)
 WHERE a.account_id = %(account)s AND a.kind = ANY(%(kinds)s)
"""
_BETWEEN = f"""{_LISTED}
   AND (a.at, a.position) >= (%(first_at)s, %(first)s)
   AND (a.at, a.position) <= (%(last_at)s, %(last)s)
"""
_PAGES = {
    "asc": f"{_BETWEEN} ORDER BY a.at, a.position LIMIT %(limit)s",
    "desc": f"{_BETWEEN} ORDER BY a.at DESC, a.position DESC LIMIT %(limit)s",
}
_NAMED = f"{_LISTED} AND a.at = %(at)s AND (a.trade_id = %(trade)s OR a.position = %(position)s)"
_FIRST = Place(0, 0)
_LAST = Place(MAX_INSTANT, 2**63 - 1)


async def list_activities(
    conn: Connection,
    account_id: UUID,
    kinds: Sequence[int],
    *,
    after: Instant | None = None,
    until: Instant | None = None,
    cursor: Place | None = None,
    direction: Direction = "desc",
    limit: int = 100,
) -> Sequence[ActivityRow]:
    """An account's activities of some kinds by time; `after` and `until` are exclusive.

    Those that stand at the `cursor` are the first of what is found, as one row may be two to
    a client.
    """
    first = _FIRST if after is None else Place(after + 1, 0)
    last = _LAST if until is None else Place(until - 1, _LAST.position)
    if cursor is not None and direction == "asc":
        first = max(first, cursor)
    elif cursor is not None:
        last = min(last, cursor)
    arguments = {
        "account": account_id,
        "kinds": list(kinds),
        "first_at": first.at,
        "first": first.position,
        "last_at": last.at,
        "last": last.position,
        "limit": limit,
    }
    async with conn.cursor(row_factory=class_row(ActivityRow)) as opened:
        return await rows_of(await opened.execute(_PAGES[direction], arguments))


async def named_activities(
    conn: Connection, account_id: UUID, at: Instant, trade_id: UUID, position: int
) -> Sequence[ActivityRow]:
    """An account's activities of an instant that are of a trade, or stand at a log position."""
    of = {"account": account_id, "kinds": list(KINDS)}
    arguments = {**of, "at": at, "trade": trade_id, "position": position}
    async with conn.cursor(row_factory=class_row(ActivityRow)) as opened:
        return await (await opened.execute(_NAMED, arguments)).fetchall()
