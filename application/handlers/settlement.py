"""Settle what is due: each account against the house, delivery versus payment."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any

from application.commands import Reply, Settle
from application.desk import Desk
from domain.account import Account
from domain.decision import Decision
from domain.errors import InvalidField
from domain.money import QTY_SCALE, USD_SCALE, to_text
from domain.settlement import (
    AWAITING_DELIVERY,
    CASH,
    SECURITIES,
    Obligation,
    ObligationKey,
    Settlement,
)

CHUNK = 200

Due = tuple[ObligationKey, Obligation]


def settle(desk: Desk, decision: Decision, cmd: Settle, _: bytes) -> Reply:
    """Settle what can settle, and record what else is due as failed, at most `limit` in all.

    Failures are recorded only when nothing more can settle: once for a run date and reason,
    so that the same command again changes nothing. The reply says whether more remains.
    """
    _check_date(cmd.run_date)
    limit = max(1, min(cmd.limit, CHUNK))
    due = _due(desk, cmd.run_date)
    settled = failed = 0
    for key, owed in _settleable(desk, due):
        if settled == limit:
            return _reply(desk, decision, settled, failed, due, remaining=True)
        _settle(desk, decision, cmd.run_date, key, owed)
        settled += 1
    for key, owed in _unrecorded(desk, due, cmd.run_date):
        if settled + failed == limit:
            return _reply(desk, decision, settled, failed, due, remaining=True)
        _fail(desk, decision, cmd.run_date, key, owed)
        failed += 1
    return _reply(desk, decision, settled, failed, due, remaining=False)


def shortage(desk: Desk, key: ObligationKey, owed: Obligation) -> str:
    """Why an obligation cannot settle now, and nothing when it can.

    Margin accounts pay out of credit and deliver borrowed shares; nobody receives what
    others have not delivered.
    """
    account = desk.accounts[key.account_id]
    if not account.is_margin:
        held = desk.positions[key.account_id, key.instrument_id].settled
        if held + owed.qty < min(held, 0):
            return SECURITIES
        if account.cash + owed.amount < min(account.cash, 0):
            return CASH
    if owed.qty > desk.pool.get(key.instrument_id, 0):
        return AWAITING_DELIVERY
    return ""


def _check_date(run_date: int) -> None:
    year, month_and_day = divmod(run_date, 10_000)
    try:
        date(year, *divmod(month_and_day, 100))
    except (ValueError, OverflowError):
        raise InvalidField("run_date", "is not a date as 20261120") from None


def _due(desk: Desk, run_date: int) -> list[Due]:
    """What is due by a date, in the one order that does not depend on how the desk was built.

    Those that deliver come before those that receive; then the earlier value date, the
    account opened first, the instrument listed first.
    """
    due = [(key, owed) for key, owed in desk.obligations.items() if key.value_date <= run_date]
    due.sort(key=_rank)
    return due


def _rank(due: Due) -> tuple[bool, int, int, int]:
    (account_id, instrument_id, value_date), owed = due
    return owed.qty > 0, value_date, account_id.int, instrument_id.int


def _settleable(desk: Desk, due: list[Due]) -> Iterator[Due]:
    """What can settle, going through it again while what settled may have let others."""
    found = True
    while found:
        found = False
        for key, owed in due:
            if key in desk.obligations and not shortage(desk, key, owed):
                found = True
                yield key, owed


def _unrecorded(desk: Desk, due: list[Due], run_date: int) -> Iterator[Due]:
    """What is due still and not on record as failed on this date for the reason it has now."""
    for key, owed in due:
        if key in desk.obligations:
            known = desk.settlements.get(key)
            now = run_date, shortage(desk, key, owed)
            if known is None or (known.run_date, known.reason) != now:
                yield key, owed


def _settle(
    desk: Desk, decision: Decision, run_date: int, key: ObligationKey, owed: Obligation
) -> None:
    account = desk.accounts[key.account_id]
    position = desk.positions[key.account_id, key.instrument_id]
    pool_after = desk.pool.get(key.instrument_id, 0) - owed.qty
    settlement = desk.settlements.get(key) or Settlement.of(decision, key)
    settlement.settle(decision, run_date, owed, pool_after)
    decision.causation = decision.last_position()
    account.settle(
        decision,
        settlement.id,
        key.instrument_id,
        key.value_date,
        owed.bought_amount,
        owed.sold_amount,
        owed.unpaid_amount,
    )
    position.settle(decision, settlement.id, key.value_date, owed.qty, owed.unpaid_qty)
    decision.causation = 0
    desk.settled(settlement, pool_after)


def _fail(
    desk: Desk, decision: Decision, run_date: int, key: ObligationKey, owed: Obligation
) -> None:
    settlement = desk.settlements.get(key) or Settlement.of(decision, key)
    settlement.fail(decision, run_date, owed, shortage(desk, key, owed))
    desk.settlements[key] = settlement


def _reply(
    desk: Desk, decision: Decision, settled: int, failed: int, due: list[Due], *, remaining: bool
) -> Reply:
    """How many of each, how many are due still, and which, when no command can do more."""
    left = [(key, owed) for key, owed in due if key in desk.obligations]
    result: dict[str, Any] = {
        "settled": settled,
        "failed": failed,
        "remaining": remaining,
        "unsettled": len(left),
    }
    if not remaining:
        result["short"] = [_short(desk, key, owed) for key, owed in left[:CHUNK]]
    position = decision.last_position() if decision.events else desk.position
    return Reply(position, result=result)


def _short(desk: Desk, key: ObligationKey, owed: Obligation) -> dict[str, Any]:
    account: Account = desk.accounts[key.account_id]
    return {
        "account": account.name,
        "account_id": str(account.id),
        "symbol": desk.markets[key.instrument_id].instrument.symbol,
        "value_date": key.value_date,
        "qty": to_text(owed.qty, QTY_SCALE),
        "amount": to_text(owed.amount, USD_SCALE),
        "reason": shortage(desk, key, owed),
    }
