"""One instrument's market: its book, its waiting stops and the prices that move them."""

from __future__ import annotations

from domain.instrument import Instrument
from domain.matching.book import Book
from domain.matching.stops import Stops
from domain.money import divide_half_even
from domain.order import Order
from domain.terms import OrderType, Side, TimeInForce, TriggerRule

MAX_TICKS = 2**31 - 1
MAX_LOTS = 2**31 - 1
_BUY = int(Side.BUY)
_SELL = int(Side.SELL)
_RESTING = (int(TimeInForce.DAY), int(TimeInForce.GTC), int(TimeInForce.GTD))


class Market:
    """Where one instrument trades. The book speaks ticks and lots; all else here prices.

    `low` and `high` bound what has traded since stops were last looked at (0: nothing), and
    `armed` what has since a stop joined the others in between, by its sequence.
    """

    __slots__ = ("armed", "book", "high", "instrument", "last_price", "low", "stops")

    def __init__(self, instrument: Instrument) -> None:
        self.instrument = instrument
        self.book = Book()
        self.stops = Stops()
        self.last_price = 0
        self.low = 0
        self.high = 0
        self.armed: dict[int, tuple[int, int]] = {}

    @property
    def reference_price(self) -> int:
        """What collars are measured from: the last trade, else the listing's reference."""
        return self.last_price or self.instrument.reference_price

    @property
    def mark(self) -> int:
        """What positions are valued at: the mark where it moves stops, else the last trade."""
        instrument = self.instrument
        if instrument.trigger_rule == TriggerRule.MARK and instrument.mark_price:
            return instrument.mark_price
        return self.last_price or instrument.mark_price or instrument.reference_price

    def collar(self, price: int) -> tuple[int, int]:
        """The lowest and highest price allowed around one, on the tick, inward."""
        instrument = self.instrument
        tick = instrument.tick
        width = price * instrument.collar_bps // 10_000
        low = max(-(-(price - width) // tick), 1)
        high = min((price + width) // tick, MAX_TICKS)
        return low * tick, max(high, 1) * tick

    def traded(self, price: int) -> None:
        """Note a trade's price."""
        self.last_price = price
        if price > self.high:
            self.high = price
        if price < self.low or not self.low:
            self.low = price
        if self.armed:
            for sequence, (low, high) in self.armed.items():
                self.armed[sequence] = min(low, price), max(high, price)

    def arm(self, order: Order) -> None:
        """Let a stop wait that is there because of a trade of this very step.

        What traded before it was there is none of its prices.
        """
        self.stops.add(order.side, order.stop_price, order.sequence)
        self.armed[order.sequence] = self.last_price, self.last_price

    def seen_by(self, order: Order, seen: int) -> int:
        """The price that elects a stop taken out for `seen`; 0 when it goes on waiting.

        Only what traded since it waits counts.
        """
        low, high = self.armed.get(order.sequence, (0, 0))
        if not low or self.instrument.trigger_rule != TriggerRule.LAST_TRADE:
            return seen
        since = high if order.side == _BUY else low
        if (since >= order.stop_price) if order.side == _BUY else (since <= order.stop_price):
            return since
        self.stops.add(order.side, order.stop_price, order.sequence)
        return 0

    def look_again(self) -> None:
        """Let stops be measured against the last trade once more, though nothing traded."""
        if self.last_price:
            self.traded(self.last_price)

    def trigger_prices(self) -> tuple[int, int]:
        """What stops are measured against now: (for sells, for buys), 0 for none.

        Trades since the last look are forgotten by looking.
        """
        rule = self.instrument.trigger_rule
        if rule == TriggerRule.LAST_TRADE:
            prices = self.low, self.high
            self.low = self.high = 0
            return prices
        if rule == TriggerRule.BID_ASK:
            tick = self.instrument.tick
            return self.book.best(_BUY) * tick, self.book.best(_SELL) * tick
        return self.instrument.mark_price, self.instrument.mark_price

    def stop_reference(self, side: int) -> int:
        """The price a new stop must not be through already; 0 when there is none yet."""
        rule = self.instrument.trigger_rule
        if rule == TriggerRule.LAST_TRADE:
            return self.last_price
        if rule == TriggerRule.BID_ASK:
            return self.book.best(_SELL if side == _BUY else _BUY) * self.instrument.tick
        return self.instrument.mark_price

    def rests(self, order: Order) -> bool:
        """Whether what does not trade at once stays in the book."""
        return (
            order.order_type in (OrderType.LIMIT, OrderType.STOP_LIMIT)
            and order.time_in_force in _RESTING
        )

    def add(self, order: Order, owner: int) -> None:
        """Let an order rest, last at its price, without matching it."""
        instrument = self.instrument
        self.book.add(
            order.sequence,
            order.side,
            order.working_price // instrument.tick,
            order.leaves // instrument.lot,
            owner,
        )

    def uncross_reference(self) -> int:
        """The tick that an auction price is drawn to when volume and imbalance tie."""
        reference = self.reference_price
        if reference:
            return min(max(divide_half_even(reference, self.instrument.tick), 1), MAX_TICKS)
        return max((self.book.best(_BUY) + self.book.best(_SELL)) // 2, 1)
