"""The log for people who look something up: by position, by aggregate, by account, by key."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from uuid import UUID

from application.log.ports import Recorded
from domain.events import InstrumentListed
from infrastructure.log.aggregates import Added, Log, Stretch, Sums, add_up, undone
from infrastructure.log.audit_source import PostgresAuditSource
from infrastructure.log.codec import recorded
from infrastructure.log.statements import Wanted


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

    def add_up(
        self,
        sums: Sums,
        wanted: Stretch,
        *,
        instrument_id: UUID | None = None,
        pace: Callable[[int], object] = lambda _: None,
    ) -> Added:
        """What the events of a stretch add up to by day; `pace` is told of positions done."""
        return add_up(self._log, sums, wanted, instrument=instrument_id, pace=pace)

    def undone(self, after: int, first: date, last: date) -> Added:
        """What busts and corrections, above a position, change of the trades of these days."""
        return undone(self._log, after, first, last)

    @property
    def _log(self) -> Log:
        return Log(self._fetch, self._events)

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
