"""Events of accounts: cash, holds, and one side of each trade with its balanced postings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from domain.events.base import DomainEvent, Posting, SpentKey, spent, topic
from domain.identifiers import (
    NO_ID,
    InstrumentId,
    OrderId,
    SettlementId,
    SubjectId,
    TradeId,
    operators_of,
)
from domain.terms import DueAs
from domain.units import (
    ACCOUNT_KIND,
    DAY,
    AccountKindCode,
    AccountStatusCode,
    Bps,
    Cents,
    CommissionKindCode,
    Day,
    Decimals,
    DueAsCode,
    ExactUsd,
    Fingerprint,
    Flag,
    Key,
    Month,
    Number,
    Price,
    Qty,
    ScheduleTerms,
    SideCode,
    Tier,
    Unit,
    from_digits,
)


class AccountEvent(DomainEvent, frozen=True, array_like=True, gc=False):
    """An event of an account; the originator is the account."""

    AGGREGATE = "account"
    SETS: ClassVar[Mapping[str, Unit]] = {
        "kind": ACCOUNT_KIND,
        "schedule": ScheduleTerms(),
        "killed": Flag(),
        "owner_forgotten": Flag(),
        "margin_called": Flag(),
        "closed_day": DAY,
    }


@topic
class AccountOpened(AccountEvent, frozen=True, array_like=True, gc=False):
    """An account exists; `number` counts accounts, `owner_number` is its owner's first one's."""

    TOPIC = "account.opened.v1"
    name: str
    owner: str
    number: Number
    owner_number: Number
    kind: AccountKindCode
    max_order_notional: Cents

    def apply(self, aggregate: Any) -> None:
        aggregate.name = self.name
        aggregate.owner = self.owner
        aggregate.number = self.number
        aggregate.owner_number = self.owner_number
        aggregate.kind = self.kind
        aggregate.max_order_notional = self.max_order_notional


@topic
class AccountOwnerForgotten(AccountEvent, frozen=True, array_like=True, gc=False):
    """The key that opened the name of an account's owner was thrown away; it cannot be read
    again. `subject` names the key that was.
    """

    TOPIC = "account.owner_forgotten.v1"
    subject: SubjectId
    reason: str

    def apply(self, aggregate: Any) -> None:
        aggregate.owner_forgotten = True


@topic
class AccountStatusChanged(AccountEvent, frozen=True, array_like=True, gc=False):
    """What the account may do from now on."""

    TOPIC = "account.status_changed.v1"
    status: AccountStatusCode
    reason: str

    def apply(self, aggregate: Any) -> None:
        aggregate.status = self.status


@topic
class AccountLimitsSet(AccountEvent, frozen=True, array_like=True, gc=False):
    """The account's own limits, all of them, as they are from now on (0: none)."""

    TOPIC = "account.limits_set.v1"
    max_order_notional: Cents
    max_orders_per_second: Number = 0

    def apply(self, aggregate: Any) -> None:
        aggregate.max_order_notional = self.max_order_notional
        aggregate.max_orders_per_second = self.max_orders_per_second


@topic
class AccountPolicySet(AccountEvent, frozen=True, array_like=True, gc=False):
    """How the account may use proceeds that have not settled."""

    TOPIC = "account.policy_set.v1"
    use_unsettled: bool

    def apply(self, aggregate: Any) -> None:
        aggregate.use_unsettled = self.use_unsettled


@topic
class CommissionScheduleSet(AccountEvent, frozen=True, array_like=True, gc=False):
    """What trades cost the account from now on; the fields of `domain.commission.Schedule`."""

    TOPIC = "account.commission_schedule_set.v1"
    kind: CommissionKindCode
    tiers: tuple[Tier, ...]
    minimum: Cents
    cap_bps: Bps

    def apply(self, aggregate: Any) -> None:
        aggregate.schedule = [
            self.kind,
            [list(tier) for tier in self.tiers],
            self.minimum,
            self.cap_bps,
        ]


@topic
class AccountKillSwitched(AccountEvent, frozen=True, array_like=True, gc=False):
    """The account's kill switch was engaged or released."""

    TOPIC = "account.kill_switched.v1"
    engaged: bool
    reason: str

    def apply(self, aggregate: Any) -> None:
        aggregate.killed = self.engaged


@topic
class MarginCalled(AccountEvent, frozen=True, array_like=True, gc=False):
    """Equity fell below the maintenance requirement: the account may only reduce positions."""

    TOPIC = "account.margin_called.v1"
    equity: Cents
    maintenance: Cents

    def apply(self, aggregate: Any) -> None:
        aggregate.margin_called = True


