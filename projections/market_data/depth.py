"""The venue's market data from committed events: books, best prices, trades, phases and marks.

A trading floor follows the log by whole commands, and each command gives the records that it leads
to: nobody sees half a match. Whoever runs this has `MarketData` apply pages and publishes what it
gives (`projections.market_data.following` does). `Books` is the port of those who serve snapshots.

`sequence` counts the updates of an instrument and kind one by one, so that a number left out says
that something is missing. A feed that begins at a position of the log counts on from that position.
An update takes a position at least, so a count never falls when a feed begins anew, from whatever
snapshot: who comes back with an older number sees that it is older.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, NamedTuple, Protocol
from uuid import UUID

from application.desk.floor import TradingFloor
from application.desk.following import DeskDiverged
from application.desk.kept_orders import KeptOrders
from application.desk.prints import Print
from application.log.ports import Recorded
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
    OrderAccepted,
    OrderAdjusted,
    OrderCanceled,
    OrderEvent,
    OrderExpired,
    OrderFillBusted,
    OrderFillCorrected,
    OrderFilled,
    OrderReplaced,
    OrderTriggered,
)
from domain.identifiers import Instant
from domain.instrument import Instrument
from domain.matching.engine import Market
from domain.order import Order
from domain.terms import Liquidity
from projections.market_data.levels import BUY, SELL, Changed, Levels, Resting
from projections.market_data.records import LOG, Kind, Printed, Record, halves, id_words

ALL_LEVELS = 2**30
_LEVEL, _TRADE, _QUOTE = int(Kind.LEVEL), int(Kind.TRADE), int(Kind.QUOTE)
_STATUS, _MARK = int(Kind.STATUS), int(Kind.MARK)
_TRADED, _BUSTED, _CORRECTED = (int(one) for one in Printed)
_PRINTED = {
    OrderFilled.TOPIC: _TRADED,
    OrderFillBusted.TOPIC: _BUSTED,
    OrderFillCorrected.TOPIC: _CORRECTED,
}
_TOOK = {int(Liquidity.REMOVED): BUY, int(Liquidity.ADDED): SELL, int(Liquidity.AUCTION): 0}
"""Who took, by what the buyer's fill says of itself."""


class BookChanges(NamedTuple):
    """What changed in a book since a sequence: records of levels, as one update.

    `whole`: it is the whole book, and what was known before is void.
    """

    sequence: int
    records: Sequence[Record]
    whole: bool


class Books(Protocol):
    """Who can say what changed in a book since somebody was told of it."""

    def changes(self, instrument: int, after: int | None) -> BookChanges:
        """What changed after a sequence; the whole book when there is none, or it is too old."""
        ...

    def sequence(self, instrument: int, kind: int) -> int:
        """The count of the updates of a kind."""
        ...


class BookStamp(NamedTuple):
    """Which update of a book is the latest, the book's checksum after it, and its command: the
    instant, and the last position in the log.
    """

    sequence: int
    checksum: int
    at: Instant
    position: int


def level_records(instrument: int, stamp: BookStamp, changed: Sequence[Changed]) -> list[Record]:
    """Levels of a book as one update of it."""
    left = len(changed)
    sequence, checksum, at, position = stamp
    records = []
    for side, price, qty, orders in changed:
        left -= 1
        words = price, *halves(qty), orders, left, 0 if left else checksum
        records.append(Record(LOG, instrument, _LEVEL, side, sequence, at, position, *words))
    return records


