"""Orders as clients ask for them: by any of their ids, or listed, each revision as it stood."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import msgspec
from msgspec.structs import astuple, replace
from psycopg import sql
from psycopg.rows import class_row

from application.log.ports import LogSubqueries
from application.orders import OrderView
from application.turns import Turn
from domain.identifiers import Instant
from domain.terms import Leg, OrderClass
from projections.connections import Connection
from projections.order_groups import get_groups
from projections.order_windows import (
    Direction,
    Status,
    Wanted,
    Window,
    page_of,
    submission,
    whole_page,
)
from projections.pieces import rows_of


class OrderRow(OrderView, frozen=True, array_like=True, gc=False):
    """One revision of an order as the views know it."""

    refusal_message: str | None = None
    order_class: int = 0
    ratio: int = 0
    position_intent: int = 0


class _State(OrderRow, frozen=True, array_like=True, gc=False):
    """The row of an order: its state, with its first revision's terms."""

    current_revision_id: UUID | None = None
    current_qty: int = 0
    current_stop: int = 0
    open: bool = False
    group_open: bool = False


class _Revision(msgspec.Struct, frozen=True, gc=False):
    """The terms of a later revision, and what had become of the order before it.

    `restated_qty` is what the venue last made of the quantity, at `restated_version`.
    """

    revision_id: UUID
    order_id: UUID
    replaces: UUID
    at: int
    qty: int
    limit_price: int
    stop_price: int
    trail_price: int
    trail_percent: int
    stop_before: int
    water_mark_before: int
    expires_at: int
    version: int
    filled_before: int
    filled_at_before: int
    triggered_at_before: int
    protection_price_before: int
    time_in_force: int
    status_before: int
    value_before: str
    client_order_id: str
    restated_version: int
    restated_qty: int

    def ends(self, row: OrderRow, version: int) -> OrderRow:
        """The revision before it, whose terms are of `version`, as it stood when replaced."""
        stood = replace(
            row,
            qty=self.restated_qty if self.restated_version > version else row.qty,
            filled=self.filled_before,
            value=self.value_before,
            status=self.status_before,
            # Once it was told of the order, whatever its revisions.
            filled_at=self.filled_at_before if self.filled_at_before >= row.submitted_at else 0,
            triggered_at=self.triggered_at_before,
            protection_price=self.protection_price_before,
            stop_price=self.stop_before or row.stop_price,
            water_mark=self.water_mark_before,
            ended_at=0,
            end_reason=0,
        )
        return stood.replaced(self.revision_id, self.at)

    def begins(self, first: OrderRow) -> OrderRow:
        """The revision itself, by the order's first one: its own terms, and how it stands now."""
        return replace(
            first,
            revision_id=self.revision_id,
            replaces=self.replaces,
            client_order_id=self.client_order_id,
            submitted_at=self.at,
            qty=self.qty,
            limit_price=self.limit_price,
            stop_price=self.stop_price,
            trail_price=self.trail_price,
            trail_percent=self.trail_percent,
            time_in_force=self.time_in_force,
            expires_at=self.expires_at,
        )


_NOT_STORED = {"replaced_at", "replaces", "replaced_by"}
_OF_GROUP = (
    f"CASE WHEN leg = 0 THEN {{}} WHEN leg >= {int(Leg.FIRST)} THEN {{}} ELSE"
    " (SELECT g.{} FROM order_groups g WHERE g.group_id = orders.group_id) END"
)
_GROUP_OPEN = _OF_GROUP.format("false", "false", "open")
_OF_STRATEGY = (
    f"CASE WHEN leg < {int(Leg.FIRST)} THEN 0 ELSE COALESCE((SELECT l.{{}} FROM strategy_legs l"
    " WHERE l.account_id = orders.account_id AND l.strategy_id = orders.group_id"
    f" AND l.place = orders.leg - {int(Leg.FIRST)}), 0) END"
)
_EXPRESSIONS = {
    "value": "value::text",
    "refusal_code": "COALESCE(refusal_code, '')",
    # One that was refused may name an instrument that never was.
    "symbol": (
        "COALESCE((SELECT i.symbol FROM instruments i"
        " WHERE i.instrument_id = orders.instrument_id), symbol)"
    ),
    "order_class": _OF_GROUP.format("refused_class", int(OrderClass.MLEG), "order_class"),
    "ratio": _OF_STRATEGY.format("ratio"),
    "position_intent": _OF_STRATEGY.format("position_intent"),
    "group_open": _GROUP_OPEN,
}
_STATE = "SELECT {} FROM orders".format(
    ", ".join(
        f"{_EXPRESSIONS[name]} AS {name}" if name in _EXPRESSIONS else name
        for name in _State.__struct_fields__
        if name not in _NOT_STORED
    )
)
_NEWEST = "COALESCE(current_revision_id, order_id)"
_OF_LATER = "SELECT order_id FROM order_revisions r JOIN orders USING (account_id, order_id)"

