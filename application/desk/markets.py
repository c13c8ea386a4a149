"""The room of markets: instruments, their books and waiting stops; it runs without accounts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from application.desk.prints import Prints
from domain.errors import UnknownInstrument
from domain.events import (
    InstrumentClosed,
    InstrumentClosing,
    InstrumentEvent,
    InstrumentExpired,
    InstrumentHalted,
    InstrumentListed,
    InstrumentMarked,
    InstrumentOpened,
    InstrumentResumed,
    InstrumentTermsChanged,
    OrderAccepted,
    OrderAdjusted,
    OrderCanceled,
    OrderExpired,
    OrderFilled,
    OrderReplaced,
    OrderTrailed,
    OrderTriggered,
)
from domain.identifiers import uuid_of
from domain.instrument import Instrument
from domain.matching.engine import Market
from domain.order import Order
from domain.terms import Side
from domain.trail import Trail

_SIDES = (int(Side.BUY), int(Side.SELL))


class Markets:
    """Every instrument's market, by id and by symbol: that of today, and those it once had until
    another instrument took them; options by id once more.

    `owner_of` tells the number that keeps an account's owner from trading with itself; who
    only follows a book may leave it out.
    """

    def __init__(self, owner_of: Callable[[UUID], int] = lambda _: 0) -> None:
        self.by_id: dict[int, Market] = {}
        self.by_symbol: dict[str, Market] = {}
        self.options: dict[UUID, Market] = {}
        self.prints = Prints()
        self._owner_of = owner_of
        self.rules: dict[type[Any], Callable[[Any], Any]] = {
            InstrumentListed: self._listed,
            InstrumentTermsChanged: self._terms_changed,
            InstrumentOpened: self._moved,
            InstrumentClosing: self._moved,
            InstrumentClosed: self._moved,
            InstrumentExpired: self._moved,
            InstrumentHalted: self._moved,
            InstrumentResumed: self._moved,
            InstrumentMarked: self._moved,
        }
        self.beside: dict[type[Any], Callable[[Order, Any], None]] = {
            OrderAccepted: self._order_accepted,
            OrderAdjusted: self._order_adjusted,
            OrderTrailed: self._order_trailed,
            OrderTriggered: self._order_triggered,
            OrderReplaced: self._order_replaced,
            OrderFilled: self._order_filled,
            OrderCanceled: self._order_ended,
            OrderExpired: self._order_ended,
        }
        """What an order's event does to its market; the order is as it stood before."""

        self.aggregates: dict[str, Callable[[Any], Instrument]] = {
            Instrument.KIND: lambda event: self.by_id[event.originator_id.int].instrument
        }
        """Where the aggregate of an event of each family stands."""

    def listed_as(self, symbol: str) -> Market | None:
        """The market whose symbol of today this is."""
        market = self.by_symbol.get(symbol)
        return market if market is not None and market.instrument.symbol == symbol else None

    def named(self, symbol: str) -> Market:
        """The market that a symbol leads to. Raises UnknownInstrument."""
        market = self.by_symbol.get(symbol)
        if market is None:
            raise UnknownInstrument(symbol)
        return market

    # Applying events

    def _listed(self, event: InstrumentListed) -> Instrument:
        assert event.originator_id.int not in self.by_id
        instrument: Instrument = event.mutate(None)
        self._add(instrument)
        return instrument

    def _add(self, instrument: Instrument) -> Market:
        market = Market(instrument)
        self.by_id[instrument.id.int] = self.by_symbol[instrument.symbol] = market
        if market.family:
            self.by_id[market.family].family = market.family
        if instrument.is_option:
            self.options[instrument.id] = market
        return market

    def _terms_changed(self, event: InstrumentTermsChanged) -> Instrument:
        market = self.by_id[event.originator_id.int]
        # The old symbol leads here until another instrument takes it.
        self.by_symbol[event.symbol] = market
        market.instrument.evolve(event)
        return market.instrument

    def _moved(self, event: InstrumentEvent) -> Instrument:
        instrument = self.by_id[event.originator_id.int].instrument
        instrument.evolve(event)
        return instrument

    def _order_accepted(self, order: Order, event: OrderAccepted) -> None:
        if order.armed:
            market = self.by_id[event.instrument_id.int]
            if order.is_waiting_stop:
                self._let_wait(market, order)
            elif order.may_rest:
                self._rest(market, order, order.sequence, order.working_price, order.leaves)

    def _order_adjusted(self, order: Order, event: OrderAdjusted) -> None:
        if not event.armed:
            return
        market = self.by_id[event.instrument_id.int]
        if order.waits:
            if not order.armed:
                market.stops.add(order.side, order.stop_price, event.sequence)
        elif not order.armed or event.sequence != order.sequence:
            market.book.cancel(order.sequence)
            if order.may_rest:
                price = event.protection_price or order.working_price
                self._rest(market, order, event.sequence, price, event.leaves_after)
        elif event.leaves_after < order.leaves:
            market.reduce(order.sequence, event.leaves_after)

    def _order_trailed(self, order: Order, event: OrderTrailed) -> None:
        market = self.by_id[event.instrument_id.int]
        tick = market.instrument.tick
        market.stops.trailing.move(order.side, event.stop_price, order.sequence, tick)

    def _order_triggered(self, order: Order, event: OrderTriggered) -> None:
        market = self.by_id[event.instrument_id.int]
        self._stop_waiting(market, order)
        if event.rests or order.may_rest:
            self._rest(market, order, event.sequence, event.working_price, order.leaves)

    def _order_replaced(self, order: Order, event: OrderReplaced) -> None:
        if not order.armed:
            return
        market = self.by_id[event.instrument_id.int]
        if order.waits:
            if event.kept_priority:
                return
            self._stop_waiting(market, order)
            if order.trails:
                trail = Trail(event.trail_price, event.trail_percent)
                self._trail(market, order, event.stop_price, event.sequence, trail)
            else:
                market.stops.add(order.side, event.stop_price, event.sequence)
        elif not event.kept_priority:
            market.book.cancel(order.sequence)
            self._rest(market, order, event.sequence, event.working_price, event.leaves_after)
        elif event.leaves_after < order.leaves:
            market.reduce(order.sequence, event.leaves_after)

    def _order_filled(self, order: Order, event: OrderFilled) -> None:
        market = self.by_id[event.instrument_id.int]
        market.book.fill(order.sequence, event.qty // market.instrument.lot)
        market.last_price = event.price
        self.prints.said(event)

    def _order_ended(self, order: Order, event: OrderCanceled | OrderExpired) -> None:
        if not order.armed:
            return
        market = self.by_id[event.instrument_id.int]
        if order.waits:
            self._stop_waiting(market, order)
        else:
            market.book.cancel(order.sequence)

    def _let_wait(self, market: Market, order: Order) -> None:
        if order.trails:
            self._trail(market, order, order.stop_price, order.sequence, order.trail)
        else:
            market.stops.add(order.side, order.stop_price, order.sequence)

    def _trail(self, market: Market, order: Order, price: int, sequence: int, trail: Trail) -> None:
        market.stops.add_trailing(order.side, price, sequence, trail, market.instrument.tick)

    def _stop_waiting(self, market: Market, order: Order) -> None:
        if order.trails:
            market.stops.remove_trailing(order.side, order.sequence)
        else:
            market.stops.remove(order.side, order.stop_price, order.sequence)

    def _rest(self, market: Market, order: Order, sequence: int, price: int, leaves: int) -> None:
        owner = self._owner_of(order.account_id)
        market.rest(sequence, order.side, price, leaves, owner)

    def make_room(self) -> None:
        """Let every book that is nearly full grow now, so that no order waits for it."""
        for market in self.by_id.values():
            market.book.make_room()

    # The room as plain values

    def dump(self) -> list[Any]:
        """All state of the room in one canonical order."""
        former = [
            [symbol, market.instrument.id]
            for symbol, market in self.by_symbol.items()
            if market.instrument.symbol != symbol
        ]
        return [self._dumped(), sorted(former), self.prints.dump()]

    def _dumped(self) -> list[Any]:
        return [
            [
                market.instrument.state(),
                market.last_price,
                *[[list(row) for row in market.book.orders(side)] for side in _SIDES],
                market.stops.rows(),
                [list(row) for row in market.stops.trailing.rows()],
            ]
            for market in self.by_id.values()
        ]

    def load(self, state: list[Any]) -> None:
        """Become the room that was dumped."""
        markets, former, prints = state
        for instrument, last_price, buys, sells, stops, trailing in markets:
            market = self._add(Instrument.from_state(instrument))
            market.last_price = last_price
            for side, rows in zip(_SIDES, (buys, sells), strict=True):
                market.rest_all(side, rows)
            for side, price, sequence in stops:
                market.stops.add(side, price, sequence)
            tick = market.instrument.tick
            for side, price, sequence, *trail in trailing:
                market.stops.add_trailing(side, price, sequence, Trail(*trail), tick)
        for symbol, instrument_id in former:
            self.by_symbol[symbol] = self.by_id[uuid_of(instrument_id).int]
        self.prints.load(prints)
