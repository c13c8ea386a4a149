"""The class of each instrument, which never changes, as its first event says."""

from __future__ import annotations

from uuid import UUID

from application.log.ports import EventStreams
from domain.events import InstrumentListed


class AssetClasses:
    """The class of each instrument, looked up once: orders carry only their instrument's id."""

    def __init__(self, log: EventStreams) -> None:
        self._log = log
        self._classes: dict[UUID, str] = {}

    def asking(self, log: EventStreams) -> AssetClasses:
        """The same knowledge, with another log to ask for what it lacks."""
        other = AssetClasses(log)
        other._classes = self._classes
        return other

    async def of(self, instrument_id: UUID) -> str | None:
        """The class of an instrument; None when there is none of that id."""
        known = self._classes.get(instrument_id)
        if known is None and instrument_id.int:
            first = await self._log.stream(instrument_id, 0, 1)
            if first:
                listed = first[0].event
                assert isinstance(listed, InstrumentListed)
                known = self._classes[instrument_id] = listed.asset_class
        return known
