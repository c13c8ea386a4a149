"""The log for people who look something up: by position, by aggregate, by account, by key."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import NamedTuple
from uuid import UUID

from application.log.ports import Recorded
from domain.events import InstrumentListed
from domain.identifiers import HOUSE
from infrastructure.log.audit_source import PostgresAuditSource
from infrastructure.log.codec import recorded
from infrastructure.log.statements import Wanted


class EventCount(NamedTuple):
    """How many events of a topic concerned an instrument, or none, on a UTC day."""

    day: date
    instrument_id: UUID | None
    topic: str
    events: int


class LogReader(PostgresAuditSource):
    """One partition's log as it stood when this was opened (`application.audit.trail`)."""

    def __init__(self, dsn: str, schema: str) -> None:
        super().__init__(dsn, schema)
        self._decimals: dict[UUID, int] = {}

    def read(self, after: int, limit: int) -> Sequence[Recorded]:
        """Events above a position, in order."""
        return self._recorded(Wanted(after=after, limit=limit))

    def select(
        self,
        after: int,
        limit: int,
        *,
        topics: Sequence[str] = (),
        account_id: UUID | None = None,
        order_id: UUID | None = None,
    ) -> Sequence[Recorded]:
        """Events above a position that are of these topics, this account and this order."""
        return self._recorded(
            Wanted(
                after=after,
                topics=list(topics) or (),
                account=account_id,
                originator=order_id,
                limit=limit,
            )
        )

    def events_of(self, originator_id: UUID) -> Sequence[Recorded]:
        """The events of one aggregate."""
        return self._recorded(Wanted(originator=originator_id))

    def of_account(self, account_id: UUID) -> Sequence[Recorded]:
        """Every event that concerns an account: its own, its orders' and its positions'."""
        return self._recorded(Wanted(account=account_id))

    def event_counts(
        self, after: int, up_to: int, *, instrument_id: UUID | None = None
    ) -> list[EventCount]:
        """Count the events above a position and up to another, in no order."""
        # An order for an instrument that there is not has the nil id in its place.
        wanted = Wanted(after=after, up_to=up_to, instrument=instrument_id)
        rows = self._fetch(self._events.counts(wanted, no_instrument=HOUSE))
        return [EventCount._make(row) for row in rows]

    def price_decimals(self, instrument_id: UUID) -> int:
        """The price decimals of an instrument, as it was listed."""
        known = self._decimals.get(instrument_id)
        if known is None:
            first = next(iter(self.events_of(instrument_id)), None)
            listed = first.event if first is not None else None
            known = listed.price_decimals if isinstance(listed, InstrumentListed) else 0
            self._decimals[instrument_id] = known
        return known

    def _recorded(self, wanted: Wanted) -> list[Recorded]:
        return recorded(self._fetch(self._events.select(wanted)))
