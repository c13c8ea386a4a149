"""Multi-leg orders as clients ask for them: by any of their ids, or listed by submission."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import msgspec
from msgspec.structs import replace
from psycopg import sql
from psycopg.rows import class_row, dict_row

from application.log.ports import LogSubqueries
from application.multileg import StrategyView
from projections.connections import Connection
from projections.instruments import named_by
from projections.order_windows import Wanted, Window, page_of


class StrategyRow(StrategyView, frozen=True, array_like=True, gc=False):
    """One revision of a multi-leg order as the views know it."""

    refusal_message: str = ""
    open_qty: int = 0


class _State(msgspec.Struct, frozen=True, gc=False):
    """The row of a multi-leg order: as its first revision, with what has become of it."""

    row: StrategyRow
    current_revision_id: UUID | None
    current_qty: int
    open: bool


class _Revision(msgspec.Struct, frozen=True, gc=False):
    """The terms of a later revision, and what had become of the one before it."""

    revision_id: UUID
    strategy_id: UUID
    replaces: UUID
    at: int
    qty: int
    net_price: int
    filled_before: int
    filled_at_before: int
    cost_before: str
    client_order_id: str

    def ends(self, row: StrategyRow) -> StrategyRow:
        """The revision before it, as it stood when it was replaced."""
        stood = replace(
            row,
            filled=self.filled_before,
            leaves=row.qty - self.filled_before,
            cost=self.cost_before,
            filled_at=self.filled_at_before,
            status=0,
            ended_at=0,
            end_reason=0,
        )
        return stood.replaced(self.revision_id, self.at)

    def begins(self, first: StrategyRow) -> StrategyRow:
        """The revision itself: its own terms, and how the order stands now."""
        return replace(
            first,
            revision_id=self.revision_id,
            replaces=self.replaces,
            client_order_id=self.client_order_id,
            submitted_at=self.at,
            qty=self.qty,
            net_price=self.net_price,
        )


_COLUMNS = (
    *("account_id", "order_type", "time_in_force", "qty", "leaves", "filled", "net_price"),
    *("execution", "leg_seconds", "client_order_id", "status", "submitted_at", "updated_at"),
    *("filled_at", "ended_at", "end_reason", "refusal_code", "refusal_message", "multiplier"),
    "open_qty",
)
_STATE = (
    f"SELECT strategy_id, {', '.join(_COLUMNS)}, cost::text AS cost,"
    " unwinding_cost::text AS unwinding_cost, constraints, current_revision_id, current_qty, open"
    " FROM strategies"
)
# A leg keeps the name by which it was asked for only where that names nothing.
_LEGS = """
SELECT l.strategy_id, l.order_id, l.instrument_id, COALESCE(i.symbol, l.symbol) AS symbol,
       l.side, l.ratio, l.position_intent
  FROM strategy_legs l LEFT JOIN instruments i USING (instrument_id)
 WHERE l.account_id = %s AND l.strategy_id = ANY(%s)
 ORDER BY l.strategy_id, l.place
"""
_REVISIONS = """
SELECT revision_id, strategy_id, replaces, at, qty, net_price, filled_before, filled_at_before,
       cost_before::text AS cost_before, client_order_id
  FROM strategy_revisions
 WHERE account_id = %s AND strategy_id = ANY(%s)
 ORDER BY strategy_id, version
"""
_BY_ID = """
 WHERE account_id = %(account_id)s
   AND strategy_id = COALESCE(
       (SELECT strategy_id FROM strategy_revisions WHERE revision_id = %(id)s), %(id)s)
"""
_NEWEST = "COALESCE(current_revision_id, strategy_id)"
_OF_LATER = (
    "SELECT strategy_id FROM strategy_revisions r JOIN strategies USING (account_id, strategy_id)"
)
_HAS_LEG = (
    "strategy_id IN (SELECT l.strategy_id FROM strategy_legs l WHERE l.account_id = {} AND {})"
)
_NAMED_BY = f"(l.instrument_id IN {named_by('ANY({0})')} OR l.symbol = ANY({{0}}))"
_OF_CLASS = "l.instrument_id IN (SELECT instrument_id FROM instruments WHERE asset_class = ANY({}))"


async def get_strategy(conn: Connection, account_id: UUID, order_id: UUID) -> StrategyRow | None:
    """The multi-leg order behind its id or that of a revision, that revision as it stands."""
    chain = await _chain_where(conn, account_id, _BY_ID, {"account_id": account_id, "id": order_id})
    named = [row for row in chain if row.revision_id == order_id]
    return (named or chain)[-1] if chain else None


async def get_strategy_by_client_id(
    conn: Connection, log: LogSubqueries, account_id: UUID, client_order_id: str
) -> StrategyRow | None:
    """The newest revision that has this client order id."""
    if "\x00" in client_order_id:
        return None
    where = f" WHERE (account_id, strategy_id) = ({log.order_of_request})"
    keys = {"account_id": account_id, "client_order_id": client_order_id}
    chain = await _chain_where(conn, account_id, where, keys)
    named = [row for row in chain if row.client_order_id == client_order_id]
    return named[-1] if named else None


async def open_strategies(conn: Connection, account_id: UUID) -> list[UUID]:
    """An account's multi-leg orders that may still trade, by their first ids, the oldest first."""
    query = "SELECT strategy_id FROM strategies WHERE account_id = %s AND open ORDER BY strategy_id"
    async with conn.cursor() as cursor:
        await cursor.execute(query, (account_id,))
        return [row[0] for row in await cursor.fetchall()]


