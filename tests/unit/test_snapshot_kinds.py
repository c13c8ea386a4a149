"""Aggregate snapshots: every kind of aggregate that events belong to has its rhythm."""

import asyncio
from typing import Any

from eventsourcing.utils import resolve_topic

from application.commands import SetKillSwitch
from application.log.ports import Recorded
from application.log.snapshots import SnapshotTaker
from domain.terms import Side
from infrastructure.log.memory import MemorySnapshots
from tests.model.group_desk import GroupDesk


def test_a_snapshot_of_any_kind_is_the_aggregate_as_it_stands():
    """Taken at every event of a day with groups in it, each can be read back."""
    saved: dict[Any, Any] = {}

    class Kept(MemorySnapshots):
        async def save_aggregates(self, rows: Any) -> None:
            saved.update({row[0]: row for row in rows})

        async def taken(self) -> list[Any]:
            return []

        async def drop(self, positions: Any) -> None:
            pass

    async def day() -> None:
        venue = GroupDesk()
        venue.instrument()
        seller, buyer = venue.account("seller"), venue.account("buyer")
        venue.hold(seller, 10)
        venue.ok(SetKillSwitch(None, True, "drill"))
        venue.ok(SetKillSwitch(None, False))
        venue.oco(seller, Side.SELL, 10, 110, 90)
        venue.place(buyer, Side.BUY, 4, 110)
        taker = SnapshotTaker(Kept(), desk_every=10**9, aggregate_every=1)
        taker.observe([Recorded(n, event) for n, event in enumerate(venue.log, 1)])
        taker.take(venue.desk)
        await taker.finish()

    asyncio.run(day())

    kinds = {row[2] for row in saved.values()}
    assert {"account", "instrument", "oco", "order", "position", "venue"} == kinds
    assert all(resolve_topic(row[2]).KIND == row[2] for row in saved.values())
