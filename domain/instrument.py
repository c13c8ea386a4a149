"""An instrument: reference data, session, halts and which price elects its stops."""

from __future__ import annotations

from typing import NamedTuple
from uuid import UUID

from domain.aggregate import Aggregate, aggregate
from domain.decision import Decision
from domain.errors import WrongSessionState
from domain.events import (
    InstrumentClosed,
    InstrumentClosing,
    InstrumentExpired,
    InstrumentHalted,
    InstrumentListed,
    InstrumentMarked,
    InstrumentOpened,
    InstrumentResumed,
    InstrumentTermsChanged,
)
from domain.identifiers import NO_ID, Instant
from domain.terms import ExerciseStyle, Phase, Remainder, Right, TriggerRule
from domain.units import to_digits

MANUAL = ("", "manual")
"""Calendars without sessions of their own: opened and closed by operators alone."""


ENDED = frozenset({int(Phase.CLOSED), int(Phase.EXPIRED)})
"""The phases in which no session is under way."""


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
    protection_bps: int
    remainder: int
    multiplier: int = 1
    underlying_id: UUID = NO_ID
    right: int = int(Right.PUT)
    strike: int = 0
    expiry: int = 0
    style: int = int(ExerciseStyle.EUROPEAN)


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
    protection_bps: int
    remainder: int


class SessionHours(NamedTuple):
    """A session: its date and value date as 20261120, and when it opens and closes."""

    session_date: int
    value_date: int
    opens_at: Instant
    closes_at: Instant


class Expiry(NamedTuple):
    """What an option's expiry comes to; the fields of `InstrumentExpired`."""

    session_date: int
    value_date: int
    underlying_price: int
    exercised: int = 0
    written: int = 0
    extra_until: UUID = NO_ID


class Uncross(NamedTuple):
    """What an auction trades: one price, and how much; zeros when nothing crosses.

    More than 2^63 - 1 units are told as that many.
    """

    price: int = 0
    qty: int = 0