@topic
class MarginCallMet(AccountEvent, frozen=True, array_like=True, gc=False):
    """Equity covers the maintenance requirement again."""

    TOPIC = "account.margin_call_met.v1"
    equity: Cents
    maintenance: Cents

    def apply(self, aggregate: Any) -> None:
        aggregate.margin_called = False


@topic
class AccountConfigured(AccountEvent, frozen=True, array_like=True, gc=False):
    """What the account's owner has set, all of it, as it is from now on."""

    TOPIC = "account.configured.v1"
    suspend_trade: bool
    no_shorting: bool
    fractional_trading: bool
    max_margin_multiplier: Number

    def apply(self, aggregate: Any) -> None:
        aggregate.suspend_trade = self.suspend_trade
        aggregate.no_shorting = self.no_shorting
        aggregate.fractional_trading = self.fractional_trading
        aggregate.max_margin_multiplier = self.max_margin_multiplier


class CashMoved(AccountEvent, frozen=True, array_like=True, gc=False):
    """Cash came in or went out by an operator's hand; `amount` is signed as the account sees it."""

    request_key: Key
    fingerprint: Fingerprint
    amount: Cents
    cash_after: Cents
    description: str
    postings: tuple[Posting, ...]

    def spends(self) -> SpentKey | None:
        return spent(operators_of(self.originator_id), self.request_key, self.fingerprint)

    def apply(self, aggregate: Any) -> None:
        aggregate.cash = self.cash_after


@topic
class CashDeposited(CashMoved, frozen=True, array_like=True, gc=False):
    """Cash came in from outside."""

    TOPIC = "account.deposited.v1"


@topic
class CashWithdrawn(CashMoved, frozen=True, array_like=True, gc=False):
    """Cash went out."""

    TOPIC = "account.withdrawn.v1"


@topic
class FeeCharged(CashMoved, frozen=True, array_like=True, gc=False):
    """The house took a fee outside any trade."""

    TOPIC = "account.fee_charged.v1"


@topic
class MarginReserved(AccountEvent, frozen=True, array_like=True, gc=False):
    """Buying power is held for a working order."""

    TOPIC = "account.margin_reserved.v1"
    order_id: OrderId
    amount: Cents
    held_after: Cents

    def apply(self, aggregate: Any) -> None:
        aggregate.held = self.held_after


@topic
class MarginReleased(AccountEvent, frozen=True, array_like=True, gc=False):
    """Held buying power is free again because the order shrank or ended."""

    TOPIC = "account.margin_released.v1"
    order_id: OrderId
    amount: Cents
    held_after: Cents

    def apply(self, aggregate: Any) -> None:
        aggregate.held = self.held_after


@topic
class TradeBooked(AccountEvent, frozen=True, array_like=True, gc=False):
    """One side of a trade in the account's books; the hold it uses up, `released`, is converted.

    `unsettled_after` is receivable less payable; `unpaid_after` the part of the payable that
    unsettled proceeds stand for. `notional` is what the account posts: the rounded
    `traded_value_after` less the one before, so that of all its trades together no more than
    half a cent is missing or too much. `commission_after` is the exact commission of all trades in
    1e-24 USD as digits, `commissions_after` what of it is posted: the next trade posts the
    rounded difference. `month_qty_after` is what was traded in a month so far;
    a corrected trade was counted when it was made.
    """

    TOPIC = "account.trade_booked.v1"
    instrument_id: InstrumentId
    order_id: OrderId
    trade_id: TradeId
    side: SideCode
    qty: Qty
    price: Price
    price_decimals: Decimals
    notional: Cents
    fee: Cents
    session_date: Day
    value_date: Day
    cash_after: Cents
    unsettled_after: Cents
    held_after: Cents
    postings: tuple[Posting, ...]
    receivable_after: Cents = 0
    unpaid_after: Cents = 0
    released: Cents = 0
    commission_after: ExactUsd = "0"
    commissions_after: Cents = 0
    month_qty_after: Qty = 0
    unpaid_qty: Qty = 0
    """How much of the quantity may not be sold before this purchase settles."""
    month_after: Month = 0
    """The month that `month_qty_after` counts, as 202611."""
    traded_value_after: ExactUsd = "0"
    """What all it sold was worth less what it bought; before this was kept, each trade was
    rounded alone and left nothing over.
    """
    due: DueAsCode = int(DueAs.AS_POSTED)
    """As what it is due until it settles: a purchase is paid, a sale is received."""
    traded_value: ExactUsd = "0"
    """What it is worth, exactly; of a trade that is due as posted this is not said."""
    commission: ExactUsd = "0"
    """What it costs, exactly."""
    multiplier: Number = 1
    """Of its instrument: the trade is worth price times quantity times this."""

    def apply(self, aggregate: Any) -> None:
        aggregate.cash = self.cash_after
        aggregate.unsettled = self.unsettled_after
        aggregate.held = self.held_after
        aggregate.receivable = self.receivable_after
        aggregate.unpaid = self.unpaid_after
        aggregate.commission = from_digits(self.commission_after)
        aggregate.commissions = self.commissions_after
        aggregate.month = self.month_after
        aggregate.month_qty = self.month_qty_after
        aggregate.traded_value = from_digits(self.traded_value_after)


