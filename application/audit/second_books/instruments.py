"""The books of instruments: their phase, their dates, and what their holdings are valued at."""

from __future__ import annotations

from uuid import UUID

from domain.events import (
    InstrumentClosed,
    InstrumentHalted,
    InstrumentListed,
    InstrumentMarked,
    InstrumentOpened,
    InstrumentResumed,
    InstrumentTermsChanged,
)
from domain.identifiers import NO_ID

BY_MARK = 3


class Terms:
    """An instrument as it is now; margin rates in basis points of a value, which is a price times
    a quantity times the multiplier.
    """

    __slots__ = (
        "close",
        "close_before",
        "collar",
        "decimals",
        "expiry",
        "has_no_shares",
        "initial",
        "is_closed",
        "is_open",
        "last",
        "lot",
        "maintenance",
        "marked",
        "multiplier",
        "protection",
        "reference",
        "remainder",
        "right",
        "rule",
        "session_date",
        "strike",
        "tick",
        "underlying_id",
        "value_date",
    )

    def __init__(self) -> None:
        self.decimals = 4
        self.initial = self.maintenance = self.rule = 0
        self.collar = self.protection = self.remainder = 0
        self.tick = self.lot = self.multiplier = 1
        self.last = self.marked = self.reference = 0
        self.session_date = self.value_date = 0
        self.close = self.close_before = 0
        self.underlying_id = NO_ID
        self.right = self.strike = self.expiry = 0
        self.is_open = self.is_closed = self.has_no_shares = False

    @property
    def mark(self) -> int:
        """What its holdings are valued at: the mark if that is what moves stops, else the last
        trade; before any trade the mark or the reference.
        """
        if self.rule == BY_MARK and self.marked:
            return self.marked
        return self.last or self.marked or self.reference


class InstrumentBooks:
    """Instruments by id; `touched` are those whose books may trade anew after this command."""

    def __init__(self) -> None:
        self._terms: dict[UUID, Terms] = {}
        self.touched: set[UUID] = set()
        self.optioned: set[UUID] = set()
        """Instruments on which options are listed."""

    def of(self, instrument_id: UUID) -> Terms:
        """Find an instrument's terms; one that was never listed has none."""
        terms = self._terms.get(instrument_id)
        if terms is None:
            terms = self._terms[instrument_id] = Terms()
        return terms

    def listed(self, position: int, event: InstrumentListed) -> None:
        """Take a new instrument in."""
        terms = self.of(event.originator_id)
        terms.decimals = event.price_decimals
        terms.reference = event.reference_price
        terms.tick, terms.lot = event.tick, event.lot
        terms.multiplier = event.multiplier
        terms.underlying_id, terms.right = event.underlying_id, event.right
        terms.strike, terms.expiry = event.strike, event.expiry
        if event.expiry:
            self.optioned.add(event.underlying_id)
        terms.has_no_shares = event.asset_class == "crypto"
        self.changed(position, event)

    def changed(self, position: int, event: InstrumentListed | InstrumentTermsChanged) -> None:
        """Take an instrument's other terms over."""
        terms = self.of(event.originator_id)
        terms.rule = event.trigger_rule
        terms.collar, terms.protection = event.collar_bps, event.protection_bps
        terms.remainder = event.remainder
        terms.initial, terms.maintenance = event.initial_margin_bps, event.maintenance_margin_bps

    def opened(self, position: int, event: InstrumentOpened) -> None:
        """Note that a session began."""
        terms = self.of(event.originator_id)
        terms.session_date, terms.value_date = event.session_date, event.value_date
        self._opens(event)

    def resumed(self, position: int, event: InstrumentResumed) -> None:
        """Note that a halt is over."""
        self._opens(event)

    def _opens(self, event: InstrumentOpened | InstrumentResumed) -> None:
        self.of(event.originator_id).is_open = True
        self.touched.add(event.originator_id)

    def stopped(self, position: int, event: InstrumentClosed | InstrumentHalted) -> None:
        """Note that a session is over, or halted."""
        self.of(event.originator_id).is_open = False

    def marked(self, position: int, event: InstrumentMarked) -> None:
        """Note a mark price."""
        self.of(event.originator_id).marked = event.price
