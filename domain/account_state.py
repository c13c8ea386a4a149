"""What an account has, owes and may use: its state, and what follows from it."""

from __future__ import annotations

from typing import Any

from domain.aggregate import Aggregate
from domain.commission import FREE, Schedule, schedule_of
from domain.configuration import MULTIPLIER, UNLEVERED, WHOLE_BPS, Configuration
from domain.terms import AccountKind, AccountStatus

_MARGIN = int(AccountKind.MARGIN)


class AccountState(Aggregate):
    """What an account is and has. Amounts are USD cents.

    `unsettled` is the net of trades that are not settled, negative when the account owes:
    `receivable` less `payable`. `unpaid` is the part of the payable that unsettled proceeds
    stand for; `held` is what working orders may still cost. `commission` is exact, in 1e-24
    USD, and `commissions` what of it is posted. `traded_value` is what all it sold was worth
    less what it bought, exactly, in 1e-24 USD: rounded to the cent it is what is posted.
    `paying` to `coming_cost` are the exact sums of its obligations, which they are derived from.
    """

    DERIVED = frozenset({"paying", "paying_cost", "coming", "coming_cost"})
    DIGITS = frozenset({"commission", "traded_value"})

    name: str = ""
    owner: str = ""
    number: int = 0
    owner_number: int = 0
    kind: int = int(AccountKind.CASH)
    max_order_notional: int = 0
    status: int = int(AccountStatus.ACTIVE)
    cash: int = 0
    unsettled: int = 0
    held: int = 0
    receivable: int = 0
    unpaid: int = 0
    use_unsettled: bool = False
    max_orders_per_second: int = 0
    schedule: Any = ()
    killed: bool = False
    margin_called: bool = False
    commission: int = 0
    commissions: int = 0
    month: int = 0
    month_qty: int = 0
    closed_day: int = 0
    """The newest day whose end is on record."""
    traded_value: int = 0
    paying: int = 0
    paying_cost: int = 0
    coming: int = 0
    coming_cost: int = 0
    suspend_trade: bool = False
    no_shorting: bool = False
    fractional_trading: bool = True
    max_margin_multiplier: int = MULTIPLIER
    owner_forgotten: bool = False

    @property
    def is_margin(self) -> bool:
        """Whether it may borrow."""
        return self.kind == _MARGIN

    @property
    def configuration(self) -> Configuration:
        """What its owner has set; an account that may not borrow has no multiplier to set."""
        return Configuration(
            self.suspend_trade,
            self.no_shorting,
            self.fractional_trading,
            self.max_margin_multiplier if self.is_margin else UNLEVERED,
        )

    def initial_bps(self, bps: int) -> int:
        """The initial rate of an instrument, as it is for this account."""
        return max(bps, WHOLE_BPS) if self.max_margin_multiplier == UNLEVERED else bps

    @property
    def commission_schedule(self) -> Schedule:
        """What trades cost it."""
        return schedule_of(self.schedule) if self.schedule else FREE

    def month_traded(self, session_date: int) -> int:
        """What it has traded in the month of a session, all instruments together."""
        return self.month_qty if self.month == session_date // 100 else 0

    @property
    def payable(self) -> int:
        """What it owes for purchases that are not settled."""
        return self.receivable - self.unsettled

    @property
    def owed(self) -> int:
        """What trades claim of its cash: purchases, and sales that were undone after they
        settled. What a purchase so undone gives back is none of its cash before it settles.
        """
        receivable = self.receivable
        payable = receivable - self.unsettled
        purchases = payable if payable > 0 else 0
        return purchases if receivable >= 0 else purchases - receivable

    @property
    def funds(self) -> int:
        """What is free to buy with in a cash account: unsettled proceeds only by policy."""
        if self.use_unsettled:
            return self.cash + self.unsettled - self.held
        return self.cash - self.owed - self.held

    @property
    def settled_funds(self) -> int:
        """What is free to buy with and owes nothing to proceeds that have not settled."""
        return self.cash - self.owed + self.unpaid - self.held

    @property
    def withdrawable(self) -> int:
        """Settled cash that nothing claims: neither holds nor trades still to be paid."""
        return max(0, self.cash - self.owed - self.held)
