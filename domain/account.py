"""An account: cash, what is unsettled, and what is held for working orders."""

from __future__ import annotations

from typing import Any, ClassVar
from uuid import UUID

from domain.aggregate import Aggregate, aggregate
from domain.commission import FREE, Schedule, cents, schedule_of
from domain.decision import Decision
from domain.errors import BalanceLimit, InsufficientCash
from domain.events import (
    AccountKillSwitched,
    AccountLimitsSet,
    AccountOpened,
    AccountPolicySet,
    AccountSettled,
    AccountStatusChanged,
    CashDeposited,
    CashWithdrawn,
    CommissionScheduleSet,
    FeeCharged,
    MarginCalled,
    MarginCallMet,
    MarginReleased,
    MarginReserved,
    Posting,
    RequestRefused,
    TradeBooked,
    TradeReversed,
)
from domain.identifiers import HOUSE
from domain.money import MAX_AMOUNT, USD_SCALE, to_text
from domain.terms import AccountKind, AccountStatus, Ledger, Side

_CASH = int(Ledger.CASH)
_RECEIVABLE = int(Ledger.RECEIVABLE)
_PAYABLE = int(Ledger.PAYABLE)
_CLEARING = int(Ledger.CLEARING)
_FUNDING = int(Ledger.FUNDING)
_FEES = int(Ledger.FEES)
_COMMISSION = int(Ledger.COMMISSION)
_BUY = int(Side.BUY)
_MARGIN = int(AccountKind.MARGIN)
_QTY_MAX = 2**62


def trade_postings(account: UUID, side: int, notional: int, fee: int) -> tuple[Posting, ...]:
    """The balanced postings of one side of a trade: the house clears, and earns the fee."""
    if side == _BUY:
        postings: tuple[Posting, ...] = (
            (account, _PAYABLE, -notional - fee),
            (HOUSE, _CLEARING, notional),
        )
    else:
        postings = ((account, _RECEIVABLE, notional - fee), (HOUSE, _CLEARING, -notional))
    return (*postings, (HOUSE, _COMMISSION, fee)) if fee else postings


