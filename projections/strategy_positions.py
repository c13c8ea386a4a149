"""What multi-leg orders have opened and what of it is open: from their legs and all fills.

Nothing is kept for it: an account's fills of the instruments of its legs are gone through when it
is asked, each as it stands after busts and corrections, which so are followed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple
from uuid import UUID

from psycopg.rows import dict_row

from domain.identifiers import Instant
from domain.terms import Execution, TriggerRule
from projections.activities import BUSTED, CORRECTED, FILLED
from projections.connections import Connection
from projections.strategy_lots import Fill, LegLots, Orders, Worth, lots_of

Shown = Literal["open", "closed", "all"]

_MARK = int(TriggerRule.MARK)
_SIMULTANEOUS = int(Execution.SIMULTANEOUS)
_LEGS = """
SELECT l.strategy_id, l.order_id, l.instrument_id, l.side, l.ratio, l.place, s.client_order_id,
       s.submitted_at, s.execution, i.symbol, i.price_decimals, i.multiplier, i.trigger_rule,
       i.last_price, i.mark_price, i.reference_price
  FROM strategy_legs l
  JOIN strategies s USING (account_id, strategy_id)
  JOIN instruments i USING (instrument_id)
 WHERE l.account_id = %s
 ORDER BY l.strategy_id, l.place
"""
_FILLS = """
SELECT position, kind, trade_id, order_id, instrument_id, side, qty, price, new_price
  FROM activities
 WHERE account_id = %s AND instrument_id = ANY(%s)
 ORDER BY at, position
"""
_CLOSINGS = """
SELECT c.order_id, l.order_id AS leg_id
  FROM strategy_closings c
  JOIN strategy_legs l USING (account_id, strategy_id, place)
 WHERE c.account_id = %s AND l.instrument_id = ANY(%s)
"""


class LegPosition(NamedTuple):
    """A leg, what its order has traded, and what it is valued at; a price of 0 is none."""

    instrument_id: UUID
    symbol: str
    side: int
    ratio: int
    price: int
    worth: Worth
    lots: LegLots


class StrategyPosition(NamedTuple):
    """A multi-leg order that has traded, with its legs; `flags` say what the venue undid."""

    strategy_id: UUID
    client_order_id: str
    submitted_at: Instant
    legs: tuple[LegPosition, ...]
    flags: tuple[str, ...]

    @property
    def is_open(self) -> bool:
        """Whether anything that it has opened is open."""
        return any(leg.lots.open_qty for leg in self.legs)


class _Trades(NamedTuple):
    """Fills as they stand, and the orders of which some were busted."""

    fills: list[Fill]
    busted: set[UUID]


async def list_strategy_positions(
    conn: Connection, account_id: UUID, shown: Shown = "open"
) -> list[StrategyPosition]:
    """An account's multi-leg orders that have traded, the oldest first."""
    async with conn.cursor(row_factory=dict_row) as cursor:
        legs = await (await cursor.execute(_LEGS, (account_id,))).fetchall()
        if not legs:
            return []
        wanted = account_id, list({leg["instrument_id"] for leg in legs})
        rows = await (await cursor.execute(_FILLS, wanted)).fetchall()
        closings = await (await cursor.execute(_CLOSINGS, wanted)).fetchall()
    # Beside the loop: who has traded for years makes nobody else wait for the count.
    return await asyncio.to_thread(_reckoned, legs, rows, closings, shown)


def _reckoned(
    legs: Sequence[dict[str, Any]],
    rows: Sequence[Mapping[str, Any]],
    closings: Sequence[Mapping[str, Any]],
    shown: Shown,
) -> list[StrategyPosition]:
    trades = _as_they_stand(rows)
    worths = {leg["instrument_id"]: Worth(leg["price_decimals"], leg["multiplier"]) for leg in legs}
    sides = {leg["order_id"]: leg["side"] for leg in legs}
    closers = {row["order_id"]: row["leg_id"] for row in closings}
    lots = lots_of(trades.fills, Orders(sides, closers), worths)
    strategies: dict[UUID, list[dict[str, Any]]] = {}
    for leg in legs:
        strategies.setdefault(leg["strategy_id"], []).append(leg)
    found = [_position(own, lots, trades.busted) for own in strategies.values()]
    return [
        one
        for one in found
        if any(leg.lots.traded for leg in one.legs) or one.flags
        if shown == "all" or one.is_open is (shown == "open")
    ]


def _as_they_stand(rows: Sequence[Mapping[str, Any]]) -> _Trades:
    """What was traded, in order, at its present price and without what was busted.

    What an option's end closes for nothing, and what its exercise trades, is no order's.
    """
    fills: dict[tuple[UUID, UUID] | int, Fill] = {}
    busted: set[UUID] = set()
    for row in rows:
        kind = row["kind"]
        fill = Fill(
            row["order_id"], row["instrument_id"], row["side"], abs(row["qty"]), row["price"]
        )
        key = row["trade_id"], row["order_id"]
        if kind == BUSTED:
            fills.pop(key, None)
            busted.add(row["order_id"])
        elif kind == CORRECTED:
            fills[key] = fills[key]._replace(price=row["new_price"])
        elif kind == FILLED:
            fills[key] = fill
        else:
            fills[row["position"]] = fill
    return _Trades(list(fills.values()), busted)


def _position(
    legs: Sequence[Mapping[str, Any]], lots: Mapping[UUID, LegLots], busted: set[UUID]
) -> StrategyPosition:
    first = legs[0]
    shown = tuple(
        LegPosition(
            leg["instrument_id"],
            leg["symbol"],
            leg["side"],
            leg["ratio"],
            _price(leg),
            Worth(leg["price_decimals"], leg["multiplier"]),
            lots.get(leg["order_id"]) or LegLots(leg["side"]),
        )
        for leg in legs
    )
    flags = []
    if any(leg["order_id"] in busted for leg in legs):
        flags.append("leg_busted")
    units = {(leg.lots.traded, leg.ratio) for leg in shown}
    if first["execution"] == _SIMULTANEOUS and not _in_ratio(units):
        flags.append("out_of_ratio")
    return StrategyPosition(
        first["strategy_id"],
        first["client_order_id"],
        first["submitted_at"],
        shown,
        tuple(flags),
    )


def _in_ratio(legs: set[tuple[int, int]]) -> bool:
    """Whether all legs have traded as many units, of their quantities and ratios."""
    (qty, ratio), *others = legs
    return all(qty * other_ratio == other * ratio for other, other_ratio in others)


def _price(leg: Mapping[str, Any]) -> int:
    """What a leg is valued at, as holdings are."""
    if leg["trigger_rule"] == _MARK and leg["mark_price"]:
        return int(leg["mark_price"])
    return int(leg["last_price"] or leg["mark_price"] or leg["reference_price"])
