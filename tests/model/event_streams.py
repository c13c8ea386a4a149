"""Realistic event streams without a venue: a small book-keeper that only emits events.

It matches nothing and checks little; what it keeps is just enough for every event to carry
the values that a writer would put there. Streams of the same seed are equal.
"""

from __future__ import annotations

import random
from typing import Any
from uuid import UUID

from domain import events as ev
from domain.identifiers import HOUSE, VENUE, uuid7
from domain.money import QTY_UNIT, notional
from domain.terms import Ledger, Side
from tests.model.stream_rows import RESTRICTIONS, day_end_of
from tests.model.stream_states import (
    AccountState,
    InstrumentState,
    OrderState,
    PositionState,
    TradeState,
)

DECIMALS = 4
BEGIN = 1_763_625_600_000_000
"""2025-11-20T08:00:00Z."""
SESSION, VALUE_DATE = 20251120, 20251121
FEE = 1
"""Every side of a trade costs a cent, exactly."""
EXACT_CENT = 10**22


class EventStream:
    """Emits the events of whole commands; `events` holds all of them in log order."""

    def __init__(self, seed: int = 1, at: int = BEGIN) -> None:
        self.random = random.Random(seed)
        self.events: list[ev.DomainEvent] = []
        self.keys: list[tuple[UUID, str, int]] = []
        self.at = at
        self.accounts: list[AccountState] = []
        self.instruments: list[InstrumentState] = []
        self.working: list[OrderState] = []
        self.orders: list[OrderState] = []
        self.trades: list[TradeState] = []
        self._versions: dict[UUID, int] = {}
        self._command = 0
        self._index = 0
        self._correlation = HOUSE
        self._actor = ""
        self._sequence = 0

    # Commands

    def list_instrument(self, symbol: str, *, open_it: bool = True) -> InstrumentState:
        """One instrument, and its session when wanted."""
        self._begin("admin")
        instrument = InstrumentState(self._new_id(), symbol)
        self._emit(
            ev.InstrumentListed, instrument.id, symbol, f"{symbol} Inc.", "us_equity", "XNYS",
            DECIMALS, 100, QTY_UNIT, 1, 1000, 0, 0, 0, 1_000_000,
        )  # fmt: skip
        self.instruments.append(instrument)
        if open_it:
            self.open_instrument(instrument)
        return instrument

    def open_instrument(self, instrument: InstrumentState) -> None:
        """A session begins."""
        self._begin("timer")
        self._emit(
            ev.InstrumentOpened, instrument.id, SESSION, VALUE_DATE,
            self.at, self.at + 6 * 3_600_000_000, 0, 0,
        )  # fmt: skip

    def interrupt(self, instrument: InstrumentState) -> None:
        """A halt, a mark, and the resumption; then session and day end, and the next begin."""
        for kind, values in (
            (ev.InstrumentHalted, ("news",)),
            (ev.InstrumentMarked, (1_010_000,)),
            (ev.InstrumentResumed, (0, 0)),
            (ev.InstrumentTermsChanged, (instrument.symbol, "New name", 1, 900, 0, 0, 0)),
            (ev.InstrumentClosing, (0, 0)),
            (ev.InstrumentClosed, (SESSION, self._sequence, 1_010_000)),
        ):
            self._begin("admin")
            self._emit(kind, instrument.id, *values)
        for account in self.accounts:
            self._begin("timer")
            for kind, originator, values in day_end_of(account, instrument.id):
                self._emit(kind, originator, *values)
        self.open_instrument(instrument)

    def open_account(self, name: str, cash: int = 100_000_000) -> AccountState:
        """One account with cash in it."""
        self._begin("admin")
        account = AccountState(self._new_id())
        number = len(self.accounts) + 1
        self._emit(ev.AccountOpened, account.id, name, f"owner of {name}", number, number, 1, 0)
        self.accounts.append(account)
        if cash:
            self.move_cash(account, cash)
        return account

    def move_cash(self, account: AccountState, amount: int) -> None:
        """A deposit, or a withdrawal when negative."""
        self._begin("admin")
        account.cash += amount
        postings = (
            (account.id, int(Ledger.CASH), amount),
            (HOUSE, int(Ledger.FUNDING), -amount),
        )
        self._emit(
            ev.CashDeposited if amount > 0 else ev.CashWithdrawn, account.id,
            f"cash-{self._command}", b"f" * 16, amount, account.cash, "", postings,
        )  # fmt: skip

    def restrict(self, account: AccountState) -> None:
        """Another status, other rules, calls and kill switches, and a refused request."""
        for kind, values in RESTRICTIONS:
            self._begin("admin")
            self._emit(kind, account.id, *values)
        for engaged in (True, False):
            self._begin("admin")
            self._emit(ev.VenueKillSwitched, VENUE, engaged, "a drill")
        self._begin(str(account.id))
        self._emit(
            ev.RequestRefused, account.id, f"req-{self._command}", b"f" * 16, "cancel_order",
            str(HOUSE), "UNKNOWN_ORDER", "no such order", {"order_id": str(HOUSE)},
        )  # fmt: skip

    def transfer_in(self, account: AccountState, instrument: InstrumentState, qty: int) -> None:
        """Settled quantity from outside."""
        self._begin("admin")
        position = self._position(account, instrument)
        cost = notional(1_000_000, qty, DECIMALS)
        position.qty += qty
        position.settled += qty
        position.cost += cost
        self._emit(
            ev.PositionTransferred, position.id, account.id, instrument.id, f"tr-{self._command}",
            b"f" * 16, qty, cost, position.qty, position.settled, position.cost, "",
        )  # fmt: skip

    def place(
        self,
        account: AccountState,
        instrument: InstrumentState,
        side: int = 1,
        qty: int = 10 * QTY_UNIT,
        price: int = 1_000_000,
        stop: bool = False,
    ) -> OrderState:
        """One resting order; a stop is elected at once."""
        self._begin(str(account.id))
        order_id = self._new_id()
        self._sequence += 1
        order = OrderState(
            order_id, account, instrument, int(side), qty, price,
            f"client-{self._command}", order_id, self.at,
        )  # fmt: skip
        first = len(self.events) + 1
        if side == Side.BUY:
            order.hold = notional(price, qty, DECIMALS)
            account.held += order.hold
            self._emit(ev.MarginReserved, account.id, order_id, order.hold, account.held)
        else:
            position = self._position(account, instrument)
            order.hold_qty = qty
            position.reserved += qty
            self._emit(
                ev.QuantityReserved, position.id, account.id, instrument.id, order_id, qty,
                position.reserved,
            )  # fmt: skip
        self._emit(
            ev.OrderAccepted, order_id, account.id, instrument.id, instrument.symbol, order.side,
            4 if stop else 2, 1, qty, price, price if stop else 0, DECIMALS, 0, False, 1,
            order.client_order_id, b"f" * 16, order.revision_id, self._sequence, price,
            order.hold, order.hold_qty,
        )  # fmt: skip
        if stop:
            self._emit(
                ev.OrderTriggered,
                order_id,
                account.id,
                instrument.id,
                1,
                price,
                self._sequence,
                price,
            )
        self.keys.append((account.id, order.client_order_id, first))
        self.working.append(order)
        self.orders.append(order)
        return order

    def reject(self, account: AccountState, symbol: str = "NOPE") -> UUID:
        """An order that was refused."""
        self._begin(str(account.id))
        order_id = self._new_id()
        client_id = f"client-{self._command}"
        self.keys.append((account.id, client_id, len(self.events) + 1))
        self._emit(
            ev.OrderRejected, order_id, account.id, HOUSE, symbol, 1, 2, 1, QTY_UNIT,
            100_000_000_000, 0, client_id, b"f" * 16, "UNKNOWN_INSTRUMENT",
            f"no instrument {symbol}", {"symbol": symbol},
        )  # fmt: skip
        return order_id

    def replace(self, order: OrderState, qty: int, price: int) -> UUID:
        """New terms; returns the new revision's id."""
        self._begin(str(order.account.id))
        replaced, order.revision_id = order.revision_id, self._new_id()
        order.qty, order.price = qty, price
        order.client_order_id = f"client-{self._command}"
        self.keys.append((order.account.id, order.client_order_id, len(self.events) + 1))
        self._emit(
            ev.OrderReplaced, order.id, order.account.id, order.instrument.id, order.revision_id,
            replaced, order.client_order_id, b"f" * 16, order.client_order_id,
            order.instrument.symbol, order.side, 2, 1, qty, price, 0, DECIMALS, 0, False,
            order.filled, str(order.value), order.leaves, self._sequence, price, False,
            order.hold, order.hold_qty, order.submitted_at,
        )  # fmt: skip
        return order.revision_id

    def cancel(self, order: OrderState, *, expire: bool = False) -> None:
        """The end of a working order."""
        self._begin("timer" if expire else str(order.account.id))
        leaves = order.leaves
        where = (order.id, order.account.id, order.instrument.id)
        if expire:
            self._emit(ev.OrderExpired, *where, order.side, leaves, order.filled)
        else:
            self._emit(
                ev.OrderCanceled, *where, f"cancel-{self._command}", b"f" * 16, 1, order.side,
                leaves, order.filled,
            )  # fmt: skip
        if order.hold:
            order.account.held -= order.hold
            self._emit(
                ev.MarginReleased, order.account.id, order.id, order.hold, order.account.held
            )
        if order.hold_qty:
            position = self._position(order.account, order.instrument)
            position.reserved -= order.hold_qty
            self._emit(
                ev.QuantityReleased, position.id, order.account.id, order.instrument.id, order.id,
                order.hold_qty, position.reserved,
            )  # fmt: skip
        order.hold = order.hold_qty = 0
        self.working.remove(order)

    def trade(self, buy: OrderState, sell: OrderState, qty: int, *, aggressor: int = 1) -> UUID:
        """A trade between two working orders at the resting one's price."""
        taker = buy if aggressor == Side.BUY else sell
        maker = sell if taker is buy else buy
        self._begin(str(taker.account.id))
        trade = TradeState(self._new_id(), buy, sell, qty, maker.price)
        for order in (maker, taker):
            self._fill(order, trade, 2 if order is taker else 1)
        for order in (maker, taker):
            self._book(order, trade)
        self.trades.append(trade)
        for order in (maker, taker):
            if order.leaves == 0:
                self.working.remove(order)
        return trade.id

    def bust(self, trade: TradeState) -> None:
        """Both sides of a trade undone."""
        self._begin("admin")
        self._reverse(trade, "bust")
        for order in (trade.buy, trade.sell):
            order.filled -= trade.qty
            order.value -= trade.price * trade.qty
            order.trades -= 1
            charged = str(order.trades * EXACT_CENT)
            self._emit(
                ev.OrderFillBusted, order.id, order.account.id, order.instrument.id, trade.id,
                order.side, trade.qty, trade.price, DECIMALS, order.filled, str(order.value),
                charged, charged,
            )  # fmt: skip
        self.trades.remove(trade)

    def correct(self, trade: TradeState, price: int) -> None:
        """Another price for a trade: reversed at the old one, booked at the new one."""
        self._begin("admin")
        self._reverse(trade, "correct")
        old, trade.price = trade.price, price
        for order in (trade.buy, trade.sell):
            order.value += (price - old) * trade.qty
            self._emit(
                ev.OrderFillCorrected, order.id, order.account.id, order.instrument.id, trade.id,
                order.side, trade.qty, price, DECIMALS, old,
                notional(price, trade.qty, DECIMALS), str(order.value), FEE, str(EXACT_CENT),
                *[str(order.trades * EXACT_CENT)] * 2,
            )  # fmt: skip
            order.released = 0
            self._book(order, trade)

    def settle(self, account: AccountState, instrument: InstrumentState) -> None:
        """What an account's trades of an instrument come to: first it fails, then it settles."""
        due = account.due.pop(instrument.id, None)
        if due is None:
            return
        position = self._position(account, instrument)
        qty, amount = due.bought_qty - due.sold_qty, due.sold_amount - due.bought_amount
        settlement_id = self._new_id()
        self._begin("timer")
        where = (account.id, instrument.id, VALUE_DATE, VALUE_DATE, qty, amount)
        self._emit(ev.SettlementFailed, settlement_id, *where, 1, "AWAITING_DELIVERY")
        self._begin("timer")
        instrument.pool -= qty
        self._emit(
            ev.SettlementSettled, settlement_id, *where, 2, due.bought_qty, due.sold_qty,
            due.bought_amount, due.sold_amount, instrument.pool, 1,
        )  # fmt: skip
        account.cash += amount
        account.unsettled -= amount
        account.receivable -= due.sold_amount
        postings = (
            (account.id, int(Ledger.CASH), amount),
            (account.id, int(Ledger.PAYABLE), due.bought_amount),
            (account.id, int(Ledger.RECEIVABLE), -due.sold_amount),
        )
        self._emit(
            ev.AccountSettled, account.id, settlement_id, instrument.id, VALUE_DATE, amount,
            account.cash, account.unsettled, account.receivable, 0, postings,
        )  # fmt: skip
        position.settled += qty
        self._emit(
            ev.PositionSettled, position.id, account.id, instrument.id, settlement_id, VALUE_DATE,
            qty, position.settled, 0,
        )  # fmt: skip

    # Random life

    def some_market(self, accounts: int = 3, instruments: int = 2) -> EventStream:
        """Accounts with cash and shares, and open instruments."""
        for number in range(instruments):
            self.list_instrument(f"SYM{number}")
        for number in range(accounts):
            account = self.open_account(f"account {number}")
            for instrument in self.instruments:
                self.transfer_in(account, instrument, 10_000 * QTY_UNIT)
        return self

    def some_commands(self, count: int) -> EventStream:
        """Commands in the proportions of a lively market, with every rare thing among them."""
        for _ in range(count):
            self._some_command(self.random.random())
        return self

    def _some_command(self, luck: float) -> None:
        pick = self.random
        account, instrument = pick.choice(self.accounts), pick.choice(self.instruments)
        order = pick.choice(self.working) if self.working else None
        qty = pick.randint(1, 50) * QTY_UNIT
        price = 1_000_000 + pick.randint(-50, 50) * 100
        if order is None or luck < 0.5:
            self.place(account, instrument, pick.choice((1, 2)), qty, price, luck < 0.03)
        elif luck < 0.75:
            self.cancel(order, expire=luck < 0.53)
        elif luck < 0.93:
            aggressor = pick.choice((1, 2))
            other = self.place(pick.choice(self.accounts), order.instrument, 3 - order.side, qty)
            buy, sell = (order, other) if order.side == Side.BUY else (other, order)
            self.trade(buy, sell, min(buy.leaves, sell.leaves), aggressor=aggressor)
        elif luck < 0.96:
            self.replace(order, order.filled + qty, price)
        elif luck < 0.97:
            self.reject(account)
        elif luck < 0.98 and self.trades:
            self.bust(pick.choice(self.trades))
        elif luck < 0.99 and self.trades:
            self.correct(pick.choice(self.trades), price)
        elif luck < 0.992:
            self.restrict(account)
        elif luck < 0.995:
            self.settle(account, instrument)
        elif luck < 0.997:
            self.interrupt(instrument)
        else:
            self.move_cash(account, pick.choice((-100, 500)))

    # Parts of commands

    def _fill(self, order: OrderState, trade: TradeState, liquidity: int) -> None:
        order.filled += trade.qty
        order.value += trade.price * trade.qty
        order.trades += 1
        if order.side == Side.BUY:
            order.released = (
                order.hold if order.leaves == 0 else order.hold * trade.qty // order.qty
            )
            order.hold -= order.released
            order.account.held -= order.released
        else:
            order.hold_qty -= trade.qty
        self._emit(
            ev.OrderFilled, order.id, order.account.id, order.instrument.id, trade.id, order.side,
            trade.qty, trade.price, DECIMALS, notional(trade.price, trade.qty, DECIMALS), FEE,
            liquidity, SESSION, VALUE_DATE, order.filled, order.leaves, str(order.value),
            order.hold, order.hold_qty, 2 if order.leaves == 0 else 1, 1, str(EXACT_CENT),
            *[str(order.trades * EXACT_CENT)] * 2,
        )  # fmt: skip

    def _owe(self, order: OrderState, trade: TradeState, way: int) -> tuple[tuple[Any, ...], ...]:
        """Add a side of a trade up, or take it out again; its postings."""
        account, amount = order.account, way * notional(trade.price, trade.qty, DECIMALS)
        fee, due = way * FEE, account.due[order.instrument.id]
        account.trades += way
        house = (HOUSE, int(Ledger.COMMISSION), fee)
        if order.side == Side.BUY:
            account.unsettled -= amount + fee
            due.bought_qty += way * trade.qty
            due.bought_amount += amount + fee
            mine = (account.id, int(Ledger.PAYABLE), -amount - fee)
            return mine, (HOUSE, int(Ledger.CLEARING), amount), house
        account.unsettled += amount - fee
        account.receivable += amount - fee
        due.sold_qty += way * trade.qty
        due.sold_amount += amount - fee
        mine = (account.id, int(Ledger.RECEIVABLE), amount - fee)
        return mine, (HOUSE, int(Ledger.CLEARING), -amount), house

    def _book(self, order: OrderState, trade: TradeState) -> None:
        account, amount = order.account, notional(trade.price, trade.qty, DECIMALS)
        postings = self._owe(order, trade, 1)
        account.traded += trade.qty
        self._emit(
            ev.TradeBooked, account.id, order.instrument.id, order.id, trade.id, order.side,
            trade.qty, trade.price, DECIMALS, amount, FEE, SESSION, VALUE_DATE, account.cash,
            account.unsettled, account.held, postings, account.receivable, 0, order.released,
            str(account.trades * EXACT_CENT), account.trades, account.traded,
        )  # fmt: skip
        position = self._position(account, order.instrument)
        bought = order.side == Side.BUY
        position.qty += trade.qty if bought else -trade.qty
        position.reserved -= trade.qty if not bought else 0
        position.cost += amount if bought else -amount
        self._emit(
            ev.PositionTraded, position.id, account.id, order.instrument.id, order.id, trade.id,
            order.side, trade.qty, trade.price, DECIMALS, 0, position.qty, position.settled,
            position.reserved, position.cost, position.realized,
        )  # fmt: skip

    def _reverse(self, trade: TradeState, reason: str) -> None:
        amount = notional(trade.price, trade.qty, DECIMALS)
        for order in (trade.buy, trade.sell):
            account = order.account
            postings = self._owe(order, trade, -1)
            self._emit(
                ev.TradeReversed, account.id, order.instrument.id, order.id, trade.id, reason,
                order.side, trade.qty, trade.price, DECIMALS, amount, FEE, account.cash,
                account.unsettled, postings, account.receivable, 0,
                str(account.trades * EXACT_CENT), account.trades, VALUE_DATE,
            )  # fmt: skip
            position = self._position(account, order.instrument)
            bought = order.side == Side.BUY
            position.qty -= trade.qty if bought else -trade.qty
            position.cost -= amount if bought else -amount
            self._emit(
                ev.PositionReversed, position.id, account.id, order.instrument.id, order.id,
                trade.id,
                reason, order.side, trade.qty, 0, position.qty, position.settled, position.cost,
                position.realized,
            )  # fmt: skip

    def _position(self, account: AccountState, instrument: InstrumentState) -> PositionState:
        position = account.positions.get(instrument.id)
        if position is None:
            position = account.positions[instrument.id] = PositionState(self._new_id())
            self._emit(ev.PositionOpened, position.id, account.id, instrument.id)
        return position

    def _begin(self, actor: str) -> None:
        self.at += self.random.randint(1, 5_000)
        self._command += 1
        self._index = 0
        self._correlation = uuid7(self.at, 0, self._command, 0)
        self._actor = actor

    def _new_id(self) -> UUID:
        self._index += 1
        return uuid7(self.at, 0, self._command, self._index)

    def _emit(self, kind: type[ev.DomainEvent], originator: UUID, *values: Any) -> None:
        version = self._versions[originator] = self._versions.get(originator, 0) + 1
        self.events.append(
            kind(
                originator, version, self.at, 0, self._actor, "test", self._correlation, 0, *values
            )
        )