class Account(Aggregate):
    """Who trades. Amounts are USD cents.

    `unsettled` is the net of trades that are not settled, negative when the account owes:
    `receivable` less `payable`. `unpaid` is the part of the payable that unsettled proceeds
    stand for; `held` is what working orders may still cost. `commission` is exact, in 1e-24
    USD, and `commissions` what of it is posted.
    """

    KIND = "account"
    FIELDS: ClassVar[dict[str, Any]] = {
        "name": "",
        "owner": "",
        "number": 0,
        "owner_number": 0,
        "kind": int(AccountKind.CASH),
        "max_order_notional": 0,
        "status": int(AccountStatus.ACTIVE),
        "cash": 0,
        "unsettled": 0,
        "held": 0,
        "receivable": 0,
        "unpaid": 0,
        "use_unsettled": False,
        "max_orders_per_second": 0,
        "schedule": [],
        "killed": False,
        "margin_called": False,
        "commission": 0,
        "commissions": 0,
        "month": 0,
        "month_qty": 0,
    }
    DIGITS = frozenset({"commission"})

    name: str
    owner: str
    number: int
    owner_number: int
    kind: int
    max_order_notional: int
    status: int
    cash: int
    unsettled: int
    held: int
    receivable: int
    unpaid: int
    use_unsettled: bool
    max_orders_per_second: int
    schedule: Any
    killed: bool
    margin_called: bool
    commission: int
    commissions: int
    month: int
    month_qty: int

    @classmethod
    def open(cls, decision: Decision, identifier: UUID, *terms: Any) -> Account:
        """Open an account; `terms` are the fields of AccountOpened in order."""
        self = cls.blank(identifier, decision.at)
        self.trigger(AccountOpened, decision, *terms)
        return self

    def set_status(self, decision: Decision, status: int, reason: str) -> None:
        """Say what the account may do."""
        self.trigger(AccountStatusChanged, decision, status, reason)

    def set_limits(
        self, decision: Decision, max_order_notional: int, max_orders_per_second: int = 0
    ) -> None:
        """Set the account's own limits (0: none)."""
        self.trigger(AccountLimitsSet, decision, max_order_notional, max_orders_per_second)

    def set_policy(self, decision: Decision, use_unsettled: bool) -> None:
        """Say whether unsettled proceeds may buy."""
        self.trigger(AccountPolicySet, decision, use_unsettled)

    def set_schedule(self, decision: Decision, schedule: Schedule) -> None:
        """Say what trades cost from now on."""
        self.trigger(CommissionScheduleSet, decision, *schedule)

    def switch(self, decision: Decision, engaged: bool, reason: str) -> None:
        """Engage or release the kill switch."""
        self.trigger(AccountKillSwitched, decision, engaged, reason)

    def call(self, decision: Decision, equity: int, maintenance: int) -> None:
        """Call for margin, or say that a call is met."""
        kind = MarginCalled if equity < maintenance else MarginCallMet
        self.trigger(kind, decision, equity, maintenance)

    @property
    def is_margin(self) -> bool:
        """Whether it may borrow."""
        return self.kind == _MARGIN

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
        return max(0, self.payable) + max(0, -self.receivable)

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

    def deposit(
        self, decision: Decision, amount: int, key: str, fingerprint: bytes, text: str
    ) -> None:
        """Bring cash in; raises BalanceLimit."""
        if self.cash + amount >= MAX_AMOUNT:
            raise BalanceLimit()
        postings = ((self._id, _CASH, amount), (HOUSE, _FUNDING, -amount))
        self.trigger(
            CashDeposited, decision, key, fingerprint, amount, self.cash + amount, text, postings
        )

    def withdraw(
        self, decision: Decision, amount: int, key: str, fingerprint: bytes, text: str
    ) -> None:
        """Take free, settled cash out; raises InsufficientCash."""
        self._check_free(amount)
        postings = ((self._id, _CASH, -amount), (HOUSE, _FUNDING, amount))
        self.trigger(
            CashWithdrawn, decision, key, fingerprint, -amount, self.cash - amount, text, postings
        )

    def charge_fee(
        self, decision: Decision, amount: int, key: str, fingerprint: bytes, text: str
    ) -> None:
        """Let the house take a fee; raises InsufficientCash."""
        self._check_free(amount)
        postings = ((self._id, _CASH, -amount), (HOUSE, _FEES, amount))
        self.trigger(
            FeeCharged, decision, key, fingerprint, -amount, self.cash - amount, text, postings
        )

    def _check_free(self, amount: int) -> None:
        free = self.withdrawable
        if amount > free:
            raise InsufficientCash(to_text(amount, USD_SCALE), to_text(free, USD_SCALE))

    def reserve(self, decision: Decision, order_id: UUID, amount: int) -> None:
        """Hold buying power for an order; the check was made before."""
        self.trigger(MarginReserved, decision, order_id, amount, self.held + amount)

    def release(self, decision: Decision, order_id: UUID, amount: int) -> None:
        """Free what an order no longer needs."""
        assert amount <= self.held, "released more than is held"
        self.trigger(MarginReleased, decision, order_id, amount, self.held - amount)

    def charge(self, exact: int) -> int:
        """The cents that an exact commission, or refund, posts on the running total."""
        return cents(self.commission + exact) - self.commissions if exact else 0

    def book_trade(
        self,
        decision: Decision,
        trade: tuple[UUID, UUID, UUID, int, int, int, int, int, int, int, int],
        released: int,
        commission: int,
        unpaid_qty: int,
        *,
        again: bool = False,
    ) -> None:
        """Book one side of a trade and convert the hold it uses up; `again` at another price.

        `trade` is (instrument, order, trade, side, qty, price, price decimals, notional, fee,
        session date, value date), `commission` exact, `fee` what `charge` made of it.
        """
        assert released <= self.held, "converted more than is held"
        side, qty, notional, fee = trade[3], trade[4], trade[7], trade[8]
        bought = side == _BUY
        net = -notional - fee if bought else notional - fee
        month, month_qty = self.month, self.month_qty
        if not again:
            month = trade[9] // 100
            month_qty = min(self.month_traded(trade[9]) + qty, _QTY_MAX)
        self.trigger(
            TradeBooked,
            decision,
            *trade,
            self.cash,
            self.unsettled + net,
            self.held - released,
            trade_postings(self._id, side, notional, fee),
            self.receivable if bought else self.receivable + net,
            self.unpaid - net if unpaid_qty else self.unpaid,
            released,
            str(self.commission + commission),
            self.commissions + fee,
            month_qty,
            unpaid_qty,
            month,
        )

    def reverse_trade(
        self,
        decision: Decision,
        trade: tuple[UUID, UUID, UUID, str, int, int, int, int, int, int],
        commission: int,
        value_date: int,
        unpaid_qty: int,
    ) -> None:
        """Undo one side of a trade by opposite postings.

        `trade` is (instrument, order, trade, reason, side, qty, price, price decimals,
        notional, fee); `fee` and the exact `commission` are what is given back.
        """
        side, notional, fee = trade[4], trade[8], trade[9]
        bought = side == _BUY
        net = notional + fee if bought else fee - notional
        self.trigger(
            TradeReversed,
            decision,
            *trade,
            self.cash,
            self.unsettled + net,
            trade_postings(self._id, side, -notional, -fee),
            self.receivable if bought else self.receivable + net,
            self.unpaid - net if unpaid_qty else self.unpaid,
            str(self.commission - commission),
            self.commissions - fee,
            value_date,
            unpaid_qty,
        )

    def settle(
        self,
        decision: Decision,
        settlement_id: UUID,
        instrument_id: UUID,
        value_date: int,
        bought: int,
        sold: int,
        unpaid: int,
    ) -> None:
        """Turn an obligation's `bought` payable and `sold` receivable into cash."""
        postings: tuple[Posting, ...] = (
            (self._id, _CASH, sold - bought),
            (self._id, _PAYABLE, bought),
            (self._id, _RECEIVABLE, -sold),
        )
        self.trigger(
            AccountSettled,
            decision,
            settlement_id,
            instrument_id,
            value_date,
            sold - bought,
            self.cash + sold - bought,
            self.unsettled + bought - sold,
            self.receivable - sold,
            self.unpaid - unpaid,
            postings,
        )

    def refuse(self, decision: Decision, *refusal: Any) -> None:
        """Record a refused request; `refusal` are the fields of RequestRefused in order."""
        self.trigger(RequestRefused, decision, *refusal)


aggregate(Account)
