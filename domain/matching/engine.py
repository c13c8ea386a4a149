"""One instrument's market: its book, its waiting stops and the prices that move them."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from domain.identifiers import Instant
from domain.instrument import Instrument, Uncross
from domain.matching.book import BATCH_ADD, BATCH_WIDTH, FILL, Book
from domain.matching.stops import Stops
from domain.money import LARGEST, divide_half_even
from domain.order import Order
from domain.price_range import PriceRange
from domain.terms import Side, TimeInForce, TriggerRule

MOST_TOLD: int = 2**63 - 1
"""How much of an auction's quantity its event can hold; its fills tell all of it."""
_BUY = int(Side.BUY)
_SELL = int(Side.SELL)
_GTC = int(TimeInForce.GTC)
_GTD = int(TimeInForce.GTD)
_LAST_TRADE = int(TriggerRule.LAST_TRADE)
_BID_ASK = int(TriggerRule.BID_ASK)
_MARK = int(TriggerRule.MARK)


class Planned(msgspec.Struct, frozen=True, gc=False):
    """What an incoming order would do to the book, which is as it was.

    `met` are the orders it meets, in the order in which it meets them; `left` is what it would
    have left in 1e-8 units, `ended` whether self-trade prevention would end it there.
    """

    met: Sequence[Meeting]
    left: int
    ended: bool


class Meeting(msgspec.Struct, frozen=True, gc=False):
    """An order met in the book: a trade at a price, or one that self-trade prevention ends."""

    sequence: int
    qty: int
    price: int
    trades: bool


RestingRow = Sequence[int]
"""An order as the book tells it: sequence, ticks, lots, owner."""
NOBODY: Sequence[Meeting] = ()


class Cross(NamedTuple):
    """A trade of an auction, by the sequences of both orders."""

    buy: int
    sell: int
    qty: int