@topic
class TradeReversed(AccountEvent, frozen=True, array_like=True, gc=False):
    """A booked trade side undone by opposite postings: `reason` is bust or correct.

    `value_date` says in which obligation: the trade's own while that is open, else a new one.
    """

    TOPIC = "account.trade_reversed.v1"
    instrument_id: InstrumentId
    order_id: OrderId
    trade_id: TradeId
    reason: str
    side: SideCode
    qty: Qty
    price: Price
    price_decimals: Decimals
    notional: Cents
    fee: Cents
    cash_after: Cents
    unsettled_after: Cents
    postings: tuple[Posting, ...]
    receivable_after: Cents = 0
    unpaid_after: Cents = 0
    commission_after: ExactUsd = "0"
    commissions_after: Cents = 0
    value_date: Day = 0
    unpaid_qty: Qty = 0
    traded_value_after: ExactUsd = "0"
    due: DueAsCode = int(DueAs.AS_POSTED)
    traded_value: ExactUsd = "0"
    commission: ExactUsd = "0"
    """What is given back, exactly."""
    multiplier: Number = 1

    def apply(self, aggregate: Any) -> None:
        aggregate.cash = self.cash_after
        aggregate.unsettled = self.unsettled_after
        aggregate.receivable = self.receivable_after
        aggregate.unpaid = self.unpaid_after
        aggregate.commission = from_digits(self.commission_after)
        aggregate.commissions = self.commissions_after
        aggregate.traded_value = from_digits(self.traded_value_after)


@topic
class AccountSettled(AccountEvent, frozen=True, array_like=True, gc=False):
    """An obligation was settled: what was due either way is cash now."""

    TOPIC = "account.settled.v1"
    settlement_id: SettlementId
    instrument_id: InstrumentId
    value_date: Day
    amount: Cents
    """Net cash, signed as the account sees it."""
    cash_after: Cents
    unsettled_after: Cents
    receivable_after: Cents
    unpaid_after: Cents
    postings: tuple[Posting, ...]

    def apply(self, aggregate: Any) -> None:
        aggregate.cash = self.cash_after
        aggregate.unsettled = self.unsettled_after
        aggregate.receivable = self.receivable_after
        aggregate.unpaid = self.unpaid_after


@topic
class AccountDayClosed(AccountEvent, frozen=True, array_like=True, gc=False):
    """What an account was worth when its day was over: `cash` is settled, `unsettled` what its
    trades still bring, net; the values of holdings are at the marks of the day's end.
    """

    TOPIC = "account.day_closed.v1"
    session_date: Day
    equity: Cents
    cash: Cents
    unsettled: Cents
    long_value: Cents
    short_value: Cents
    """Positive."""

    def apply(self, aggregate: Any) -> None:
        aggregate.closed_day = self.session_date


@topic
class CloseAllTaken(AccountEvent, frozen=True, array_like=True, gc=False):
    """A request to close all positions was taken, or its next step: what the rest of its command
    does. So many orders are `canceled` first; then so many positions are `closed`, each by an
    order or a refusal, of those behind the first `passed` in the order of their first touch.
    """

    TOPIC = "account.close_all_taken.v1"
    request_key: Key
    fingerprint: Fingerprint
    canceled: Number
    closed: Number
    passed: Number
    passed_after: Number
    remaining: bool

    def spends(self) -> SpentKey | None:
        return spent(self.originator_id, self.request_key, self.fingerprint)

    def apply(self, aggregate: Any) -> None:
        pass


@topic
class RequestRefused(AccountEvent, frozen=True, array_like=True, gc=False):
    """A cancel, replace, deposit or withdrawal that was refused; an order's refusal is its own."""

    TOPIC = "account.request_refused.v1"
    OF_OPERATORS: ClassVar[frozenset[str]] = frozenset(
        ("deposit", "withdraw", "charge_fee", "transfer_position")
    )
    """What operators ask for about an account, as `request` names it."""
    request_key: Key
    fingerprint: Fingerprint
    request: str
    target_id: str
    code: str
    message: str
    details: dict[str, Any]
    order_id: OrderId = NO_ID
    """The order that a cancel or a replace was found to be about; nil where none was."""

    def spends(self) -> SpentKey | None:
        whose = self.originator_id
        if self.request in self.OF_OPERATORS:
            whose = operators_of(whose)
        return spent(whose, self.request_key, self.fingerprint)

    def apply(self, aggregate: Any) -> None:
        pass
