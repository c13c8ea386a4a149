"""Daily closes: the last price of each instrument's sessions, as trades stand when asked.

Kept is where a session begins and ends on the tape; the close is looked up there, so that a
bust or a correction, whenever it comes, is honoured.
"""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

import msgspec
from psycopg.rows import class_row

from domain.events import OrderFilled
from domain.terms import Side
from projections.columns import INTEGER, UUID_
from projections.connections import Connection
from projections.projection import Column, Merge, Projection, Table, on

_BUY = int(Side.BUY)

DAILY_CLOSES = Table(
    "daily_closes",
    (
        Column("instrument_id", UUID_),
        Column("session_date", INTEGER),
        Column("first_trade", UUID_, merge=Merge.LEAST),
        Column("last_trade", UUID_, merge=Merge.GREATEST),
    ),
    key=("instrument_id", "session_date"),
    fillfactor=50,
)


class DailyCloses(Projection):
    """The first and the last trade of each instrument's sessions; trade ids ascend."""

    name = "daily_closes"
    tables = (DAILY_CLOSES,)

    def __init__(self) -> None:
        super().__init__()
        (self.sessions,) = self.changes

    @on(OrderFilled)
    def filled(self, position: int, e: OrderFilled) -> None:
        if e.side != _BUY:
            return
        key = (e.instrument_id.int, e.session_date)
        row = self.sessions.puts.get(key)
        if row is None:
            row = self.sessions.puts[key] = {
                "instrument_id": e.instrument_id,
                "session_date": e.session_date,
                "first_trade": e.trade_id,
            }
        row["last_trade"] = e.trade_id


class DailyClose(msgspec.Struct, frozen=True, gc=False):
    """The last trade of a session that stands, at its instrument's price decimals."""

    instrument_id: UUID
    session_date: int
    price: int


_SELECT = """
SELECT c.instrument_id, c.session_date, t.price
  FROM unnest(%(instruments)s::uuid[]) AS wanted (instrument_id)
 CROSS JOIN LATERAL (
       SELECT * FROM daily_closes d WHERE d.instrument_id = wanted.instrument_id
        ORDER BY d.session_date DESC LIMIT %(sessions)s) c
 CROSS JOIN LATERAL (
       SELECT price FROM trades
        WHERE instrument_id = c.instrument_id AND session_date = c.session_date
          AND trade_id BETWEEN c.first_trade AND c.last_trade AND busted_at IS NULL
        ORDER BY trade_id DESC LIMIT 1) t
 ORDER BY c.instrument_id, c.session_date
"""


async def list_daily_closes(
    conn: Connection, instruments: Iterable[UUID], *, sessions: int
) -> list[DailyClose]:
    """The closes of each instrument's last so many sessions, oldest first.

    A session in which nothing traded, or no trade stands, has none.
    """
    async with conn.cursor(row_factory=class_row(DailyClose)) as cursor:
        await cursor.execute(_SELECT, {"instruments": list(instruments), "sessions": sessions})
        return await cursor.fetchall()
