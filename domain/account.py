"""An account: cash, what is unsettled, and what is held for working orders."""

from __future__ import annotations

from typing import Any, ClassVar
from uuid import UUID

from domain.aggregate import Aggregate, aggregate
from domain.decision import Decision
from domain.errors import BalanceLimit, InsufficientCash
from domain.events import (
    AccountLimitsSet,
    AccountOpened,
    AccountStatusChanged,
    CashDeposited,
    CashWithdrawn,
    FeeCharged,
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
_UNSETTLED = int(Ledger.UNSETTLED)
_CLEARING = int(Ledger.CLEARING)
_FUNDING = int(Ledger.FUNDING)
_FEES = int(Ledger.FEES)


def trade_postings(account: UUID, side: int, notional: int, fee: int) -> tuple[Posting, ...]:
    """The balanced postings of one side of a trade: the house clears, and earns the fee."""
    owed = -notional if side == Side.BUY else notional
    postings: tuple[Posting, ...] = ((account, _UNSETTLED, owed), (HOUSE, _CLEARING, -owed))
    if fee:
        postings += ((account, _CASH, -fee), (HOUSE, _FEES, fee))
    return postings


class Account(Aggregate):
    """Who trades. Amounts are USD cents.

    `unsettled` is the net of trades that have not reached their value date, negative when
    the account owes; `held` is what working orders may still cost.
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
    }

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

    @classmethod
    def open(cls, decision: Decision, identifier: UUID, *terms: Any) -> Account:
        """Open an account; `terms` are the fields of AccountOpened in order."""
        self = cls.blank(identifier, decision.at)
        self.trigger(AccountOpened, decision, *terms)
        return self

    def set_status(self, decision: Decision, status: int, reason: str) -> None:
        """Say what the account may do."""
        self.trigger(AccountStatusChanged, decision, status, reason)

    def set_limits(self, decision: Decision, max_order_notional: int) -> None:
        """Set the account's own limits (0: none)."""
        self.trigger(AccountLimitsSet, decision, max_order_notional)

    @property
    def buying_power(self) -> int:
        """What may still be spent: settled and unsettled cash less what is held."""
        return self.cash + self.unsettled - self.held

    @property
    def withdrawable(self) -> int:
        """Settled cash that nothing claims: neither holds nor trades still to be paid."""
        return max(0, self.cash + min(0, self.unsettled) - self.held)

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

    def book_trade(
        self,
        decision: Decision,
        trade: tuple[UUID, UUID, UUID, int, int, int, int, int, int, int, int],
        released: int,
    ) -> None:
        """Book one side of a trade and convert the hold it uses up.

        `trade` is (instrument, order, trade, side, qty, price, price decimals, notional, fee,
        session date, value date).
        """
        assert released <= self.held, "converted more than is held"
        side, notional, fee = trade[3], trade[7], trade[8]
        owed = -notional if side == Side.BUY else notional
        self.trigger(
            TradeBooked,
            decision,
            *trade,
            self.cash - fee,
            self.unsettled + owed,
            self.held - released,
            trade_postings(self._id, side, notional, fee),
        )

    def reverse_trade(
        self,
        decision: Decision,
        trade: tuple[UUID, UUID, UUID, str, int, int, int, int, int, int],
    ) -> None:
        """Undo one side of a trade by opposite postings.

        `trade` is (instrument, order, trade, reason, side, qty, price, price decimals,
        notional, fee).
        """
        side, notional, fee = trade[4], trade[8], trade[9]
        owed = notional if side == Side.BUY else -notional
        self.trigger(
            TradeReversed,
            decision,
            *trade,
            self.cash + fee,
            self.unsettled + owed,
            trade_postings(self._id, side, -notional, -fee),
        )

    def refuse(self, decision: Decision, *refusal: Any) -> None:
        """Record a refused request; `refusal` are the fields of RequestRefused in order."""
        self.trigger(RequestRefused, decision, *refusal)


aggregate(Account)
