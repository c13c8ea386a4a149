"""A seeded flow of orders of every kind; equal seeds and equal events give equal commands."""

from __future__ import annotations

from random import Random
from uuid import UUID

import msgspec

from application.commands import (
    BustTrade,
    CancelAll,
    CancelOrder,
    ChargeFee,
    CorrectTrade,
    Deposit,
    MarkInstrument,
    PlaceGroup,
    PlaceOrder,
    ReplaceOrder,
    SetKillSwitch,
    Withdraw,
)
from application.rehearsal.simulated_day.cast import LISTINGS, ROLES, Listing
from application.rehearsal.simulated_day.seen import Seen, Trade
from application.requests import Command
from domain.identifiers import Instant
from domain.terms import OrderClass, OrderType, SelfTrade, Side, TimeInForce

_BUY = int(Side.BUY)
_SELL = int(Side.SELL)
_MARKET = int(OrderType.MARKET)
_LIMIT = int(OrderType.LIMIT)
_STOP = int(OrderType.STOP)
_STOP_LIMIT = int(OrderType.STOP_LIMIT)
_TRAILING_STOP = int(OrderType.TRAILING_STOP)
_DAY = int(TimeInForce.DAY)
_GTC = int(TimeInForce.GTC)
_IOC = int(TimeInForce.IOC)
_FOK = int(TimeInForce.FOK)
_GTD = int(TimeInForce.GTD)
_OPG = int(TimeInForce.OPG)
_CLS = int(TimeInForce.CLS)
_TRIES = 30