class Instrument(Aggregate):
    """What is traded. Its id is its identity for ever; its symbol may change.

    `tick` is in price units, `lot` in 1e-8 of quantity; limits of 0 mean none. A trade is worth
    price times quantity times `multiplier`. An option names its underlying; `strike` is on the
    wire's scale, `expiry` a day as 20261218.
    """

    KIND = "instrument"
    DIGITS = frozenset({"exercised", "written"})

    symbol: str = ""
    name: str = ""
    asset_class: str = ""
    calendar: str = ""
    price_decimals: int = 4
    tick: int = 1
    lot: int = 1
    trigger_rule: int = int(TriggerRule.LAST_TRADE)
    collar_bps: int = 0
    max_order_qty: int = 0
    max_order_notional: int = 0
    position_limit: int = 0
    reference_price: int = 0
    phase: int = int(Phase.CLOSED)
    session_date: int = 0
    value_date: int = 0
    closes_at: int = 0
    mark_price: int = 0
    closed_after: int = 0
    """The last order sequence given before the latest close: day orders up to it are over."""
    initial_margin_bps: int = 5000
    maintenance_margin_bps: int = 2500
    shortable: bool = False
    settlement_cycle: int = 2
    protection_bps: int = 100
    remainder: int = int(Remainder.REST)
    closed_at: int = 0
    close_price: int = 0
    """What holdings were valued at at the latest close; 0 when nothing told a price."""
    previous_close: int = 0
    """The same of the last session of an earlier date than this one's."""
    multiplier: int = 1
    underlying_id: UUID = NO_ID
    right: int = int(Right.PUT)
    strike: int = 0
    expiry: int = 0
    style: int = int(ExerciseStyle.EUROPEAN)
    exercised: int = 0
    written: int = 0
    extra_until: UUID = NO_ID

    @property
    def is_option(self) -> bool:
        """Whether it is a right to buy or sell another instrument."""
        return self.expiry != 0

    @property
    def is_by_hand(self) -> bool:
        """Whether operators alone open and close it."""
        return self.calendar in MANUAL

    def is_over(self, at: Instant) -> bool:
        """Whether its session has ended for good by an instant: of a calendar's session the hour
        must have come too, for an operator who closed it earlier may open it again.
        """
        ended = self.phase in ENDED and self.closed_at > 0
        return ended and (self.is_by_hand or at >= self.closes_at)

    @classmethod
    def list_new(cls, decision: Decision, identifier: UUID, listing: Listing) -> Instrument:
        """List an instrument."""
        made: Instrument = decision.record(
            InstrumentListed(
                *decision.first_of(identifier),
                symbol=listing.symbol,
                name=listing.name,
                asset_class=listing.asset_class,
                calendar=listing.calendar,
                price_decimals=listing.price_decimals,
                tick=listing.tick,
                lot=listing.lot,
                trigger_rule=listing.trigger_rule,
                collar_bps=listing.collar_bps,
                max_order_qty=listing.max_order_qty,
                max_order_notional=listing.max_order_notional,
                position_limit=listing.position_limit,
                reference_price=listing.reference_price,
                initial_margin_bps=listing.initial_margin_bps,
                maintenance_margin_bps=listing.maintenance_margin_bps,
                shortable=listing.shortable,
                settlement_cycle=listing.settlement_cycle,
                protection_bps=listing.protection_bps,
                remainder=listing.remainder,
                multiplier=listing.multiplier,
                underlying_id=listing.underlying_id,
                right=listing.right,
                strike=listing.strike,
                expiry=listing.expiry,
                style=listing.style,
            ),
            None,
        )
        return made

    def change_terms(self, decision: Decision, changed: ChangedTerms) -> None:
        """Set the changeable terms."""
        decision.record(
            InstrumentTermsChanged(
                *decision.next_of(self),
                symbol=changed.symbol,
                name=changed.name,
                trigger_rule=changed.trigger_rule,
                collar_bps=changed.collar_bps,
                max_order_qty=changed.max_order_qty,
                max_order_notional=changed.max_order_notional,
                position_limit=changed.position_limit,
                initial_margin_bps=changed.initial_margin_bps,
                maintenance_margin_bps=changed.maintenance_margin_bps,
                shortable=changed.shortable,
                settlement_cycle=changed.settlement_cycle,
                protection_bps=changed.protection_bps,
                remainder=changed.remainder,
            ),
            self,
        )

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
        again = hours.session_date == self.session_date
        previous = self.previous_close if again else self.close_price
        decision.record(InstrumentOpened(*decision.next_of(self), *hours, *uncross, previous), self)

    def resume(self, decision: Decision, uncross: Uncross) -> None:
        """Trade on after a halt, with an auction."""
        decision.record(InstrumentResumed(*decision.next_of(self), *uncross), self)

    def begin_closing(self, decision: Decision, uncross: Uncross) -> None:
        """Hold the closing auction; what follows in the same decision ends with the close."""
        assert self.phase == Phase.OPEN
        decision.record(InstrumentClosing(*decision.next_of(self), *uncross), self)

    def check_can_close(self) -> None:
        """Raises WrongSessionState when the instrument is closed."""
        if self.phase in ENDED:
            raise WrongSessionState(self.symbol, Phase(self.phase).name.lower(), "close")

    def close(self, decision: Decision, last_sequence: int, mark: int) -> None:
        """End the session at a mark, also out of a halt; raises WrongSessionState when closed."""
        self.check_can_close()
        decision.record(
            InstrumentClosed(
                *decision.next_of(self),
                session_date=self.session_date,
                last_sequence=last_sequence,
                mark=mark,
            ),
            self,
        )

    def expire(self, decision: Decision, expiry: Expiry) -> None:
        """End an option for good; it has closed before."""
        assert self.is_option and self.phase == Phase.CLOSED
        decision.record(
            InstrumentExpired(
                *decision.next_of(self),
                session_date=expiry.session_date,
                value_date=expiry.value_date,
                underlying_price=expiry.underlying_price,
                exercised=to_digits(expiry.exercised),
                written=to_digits(expiry.written),
                extra_until=expiry.extra_until,
            ),
            self,
        )

    def halt(self, decision: Decision, reason: str) -> None:
        """Stop trading; raises WrongSessionState unless open."""
        if self.phase != Phase.OPEN:
            raise WrongSessionState(self.symbol, Phase(self.phase).name.lower(), "halt")
        decision.record(InstrumentHalted(*decision.next_of(self), reason=reason), self)

    def mark(self, decision: Decision, price: int) -> None:
        """Take a mark price from outside; raises WrongSessionState when expired."""
        if self.phase == Phase.EXPIRED:
            raise WrongSessionState(self.symbol, "expired", "mark")
        decision.record(InstrumentMarked(*decision.next_of(self), price=price), self)


aggregate(Instrument)
