"""An instrument: reference data, session, halts and which price elects its stops."""

from __future__ import annotations

from typing import Any, ClassVar
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
from domain.terms import Phase, TriggerRule


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
    def list_new(cls, decision: Decision, identifier: UUID, *terms: Any) -> Instrument:
        """List an instrument; `terms` are the fields of InstrumentListed in order."""
        self = cls.blank(identifier, decision.at)
        self.trigger(InstrumentListed, decision, *terms)
        return self

    def change_terms(self, decision: Decision, *terms: Any) -> None:
        """Set the changeable terms; `terms` are the fields of InstrumentTermsChanged."""
        self.trigger(InstrumentTermsChanged, decision, *terms)

    def check_can_open(self) -> None:
        """Raises WrongSessionState unless the instrument is closed."""
        if self.phase != Phase.CLOSED:
            raise WrongSessionState(self.symbol, Phase(self.phase).name.lower(), "open")

    def check_can_resume(self) -> None:
        """Raises WrongSessionState unless the instrument is halted."""
        if self.phase != Phase.HALTED:
            raise WrongSessionState(self.symbol, Phase(self.phase).name.lower(), "resume")

    def open(
        self,
        decision: Decision,
        session: tuple[int, int, int, int],
        uncross: tuple[int, int],
    ) -> None:
        """Begin a session (date, value date, opens, closes) after the uncross (price, qty)."""
        self.trigger(InstrumentOpened, decision, *session, *uncross)

    def resume(self, decision: Decision, uncross: tuple[int, int]) -> None:
        """Trade on after a halt, and after the uncross (price, qty)."""
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
