"""A small bookkeeper who adds up raw trades in fractions and knows no arithmetic of the venue.

It reads what was traded, paid in and given back, and what each account's schedule says; every
amount, commission, cost and profit it works out again. What events say they lead to it skips.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from fractions import Fraction
from typing import Any, NamedTuple
from uuid import UUID

from application.log.ports import Recorded
from application.rehearsal.simulated_day.statements import (
    INCOME,
    MONEY,
    POOL,
    ROUNDED,
    SHARES,
    Line,
    Statement,
)
from domain import events as e
from domain.events import DomainEvent
from domain.identifiers import HOUSE, NO_ID

_BUY, _ADDED, _PER_SHARE, _BPS = 1, 1, 1, 2
_SHARE = Fraction(1, 10**8)
_PER_SHARE_RATE = Fraction(1, 10**9)
_BPS_RATE = Fraction(1, 10**7)
_ZERO = Fraction(0)


def _to_the_cent(dollars: Fraction) -> Fraction:
    """Round half to even."""
    return Fraction(round(dollars * 100), 100)


def _to_the_last(dollars: Fraction) -> Fraction:
    """Round half to even at the last place that costs are kept with."""
    return Fraction(round(dollars * 10**24), 10**24)


class _Account:
    """Dollars, but for the month's quantity; `exact` is the commission before rounding.

    `brought` is what all trades brought less what they took, `moved` that to the cent. `paid_in`
    is what came otherwise; `settled` is what trades brought in cash, `cost` what they cost of it.
    """

    def __init__(self) -> None:
        self.paid_in = self.posted = self.exact = self.brought = self.moved = _ZERO
        self.settled = self.cost = _ZERO
        self.schedule: tuple[int, tuple[tuple[int, int, int], ...], int, int] = (0, (), 0, 0)
        self.month = 0
        self.month_qty = 0

    def charge(self, more: Fraction) -> None:
        """All that is posted is all that is charged, to the cent."""
        self.exact += more
        self.posted = _to_the_cent(self.exact)

    def exchange(self, dollars: Fraction) -> None:
        """The same of what trades bring, signed as the account sees it."""
        self.brought += dollars
        self.moved = _to_the_cent(self.brought)


class _Order:
    """What its fills ask for, what they are worth, and what is charged for them."""

    def __init__(self) -> None:
        self.asked = self.value = self.charged = _ZERO


class _Fill:
    """One side of a trade as it stands now."""

    def __init__(
        self, event: e.OrderFilled, asked: Fraction, price: Fraction, *, proportional: bool
    ) -> None:
        self.event = event
        self.proportional = proportional
        self.asked = asked
        self.price = price
        self.qty = event.qty * _SHARE
        self.units = self.qty * event.multiplier

    @property
    def worth(self) -> Fraction:
        return self.price * self.units


class _Holding:
    """Shares and dollars of one account in one instrument."""

    def __init__(self) -> None:
        self.qty = self.settled = self.cost = self.realized = _ZERO

    def trade(self, qty: Fraction, paid: Fraction) -> None:
        """Exchange signed quantity for signed dollars; what closes is realized pro rata."""
        if self.qty * qty >= 0:
            self.qty += qty
            self.cost += paid
            return
        closed = min(abs(qty), abs(self.qty))
        paid_to_close = paid * closed / abs(qty)
        basis = _to_the_last(self.cost * closed / abs(self.qty))
        self.realized -= paid_to_close + basis
        self.cost += paid - paid_to_close - basis
        self.qty += qty


class _Due:
    """What settles together: shares to receive, dollars that purchases take and sales bring,
    and what each of them costs.
    """

    def __init__(self) -> None:
        self.shares = self.takes = self.take_cost = self.brings = self.bring_cost = _ZERO


class _Place(NamedTuple):
    """The value date a trade is booked under, and whether it comes after its settlement."""

    value_date: int
    late: bool


class ExactBooks:
    """All accounts and holdings from the events' raw facts."""

    def __init__(self) -> None:
        self._accounts: dict[UUID, _Account] = {}
        self._holdings: dict[tuple[UUID, UUID], _Holding] = {}
        self._orders: dict[UUID, _Order] = {}
        self._fills: dict[tuple[UUID, UUID], _Fill] = {}
        self._due: dict[tuple[UUID, UUID, int], _Due] = {}
        self._pool: dict[UUID, Fraction] = {}
        self._today: dict[UUID, int] = {}
        self._options: dict[UUID, e.InstrumentListed] = {}
        self._expired: dict[UUID, e.InstrumentExpired] = {}
        self._handlers: dict[type[DomainEvent], Callable[[Any], None]] = {
            e.CashDeposited: self._cash,
            e.CashWithdrawn: self._cash,
            e.FeeCharged: self._cash,
            e.CommissionScheduleSet: self._schedule,
            e.PositionTransferred: self._transferred,
            e.InstrumentListed: self._listed,
            e.InstrumentExpired: self._is_over,
            e.InstrumentOpened: self._opened,
            e.OrderFilled: self._filled,
            e.OrderFillBusted: self._busted,
            e.OrderFillCorrected: self._corrected,
            e.PositionExpired: self._ended,
            e.SettlementSettled: self._settled,
        }

    def take(self, recorded: Iterable[Recorded]) -> None:
        """Take in events, in order."""
        handlers = self._handlers
        for _, event in recorded:
            handler = handlers.get(type(event))
            if handler is not None:
                handler(event)

    def statement(self) -> Statement:
        """What the books say, in the units of statements."""
        lines: dict[Line, int | Fraction] = {}
        for account_id, account in self._accounts.items():
            told = self._money(account_id, account)
            for what, dollars in zip(MONEY, told, strict=True):
                lines[Line(account_id, NO_ID, what)] = dollars * 100
        for key, held in self._holdings.items():
            shares = (held.qty / _SHARE, held.settled / _SHARE, held.cost * 100)
            for what, amount in zip(SHARES, (*shares, held.realized * 100), strict=True):
                lines[Line(*key, what)] = amount
        for instrument_id, qty in self._pool.items():
            lines[Line(HOUSE, instrument_id, POOL)] = qty / _SHARE
        income = sum((account.posted for account in self._accounts.values()), _ZERO)
        lines[Line(HOUSE, NO_ID, INCOME)] = income * 100
        moved = sum((account.moved for account in self._accounts.values()), _ZERO)
        lines[Line(HOUSE, NO_ID, ROUNDED)] = -moved * 100
        return Statement("raw trades", frozenset({*MONEY, *SHARES, POOL, INCOME, ROUNDED}), lines)

    def _money(self, account_id: UUID, account: _Account) -> tuple[Fraction, ...]:
        """Cash, receivable, payable and commission: what all settled purchases would leave of
        cash tells the payable, and the receivable is what then comes to all there is.
        """
        mine = [due for (owner, _, _), due in self._due.items() if owner == account_id]
        takes = sum((due.takes for due in mine), _ZERO)
        costs = sum((due.take_cost for due in mine), _ZERO)
        cash = _to_the_cent(account.settled) - _to_the_cent(account.cost)
        least = _to_the_cent(account.settled - takes) - _to_the_cent(account.cost + costs)
        everything = account.moved - account.posted
        return account.paid_in + cash, everything - least, cash - least, account.posted

    # Facts

    def _cash(self, event: e.CashMoved) -> None:
        self._account(event.originator_id).paid_in += Fraction(event.amount, 100)

    def _schedule(self, event: e.CommissionScheduleSet) -> None:
        terms = (event.kind, event.tiers, event.minimum, event.cap_bps)
        self._account(event.originator_id).schedule = terms

    def _transferred(self, event: e.PositionTransferred) -> None:
        held = self._holding(event.account_id, event.instrument_id)
        held.qty += event.qty * _SHARE
        held.settled += event.qty * _SHARE
        held.cost += Fraction(event.cost, 100)

    def _listed(self, event: e.InstrumentListed) -> None:
        self._options[event.originator_id] = event

    def _is_over(self, event: e.InstrumentExpired) -> None:
        self._expired[event.originator_id] = event

    def _ended(self, event: e.PositionExpired) -> None:
        """Contracts go for nothing; what is called on changes hands at the strike."""
        option, over = self._options[event.instrument_id], self._expired[event.instrument_id]
        contracts = event.qty * _SHARE
        holding = self._holding(event.account_id, event.instrument_id)
        holding.trade(-contracts, _ZERO)
        holding.settled -= contracts
        if event.trade_id == NO_ID:
            return
        shares = contracts * option.multiplier * (1 if option.right else -1)
        worth = shares * Fraction(option.strike, 10**9)
        key = event.account_id, option.underlying_id, over.value_date
        due = self._due.setdefault(key, _Due())
        due.shares += shares
        if shares > 0:
            due.takes += worth
        else:
            due.brings -= worth
        self._account(event.account_id).exchange(-worth)
        self._holding(event.account_id, option.underlying_id).trade(shares, worth)

    def _opened(self, event: e.InstrumentOpened) -> None:
        self._today[event.originator_id] = event.value_date

    def _filled(self, event: e.OrderFilled) -> None:
        account = self._account(event.account_id)
        price = Fraction(event.price, 10**event.price_decimals)
        month = event.session_date // 100
        if account.month != month:
            account.month, account.month_qty = month, 0
        asked = _asked(account, event, price * event.multiplier)
        account.month_qty += event.qty
        fill = _Fill(event, asked, price, proportional=account.schedule[0] == _BPS)
        self._fills[event.trade_id, event.originator_id] = fill
        order = self._orders.setdefault(event.originator_id, _Order())
        order.asked += asked
        order.value += price * fill.units
        more = self._settle_commission(account, order, fill)
        self._book(fill, _Place(event.value_date, False), 1, more)

    def _busted(self, event: e.OrderFillBusted) -> None:
        fill = self._fills.pop((event.trade_id, event.originator_id))
        order = self._orders[event.originator_id]
        order.asked -= fill.asked
        order.value -= fill.price * fill.units
        most = max(order.charged, order.asked)
        more = self._settle_commission(self._account(event.account_id), order, fill, most)
        self._book(fill, self._place(fill, _ZERO), -1, more)

    def _corrected(self, event: e.OrderFillCorrected) -> None:
        fill = self._fills[event.trade_id, event.originator_id]
        price = Fraction(event.price, 10**event.price_decimals)
        order = self._orders[event.originator_id]
        place = self._place(fill, price)
        self._book(fill, place, -1, _ZERO)
        if fill.proportional:
            order.asked += fill.asked * price / fill.price - fill.asked
            fill.asked = fill.asked * price / fill.price
        order.value += (price - fill.price) * fill.units
        fill.price = price
        more = self._settle_commission(self._account(event.account_id), order, fill)
        self._book(fill, place, 1, more)

    def _settled(self, event: e.SettlementSettled) -> None:
        key = event.account_id, event.instrument_id, event.value_date
        due = self._due.pop(key)
        account = self._account(event.account_id)
        account.settled += due.brings - due.takes
        account.cost += due.take_cost + due.bring_cost
        self._holding(event.account_id, event.instrument_id).settled += due.shares
        pool = self._pool.get(event.instrument_id, _ZERO)
        self._pool[event.instrument_id] = pool - due.shares

    # Arithmetic

    def _settle_commission(
        self, account: _Account, order: _Order, fill: _Fill, most: Fraction | None = None
    ) -> Fraction:
        """Charge, or give back, what the order now costs beyond what is charged; returns it.

        `most` is what a bust may leave it to cost.
        """
        _, _, minimum, cap_bps = account.schedule
        costs = order.asked if order.value else _ZERO
        if order.value and minimum:
            costs = max(costs, Fraction(minimum, 100))
        if order.value and cap_bps:
            costs = min(costs, order.value * Fraction(cap_bps, 10_000))
        if fill.event.side != _BUY:
            costs = min(costs, order.value)
        if most is not None:
            costs = min(costs, most)
        more = costs - order.charged
        order.charged = costs
        account.charge(more)
        return more

    def _book(self, fill: _Fill, place: _Place, times: int, cost: Fraction) -> None:
        """Book a side of a trade (times 1) or take it out again (-1), with what that costs."""
        event = fill.event
        account = self._account(event.account_id)
        key = event.account_id, event.instrument_id, place.value_date
        due = self._due.setdefault(key, _Due())
        held = self._holding(event.account_id, event.instrument_id)
        bought = event.side == _BUY
        way = times if bought else -times
        worth, qty = way * fill.worth, way * fill.qty
        account.exchange(-worth)
        due.shares += qty
        if bought != place.late:
            due.takes += worth
            due.take_cost += cost
        else:
            due.brings -= worth
            due.bring_cost += cost
        held.trade(qty, worth)

    def _place(self, fill: _Fill, price: Fraction) -> _Place:
        """Where a trade that gets another price, or none, settles: with itself, or with today's
        when it has settled; what a purchase then gets back comes as a sale's proceeds do.
        """
        event = fill.event
        if (event.account_id, event.instrument_id, event.value_date) in self._due:
            return _Place(event.value_date, False)
        today = max(self._today[event.instrument_id], event.value_date)
        return _Place(today, price < fill.price)

    def _account(self, account_id: UUID) -> _Account:
        return self._accounts.setdefault(account_id, _Account())

    def _holding(self, account_id: UUID, instrument_id: UUID) -> _Holding:
        return self._holdings.setdefault((account_id, instrument_id), _Holding())


def _asked(account: _Account, event: e.OrderFilled, price: Fraction) -> Fraction:
    """What the schedule's rates ask for a fill, each unit at the tier that its month reaches."""
    kind, tiers, _, _ = account.schedule
    if not kind:
        return _ZERO
    asked = _ZERO
    first, last = account.month_qty, account.month_qty + event.qty
    ends = [*(tier[0] for tier in tiers[1:]), last]
    for (begins, maker, taker), end in zip(tiers, ends, strict=True):
        qty = max(0, min(end, last) - max(begins, first)) * _SHARE
        rate = maker if event.liquidity == _ADDED else taker
        unit = _PER_SHARE_RATE if kind == _PER_SHARE else _BPS_RATE * price
        asked += rate * unit * qty
    return asked
