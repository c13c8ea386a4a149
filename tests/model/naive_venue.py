"""The venue written from its rules for the eye: exact fractions, plain lists, nothing clever."""

from __future__ import annotations

from copy import copy
from fractions import Fraction
from typing import Any

from domain.terms import (
    CancelReason,
    OrderStatus,
    OrderType,
    Phase,
    SelfTrade,
    Side,
    TimeInForce,
    TriggerRule,
)
from tests.model.naive_amounts import NaiveAmounts
from tests.model.naive_money import NaiveSchedule
from tests.model.naive_orders import (
    FOR_AUCTIONS,
    RESTING_TIMES,
    NaiveMarket,
    NaiveOrder,
    Refused,
    is_over,
    refuse_if,
)


class NaiveVenue(NaiveAmounts):
    """Takes commands as the venue does; orders are known by their first client order id."""

    def __init__(self) -> None:
        super().__init__()
        self.trades: list[tuple[str, str, Fraction, Fraction]] = []
        self.elections: list[tuple[str, int, Fraction]] = []

    # -- placing ---------------------------------------------------------------------------

    def place(self, cmd: Any, at: int) -> str:
        """Judge a PlaceOrder, and match it: the refusal's code, or nothing."""
        self.trades, self.elections = [], []
        try:
            order = self.judged_amount(cmd) if cmd.notional else self.judged(cmd, at)
        except Refused as refusal:
            return str(refusal)
        self.orders.append(order)
        market = order.market
        if market.phase == Phase.OPEN and order.in_book:
            self.run(order)
            self.elect(market)
        return ""

    def judged(self, cmd: Any, at: int) -> NaiveOrder:
        account = self.accounts[cmd.account_id]
        market = self.markets.get(cmd.symbol)
        self.may_trade(account, cmd.side, self.holding(account, market) if market else 0)
        refuse_if(market is None, "UNKNOWN_INSTRUMENT")
        assert market is not None
        resting = cmd.time_in_force in RESTING_TIMES
        self.may_wait(market, cmd.time_in_force)
        trails = cmd.order_type == OrderType.TRAILING_STOP
        is_stop = trails or cmd.order_type in (OrderType.STOP, OrderType.STOP_LIMIT)
        has_limit = cmd.order_type in (OrderType.LIMIT, OrderType.STOP_LIMIT)
        late = cmd.time_in_force == TimeInForce.GTD and cmd.expires_at <= at
        refuse_if(late, "INVALID_FIELD")
        refuse_if(
            cmd.post_only and not (resting and cmd.order_type == OrderType.LIMIT), "INVALID_FIELD"
        )
        refuse_if(is_stop and not resting, "INVALID_FIELD")
        limit = self.price(market, cmd.limit_price) if has_limit else None
        stop = self.price(market, cmd.stop_price) if is_stop and not trails else None
        trail = self.price(market, cmd.trail_price) if cmd.trail_price else None
        share = Fraction(cmd.trail_percent, 100_000) if cmd.trail_percent else None
        qty = self.lots(market, cmd.qty)
        order = NaiveOrder(
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
            Fraction(0),
            cmd.expires_at,
            cmd.post_only,
            cmd.self_trade,
            0,
            market.session,
            cmd.locate,
            0,
            Fraction(0),
            trail=trail,
            share=share,
        )
        if trails:
            price = self.seen(market, cmd.side) or market.last or market.reference
            self.begins_to_trail(order, price)
            stop = order.stop
        at_market = cmd.order_type == OrderType.MARKET
        queued = at_market and (market.phase != Phase.OPEN or cmd.time_in_force == TimeInForce.CLS)
        if at_market and not queued:
            bound = self.loose(market, cmd.side)
        else:
            bound = limit if limit is not None else self.collared(market, cmd.side, stop)
        self.sized(account, market, qty, bound)
        if limit is not None and stop is None:
            self.inside_collar(market, cmd.side, limit)
        if stop is not None and not trails:
            self.not_through(market, cmd.side, stop)
        if cmd.post_only and market.phase == Phase.OPEN:
            self.takes_nothing(market, cmd.side, limit)
        self.within_position(account, market, cmd.side, qty)
        exits = min(qty, self.closable(account, market, cmd.side))
        self.whole(account, qty - exits)
        self.may_open(account, market, cmd.side, qty, exits, cmd.locate)
        hold = self.hold_of(account, market, cmd.side, qty - exits, bound)
        refuse_if(0 < hold > self.power(account), "INSUFFICIENT_BUYING_POWER")
        self.may_send(account)
        order.bound, order.hold, order.exits = bound, hold, exits
        order.rank = self.next_turn()
        order.stays, order.queued = queued or market.keeps, queued
        return order

    # -- matching --------------------------------------------------------------------------

    def run(self, order: NaiveOrder) -> None:
        """Match, and let exits of what is no longer held give way."""
        self.match(order)
        self.shrink()

    def match(self, order: NaiveOrder) -> None:
        """Trade what can be traded; the rest stays in the book or ends."""
        if order.tif == TimeInForce.FOK and self.fillable(order) < order.leaves:
            self.end(order, CancelReason.FILL_OR_KILL)
        market = order.market
        collared = order.bound in market.band(market.last or market.reference)
        while order.working and (reachable := self.reachable(order)):
            best = reachable[0]
            if order.money is not None and self.affords(order, best.bound) == 0:
                own = best.account.owner == order.account.owner
                if not own or order.self_trade != SelfTrade.CANCEL_NEWEST:
                    self.end(order, CancelReason.NOTIONAL)
                    continue
            if best.account.owner == order.account.owner:
                if order.self_trade in (SelfTrade.CANCEL_OLDEST, SelfTrade.CANCEL_BOTH):
                    self.end(best, CancelReason.SELF_TRADE)
                if order.self_trade in (SelfTrade.CANCEL_NEWEST, SelfTrade.CANCEL_BOTH):
                    self.end(order, CancelReason.SELF_TRADE)
            else:
                self.trade(order, best, best.bound)
        if order.working and not order.rests:
            if order.limit is not None:
                self.end(order, CancelReason.IMMEDIATE_OR_CANCEL)
            else:
                other = Side.SELL if order.side == Side.BUY else Side.BUY
                beyond = CancelReason.COLLAR if collared else CancelReason.PROTECTION
                anyone = self.touch(market, other) is not None
                self.end(order, beyond if anyone else CancelReason.NO_LIQUIDITY)

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
        self, one: NaiveOrder, other: NaiveOrder, price: Fraction, *, auction: bool = False
    ) -> None:
        """Both orders, both accounts, both holdings; the other one was there first."""
        qty = min(one.leaves, other.leaves)
        if one.money is not None:
            qty = min(qty, self.affords(one, price))
            one.money -= qty * price
        self.deals.append(
            [
                self.fill(one, qty, price, made=False),
                self.fill(other, qty, price, made=not auction),
            ]
        )
        one.market.last = price
        one.market.traded.append(price)
        buy, sell = (one, other) if one.side == Side.BUY else (other, one)
        self.trades.append((buy.label, sell.label, qty, price))

    def elect(self, market: NaiveMarket) -> None:
        """Elect what the prices have reached, the earliest accepted first, until none is left."""
        due: list[tuple[NaiveOrder, Fraction]] = []
        while market.phase == Phase.OPEN:
            if market.rule == TriggerRule.LAST_TRADE:
                prices = {Side.BUY: market.traded, Side.SELL: market.traded}
                market.traded = []
            else:
                told = {side: self.seen(market, side) for side in Side}
                prices = {side: [one] if one is not None else [] for side, one in told.items()}
            for stop in self.stops(market):
                # What a rise moves in one command goes on to where the rise ends.
                stop.moving = stop.moving and market.rule == TriggerRule.LAST_TRADE
                if all(stop is not one for one, _ in due):
                    seen = self.reaching(stop, prices[Side(stop.side)])
                    if seen is not None:
                        due.append((stop, seen))
            if not due:
                break
            due.sort(key=lambda row: row[0].rank)
            stop, seen = due.pop(0)
            self.elections.append((stop.label, market.rule, seen))
            stop.elected, stop.rank = True, self.next_turn()
            if stop.limit is None:
                self.bind(stop, market.reach(stop.side, seen))
                stop.stays = market.keeps
            self.run(stop)
        market.traded = []
        for stop in self.stops(market):
            stop.moving = False

    def bind(self, order: NaiveOrder, bound: Fraction) -> None:
        """Another bound; what opens by buying never goes beyond what it holds for."""
        within = order.side == Side.BUY and order.opens > 0
        order.bound = min(bound, order.bound) if within else bound

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
        self.may_trade(account, order.side, self.holding(account, market))
        refuse_if(is_over(order, at), "ORDER_NOT_WORKING")
        # Without a word about it, what a bust took away stays away.
        left = order.filled + order.leaves
        qty = left if cmd.qty is None else Fraction(cmd.qty, 10**8)
        tif = order.tif if cmd.time_in_force is None else cmd.time_in_force
        expires = order.expires_at if cmd.expires_at is None else cmd.expires_at
        expires = expires if tif == TimeInForce.GTD else 0
        stays_so = order.tif in FOR_AUCTIONS
        refuse_if(tif != order.tif if stays_so else tif not in RESTING_TIMES, "INVALID_FIELD")
        refuse_if(tif == TimeInForce.GTD and expires <= at, "INVALID_FIELD")
        limit, stop, bound = order.limit, order.stop, order.bound
        if cmd.limit_price is not None:
            refuse_if(limit is None, "NOTHING_TO_REPLACE")
            bound = limit = self.price(market, cmd.limit_price)
        if cmd.stop_price is not None:
            refuse_if(not order.waits or order.trails, "NOTHING_TO_REPLACE")
            stop = self.price(market, cmd.stop_price)
            if limit is None and stop != order.stop:
                bound = self.collared(market, order.side, stop)
        changed = copy(order)
        if cmd.trail is not None:
            refuse_if(not order.trails or not order.waits, "NOTHING_TO_REPLACE")
            if order.trail is not None:
                changed.trail = self.price(market, cmd.trail)
            else:
                changed.share = Fraction(cmd.trail, 100 * 10**9)
            assert order.peak is not None
            self.begins_to_trail(changed, order.peak)
            stop = changed.stop
            if (changed.trail, changed.share) != (order.trail, order.share):
                bound = self.collared(market, order.side, stop)
        self.lots(market, int(qty * 10**8))
        refuse_if(qty <= order.filled, "REPLACE_QTY_TOO_SMALL")
        terms = (limit, stop, changed.trail, changed.share, tif, expires)
        old = (order.limit, order.stop, order.trail, order.share, order.tif, order.expires_at)
        same = terms == old
        as_before = same and (cmd.qty is None or qty == order.qty)
        refuse_if(as_before and not cmd.client_order_id, "NOTHING_TO_REPLACE")
        self.sized(account, market, qty, bound)
        if limit is not None and limit != order.limit and not order.waits:
            self.inside_collar(market, order.side, limit)
            if order.post_only and market.phase == Phase.OPEN:
                self.takes_nothing(market, order.side, limit)
        if stop is not None and stop != order.stop:
            self.not_through(market, order.side, stop)
        leaves = qty - order.filled
        if leaves > order.leaves:
            self.within_position(account, market, order.side, leaves - order.leaves)
        exits = min(leaves, order.exits + self.closable(account, market, order.side))
        if qty != left:
            self.whole(account, leaves - exits, qty - exits)
        if leaves - exits > order.opens:
            mine, others = order.exits, exits - order.exits
            self.may_open(account, market, order.side, leaves - mine, others, order.locate)
        hold = self.hold_of(account, market, order.side, leaves - exits, bound)
        dearer = hold - order.hold
        refuse_if(0 < dearer > self.power(account), "INSUFFICIENT_BUYING_POWER")
        self.may_send(account)
        smaller_alone = same and qty < order.qty and leaves <= order.leaves
        order.qty, order.tif, order.expires_at = qty, tif, expires
        order.limit, order.stop, order.bound = limit, stop, bound
        order.trail, order.share = changed.trail, changed.share
        order.leaves, order.exits, order.hold = leaves, exits, hold
        if smaller_alone:
            return
        order.rank, order.session = self.next_turn(), market.session
        if order.in_book and market.phase == Phase.OPEN:
            self.run(order)
            self.elect(market)

    # -- undoing ---------------------------------------------------------------------------

    def bust(self, number: int) -> str:
        """Undo the trade of this number."""
        self.trades, self.elections = [], []
        deal = self.deals[number]
        if not deal:
            return "UNKNOWN_TRADE"
        self.deals[number] = []
        for fill in deal:
            self.undo(fill)
        for fill in deal:
            # What is left of one that works goes on.
            if not fill.order.filled and fill.order.status == OrderStatus.FILLED:
                self.end(fill.order, CancelReason.BUSTED)
        self.shrink()
        self.book_moved(deal[0].order.market)
        return ""

    def correct(self, number: int, wire: int) -> str:
        """Another price for the trade of this number."""
        self.trades, self.elections = [], []
        deal = self.deals[number]
        try:
            refuse_if(not deal, "UNKNOWN_TRADE")
            price = self.price(deal[0].order.market, wire)
        except Refused as refusal:
            return str(refusal)
        for fill in deal:
            self.reprice(fill, price)
        self.shrink()
        self.book_moved(deal[0].order.market)
        return ""

    # -- what accounts may do --------------------------------------------------------------

    def set_schedule(self, account_id: Any, schedule: NaiveSchedule) -> None:
        self.accounts[account_id].schedule = schedule

    def call_margins(self) -> int:
        """Whoever owns less than positions must be covered by; how many that changed for."""
        self.trades, self.elections = [], []
        changed = 0
        for account in self.accounts.values():
            if account.is_margin:
                short = self.equity(account) < self.maintenance(account)
                changed += short != account.called
                account.called = short
        return changed

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
        self.uncross(market)
        market.phase = Phase.OPEN
        self.auction_over(market, TimeInForce.OPG, CancelReason.OPENING_AUCTION)
        loose = self.let_loose(market)
        self.shrink()
        for order in loose:
            if order.working:
                self.run(order)
        self.elect(market)

    def uncross(self, market: NaiveMarket) -> None:
        """Trade all that can be traded at the best one price."""
        price = self.uncross_price(market)
        while price is not None:
            buys = [o for o in self.book(market, Side.BUY) if o.bound >= price]
            sells = [o for o in self.book(market, Side.SELL) if o.bound <= price]
            if not buys or not sells:
                break
            self.trade(buys[0], sells[0], price, auction=True)

    def auction_over(self, market: NaiveMarket, tif: int, reason: int) -> None:
        """What was for this auction alone is over."""
        for order in self.working(lambda o: o.market is market and o.tif == tif):
            self.end(order, reason)

    def let_loose(self, market: NaiveMarket) -> list[NaiveOrder]:
        """Bound what queued for the auction like any market order, each in its turn."""
        waiting = self.working(lambda o: o.market is market and o.queued and o.in_book)
        waiting = sorted(waiting, key=lambda o: o.rank)
        for order in waiting:
            if not market.keeps:
                other = Side.SELL if order.side == Side.BUY else Side.BUY
                anyone = self.touch(market, other) is not None
                self.end(order, CancelReason.COLLAR if anyone else CancelReason.NO_LIQUIDITY)
                continue
            before, order.queued = order.bound, False
            self.bind(order, self.loose(market, order.side))
            if order.bound != before:
                order.rank = self.next_turn()
        return waiting

    def uncross_price(self, market: NaiveMarket) -> Fraction | None:
        """Try every tick between the sides: volume, imbalance, nearness, the higher one."""
        buys, sells = self.book(market, Side.BUY), self.book(market, Side.SELL)
        if not buys or not sells or buys[0].bound < sells[0].bound:
            return None
        first, last = (int(one[0].bound / market.tick) for one in (sells, buys))
        tried = []
        for price in (tick * market.tick for tick in range(first, last + 1)):
            demand = sum(o.leaves for o in buys if o.bound >= price)
            supply = sum(o.leaves for o in sells if o.bound <= price)
            away = abs(price - (market.last or market.reference))
            tried.append((min(demand, supply), -abs(demand - supply), -away, price))
        return max(tried)[3]

    def close(self, symbol: str) -> str:
        """Let what is for the close into the book, uncross it, and end the session."""
        self.trades, self.elections = [], []
        market = self.markets[symbol]
        if market.phase == Phase.OPEN:
            entering = self.working(lambda o: o.market is market and o.tif == TimeInForce.CLS)
            for order in sorted(entering, key=lambda o: o.rank):
                order.entered, order.rank = True, self.next_turn()
                if order.limit is None:
                    self.bind(order, self.collared(market, order.side, None))
            self.uncross(market)
        self.auction_over(market, TimeInForce.CLS, CancelReason.CLOSING_AUCTION)
        market.phase = Phase.CLOSED
        market.session += 1
        self.shrink()
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
            order.hold, order.exits = 0, Fraction(0)
        if over:
            self.book_moved(market)
        return len(over)
