"""Orders as they stand, and each of their revisions as it stood.

An order's row keeps the terms it was accepted with and its present state; a replacement adds
a revision row with its own terms. Ids are UUIDv7 of the acceptance, so an account's orders
stand in the order of their submission by key alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal
from uuid import UUID

import msgspec
from msgspec.structs import astuple, replace
from psycopg import sql
from psycopg.rows import class_row

from application.commands import OrderView
from domain.events import (
    OrderAccepted,
    OrderCanceled,
    OrderExpired,
    OrderFillBusted,
    OrderFillCorrected,
    OrderFilled,
    OrderRejected,
    OrderReplaced,
    OrderTriggered,
)
from domain.identifiers import Instant, uuid7
from domain.money import WIRE_PRICE_SCALE
from domain.terms import OrderStatus
from projections.columns import BIGINT, BOOLEAN, SMALLINT, TEXT, UUID_, WIDE
from projections.projection import Column, Connection, Index, Projection, Table, on

_CANCELED = int(OrderStatus.CANCELED)
_REJECTED = int(OrderStatus.REJECTED)
_EXPIRED = int(OrderStatus.EXPIRED)
_LAST_WORKING = int(OrderStatus.PARTIALLY_FILLED)
_MAX_BIGINT = 2**63 - 1
_MAX_SMALLINT = 2**15 - 1

ORDERS = Table(
    "orders",
    (
        Column("account_id", UUID_),
        Column("order_id", UUID_),
        Column("instrument_id", UUID_),
        Column("revision_id", UUID_),
        Column("current_revision_id", UUID_, nullable=True),
        Column("qty", BIGINT),
        Column("filled", BIGINT),
        Column("limit_price", BIGINT),
        Column("stop_price", BIGINT),
        Column("expires_at", BIGINT),
        Column("submitted_at", BIGINT),
        Column("updated_at", BIGINT),
        Column("filled_at", BIGINT),
        Column("ended_at", BIGINT),
        Column("triggered_at", BIGINT),
        Column("side", SMALLINT),
        Column("order_type", SMALLINT),
        Column("time_in_force", SMALLINT),
        Column("status", SMALLINT),
        Column("price_decimals", SMALLINT),
        Column("end_reason", SMALLINT),
        Column("post_only", BOOLEAN),
        Column("open", BOOLEAN),
        Column("value", WIDE),
        Column("symbol", TEXT),
        Column("client_order_id", TEXT),
        Column("refusal_code", TEXT, nullable=True),
        Column("refusal_message", TEXT, nullable=True),
    ),
    key=("account_id", "order_id"),
    indexes=(
        Index("open", ("account_id", "order_id"), where="open"),
        Index("revision", ("revision_id",), where="revision_id <> order_id"),
    ),
    fillfactor=85,
    fresh=True,
)

REVISIONS = Table(
    "order_revisions",
    (
        Column("revision_id", UUID_),
        Column("account_id", UUID_),
        Column("order_id", UUID_),
        Column("replaces", UUID_),
        Column("at", BIGINT),
        Column("submitted_at", BIGINT),
        Column("qty", BIGINT),
        Column("limit_price", BIGINT),
        Column("stop_price", BIGINT),
        Column("expires_at", BIGINT),
        Column("version", BIGINT),
        Column("filled_before", BIGINT),
        Column("time_in_force", SMALLINT),
        Column("value_before", WIDE),
        Column("client_order_id", TEXT),
    ),
    key=("revision_id",),
    indexes=(Index("order", ("account_id", "order_id", "version")),),
    fresh=True,
)


class Orders(Projection):
    """Every order's present state, and the terms of each of its revisions."""

    name = "orders"
    tables = (ORDERS, REVISIONS)

    def __init__(self) -> None:
        super().__init__()
        self.orders, self.revisions = self.changes

    @on(OrderAccepted)
    def accepted(self, position: int, e: OrderAccepted) -> None:
        self.orders.put(
            e.originator_id.int,
            {
                "account_id": e.account_id,
                "order_id": e.originator_id,
                "instrument_id": e.instrument_id,
                "revision_id": e.revision_id,
                "qty": e.qty,
                "filled": 0,
                "limit_price": e.limit_price,
                "stop_price": e.stop_price,
                "expires_at": e.expires_at,
                "submitted_at": e.at,
                "updated_at": e.at,
                "filled_at": 0,
                "ended_at": 0,
                "triggered_at": 0,
                "side": e.side,
                "order_type": e.order_type,
                "time_in_force": e.time_in_force,
                "status": 0,
                "price_decimals": e.price_decimals,
                "end_reason": 0,
                "post_only": e.post_only,
                "open": True,
                "value": 0,
                "symbol": e.symbol,
                "client_order_id": e.client_order_id,
            },
        )

    @on(OrderRejected)
    def rejected(self, position: int, e: OrderRejected) -> None:
        # What was refused may be any number a client can write.
        self.orders.put(
            e.originator_id.int,
            {
                "account_id": e.account_id,
                "order_id": e.originator_id,
                "instrument_id": e.instrument_id,
                "revision_id": e.originator_id,
                "qty": _bounded(e.qty, _MAX_BIGINT),
                "filled": 0,
                "limit_price": _bounded(e.limit_price_wire, _MAX_BIGINT),
                "stop_price": _bounded(e.stop_price_wire, _MAX_BIGINT),
                "expires_at": 0,
                "submitted_at": e.at,
                "updated_at": e.at,
                "filled_at": 0,
                "ended_at": e.at,
                "triggered_at": 0,
                "side": _bounded(e.side, _MAX_SMALLINT),
                "order_type": _bounded(e.order_type, _MAX_SMALLINT),
                "time_in_force": _bounded(e.time_in_force, _MAX_SMALLINT),
                "status": _REJECTED,
                "price_decimals": WIRE_PRICE_SCALE,
                "end_reason": 0,
                "post_only": False,
                "open": False,
                "value": 0,
                "symbol": e.symbol,
                "client_order_id": e.client_order_id,
                "refusal_code": e.code,
                "refusal_message": e.message,
            },
        )

    @on(OrderTriggered)
    def triggered(self, position: int, e: OrderTriggered) -> None:
        self._patch(e, {"triggered_at": e.at})

    @on(OrderFilled)
    def filled(self, position: int, e: OrderFilled) -> None:
        self._patch(
            e,
            {
                "filled": e.filled_after,
                "value": int(e.value_after),
                "status": e.status_after,
                "open": e.status_after <= _LAST_WORKING,
                "filled_at": e.at,
            },
        )

    @on(OrderReplaced)
    def replaced(self, position: int, e: OrderReplaced) -> None:
        self.revisions.put(
            e.revision_id.int,
            {
                "revision_id": e.revision_id,
                "account_id": e.account_id,
                "order_id": e.originator_id,
                "replaces": e.replaces,
                "at": e.at,
                "submitted_at": e.submitted_at,
                "qty": e.qty,
                "limit_price": e.limit_price,
                "stop_price": e.stop_price,
                "expires_at": e.expires_at,
                "version": e.originator_version,
                "filled_before": e.filled,
                "time_in_force": e.time_in_force,
                "value_before": int(e.value),
                "client_order_id": e.client_order_id,
            },
        )
        self._patch(e, {"current_revision_id": e.revision_id})

    @on(OrderCanceled)
    def canceled(self, position: int, e: OrderCanceled) -> None:
        self._patch(
            e, {"status": _CANCELED, "open": False, "ended_at": e.at, "end_reason": e.reason}
        )

    @on(OrderExpired)
    def expired(self, position: int, e: OrderExpired) -> None:
        self._patch(e, {"status": _EXPIRED, "open": False, "ended_at": e.at})

    @on(OrderFillBusted)
    def fill_busted(self, position: int, e: OrderFillBusted) -> None:
        self._patch(e, {"filled": e.filled_after, "value": int(e.value_after)})

    @on(OrderFillCorrected)
    def fill_corrected(self, position: int, e: OrderFillCorrected) -> None:
        self._patch(e, {"value": int(e.value_after)})

    def _patch(self, e: Any, columns: dict[str, Any]) -> None:
        columns["account_id"] = e.account_id
        columns["order_id"] = e.originator_id
        columns["updated_at"] = e.at
        self.orders.patch(e.originator_id.int, columns)


