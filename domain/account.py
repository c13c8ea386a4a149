"""An account: cash, what is unsettled, and what is held for working orders."""

from __future__ import annotations

from typing import NamedTuple
from uuid import UUID

from msgspec.structs import replace

from domain.account_state import AccountState
from domain.aggregate import aggregate
from domain.booking import Booking
from domain.commission import Schedule
from domain.configuration import Configuration
from domain.decision import Decision
from domain.dues import moved_by, payable_of
from domain.errors import BalanceLimit, InsufficientCash, Rejection
from domain.events import (
    AccountConfigured,
    AccountDayClosed,
    AccountKillSwitched,
    AccountLimitsSet,
    AccountOpened,
    AccountOwnerForgotten,
    AccountPolicySet,
    AccountSettled,
    AccountStatusChanged,
    CashDeposited,
    CashWithdrawn,
    CloseAllTaken,
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
from domain.identifiers import HOUSE, NO_ID
from domain.money import LARGEST, MAX_AMOUNT, USD_SCALE, cents, to_text
from domain.obligation import Moved, Obligation, ObligationKey
from domain.order_terms import Request
from domain.profit import recorded
from domain.terms import AccountKind, DueAs, Ledger, Side
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
_AS_PAYABLE = int(DueAs.PAYABLE)
_AS_RECEIVABLE = int(DueAs.RECEIVABLE)
_MARGIN = int(AccountKind.MARGIN)
_QTY_MAX = 2**62


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


class ClosingPlan(NamedTuple):
    """What one step of closing all positions does; the fields of `CloseAllTaken`."""

    canceled: int
    closed: int
    passed: int
    passed_after: int
    remaining: bool


class Account(AccountState):
    """Who trades, and what may happen to it: each change is checked, then recorded."""

    KIND = "account"

    @classmethod
    def open(cls, decision: Decision, identifier: UUID, terms: AccountTerms) -> Account:
        """Open an account."""
        account: Account = decision.record(
            AccountOpened(*decision.first_of(identifier), *terms), None
        )
        return account

    def forget_owner(self, decision: Decision, subject: UUID, reason: str) -> None:
        """Say that its owner's name cannot be read any more."""
        event = AccountOwnerForgotten(*decision.next_of(self), subject=subject, reason=reason)
        decision.record(event, self)

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

    def configure(self, decision: Decision, configuration: Configuration) -> None:
        """Set what its owner wants of it."""
        decision.record(
            AccountConfigured(
                *decision.next_of(self),
                suspend_trade=configuration.suspend_trade,
                no_shorting=configuration.no_shorting,
                fractional_trading=configuration.fractional_trading,
                max_margin_multiplier=configuration.max_margin_multiplier,
            ),
            self,
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

    def deposit(self, decision: Decision, amount: int, request: Request, text: str) -> None:
        """Bring cash in; raises BalanceLimit."""
        if self.cash + amount >= MAX_AMOUNT:
            raise BalanceLimit(to_text(self.cash + amount, USD_SCALE), to_text(LARGEST, USD_SCALE))
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
        late: bool = False,
    ) -> None:
        """Book one side of a trade and convert the hold it uses up; `again` at another price,
        and then as `late` as it was undone: it is less of what that was due as.

        `commission` is exact; the trade's fee is what `charge` made of it.
        """
        assert released <= self.held, "converted more than is held"
        side, value, fee = trade.side, trade.value, trade.fee
        amount = self.amount_of(side, value)
        session = trade.dates.session
        bought = side == _BUY
        net = -amount - fee if bought else amount - fee
        signed = -value if bought else value
        due, booking = self._booking(signed, net, commission, trade, late=late)
        month, month_qty = self.month, self.month_qty
        if not again:
            month = session // 100
            month_qty = min(self.month_traded(session) + trade.qty, _QTY_MAX)
        decision.record(
            TradeBooked(
                *decision.next_of(self),
                trade.instrument_id,
                trade.order_id,
                *trade.facts(),
                amount,
                fee,
                *trade.dates,
                self.cash,
                unsettled_after=self.unsettled + net,
                held_after=self.held - released,
                postings=booking.postings(self._id, due),
                receivable_after=self.receivable + booking.receivable,
                unpaid_after=self.unpaid - net if unpaid_qty else self.unpaid,
                released=released,
                commission_after=to_digits(self.commission + commission),
                commissions_after=self.commissions + fee,
                month_qty_after=month_qty,
                unpaid_qty=unpaid_qty,
                month_after=month,
                traded_value_after=to_digits(self.traded_value + signed),
                due=due,
                traded_value=to_digits(value),
                commission=to_digits(commission),
                multiplier=trade.multiplier,
            ),
            self,
        )

    def reverse_trade(
        self,
        decision: Decision,
        trade: Trade,
        reason: str,
        commission: int,
        *,
        unpaid_qty: int,
        late: bool,
    ) -> None:
        """Undo one side of a trade by opposite postings, due on the trade's value date.

        Its `fee` and the exact `commission` are what is given back. `late` is one that had
        settled and goes back: what a purchase gets back is to be received, as of a sale.
        """
        side, value, fee = trade.side, trade.value, trade.fee
        amount = -self.amount_of(side, -value)
        bought = side == _BUY
        net = amount + fee if bought else fee - amount
        signed = value if bought else -value
        undone = replace(trade, notional=-trade.notional, fee=-fee)
        due, booking = self._booking(signed, net, -commission, undone, late=late)
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
                postings=booking.postings(self._id, due),
                receivable_after=self.receivable + booking.receivable,
                unpaid_after=self.unpaid - net if unpaid_qty else self.unpaid,
                commission_after=to_digits(self.commission - commission),
                commissions_after=self.commissions - fee,
                value_date=trade.dates.value,
                unpaid_qty=unpaid_qty,
                traded_value_after=to_digits(self.traded_value + signed),
                due=due,
                traded_value=to_digits(value),
                commission=to_digits(commission),
                multiplier=trade.multiplier,
            ),
            self,
        )

    def _booking(
        self, signed: int, net: int, commission: int, trade: Trade, *, late: bool
    ) -> tuple[int, Booking]:
        """The way a trade is due, and what of its `net` cents is payable and receivable."""
        bought = trade.side == _BUY
        cleared = trade.notional if bought else -trade.notional
        if bought is late:
            return _AS_RECEIVABLE, Booking(0, net, cleared, trade.fee)
        payable = payable_of(self, signed, commission)
        return _AS_PAYABLE, Booking(payable, net + payable, cleared, trade.fee)

    def settling(self, *obligations: Obligation) -> Moved:
        """The cents that obligations move when they settle next, as one."""
        return moved_by(self, obligations)

    def settle(
        self,
        decision: Decision,
        settlement_id: UUID,
        key: ObligationKey,
        moved: Moved,
        unpaid_amount: int,
    ) -> None:
        """Turn an obligation's payable and receivable into cash."""
        amount = moved.amount
        postings: tuple[Posting, ...] = (
            (self._id, _CASH, amount),
            (self._id, _PAYABLE, moved.payable),
            (self._id, _RECEIVABLE, -moved.receivable),
        )
        decision.record(
            AccountSettled(
                *decision.next_of(self),
                settlement_id=settlement_id,
                instrument_id=key.instrument_id,
                value_date=key.value_date,
                amount=amount,
                cash_after=self.cash + amount,
                unsettled_after=self.unsettled - amount,
                receivable_after=self.receivable - moved.receivable,
                unpaid_after=self.unpaid - unpaid_amount,
                postings=postings,
            ),
            self,
        )

    def close_all(self, decision: Decision, request: Request, plan: ClosingPlan) -> None:
        """Take a request to close all positions, or its next step."""
        decision.record(
            CloseAllTaken(
                *decision.next_of(self),
                request_key=request.key,
                fingerprint=request.fingerprint,
                canceled=plan.canceled,
                closed=plan.closed,
                passed=plan.passed,
                passed_after=plan.passed_after,
                remaining=plan.remaining,
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
        order_id: UUID = NO_ID,
    ) -> None:
        """Record a refused request: what was `asked` of which `target`, and why not; `order_id` is
        the order that it was found to be about.
        """
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
                order_id=order_id,
            ),
            self,
        )


aggregate(Account)
