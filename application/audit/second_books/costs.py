"""The books of commissions: what each fill, bust and correction makes of an order's."""

from __future__ import annotations

from fractions import Fraction
from typing import Protocol

from application.audit.second_books import commissions
from application.audit.second_books.commissions import NOTHING, told
from application.audit.second_books.findings import Findings
from application.audit.second_books.histories import Past
from application.audit.second_books.money import MoneyBooks
from domain.events import OrderFillBusted, OrderFillCorrected, OrderFilled

SELL = 2


class Charged(Protocol):
    """A working order: what its fills ask for, and that within minimum and cap, in dollars."""

    asked: Fraction
    charged: Fraction
    value: int


class CostBooks:
    """Works out what events say an order costs, from the account's schedule of that moment."""

    def __init__(self, findings: Findings, money: MoneyBooks) -> None:
        self._findings = findings
        self._money = money

    def filled(self, position: int, event: OrderFilled, order: Charged) -> Fraction:
        """What the fill adds to the order's commission, exactly."""
        account = self._money.account(event.account_id)
        rates = account.rates
        said = (
            event.commission_kind, event.commission, event.commission_base_after,
            event.commission_after,
        )  # fmt: skip
        if rates is None and not order.charged:
            base = "0" if not order.asked else event.commission_base_after
            self._findings.chain("commissions", position, "commission", said, (0, "0", base, "0"))
            return NOTHING
        cost = NOTHING
        if rates is not None:
            month = account.month_qty if account.month == event.session_date // 100 else 0
            liquidity, decimals = event.liquidity, event.price_decimals
            price = event.price * event.multiplier
            cost = commissions.asked(rates, liquidity, event.qty, price, decimals, month)
        asked = order.asked + cost
        value = Fraction(order.value + event.price * event.qty, 10 ** (event.price_decimals + 8))
        value *= event.multiplier
        charged = commissions.bounded(rates, asked, value, sale=event.side == SELL)
        told_so = told(said[1]), told(said[2]), told(said[3])
        self._findings.chain("commissions", position, "commission", told_so, (cost, asked, charged))
        kind = rates.kind if rates else 0
        self._findings.chain("commissions", position, "commission_kind", said[0], kind)
        extra = charged - order.charged
        order.asked, order.charged = told_so[1], told_so[2]
        return extra

    def revised(
        self, position: int, event: OrderFillBusted | OrderFillCorrected, past: Past, value: int
    ) -> Fraction:
        """What the order's commission comes to without the fill, or with its new price."""
        rates = self._money.account(event.account_id).rates
        fill = past.fills.get(event.trade_id)
        asked = past.asked
        if fill is not None:
            asked -= fill.asked
            if isinstance(event, OrderFillCorrected):
                now = fill.asked
                if fill.first.commission_kind == commissions.PROPORTIONAL:
                    now = fill.asked * event.price / fill.price
                asked += now
                said = told(event.commission)
                self._findings.chain("commissions", position, "commission", said, now)
        exact = Fraction(value * event.multiplier, 10 ** (event.price_decimals + 8))
        charged = commissions.bounded(rates, asked, exact, sale=event.side == SELL)
        if isinstance(event, OrderFillBusted):
            charged = min(charged, max(past.charged, asked))
        told_so = (told(event.commission_base_after), told(event.commission_after))
        due = (asked, charged)
        self._findings.chain("commissions", position, "the order's commission", told_so, due)
        return charged - past.charged
