"""Open accounts, set what they may do, move cash and settled quantity in and out."""

from __future__ import annotations

from collections.abc import Callable

from application.commands import (
    ChargeFee,
    Deposit,
    ForgetOwner,
    OpenAccount,
    Reply,
    SetAccountLimits,
    SetAccountStatus,
    TransferPosition,
    Withdraw,
)
from application.deciding.checks import check_buying_power, means
from application.deciding.option_holds import taken_out
from application.deciding.recording import Asked, done, open_position, refuse, unchanged
from application.deciding.step import Step
from domain.account import Account, AccountTerms
from domain.decision import Decision
from domain.errors import (
    AccountExists,
    InvalidAmount,
    InvalidField,
    Rejection,
)
from domain.means import Means
from domain.money import USD_SCALE, to_text
from domain.order_terms import Request
from domain.position import Moved, Position
from domain.risk import MAX_NOTIONAL, check_not_blocked, check_not_expired
from domain.sealed_name import subject_of
from domain.terms import AccountKind, AccountStatus

_KINDS = frozenset(map(int, AccountKind))
_STATUSES = frozenset(map(int, AccountStatus))


def open_account(step: Step, cmd: OpenAccount) -> Reply:
    """Open an account; the same name and terms again give the account that is there."""
    if not cmd.name:
        raise InvalidField("name", "is empty")
    if cmd.kind not in _KINDS:
        raise InvalidField("kind", "is neither cash nor margin")
    if not 0 <= cmd.max_order_notional <= MAX_NOTIONAL:
        raise InvalidField("max_order_notional", "is negative or too large")
    accounts = step.desk.accounts
    owner = cmd.owner or cmd.name
    known = accounts.by_name.get(cmd.name)
    if known is not None:
        if (known.owner, known.kind) != (owner, cmd.kind):
            raise AccountExists(cmd.name)
        return unchanged(step, _named(known))
    number = len(accounts.by_id) + 1
    owner_number = accounts.owners.get(owner, number)
    terms = AccountTerms(cmd.name, owner, number, owner_number, cmd.kind, cmd.max_order_notional)
    return done(step, _named(Account.open(step, step.new_id(), terms)))


def forget_owner(step: Step, cmd: ForgetOwner) -> Reply:
    """Say of every account of an owner that his name cannot be read any more."""
    account = step.desk.accounts.account(cmd.account_id)
    subject = subject_of(account.owner)
    if subject is None:
        raise InvalidField(
            "account_id", "is of an owner whose name was written before names were sealed"
        )
    if account.owner_forgotten:
        return unchanged(step, _named(account))
    for other in step.desk.accounts.of_owner(account.owner):
        other.forget_owner(step, subject, cmd.reason)
    return done(step, _named(account))


def set_account_status(step: Step, cmd: SetAccountStatus) -> Reply:
    """Say what an account may do."""
    account = step.desk.accounts.account(cmd.account_id)
    if cmd.status not in _STATUSES:
        raise InvalidField("status", "is not known")
    if cmd.status == account.status:
        return unchanged(step, _named(account))
    account.set_status(step, cmd.status, cmd.reason)
    return done(step, _named(account))


def set_account_limits(step: Step, cmd: SetAccountLimits) -> Reply:
    """Set the account's own limits."""
    account = step.desk.accounts.account(cmd.account_id)
    if not 0 <= cmd.max_order_notional <= MAX_NOTIONAL:
        raise InvalidField("max_order_notional", "is negative or too large")
    if not 0 <= cmd.max_orders_per_second <= 1_000_000:
        raise InvalidField("max_orders_per_second", "is negative or too large")
    account.set_limits(step, cmd.max_order_notional, cmd.max_orders_per_second)
    return done(step, _named(account))


def deposit(step: Step, cmd: Deposit) -> None:
    """Bring cash in, or record why not."""
    account = step.desk.accounts.account(cmd.account_id)
    _move(step, account, cmd, "deposit", account.deposit)


def withdraw(step: Step, cmd: Withdraw) -> None:
    """Take free cash out, or record why not."""
    account = step.desk.accounts.account(cmd.account_id)
    _move(step, account, cmd, "withdraw", account.withdraw, means(step.desk, account))


def charge_fee(step: Step, cmd: ChargeFee) -> None:
    """Let the house take a fee, or record why not."""
    account = step.desk.accounts.account(cmd.account_id)
    _move(step, account, cmd, "charge_fee", account.charge_fee)


def _move(
    step: Step,
    account: Account,
    cmd: Deposit | Withdraw | ChargeFee,
    name: str,
    move: Callable[[Decision, int, Request, str], None],
    means: Means | None = None,
) -> None:
    request = Request(cmd.request_key, step.fingerprint)
    try:
        if not 0 < cmd.amount <= MAX_NOTIONAL:
            raise InvalidAmount("amount", to_text(cmd.amount, USD_SCALE), "is out of range")
        if means is not None:
            check_not_blocked(account)
            means.check_withdrawal(cmd.amount)
        move(step, cmd.amount, request, cmd.description)
    except Rejection as refusal:
        refuse(step, account, Asked(name, str(account.id), request), refusal)


def transfer_position(step: Step, cmd: TransferPosition) -> None:
    """Bring settled quantity in or out, or record why not."""
    desk = step.desk
    account = desk.accounts.account(cmd.account_id)
    request = Request(cmd.request_key, step.fingerprint)
    try:
        market = desk.markets.named(cmd.symbol)
        check_not_expired(market.instrument)
        if cmd.qty > 0 and market.instrument.is_option:
            raise InvalidField("qty", "of an option may not come in: nobody here has written it")
        if cmd.qty == 0 or cmd.qty % market.instrument.lot:
            raise InvalidField("qty", "is zero or not a multiple of the lot")
        if abs(cmd.cost) > MAX_NOTIONAL:
            raise InvalidAmount("cost", to_text(cmd.cost, USD_SCALE), "is out of range")
        known = desk.accounts.positions.get((account.id.int, market.instrument.id.int))
        if known is None and cmd.qty < 0:
            raise InvalidField("qty", "is more than the account holds")
        (known or Position.blank(account.id, 0)).check_transfer(cmd.qty, cmd.cost)
        if cmd.qty < 0:
            check_not_blocked(account)
        if cmd.qty < 0 and account.is_margin:
            # What leaves must not be what covers the rest.
            check_buying_power(desk, account, taken_out(desk, account, market, -cmd.qty))
    except Rejection as refusal:
        refuse(step, account, Asked("transfer_position", str(account.id), request), refusal)
        return
    position = open_position(step, account.id, market.instrument.id)
    # What covers a short leaves less of it for its exits to buy back.
    terms = market.instrument
    moved = Moved(cmd.qty, cmd.cost, market.mark, terms.price_decimals, terms.multiplier)
    position.transfer(step, moved, request, cmd.description)
    step.until_quiet()


def _named(account: Account) -> dict[str, str]:
    return {"account_id": str(account.id)}
