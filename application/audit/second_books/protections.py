"""The bounds of orders without a limit, reckoned a second time, and exits that thin books end."""

from __future__ import annotations

from fractions import Fraction
from math import ceil, floor
from uuid import UUID

from application.audit.second_books.findings import Findings
from application.audit.second_books.groups import GroupBooks
from application.audit.second_books.instruments import InstrumentBooks, Terms
from application.audit.second_books.market import (
    CLS,
    FIRST_LEG,
    RESTING_TIMES,
    STANDING_TIMES,
    MarketBooks,
)
from application.audit.second_books.orders import OrderBooks
from domain.events import OrderAccepted, OrderAdjusted, OrderCanceled, OrderTriggered

BUY, SELL = 1, 2
MARKET = 1
STOPS = (3, 25)
TAKE_PROFIT = 2
CLOSING = 10
REST = 1
LARGEST = 10**17 - 1
"""No price is higher, at any scale."""
OF_THIN_BOOKS = (2, 5, 7, 14)
"""Reasons of a cancel that a market with more to offer would not have had."""


class ProtectionBooks:
    """Looks at each order before its own books take the event in."""

    def __init__(
        self,
        findings: Findings,
        instruments: InstrumentBooks,
        market: MarketBooks,
        orders: OrderBooks,
        groups: GroupBooks,
    ) -> None:
        self._findings = findings
        self._instruments = instruments
        self._market = market
        self._orders = orders
        self._groups = groups

    def accepted(self, position: int, event: OrderAccepted) -> None:
        """Judge the bound of a market order, or of a stop that begins to wait."""
        terms = self._instruments.of(event.instrument_id)
        if event.order_type in STOPS:
            self._judge(position, event.working_price, _band(terms, event.stop_price, event.side))
        elif event.order_type == MARKET and (event.rests or event.protection_price):
            self._judge_market(position, event, terms)
        self._orders.accepted(position, event)

    def _judge_market(self, position: int, event: OrderAccepted, terms: Terms) -> None:
        """What was written before there was a protection says nothing of it."""
        may_rest = event.time_in_force in STANDING_TIMES
        if terms.is_open and event.time_in_force != CLS:
            target = self._ahead(event, event.side)
            price = self._of_now(event.instrument_id, terms, event.side, target)
            stays = event.time_in_force in RESTING_TIMES and not event.notional
            due = (price, price, stays and terms.remainder == REST)
        else:
            due = (_band(terms, terms.last or terms.reference, event.side), 0, may_rest)
        self._judge(position, (event.working_price, event.protection_price, event.rests), due)

    def triggered(self, position: int, event: OrderTriggered) -> None:
        """Judge how far an elected stop may trade, and whether it works on there."""
        order = self._orders.working.get(event.originator_id)
        if order is not None and event.protection_price:
            terms = self._instruments.of(event.instrument_id)
            target = self._ahead(event, order.side)
            price = _short_of(
                terms, target, _reach(terms, event.seen_price, order.side), order.side
            )
            if order.side == BUY and order.leaves > order.hold_qty:
                price = min(price, order.bound)
            said = (event.working_price, event.protection_price, event.rests)
            self._judge(position, said, (price, price, terms.remainder == REST))
        self._groups.triggered(position, event)

    def adjusted(self, position: int, event: OrderAdjusted) -> None:
        """Judge the protection of what an auction left of a queued market order, and the band
        that bounds one for the close in its auction.
        """
        order = self._orders.working.get(event.originator_id)
        if order is not None and event.protection_price:
            terms = self._instruments.of(event.instrument_id)
            target = self._groups.target(event.group_id, event.leg)
            if event.reason == CLOSING:
                price = _band(terms, terms.last or terms.reference, order.side)
            else:
                price = self._of_now(event.instrument_id, terms, order.side, target)
            if order.side == BUY and order.leaves > order.hold_qty:
                price = min(price, order.bound)
            self._judge(position, event.protection_price, price)
        self._groups.adjusted(position, event)

    def canceled(self, position: int, event: OrderCanceled) -> None:
        """Judge that no exit which may rest ends because a book was thin."""
        order = self._orders.working.get(event.originator_id)
        if order is not None and TAKE_PROFIT <= order.leg < FIRST_LEG:
            self._findings.looked["protections"] += 1
            if order.rests and event.reason in OF_THIN_BOOKS:
                self._findings.fail("protections", position, "an exit has left its position bare")
        self._orders.ended(position, event)

    def reach_of_leg(self, instrument_id: UUID, side: int, *, priced: bool) -> int:
        """How far a leg of a multi-leg order may trade now, whatever its other legs do: with a net
        price as far as the collar, 0 where no price tells; without as a market order.
        """
        terms = self._instruments.of(instrument_id)
        if not priced:
            return self._of_now(instrument_id, terms, side, 0)
        reference = terms.last or terms.reference
        return _band(terms, reference, side) if reference else 0

    def alone(self, instrument_id: UUID, side: int) -> int:
        """Find where a market order would be bound now."""
        return self._of_now(instrument_id, self._instruments.of(instrument_id), side, 0)

    def is_priced(self, instrument_id: UUID, side: int) -> bool:
        """Whether there is a price to bound a market order by."""
        terms = self._instruments.of(instrument_id)
        first = self._market.first(instrument_id, BUY + SELL - side)
        return bool(terms.last or terms.reference or first)

    def _judge(self, position: int, said: object, due: object) -> None:
        self._findings.chain("protections", position, "the bound", said, due)

    def _ahead(self, event: OrderAccepted | OrderTriggered, side: int) -> int:
        """The take-profit of an entry that is not there yet: nobody offers at it or past it."""
        target = self._groups.target(event.group_id, event.leg)
        first = self._market.first(event.instrument_id, BUY + SELL - side)
        return 0 if _reaches(first, target, side) else target

    def _of_now(self, instrument_id: UUID, terms: Terms, side: int, target: int) -> int:
        """A market order reaches from whom it would meet first, and stays in the collar; an
        entry meets nobody at its take-profit or past it.
        """
        reference = terms.last or terms.reference
        first = self._market.first(instrument_id, BUY + SELL - side)
        if target and _reaches(first, target, side):
            first = 0
        price = _short_of(terms, target, _reach(terms, first or reference, side), side)
        if not reference:
            return price
        within = _band(terms, reference, side)
        return min(price, within) if side == BUY else max(price, within)


def _band(terms: Terms, price: int, side: int) -> int:
    """The collar around a price, on its last tick inside."""
    width = Fraction(price * terms.collar, 10_000)
    return _on_tick(terms, price + width if side == BUY else price - width, side)


def _reach(terms: Terms, price: int, side: int) -> int:
    """The protection around a price: a tick at least, the collar at most."""
    width = max(Fraction(price * terms.protection, 10_000), Fraction(terms.tick))
    reached = _on_tick(terms, price + width if side == BUY else price - width, side)
    collar = _band(terms, price, side)
    return min(reached, collar) if side == BUY else max(reached, collar)


def _reaches(first: int, target: int, side: int) -> bool:
    return first > 0 and (first >= target if side == BUY else first <= target)


def _short_of(terms: Terms, target: int, price: int, side: int) -> int:
    """A price at which an entry does not meet its own take-profit."""
    if not target:
        return price
    if side == BUY:
        return max(min(price, target - terms.tick), terms.tick)
    return max(price, target + terms.tick)


def _on_tick(terms: Terms, price: Fraction, side: int) -> int:
    if side == BUY:
        return max(floor(min(price, Fraction(LARGEST)) / terms.tick), 1) * terms.tick
    return max(ceil(price / terms.tick), 1) * terms.tick
