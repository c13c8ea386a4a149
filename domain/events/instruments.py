"""Events of instruments: listings, sessions, halts and marks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from domain.events.base import DomainEvent, topic
from domain.identifiers import NO_ID, Instant, InstrumentId, PositionId
from domain.terms import ExerciseStyle, Phase, Remainder, Right
from domain.units import (
    INSTANT,
    PHASE,
    PRICE,
    SEQUENCE,
    Bps,
    Cents,
    Day,
    Decimals,
    ExerciseStyleCode,
    Number,
    Price,
    PriceOrNone,
    Qty,
    RemainderCode,
    RightCode,
    Sequence,
    Symbol,
    TriggerRuleCode,
    Unit,
    WideQty,
    WirePrice,
    from_digits,
)

_CLOSED = int(Phase.CLOSED)
_OPEN = int(Phase.OPEN)
_HALTED = int(Phase.HALTED)
_CLOSING = int(Phase.CLOSING)
_EXPIRED = int(Phase.EXPIRED)
_REST = int(Remainder.REST)


class InstrumentEvent(DomainEvent, frozen=True, array_like=True, gc=False):
    """An event of an instrument; the originator is the instrument."""

    AGGREGATE = "instrument"
    SETS: ClassVar[Mapping[str, Unit]] = {
        "phase": PHASE,
        "mark_price": PRICE,
        "closed_after": SEQUENCE,
        "closed_at": INSTANT,
        "close_price": PRICE,
    }


@topic
class InstrumentListed(InstrumentEvent, frozen=True, array_like=True, gc=False):
    """An instrument may be traded from now on; it starts closed."""

    TOPIC = "instrument.listed.v1"
    symbol: Symbol
    name: str
    asset_class: str
    calendar: str
    price_decimals: Decimals
    tick: Price
    lot: Qty
    trigger_rule: TriggerRuleCode
    collar_bps: Bps
    max_order_qty: Qty
    max_order_notional: Cents
    position_limit: Qty
    reference_price: Price
    initial_margin_bps: Bps = 5000
    maintenance_margin_bps: Bps = 2500
    shortable: bool = False
    """Easy to borrow: a short sale needs no located shares."""
    settlement_cycle: Number = 2
    """Value date: so many settlement days after the session."""
    protection_bps: Bps = 100
    """How far market orders and elected stops may trade, within the collar."""
    remainder: RemainderCode = _REST
    multiplier: Number = 1
    """What a price is worth of: so many units of the underlying stand behind one of an option."""
    underlying_id: InstrumentId = NO_ID
    """Of an option; what it may be exercised into. All that follows is of options alone."""
    right: RightCode = int(Right.PUT)
    strike: WirePrice = 0
    expiry: Day = 0
    style: ExerciseStyleCode = int(ExerciseStyle.EUROPEAN)

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
        aggregate.protection_bps = self.protection_bps
        aggregate.remainder = self.remainder
        aggregate.multiplier = self.multiplier
        aggregate.underlying_id = self.underlying_id
        aggregate.right = self.right
        aggregate.strike = self.strike
        aggregate.expiry = self.expiry
        aggregate.style = self.style


@topic
class InstrumentTermsChanged(InstrumentEvent, frozen=True, array_like=True, gc=False):
    """The changeable terms of an instrument, all of them, as they are from now on."""

    TOPIC = "instrument.terms_changed.v1"
    symbol: Symbol
    name: str
    trigger_rule: TriggerRuleCode
    collar_bps: Bps
    max_order_qty: Qty
    max_order_notional: Cents
    position_limit: Qty
    initial_margin_bps: Bps = 5000
    maintenance_margin_bps: Bps = 2500
    shortable: bool = False
    settlement_cycle: Number = 2
    protection_bps: Bps = 100
    remainder: RemainderCode = _REST

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
        aggregate.protection_bps = self.protection_bps
        aggregate.remainder = self.remainder


@topic
class InstrumentOpened(InstrumentEvent, frozen=True, array_like=True, gc=False):
    """A session began; the uncross volume is 0 when nothing crossed, and at most 2^63 - 1."""

    TOPIC = "instrument.opened.v1"
    session_date: Day
    value_date: Day
    opens_at: Instant
    closes_at: Instant
    uncross_price: Price
    uncross_qty: Qty
    previous_close: PriceOrNone = 0
    """What holdings were valued at when the session of the date before ended."""

    def apply(self, aggregate: Any) -> None:
        aggregate.phase = _OPEN
        aggregate.previous_close = self.previous_close
        aggregate.session_date = self.session_date
        aggregate.value_date = self.value_date
        aggregate.closes_at = self.closes_at


@topic
class InstrumentClosing(InstrumentEvent, frozen=True, array_like=True, gc=False):
    """The closing auction; its volume is 0 when nothing crossed, and at most 2^63 - 1.

    What it trades follows, and then the close, in the same command.
    """

    TOPIC = "instrument.closing.v1"
    uncross_price: Price
    uncross_qty: Qty

    def apply(self, aggregate: Any) -> None:
        aggregate.phase = _CLOSING


@topic
class InstrumentClosed(InstrumentEvent, frozen=True, array_like=True, gc=False):
    """A session ended; day orders expire in the commands that follow."""

    TOPIC = "instrument.closed.v1"
    session_date: Day
    last_sequence: Sequence
    """The last order sequence given before the close: day orders up to it are over."""
    mark: PriceOrNone = 0
    """What holdings are valued at as the session ends."""

    def apply(self, aggregate: Any) -> None:
        aggregate.phase = _CLOSED
        aggregate.closed_after = self.last_sequence
        aggregate.closed_at = self.at
        aggregate.close_price = self.mark


@topic
class InstrumentHalted(InstrumentEvent, frozen=True, array_like=True, gc=False):
    """Trading stopped inside a session."""

    TOPIC = "instrument.halted.v1"
    reason: str

    def apply(self, aggregate: Any) -> None:
        aggregate.phase = _HALTED


@topic
class InstrumentResumed(InstrumentEvent, frozen=True, array_like=True, gc=False):
    """Trading goes on after a halt."""

    TOPIC = "instrument.resumed.v1"
    uncross_price: Price
    uncross_qty: Qty

    def apply(self, aggregate: Any) -> None:
        aggregate.phase = _OPEN


@topic
class InstrumentExpired(InstrumentEvent, frozen=True, array_like=True, gc=False):
    """An option is over for good; what is held of it ends in this command and those that follow.

    It is in the money when anything is `exercised`: all that is held long. As much of what is
    `written` is assigned, to each who is short in proportion, rounded down to whole contracts,
    and one more to each of the oldest positions, up to the one named.
    """

    TOPIC = "instrument.expired.v1"
    session_date: Day
    """The underlying's last session; what is exercised trades in it, and settles as it does."""
    value_date: Day
    underlying_price: WirePrice
    """What the underlying was valued at as that closed; 0 where nothing told a price."""
    exercised: WideQty
    written: WideQty
    extra_until: PositionId

    def apply(self, aggregate: Any) -> None:
        aggregate.phase = _EXPIRED
        aggregate.session_date = self.session_date
        aggregate.value_date = self.value_date
        aggregate.exercised = from_digits(self.exercised)
        aggregate.written = from_digits(self.written)
        aggregate.extra_until = self.extra_until


@topic
class InstrumentMarked(InstrumentEvent, frozen=True, array_like=True, gc=False):
    """A mark or reference price was set from outside."""

    TOPIC = "instrument.marked.v1"
    price: Price

    def apply(self, aggregate: Any) -> None:
        aggregate.mark_price = self.price