def _bounded(value: int, limit: int) -> int:
    return max(-limit, min(value, limit))


class OrderRow(OrderView, frozen=True, array_like=True, gc=False):
    """One revision of an order as a client sees it.

    When `replaced_by` is set it was replaced: its own terms, and its fills as they stood then.
    """

    replaced_by: UUID | None = None
    end_reason: int = 0
    refusal_code: str | None = None
    refusal_message: str | None = None


class _State(OrderRow, frozen=True, array_like=True, gc=False):
    """The row of an order: its state, with its first revision's terms."""

    current_revision_id: UUID | None = None
    open: bool = False


class _Revision(msgspec.Struct, frozen=True, gc=False):
    """The terms of a later revision, and what had happened before it."""

    revision_id: UUID
    order_id: UUID
    replaces: UUID
    at: int
    submitted_at: int
    qty: int
    limit_price: int
    stop_price: int
    expires_at: int
    filled_before: int
    time_in_force: int
    value_before: str
    client_order_id: str


_NOT_STORED = {"replaced_at", "replaces", "replaced_by"}
_STATE = "SELECT {} FROM orders".format(
    ", ".join(
        "value::text AS value" if name == "value" else name
        for name in _State.__struct_fields__
        if name not in _NOT_STORED
    )
)

_BY_ID = (
    _STATE
    + """
 WHERE account_id = %(account_id)s
   AND order_id = COALESCE(
       (SELECT order_id FROM order_revisions WHERE revision_id = %(id)s),
       (SELECT order_id FROM orders
         WHERE revision_id = %(id)s AND revision_id <> order_id LIMIT 1),
       %(id)s)
"""
)

