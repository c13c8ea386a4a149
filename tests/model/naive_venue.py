"""The venue written from its rules for the eye: exact fractions, plain lists, nothing clever."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from math import ceil
from typing import Any

from domain.terms import (
    AccountStatus,
    CancelReason,
    OrderStatus,
    OrderType,
    Phase,
    SelfTrade,
    Side,
    TimeInForce,
    TriggerRule,
)
from tests.model.naive_orders import (
    RESTING_TIMES,
    NaiveAccount,
    NaiveMarket,
    NaiveOrder,
    Refused,
    is_over,
    refuse_if,
)

OVER = 10**18


class NaiveVenue:
    """Takes commands as the venue does; orders are known by their first client order id."""

    def __init__(self) -> None:
        self.accounts: dict[Any, NaiveAccount] = {}
        self.markets: dict[str, NaiveMarket] = {}
        self.orders: list[NaiveOrder] = []
        self.holdings: dict[tuple[int, str], Fraction] = {}
        self.turn = 0
        self.trades: list[tuple[str, str, Fraction, Fraction]] = []
        self.elections: list[tuple[str, int, Fraction]] = []

    # -- asking ----------------------------------------------------------------------------

    def working(self, wanted: Callable[[NaiveOrder], bool]) -> list[NaiveOrder]:
        return [order for order in self.orders if order.working and wanted(order)]

    def find(self, label: str) -> NaiveOrder:
        return next(order for order in self.orders if order.label == label)

    def book(self, market: NaiveMarket, side: int) -> list[NaiveOrder]:
        """A side of the book in strict price-time priority."""
        resting = self.working(lambda o: o.market is market and o.side == side and not o.waits)
        sign = -1 if side == Side.BUY else 1
        return sorted(resting, key=lambda o: (sign * (o.limit or 0), o.rank))

    def stops(self, market: NaiveMarket) -> list[NaiveOrder]:
        return self.working(lambda o: o.market is market and o.waits)

    def held(self, account: NaiveAccount) -> int:
        return sum(order.hold for order in self.working(lambda o: o.account is account))

    def power(self, account: NaiveAccount) -> int:
        return account.cash + account.unsettled - self.held(account)

    def holding(self, account: NaiveAccount, market: NaiveMarket) -> Fraction:
        return self.holdings.get((id(account), market.symbol), Fraction(0))

    def open_qty(self, account: NaiveAccount, market: NaiveMarket, side: int) -> Fraction:
        mine = self.working(lambda o: (o.account, o.market, o.side) == (account, market, side))
        return sum((order.leaves for order in mine), Fraction(0))

    def available(self, account: NaiveAccount, market: NaiveMarket) -> Fraction:
        return self.holding(account, market) - self.open_qty(account, market, Side.SELL)

    # -- placing ---------------------------------------------------------------------------

    def place(self, cmd: Any, at: int) -> str:
        """Judge a PlaceOrder, and match it: the refusal's code, or nothing."""
        self.trades, self.elections = [], []
        try:
            order = self.judged(cmd, at)
        except Refused as refusal:
            return str(refusal)
        self.orders.append(order)
        market = order.market
        if market.phase == Phase.OPEN and not order.waits:
            self.match(order)
            self.elect(market)
        return ""

    def judged(self, cmd: Any, at: int) -> NaiveOrder:
        account = self.accounts[cmd.account_id]
        market = self.markets.get(cmd.symbol)
        sells = cmd.side == Side.SELL
        held = self.holding(account, market) if market else 0
        self.may_trade(account, sells, held)
        refuse_if(market is None, "UNKNOWN_INSTRUMENT")
        assert market is not None
        queued = cmd.order_type == OrderType.LIMIT and cmd.time_in_force in (
            TimeInForce.DAY,
            TimeInForce.GTC,
        )
        self.is_open(market, or_else=queued)
        resting = cmd.time_in_force in RESTING_TIMES
        is_stop = cmd.order_type in (OrderType.STOP, OrderType.STOP_LIMIT)
        has_limit = cmd.order_type in (OrderType.LIMIT, OrderType.STOP_LIMIT)
        late = cmd.time_in_force == TimeInForce.GTD and cmd.expires_at <= at
        refuse_if(late, "INVALID_FIELD")
        refuse_if(
            cmd.post_only and not (resting and cmd.order_type == OrderType.LIMIT), "INVALID_FIELD"
        )
        refuse_if(is_stop and not resting, "INVALID_FIELD")
        limit = self.price(market, cmd.limit_price) if has_limit else None
        stop = self.price(market, cmd.stop_price) if is_stop else None
        qty = self.lots(market, cmd.qty)
        bound = limit if limit is not None else self.collared(market, cmd.side, stop)
        cost = self.sized(account, market, qty, bound)
        if limit is not None and stop is None:
            self.inside_collar(market, cmd.side, limit)
        if stop is not None:
            self.not_through(market, cmd.side, stop)
        if cmd.post_only and market.phase == Phase.OPEN:
            self.takes_nothing(market, cmd.side, limit)
        if sells:
            refuse_if(qty > self.available(account, market), "INSUFFICIENT_QTY")
        else:
            self.within_position(account, market, qty)
            refuse_if(cost > self.power(account), "INSUFFICIENT_BUYING_POWER")
        return NaiveOrder(
            cmd.client_order_id,
            account,
            market,
            cmd.side,
            cmd.order_type,
            cmd.time_in_force,
            qty,
            qty,
            limit,
            stop,
            bound,
            cmd.expires_at,
            cmd.post_only,
            cmd.self_trade,
            self.next_turn(),
            market.session,
        )

    # -- the checks ------------------------------------------------------------------------

    def may_trade(self, account: NaiveAccount, sells: bool, held: Fraction | int) -> None:
        closing = account.status == AccountStatus.CLOSING_ONLY and sells and held > 0
        refuse_if(account.status != AccountStatus.ACTIVE and not closing, "ACCOUNT_NOT_ACTIVE")

    def is_open(self, market: NaiveMarket, *, or_else: bool = False) -> None:
        refuse_if(market.phase == Phase.HALTED and not or_else, "INSTRUMENT_HALTED")
        refuse_if(market.phase == Phase.CLOSED and not or_else, "MARKET_CLOSED")

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

    def sized(
        self, account: NaiveAccount, market: NaiveMarket, qty: Fraction, price: Fraction
    ) -> int:
        cost = ceil(qty * price * 100)
        refuse_if(qty > (market.max_qty or OVER), "ORDER_TOO_LARGE")
        refuse_if(cost > (market.max_notional or OVER), "ORDER_TOO_LARGE")
        refuse_if(cost > (account.max_notional or OVER), "ORDER_TOO_LARGE")
        return cost

    def inside_collar(self, market: NaiveMarket, side: int, limit: Fraction) -> None:
        low, high = market.band(market.last or market.reference)
        outside = limit > high if side == Side.BUY else limit < low
        refuse_if(outside, "PRICE_OUTSIDE_COLLAR")

    def not_through(self, market: NaiveMarket, side: int, stop: Fraction) -> None:
        other = Side.SELL if side == Side.BUY else Side.BUY
        seen = {
            TriggerRule.LAST_TRADE: market.last,
            TriggerRule.BID_ASK: self.touch(market, other),
            TriggerRule.MARK: market.mark,
        }[TriggerRule(market.rule)]
        if seen is not None:
            through = seen >= stop if side == Side.BUY else seen <= stop
            refuse_if(through, "STOP_ALREADY_THROUGH")

    def takes_nothing(self, market: NaiveMarket, side: int, limit: Fraction | None) -> None:
        best = self.touch(market, Side.SELL if side == Side.BUY else Side.BUY)
        if best is not None and limit is not None:
            takes = limit >= best if side == Side.BUY else limit <= best
            refuse_if(takes, "POST_ONLY_WOULD_TRADE")

    def within_position(self, account: NaiveAccount, market: NaiveMarket, more: Fraction) -> None:
        reach = self.holding(account, market) + self.open_qty(account, market, Side.BUY) + more
        refuse_if(reach > (market.position_limit or OVER), "POSITION_LIMIT_EXCEEDED")

    def touch(self, market: NaiveMarket, side: int) -> Fraction | None:
        book = self.book(market, side)
        return book[0].limit if book else None

    # -- matching --------------------------------------------------------------------------

    def reachable(self, order: NaiveOrder) -> list[NaiveOrder]:
        """The resting orders this one may meet, in their priority."""
        if order.side == Side.BUY:
            asks = self.book(order.market, Side.SELL)
            return [o for o in asks if o is not order and (o.limit or 0) <= order.bound]
        bids = self.book(order.market, Side.BUY)
        return [o for o in bids if o is not order and (o.limit or 0) >= order.bound]

    def match(self, order: NaiveOrder) -> None:
        """Trade what can be traded; the rest stays in the book or ends."""
        if order.tif == TimeInForce.FOK and self.fillable(order) < order.leaves:
            self.end(order, CancelReason.FOK_UNFILLABLE)
        while order.working and (reachable := self.reachable(order)):
            best = reachable[0]
            if best.account.owner == order.account.owner:
                if order.self_trade in (SelfTrade.CANCEL_OLDEST, SelfTrade.CANCEL_BOTH):
                    self.end(best, CancelReason.SELF_TRADE)
                if order.self_trade in (SelfTrade.CANCEL_NEWEST, SelfTrade.CANCEL_BOTH):
                    self.end(order, CancelReason.SELF_TRADE)
            else:
                assert best.limit is not None
                self.trade(order, best, best.limit)
        if order.working and not order.rests:
            if order.limit is not None:
                self.end(order, CancelReason.IOC_REMAINDER)
            else:
                other = Side.SELL if order.side == Side.BUY else Side.BUY
                anyone = self.touch(order.market, other) is not None
                self.end(order, CancelReason.COLLAR if anyone else CancelReason.NO_LIQUIDITY)

    def fillable(self, order: NaiveOrder) -> Fraction:
        """What self-trade prevention lets the order trade."""
        total = Fraction(0)
        for other in self.reachable(order):
            if other.account.owner == order.account.owner:
                if order.self_trade == SelfTrade.CANCEL_OLDEST:
                    continue
                break
            total += other.leaves
        return total

    def trade(
        self, one: NaiveOrder, other: NaiveOrder, price: Fraction, qty: Fraction | None = None
    ) -> None:
        """Both orders, both accounts, both holdings."""
        qty = qty or min(one.leaves, other.leaves)
        buy, sell = (one, other) if one.side == Side.BUY else (other, one)
        amount = round(price * qty * 100)
        for order, sign in ((buy, 1), (sell, -1)):
            order.leaves -= qty
            order.filled += qty
            order.status = OrderStatus.PARTIALLY_FILLED if order.leaves else OrderStatus.FILLED
            order.account.unsettled -= sign * amount
            place = id(order.account), order.market.symbol
            self.holdings[place] = self.holdings.get(place, Fraction(0)) + sign * qty
        one.market.last = price
        one.market.traded.append(price)
        self.trades.append((buy.label, sell.label, qty, price))

    def end(self, order: NaiveOrder, reason: int) -> None:
        order.status, order.reason, order.leaves = OrderStatus.CANCELED, reason, Fraction(0)

    def elect(self, market: NaiveMarket) -> None:
        """Elect what the prices have reached, the earliest accepted first, until none is left."""
        due: list[tuple[NaiveOrder, Fraction]] = []
        while market.phase == Phase.OPEN:
            if market.rule == TriggerRule.LAST_TRADE:
                low, high = min(market.traded, default=None), max(market.traded, default=None)
                market.traded = []
            elif market.rule == TriggerRule.BID_ASK:
                low, high = self.touch(market, Side.BUY), self.touch(market, Side.SELL)
            else:
                low = high = market.mark
            for stop in self.stops(market):
                assert stop.stop is not None
                if all(stop is not one for one, _ in due):
                    if stop.side == Side.BUY and high is not None and high >= stop.stop:
                        due.append((stop, high))
                    if stop.side == Side.SELL and low is not None and low <= stop.stop:
                        due.append((stop, low))
            if not due:
                break
            due.sort(key=lambda row: row[0].rank)
            stop, seen = due.pop(0)
            self.elections.append((stop.label, market.rule, seen))
            stop.elected, stop.rank = True, self.next_turn()
            if stop.limit is None:
                reach = self.collared(market, stop.side, seen)
                stop.bound = min(reach, stop.bound) if stop.side == Side.BUY else reach
            self.match(stop)
        market.traded = []

    # -- cancel and replace ----------------------------------------------------------------

    def cancel(self, label: str) -> str:
        self.trades, self.elections = [], []
        order = self.find(label)
        if not order.working:
            return "ORDER_NOT_WORKING"
        self.end(order, CancelReason.CLIENT)
        self.book_moved(order.market)
        return ""

    def cancel_all(self, account_id: Any) -> str:
        """Without chunks: few enough orders are given."""
        self.trades, self.elections = [], []
        for order in self.working(lambda o: o.account is self.accounts[account_id]):
            self.end(order, CancelReason.CLIENT)
        for market in self.markets.values():
            self.book_moved(market)
        return ""

    def book_moved(self, market: NaiveMarket) -> None:
        if market.rule == TriggerRule.BID_ASK:
            self.elect(market)

    def replace(self, label: str, cmd: Any, at: int) -> str:
        """`cmd` is a ReplaceOrder of the order with this label."""
        self.trades, self.elections = [], []
        order = self.find(label)
        try:
            refuse_if(not order.working, "ORDER_NOT_WORKING")
            self.replaced(order, cmd, at)
        except Refused as refusal:
            return str(refusal)
        return ""

    def replaced(self, order: NaiveOrder, cmd: Any, at: int) -> None:
        market, account = order.market, order.account
        self.may_trade(account, order.side == Side.SELL, self.holding(account, market))
        self.is_open(market)
        qty = order.qty if cmd.qty is None else Fraction(cmd.qty, 10**8)
        tif = order.tif if cmd.time_in_force is None else cmd.time_in_force
        expires = order.expires_at if cmd.expires_at is None else cmd.expires_at
        expires = expires if tif == TimeInForce.GTD else 0
        refuse_if(tif not in RESTING_TIMES, "INVALID_FIELD")
        refuse_if(tif == TimeInForce.GTD and expires <= at, "INVALID_FIELD")
        limit, stop, bound = order.limit, order.stop, order.bound
        if cmd.limit_price is not None:
            refuse_if(limit is None, "NOTHING_TO_REPLACE")
            bound = limit = self.price(market, cmd.limit_price)
        if cmd.stop_price is not None:
            refuse_if(not order.waits, "NOTHING_TO_REPLACE")
            stop = self.price(market, cmd.stop_price)
            if limit is None:
                bound = self.collared(market, order.side, stop)
        self.lots(market, int(qty * 10**8))
        refuse_if(qty <= order.filled, "REPLACE_QTY_TOO_SMALL")
        same = (limit, stop, tif, expires) == (order.limit, order.stop, order.tif, order.expires_at)
        refuse_if(same and qty == order.qty and not cmd.client_order_id, "NOTHING_TO_REPLACE")
        self.sized(account, market, qty, bound)
        if limit is not None and limit != order.limit and not order.waits:
            self.inside_collar(market, order.side, limit)
            if order.post_only:
                self.takes_nothing(market, order.side, limit)
        if stop is not None and stop != order.stop:
            self.not_through(market, order.side, stop)
        leaves = qty - order.filled
        more = leaves - order.leaves
        if order.side == Side.BUY:
            if more > 0:
                self.within_position(account, market, more)
            dearer = ceil(bound * leaves * 100) - order.hold
            short = dearer > 0 and dearer > self.power(account)
            refuse_if(short, "INSUFFICIENT_BUYING_POWER")
        else:
            refuse_if(more > 0 and more > self.available(account, market), "INSUFFICIENT_QTY")
        smaller_alone = same and qty < order.qty
        order.qty, order.tif, order.expires_at = qty, tif, expires
        order.limit, order.stop, order.bound = limit, stop, bound
        order.leaves = leaves
        if smaller_alone:
            return
        order.rank, order.session = self.next_turn(), market.session
        if not order.waits:
            self.match(order)
            self.elect(market)

    # -- sessions --------------------------------------------------------------------------

    def open(self, symbol: str) -> str:
        self.begin(self.markets[symbol])
        return ""

    def resume(self, symbol: str) -> str:
        self.begin(self.markets[symbol])
        return ""

    def begin(self, market: NaiveMarket) -> None:
        """Uncross at one price, then trade on."""
        self.trades, self.elections = [], []
        price = self.uncross_price(market)
        market.phase = Phase.OPEN
        while price is not None:
            buys = [o for o in self.book(market, Side.BUY) if (o.limit or 0) >= price]
            sells = [o for o in self.book(market, Side.SELL) if (o.limit or 0) <= price]
            if not buys or not sells:
                break
            self.trade(buys[0], sells[0], price)
        self.elect(market)

    def uncross_price(self, market: NaiveMarket) -> Fraction | None:
        """Try every tick between the sides: volume, imbalance, nearness, the higher one."""
        buys, sells = self.book(market, Side.BUY), self.book(market, Side.SELL)
        if not buys or not sells or (buys[0].limit or 0) < (sells[0].limit or 0):
            return None
        first, last = (int((one[0].limit or 0) / market.tick) for one in (sells, buys))
        tried = []
        for price in (tick * market.tick for tick in range(first, last + 1)):
            demand = sum(o.leaves for o in buys if (o.limit or 0) >= price)
            supply = sum(o.leaves for o in sells if (o.limit or 0) <= price)
            away = abs(price - (market.last or market.reference))
            tried.append((min(demand, supply), -abs(demand - supply), -away, price))
        return max(tried)[3]

    def close(self, symbol: str) -> str:
        self.markets[symbol].phase = Phase.CLOSED
        self.markets[symbol].session += 1
        self.trades, self.elections = [], []
        return ""

    def halt(self, symbol: str) -> str:
        self.markets[symbol].phase = Phase.HALTED
        self.trades, self.elections = [], []
        return ""

    def set_mark(self, symbol: str, wire: int) -> str:
        self.trades, self.elections = [], []
        market = self.markets[symbol]
        market.mark = Fraction(wire, 10**9)
        if market.rule == TriggerRule.MARK:
            self.elect(market)
        return ""

    def expire(self, symbol: str, at: int) -> int:
        """End every order whose time is over: gtd at its instant, day with its session."""
        self.trades, self.elections = [], []
        market = self.markets[symbol]
        over = self.working(lambda o: o.market is market and is_over(o, at))
        for order in over:
            order.status, order.leaves = OrderStatus.EXPIRED, Fraction(0)
        if over:
            self.book_moved(market)
        return len(over)

    def next_turn(self) -> int:
        self.turn += 1
        return self.turn
