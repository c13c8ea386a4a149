"""An account: cash, what is unsettled, and what is held for working orders."""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple
from uuid import UUID

from domain.aggregate import Aggregate, aggregate
from domain.commission import FREE, Schedule, cents, schedule_of
from domain.decision import Decision
from domain.errors import BalanceLimit, InsufficientCash, Rejection
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
from domain.obligation import Obligation, ObligationKey
from domain.order_terms import Request
from domain.terms import AccountKind, AccountStatus, Ledger, Side
from domain.trade import Trade
from domain.units import to_digits

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


class AccountTerms(NamedTuple):
    """What an account is opened as; `number` counts accounts, `owner_number` is the number of
    its owner's first one.
    """

    name: str
    owner: str
    number: int
    owner_number: int
    kind: int = int(AccountKind.CASH)
    max_order_notional: int = 0


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
    def open(cls, decision: Decision, identifier: UUID, terms: AccountTerms) -> Account:
        """Open an account."""
        account: Account = cls.begin(AccountOpened, decision, identifier, *terms)
        return account

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

    def deposit(self, decision: Decision, amount: int, request: Request, text: str) -> None:
        """Bring cash in; raises BalanceLimit."""
        if self.cash + amount >= MAX_AMOUNT:
            raise BalanceLimit()
        postings = ((self._id, _CASH, amount), (HOUSE, _FUNDING, -amount))
        self.trigger(CashDeposited, decision, *request, amount, self.cash + amount, text, postings)

    def withdraw(self, decision: Decision, amount: int, request: Request, text: str) -> None:
        """Take free, settled cash out; raises InsufficientCash."""
        self._check_free(amount)
        postings = ((self._id, _CASH, -amount), (HOUSE, _FUNDING, amount))
        self.trigger(CashWithdrawn, decision, *request, -amount, self.cash - amount, text, postings)

    def charge_fee(self, decision: Decision, amount: int, request: Request, text: str) -> None:
        """Let the house take a fee; raises InsufficientCash."""
        self._check_free(amount)
        postings = ((self._id, _CASH, -amount), (HOUSE, _FEES, amount))
        self.trigger(FeeCharged, decision, *request, -amount, self.cash - amount, text, postings)

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
        trade: Trade,
        commission: int,
        *,
        released: int = 0,
        unpaid_qty: int = 0,
        again: bool = False,
    ) -> None:
        """Book one side of a trade and convert the hold it uses up; `again` at another price.

        `commission` is exact; the trade's fee is what `charge` made of it.
        """
        assert released <= self.held, "converted more than is held"
        side, notional, fee = trade.side, trade.notional, trade.fee
        session = trade.dates.session
        bought = side == _BUY
        net = -notional - fee if bought else notional - fee
        month, month_qty = self.month, self.month_qty
        if not again:
            month = session // 100
            month_qty = min(self.month_traded(session) + trade.qty, _QTY_MAX)
        self.trigger(
            TradeBooked,
            decision,
            trade.instrument_id,
            trade.order_id,
            trade.id,
            side,
            trade.qty,
            trade.price,
            trade.price_decimals,
            notional,
            fee,
            session,
            trade.dates.value,
            self.cash,
            self.unsettled + net,
            self.held - released,
            trade_postings(self._id, side, notional, fee),
            self.receivable if bought else self.receivable + net,
            self.unpaid - net if unpaid_qty else self.unpaid,
            released,
            to_digits(self.commission + commission),
            self.commissions + fee,
            month_qty,
            unpaid_qty,
            month,
        )

    def reverse_trade(
        self, decision: Decision, trade: Trade, reason: str, commission: int, unpaid_qty: int
    ) -> None:
        """Undo one side of a trade by opposite postings, due on the trade's value date.

        Its `fee` and the exact `commission` are what is given back.
        """
        side, notional, fee = trade.side, trade.notional, trade.fee
        bought = side == _BUY
        net = notional + fee if bought else fee - notional
        self.trigger(
            TradeReversed,
            decision,
            trade.instrument_id,
            trade.order_id,
            trade.id,
            reason,
            side,
            trade.qty,
            trade.price,
            trade.price_decimals,
            notional,
            fee,
            self.cash,
            self.unsettled + net,
            trade_postings(self._id, side, -notional, -fee),
            self.receivable if bought else self.receivable + net,
            self.unpaid - net if unpaid_qty else self.unpaid,
            to_digits(self.commission - commission),
            self.commissions - fee,
            trade.dates.value,
            unpaid_qty,
        )

    def settle(
        self, decision: Decision, settlement_id: UUID, key: ObligationKey, owed: Obligation
    ) -> None:
        """Turn an obligation's payable and receivable into cash."""
        bought, sold = owed.bought_amount, owed.sold_amount
        postings: tuple[Posting, ...] = (
            (self._id, _CASH, sold - bought),
            (self._id, _PAYABLE, bought),
            (self._id, _RECEIVABLE, -sold),
        )
        self.trigger(
            AccountSettled,
            decision,
            settlement_id,
            key.instrument_id,
            key.value_date,
            sold - bought,
            self.cash + sold - bought,
            self.unsettled + bought - sold,
            self.receivable - sold,
            self.unpaid - owed.unpaid_amount,
            postings,
        )

    def refuse(
        self,
        decision: Decision,
        request: Request,
        asked: str,
        target: str,
        refusal: Rejection,
    ) -> None:
        """Record a refused request: what was `asked` of which `target`, and why not."""
        self.trigger(
            RequestRefused,
            decision,
            *request,
            asked,
            target,
            refusal.code,
            refusal.message,
            refusal.document(),
        )


aggregate(Account)