# Found by the two partial indexes: most orders of an account are closed.
_OPEN_NESTED = """
order_id IN (SELECT o.order_id FROM orders o WHERE o.account_id = {0} AND o.open
             UNION SELECT g.parent_id FROM order_groups g WHERE g.account_id = {0} AND g.open)
"""

_BY_ID = (
    _STATE
    + """
 WHERE account_id = %(account_id)s
   AND order_id = COALESCE(
       (SELECT order_id FROM order_revisions WHERE revision_id = %(id)s),
       (SELECT order_id FROM orders
         WHERE revision_id = %(id)s AND revision_id <> order_id LIMIT 1),
       (SELECT parent_id FROM order_groups WHERE group_id = %(id)s),
       %(id)s)
"""
)

_REVISIONS = """
SELECT r.revision_id, r.order_id, r.replaces, r.at, r.qty, r.limit_price,
       r.stop_price, r.trail_price, r.trail_percent, r.stop_before, r.water_mark_before,
       r.expires_at, r.version, r.filled_before, r.filled_at_before,
       r.triggered_at_before, r.protection_price_before, r.time_in_force, r.status_before,
       r.value_before::text AS value_before, r.client_order_id,
       COALESCE(s.version, 0) AS restated_version, COALESCE(s.qty, 0) AS restated_qty
  FROM order_revisions r
  LEFT JOIN LATERAL
       (SELECT version, qty FROM order_restatements
         WHERE order_id = r.order_id AND version < r.version
         ORDER BY version DESC LIMIT 1) s ON true
 WHERE r.account_id = %s AND r.order_id = ANY(%s)
 ORDER BY r.order_id, r.version
"""


async def get_order(conn: Connection, account_id: UUID, order_id: UUID) -> OrderRow | None:
    """The order behind its id or the id of any of its revisions, that revision as it stands.

    The id of a group stands for its parent.
    """
    state = await _one(conn, _BY_ID, {"account_id": account_id, "id": order_id})
    if state is None:
        return None
    revisions = await _revisions(conn, account_id, [state])
    chain = _chain(state, revisions.get(state.order_id, []))
    named = [row for row in chain if row.revision_id == order_id]
    return named[0] if named else chain[-1]


async def get_order_by_client_id(
    conn: Connection, log: LogSubqueries, account_id: UUID, client_order_id: str
) -> OrderRow | None:
    """The newest revision that has this client order id."""
    if "\x00" in client_order_id:
        return None
    # The writer keeps every request key for ever, with the position of its answer: a second
    # index of the same ids, the dearest there could be, is not needed.
    query = f"{_STATE} WHERE (account_id, order_id) = ({log.order_of_request})"
    keys = {"account_id": account_id, "client_order_id": client_order_id}
    state = await _one(conn, query, keys)
    if state is None:
        # The client gave a leg no id: the venue named it by its own.
        state = await _named_by_its_id(conn, account_id, client_order_id)
    if state is None:
        return None
    revisions = await _revisions(conn, account_id, [state])
    chain = _chain(state, revisions.get(state.order_id, []))
    named = [row for row in chain if row.client_order_id == client_order_id]
    return named[-1] if named else None


async def _named_by_its_id(conn: Connection, account_id: UUID, text: str) -> _State | None:
    try:
        order_id = UUID(text)
    except ValueError:
        return None
    return await _one(conn, _BY_ID, {"account_id": account_id, "id": order_id})


async def submission_of(conn: Connection, account_id: UUID, order_id: UUID) -> UUID | None:
    """Where an order, by any of its ids, stands among those of its account: what a page ends at."""
    row = await get_order(conn, account_id, order_id)
    return None if row is None else submission(row)


async def list_orders(
    conn: Connection,
    account_id: UUID,
    *,
    status: Status = "open",
    limit: int = 50,
    after: Instant | None = None,
    until: Instant | None = None,
    direction: Direction = "desc",
    side: int | None = None,
    symbols: Sequence[str] = (),
    asset_classes: Sequence[str] = (),
    before_id: UUID | None = None,
    after_id: UUID | None = None,
    nested: bool = False,
    whole_instants: bool = False,
) -> list[OrderRow]:
    """An account's orders by time of submission; `after` and `until` are exclusive.

    A revision is submitted when it takes its place; one that was replaced counts as closed.
    `before_id` and `after_id` are submissions (`submission_of`), exclusive too. `nested` leaves
    out the legs of groups: a parent is open as long as its group is. With `whole_instants` a
    page takes along what was submitted at the instant it would end in, so that who goes on by
    that instant loses nothing.
    """
    wanted = Wanted(status, direction, side, symbols, asset_classes, nested)
    window = Window.of(after, until, after_id, before_id)

    async def read(span: Window, most: int) -> list[OrderRow]:
        return await orders_in(conn, account_id, wanted, span, most)

    if not whole_instants:
        return await read(window, limit)
    return await whole_page(read, window, limit, direction)


