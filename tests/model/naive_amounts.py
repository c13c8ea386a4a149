"""Orders for an amount of money in the naive venue: what they would trade, and may."""

from __future__ import annotations

from fractions import Fraction
from math import ceil, floor
from typing import Any

from domain.terms import OrderType, SelfTrade, Side, TimeInForce
from tests.model.naive_checks import OVER, NaiveChecks
from tests.model.naive_orders import NaiveAccount, NaiveMarket, NaiveOrder, refuse_if


class NaiveAmounts(NaiveChecks):
    """Whole lots, from the best price on, for no more than is said."""

    turn = 0

    def next_turn(self) -> int:
        self.turn += 1
        return self.turn

    def reachable(self, order: NaiveOrder) -> list[NaiveOrder]:
        """The resting orders this one may meet, in their priority."""
        if order.side == Side.BUY:
            asks = self.book(order.market, Side.SELL)
            return [o for o in asks if o is not order and o.bound <= order.bound]
        bids = self.book(order.market, Side.BUY)
        return [o for o in bids if o is not order and o.bound >= order.bound]

    def judged_amount(self, cmd: Any) -> NaiveOrder:
        """An order for an amount: judged by what it would trade now, and it holds nothing."""
        account = self.accounts[cmd.account_id]
        market = self.markets.get(cmd.symbol)
        self.may_trade(account, cmd.side, self.holding(account, market) if market else 0)
        refuse_if(market is None, "UNKNOWN_INSTRUMENT")
        assert market is not None
        self.is_open(market)
        plain = (OrderType.MARKET, TimeInForce.DAY, 0)
        refuse_if((cmd.order_type, cmd.time_in_force, cmd.qty) != plain, "INVALID_FIELD")
        money = Fraction(cmd.notional, 100)
        bound = self.loose(market, cmd.side)
        order = NaiveOrder(
            cmd.client_order_id,
            account,
            market,
            cmd.side,
            cmd.order_type,
            cmd.time_in_force,
            money,
            money,
            None,
            None,
            bound,
            0,
            False,
            cmd.self_trade,
            self.turn + 1,
            market.session,
            cmd.locate,
            0,
            Fraction(0),
            money=money,
        )
        meets = self.reachable(order)
        price = meets[0].bound if meets else bound
        refuse_if(bool(meets) and money < price * market.lot, "NOTIONAL_TOO_SMALL")
        order.qty = order.leaves = ceil(money / (price * market.lot)) * market.lot
        would = self.would_trade(order)
        qty = sum((lots for lots, _ in would), Fraction(0))
        refuse_if(qty > (market.max_qty or OVER), "ORDER_TOO_LARGE")
        limits = (market.max_notional, account.max_notional)
        refuse_if(any(0 < limit < cmd.notional for limit in limits), "ORDER_TOO_LARGE")
        self.within_position(account, market, cmd.side, qty)
        exits = min(qty, self.closable(account, market, cmd.side))
        self.may_open(account, market, cmd.side, qty, exits, cmd.locate)
        if qty > exits:
            opens = self.amount_of(account, market, cmd, (qty, exits, bound), would)
            refuse_if(opens > self.power(account), "INSUFFICIENT_BUYING_POWER")
        self.may_send(account)
        order.rank = self.next_turn()
        return order

    def would_trade(self, order: NaiveOrder) -> list[tuple[Fraction, Fraction]]:
        """What an order for an amount would trade: quantities and prices, the best first."""
        money, left = order.money, order.leaves
        assert money is not None
        found = []
        for other in self.reachable(order):
            if other.account.owner == order.account.owner:
                if order.self_trade == SelfTrade.CANCEL_OLDEST:
                    continue
                break
            lots = floor(money / (other.bound * order.market.lot)) * order.market.lot
            lots = min(lots, other.leaves, left)
            found.append((lots, other.bound))
            money, left = money - lots * other.bound, left - lots
            if lots < other.leaves:
                break
        return found

    def amount_of(
        self,
        account: NaiveAccount,
        market: NaiveMarket,
        cmd: Any,
        sized: tuple[Fraction, Fraction, Fraction],
        would: list[tuple[Fraction, Fraction]],
    ) -> int:
        """What must be free for the part that opens: a sale's price, or what is left to spend."""
        qty, exits, bound = sized
        if cmd.side == Side.SELL:
            return self.hold_of(account, market, cmd.side, qty - exits, bound)
        closing = Fraction(0)
        for lots, price in would:
            closing += min(lots, exits) * price
            exits -= min(lots, exits)
        rest = cmd.notional - floor(closing * 100)
        costs = account.schedule.most(qty - sized[1], bound)
        if not account.is_margin:
            return rest + 1 + costs
        return ceil(rest * self.rate(account, market)) + costs

    def affords(self, order: NaiveOrder, price: Fraction) -> Fraction:
        """The whole lots that what is left of an order's amount pays for."""
        assert order.money is not None
        lot = order.market.lot
        return floor(order.money / (price * lot)) * lot
