"""An account: cash, what is unsettled, and what is held for working orders."""

from __future__ import annotations

from typing import Any, NamedTuple
from uuid import UUID

from domain.aggregate import Aggregate, aggregate
from domain.commission import FREE, Schedule, schedule_of
from domain.decision import Decision
from domain.errors import BalanceLimit, InsufficientCash, Rejection
from domain.events import (
    AccountDayClosed,
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
from domain.money import MAX_AMOUNT, USD_SCALE, cents, to_text
from domain.obligation import Obligation, ObligationKey
from domain.order_terms import Request
from domain.profit import recorded
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
_ROUNDING = int(Ledger.ROUNDING)
_BUY = int(Side.BUY)
_MARGIN = int(AccountKind.MARGIN)
_QTY_MAX = 2**62


def trade_postings(
    account: UUID, side: int, amount: int, notional: int, fee: int
) -> tuple[Posting, ...]:
    """The balanced postings of one side of a trade: the house clears, and earns the fee.

    The house clears the trade's `notional`, the same on both sides. By how much the account's
    own `amount` differs, for it is rounded on the account's total, the house's ROUNDING takes.
    """
    if side == _BUY:
        rounding = amount - notional
        postings: tuple[Posting, ...] = (
            (account, _PAYABLE, -amount - fee),
            (HOUSE, _CLEARING, notional),
        )
    else:
        rounding = notional - amount
        postings = ((account, _RECEIVABLE, amount - fee), (HOUSE, _CLEARING, -notional))
    if rounding:
        postings = (*postings, (HOUSE, _ROUNDING, rounding))
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


class Worth(NamedTuple):
    """What an account is worth at some marks, in cents; `short_value` is positive."""

    equity: int
    long_value: int
    short_value: int


class Account(Aggregate):
    """Who trades. Amounts are USD cents.

    `unsettled` is the net of trades that are not settled, negative when the account owes:
    `receivable` less `payable`. `unpaid` is the part of the payable that unsettled proceeds
    stand for; `held` is what working orders may still cost. `commission` is exact, in 1e-24
    USD, and `commissions` what of it is posted. `traded_value` is what all it sold was worth
    less what it bought, exactly, in 1e-24 USD: rounded to the cent it is what is posted.
    """

    KIND = "account"
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

    @classmethod
    def open(cls, decision: Decision, identifier: UUID, terms: AccountTerms) -> Account:
        """Open an account."""
        account: Account = decision.record(
            AccountOpened(*decision.first_of(identifier), *terms), None
        )
        return account

    def set_status(self, decision: Decision, status: int, reason: str) -> None:
        """Say what the account may do."""
        decision.record(
            AccountStatusChanged(*decision.next_of(self), status=status, reason=reason),
            self,
        )

    def set_limits(
        self, decision: Decision, max_order_notional: int, max_orders_per_second: int = 0
    ) -> None:
        """Set the account's own limits (0: none)."""
        decision.record(
            AccountLimitsSet(
                *decision.next_of(self),
                max_order_notional=max_order_notional,
                max_orders_per_second=max_orders_per_second,
            ),
            self,
        )

    def set_policy(self, decision: Decision, use_unsettled: bool) -> None:
        """Say whether unsettled proceeds may buy."""
        decision.record(
            AccountPolicySet(*decision.next_of(self), use_unsettled=use_unsettled), self
        )

    def set_schedule(self, decision: Decision, schedule: Schedule) -> None:
        """Say what trades cost from now on."""
        decision.record(CommissionScheduleSet(*decision.next_of(self), *schedule), self)

    def switch(self, decision: Decision, engaged: bool, reason: str) -> None:
        """Engage or release the kill switch."""
        decision.record(
            AccountKillSwitched(*decision.next_of(self), engaged=engaged, reason=reason),
            self,
        )

    def call(self, decision: Decision, equity: int, maintenance: int) -> None:
        """Call for margin, or say that a call is met."""
        kind = MarginCalled if equity < maintenance else MarginCallMet
        worth, needed = recorded(equity), recorded(maintenance)
        decision.record(kind(*decision.next_of(self), equity=worth, maintenance=needed), self)

    def close_day(self, decision: Decision, session_date: int, worth: Worth) -> None:
        """Note what it is worth at the end of its day."""
        decision.record(
            AccountDayClosed(
                *decision.next_of(self),
                session_date=session_date,
                equity=recorded(worth.equity),
                cash=self.cash,
                unsettled=self.unsettled,
                long_value=recorded(worth.long_value),
                short_value=recorded(worth.short_value),
            ),
            self,
        )

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
        decision.record(
            CashDeposited(
                *decision.next_of(self),
                request_key=request.key,
                fingerprint=request.fingerprint,
                amount=amount,
                cash_after=self.cash + amount,
                description=text,
                postings=postings,
            ),
            self,
        )

    def withdraw(self, decision: Decision, amount: int, request: Request, text: str) -> None:
        """Take free, settled cash out; raises InsufficientCash."""
        self._check_free(amount)
        postings = ((self._id, _CASH, -amount), (HOUSE, _FUNDING, amount))
        decision.record(
            CashWithdrawn(
                *decision.next_of(self),
                request_key=request.key,
                fingerprint=request.fingerprint,
                amount=-amount,
                cash_after=self.cash - amount,
                description=text,
                postings=postings,
            ),
            self,
        )

    def charge_fee(self, decision: Decision, amount: int, request: Request, text: str) -> None:
        """Let the house take a fee; raises InsufficientCash."""
        self._check_free(amount)
        postings = ((self._id, _CASH, -amount), (HOUSE, _FEES, amount))
        decision.record(
            FeeCharged(
                *decision.next_of(self),
                request_key=request.key,
                fingerprint=request.fingerprint,
                amount=-amount,
                cash_after=self.cash - amount,
                description=text,
                postings=postings,
            ),
            self,
        )

    def _check_free(self, amount: int) -> None:
        free = self.withdrawable
        if amount > free:
            raise InsufficientCash(
                to_text(amount, USD_SCALE), to_text(free, USD_SCALE), "of settled cash free"
            )

    def reserve(self, decision: Decision, order_id: UUID, amount: int) -> None:
        """Hold buying power for an order; the check was made before."""
        decision.record(
            MarginReserved(
                *decision.next_of(self),
                order_id=order_id,
                amount=amount,
                held_after=self.held + amount,
            ),
            self,
        )

    def release(self, decision: Decision, order_id: UUID, amount: int) -> None:
        """Free what an order no longer needs."""
        assert amount <= self.held, "released more than is held"
        decision.record(
            MarginReleased(
                *decision.next_of(self),
                order_id=order_id,
                amount=amount,
                held_after=self.held - amount,
            ),
            self,
        )

    def charge(self, exact: int) -> int:
        """The cents that an exact commission, or refund, posts on the running total."""
        return cents(self.commission + exact) - self.commissions if exact else 0

    def amount_of(self, side: int, value: int) -> int:
        """The cents that a trade of an exact value posts on the running total.

        The side says which way; a trade that is undone has a negative value.
        """
        if side == _BUY:
            return cents(self.traded_value) - cents(self.traded_value - value)
        return cents(self.traded_value + value) - cents(self.traded_value)

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
        side, value, fee = trade.side, trade.value, trade.fee
        amount = self.amount_of(side, value)
        session = trade.dates.session
        bought = side == _BUY
        net = -amount - fee if bought else amount - fee
        month, month_qty = self.month, self.month_qty
        if not again:
            month = session // 100
            month_qty = min(self.month_traded(session) + trade.qty, _QTY_MAX)
        decision.record(
            TradeBooked(
                *decision.next_of(self),
                instrument_id=trade.instrument_id,
                order_id=trade.order_id,
                trade_id=trade.id,
                side=side,
                qty=trade.qty,
                price=trade.price,
                price_decimals=trade.price_decimals,
                notional=amount,
                fee=fee,
                session_date=session,
                value_date=trade.dates.value,
                cash_after=self.cash,
                unsettled_after=self.unsettled + net,
                held_after=self.held - released,
                postings=trade_postings(self._id, side, amount, trade.notional, fee),
                receivable_after=self.receivable if bought else self.receivable + net,
                unpaid_after=self.unpaid - net if unpaid_qty else self.unpaid,
                released=released,
                commission_after=to_digits(self.commission + commission),
                commissions_after=self.commissions + fee,
                month_qty_after=month_qty,
                unpaid_qty=unpaid_qty,
                month_after=month,
                traded_value_after=to_digits(self.traded_value + (-value if bought else value)),
            ),
            self,
        )

    def reverse_trade(
        self, decision: Decision, trade: Trade, reason: str, commission: int, unpaid_qty: int
    ) -> None:
        """Undo one side of a trade by opposite postings, due on the trade's value date.

        Its `fee` and the exact `commission` are what is given back.
        """
        side, value, fee = trade.side, trade.value, trade.fee
        amount = -self.amount_of(side, -value)
        bought = side == _BUY
        net = amount + fee if bought else fee - amount
        decision.record(
            TradeReversed(
                *decision.next_of(self),
                instrument_id=trade.instrument_id,
                order_id=trade.order_id,
                trade_id=trade.id,
                reason=reason,
                side=side,
                qty=trade.qty,
                price=trade.price,
                price_decimals=trade.price_decimals,
                notional=amount,
                fee=fee,
                cash_after=self.cash,
                unsettled_after=self.unsettled + net,
                postings=trade_postings(self._id, side, -amount, -trade.notional, -fee),
                receivable_after=self.receivable if bought else self.receivable + net,
                unpaid_after=self.unpaid - net if unpaid_qty else self.unpaid,
                commission_after=to_digits(self.commission - commission),
                commissions_after=self.commissions - fee,
                value_date=trade.dates.value,
                unpaid_qty=unpaid_qty,
                traded_value_after=to_digits(self.traded_value + (value if bought else -value)),
            ),
            self,
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
        decision.record(
            AccountSettled(
                *decision.next_of(self),
                settlement_id=settlement_id,
                instrument_id=key.instrument_id,
                value_date=key.value_date,
                amount=sold - bought,
                cash_after=self.cash + sold - bought,
                unsettled_after=self.unsettled + bought - sold,
                receivable_after=self.receivable - sold,
                unpaid_after=self.unpaid - owed.unpaid_amount,
                postings=postings,
            ),
            self,
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
        decision.record(
            RequestRefused(
                *decision.next_of(self),
                request_key=request.key,
                fingerprint=request.fingerprint,
                request=asked,
                target_id=target,
                code=refusal.code,
                message=refusal.message,
                details=refusal.document(),
            ),
            self,
        )


aggregate(Account)
