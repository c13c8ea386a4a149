"""The one place that composes SQL over the event table: its columns, their order, what narrows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple
from uuid import UUID

from psycopg import sql

from domain.events import (
    MultiLegPlaced,
    MultiLegRejected,
    MultiLegReplaced,
    OrderAccepted,
    OrderRejected,
    OrderReplaced,
)
from infrastructure.log.derived import REQUEST_KEYS
from infrastructure.log.layouts import Layout

EVENT_TABLE = "stored_events"

STORED_COLUMNS = {
    "originator_id": "uuid",
    "originator_version": "bigint",
    "topic": "text",
    "state": "bytea",
    "notification_id": "bigint",
    "recorded_at": "timestamptz",
    "instrument_id": "uuid",
    "account_id": "uuid",
    "traded_qty": "bigint",
    "traded_notional": "bigint",
    "correlation_id": "uuid",
    "actor": "text",
}
"""Every column of the event table and its type."""

MICROSECONDS = "(extract(epoch FROM recorded_at) * 1000000)::bigint"
RECORDED = "notification_id, topic, state"
"""What makes an event and its position."""
WHOLE_ROW = (
    f"notification_id, originator_id, originator_version, topic, state, {MICROSECONDS},"
    " instrument_id, account_id, traded_qty, traded_notional, correlation_id, actor"
)
"""All columns in the order of `application.audit.verify.StoredRow`."""

INDEXES_ALONE = ("enable_seqscan", "enable_bitmapscan", "enable_sort")
"""What a session turns off that reads much: the log is read through its two indexes and never
otherwise, whatever the statistics say of a table that grew since they were taken.
"""


class Wanted(NamedTuple):
    """Which events are asked for; what is None or empty narrows nothing."""

    after: int | None = None
    up_to: int | None = None
    topics: Sequence[str] = ()
    originator: UUID | None = None
    after_version: int | None = None
    up_to_version: int | None = None
    account: UUID | None = None
    instrument: UUID | None = None
    positions: Sequence[int] = ()
    limit: int | None = None
    newest_first: bool | None = None


_CONDITIONS = {
    "after": "notification_id > %(after)s",
    "up_to": "notification_id <= %(up_to)s",
    "topics": "topic = ANY(%(topics)s)",
    "originator": "originator_id = %(originator)s",
    "after_version": "originator_version > %(after_version)s",
    "up_to_version": "originator_version <= %(up_to_version)s",
    "account": "account_id = %(account)s",
    "instrument": "instrument_id = %(instrument)s",
    "positions": "notification_id = ANY(%(positions)s)",
}

# In parts by time each narrows the time too, so that no part is looked into for nothing.
_BETWEEN_TIMES = {
    "after": "recorded_at >= {schema}.recorded_from(%(after)s)",
    "up_to": "recorded_at <= {schema}.recorded_until(%(up_to)s)",
    "positions": (
        "recorded_at >= {schema}.recorded_from((SELECT min(p) - 1 FROM unnest(%(positions)s) p))"
        " AND recorded_at <= {schema}.recorded_until((SELECT max(p) FROM unnest(%(positions)s) p))"
    ),
    "originator": (
        "recorded_at >="
        " (SELECT first_at FROM {schema}.stream_heads WHERE originator_id = %(originator)s)"
        " AND recorded_at <="
        " (SELECT last_at FROM {schema}.stream_heads WHERE originator_id = %(originator)s)"
    ),
}

# A page of all events ends within so many positions: without an end every later part is opened.
_PAGE = ("after", "limit")
_PAGE_ENDS = "recorded_at <= {schema}.recorded_until(%(after)s::bigint + %(limit)s)"


class Query(NamedTuple):
    """A statement and its values."""

    text: str
    values: dict[str, Any]


class EventTable:
    """The event table of one schema, as statements read it in the layout that it has."""

    def __init__(self, schema: str, layout: Layout = Layout.PLAIN) -> None:
        self.name = sql.Identifier(schema, EVENT_TABLE)
        self.schema = schema
        self.layout = layout
        self.quoted = self.name.as_string(None)
        self.quoted_schema = sql.Identifier(schema).as_string(None)
        self._keys = sql.Identifier(schema, REQUEST_KEYS.table).as_string(None)

    def select(self, wanted: Wanted, columns: str = RECORDED) -> Query:
        """The wanted rows in log order; those of one aggregate by version, which is the same."""
        values = _given(wanted)
        return Query(
            _select(self.quoted_schema, self.layout.chunked, columns, tuple(values)), values
        )

    def where(self, wanted: Wanted) -> tuple[str, dict[str, Any]]:
        """What narrows to the wanted rows, and its values."""
        values = _given(wanted)
        return _where(self.quoted_schema, self.layout.chunked, tuple(values)), values

    def key(self, account_id: UUID, key: str) -> Query:
        """The request key of an account, in one row where it was used."""
        return Query(
            f"SELECT {REQUEST_KEYS.names} FROM {self._keys}"
            " WHERE account_id = %(account)s AND request_key = %(key)s",
            {"account": account_id, "key": key},
        )

    def firsts(self, originators: Sequence[UUID]) -> Query:
        """The first row of each of these aggregates, in no order."""
        if not self.layout.chunked:
            return Query(
                f"SELECT {RECORDED} FROM {self.quoted}"
                " WHERE originator_id = ANY(%(originators)s) AND originator_version = 1",
                {"originators": list(originators)},
            )
        # One after the other, each on its own day: a join would read all days of all of them.
        return Query(
            f"SELECT {RECORDED} FROM {self.quoted_schema}.stream_heads h, LATERAL ("
            f"SELECT {RECORDED} FROM {self.quoted} e WHERE e.originator_id = h.originator_id"
            " AND e.recorded_at = h.first_at AND e.originator_version = 1 LIMIT 1) first"
            " WHERE h.originator_id = ANY(%(originators)s)",
            {"originators": list(originators)},
        )

    def lives(self, originators: Sequence[UUID]) -> Query:
        """Every row of each of these aggregates, whose lives are short, in no order."""
        if not self.layout.chunked:
            return Query(
                f"SELECT {RECORDED} FROM {self.quoted} WHERE originator_id = ANY(%(originators)s)",
                {"originators": list(originators)},
            )
        # Each between its own days: a join would read all days of all of them.
        return Query(
            f"SELECT {RECORDED} FROM {self.quoted_schema}.stream_heads h, LATERAL ("
            f"SELECT {RECORDED} FROM {self.quoted} e WHERE e.originator_id = h.originator_id"
            " AND e.recorded_at >= h.first_at AND e.recorded_at <= h.last_at) life"
            " WHERE h.originator_id = ANY(%(originators)s)",
            {"originators": list(originators)},
        )

    def last(self) -> Query:
        """The position of the newest row, in one row always."""
        if self.layout.chunked:
            return Query(f"SELECT position FROM {self.quoted_schema}.log_head", {})
        return Query(f"SELECT COALESCE(max(notification_id), 0) FROM {self.quoted}", {})


Ask = Callable[[EventTable], Query]
"""A question to the event table of whichever store the log stands in."""


def _given(wanted: Wanted) -> dict[str, Any]:
    return {
        name: value
        for name, value in zip(Wanted._fields, wanted, strict=True)
        if value is not None and value != ()
    }


def _where(schema: str, chunked: bool, given: tuple[str, ...]) -> str:
    conditions = [_CONDITIONS[name] for name in given if name in _CONDITIONS]
    if chunked:
        conditions += [
            _BETWEEN_TIMES[name].format(schema=schema) for name in given if name in _BETWEEN_TIMES
        ]
        if given == _PAGE:
            conditions.append(_PAGE_ENDS.format(schema=schema))
    return f" WHERE {' AND '.join(conditions)}" if conditions else ""


@lru_cache(maxsize=512)
def _select(schema: str, chunked: bool, columns: str, given: tuple[str, ...]) -> str:
    where = _where(schema, chunked, given)
    order = "recorded_at, notification_id" if chunked else "notification_id"
    if "originator" in given:
        order = "originator_version"
    if "newest_first" in given:
        order = ", ".join(f"{column} DESC" for column in order.split(", "))
    limit = " LIMIT %(limit)s" if "limit" in given else ""
    return f"SELECT {columns} FROM {schema}.{EVENT_TABLE}{where} ORDER BY {order}{limit}"


_NAMING = (
    *(OrderAccepted, OrderRejected, OrderReplaced),
    *(MultiLegPlaced, MultiLegRejected, MultiLegReplaced),
)
_NAME_AN_ORDER = ", ".join(f"'{e.TOPIC}'" for e in _NAMING)


class Subqueries:
    """Questions to the log within statements over views (`application.log.ports.LogSubqueries`)."""

    # A key names its request's first event, and the order's own follows close behind it.
    order_of_request = f"""
       SELECT e.account_id, e.originator_id
         FROM request_keys k,
      LATERAL (SELECT correlation_id FROM {EVENT_TABLE}
                WHERE notification_id = k.position
                  AND recorded_at >= recorded_from(k.position - 1)
                  AND recorded_at <= recorded_until(k.position) LIMIT 1) first,
      LATERAL (SELECT account_id, originator_id FROM {EVENT_TABLE}
                WHERE notification_id BETWEEN k.position AND k.position + 31
                  AND recorded_at >= recorded_from(k.position - 1)
                  AND recorded_at <= recorded_until(k.position + 31)
                  AND correlation_id = first.correlation_id AND account_id = k.account_id
                  AND topic IN ({_NAME_AN_ORDER})
                ORDER BY recorded_at, notification_id LIMIT 1) e
        WHERE k.account_id = %(account_id)s AND k.request_key = %(client_order_id)s"""
