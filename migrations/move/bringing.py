"""Brings one range of the log after another into the follower, in transactions of their own."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from psycopg import sql

from infrastructure.log.copying import End, Positions, RangeCopy, one
from infrastructure.log.follower import Follower
from infrastructure.log.layouts import Layout
from infrastructure.log.piping import Pace
from infrastructure.log.tables import EVENTS
from infrastructure.log.upkeep import compressed_before

_COMPRESS_AT_ONCE = (
    "SELECT set_config(name, '1000', false) FROM pg_settings"
    " WHERE name = 'timescaledb.direct_compress_copy_tuple_sort_limit'"
)
"""So many rows as a batch holds. They come in order; a hundred thousand at a time, as it is of
itself, would have the server do nothing else for most of a second.
"""


class Bringing:
    """Brings ranges; heads over a connection of their own, in small transactions."""

    def __init__(self, source: End, target: End, heads: End) -> None:
        self._source = source
        self._target = target
        self._follower = Follower(target)
        self._ranges = RangeCopy(source, target)
        self._heads = RangeCopy(source, heads)
        self._old = compressed_before(datetime.now(UTC))

    def bring(self, positions: Positions, pace: Pace, beside: Pace) -> None:
        """Bring one range whole."""
        # First, and again after a kill: heads that say more than is there yet do no harm.
        self._heads.merge_heads_gently(positions, beside)
        if self._target.layout is Layout.TIMESCALE:
            old = recorded_at(self._source, positions.last) < self._old
            self._target.conn.execute(
                sql.SQL("SET timescaledb.enable_direct_compress_copy TO {}").format(
                    sql.Literal("on" if old else "off")
                )
            )
            if old:
                self._target.conn.execute(_COMPRESS_AT_ONCE)
        with self._follower.bringing(positions):
            self._follower.note(positions, self._ranges.copy(positions, pace, beside))


def recorded_at(end: End, position: int) -> datetime:
    """When an event was recorded."""
    first, last = end.times(Positions(position, position))
    query = sql.SQL(
        "SELECT recorded_at FROM {} WHERE notification_id = {} AND recorded_at BETWEEN {} AND {}"
    ).format(end.table(EVENTS.name), position, first, last)
    at: Any = one(end.conn, query)[0]
    assert isinstance(at, datetime)
    return at