async def orders_in(
    conn: Connection, account_id: UUID, wanted: Wanted, window: Window, limit: int
) -> list[OrderRow]:
    """The first of an account's orders that are submitted within a window, in order."""
    nested, direction = wanted.nested, wanted.direction
    conditions = wanted.conditions(account_id)
    order_and_limit = sql.SQL("{} LIMIT {}").format(
        sql.SQL("DESC" if direction == "desc" else "ASC"), limit
    )
    if wanted.status == "open":
        conditions.append(sql.SQL(_OPEN_NESTED if nested else "open").format(account_id))
        query = page_of(_STATE, conditions, window, _NEWEST, order_and_limit)
    else:
        works = f"(open OR {_GROUP_OPEN})" if nested else "open"
        first, later = conditions, list(conditions)
        if wanted.status == "closed":
            first.append(sql.SQL(f"(NOT {works} OR current_revision_id IS NOT NULL)"))
            later.append(sql.SQL(f"(NOT {works} OR current_revision_id <> r.revision_id)"))
        query = sql.SQL("{} WHERE account_id = {} AND order_id IN (({}) UNION ({}))").format(
            sql.SQL(_STATE),
            account_id,
            page_of("SELECT order_id FROM orders", first, window, "order_id", order_and_limit),
            page_of(_OF_LATER, later, window, "r.revision_id", order_and_limit),
        )
    async with conn.cursor(row_factory=class_row(_State)) as cursor:
        states = await rows_of(await cursor.execute(query))
    revisions = await _revisions(conn, account_id, states)
    rows: list[OrderRow] = []
    turn = Turn()
    for state in states:
        await turn.is_over()
        chain = _chain(state, revisions.get(state.order_id, []))
        if wanted.status == "open":
            chain = chain[-1:]
        elif wanted.status == "closed" and (state.open or (nested and state.group_open)):
            chain = chain[:-1]
        rows.extend(row for row in chain if window.first <= submission(row) < window.end)
    rows.sort(key=submission, reverse=direction == "desc")
    return rows[:limit]


async def legs_of(
    conn: Connection,
    account_id: UUID,
    rows: Sequence[OrderRow],
    of_strategies: Mapping[UUID, UUID] | None = None,
) -> dict[UUID, list[OrderRow]]:
    """The legs beneath those rows that are parents of groups, by parent, each as it stands; with
    them those of multi-leg orders, whose legs' ids lead to their parents'.
    """
    candidates = {row.order_id: row.group_id for row in rows if row.leg}
    parents = {parent: parent for parent in (of_strategies or {}).values()}
    beneath = [*(of_strategies or ())]
    if candidates:
        groups = await get_groups(conn, account_id, list(set(candidates.values())))
        parents |= {group.group_id: group.parent_id for group in groups}
        beneath += [
            leg for group in groups if group.parent_id in candidates for leg in group.members[1:]
        ]
    if not beneath:
        return {}
    query = _STATE + " WHERE account_id = %s AND order_id = ANY(%s) ORDER BY leg"
    async with conn.cursor(row_factory=class_row(_State)) as cursor:
        states = await rows_of(await cursor.execute(query, (account_id, beneath)))
    revisions = await _revisions(conn, account_id, states)
    found: dict[UUID, list[OrderRow]] = {}
    for state in states:
        chain = _chain(state, revisions.get(state.order_id, []))
        found.setdefault(parents[state.group_id], []).append(chain[-1])
    return found


async def joined_exits(conn: Connection, account_id: UUID) -> dict[UUID, int]:
    """What legs of multi-leg orders reserve of positions, by instrument."""
    async with conn.cursor() as cursor:
        await cursor.execute(
            """
            SELECT instrument_id, sum(hold_qty)::bigint FROM orders
             WHERE account_id = %s AND open AND leg >= %s GROUP BY instrument_id
            """,
            (account_id, int(Leg.FIRST)),
        )
        return {instrument_id: qty for instrument_id, qty in await cursor.fetchall()}


async def _one(conn: Connection, query: str, arguments: dict[str, Any]) -> _State | None:
    async with conn.cursor(row_factory=class_row(_State)) as cursor:
        return await (await cursor.execute(query, arguments)).fetchone()


async def _revisions(
    conn: Connection, account_id: UUID, states: Sequence[_State]
) -> dict[UUID, list[_Revision]]:
    replaced = [state.order_id for state in states if state.current_revision_id is not None]
    found: dict[UUID, list[_Revision]] = {}
    if replaced:
        async with conn.cursor(row_factory=class_row(_Revision)) as cursor:
            await cursor.execute(_REVISIONS, (account_id, replaced))
            async for revision in cursor:
                found.setdefault(revision.order_id, []).append(revision)
    return found


def _chain(state: _State, revisions: list[_Revision]) -> list[OrderRow]:
    """All revisions of an order, the first one first, each as it stands or stood."""
    first = OrderRow(*astuple(state)[: len(OrderRow.__struct_fields__)])
    chain = [first]
    version = 1
    for revision in revisions:
        chain[-1] = revision.ends(chain[-1], version)
        chain.append(revision.begins(first))
        version = revision.version
    # What the venue took from or added to an order changes its newest terms, as where a stop
    # stands that trails.
    chain[-1] = replace(chain[-1], qty=state.current_qty, stop_price=state.current_stop)
    return chain