async def closing_orders(conn: Connection, account_id: UUID, strategy_id: UUID) -> list[UUID]:
    """The orders by which legs of a multi-leg order were unwound, in the order they came."""
    query = (
        "SELECT order_id FROM strategy_closings WHERE account_id = %s AND strategy_id = %s"
        " ORDER BY order_id"
    )
    async with conn.cursor() as cursor:
        await cursor.execute(query, (account_id, strategy_id))
        return [row[0] for row in await cursor.fetchall()]


async def strategies_in(
    conn: Connection, account_id: UUID, wanted: Wanted, window: Window, limit: int
) -> list[StrategyRow]:
    """The first of an account's multi-leg orders that are submitted within a window.

    They have no side, and so are none of either; a symbol or a class is that of any leg.
    """
    if wanted.side is not None:
        return []
    conditions = _conditions(account_id, wanted)
    order_and_limit = sql.SQL("{} LIMIT {}").format(
        sql.SQL("DESC" if wanted.direction == "desc" else "ASC"), limit
    )
    if wanted.status == "open":
        conditions.append(sql.SQL("open"))
        query = page_of(_STATE, conditions, window, _NEWEST, order_and_limit)
    else:
        first, later = conditions, list(conditions)
        if wanted.status == "closed":
            first.append(sql.SQL("(NOT open OR current_revision_id IS NOT NULL)"))
            later.append(sql.SQL("(NOT open OR current_revision_id <> r.revision_id)"))
        query = sql.SQL("{} WHERE account_id = {} AND strategy_id IN (({}) UNION ({}))").format(
            sql.SQL(_STATE),
            account_id,
            page_of(
                "SELECT strategy_id FROM strategies",
                first,
                window,
                "strategy_id",
                order_and_limit,
            ),
            page_of(_OF_LATER, later, window, "r.revision_id", order_and_limit),
        )
    states = await _states(conn, account_id, query, {})
    revisions = await _revisions(conn, account_id, states)
    rows: list[StrategyRow] = []
    for state in states:
        chain = _chain(state, revisions.get(state.row.order_id, []))
        if wanted.status == "open":
            chain = chain[-1:]
        elif wanted.status == "closed" and state.open:
            chain = chain[:-1]
        rows.extend(row for row in chain if window.first <= row.revision_id < window.end)
    return rows


def _conditions(account_id: UUID, wanted: Wanted) -> list[sql.Composable]:
    conditions: list[sql.Composable] = [sql.SQL("account_id = {}").format(account_id)]
    if wanted.symbols:
        named = sql.SQL(_NAMED_BY).format(list(wanted.symbols))
        conditions.append(sql.SQL(_HAS_LEG).format(account_id, named))
    if wanted.asset_classes:
        of_class = sql.SQL(_OF_CLASS).format(list(wanted.asset_classes))
        conditions.append(sql.SQL(_HAS_LEG).format(account_id, of_class))
    return conditions


async def _chain_where(
    conn: Connection, account_id: UUID, where: str, arguments: Mapping[str, Any]
) -> list[StrategyRow]:
    """All revisions of the one that is found; none where there is none."""
    states = await _states(conn, account_id, _STATE + where, arguments)
    if not states:
        return []
    revisions = await _revisions(conn, account_id, states)
    return _chain(states[0], revisions.get(states[0].row.order_id, []))


async def _states(
    conn: Connection, account_id: UUID, query: Any, arguments: Mapping[str, Any]
) -> list[_State]:
    async with conn.cursor(row_factory=dict_row) as cursor:
        # Without arguments a per cent sign is one, whatever a client has written.
        found = await (await cursor.execute(query, arguments or None)).fetchall()
        if not found:
            return []
        ids = [row["strategy_id"] for row in found]
        legs: dict[UUID, list[Any]] = {}
        for leg in await (await cursor.execute(_LEGS, (account_id, ids))).fetchall():
            strategy_id = leg.pop("strategy_id")
            legs.setdefault(strategy_id, []).append(tuple(leg.values()))
    return [_state(row, legs.get(row["strategy_id"], [])) for row in found]


def _state(found: dict[str, Any], legs: Sequence[Any]) -> _State:
    strategy_id = found["strategy_id"]
    constraints = msgspec.json.decode(found["constraints"])
    row = StrategyRow(
        cost=found["cost"],
        order_id=strategy_id,
        revision_id=strategy_id,
        legs=tuple(legs),
        constraints=tuple(map(tuple, constraints)),
        unwinding_cost=found["unwinding_cost"],
        **{name: found[name] for name in _COLUMNS},
    )
    return _State(row, found["current_revision_id"], found["current_qty"], found["open"])


async def _revisions(
    conn: Connection, account_id: UUID, states: Sequence[_State]
) -> dict[UUID, list[_Revision]]:
    replaced = [s.row.order_id for s in states if s.current_revision_id is not None]
    found: dict[UUID, list[_Revision]] = {}
    if replaced:
        async with conn.cursor(row_factory=class_row(_Revision)) as cursor:
            await cursor.execute(_REVISIONS, (account_id, replaced))
            async for revision in cursor:
                found.setdefault(revision.strategy_id, []).append(revision)
    return found


def _chain(state: _State, revisions: Sequence[_Revision]) -> list[StrategyRow]:
    """All revisions, the first one first, each as it stands or stood."""
    chain = [state.row]
    for revision in revisions:
        chain[-1] = revision.ends(chain[-1])
        chain.append(revision.begins(state.row))
    chain[-1] = replace(chain[-1], qty=state.current_qty)
    return chain
