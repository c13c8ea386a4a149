"""What accounts hold in the naive venue, what of it orders have set aside, and trades booked."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from math import ceil, floor
from typing import Any

from domain.terms import CancelReason, OrderStatus, Side
from tests.model.naive_money import NaiveEntry, NaiveHolding
from tests.model.naive_orders import NaiveAccount, NaiveFill, NaiveMarket, NaiveOrder, sign

NOTHING = Fraction(0)


class NaiveExits:
    """Accounts, holdings and orders; everything is added up again whenever it is asked for."""

    def __init__(self) -> None:
        self.accounts: dict[Any, NaiveAccount] = {}
        self.markets: dict[str, NaiveMarket] = {}
        self.orders: list[NaiveOrder] = []
        self.deals: list[list[NaiveFill]] = []
        self.holdings: dict[tuple[int, str], Fraction] = {}

    def working(self, wanted: Callable[[NaiveOrder], bool]) -> list[NaiveOrder]:
        return [order for order in self.orders if order.working and wanted(order)]

    def held(self, account: NaiveAccount) -> int:
        return sum(order.hold for order in self.working(lambda o: o.account is account))

    def holding(self, account: NaiveAccount, market: NaiveMarket) -> Fraction:
        return self.holdings.get((id(account), market.symbol), NOTHING)

    def open_qty(self, account: NaiveAccount, market: NaiveMarket, side: int) -> Fraction:
        mine = self.working(lambda o: (o.account, o.market, o.side) == (account, market, side))
        return sum((order.leaves for order in mine), NOTHING)

    def exits(self, account: NaiveAccount, market: NaiveMarket) -> list[NaiveOrder]:
        """Orders that have set something aside, the one that came last first."""
        mine = self.working(lambda o: (o.account, o.market) == (account, market) and o.exits > 0)
        return sorted(mine, key=lambda o: -o.rank)

    def reserved(self, account: NaiveAccount, market: NaiveMarket) -> Fraction:
        return sum((order.exits for order in self.exits(account, market)), NOTHING)

    def closable(self, account: NaiveAccount, market: NaiveMarket, side: int) -> Fraction:
        """What an order of this side would reduce, free of other orders and paid for."""
        held = -sign(side) * self.holding(account, market) - self.reserved(account, market)
        if side == Side.BUY and not account.is_margin:
            return NOTHING
        if side == Side.SELL:
            held -= account.unpaid_qty(market.symbol)
        return max(NOTHING, held)

    # -- what may be bound -----------------------------------------------------------------

    def positions(self, account: NaiveAccount, *, initial: bool) -> list[NaiveHolding]:
        return [
            NaiveHolding(
                qty, market.worth, self.rate(account, market) if initial else market.maintenance
            )
            for market in self.markets.values()
            if (qty := self.holding(account, market))
        ]

    def rate(self, account: NaiveAccount, market: NaiveMarket) -> Fraction:
        """The part of what is opened that must be the account's own: all of it at least, where
        its owner wants no other.
        """
        return max(Fraction(1), market.initial) if account.covers_all else market.initial

    def power(self, account: NaiveAccount) -> int:
        if account.is_margin:
            return account.free_margin(self.positions(account, initial=True), self.held(account))
        return account.to_spend(self.held(account))

    def equity(self, account: NaiveAccount) -> int:
        worth = [one.worth * 100 for one in self.positions(account, initial=False)]
        return account.cash + account.receivable - account.payable + sum(map(floor, worth))

    def maintenance(self, account: NaiveAccount) -> int:
        positions = self.positions(account, initial=False)
        return sum(ceil(abs(one.worth) * one.rate * 100) for one in positions)

    def hold_of(
        self,
        account: NaiveAccount,
        market: NaiveMarket,
        side: int,
        opens: Fraction,
        bound: Fraction,
    ) -> int:
        """The price of what opens, or the part of it that must be the account's own."""
        if not opens:
            return 0
        costs = account.schedule.most(opens, bound)
        if not account.is_margin:
            # One cent more, for what everything together may round to.
            return ceil(bound * opens * 100) + 1 + costs
        price = bound if side == Side.BUY else max(bound, market.worth)
        return ceil(price * opens * self.rate(account, market) * 100) + costs

    # -- trades ----------------------------------------------------------------------------

    def fill(self, order: NaiveOrder, qty: Fraction, price: Fraction, *, made: bool) -> NaiveFill:
        """One side of a trade: its order, its account, its holding."""
        account, schedule = order.account, order.account.schedule
        asked = schedule.asks(qty, price, account.traded, made=made)
        fill = NaiveFill(order, qty, price, asked, schedule.unit == "dollar", False)
        costs, fee = self.charge(order, [*order.fills, fill])
        others = self.held(account) - order.hold
        awaits = account.spends_proceeds or account.receivable > 0
        on_credit = awaits and order.side == Side.BUY and not account.is_margin
        cost = account.would_cost(fill.worth) + fee
        fill.unpaid = on_credit and cost > account.own_money(others)
        order.lose(qty)
        order.filled += qty
        order.status = OrderStatus.PARTIALLY_FILLED if order.leaves else OrderStatus.FILLED
        self.enter(fill, costs, fee)
        account.traded += qty
        return fill

    def charge(self, order: NaiveOrder, fills: list[NaiveFill]) -> tuple[Fraction, int]:
        """What it costs more when an order's trades become these, and the cents of it posted."""
        before, order.fills = order.commission, fills
        order.commission = order.cost()
        return order.commission - before, order.account.charge(order.commission - before)

    def enter(self, fill: NaiveFill, costs: Fraction, fee: int, *, undo: bool = False) -> None:
        order = fill.order
        way = -1 if undo else 1
        amount = order.account.value(order.side, way * fill.worth)
        order.account.entries.append(
            NaiveEntry(
                order.market.symbol,
                order.side,
                way * fill.qty,
                -way * sign(order.side) * fill.worth,
                costs,
                way * amount + fee,
                fill.unpaid,
            )
        )
        place = id(order.account), order.market.symbol
        change = way * sign(order.side) * fill.qty
        self.holdings[place] = self.holdings.get(place, NOTHING) + change

    def undo(self, fill: NaiveFill) -> None:
        """What the trade cost goes back, as far as the order's other trades let it."""
        order = fill.order
        before = order.commission
        order.fills = [one for one in order.fills if one is not fill]
        left = sum((one.asked for one in order.fills), NOTHING)
        order.commission = min(order.cost(), max(before, left))
        costs = order.commission - before
        fee = order.account.charge(costs)
        order.filled -= fill.qty
        self.enter(fill, costs, fee, undo=True)

    def reprice(self, fill: NaiveFill, price: Fraction) -> None:
        """Undone at the old price and booked at the new one, for a rate of value at its rate."""
        self.enter(fill, NOTHING, 0, undo=True)
        if fill.by_value:
            fill.asked *= price / fill.price
        fill.price = price
        costs, fee = self.charge(fill.order, fill.order.fills)
        self.enter(fill, costs, fee)

    # -- exits -----------------------------------------------------------------------------

    def shrink(self) -> None:
        """No more is set aside for exits than is held; who came last gives way first."""
        for account in self.accounts.values():
            for market in self.markets.values():
                for order in self.exits(account, market):
                    held = -sign(order.side) * self.holding(account, market)
                    if order.side == Side.SELL:
                        held -= account.unpaid_qty(market.symbol)
                    held = max(NOTHING, held)
                    gone = min(self.reserved(account, market) - held, order.exits)
                    if gone > 0:
                        self.give_way(order, gone)

    def give_way(self, order: NaiveOrder, gone: Fraction) -> None:
        order.exits -= gone
        market = order.market
        account = order.account
        short = order.locate and not account.long_only
        if account.is_margin and (order.side == Side.BUY or short):
            price = max(order.bound, market.worth)
            order.hold += ceil(price * gone * self.rate(account, market) * 100)
        elif gone == order.leaves:
            self.end(order, CancelReason.POSITION_CLOSED)
        else:
            order.leaves -= gone
            order.qty -= gone

    def end(self, order: NaiveOrder, reason: int) -> None:
        order.status, order.reason = OrderStatus.CANCELED, reason
        order.leaves, order.exits, order.hold = NOTHING, NOTHING, 0