class _Traded:
    """One instrument as it is told: its levels, and the counts of its other updates."""

    __slots__ = ("at", "index", "levels", "market", "position", "quote", "sequences")

    def __init__(self, index: int, market: Market, position: int, at: Instant) -> None:
        terms = market.instrument
        self.index = index
        self.market = market
        self.position = position
        self.at = at
        self.levels = Levels(
            position,
            *[
                [
                    Resting(ticks * terms.tick, lots * terms.lot, orders)
                    for ticks, lots, orders in market.book.depth(side, ALL_LEVELS)
                ]
                for side in (BUY, SELL)
            ],
        )
        self.quote = self.best()
        self.sequences = dict.fromkeys((_TRADE, _QUOTE, _STATUS, _MARK), position)

    def best(self) -> tuple[int, int, int, int]:
        """The best prices and what rests there."""
        bids, asks = self.levels.best(BUY, 1), self.levels.best(SELL, 1)
        bid, bid_qty = bids[0][:2] if bids else (0, 0)
        ask, ask_qty = asks[0][:2] if asks else (0, 0)
        return bid, bid_qty, ask, ask_qty

    def record(self, kind: int, side: int, *words: int) -> Record:
        """The next record of a kind."""
        self.sequences[kind] += 1
        return self._numbered(kind, side, *words)

    def _numbered(self, kind: int, side: int, *words: int) -> Record:
        return Record(
            LOG, self.index, kind, side, self.sequences[kind], self.at, self.position, *words
        )

    def standing(self, latest: Print | None) -> list[Record]:
        """The phase, and the mark, the best prices and the latest trade where there are any."""
        records = [self._numbered(_STATUS, 0, *self.status(0, 0))]
        if latest is not None:
            words = latest.price, latest.qty, _PRINTED[latest.topic], *id_words(latest.trade_id)
            took = _TOOK.get(latest.liquidity, 0)
            traded = self._numbered(_TRADE, took, *words, latest.price_before)
            records.append(traded._replace(at=latest.at))
        if self.market.instrument.mark_price:
            records.append(self._numbered(_MARK, 0, self.market.instrument.mark_price))
        if any(self.quote):
            records.append(self._numbered(_QUOTE, 0, *self.quote_words()))
        return records

    def status(self, auction_price: int, auction_qty: int) -> tuple[int, ...]:
        """The words of the phase."""
        terms = self.market.instrument
        return auction_price, auction_qty, 0, terms.phase, terms.session_date

    def quote_words(self) -> tuple[int, ...]:
        """The words of the best prices."""
        bid, bid_qty, ask, ask_qty = self.quote
        return bid, *halves(bid_qty), ask, *halves(ask_qty)

    def level_records(self, changed: Sequence[Changed]) -> list[Record]:
        """Levels as one update of the book."""
        return level_records(self.index, self.stamp(), changed)

    def stamp(self) -> BookStamp:
        """The latest update of the book."""
        return BookStamp(self.levels.sequence, self.levels.checksum, self.at, self.position)


