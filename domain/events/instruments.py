"""Events of instruments: listings, sessions, halts and marks."""

from __future__ import annotations

from typing import Any

from domain.events.base import DomainEvent, topic


class InstrumentEvent(DomainEvent, frozen=True, array_like=True, gc=False):
    """An event of an instrument; the originator is the instrument."""

    AGGREGATE = "instrument"


@topic
class InstrumentListed(InstrumentEvent, frozen=True, array_like=True, gc=False):
    """An instrument may be traded from now on; it starts closed."""

    TOPIC = "instrument.listed.v1"
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
    initial_margin_bps: int = 5000
    maintenance_margin_bps: int = 2500
    shortable: bool = False
    """Easy to borrow: a short sale needs no located shares."""
    settlement_cycle: int = 2
    """Value date: so many settlement days after the session."""

    def apply(self, aggregate: Any) -> None:
        aggregate.symbol = self.symbol
        aggregate.name = self.name
        aggregate.asset_class = self.asset_class
        aggregate.calendar = self.calendar
        aggregate.price_decimals = self.price_decimals
        aggregate.tick = self.tick
        aggregate.lot = self.lot
        aggregate.trigger_rule = self.trigger_rule
        aggregate.collar_bps = self.collar_bps
        aggregate.max_order_qty = self.max_order_qty
        aggregate.max_order_notional = self.max_order_notional
        aggregate.position_limit = self.position_limit
        aggregate.reference_price = self.reference_price
        aggregate.initial_margin_bps = self.initial_margin_bps
        aggregate.maintenance_margin_bps = self.maintenance_margin_bps
        aggregate.shortable = self.shortable
        aggregate.settlement_cycle = self.settlement_cycle


@topic
class InstrumentTermsChanged(InstrumentEvent, frozen=True, array_like=True, gc=False):
    """The changeable terms of an instrument, all of them, as they are from now on."""

    TOPIC = "instrument.terms_changed.v1"
    symbol: str
    name: str
    trigger_rule: int
    collar_bps: int
    max_order_qty: int
    max_order_notional: int
    position_limit: int
    initial_margin_bps: int = 5000
    maintenance_margin_bps: int = 2500
    shortable: bool = False
    settlement_cycle: int = 2

    def apply(self, aggregate: Any) -> None:
        aggregate.symbol = self.symbol
        aggregate.name = self.name
        aggregate.trigger_rule = self.trigger_rule
        aggregate.collar_bps = self.collar_bps
        aggregate.max_order_qty = self.max_order_qty
        aggregate.max_order_notional = self.max_order_notional
        aggregate.position_limit = self.position_limit
        aggregate.initial_margin_bps = self.initial_margin_bps
        aggregate.maintenance_margin_bps = self.maintenance_margin_bps
        aggregate.shortable = self.shortable
        aggregate.settlement_cycle = self.settlement_cycle


@topic
class InstrumentOpened(InstrumentEvent, frozen=True, array_like=True, gc=False):
    """A session began; the uncross volume is 0 when nothing crossed."""

    TOPIC = "instrument.opened.v1"
    session_date: int
    value_date: int
    opens_at: int
    closes_at: int
    uncross_price: int
    uncross_qty: int

    def apply(self, aggregate: Any) -> None:
        aggregate.phase = 1
        aggregate.session_date = self.session_date
        aggregate.value_date = self.value_date
        aggregate.closes_at = self.closes_at


@topic
class InstrumentClosed(InstrumentEvent, frozen=True, array_like=True, gc=False):
    """A session ended; day orders expire in the commands that follow."""

    TOPIC = "instrument.closed.v1"
    session_date: int
    last_sequence: int
    """The last order sequence given before the close: day orders up to it are over."""

    def apply(self, aggregate: Any) -> None:
        aggregate.phase = 0
        aggregate.closed_after = self.last_sequence


@topic
class InstrumentHalted(InstrumentEvent, frozen=True, array_like=True, gc=False):
    """Trading stopped inside a session."""

    TOPIC = "instrument.halted.v1"
    reason: str

    def apply(self, aggregate: Any) -> None:
        aggregate.phase = 2


@topic
class InstrumentResumed(InstrumentEvent, frozen=True, array_like=True, gc=False):
    """Trading goes on after a halt."""

    TOPIC = "instrument.resumed.v1"
    uncross_price: int
    uncross_qty: int

    def apply(self, aggregate: Any) -> None:
        aggregate.phase = 1


@topic
class InstrumentMarked(InstrumentEvent, frozen=True, array_like=True, gc=False):
    """A mark or reference price was set from outside."""

    TOPIC = "instrument.marked.v1"
    price: int

    def apply(self, aggregate: Any) -> None:
        aggregate.mark_price = self.price
