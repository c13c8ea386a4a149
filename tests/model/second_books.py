"""What all events of a desk add up to, kept by plain addition, and compared with the desk."""

from __future__ import annotations

from collections import defaultdict
from fractions import Fraction
from math import ceil
from typing import Any
from uuid import UUID

from application.desk.desk import Desk
from domain.events import (
    AccountOpened,
    AccountSettled,
    CommissionScheduleSet,
    DomainEvent,
    InstrumentListed,
    OrderAccepted,
    OrderAdjusted,
    OrderCanceled,
    OrderExpired,
    OrderFillBusted,
    OrderFillCorrected,
    OrderFilled,
    OrderReplaced,
    TradeBooked,
    TradeReversed,
)
from domain.identifiers import HOUSE
from domain.terms import AccountKind, DueAs, Ledger, OrderStatus, Side

Key = tuple[UUID, UUID, int]
"""Account, instrument, value date."""
EXACT_CENT = 10**22


def cents(exact: Fraction | int) -> int:
    """Half to even."""
    return round(Fraction(exact) / EXACT_CENT)


class Line:
    """An order in the second books: what is left of it, and what it holds."""

    def __init__(self, event: OrderAccepted) -> None:
        self.account_id, self.instrument_id, self.side = (
            event.account_id,
            event.instrument_id,
            event.side,
        )
        self.qty = self.leaves = event.qty
        self.hold, self.hold_qty, self.status = event.hold, event.hold_qty, event.status
        self.filled = self.gone = self.commission = 0

    @property
    def counts(self) -> bool:
        """Whether it works and is not held back by another order of its group."""
        return self.leaves > 0 and self.status != OrderStatus.HELD

    def traded(self, qty: int) -> None:
        """What reduces the position trades first; the hold is for the rest, in proportion."""
        exits = min(qty, self.hold_qty)
        before = self.leaves - self.hold_qty
        self.leaves, self.hold_qty, self.filled = (
            self.leaves - qty,
            self.hold_qty - exits,
            self.filled + qty,
        )
        after = self.leaves - self.hold_qty
        self.hold = ceil(Fraction(self.hold * after, before)) if before else self.hold


class Owed:
    """The trades of one account, instrument and value date."""

    def __init__(self, since: int) -> None:
        self.since = since
        self.bought = self.sold = self.unpaid = self.unpaid_for = 0
        self.takes = self.take_cost = self.brings = self.bring_cost = 0

    def add(self, event: TradeBooked | TradeReversed, sign: int, gives: Fraction) -> None:
        """Its quantity, and 1e-24 dollars that it `gives` and costs."""
        cost, exact = sign * int(event.commission), int(gives * 10**24)
        if event.side == Side.BUY:
            self.bought += sign * event.qty
        else:
            self.sold += sign * event.qty
        if event.due == DueAs.PAYABLE:
            self.takes, self.take_cost = self.takes - exact, self.take_cost + cost
        else:
            self.brings, self.bring_cost = self.brings + exact, self.bring_cost + cost
        if event.unpaid_qty:
            self.unpaid += sign * event.unpaid_qty
            self.unpaid_for += sign * (event.notional + event.fee)

    def row(self) -> list[object]:
        return [
            str(self.bought),
            0,
            str(self.sold),
            0,
            self.unpaid,
            self.unpaid_for,
            self.since,
            *map(str, (self.takes, self.take_cost, self.brings, self.bring_cost)),
        ]


