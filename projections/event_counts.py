"""Event counts: how many events of each topic an instrument had on each day."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import msgspec
from psycopg.rows import class_row

from domain.events import (
    AccountEvent,
    DomainEvent,
    InstrumentEvent,
    OrderEvent,
    PositionEvent,
    TradeBooked,
    TradeReversed,
)
from domain.identifiers import HOUSE
from projections.columns import BIGINT, INTEGER, TEXT, UUID_
from projections.days import day_of
from projections.projection import Column, Connection, Index, Merge, Projection, Table, on

_EVENTS = tuple(DomainEvent.by_topic.values())
_TRADES = (TradeBooked, TradeReversed)
_OF_INSTRUMENTS = [e for e in _EVENTS if issubclass(e, OrderEvent | PositionEvent) or e in _TRADES]
_BY_INSTRUMENTS = [e for e in _EVENTS if issubclass(e, InstrumentEvent)]
_OF_NONE = [e for e in _EVENTS if issubclass(e, AccountEvent) and e not in _TRADES]

EVENT_COUNTS = Table(
    "event_counts",
    (
        Column("instrument_id", UUID_),
        Column("events", BIGINT, merge=Merge.ADD),
        Column("day", INTEGER),
        Column("topic", TEXT),
    ),
    key=("instrument_id", "day", "topic"),
    indexes=(Index("day", ("day",)),),
    fillfactor=50,
)


class EventCounts(Projection):
    """Counts by instrument, UTC day and topic; what concerns no instrument has the nil one."""

    name = "event_counts"
    tables = (EVENT_COUNTS,)

    def __init__(self) -> None:
        super().__init__()
        (self.counts,) = self.changes

    @on(*_OF_INSTRUMENTS)
    def of_instrument(self, position: int, e: Any) -> None:
        self._count(e.instrument_id, e)

    @on(*_BY_INSTRUMENTS)
    def by_instrument(self, position: int, e: Any) -> None:
        self._count(e.originator_id, e)

    @on(*_OF_NONE)
    def of_none(self, position: int, e: Any) -> None:
        self._count(HOUSE, e)

    def _count(self, instrument_id: UUID, e: DomainEvent) -> None:
        day = day_of(e.at)
        key = (instrument_id.int, day, e.TOPIC)
        row = self.counts.puts.get(key)
        if row is None:
            self.counts.puts[key] = {
                "instrument_id": instrument_id,
                "day": day,
                "topic": e.TOPIC,
                "events": 1,
            }
        else:
            row["events"] += 1


class EventCount(msgspec.Struct, frozen=True, gc=False):
    """One count; the symbol is the instrument's of today, None for the nil instrument."""

    instrument_id: UUID
    symbol: str | None
    day: int
    topic: str
    events: int


async def list_event_counts(
    conn: Connection,
    *,
    symbol: str | None = None,
    first_day: int = 0,
    last_day: int = 99_991_231,
) -> Sequence[EventCount]:
    """Counts by day, symbol and topic; days as 20261120, both included."""
    async with conn.cursor(row_factory=class_row(EventCount)) as cursor:
        await cursor.execute(
            "SELECT c.instrument_id, i.symbol, c.day, c.topic, c.events"
            " FROM event_counts c LEFT JOIN instruments i USING (instrument_id)"
            " WHERE c.day BETWEEN %(first)s AND %(last)s"
            " AND (%(symbol)s::text IS NULL OR i.symbol = %(symbol)s)"
            " ORDER BY c.day, i.symbol, c.topic",
            {"symbol": symbol, "first": first_day, "last": last_day},
        )
        return await cursor.fetchall()