class MarketData:
    """All instruments of a floor, in the order of their listing: that is their index."""

    def __init__(
        self, floor: TradingFloor | None = None, position: int = 0, at: Instant = 0
    ) -> None:
        """Begin with a floor that stands at a position of the log, with nothing at the first."""
        self.floor = TradingFloor(orders=KeptOrders()) if floor is None else floor
        self.position = position
        self._traded: list[_Traded] = []
        self._by_id: dict[int, _Traded] = {}
        for identifier, market in self.floor.markets.by_id.items():
            self._list(identifier, market, at)
        self._records: list[Record] = []
        self._touched: dict[int, _Traded] = {}
        self._rules: Mapping[type[Any], Callable[[Any], None]] = {
            InstrumentListed: self._listed,
            InstrumentOpened: self._auctioned,
            InstrumentClosing: self._auctioned,
            InstrumentClosed: self._moved,
            InstrumentExpired: self._moved,
            InstrumentHalted: self._moved,
            InstrumentResumed: self._auctioned,
            InstrumentMarked: self._marked,
            OrderAccepted: self._order_moved,
            OrderAdjusted: self._order_moved,
            OrderTriggered: self._order_moved,
            OrderReplaced: self._order_moved,
            OrderFilled: self._order_filled,
            OrderCanceled: self._order_moved,
            OrderExpired: self._order_moved,
            OrderFillBusted: self._fill_busted,
            OrderFillCorrected: self._fill_corrected,
        }

    # Questions

    def __len__(self) -> int:
        return len(self._traded)

    def index_of(self, instrument_id: UUID) -> int:
        """The index of an instrument. Raises KeyError."""
        return self._by_id[instrument_id.int].index

    def instrument(self, index: int) -> Instrument:
        """The instrument with an index."""
        return self._traded[index].market.instrument

    def levels(self, index: int) -> Levels:
        """The book of an instrument."""
        return self._traded[index].levels

    def values(self) -> list[int]:
        """The price at which the writer values each instrument, 0 where there is none yet."""
        return [traded.market.mark for traded in self._traded]

    def count_from_here(self) -> None:
        """Count every update on from where the feed stands in the log: what one that began before
        it has told of any kind is not above that.
        """
        for index in range(len(self)):
            for kind in (_LEVEL, _TRADE, _QUOTE, _STATUS, _MARK):
                self.count_from(index, kind, self.position)

    def stamp_of(self, index: int) -> BookStamp:
        """The latest update of a book."""
        return self._traded[index].stamp()

    def changes(self, instrument: int, after: int | None) -> BookChanges:
        """What changed in a book after a sequence (`Books`)."""
        traded = self._traded[instrument]
        levels = traded.levels
        if after == levels.sequence:
            return BookChanges(after, [], False)
        changed = None if after is None else levels.since(after)
        whole = changed is None
        if changed is None:
            changed = levels.standing()
        return BookChanges(levels.sequence, traded.level_records(changed), whole)

    def best(self, instrument: int, most: int = ALL_LEVELS) -> BookChanges:
        """The best levels of both sides, as one update."""
        traded = self._traded[instrument]
        records = traded.level_records(traded.levels.standing(most))
        return BookChanges(traded.levels.sequence, records, True)

    def mark(self, instrument_id: UUID) -> int | None:
        """The price at which the writer values an instrument, 0 where there is none yet; None
        where there is no such instrument.
        """
        traded = self._by_id.get(instrument_id.int)
        return None if traded is None else traded.market.mark

    def sequence(self, instrument: int, kind: int) -> int:
        """The count of the updates of a kind."""
        traded = self._traded[instrument]
        return traded.levels.sequence if kind == _LEVEL else traded.sequences[kind]

    def count_from(self, instrument: int, kind: int, sequence: int) -> None:
        """Count the updates of a kind from another number on, as somebody was told them."""
        traded = self._traded[instrument]
        if kind == _LEVEL:
            traded.levels.sequence = sequence
        else:
            traded.sequences[kind] = sequence

    def standing(self) -> list[Record]:
        """Of each instrument the phase, the mark, the best prices and the latest trade as they are:
        what a feed that begins anew says first, so that the latest of each is known. Nothing is
        counted by it.
        """
        prints = self.floor.markets.prints
        return [
            record
            for traded in self._traded
            for record in traded.standing(prints.of(traded.market.instrument.id))
        ]

    # Following

    def commands(self, events: Sequence[Recorded]) -> Iterator[list[Record]]:
        """Apply whole commands; of each in turn the records that it leads to, if there are any.

        Those that were applied already are passed over. Raises DeskDiverged when a position is
        missing, or an event does not fit the floor.
        """
        for _, command in groupby(events, key=_correlation):
            if records := self.apply(list(command)):
                yield records

    def apply(self, command: Sequence[Recorded]) -> list[Record]:
        """Apply the events of one command, and give what it leads to."""
        position, last = command[-1]
        if position <= self.position:
            return []
        if command[0].position != self.position + 1:
            raise DeskDiverged(f"position {command[0].position} follows {self.position}")
        self._records = []
        self.position = position
        for traded in self._concerned(command):
            traded.at, traded.position = last.at, position
        for number, event in command:
            try:
                rule = self._rules.get(type(event))
                if rule is None:
                    self.floor.apply(event)
                else:
                    rule(event)
            except (AssertionError, LookupError, ValueError) as error:
                raise DeskDiverged(f"event {number} {event.TOPIC}: {error!r}") from error
        for traded in self._touched.values():
            self._tell_book(traded)
        self._touched.clear()
        return self._records

    def _concerned(self, command: Sequence[Recorded]) -> Iterator[_Traded]:
        """The instruments that a command concerns and that were listed before it."""
        seen = set()
        for _, event in command:
            if isinstance(event, OrderEvent):
                seen.add(event.instrument_id.int)
            elif isinstance(event, InstrumentEvent):
                seen.add(event.originator_id.int)
        return (self._by_id[one] for one in seen if one in self._by_id)

    def _list(self, identifier: int, market: Market, at: Instant) -> _Traded:
        traded = _Traded(len(self._traded), market, self.position, at)
        self._traded.append(traded)
        self._by_id[identifier] = traded
        return traded

    def _tell_book(self, traded: _Traded) -> None:
        """What a command changed in a book, and the best prices when they are others now."""
        changed = traded.levels.commit()
        if not changed:
            return
        self._records += traded.level_records(changed)
        best = traded.best()
        if best != traded.quote:
            traded.quote = best
            self._records.append(traded.record(_QUOTE, 0, *traded.quote_words()))

    # Rules

    def _listed(self, event: InstrumentListed) -> None:
        self.floor.apply(event)
        identifier = event.originator_id.int
        traded = self._list(identifier, self.floor.markets.by_id[identifier], event.at)
        # Its listing is the first that is told of it: the count begins one before.
        traded.sequences[_STATUS] -= 1
        self._tell_status(traded, 0, 0)

    def _auctioned(self, event: InstrumentOpened | InstrumentClosing | InstrumentResumed) -> None:
        self.floor.apply(event)
        traded = self._by_id[event.originator_id.int]
        self._tell_status(traded, event.uncross_price, event.uncross_qty)

    def _moved(self, event: InstrumentClosed | InstrumentExpired | InstrumentHalted) -> None:
        self.floor.apply(event)
        self._tell_status(self._by_id[event.originator_id.int], 0, 0)

    def _tell_status(self, traded: _Traded, price: int, qty: int) -> None:
        self._records.append(traded.record(_STATUS, 0, *traded.status(price, qty)))

    def _marked(self, event: InstrumentMarked) -> None:
        self.floor.apply(event)
        traded = self._by_id[event.originator_id.int]
        self._records.append(traded.record(_MARK, 0, event.price))

    def _order_filled(self, event: OrderFilled) -> None:
        self._order_moved(event)
        if event.side == BUY:
            self._print(event, _TRADED, _TOOK[event.liquidity], 0)

    def _fill_busted(self, event: OrderFillBusted) -> None:
        self.floor.apply(event)
        if event.side == BUY:
            self._print(event, _BUSTED, 0, 0)

    def _fill_corrected(self, event: OrderFillCorrected) -> None:
        self.floor.apply(event)
        if event.side == BUY:
            self._print(event, _CORRECTED, 0, event.old_price)

    def _print(
        self,
        event: OrderFilled | OrderFillBusted | OrderFillCorrected,
        printed: int,
        took: int,
        price_before: int,
    ) -> None:
        """Tell of a trade once: both sides have an event, and the buyer's counts."""
        traded = self._by_id[event.instrument_id.int]
        words = event.price, event.qty, printed, *id_words(event.trade_id), price_before
        self._records.append(traded.record(_TRADE, took, *words))

    def _order_moved(self, event: OrderEvent) -> None:
        """Have the floor apply an order's event, and the levels what it does to the book."""
        traded = self._by_id[event.instrument_id.int]
        working = self.floor.orders.working
        order = working.get(event.originator_id.int)
        before = _resting(traded.market, order)
        self.floor.apply(event)
        if order is None:
            order = working.get(event.originator_id.int)
        after = _resting(traded.market, order)
        if order is None or before == after:
            return
        self._touched[traded.index] = traded
        if before.price == after.price:
            traded.levels.add(order.side, after.price, after.qty - before.qty, 0)
            return
        if before.qty:
            traded.levels.add(order.side, before.price, -before.qty, -1)
        if after.qty:
            traded.levels.add(order.side, after.price, after.qty, 1)


class _Rests(NamedTuple):
    """Where an order rests in the book and with how much; zeros when it does not."""

    price: int
    qty: int


_NOWHERE = _Rests(0, 0)


def _resting(market: Market, order: Order | None) -> _Rests:
    """What the book has of an order."""
    lots = market.book.leaves(order.sequence) if order is not None else 0
    if order is None or not lots:
        return _NOWHERE
    terms = market.instrument
    return _Rests(order.working_price // terms.tick * terms.tick, lots * terms.lot)


def _correlation(recorded: Recorded) -> UUID:
    return recorded.event.correlation_id