# The writer keeps every request key for ever, with the position of its answer: a second index
# of the same ids, the dearest there could be, is not needed.
_BY_CLIENT_ID = (
    _STATE
    + """
 WHERE (account_id, order_id) = (
       SELECT e.account_id, e.originator_id
         FROM request_keys k
         JOIN stored_events first ON first.notification_id = k.position
         JOIN stored_events e ON e.notification_id BETWEEN k.position AND k.position + 31
          AND e.correlation_id = first.correlation_id AND e.account_id = k.account_id
          AND e.topic IN ('order.accepted.v1', 'order.rejected.v1', 'order.replaced.v1')
        WHERE k.account_id = %(account_id)s AND k.request_key = %(client_order_id)s
        ORDER BY e.notification_id LIMIT 1)
"""
)

_REVISIONS = """
SELECT revision_id, order_id, replaces, at, submitted_at, qty, limit_price, stop_price,
       expires_at, filled_before, time_in_force, value_before::text, client_order_id
  FROM order_revisions
 WHERE account_id = %s AND order_id = ANY(%s)
 ORDER BY order_id, version
"""

_ACCOUNT_OF = """
SELECT COALESCE(
    (SELECT account_id FROM stored_events
      WHERE originator_id = %(id)s AND originator_version = 1 AND topic LIKE 'order.%%'),
    (SELECT account_id FROM order_revisions WHERE revision_id = %(id)s),
    (SELECT account_id FROM orders
      WHERE revision_id = %(id)s AND revision_id <> order_id LIMIT 1))
"""

Status = Literal["open", "closed", "all"]
Direction = Literal["asc", "desc"]


async def get_order(conn: Connection, account_id: UUID, order_id: UUID) -> OrderRow | None:
    """The order behind its id or the id of any of its revisions, that revision as it stands."""
    state = await _one(conn, _BY_ID, {"account_id": account_id, "id": order_id})
    if state is None:
        return None
    revisions = await _revisions(conn, account_id, [state])
    chain = _chain(state, revisions.get(state.order_id, []))
    named = [row for row in chain if row.revision_id == order_id]
    return named[0] if named else chain[-1]


