"""Settle what is due: each account against the house, delivery versus payment."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from typing import Any, NamedTuple
from uuid import UUID

from application.commands import Reply, Settle
from application.deciding.step import Step
from application.desk.accounts import Accounts
from application.desk.desk import Desk
from domain.account import Account
from domain.errors import InvalidField
from domain.money import QTY_SCALE, USD_SCALE, to_text
from domain.obligation import Obligation, ObligationKey
from domain.settlement import (
    AWAITING_DELIVERY,
    AWAITING_RECEIPT,
    CASH,
    LARGEST_POOL,
    SECURITIES,
    Attempt,
    House,
    Settlement,
)

CHUNK = 200


class Due(NamedTuple):
    """One obligation whose date has come."""

    key: ObligationKey
    owed: Obligation


def settle(step: Step, cmd: Settle) -> Reply:
    """Settle what can settle, and record what else is due as failed, at most `limit` in all.

    What settles only together is not parted for the limit. Failures are recorded only when
    nothing more can settle: once for a run date and reason, so that the same command again
    changes nothing. The reply says whether more remains.
    """
    _check_date(cmd.run_date)
    limit = max(1, min(cmd.limit, CHUNK))
    due = DueObligations(step.desk.accounts, cmd.run_date)
    settled = failed = 0
    for together in due.settleable():
        if settled and settled + len(together) > limit:
            return _reply(step, settled, failed, due, remaining=True)
        for one in together:
            _settle(step, _attempt(step, cmd.run_date, one), len(together))
            due.settled(one)
        settled += len(together)
    for one in due.unrecorded():
        if settled + failed >= limit:
            return _reply(step, settled, failed, due, remaining=True)
        _fail(step, _attempt(step, cmd.run_date, one))
        failed += 1
    return _reply(step, settled, failed, due, remaining=False)


def shortage(accounts: Accounts, due: Sequence[Due]) -> str:
    """Why some obligations of one account in one instrument cannot settle together now.

    Nothing when they can. Margin accounts pay out of credit and deliver borrowed shares;
    nobody receives what others have not delivered, nor delivers more than the house can hold.
    """
    account_id, instrument_id, _ = due[0].key
    qty = sum(owed.qty for _, owed in due)
    account = accounts.by_id[account_id.int]
    if not account.is_margin:
        amount = account.settling(*[owed for _, owed in due]).amount
        if qty < 0 and accounts.positions[account_id.int, instrument_id.int].settled + qty < 0:
            return SECURITIES
        if amount < 0 and account.cash + amount < 0:
            return CASH
    pool = accounts.pool.get(instrument_id, 0)
    if qty > pool:
        return AWAITING_DELIVERY
    return AWAITING_RECEIPT if qty < 0 and pool - qty > LARGEST_POOL else ""


class DueObligations:
    """What is due by a date, in the order of the first trades; the same for equal desks."""

    def __init__(self, accounts: Accounts, run_date: int) -> None:
        self._accounts = accounts
        self._run_date = run_date
        self._due = [
            Due(key, owed)
            for key, owed in accounts.obligations.items()
            if key.value_date <= run_date
        ]
        self._settled: set[int] = set()

    def settled(self, due: Due) -> None:
        """Take out what was settled."""
        self._settled.add(id(due.owed))

    @property
    def left(self) -> list[Due]:
        """What is due still."""
        gone = self._settled
        return [due for due in self._due if id(due.owed) not in gone] if gone else self._due

    def settleable(self) -> Iterator[Sequence[Due]]:
        """What can settle, going through it again while what settled may have let others.

        Those that deliver come before those that receive. When each alone is short, what is
        due of one account in one instrument may settle together: so nobody waits for shares
        that it owes to the house itself.
        """
        accounts = self._accounts
        found = True
        while found:
            found = False
            for receiving in (False, True):
                for due in self.left:
                    if (due.owed.qty > 0) is receiving and not shortage(accounts, (due,)):
                        found = True
                        yield (due,)
            if not found:
                for together in self._together():
                    if not shortage(accounts, together):
                        found = True
                        yield together

    def _together(self) -> list[list[Due]]:
        """What is left of those who have several value dates due, what delivers first."""
        found: dict[tuple[UUID, UUID], list[Due]] = {}
        for due in self.left:
            account_id, instrument_id, _ = due.key
            found.setdefault((account_id, instrument_id), []).append(due)
        several = [together for together in found.values() if len(together) > 1]
        for together in several:
            together.sort(key=lambda due: due.owed.qty)
        return several

    def unrecorded(self) -> Iterator[Due]:
        """What is not on record as failed on this date for the reason it has now."""
        accounts = self._accounts
        for due in self.left:
            known = accounts.settlements.get(due.key)
            now = self._run_date, shortage(accounts, (due,))
            if known is None or (known.run_date, known.reason) != now:
                yield due


def _check_date(run_date: int) -> None:
    year, month_and_day = divmod(run_date, 10_000)
    try:
        date(year, *divmod(month_and_day, 100))
    except (ValueError, OverflowError):
        raise InvalidField("run_date", "is not a date as 20261120") from None


def _attempt(step: Step, run_date: int, due: Due) -> Attempt:
    key, owed = due
    account = step.desk.accounts.by_id[key.account_id.int]
    return Attempt(key, run_date, owed, account.settling(owed))


def _settle(step: Step, attempt: Attempt, together: int) -> None:
    accounts = step.desk.accounts
    key, _, owed, moved = attempt
    account = accounts.by_id[key.account_id.int]
    position = accounts.positions[key.account_id.int, key.instrument_id.int]
    pool_after = accounts.pool.get(key.instrument_id, 0) - owed.qty
    settlement = Settlement.settle(
        step, accounts.settlements.get(key), attempt, House(pool_after, together)
    )
    step.causation = step.last_position()
    account.settle(step, settlement.id, key, moved, owed.unpaid_amount)
    position.settle(step, settlement.id, key.value_date, owed.qty, owed.unpaid_qty)
    step.causation = 0


def _fail(step: Step, attempt: Attempt) -> None:
    accounts = step.desk.accounts
    known = accounts.settlements.get(attempt.key)
    reason = shortage(accounts, (Due(attempt.key, attempt.owed),))
    Settlement.fail(step, known, attempt, reason)


def _reply(step: Step, settled: int, failed: int, due: DueObligations, *, remaining: bool) -> Reply:
    """How many of each, how many are due still, and which, when no command can do more."""
    left = due.left
    result: dict[str, Any] = {
        "settled": settled,
        "failed": failed,
        "remaining": remaining,
        "unsettled": len(left),
    }
    if not remaining:
        result["short"] = [_short(step.desk, one) for one in left[:CHUNK]]
    return Reply(step.position, result=result)


def _short(desk: Desk, due: Due) -> dict[str, Any]:
    key, owed = due
    account: Account = desk.accounts.by_id[key.account_id.int]
    return {
        "account": account.name,
        "account_id": str(account.id),
        "symbol": desk.markets.by_id[key.instrument_id.int].instrument.symbol,
        "value_date": key.value_date,
        "qty": to_text(owed.qty, QTY_SCALE),
        "amount": to_text(account.settling(owed).amount, USD_SCALE),
        "reason": shortage(desk.accounts, (due,)),
    }
