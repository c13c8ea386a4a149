"""The log as records, for critical subscribers that have fallen behind the ring.

Each reads through a floor of its own, which follows the same commands as the feed's did and so
leads to the same records. `Floors` is the port through which it gets one to begin with.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from application.desk.floor import TradingFloor
from application.desk.kept import newest_readable
from application.desk.kept_orders import KeptOrders
from application.desk.state import FloorAt, load_floor
from application.log.ports import DeskSnapshots, EventPages
from application.log.whole_commands import PAGE, read_commands
from projections.market_data.depth import MarketData
from projections.market_data.records import Record
from projections.market_data.subscribers import Place, Stretch


class Floors(Protocol):
    """Where a floor comes from that stands at or below a position."""

    async def at_most(self, position: int) -> FloorAt:
        """A floor of one's own to begin with."""
        ...


class SnapshotFloors:
    """Begins with the newest desk snapshot that can be read and is old enough, without one at the
    first event.
    """

    def __init__(self, snapshots: DeskSnapshots, say: Callable[[str], object] = bool) -> None:
        self._snapshots = snapshots
        self._say = say

    async def at_most(self, position: int) -> FloorAt:
        """The floor of a desk that was kept."""
        found = await newest_readable(self._snapshots, load_floor, up_to=position, say=self._say)
        if found is None:
            return FloorAt(TradingFloor(orders=KeptOrders()), 0, 0)
        return found


class ReplayedRecords:
    """The records of one subscriber out of the log (`RecordLog`); it keeps its floor in between.

    Memory is that of one more set of books, and only while it is needed: `Critical` asks again
    where it left off, and whoever asks for an earlier place begins with another floor.
    """

    def __init__(self, log: EventPages, floors: Floors, *, page: int = PAGE) -> None:
        self._log = log
        self._floors = floors
        self._page = page
        self._data: MarketData | None = None

    async def read(self, place: Place) -> Stretch:
        """The records of the next commands after a place, numbered on from what was told there."""
        data = self._data
        if data is None or data.position > place.position:
            begun = await self._floors.at_most(place.position)
            data = self._data = MarketData(*begun)
        await self._forward(data, place.position)
        for (instrument, kind), sequence in place.sequences.items():
            if instrument < len(data):
                data.count_from(instrument, kind, sequence)
        events, _ = await read_commands(self._log, data.position, self._page)
        records: list[Record] = []
        for command in data.commands(events):
            records += command
        return Stretch(records, data.position)

    async def _forward(self, data: MarketData, position: int) -> None:
        """Follow the log up to a position at which a command ends."""
        while data.position < position:
            events, _ = await read_commands(
                self._log, data.position, min(self._page, position - data.position)
            )
            if not events:
                return
            # The last one may have come with others that follow it.
            for _ in data.commands([one for one in events if one.position <= position]):
                pass
