"""What an account's equity was made of, read for some minutes, and what came in or went out."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from operator import attrgetter
from typing import Any, NamedTuple
from uuid import UUID

from psycopg import AsyncCursor

from application.turns import Turn
from domain.terms import TriggerRule
from projections.connections import Connection
from projections.equity import Valued, value_of
from projections.pieces import rows_of

_BY_MARK = int(TriggerRule.MARK)


class Span(NamedTuple):
    """Minutes since 1970 from the first to the last, both included, in steps of so many."""

    first: int
    last: int
    step: int = 1


class Change(NamedTuple):
    """What stands from a minute on: money, a quantity, or what a value follows from.

    Money has no instrument; `kind` says which money, or what of the instrument.
    """

    minute: int
    instrument_id: UUID | None
    kind: int
    value: int


CASH, UNSETTLED, HELD = -1, -2, -3
"""The kinds of change that are not of a price."""


class TooMany(Exception):
    """More changes than anybody reads at once."""


class FlowRow(NamedTuple):
    """What came in or went out, and in which minute: cents, signed as the account sees it."""

    position: int
    minute: int
    kind: int
    amount: int


class SessionRow(NamedTuple):
    """A session date, from its first opening to its last closing (0: none yet)."""

    session_date: int
    opened_at: int
    closed_at: int


def price_of(rule: int, mark: int, last: int, reference: int) -> int:
    """What a holding is valued at: the mark where it moves stops, else the last trade, the mark,
    the reference; 0 where there is no price.
    """
    if rule == _BY_MARK and mark:
        return mark
    return last or mark or reference


_MONEY = """
(SELECT minute, NULL::uuid, kind, value FROM (
   (SELECT minute, -1 AS kind, cash AS value FROM equity_money
     WHERE account_id = %(account)s AND minute < %(first)s ORDER BY minute DESC LIMIT 1)
   UNION ALL
   (SELECT minute, -2, unsettled FROM equity_money
     WHERE account_id = %(account)s AND minute < %(first)s AND unsettled IS NOT NULL
     ORDER BY minute DESC LIMIT 1)) before)
UNION ALL
SELECT minute, NULL::uuid, kind, value
  FROM equity_money CROSS JOIN LATERAL (VALUES (-1, cash), (-2, unsettled)) said (kind, value)
 WHERE account_id = %(account)s AND minute BETWEEN %(first)s AND %(last)s AND value IS NOT NULL
 LIMIT %(limit)s
"""

_HELD = """
SELECT h.minute, p.instrument_id, -3, h.qty
  FROM positions p CROSS JOIN LATERAL (
       SELECT minute, qty FROM equity_holdings
        WHERE account_id = p.account_id AND instrument_id = p.instrument_id
          AND minute < %(first)s ORDER BY minute DESC LIMIT 1) h
 WHERE p.account_id = %(account)s
UNION ALL
SELECT minute, instrument_id, -3, qty FROM equity_holdings
 WHERE account_id = %(account)s AND minute BETWEEN %(first)s AND %(last)s
 LIMIT %(limit)s
"""

_VALUED = """
SELECT v.minute, i.id, k.kind::int, v.level
  FROM unnest(%(instruments)s::uuid[]) AS i (id)
 CROSS JOIN generate_series(0, 5) AS k (kind)
 CROSS JOIN LATERAL (
       SELECT minute, level FROM equity_prices
        WHERE instrument_id = i.id AND kind = k.kind AND minute < %(first)s
        ORDER BY minute DESC LIMIT 1) v
UNION ALL
(SELECT DISTINCT ON (instrument_id, kind, minute / %(step)s) minute, instrument_id, kind, level
  FROM equity_prices
 WHERE instrument_id = ANY(%(instruments)s) AND minute BETWEEN %(first)s AND %(last)s
 ORDER BY instrument_id, kind, minute / %(step)s, minute DESC)
 LIMIT %(limit)s
