"""The checks of the naive venue: each says no with its code, or nothing."""

from __future__ import annotations

from fractions import Fraction
from math import ceil

from domain.terms import AccountStatus, Phase, Side, TimeInForce, TriggerRule
from tests.model.naive_exits import NaiveExits
from tests.model.naive_orders import (
    RESTING_TIMES,
    NaiveAccount,
    NaiveMarket,
    NaiveOrder,
    Refused,
    refuse_if,
    sign,
)

OVER = 10**18


class NaiveChecks(NaiveExits):
    """What may be done, seen against the book and the books."""

    killed = False

    def find(self, label: str) -> NaiveOrder:
        return next(order for order in self.orders if order.label == label)

    def book(self, market: NaiveMarket, side: int) -> list[NaiveOrder]:
        """A side of the book in strict price-time priority."""
        resting = self.working(lambda o: o.market is market and o.side == side and o.in_book)
        sign = -1 if side == Side.BUY else 1
        return sorted(resting, key=lambda o: (sign * o.bound, o.rank))

    def stops(self, market: NaiveMarket) -> list[NaiveOrder]:
        return self.working(lambda o: o.market is market and o.waits)

    def may_trade(self, account: NaiveAccount, side: int, held: Fraction | int) -> None:
        out = held > 0 if side == Side.SELL else held < 0
        closing = account.status == AccountStatus.CLOSING_ONLY and out
        refuse_if(account.status != AccountStatus.ACTIVE and not closing, "ACCOUNT_NOT_ACTIVE")

    def is_open(self, market: NaiveMarket) -> None:
        refuse_if(market.phase == Phase.HALTED, "INSTRUMENT_HALTED")
        refuse_if(market.phase == Phase.CLOSED, "MARKET_CLOSED")

    def may_wait(self, market: NaiveMarket, tif: int) -> None:
        """What cannot wait for its trade needs a market that trades, opg one that has closed."""
        if tif == TimeInForce.OPG:
            refuse_if(market.phase != Phase.CLOSED, "OPENING_AUCTION_OVER")
        elif tif not in (*RESTING_TIMES, TimeInForce.CLS):
            self.is_open(market)

    def price(self, market: NaiveMarket, wire: int) -> Fraction:
        price = Fraction(wire, 10**9)
        refuse_if((price * 10**market.decimals).denominator != 1, "PRICE_PRECISION")
        refuse_if((price / market.tick).denominator != 1 or price <= 0, "TICK_VIOLATION")
        return price

    def lots(self, market: NaiveMarket, units: int) -> Fraction:
        qty = Fraction(units, 10**8)
        refuse_if((qty / market.lot).denominator != 1 or qty <= 0, "LOT_VIOLATION")
        return qty

    def collared(self, market: NaiveMarket, side: int, around: Fraction | None) -> Fraction:
        low, high = market.band(around or market.last or market.reference)
        return high if side == Side.BUY else low

    def loose(self, market: NaiveMarket, side: int) -> Fraction:
        """What bounds a market order now: from whom it would meet first, inside the collar."""
        first = self.touch(market, Side.SELL if side == Side.BUY else Side.BUY)
        bound = market.reach(side, first or market.last or market.reference)
        low, high = market.band(market.last or market.reference)
        return min(bound, high) if side == Side.BUY else max(bound, low)

    def sized(
        self, account: NaiveAccount, market: NaiveMarket, qty: Fraction, price: Fraction
    ) -> None:
        cost = ceil(qty * price * 100)
        refuse_if(qty > (market.max_qty or OVER), "ORDER_TOO_LARGE")
        refuse_if(cost > (market.max_notional or OVER), "ORDER_TOO_LARGE")
        refuse_if(cost > (account.max_notional or OVER), "ORDER_TOO_LARGE")

    def inside_collar(self, market: NaiveMarket, side: int, limit: Fraction) -> None:
        low, high = market.band(market.last or market.reference)
        outside = limit > high if side == Side.BUY else limit < low
        refuse_if(outside, "PRICE_OUTSIDE_COLLAR")

    def seen(self, market: NaiveMarket, side: int) -> Fraction | None:
        """What stops of a side are measured against."""
        other = Side.SELL if side == Side.BUY else Side.BUY
        return {
            TriggerRule.LAST_TRADE: market.last,
            TriggerRule.BID_ASK: self.touch(market, other),
            TriggerRule.MARK: market.mark,
        }[TriggerRule(market.rule)]

    def not_through(self, market: NaiveMarket, side: int, stop: Fraction) -> None:
        seen = self.seen(market, side)
        if seen is not None:
            through = seen >= stop if side == Side.BUY else seen <= stop
            refuse_if(through, "STOP_ALREADY_THROUGH")

    def begins_to_trail(self, order: NaiveOrder, price: Fraction) -> None:
        """From this price on, a tick away from it at least, and at a price."""
        away = price * order.share if order.share is not None else order.trail
        assert away is not None
        order.peak, order.stop = price, order.stop_at(price)
        refuse_if(away < order.market.tick or order.stop <= 0, "TRAIL_OUT_OF_RANGE")

    def reaching(self, order: NaiveOrder, prices: list[Fraction]) -> Fraction | None:
        """The worst of the prices that elect a stop, if they do; one that trails goes along until
        then, and by those that come after is judged as the others are by all.
        """
        worst = max if order.side == Side.BUY else min
        for number, price in enumerate(prices):
            if order.trails:
                order.follow(price)
            assert order.stop is not None
            if price >= order.stop if order.side == Side.BUY else price <= order.stop:
                return worst(prices[number:] if order.trails else prices)
        return None

    def takes_nothing(self, market: NaiveMarket, side: int, limit: Fraction | None) -> None:
        best = self.touch(market, Side.SELL if side == Side.BUY else Side.BUY)
        if best is not None and limit is not None:
            takes = limit >= best if side == Side.BUY else limit <= best
            refuse_if(takes, "POST_ONLY_WOULD_TRADE")

    def within_position(
        self, account: NaiveAccount, market: NaiveMarket, side: int, more: Fraction
    ) -> None:
        """Were all its orders of one side to trade, it would not be too far on that side."""
        reach = self.open_qty(account, market, side) + more
        reach += self.holding(account, market) * sign(side)
        refuse_if(reach > (market.position_limit or OVER), "POSITION_LIMIT_EXCEEDED")

    def whole(self, account: NaiveAccount, *opened: Fraction) -> None:
        """What is opened, or all that was and is, is no fraction where its owner wants none."""
        broken = all(qty.denominator != 1 for qty in opened)
        refuse_if(account.whole_only and broken, "FRACTION_NOT_ALLOWED")

    def may_open(
        self,
        account: NaiveAccount,
        market: NaiveMarket,
        side: int,
        qty: Fraction,
        exits: Fraction,
        locate: bool,
    ) -> None:
        """What of `qty` is no exit opens a position."""
        if qty == exits:
            return
        if account.called or account.status == AccountStatus.CLOSING_ONLY:
            # Who must pay for what he owes may buy that back, as often as he owes it.
            owes = -self.holding(account, market) - self.open_qty(account, market, side)
            covers = side == Side.BUY and not account.is_margin
            refuse_if(not covers or qty > owes, "LIQUIDATION_ONLY")
        if side == Side.SELL and not account.is_margin:
            free = self.holding(account, market) - self.reserved(account, market)
            refuse_if(qty <= free, "FREE_RIDING")
            raise Refused("INSUFFICIENT_QTY")
        refuse_if(side == Side.SELL and account.long_only, "SHORTING_NOT_ALLOWED")
        lent = side == Side.BUY or market.borrowable or locate
        refuse_if(not lent, "LOCATE_REQUIRED")

    def may_send(self, account: NaiveAccount) -> None:
        refuse_if(account.killed, "ACCOUNT_KILL_SWITCH")
        refuse_if(self.killed, "VENUE_KILL_SWITCH")
        refuse_if(account.suspended, "TRADE_SUSPENDED")

    def touch(self, market: NaiveMarket, side: int) -> Fraction | None:
        book = self.book(market, side)
        return book[0].bound if book else None
