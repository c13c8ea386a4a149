"""Stops elected by the prices of a step, one by one, each with all that follows from it."""

from __future__ import annotations

from heapq import heappop, heappush
from typing import TYPE_CHECKING

from application.deciding import linked_orders
from application.deciding.matching import run
from application.deciding.trailing import Followers
from domain.matching.engine import Market
from domain.order import Order
from domain.order_terms import Bound
from domain.price_range import NOTHING_SEEN, PriceRange
from domain.terms import Phase, Remainder, Side, TriggerRule

if TYPE_CHECKING:
    from application.deciding.step import Step, Watch

_BUY = int(Side.BUY)
_OPEN = int(Phase.OPEN)


def elect_stops(step: Step, market: Market) -> None:
    """Elect the stops that the prices seen have reached, in order of acceptance, one by one.

    What an elected stop trades may elect more; they join the queue at their own place. Stops
    that trail follow the prices, and are elected by those that turn on them.
    """
    if not market.stops.count or market.instrument.phase != _OPEN:
        return
    waiting: list[tuple[int, int, int]] = []
    queued: set[int] = set()
    seen_until_now = NOTHING_SEEN
    watched = step.watch(market)
    followers = Followers(step, market) if market.stops.trailing.count else None
    while True:
        newest = step.last_position() if step.events else 0
        traded = watched.take_traded()
        seen_until_now = seen_until_now.spanning(traded)
        prices = market.trigger_prices(traded)
        reached = market.stops.reached(prices)
        if followers is not None:
            reached += followers.look(prices, watched.take_turns(), queued, newest)
        for sequence, price in reached:
            if sequence not in queued:
                queued.add(sequence)
                heappush(waiting, (sequence, price, newest))
        if not waiting:
            break
        sequence, price, cause = heappop(waiting)
        queued.remove(sequence)
        # What was elected before it may have ended it, as one leg of a group ends the other.
        order = step.desk.orders.by_sequence.get(sequence)
        if order is None:
            continue
        price = _price_for(watched, market, order, price)
        if not price:
            continue
        step.causation = cause
        if order.leg:
            _tell_group(step, order, seen_until_now.spanning(PriceRange(price, price)))
        order.elect(
            step,
            market.instrument.trigger_rule,
            price,
            step.desk.orders.next_sequence,
            _elected_bound(step, market, order, price),
        )
        run(step, market, order)
    if followers is not None:
        followers.settle()
    step.causation = 0


def _price_for(watched: Watch, market: Market, order: Order, seen: int) -> int:
    """The price that elects a stop reached by the price `seen`; 0 when it goes on waiting.

    Of one that joined the others in this step only what traded since counts.
    """
    since = watched.since_joining(order.sequence)
    if since is None or market.instrument.trigger_rule != TriggerRule.LAST_TRADE:
        return seen
    if order.side == _BUY:
        return since.high if since.high >= order.stop_price else 0
    return since.low if since.low <= order.stop_price else 0


def _tell_group(step: Step, order: Order, prices: PriceRange) -> None:
    """Let a leg's group know that its stop's condition was met, before the stop is live."""
    linked_orders.stop_met(step, order, prices)
    step.follow_up()


def _elected_bound(step: Step, market: Market, order: Order, seen: int) -> Bound:
    """A stop-limit trades to its limit, a stop to the protection around the price that elected
    it, and works on there; a buy that opens never goes beyond what it holds, an entry not to
    its take-profit.
    """
    if order.has_limit:
        return Bound(order.working_price)
    target = market.ahead(order.side, linked_orders.target_of(step.desk.orders, order))
    price = market.inside(order.side, market.protected(order.side, seen), target)
    if order.side == _BUY and order.opening:
        price = min(price, order.working_price)
    return Bound(price, price, market.instrument.remainder == Remainder.REST)
