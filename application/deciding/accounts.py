"""Open accounts, set what they may do, move cash and settled quantity in and out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from application.commands import (
    ChargeFee,
    Deposit,
    OpenAccount,
    Reply,
    SetAccountLimits,
    SetAccountStatus,
    TransferPosition,
    Withdraw,
)
from application.deciding.trades import follow_up
from application.desk.desk import Desk
from domain.account import Account
from domain.decision import Decision
from domain.errors import (
    AccountExists,
    InsufficientCash,
    InvalidAmount,
    InvalidField,
    Rejection,
)
from domain.margin import free_margin, requirement
from domain.matching.engine import Market
from domain.money import USD_SCALE, notional_up, to_text
from domain.position import Position
from domain.risk import MAX_NOTIONAL, check_buying_power
from domain.terms import AccountKind, AccountStatus


def open_account(desk: Desk, decision: Decision, cmd: OpenAccount, _: bytes) -> Reply:
    """Open an account; the same name and terms again give the account that is there."""
    if not cmd.name:
        raise InvalidField("name", "is empty")
    if cmd.kind not in frozenset(map(int, AccountKind)):
        raise InvalidField("kind", "is neither cash nor margin")
    if not 0 <= cmd.max_order_notional <= MAX_NOTIONAL:
        raise InvalidField("max_order_notional", "is negative or too large")
    owner = cmd.owner or cmd.name
    known = desk.account_names.get(cmd.name)
    if known is not None:
        if (known.owner, known.kind) != (owner, cmd.kind):
            raise AccountExists(cmd.name)
        return Reply(desk.position, result={"account_id": str(known.id)}, duplicate=True)
    number = len(desk.accounts) + 1
    account = Account.open(
        decision,
        decision.new_id(),
        cmd.name,
        owner,
        number,
        desk.owners.get(owner, number),
        cmd.kind,
        cmd.max_order_notional,
    )
    desk.add_account(account)
    return Reply(decision.last_position(), result={"account_id": str(account.id)})


def set_account_status(desk: Desk, decision: Decision, cmd: SetAccountStatus, _: bytes) -> Reply:
    """Say what an account may do."""
    account = desk.account(cmd.account_id)
    if cmd.status not in frozenset(map(int, AccountStatus)):
        raise InvalidField("status", "is not known")
    if cmd.status == account.status:
        return Reply(desk.position, result={"account_id": str(account.id)}, duplicate=True)
    account.set_status(decision, cmd.status, cmd.reason)
    return Reply(decision.last_position(), result={"account_id": str(account.id)})


def set_account_limits(desk: Desk, decision: Decision, cmd: SetAccountLimits, _: bytes) -> Reply:
    """Set the account's own limits."""
    account = desk.account(cmd.account_id)
    if not 0 <= cmd.max_order_notional <= MAX_NOTIONAL:
        raise InvalidField("max_order_notional", "is negative or too large")
    if not 0 <= cmd.max_orders_per_second <= 1_000_000:
        raise InvalidField("max_orders_per_second", "is negative or too large")
    account.set_limits(decision, cmd.max_order_notional, cmd.max_orders_per_second)
    if not cmd.max_orders_per_second:
        desk.order_rates.pop(account.id, None)
    return Reply(decision.last_position(), result={"account_id": str(account.id)})


def deposit(desk: Desk, decision: Decision, cmd: Deposit, fingerprint: bytes) -> Reply | None:
    """Bring cash in, or record why not."""
    account = desk.account(cmd.account_id)
    _move(account, decision, cmd, fingerprint, "deposit", account.deposit)
    return None


def withdraw(desk: Desk, decision: Decision, cmd: Withdraw, fingerprint: bytes) -> Reply | None:
    """Take free cash out, or record why not."""
    account = desk.account(cmd.account_id)
    _move(account, decision, cmd, fingerprint, "withdraw", account.withdraw, _free(desk, account))
    return None


def charge_fee(desk: Desk, decision: Decision, cmd: ChargeFee, fingerprint: bytes) -> Reply | None:
    """Let the house take a fee, or record why not."""
    account = desk.account(cmd.account_id)
    _move(account, decision, cmd, fingerprint, "charge_fee", account.charge_fee)
    return None


def _move(
    account: Account,
    decision: Decision,
    cmd: Deposit | Withdraw | ChargeFee,
    fingerprint: bytes,
    request: str,
    move: Callable[[Decision, int, str, bytes, str], None],
    free: int | None = None,
) -> None:
    try:
        if not 0 < cmd.amount <= MAX_NOTIONAL:
            raise InvalidAmount("amount", to_text(cmd.amount, USD_SCALE), "is out of range")
        if free is not None and cmd.amount > free:
            raise InsufficientCash(to_text(cmd.amount, USD_SCALE), to_text(free, USD_SCALE))
        move(decision, cmd.amount, cmd.request_key, fingerprint, cmd.description)
    except Rejection as refusal:
        _refuse(account, decision, cmd, fingerprint, request, refusal)


def _free(desk: Desk, account: Account) -> int | None:
    """What a margin account may give away without its positions losing their cover."""
    if not account.is_margin:
        return None
    return max(0, free_margin(account, desk.margin(account.id)))


def transfer_position(
    desk: Desk, decision: Decision, cmd: TransferPosition, fingerprint: bytes
) -> Reply | None:
    """Bring settled quantity in or out, or record why not."""
    account = desk.account(cmd.account_id)
    try:
        market = desk.market(cmd.symbol)
        if cmd.qty == 0 or cmd.qty % market.instrument.lot:
            raise InvalidField("qty", "is zero or not a multiple of the lot")
        if abs(cmd.cost) > MAX_NOTIONAL:
            raise InvalidAmount("cost", to_text(cmd.cost, USD_SCALE), "is out of range")
        known = desk.positions.get((account.id, market.instrument.id))
        if known is None and cmd.qty < 0:
            raise InvalidField("qty", "is more than the account holds")
        (known or Position.blank(account.id, 0)).check_transfer(cmd.qty, cmd.cost)
        if cmd.qty < 0 and account.is_margin:
            _check_cover(desk, account, market, -cmd.qty)
        position = known or desk.open_position(decision, account.id, market.instrument.id)
        qty_before = position.qty
        position.transfer(
            decision, cmd.qty, cmd.cost, cmd.request_key, fingerprint, cmd.description
        )
    except Rejection as refusal:
        _refuse(account, decision, cmd, fingerprint, "transfer_position", refusal)
        return None
    if position.overreserved(qty_before):
        # What covers a short leaves less of it for its exits to buy back.
        desk.reactions.append(("shrank", position, 0))
        follow_up(desk, decision, market.instrument.id)
    return None


def _check_cover(desk: Desk, account: Account, market: Market, qty: int) -> None:
    """What leaves a margin account must not be what covers the rest."""
    terms = market.instrument
    decimals = terms.price_decimals
    value = notional_up(market.mark, qty, decimals)
    covered = requirement(market.mark, qty, decimals, terms.initial_margin_bps)
    check_buying_power(free_margin(account, desk.margin(account.id)), value - covered)


def _refuse(
    account: Account,
    decision: Decision,
    cmd: Any,
    fingerprint: bytes,
    request: str,
    refusal: Rejection,
) -> None:
    account.refuse(
        decision,
        cmd.request_key,
        fingerprint,
        request,
        str(account.id),
        refusal.code,
        refusal.message,
        {"field": refusal.field, **refusal.details},
    )