"""


async def changes_of(conn: Connection, account_id: UUID, span: Span, *, limit: int) -> list[Change]:
    """What an account's equity was made of before a span, and each change within it, in order.

    Of prices only the last of a step are told. Raises TooMany beyond so many changes.
    """
    arguments = {"account": account_id, **span._asdict(), "limit": limit + 1}
    found: list[Change] = []
    async with conn.cursor() as cursor:
        for query in (_MONEY, _HELD):
            await cursor.execute(query, arguments)
            found += await _changes(cursor)
        held = sorted({one.instrument_id for one in found if one.instrument_id is not None})
        await cursor.execute(_VALUED, {**arguments, "instruments": held})
        found += await _changes(cursor)
    if len(found) > limit:
        raise TooMany
    # Of very many it takes some hundredths of a second.
    return await asyncio.to_thread(sorted, found, key=attrgetter("minute"))


async def _changes(cursor: AsyncCursor[Any]) -> list[Change]:
    turn, found = Turn(), list[Change]()
    for row in await rows_of(cursor):
        found.append(Change(*row))
        await turn.is_over()
    return found


_FLOWS = """
SELECT position, minute, kind, amount
  FROM equity_flows WHERE account_id = %s AND position > %s ORDER BY position
"""


async def flows_of(conn: Connection, account_id: UUID, *, after: int) -> list[FlowRow]:
    """What came into an account and left it after a position of the log, in order."""
    async with conn.cursor() as cursor:
        await cursor.execute(_FLOWS, (account_id, after))
        rows = await cursor.fetchall()
    # A wide number comes as a decimal.
    return [FlowRow(position, minute, kind, int(amount)) for position, minute, kind, amount in rows]


async def sessions_of(conn: Connection, *, first: int, last: int) -> list[SessionRow]:
    """The session dates between two, both included, in order."""
    async with conn.cursor() as cursor:
        await cursor.execute(
            "SELECT session_date, opened_at, closed_at FROM equity_sessions"
            " WHERE session_date BETWEEN %s AND %s ORDER BY session_date",
            (first, last),
        )
        return [SessionRow(*row) for row in await cursor.fetchall()]


async def opened_in(conn: Connection, account_id: UUID) -> int | None:
    """The minute in which an account was opened."""
    cursor = await conn.execute(
        "SELECT min(minute) FROM equity_money WHERE account_id = %s", (account_id,)
    )
    row = await cursor.fetchone()
    return row[0] if row is not None else None


def equities(changes: Iterable[Change], ends: Iterable[int]) -> list[int]:
    """An account's equity when each of some minutes began, in cents; both are ascending."""
    standing = _Standing()
    left = iter(changes)
    following = next(left, None)
    found = []
    for end in ends:
        while following is not None and following.minute < end:
            standing.take(following)
            following = next(left, None)
        found.append(standing.equity)
    return found


class _Standing:
    """What an equity is made of at one moment."""

    def __init__(self) -> None:
        self._money = {CASH: 0, UNSETTLED: 0}
        self._qty: dict[UUID, int] = {}
        self._valued: dict[UUID, dict[int, int]] = {}
        self._worth: dict[UUID, int] = {}
        self._held = 0

    @property
    def equity(self) -> int:
        """In cents."""
        return self._money[CASH] + self._money[UNSETTLED] + self._held

    def take(self, change: Change) -> None:
        """Let something stand from now on."""
        instrument_id = change.instrument_id
        if instrument_id is None:
            self._money[change.kind] = change.value
            return
        if change.kind == HELD:
            self._qty[instrument_id] = change.value
        else:
            self._valued.setdefault(instrument_id, {})[change.kind] = change.value
        qty = self._qty.get(instrument_id, 0)
        now = 0
        if qty:
            said = self._valued.get(instrument_id, {}).get
            price = price_of(
                said(Valued.RULE, 0),
                said(Valued.MARK, 0),
                said(Valued.LAST, 0),
                said(Valued.REFERENCE, 0),
            )
            units = qty * said(Valued.MULTIPLIER, 1)
            now = value_of(units, price, said(Valued.DECIMALS, 0))
        self._held += now - self._worth.get(instrument_id, 0)
        self._worth[instrument_id] = now
