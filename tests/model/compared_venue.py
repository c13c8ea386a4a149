"""The venue and its naive twin side by side: every command goes to both, everything is compared."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from typing import Any
from uuid import UUID

from application.commands import (
    CancelOrder,
    ExpireOrders,
    MarkInstrument,
    PlaceOrder,
    ReplaceOrder,
    Reply,
    SetAccountStatus,
)
from domain.events import OrderCanceled
from domain.terms import OrderType, Phase, Side, TimeInForce
from tests.model.desk_harness import DeskHarness, wire
from tests.model.naive_orders import NaiveAccount, NaiveMarket, NaiveOrder
from tests.model.naive_venue import NaiveVenue

RESTING = (int(TimeInForce.DAY), int(TimeInForce.GTC), int(TimeInForce.GTD))


class ComparedVenue:
    """One instrument at about 100, four accounts, two of them one owner's, one short of money."""

    def __init__(self, trigger: int, lot: int, position_limit_lots: int = 0) -> None:
        self.real, self.naive = DeskHarness(), NaiveVenue()
        self.lot = lot
        self.counts: Counter[str] = Counter()
        self.reasons: dict[UUID, int] = {}
        self.real.instrument(
            opened=False,
            tick=wire("0.5"),
            lot=lot,
            trigger_rule=trigger,
            collar_bps=3_300,
            reference_price=wire(100),
            max_order_qty=55 * lot,
            position_limit=position_limit_lots * lot,
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
        )
        self.accounts: list[UUID] = []
        for name, owner, cash in (("a", "a", 10**6), ("a2", "a", 10**6), ("b", "b", 10**6)):
            self._open_account(name, owner, Fraction(cash))
        self._open_account("poor", "poor", Fraction(5_000 * lot, 10**8) + Fraction(1, 100))
        self.real.open()
        self.naive.open("X")

    def _open_account(self, name: str, owner: str, cash: Fraction) -> None:
        amount, lots = int(cash * 100), 400 if name != "poor" else 10
        identifier = self.real.account(name, Fraction(amount, 100), owner)
        account = self.naive.accounts[identifier] = NaiveAccount(owner, amount)
        self.accounts.append(identifier)
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
    ) -> None:
        """An order whose terms fit each other; prices and quantities may still be refused."""
        stops = kind in (OrderType.STOP, OrderType.STOP_LIMIT)
        tif = int(TimeInForce.GTC) if stops and tif not in RESTING else tif
        command = PlaceOrder(
            self.accounts[who],
            "X",
            side,
            kind,
            tif,
            lots * self.lot,
            limit if kind in (OrderType.LIMIT, OrderType.STOP_LIMIT) else 0,
            stop if stops else 0,
            f"c{self.real.number}",
            self.real.at + life if tif == TimeInForce.GTD else 0,
            post_only,
            self_trade,
        )
        self.send_order(command)

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
    ) -> None:
        """New terms, mostly such as the order has; half of the others are refused for nothing."""
        if not self.naive.orders:
            return
        account_id, order = self._picked(pick)
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

    def _picked(self, pick: int) -> tuple[UUID, NaiveOrder]:
        choice = self.naive.working(lambda _: pick % 8 != 0) or self.naive.orders
        order = choice[pick % len(choice)]
        account_id = next(k for k, v in self.naive.accounts.items() if v is order.account)
        return account_id, order

    def id_of(self, order: NaiveOrder) -> UUID:
        """The real order's id."""
        return next(key for key, label in self.real.labels.items() if label == order.label)

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
        self.counts["auctions"] += bool(trades) and bool(reply.result) and "phase" in reply.result
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
            assert units(order.qty, 8) == real.qty
            assert order.reason == self.reasons.get(real.id, 0)
        self._check_accounts()
        for side in Side:
            assert [
                (order.label, units(order.limit, 4), units(order.leaves, 8))
                for order in self.naive.book(self.market, side)
            ] == self.real.book(side)
        desk = self.real.desk
        assert sorted(
            (order.side, units(order.stop, 4), order.label)
            for order in self.naive.stops(self.market)
        ) == sorted(
            (side, price, self.real.labels[desk.by_sequence[sequence].id])
            for side, price, sequence in desk.symbols["X"].stops.rows()
        )

    def _check_accounts(self) -> None:
        desk = self.real.desk
        instrument_id = desk.symbols["X"].instrument.id
        for account_id, account in self.naive.accounts.items():
            real = desk.accounts[account_id]
            assert (account.cash, account.unsettled, self.naive.held(account)) == (
                real.cash,
                real.unsettled,
                real.held,
            )
            position = desk.positions[account_id, instrument_id]
            assert units(self.naive.holding(account, self.market), 8) == position.qty
            assert units(self.naive.available(account, self.market), 8) == position.available


def units(value: Any, scale: int) -> int:
    """An exact fraction as the integer an event holds."""
    scaled = Fraction(value) * 10**scale
    assert scaled.denominator == 1
    return int(scaled)
