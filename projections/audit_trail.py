"""Audit trail: who did what when, one row for each command and each account it touched.

The row holds where the command's events stand in the log and no copy of them: topics and
targets are read from there when asked, which keeps a command at one narrow row.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import msgspec
from psycopg.rows import class_row

from domain.events import (
    AccountEvent,
    DomainEvent,
    GroupEvent,
    InstrumentEvent,
    OrderEvent,
    PositionEvent,
    SettlementEvent,
    VenueEvent,
)
from domain.identifiers import HOUSE, Instant, uuid7
from projections.columns import BIGINT, TEXT, UUID_
from projections.projection import Column, Connection, Index, Merge, Projection, Table, on

_EVENTS = tuple(DomainEvent.by_topic.values())

AUDIT_TRAIL = Table(
    "audit_trail",
    (
        Column("correlation_id", UUID_),
        Column("account_id", UUID_),
        Column("first_position", BIGINT, merge=Merge.LEAST),
        Column("last_position", BIGINT, merge=Merge.GREATEST),
        Column("at", BIGINT),
        Column("actor", TEXT),
        Column("gateway", TEXT),
    ),
    key=("correlation_id", "account_id"),
    indexes=(Index("account", ("account_id", "correlation_id")),),
)


class AuditTrail(Projection):
    """Each command, under every account it touched; under the nil account when none."""

    name = "audit_trail"
    tables = (AUDIT_TRAIL,)

    def __init__(self) -> None:
        super().__init__()
        (self.commands,) = self.changes

    @on(
        *(
            e
            for e in _EVENTS
            if issubclass(e, OrderEvent | PositionEvent | GroupEvent | SettlementEvent)
        )
    )
    def of_account(self, position: int, e: Any) -> None:
        self._touch(position, e.account_id, e)

    @on(*(e for e in _EVENTS if issubclass(e, AccountEvent)))
    def by_account(self, position: int, e: Any) -> None:
        self._touch(position, e.originator_id, e)

    @on(*(e for e in _EVENTS if issubclass(e, InstrumentEvent | VenueEvent)))
    def of_venue(self, position: int, e: Any) -> None:
        self._touch(position, HOUSE, e)

    def _touch(self, position: int, account_id: UUID, e: DomainEvent) -> None:
        key = (e.correlation_id.int, account_id.int)
        row = self.commands.puts.get(key)
        if row is None:
            self.commands.puts[key] = {
                "correlation_id": e.correlation_id,
                "account_id": account_id,
                "first_position": position,
                "last_position": position,
                "at": e.at,
                "actor": e.actor,
                "gateway": e.gateway,
            }
        else:
            row["last_position"] = position


class AuditEntry(msgspec.Struct, frozen=True, gc=False):
    """One command: who gave it, through what, and what it did to what."""

    correlation_id: UUID
    at: int
    actor: str
    gateway: str
    first_position: int
    last_position: int
    accounts: list[UUID]
    topics: list[str]
    targets: list[UUID]


_ENTRIES = """
WITH commands AS (
    SELECT a.correlation_id, min(a.at) AS at, min(a.actor) AS actor, min(a.gateway) AS gateway,
           min(a.first_position) AS first_position, max(a.last_position) AS last_position,
           array_agg(a.account_id ORDER BY a.first_position) AS accounts
      FROM audit_trail a
     WHERE a.correlation_id = ANY(%s)
     GROUP BY a.correlation_id)
SELECT c.correlation_id, c.at, c.actor, c.gateway, c.first_position, c.last_position, c.accounts,
       e.topics, e.targets
  FROM commands c
 CROSS JOIN LATERAL (
       SELECT array_agg(s.topic ORDER BY s.notification_id) AS topics,
              array_agg(DISTINCT s.originator_id) AS targets
         FROM stored_events s
        WHERE s.notification_id BETWEEN c.first_position AND c.last_position
          AND s.correlation_id = c.correlation_id) e
 ORDER BY c.correlation_id
"""


async def trail_of_account(
    conn: Connection,
    account_id: UUID,
    *,
    after: Instant | None = None,
    until: Instant | None = None,
    before_id: UUID | None = None,
    limit: int = 100,
) -> Sequence[AuditEntry]:
    """The newest commands that touched an account, in their order.

    `after` and `until` are exclusive; `before_id` is the first entry's id of a later page.
    """
    ends = [i for i in (before_id, uuid7(until, 0, 0, 0) if until is not None else None) if i]
    cursor = await conn.execute(
        "SELECT correlation_id FROM audit_trail WHERE account_id = %(account)s"
        " AND (%(first)s::uuid IS NULL OR correlation_id >= %(first)s)"
        " AND (%(end)s::uuid IS NULL OR correlation_id < %(end)s)"
        " ORDER BY correlation_id DESC LIMIT %(limit)s",
        {
            "account": account_id,
            "first": uuid7(after + 1, 0, 0, 0) if after is not None else None,
            "end": min(ends) if ends else None,
            "limit": limit,
        },
    )
    return await _entries(conn, [row[0] for row in await cursor.fetchall()])


async def trail_of_aggregate(
    conn: Connection, aggregate_id: UUID, *, limit: int = 1000
) -> Sequence[AuditEntry]:
    """The commands that touched an order, group, settlement, position, account or instrument."""
    cursor = await conn.execute(
        "SELECT DISTINCT correlation_id FROM ("
        "SELECT correlation_id FROM stored_events WHERE originator_id = %s"
        " ORDER BY originator_version LIMIT %s) AS found",
        (aggregate_id, limit),
    )
    return await _entries(conn, [row[0] for row in await cursor.fetchall()])


async def trail_of_command(conn: Connection, correlation_id: UUID) -> AuditEntry | None:
    """One command by its correlation id."""
    found = await _entries(conn, [correlation_id])
    return found[0] if found else None


async def _entries(conn: Connection, correlation_ids: list[UUID]) -> list[AuditEntry]:
    async with conn.cursor(row_factory=class_row(AuditEntry)) as cursor:
        return await (await cursor.execute(_ENTRIES, (correlation_ids,))).fetchall()
