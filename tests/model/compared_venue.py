"""The venue and its naive twin side by side: every command goes to both, everything is compared."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from typing import Any
from uuid import UUID

from application.commands import (
    BustTrade,
    CancelOrder,
    ChangeInstrument,
    CheckMargins,
    ConfigureAccount,
    CorrectTrade,
    ExpireOrders,
    MarkInstrument,
    PlaceOrder,
    ReplaceOrder,
    Reply,
    SetAccountPolicy,
    SetAccountStatus,
    SetCommissionSchedule,
    SetKillSwitch,
)
from application.deciding.checks import buying_power
from domain.commission import Kind
from domain.events import OrderAdjusted, OrderCanceled, OrderFilled, OrderTrailed
from domain.terms import AccountKind, OrderType, Phase, Remainder, Side, TimeInForce
from tests.model.desk_harness import DeskHarness, waiting_in, wire
from tests.model.naive_money import NaiveSchedule
from tests.model.naive_orders import NaiveAccount, NaiveMarket, NaiveOrder
from tests.model.naive_venue import NaiveVenue

Tiers = tuple[tuple[int, int, int], ...]
SCHEDULES: list[tuple[int, Tiers, int, int]] = [
    (int(Kind.NONE), (), 0, 0),
    (int(Kind.PER_SHARE), ((0, 3_500_000, 5_000_000),), 35, 100),
    (int(Kind.PER_SHARE), ((0, -2_000_000, 12_345_678), (60, -3_000_000, 9_999_999)), 0, 0),
    (int(Kind.BPS), ((0, 1_000, 30_000), (40, 0, 20_001), (150, -500, 7_777)), 0, 0),
    (int(Kind.BPS), ((0, 25_000, 333_333),), 101, 2),
]
"""(kind, tiers from so many lots, minimum, cap) as in the command."""

RESTING = (int(TimeInForce.DAY), int(TimeInForce.GTC), int(TimeInForce.GTD))


class ComparedVenue:
    """One instrument at about 100, and accounts of both kinds: two are one owner's, one is poor."""

    def __init__(self, trigger: int, lot: int, position_limit_lots: int = 0) -> None:
        self.real, self.naive = DeskHarness(), NaiveVenue()
        self.lot = lot
        self.counts: Counter[str] = Counter()
        self.reasons: dict[UUID, int] = {}
        self._ids: dict[str, UUID] = {}
        self.real.instrument(
            opened=False,
            tick=wire("0.5"),
            lot=lot,
            trigger_rule=trigger,
            collar_bps=3_300,
            protection_bps=150,
            reference_price=wire(100),
            max_order_qty=55 * lot,
            position_limit=position_limit_lots * lot,
            initial_margin_bps=3_000,
            maintenance_margin_bps=2_900,
        )
        self.market = self.naive.markets["X"] = NaiveMarket(
            "X",
            Fraction(1, 2),
            Fraction(lot, 10**8),
            4,
            trigger,
            Fraction(33, 100),
            Fraction(100),
            max_qty=Fraction(55 * lot, 10**8),
            position_limit=Fraction(position_limit_lots * lot, 10**8),
            initial=Fraction(3, 10),
            maintenance=Fraction(29, 100),
            protection=Fraction(15, 1_000),
        )
        self.accounts: list[UUID] = []
        one = Fraction(lot, 10**8)
        self._open_account("a", "a", Fraction(10**6), 400)
        self._open_account("a2", "a", 4_000 * one + 1, 20, AccountKind.MARGIN)
        self._open_account("b", "b", Fraction(10**6), 30)
        self._open_account("poor", "poor", 500 * one + Fraction(1, 100), 50)
        self._open_account("short", "short", 2_000 * one + 1, 0, AccountKind.MARGIN)
        self.spend_proceeds(3)
        self.real.open()
        self.naive.open("X")

    def _open_account(
        self,
        name: str,
        owner: str,
        cash: Fraction,
        lots: int,
        kind: AccountKind = AccountKind.CASH,
    ) -> None:
        amount = int(cash * 100)
        identifier = self.real.account(name, Fraction(amount, 100), owner, kind=kind)
        account = self.naive.accounts[identifier] = NaiveAccount(owner, amount, kind)
        self.accounts.append(identifier)
        if lots:
            self.real.hold(identifier, Fraction(lots * self.lot, 10**8))
            self.naive.holdings[id(account), "X"] = Fraction(lots * self.lot, 10**8)

    # -- commands --------------------------------------------------------------------------

    def place(
        self,
        who: int,
        side: int,
        kind: int,
        tif: int,
        lots: int,
        limit: int,
        stop: int,
        self_trade: int = 1,
        post_only: bool = False,
        life: int = 5,
        locate: bool = False,
        trail: int = 4,
    ) -> None:
        """An order whose terms fit each other; prices and quantities may still be refused."""
        trails = kind == OrderType.TRAILING_STOP
        stops = trails or kind in (OrderType.STOP, OrderType.STOP_LIMIT)
        tif = int(TimeInForce.GTC) if stops and tif not in RESTING else tif
        command = PlaceOrder(
            self.accounts[who],
            "X",
            side,
            kind,
            tif,
            lots * self.lot,
            limit if kind in (OrderType.LIMIT, OrderType.STOP_LIMIT) else 0,
            stop if stops and not trails else 0,
            f"c{self.real.number}",
            self.real.at + life if tif == TimeInForce.GTD else 0,
            post_only,
            self_trade,
            locate,
            0,
            *(self._trail(trail) if trails else ()),
        )
        self.send_order(command)

    def spend(
        self, who: int, side: int, amount: int, self_trade: int = 1, locate: bool = False
    ) -> None:
        """A market order for so many cents."""
        label, kind, tif = f"c{self.real.number}", int(OrderType.MARKET), int(TimeInForce.DAY)
        order = (self.accounts[who], "X", side, kind, tif, 0, 0, 0, label, 0, False)
        self.send_order(PlaceOrder(*order, self_trade, locate, amount))

    @staticmethod
    def _trail(trail: int) -> tuple[int, int]:
        """Even ones by so many half ticks, odd ones by so many quarters of a percent."""
        return (0, trail * 250) if trail % 2 else (trail * 10**9 // 4, 0)

    def send_order(self, command: PlaceOrder) -> None:
        """Any order at all."""
        self._compare(self.real.send(command), self.naive.place(command, self.real.at))

    def cancel(self, pick: int) -> None:
        """One order, mostly a working one."""
        if not self.naive.orders:
            return
        account_id, order = self._picked(pick)
        command = CancelOrder(account_id, self.id_of(order), "", f"x{self.real.number}")
        self._compare(self.real.send(command), self.naive.cancel(order.label))

    def replace(
        self,
        pick: int,
        lots: int | None,
        limit: int | None,
        stop: int | None,
        tif: int | None,
        life: int | None,
        rename: bool,
        trail: int | None = None,
    ) -> None:
        """New terms, mostly such as the order has; half of the others are refused for nothing."""
        if not self.naive.orders:
            return
        account_id, order = self._picked(pick)
        if trail is not None and order.trails:
            stop = None
            percent = order.share is not None
            trail = trail * 250 * 10**6 if percent else trail * 10**9 // 4
        elif pick % 10:
            trail = None
        command = ReplaceOrder(
            account_id,
            self.id_of(order),
            f"n{self.real.number}" if rename else "",
            f"r{self.real.number}",
            None if lots is None else lots * self.lot,
            None if order.limit is None and pick % 10 else limit,
            None if not order.waits and pick % 10 else stop,
            tif,
            None if life is None else self.real.at + life,
            trail,
        )
        reply = self.real.send(command)
        self._compare(reply, self.naive.replace(order.label, command, self.real.at))
        if reply.order is not None:
            assert self.id_of(order) == reply.order.order_id
            assert reply.order.revision_id != reply.order.replaces

    def cancel_all(self, who: int) -> None:
        """Every order of one account."""
        reply = self.real.cancel_all(self.accounts[who])
        self._compare(reply, self.naive.cancel_all(self.accounts[who]))

    def pause(self, *, close: bool) -> None:
        """Halt or close, whatever the phase allows."""
        if self.market.phase == Phase.OPEN and not close:
            self._compare(self.real.halt(), self.naive.halt("X"))
        elif self.market.phase != Phase.CLOSED:
            self._compare(self.real.close(), self.naive.close("X"))

    def close_with_an_auction(self, orders: list[tuple[Any, ...]]) -> None:
        """Orders for the close, and the close."""
        for who, side, kind, _, *rest in orders:
            self.place(who, side, kind, TimeInForce.CLS, *rest)
        self.pause(close=True)

    def go_on(self) -> None:
        """Resume or open; what is due ends first."""
        if self.market.phase == Phase.OPEN:
            return
        halted = self.market.phase == Phase.HALTED
        reply = self.real.resume() if halted else self.real.open()
        self.naive.expire("X", self.real.at)
        self._compare(reply, self.naive.resume("X") if halted else self.naive.open("X"))

    def expire(self) -> None:
        """The timer."""
        reply = self.real.ok(ExpireOrders("X"))
        expired = self.naive.expire("X", self.real.at)
        assert {"expired": expired, "remaining": False} == reply.result
        self._compare(reply)

    def mark(self, price: int) -> None:
        """A price from outside."""
        reply = self.real.send(MarkInstrument("X", price))
        self._compare(reply, self.naive.set_mark("X", price))

    def set_status(self, who: int, status: int) -> None:
        """What an account may do."""
        self.real.send(SetAccountStatus(self.accounts[who], status, "a review"))
        self.naive.accounts[self.accounts[who]].status = status

    def spend_proceeds(self, who: int) -> None:
        """Let an account buy with what has not settled."""
        self.real.ok(SetAccountPolicy(self.accounts[who], True))
        self.naive.accounts[self.accounts[who]].spends_proceeds = True

    def charge(self, who: int, which: int) -> None:
        """Give an account one of a few commission schedules."""
        kind, tiers, minimum, cap_bps = SCHEDULES[which % len(SCHEDULES)]
        lot = Fraction(self.lot, 10**8)
        real = tuple((lots * self.lot, maker, taker) for lots, maker, taker in tiers)
        self.real.ok(SetCommissionSchedule(self.accounts[who], kind, real, minimum, cap_bps))
        unit, per = {
            Kind.NONE: ("nothing", 1),
            Kind.PER_SHARE: ("share", 10**9),
            Kind.BPS: ("dollar", 10**7),
        }[Kind(kind)]
        schedule = NaiveSchedule(
            unit,
            tuple(
                (lots * lot, Fraction(maker, per), Fraction(taker, per))
                for lots, maker, taker in tiers
            ),
            Fraction(minimum, 100),
            Fraction(cap_bps, 10**4) if cap_bps else None,
        )
        self.naive.set_schedule(self.accounts[who], schedule)

    def kill(self, who: int | None, engaged: bool) -> None:
        """Stop one account, or all."""
        account_id = None if who is None else self.accounts[who]
        self.real.ok(SetKillSwitch(account_id, engaged, "a runaway"))
        if account_id is None:
            self.naive.killed = engaged
        else:
            self.naive.accounts[account_id].killed = engaged

    def configure(
        self, who: int, *, suspended: bool, long_only: bool, whole_only: bool, covers_all: bool
    ) -> None:
        """Let an account's owner rule some things out, and all else in again."""
        account_id = self.accounts[who]
        account = self.naive.accounts[account_id]
        multiplier = (1 if covers_all else 2) if account.is_margin else None
        self.real.ok(ConfigureAccount(account_id, suspended, long_only, not whole_only, multiplier))
        account.suspended, account.long_only = suspended, long_only
        account.whole_only, account.covers_all = whole_only, covers_all and account.is_margin

    def wait(self) -> None:
        """Let a second pass."""
        self.real.at += 10**6

    def offer_all(self, who: int, limit: int) -> None:
        """Offer all that an account has free, as far as one order may."""
        account = self.naive.accounts[self.accounts[who]]
        lots = self.naive.closable(account, self.market, Side.SELL) / self.market.lot
        self.place(who, Side.SELL, OrderType.LIMIT, TimeInForce.GTC, min(int(lots), 55), limit, 0)

    def revise(self, pick: int, price: int | None) -> None:
        """Give a trade another price, or undo it."""
        if not self.naive.deals:
            return
        number = pick % len(self.naive.deals)
        fills = [event for event in self.real.log if isinstance(event, OrderFilled)]
        one, other = fills[2 * number : 2 * number + 2]
        self.real.desk.trades_found[one.trade_id] = (one, other)
        if price is None:
            reply = self.real.send(BustTrade(one.trade_id, 1, "an error"))
            self._compare(reply, self.naive.bust(number))
        else:
            reply = self.real.send(CorrectTrade(one.trade_id, 1, price, "an error"))
            self._compare(reply, self.naive.correct(number, price))
        self.counts["revised"] += reply.refusal is None

    def require(self, initial_bps: int, maintenance_bps: int) -> None:
        """Let positions bind more, or less, of an account's own money."""
        self.real.ok(
            ChangeInstrument(
                "X", initial_margin_bps=initial_bps, maintenance_margin_bps=maintenance_bps
            )
        )
        self.market.initial = Fraction(initial_bps, 10**4)
        self.market.maintenance = Fraction(maintenance_bps, 10**4)

    def protect(self, bps: int, *, keeps: bool) -> None:
        """Let market orders and stops reach so far, and what they leave rest or end."""
        remainder = Remainder.REST if keeps else Remainder.CANCEL
        self.real.ok(ChangeInstrument("X", protection_bps=bps, remainder=int(remainder)))
        self.market.protection, self.market.keeps = Fraction(bps, 10**4), keeps

    def call_margins(self) -> None:
        """Look at every margin account."""
        reply = self.real.ok(CheckMargins())
        changed = self.naive.call_margins()
        assert {"changed": changed, "remaining": False} == reply.result
        self.counts["margin calls"] += changed
        self._compare(reply)

    def _picked(self, pick: int) -> tuple[UUID, NaiveOrder]:
        choice = self.naive.working(lambda _: pick % 8 != 0) or self.naive.orders
        order = choice[pick % len(choice)]
        account_id = next(k for k, v in self.naive.accounts.items() if v is order.account)
        return account_id, order

    def id_of(self, order: NaiveOrder) -> UUID:
        """The real order's id."""
        if order.label not in self._ids:
            for key, label in self.real.labels.items():
                self._ids.setdefault(label, key)
        return self._ids[order.label]

    # -- what must agree -------------------------------------------------------------------

    def _compare(self, reply: Reply, expected: str = "") -> None:
        assert expected == ("" if reply.refusal is None else reply.refusal.code)
        ended = self.real.happened(OrderCanceled)
        self.reasons.update((event.originator_id, event.reason) for event in ended)
        trades, elections = self.naive.trades, self.naive.elections
        if expected:
            assert not trades and not elections
        assert [
            (buy, sell, units(qty, 8), units(price, 4)) for buy, sell, qty, price in trades
        ] == self.real.trades()
        assert [
            (label, rule, units(seen, 4)) for label, rule, seen in elections
        ] == self.real.elections()
        self.counts[expected or "ok"] += 1
        self.counts["trades"] += len(trades)
        self.counts["elections"] += len(elections)
        self.counts["cascades"] += len(elections) > 1
        self.counts["trailed"] += len(self.real.happened(OrderTrailed))
        self.counts["auctions"] += bool(trades) and bool(reply.result) and "phase" in reply.result
        for event in self.real.happened(OrderAdjusted):
            self.counts[f"adjusted {event.reason}"] += 1
        for event in ended:
            self.counts[f"canceled {event.reason}"] += 1

    def check(self) -> None:
        """Every order, balance, position and place in the book."""
        for order in self.naive.orders:
            real = self.real.order(self.id_of(order))
            assert (order.status, units(order.leaves, 8), units(order.filled, 8)) == (
                real.status,
                real.leaves,
                real.filled,
            ), order.label
            assert units(order.qty, 8) == real.qty, order.label
            if order.trails and order.working:
                assert (units(order.stop, 4), units(order.peak, 4)) == (
                    real.stop_price,
                    real.water_mark,
                ), order.label
            assert (order.hold, units(order.exits, 8)) == (real.hold, real.hold_qty), order.label
            assert units(order.commission, 24) == real.commission, order.label
            assert order.reason == self.reasons.get(real.id, 0)
        self._check_accounts()
        for side in Side:
            assert [
                (order.label, units(order.bound, 4), units(order.leaves, 8))
                for order in self.naive.book(self.market, side)
            ] == self.real.book(side)
        desk = self.real.desk
        assert sorted(
            (order.side, units(order.stop, 4), order.label)
            for order in self.naive.stops(self.market)
        ) == sorted(
            (side, price, self.real.labels[desk.orders.by_sequence[sequence].id])
            for side, price, sequence in waiting_in(desk.markets.by_symbol["X"])
        )

    def _check_accounts(self) -> None:
        desk = self.real.desk
        instrument_id = desk.markets.by_symbol["X"].instrument.id
        for account_id, account in self.naive.accounts.items():
            real = desk.accounts.by_id[account_id.int]
            assert (account.cash, account.receivable, account.payable, account.unpaid) == (
                real.cash,
                real.receivable,
                real.payable,
                real.unpaid,
            )
            assert self.naive.held(account) == real.held
            assert self.naive.power(account) == buying_power(desk, real)
            assert (units(account.charged, 24), account.posted) == (
                real.commission,
                real.commissions,
            )
            assert units(account.traded, 8) == real.month_qty
            assert account.called == real.margin_called
            position = desk.accounts.positions.get((account_id.int, instrument_id.int))
            if position is None:
                assert 0 == self.naive.holding(account, self.market)
                continue
            assert units(self.naive.holding(account, self.market), 8) == position.qty
            assert units(self.naive.reserved(account, self.market), 8) == position.reserved
            assert units(account.unpaid_qty("X"), 8) == position.unpaid


def units(value: Fraction | int, scale: int) -> int:
    """An exact fraction as the integer an event holds."""
    whole, rest = divmod(value.numerator * 10**scale, value.denominator)
    assert not rest
    return whole
