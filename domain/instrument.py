"""An instrument: reference data, session, halts and which price elects its stops."""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple
from uuid import UUID

from domain.aggregate import Aggregate, aggregate
from domain.decision import Decision
from domain.errors import WrongSessionState
from domain.events import (
    InstrumentClosed,
    InstrumentHalted,
    InstrumentListed,
    InstrumentMarked,
    InstrumentOpened,
    InstrumentResumed,
    InstrumentTermsChanged,
)
from domain.identifiers import Instant
from domain.terms import Phase, TriggerRule


class Listing(NamedTuple):
    """The terms an instrument is listed with; units as in the aggregate."""

    symbol: str
    name: str
    asset_class: str
    calendar: str
    price_decimals: int
    tick: int
    lot: int
    trigger_rule: int
    collar_bps: int
    max_order_qty: int
    max_order_notional: int
    position_limit: int
    reference_price: int
    initial_margin_bps: int
    maintenance_margin_bps: int
    shortable: bool
    settlement_cycle: int


class ChangedTerms(NamedTuple):
    """The terms that may change, all of them, as they are from now on."""

    symbol: str
    name: str
    trigger_rule: int
    collar_bps: int
    max_order_qty: int
    max_order_notional: int
    position_limit: int
    initial_margin_bps: int
    maintenance_margin_bps: int
    shortable: bool
    settlement_cycle: int


class SessionHours(NamedTuple):
    """A session: its date and value date as 20261120, and when it opens and closes."""

    session_date: int
    value_date: int
    opens_at: Instant
    closes_at: Instant


class Uncross(NamedTuple):
    """What an auction trades: one price, and how much; zeros when nothing crosses."""

    price: int = 0
    qty: int = 0


class Instrument(Aggregate):
    """What is traded. Its id is its identity for ever; its symbol may change.

    `tick` is in price units, `lot` in 1e-8 of quantity; limits of 0 mean none.
    """

    KIND = "instrument"
    FIELDS: ClassVar[dict[str, Any]] = {
        "symbol": "",
        "name": "",
        "asset_class": "",
        "calendar": "",
        "price_decimals": 4,
        "tick": 1,
        "lot": 1,
        "trigger_rule": int(TriggerRule.LAST_TRADE),
        "collar_bps": 0,
        "max_order_qty": 0,
        "max_order_notional": 0,
        "position_limit": 0,
        "reference_price": 0,
        "phase": int(Phase.CLOSED),
        "session_date": 0,
        "value_date": 0,
        "closes_at": 0,
        "mark_price": 0,
        "closed_after": 0,
        "initial_margin_bps": 5000,
        "maintenance_margin_bps": 2500,
        "shortable": False,
        "settlement_cycle": 2,
    }

    symbol: str
    name: str
    asset_class: str
    calendar: str
    price_decimals: int
    tick: int
    lot: int
    trigger_rule: int
    collar_bps: int
    max_order_qty: int
    max_order_notional: int
    position_limit: int
    reference_price: int
    phase: int
    session_date: int
    value_date: int
    closes_at: int
    mark_price: int
    closed_after: int
    """The last order sequence given before the latest close: day orders up to it are over."""
    initial_margin_bps: int
    maintenance_margin_bps: int
    shortable: bool
    settlement_cycle: int

    @classmethod
    def list_new(cls, decision: Decision, identifier: UUID, listing: Listing) -> Instrument:
        """List an instrument."""
        made: Instrument = cls.begin(InstrumentListed, decision, identifier, *listing)
        return made

    def change_terms(self, decision: Decision, changed: ChangedTerms) -> None:
        """Set the changeable terms."""
        self.trigger(InstrumentTermsChanged, decision, *changed)

    def check_can_open(self) -> None:
        """Raises WrongSessionState unless the instrument is closed."""
        if self.phase != Phase.CLOSED:
            raise WrongSessionState(self.symbol, Phase(self.phase).name.lower(), "open")

    def check_can_resume(self) -> None:
        """Raises WrongSessionState unless the instrument is halted."""
        if self.phase != Phase.HALTED:
            raise WrongSessionState(self.symbol, Phase(self.phase).name.lower(), "resume")

    def open(self, decision: Decision, hours: SessionHours, uncross: Uncross) -> None:
        """Begin a session with an auction."""
        self.trigger(InstrumentOpened, decision, *hours, *uncross)

    def resume(self, decision: Decision, uncross: Uncross) -> None:
        """Trade on after a halt, with an auction."""
        self.trigger(InstrumentResumed, decision, *uncross)

    def close(self, decision: Decision, last_sequence: int) -> None:
        """End the session, also out of a halt; raises WrongSessionState when closed."""
        if self.phase == Phase.CLOSED:
            raise WrongSessionState(self.symbol, "closed", "close")
        self.trigger(InstrumentClosed, decision, self.session_date, last_sequence)

    def halt(self, decision: Decision, reason: str) -> None:
        """Stop trading; raises WrongSessionState unless open."""
        if self.phase != Phase.OPEN:
            raise WrongSessionState(self.symbol, Phase(self.phase).name.lower(), "halt")
        self.trigger(InstrumentHalted, decision, reason)

    def mark(self, decision: Decision, price: int) -> None:
        """Take a mark price from outside."""
        self.trigger(InstrumentMarked, decision, price)


aggregate(Instrument)
