"""One step of a market: an order run, stops elected, an auction, and all that follows from it."""

from __future__ import annotations

from heapq import heappop, heappush

from application.deciding.matching import match, trade
from application.deciding.reactions import before_election, react
from application.desk.desk import Desk
from domain.decision import Decision
from domain.matching.engine import Market
from domain.order import Order
from domain.risk import market_price
from domain.terms import Liquidity, OrderType, Phase, Side

_BUY = int(Side.BUY)
_AUCTION = int(Liquidity.AUCTION)


def run(desk: Desk, decision: Decision, market: Market, order: Order) -> None:
    """Match one live order, and let linked orders follow; nothing may fail."""
    match(desk, decision, market, order)
    if desk.reactions:
        react(desk, decision)


def elect_stops(desk: Desk, decision: Decision, market: Market) -> None:
    """Elect the stops that the prices seen have reached, in order of acceptance, one by one.

    What an elected stop trades may elect more; they join the queue at their own place.
    """
    if not len(market.stops):
        market.low = market.high = 0
        market.armed.clear()
        return
    if market.instrument.phase != Phase.OPEN:
        return
    waiting: list[tuple[int, int, int]] = []
    low = high = 0
    while True:
        newest = decision.last_position() if decision.events else 0
        low, high = _spanned(low, high, market.low, market.high)
        for sequence, price in market.stops.take(*market.trigger_prices()):
            heappush(waiting, (sequence, price, newest))
        if not waiting:
            break
        old_sequence, seen, cause = heappop(waiting)
        # What was elected before it may have ended it, as one leg of a group ends the other.
        order = desk.by_sequence.get(old_sequence)
        if order is None:
            continue
        seen = market.seen_by(order, seen)
        if not seen:
            continue
        decision.causation = cause
        if order.leg:
            prices = _spanned(low, high, seen, seen)
            before_election(desk, decision, market, order, prices)
        order.elect(
            decision,
            market.instrument.trigger_rule,
            seen,
            desk.next_sequence(),
            _elected_price(market, order, seen),
        )
        desk.resequence(order, old_sequence)
        run(desk, decision, market, order)
    decision.causation = 0
    market.low = market.high = 0
    market.armed.clear()


def _spanned(low: int, high: int, new_low: int, new_high: int) -> tuple[int, int]:
    """The range of prices seen in this step, and then more of them; 0 is none."""
    return min(low, new_low) if low and new_low else low or new_low, max(high, new_high)


def _elected_price(market: Market, order: Order, seen: int) -> int:
    """A stop-limit trades to its limit, a stop to the collar around the price that elected it;
    a buy never beyond what it holds.
    """
    if order.order_type == OrderType.STOP_LIMIT:
        return order.working_price
    price = market_price(market, order.side, seen)
    return min(price, order.working_price) if order.side == _BUY else price


def uncross(desk: Desk, decision: Decision, market: Market, price_ticks: int) -> None:
    """Trade what crosses at one price; afterwards the book is not crossed."""
    instrument = market.instrument
    for buy, sell, lots, _, _ in market.book.uncross(price_ticks):
        trade(
            desk,
            decision,
            market,
            desk.by_sequence[buy],
            desk.by_sequence[sell],
            lots * instrument.lot,
            price_ticks * instrument.tick,
            _AUCTION,
        )
    if desk.reactions:
        react(desk, decision)
