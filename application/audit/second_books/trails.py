"""Stops that trail, reckoned a second time: from the prices that the log tells."""

from __future__ import annotations

from fractions import Fraction
from math import ceil, floor
from uuid import UUID

from application.audit.second_books.findings import Findings
from application.audit.second_books.instruments import InstrumentBooks, Terms
from application.audit.second_books.known_orders import KnownOrder
from application.audit.second_books.market import MarketBooks
from application.audit.second_books.orders import OrderBooks
from application.audit.second_books.protections import ProtectionBooks
from domain.events import (
    InstrumentMarked,
    InstrumentOpened,
    InstrumentResumed,
    InstrumentTermsChanged,
    OrderAccepted,
    OrderFilled,
    OrderReplaced,
    OrderTrailed,
)

BUY, SELL = 1, 2
TRAILING = 25
BY_TRADE, BY_QUOTE = 1, 2
CHECK = "trails"


class Trailer:
    """A stop that trails: the order as it is known, and the prices it goes by."""

    __slots__ = ("mark", "order", "percent", "price")

    def __init__(self, order: KnownOrder, event: OrderAccepted) -> None:
        self.order = order
        self.price, self.percent = event.trail_price, event.trail_percent
        self.mark = event.water_mark

    def due(self, terms: Terms, mark: int) -> int:
        """Where its stop belongs when this is the best price: on the tick, away from it."""
        share = Fraction(self.percent, 100_000)
        if self.order.side == SELL:
            return floor((mark * (1 - share) - self.price) / terms.tick) * terms.tick
        return ceil((mark * (1 + share) + self.price) / terms.tick) * terms.tick


class TrailBooks:
    """Knows the stops that trail, and the prices that a command has shown."""

    def __init__(
        self,
        findings: Findings,
        instruments: InstrumentBooks,
        market: MarketBooks,
        protections: ProtectionBooks,
        orders: OrderBooks,
    ) -> None:
        self._findings = findings
        self._instruments = instruments
        self._market = market
        self._protections = protections
        self._orders = orders
        self._trailers: dict[UUID, dict[UUID, Trailer]] = {}
        self._prices: dict[UUID, set[int]] = {}

    # Prices

    def filled(self, position: int, event: OrderFilled) -> None:
        """Note at what price a command trades."""
        self._orders.filled(position, event)
        if event.instrument_id in self._trailers:
            self._prices.setdefault(event.instrument_id, set()).add(event.price)

    def looked_again(
        self,
        position: int,
        event: InstrumentMarked | InstrumentOpened | InstrumentResumed | InstrumentTermsChanged,
    ) -> None:
        """Note that what an instrument last traded at counts once more."""
        identifier = event.originator_id
        last = self._instruments.of(identifier).last
        if last and identifier in self._trailers:
            self._prices.setdefault(identifier, set()).add(last)

    # Orders

    def accepted(self, position: int, event: OrderAccepted) -> None:
        """Judge where a stop begins to trail."""
        self._protections.accepted(position, event)
        if event.order_type != TRAILING:
            return
        trailer = Trailer(self._orders.working[event.originator_id], event)
        of_instrument = self._trailers.setdefault(event.instrument_id, {})
        of_instrument[event.originator_id] = trailer
        terms = self._instruments.of(event.instrument_id)
        now = self._seen(event.instrument_id, terms, event.side) or terms.last or terms.reference
        due = (now, trailer.due(terms, now))
        self._judge(position, (event.water_mark, event.stop_price), due)
        if bool(event.trail_price) == bool(event.trail_percent):
            self._findings.fail(CHECK, position, "it trails by an amount and a percentage, or none")

    def trailed(self, position: int, event: OrderTrailed) -> None:
        """Judge that a stop moved the right way, by a tick or more, because of a price seen."""
        trailer = self._trailers.get(event.instrument_id, {}).get(event.originator_id)
        order = self._orders.trailed(position, event)
        if trailer is None or order is None:
            self._findings.fail(CHECK, position, "no stop trails here")
            return
        terms = self._instruments.of(event.instrument_id)
        self._judge(position, event.stop_price, trailer.due(terms, event.water_mark))
        nearer = event.stop_price - order.stop_price
        nearer = nearer if order.side == SELL else -nearer
        if nearer < terms.tick or event.side != order.side:
            self._findings.fail(CHECK, position, f"it moved by {nearer}")
        if terms.rule == BY_TRADE:
            was_seen = event.water_mark in self._prices.get(event.instrument_id, ())
        else:
            was_seen = event.water_mark == self._seen(event.instrument_id, terms, order.side)
        if not was_seen:
            self._findings.fail(CHECK, position, f"no price of {event.water_mark} was seen")
        order.stop_price, trailer.mark = event.stop_price, event.water_mark

    def replaced(self, position: int, event: OrderReplaced) -> None:
        """Judge that new terms leave the best price as it was, and the stop where it belongs."""
        trailer = self._trailers.get(event.instrument_id, {}).get(event.originator_id)
        if trailer is not None:
            before = (event.stop_before, event.water_mark_before, event.water_mark)
            due = (trailer.order.stop_price, trailer.mark, trailer.mark)
            self._judge(position, before, due)
            if trailer.order.waiting:
                trailer.price, trailer.percent = event.trail_price, event.trail_percent
                terms = self._instruments.of(event.instrument_id)
                self._judge(position, event.stop_price, trailer.due(terms, trailer.mark))
            else:
                said = (event.trail_price, event.trail_percent)
                self._judge(position, said, (trailer.price, trailer.percent))
        self._orders.replaced(position, event)

    # Judgement

    def end_command(self, position: int) -> None:
        """Judge that no stop was left behind by a price that a command has shown."""
        for instrument_id in self._prices.keys() | self._market.touched:
            trailers = self._trailers.get(instrument_id)
            if trailers is None:
                continue
            terms = self._instruments.of(instrument_id)
            for identifier, trailer in list(trailers.items()):
                order = trailer.order
                if self._orders.working.get(identifier) is not order:
                    del trailers[identifier]
                elif order.waiting and terms.is_open:
                    self._keeps_up(position, instrument_id, terms, trailer)
            if not trailers:
                del self._trailers[instrument_id]
        self._prices.clear()

    def _keeps_up(self, position: int, instrument_id: UUID, terms: Terms, trailer: Trailer) -> None:
        order = trailer.order
        seen = self._prices.get(instrument_id, set())
        if terms.rule != BY_TRADE:
            seen = {self._seen(instrument_id, terms, order.side)}
        stops = [order.stop_price, *(trailer.due(terms, price) for price in seen if price)]
        due = max(stops) if order.side == SELL else min(stops)
        self._judge(position, order.stop_price, due)

    def _seen(self, instrument_id: UUID, terms: Terms, side: int) -> int:
        """The price that stops of a side are measured against now; 0 when there is none."""
        if terms.rule == BY_TRADE:
            return terms.last
        if terms.rule == BY_QUOTE:
            return self._market.first(instrument_id, BUY + SELL - side)
        return terms.marked

    def _judge(self, position: int, said: object, due: object) -> None:
        self._findings.chain(CHECK, position, "the stop", said, due)