class Market:
    """Where one instrument trades. The book speaks ticks and lots; all else here prices.

    Its questions change nothing; applying the recorded events does.
    """

    __slots__ = ("book", "family", "instrument", "last_price", "stops")

    def __init__(self, instrument: Instrument) -> None:
        self.instrument = instrument
        self.book = Book()
        self.stops = Stops()
        self.last_price = 0
        self.family = instrument.underlying_id.int
        """The id of what options on it, or it itself, are for; 0 where there are none."""

    @property
    def reference_price(self) -> int:
        """What collars are measured from: the last trade, else the listing's reference."""
        return self.last_price or self.instrument.reference_price

    @property
    def mark(self) -> int:
        """What positions are valued at: the mark where it moves stops, else the last trade."""
        instrument = self.instrument
        if instrument.trigger_rule == _MARK and instrument.mark_price:
            return instrument.mark_price
        return self.last_price or instrument.mark_price or instrument.reference_price

    def collar(self, price: int) -> tuple[int, int]:
        """The lowest and highest price allowed around one, on the tick, inward."""
        instrument = self.instrument
        tick = instrument.tick
        width = price * instrument.collar_bps // 10_000
        low = -(-(price - width) // tick)
        top = price + width
        high = (top if top < LARGEST else LARGEST) // tick
        return (low if low > 1 else 1) * tick, (high if high > 1 else 1) * tick

    def protected(self, side: int, price: int) -> int:
        """How far an order may trade that a price let loose: the protection around it, on the
        tick, inward, but at least one tick and never beyond the collar.
        """
        instrument = self.instrument
        tick = instrument.tick
        low, high = self.collar(price)
        width = max(price * instrument.protection_bps // 10_000, tick)
        if side == _BUY:
            return min((price + width) // tick * tick, high)
        return max(-(-(price - width) // tick) * tick, low)

    def protection_price(self, side: int, target: int = 0) -> int:
        """How far a market order may trade now: from the best opposite price, else from the
        reference, and never beyond the collar around that; 0 when there is neither.

        An entry stays inside its `target`, where its take-profit stands or will: what stands
        there or beyond is not for it.
        """
        reference = self.reference_price
        best = self.book.best(_SELL if side == _BUY else _BUY) * self.instrument.tick
        if best and self.inside(side, best, target) != best:
            best = 0
        price = self.protected(side, best or reference) if best or reference else 0
        if best and reference:
            low, high = self.collar(reference)
            price = min(price, high) if side == _BUY else max(price, low)
        return self.inside(side, price, target) if price else 0

    def ahead(self, side: int, target: int) -> int:
        """An entry's target; 0 once others offer at it or beyond, for the entry trades there."""
        best = self.book.best(_SELL if side == _BUY else _BUY) * self.instrument.tick
        return target if not best or self.inside(side, best, target) == best else 0

    def inside(self, side: int, price: int, target: int) -> int:
        """A price, at least a tick short of an entry's target; 0 is no target."""
        if not target:
            return price
        tick = self.instrument.tick
        if side == _BUY:
            return min(price, max(target - tick, tick))
        return max(price, target + tick)

    def at_collar(self, order: Order) -> bool:
        """Whether it is the collar that bounds an order, and no price within it."""
        reference = self.reference_price
        return reference != 0 and order.working_price in self.collar(reference)

    def trigger_prices(self, traded: PriceRange) -> PriceRange:
        """What stops are measured against now, for sells and for buys.

        `traded` are the trades that were not looked at yet.
        """
        rule = self.instrument.trigger_rule
        if rule == _LAST_TRADE:
            return traded
        if rule == _BID_ASK:
            tick = self.instrument.tick
            return PriceRange(self.book.best(_BUY) * tick, self.book.best(_SELL) * tick)
        return PriceRange(self.instrument.mark_price, self.instrument.mark_price)

    def stop_reference(self, side: int) -> int:
        """The price a new stop must not be through already; 0 when there is none yet."""
        rule = self.instrument.trigger_rule
        if rule == _LAST_TRADE:
            return self.last_price
        if rule == _BID_ASK:
            return self.book.best(_SELL if side == _BUY else _BUY) * self.instrument.tick
        return self.instrument.mark_price

    def trail_reference(self, side: int) -> int:
        """The price from which a new stop begins to trail: what it is measured against, or until
        there is one the last trade or the reference; 0 when there is neither.
        """
        return self.stop_reference(side) or self.reference_price

    def is_due(self, order: Order, at: Instant) -> bool:
        """Whether an order's time is over: a day order's with its session, a gtd's at its
        instant.
        """
        if order.time_in_force == _GTD:
            return order.expires_at <= at
        return order.time_in_force != _GTC and order.sequence <= self.instrument.closed_after

    def crosses(self, order: Order) -> bool:
        """Whether a live order finds anybody at its price."""
        if order.side == _BUY:
            best = self.book.best(_SELL)
            return best != 0 and best * self.instrument.tick <= order.working_price
        return self.book.best(_BUY) * self.instrument.tick >= order.working_price

    def plan(self, order: Order, owner: int, self_trade: int) -> Planned:
        """What a live order of this owner, with this prevention, would do to the book now."""
        return self.meet(order.side, order.working_price, order.leaves, owner, self_trade)

    def meet(self, side: int, price: int, qty: int, owner: int, self_trade: int) -> Planned:
        """What an order of these terms, bound by a price, would do to the book now."""
        tick, lot = self.instrument.tick, self.instrument.lot
        rows, left, ended = self.book.plan(side, price // tick, qty // lot, owner, self_trade)
        if not rows:
            return Planned(NOBODY, left * lot, ended)
        met = [
            Meeting(key, lots * lot, ticks * tick, kind == FILL) for kind, key, lots, ticks in rows
        ]
        return Planned(met, left * lot, ended)

    def auction(self) -> Uncross:
        """What an auction would trade now."""
        ticks, lots, _ = self.book.uncross_price(self._uncross_reference())
        qty = min(lots * self.instrument.lot, MOST_TOLD)
        return Uncross(ticks * self.instrument.tick, qty)

    def plan_uncross(self, price: int) -> list[Cross]:
        """The trades of an auction at this price; afterwards the book would not be crossed."""
        lot = self.instrument.lot
        rows = self.book.plan_uncross(price // self.instrument.tick)
        return [Cross(buy, sell, lots * lot) for buy, sell, lots in rows]

    # What follows is for applying events alone.

    def rest(self, sequence: int, side: int, price: int, qty: int, owner: int) -> None:
        """Let an order rest, last at its price, without matching it."""
        terms = self.instrument
        self.book.add(sequence, side, price // terms.tick, qty // terms.lot, owner)

    def rest_all(self, side: int, rows: Sequence[RestingRow]) -> None:
        """Let all the orders of a side rest that a book told, in its order, in one call."""
        if not rows:
            return
        keys, ticks, lots, owners = (array("q", column) for column in zip(*rows, strict=True))
        table = array("q", [BATCH_ADD]) * (BATCH_WIDTH * len(rows))
        table[1::BATCH_WIDTH] = keys
        table[2::BATCH_WIDTH] = array("q", [side]) * len(rows)
        table[3::BATCH_WIDTH] = ticks
        table[4::BATCH_WIDTH] = lots
        table[5::BATCH_WIDTH] = owners
        self.book.make_room(len(rows))
        self.book.run_batch(table)

    def reduce(self, sequence: int, leaves: int) -> None:
        """Make a resting order smaller; it keeps its place."""
        self.book.reduce(sequence, leaves // self.instrument.lot)

    def _uncross_reference(self) -> int:
        """The tick that an auction price is drawn to when volume and imbalance tie."""
        reference = self.reference_price
        if reference:
            return min(max(divide_half_even(reference, self.instrument.tick), 1), LARGEST)
        return max((self.book.best(_BUY) + self.book.best(_SELL)) // 2, 1)