class SecondBooks:
    """Takes every event once, in order."""

    def __init__(self) -> None:
        self.ledger: defaultdict[tuple[UUID, int], int] = defaultdict(int)
        self.orders: dict[UUID, Line] = {}
        self.owed: dict[Key, Owed] = {}
        self.pays_whole_price: dict[UUID, bool] = {}
        self.fills: dict[tuple[UUID, UUID], Fraction] = {}
        """What each trade that stands brought its account in dollars, by order and trade."""
        self.traded: defaultdict[UUID, Fraction] = defaultdict(Fraction)
        self.multipliers: dict[UUID, int] = {}

    def take(self, event: DomainEvent) -> None:
        """Add one event up."""
        postings = getattr(event, "postings", ())
        assert 0 == sum(amount for _, _, amount in postings)
        for party, ledger, amount in postings:
            self.ledger[party, ledger] += amount
        if isinstance(event, InstrumentListed):
            self.multipliers[event.originator_id] = event.multiplier
        if isinstance(event, TradeBooked):
            units = event.qty * self.multipliers[event.instrument_id]
            worth = Fraction(event.price * units, 10 ** (event.price_decimals + 8))
            trade = event.order_id, event.trade_id
            gives = self.fills[trade] = -worth if event.side == Side.BUY else worth
        elif isinstance(event, TradeReversed):
            gives = -self.fills.pop((event.order_id, event.trade_id))
        if isinstance(event, TradeBooked | TradeReversed):
            self.traded[event.originator_id] += gives
            key = (event.originator_id, event.instrument_id, event.value_date)
            owed = self.owed.setdefault(key, Owed(event.at))
            owed.add(event, 1 if isinstance(event, TradeBooked) else -1, gives)
        elif isinstance(event, AccountSettled):
            del self.owed[event.originator_id, event.instrument_id, event.value_date]
        elif isinstance(event, OrderAccepted):
            self.orders[event.originator_id] = Line(event)
            self._check_new_hold(event)
        elif event.originator_id in self.orders:
            self._follow(self.orders[event.originator_id], event)
        elif isinstance(event, AccountOpened):
            self.pays_whole_price[event.originator_id] = event.kind == AccountKind.CASH
        elif isinstance(event, CommissionScheduleSet):
            # What commissions add to a hold is for others to know.
            self.pays_whole_price[event.originator_id] = False

    def _follow(self, line: Line, event: Any) -> None:
        if isinstance(event, OrderFilled):
            line.traded(event.qty)
            assert (line.leaves, line.hold, line.hold_qty, line.filled) == (
                event.leaves_after,
                event.hold_after,
                event.hold_qty_after,
                event.filled_after,
            )
            line.status, line.commission = event.status_after, int(event.commission_after)
        elif isinstance(event, OrderReplaced):
            line.qty, line.leaves, line.gone = event.qty, event.leaves_after, 0
            line.hold, line.hold_qty = event.hold_after, event.hold_qty_after
            self._check_new_hold(event)
        elif isinstance(event, OrderAdjusted):
            line.qty, line.leaves, line.status = event.qty, event.leaves_after, event.status_after
            line.hold, line.hold_qty = event.hold_after, event.hold_qty_after
        elif isinstance(event, OrderCanceled | OrderExpired):
            line.leaves = line.hold = line.hold_qty = 0
        elif isinstance(event, OrderFillBusted):
            line.filled -= event.qty
            line.gone += event.qty
            line.commission = int(event.commission_after)
        elif isinstance(event, OrderFillCorrected):
            line.commission = int(event.commission_after)

    def _check_new_hold(self, event: OrderAccepted | OrderReplaced) -> None:
        """Without commissions, a cash account holds the price of what opens, to the next cent,
        and one more.
        """
        line = self.orders[event.originator_id]
        price = Fraction(event.working_price, 10**event.price_decimals)
        price *= self.multipliers[event.instrument_id]
        cost = ceil(price * Fraction(line.leaves - line.hold_qty, 10**8) * 100)
        cost += line.leaves > line.hold_qty
        if line.status == OrderStatus.HELD or event.notional:
            # One for an amount is over in the command that takes it.
            assert 0 == line.hold == line.hold_qty
        elif self.pays_whole_price[event.account_id]:
            # What waits beside the other leg of its group holds nothing of its own.
            assert line.hold == cost or event.group_id != HOUSE
        assert 0 <= line.hold_qty <= line.leaves

    def check(self, desk: Desk) -> None:
        """Every order, account, position and obligation is what the events say."""
        assert 0 == sum(self.ledger.values())
        working = {order.id: order for order in desk.orders.working.values()}
        assert {key for key, line in self.orders.items() if line.leaves} == set(working)
        for identifier, order in working.items():
            line = self.orders[identifier]
            assert order.is_working
            assert line.qty == line.filled + line.gone + line.leaves
            assert (line.qty, line.filled, line.leaves, line.hold, line.hold_qty, line.status) == (
                order.qty,
                order.filled,
                order.leaves,
                order.hold,
                order.hold_qty,
                order.status,
            )
            if line.status == OrderStatus.HELD:
                assert 0 == line.hold == line.hold_qty
        self._check_accounts(desk)
        self._check_positions(desk)
        assert {key: owed.row() for key, owed in self.owed.items()} == {
            tuple(key): owed.state() for key, owed in desk.accounts.obligations.items()
        }

    def _check_accounts(self, desk: Desk) -> None:
        held: defaultdict[UUID, int] = defaultdict(int)
        charged: defaultdict[UUID, int] = defaultdict(int)
        still: defaultdict[UUID, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
        unpaid: defaultdict[UUID, int] = defaultdict(int)
        for line in self.orders.values():
            held[line.account_id] += line.hold
            charged[line.account_id] += line.commission
        for (account_id, _, _), owed in self.owed.items():
            sums = (owed.takes, owed.take_cost, owed.brings, owed.bring_cost)
            still[account_id] = list(map(sum, zip(still[account_id], sums, strict=True)))
            unpaid[account_id] += owed.unpaid_for
        posted = rounded = 0
        for account in desk.accounts.by_id.values():
            one = account.id
            takes, take_cost, brings, bring_cost = still[one]
            settled = self.traded[one] * 10**24 + takes - brings
            charge = charged[one] - take_cost - bring_cost
            now = cents(settled) - cents(charge)
            least = cents(settled - takes) - cents(charge + take_cost)
            receivable = cents(settled - takes + brings) - cents(charged[one]) - least
            assert held[one] == account.held
            assert self.ledger[one, Ledger.CASH] == account.cash
            assert self.ledger[one, Ledger.RECEIVABLE] == receivable == account.receivable
            assert -self.ledger[one, Ledger.PAYABLE] == now - least == account.payable
            assert receivable - (now - least) == account.unsettled
            assert unpaid[one] == account.unpaid
            assert charged[one] == account.commission
            assert round(Fraction(charged[one], EXACT_CENT)) == account.commissions
            posted += account.commissions
            assert self.traded[one] * 10**24 == account.traded_value
            rounded -= round(self.traded[one] * 100)
        assert posted == self.ledger[HOUSE, Ledger.COMMISSION]
        assert rounded == self.ledger[HOUSE, Ledger.ROUNDING]
        assert 2 * abs(rounded) <= len(desk.accounts.by_id)
        assert 0 == self.ledger[HOUSE, Ledger.CLEARING]

    def _check_positions(self, desk: Desk) -> None:
        reserved: defaultdict[tuple[UUID, UUID], int] = defaultdict(int)
        working: defaultdict[tuple[UUID, UUID, int], int] = defaultdict(int)
        due: defaultdict[tuple[UUID, UUID], int] = defaultdict(int)
        unpaid: defaultdict[tuple[UUID, UUID], int] = defaultdict(int)
        for line in self.orders.values():
            reserved[line.account_id, line.instrument_id] += line.hold_qty
            if line.counts:
                working[line.account_id, line.instrument_id, line.side] += line.leaves
        for (account_id, instrument_id, _), owed in self.owed.items():
            due[account_id, instrument_id] += owed.bought - owed.sold
            unpaid[account_id, instrument_id] += owed.unpaid
        for position in desk.accounts.positions.values():
            place = position.account_id, position.instrument_id
            exits = max(0, position.qty - unpaid[place], -position.qty)
            assert reserved[place] == position.reserved <= exits
            assert working[*place, int(Side.BUY)] == position.working_buys
            assert working[*place, int(Side.SELL)] == position.working_sells
            assert position.settled + due[place] == position.qty
            assert unpaid[place] == position.unpaid