class Flow:
    """Makes up what the accounts ask for, from a seed and from what was seen."""

    def __init__(self, seed: int, seen: Seen) -> None:
        self._random = Random(seed)
        self._seen = seen
        self._number = 0
        self._middle = {each.symbol: each.middle for each in LISTINGS}
        self._listing = {each.symbol: each for each in LISTINGS}
        self.at: Instant = 0

    def auction_order(self) -> Command:
        """Make an order that gathers before the opening, mostly limits so priced that sides
        cross; some market orders, stops and groups wait with them.
        """
        luck = self._random.random()
        if luck < 0.05:
            return self._stop()
        if luck < 0.1:
            return self._group()
        listing = self._random.choice(LISTINGS)
        account, side = self._account(), self._random.choice((_BUY, _SELL))
        time_in_force = self._pick(_DAY, _DAY, _GTC, _OPG, _CLS)
        if luck < 0.2:
            return self._place(account, listing, side, _MARKET, time_in_force, 0)
        ticks = self._middle[listing.symbol] + listing.step * self._step(12)
        return self._place(account, listing, side, _LIMIT, time_in_force, ticks)

    def next(self) -> Command:
        """Make one more command of continuous trading."""
        luck = self._random.random()
        if self._seen.killed and luck < 0.04:
            return SetKillSwitch(self._seen.killed[0], False)
        if luck < 0.34:
            return self._resting()
        if luck < 0.60:
            return self._taking()
        if luck < 0.72:
            return self._cancel() or self._resting()
        if luck < 0.80:
            return self._replace() or self._taking()
        if luck < 0.85:
            return self._stop()
        if luck < 0.92:
            return self._group()
        if luck < 0.985:
            return self._taking()
        return self._rare()

    # Orders

    def _resting(self) -> Command:
        pick = self._random
        listing = self._wander()
        side = pick.choice((_BUY, _SELL))
        away = listing.step * (1 + int(pick.expovariate(0.25)))
        ticks = self._middle[listing.symbol] + (-away if side == _BUY else away)
        time_in_force = self._pick(_DAY, _DAY, _GTC, _GTC, _GTD)
        post_only = time_in_force != _GTD and pick.random() < 0.05
        account = self._account()
        return self._place(
            account, listing, side, _LIMIT, time_in_force, ticks, post_only=post_only
        )

    def _taking(self) -> Command:
        pick = self._random
        listing = self._wander()
        side = pick.choice((_BUY, _SELL))
        through = listing.step * pick.randint(0, 8)
        ticks = self._middle[listing.symbol] + (through if side == _BUY else -through)
        kind = pick.random()
        account = self._account()
        if kind < 0.04:
            return self._spending(account, listing, side)
        if kind < 0.15:
            return self._place(account, listing, side, _MARKET, self._pick(_IOC, _DAY, _CLS), 0)
        # What is for the opening comes too late.
        late = _OPG if pick.random() < 0.02 else _IOC
        time_in_force = self._pick(_DAY, _DAY, _GTC, late, _IOC, _FOK, _CLS)
        return self._place(account, listing, side, _LIMIT, time_in_force, ticks)

    def _spending(self, account: UUID, listing: Listing, side: int) -> Command:
        """Make a market order for an amount, about what a quantity is worth."""
        price = self._middle[listing.symbol] * listing.tick
        worth = self._qty(listing) * price // 10 ** (listing.price_decimals + 6)
        order = self._place(account, listing, side, _MARKET, _DAY, 0)
        return msgspec.structs.replace(order, qty=0, notional=worth + self._random.randint(1, 99))

    def _stop(self) -> Command:
        pick = self._random
        listing = self._wander()
        side = pick.choice((_BUY, _SELL))
        sign = 1 if side == _BUY else -1
        trigger = self._middle[listing.symbol] + sign * listing.step * pick.randint(2, 12)
        kind = self._pick(_STOP, _STOP_LIMIT, _TRAILING_STOP)
        if kind == _TRAILING_STOP:
            return self._trailing(listing, side)
        limit = trigger + sign * listing.step * pick.randint(0, 6) if kind == _STOP_LIMIT else 0
        return self._place(
            self._account(), listing, side, kind, self._pick(_DAY, _GTC), limit, stop=trigger
        )

    def _trailing(self, listing: Listing, side: int) -> Command:
        """Make a stop that trails, by some steps or by a part of the price."""
        away = self._random.randint(1, 9)
        amount = listing.wire(away * listing.step)
        trail = (amount, 0) if self._random.random() < 0.5 else (0, 100 * away)
        time_in_force = self._pick(_DAY, _GTC)
        account = self._account()
        return self._place(account, listing, side, _TRAILING_STOP, time_in_force, 0, trail=trail)

    def _group(self) -> Command:
        """Make an oco on what is held, or a bracket or oto that buys, some that sell short."""
        pick = self._random
        kinds = (OrderClass.OCO, OrderClass.OCO, OrderClass.BRACKET, OrderClass.OTO)
        kind = pick.choice(kinds)
        listing = self._wander()
        middle = self._middle[listing.symbol]
        if kind == OrderClass.OCO:
            account, qty = self._holder(listing)
            return self._grouped(
                account, listing, kind, _SELL, (_LIMIT, 0), qty,
                middle + listing.step * pick.randint(1, 9),
                middle - listing.step * pick.randint(2, 9),
            )  # fmt: skip
        account = self._account()
        short = listing.shortable and account in self._seen.margin and pick.random() < 0.3
        side, sign = (_SELL, -listing.step) if short else (_BUY, listing.step)
        market = pick.random() < 0.15
        entry = (_MARKET, 0) if market else (_LIMIT, middle + sign * pick.randint(-3, 5))
        profit, loss = middle + sign * pick.randint(6, 14), middle - sign * pick.randint(4, 12)
        if kind == OrderClass.OTO:
            profit, loss = pick.choice(((profit, 0), (0, loss)))
        return self._grouped(account, listing, kind, side, entry, self._qty(listing), profit, loss)

    def _grouped(
        self,
        account: UUID,
        listing: Listing,
        kind: OrderClass,
        side: int,
        entry: tuple[int, int],
        qty: int,
        profit: int,
        loss: int,
    ) -> Command:
        exit_side = side if kind == OrderClass.OCO else (_SELL if side == _BUY else _BUY)
        limit = 0
        if loss and self._random.random() < 0.4:
            further = listing.step * self._random.randint(0, 5)
            limit = loss + (-further if exit_side == _SELL else further)
        return PlaceGroup(
            account_id=account,
            symbol=listing.symbol,
            order_class=int(kind),
            side=side,
            order_type=entry[0],
            time_in_force=self._pick(_DAY, _GTC),
            qty=qty,
            limit_price=listing.wire(entry[1]),
            stop_price=0,
            client_order_id=self._key("g"),
            take_profit_price=listing.wire(profit),
            stop_loss_price=listing.wire(loss),
            stop_loss_limit_price=listing.wire(limit),
        )

    def _place(
        self,
        account: UUID,
        listing: Listing,
        side: int,
        kind: int,
        time_in_force: int,
        limit: int,
        *,
        stop: int = 0,
        post_only: bool = False,
        trail: tuple[int, int] = (0, 0),
    ) -> Command:
        expires_at = (
            self.at + self._random.randint(1, 1_200) * 10**6 if time_in_force == _GTD else 0
        )
        return PlaceOrder(
            account_id=account,
            symbol=listing.symbol,
            side=side,
            order_type=kind,
            time_in_force=time_in_force,
            qty=self._qty(listing),
            limit_price=listing.wire(limit),
            stop_price=listing.wire(stop),
            client_order_id=self._key("o"),
            expires_at=expires_at,
            post_only=post_only,
            self_trade=int(self._pick(*SelfTrade)),
            locate=self._random.random() < 0.2,
            trail_price=trail[0],
            trail_percent=trail[1],
        )

    # What became of earlier ones

    def _cancel(self) -> Command | None:
        order_id = self._any_working()
        if order_id is None:
            return None
        order = self._seen.working[order_id]
        if order.leg and self._random.random() < 0.3:
            order_id = order.group_id
        return CancelOrder(order.account_id, order_id, "", self._key("c"))

    def _replace(self) -> Command | None:
        pick = self._random
        order_id = self._any_working()
        if order_id is None:
            return None
        order = self._seen.working[order_id]
        listing = self._listing[order.symbol]
        qty = price = trail = None
        if order.trail_price and pick.random() < 0.5:
            trail = listing.wire(listing.step * pick.randint(1, 9))
        elif pick.random() < 0.6 or not order.price:
            whole = order.filled + order.leaves
            share = pick.randint(30, 150)
            qty = max(whole * share // 100 // listing.lot, 1) * listing.lot
        if order.price and (qty is None or pick.random() < 0.4):
            price = listing.wire(order.price // listing.tick + listing.step * self._step(3))
        name = self._key("r")
        return ReplaceOrder(
            order.account_id, order_id, name, name, qty=qty, limit_price=price, trail=trail
        )

    def _any_working(self) -> UUID | None:
        """A working order, newer ones more often; ids of ended ones are forgotten on the way."""
        ids, working = self._seen.order_ids, self._seen.working
        if len(ids) > 64 + 4 * len(working):
            ids[:] = [each for each in ids if each in working]
        for _ in range(_TRIES):
            if not ids:
                return None
            chosen = ids[-1 - min(int(self._random.expovariate(0.01)), len(ids) - 1)]
            if chosen in working:
                return chosen
        return None

    def bust(self) -> Command | None:
        """Undo a trade that both sides can undo."""
        trade = self._undoable()
        return trade and BustTrade(trade.trade_id, trade.position, "clearly erroneous")

    def correct(self) -> Command | None:
        """Give such a trade a price a few ticks away."""
        trade = self._undoable()
        if trade is None:
            return None
        listing = self._listing[trade.symbol]
        ticks = trade.price // listing.tick + self._pick(-7, -3, -1, 1, 2, 5)
        return CorrectTrade(trade.trade_id, trade.position, listing.wire(ticks), "wrong price")

    def _undoable(self) -> Trade | None:
        """A trade whose buyer still holds the shares and whose parties can pay, each once."""
        seen = self._seen
        for _ in range(_TRIES if seen.trades else 0):
            trade = self._random.choice(seen.trades)
            holds = seen.holdings[trade.buyer, trade.symbol]
            if trade.trade_id in seen.undone:
                continue
            if trade.buyer not in seen.margin and holds < 2 * trade.qty:
                continue
            listing = self._listing[trade.symbol]
            worth = trade.qty * trade.price // 10 ** (6 + listing.price_decimals)
            if min(seen.spare[trade.buyer], seen.spare[trade.seller]) > 2 * worth:
                return trade
        return None

    def _rare(self) -> Command:
        pick = self._random
        account, listing = self._account(), pick.choice(LISTINGS)
        choices: list[Command] = [
            Deposit(account, pick.randint(1, 5_000_000), self._key("d")),
            Withdraw(account, pick.randint(1, 900_000), self._key("w")),
            ChargeFee(account, pick.randint(1, 2_500), self._key("f")),
            CancelAll(account, listing.symbol),
            MarkInstrument(listing.symbol, listing.wire(self._middle[listing.symbol])),
            SetKillSwitch(account, True, "a look at its orders"),
        ]
        return pick.choice(choices)

    def marks(self) -> list[Command]:
        """Make a mark for every instrument, near where it trades."""
        return [
            MarkInstrument(each.symbol, each.wire(self._middle[each.symbol])) for each in LISTINGS
        ]

    # Chance

    def _wander(self) -> Listing:
        """An instrument, its middle a step further; it is drawn back to where it began."""
        listing = self._random.choice(LISTINGS)
        middle = self._middle[listing.symbol]
        seen = self._seen.last_price.get(listing.symbol)
        if seen is not None and self._random.random() < 0.2:
            middle = seen // listing.tick
        away = middle - listing.middle
        middle += listing.step * self._step(2) - (away // 40 if away > 0 else -(-away // 40))
        self._middle[listing.symbol] = middle
        return listing

    def _step(self, most: int) -> int:
        return self._random.randint(-most, most)

    def _account(self) -> UUID:
        return self._seen.account_named[self._random.choice(ROLES).name]

    def _holder(self, listing: Listing) -> tuple[UUID, int]:
        """An account, if possible one that holds free shares, and how many to sell of them."""
        seen = self._seen
        account, qty = self._account(), self._qty(listing)
        for _ in range(_TRIES):
            key = account, listing.symbol
            free = seen.holdings.get(key, 0) - seen.reserved.get(key, 0)
            if free >= listing.lot:
                return account, min(qty, free // listing.lot * listing.lot)
            account = self._account()
        return account, qty

    def _qty(self, listing: Listing) -> int:
        """Round lots, odd lots and fractions, as the instrument takes them."""
        pick, lot, typical = self._random, listing.lot, listing.typical
        luck = pick.random()
        if luck < 0.35:
            return max(typical * pick.randint(1, 4) // 4 // lot, 1) * lot
        if luck < 0.95:
            return pick.randint(1, max(typical // lot, 1)) * lot
        return pick.randint(1, 9) * lot

    def _pick(self, *choices: int) -> int:
        return self._random.choice(choices)

    def _key(self, kind: str) -> str:
        self._number += 1
        return f"{kind}{self._number}"