async def get_order_by_client_id(
    conn: Connection, account_id: UUID, client_order_id: str
) -> OrderRow | None:
    """The newest revision that has this client order id."""
    if "\x00" in client_order_id:
        return None
    keys = {"account_id": account_id, "client_order_id": client_order_id}
    state = await _one(conn, _BY_CLIENT_ID, keys)
    if state is None:
        return None
    revisions = await _revisions(conn, account_id, [state])
    chain = _chain(state, revisions.get(state.order_id, []))
    named = [row for row in chain if row.client_order_id == client_order_id]
    return named[-1] if named else None


async def find_order(conn: Connection, order_id: UUID) -> OrderRow | None:
    """An order by any of its ids, whoever's it is: for the venue's own people."""
    row = await (await conn.execute(_ACCOUNT_OF, {"id": order_id})).fetchone()
    if row is None or row[0] is None:
        return None
    return await get_order(conn, row[0], order_id)


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
    before_id: UUID | None = None,
    after_id: UUID | None = None,
) -> list[OrderRow]:
    """An account's orders by time of submission; `after` and `until` are exclusive.

    Replaced revisions count as closed orders. `before_id` and `after_id` are order ids from
    an earlier page, exclusive too.
    """
    conditions: list[sql.Composable] = [sql.SQL("account_id = {}").format(account_id)]
    if after is not None:
        conditions.append(sql.SQL("order_id >= {}").format(_first_id_at(after + 1)))
    if until is not None:
        conditions.append(sql.SQL("order_id < {}").format(_first_id_at(until)))
    if after_id is not None:
        conditions.append(sql.SQL("order_id > {}").format(after_id))
    if before_id is not None:
        conditions.append(sql.SQL("order_id < {}").format(before_id))
    if status == "open":
        conditions.append(sql.SQL("open"))
    elif status == "closed":
        conditions.append(sql.SQL("(NOT open OR current_revision_id IS NOT NULL)"))
    if side is not None:
        conditions.append(sql.SQL("side = {}").format(side))
    if symbols:
        conditions.append(sql.SQL("symbol = ANY({})").format(list(symbols)))
    newest_first = direction == "desc"
    query = sql.SQL("{} WHERE {} ORDER BY order_id {} LIMIT {}").format(
        sql.SQL(_STATE),
        sql.SQL(" AND ").join(conditions),
        sql.SQL("DESC" if newest_first else "ASC"),
        limit,
    )
    async with conn.cursor(row_factory=class_row(_State)) as cursor:
        states = await (await cursor.execute(query)).fetchall()
    revisions = await _revisions(conn, account_id, states)
    rows: list[OrderRow] = []
    for state in states:
        chain = _chain(state, revisions.get(state.order_id, []))
        if status == "open":
            chain = chain[-1:]
        elif status == "closed" and state.open:
            chain = chain[:-1]
        rows.extend(reversed(chain) if newest_first else chain)
    return rows[:limit]


def _first_id_at(at: Instant) -> UUID:
    """The smallest id that can be drawn at an instant."""
    return uuid7(max(at, 0), 0, 0, 0)


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
    for revision in revisions:
        chain[-1] = replace(
            chain[-1],
            replaced_by=revision.revision_id,
            replaced_at=revision.at,
            updated_at=revision.at,
            filled=revision.filled_before,
            value=revision.value_before,
            filled_at=0,
            ended_at=0,
            end_reason=0,
        )
        chain.append(
            replace(
                first,
                revision_id=revision.revision_id,
                replaces=revision.replaces,
                client_order_id=revision.client_order_id,
                submitted_at=revision.submitted_at,
                qty=revision.qty,
                limit_price=revision.limit_price,
                stop_price=revision.stop_price,
                time_in_force=revision.time_in_force,
                expires_at=revision.expires_at,
            )
        )
    return chain
