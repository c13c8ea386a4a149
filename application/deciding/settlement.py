"""Settle what is due: each account against the house, delivery versus payment."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from typing import Any
from uuid import UUID

from application.commands import Reply, Settle
from application.desk.desk import Desk
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

    What settles only together is not parted for the limit. Failures are recorded only when
    nothing more can settle: once for a run date and reason, so that the same command again
    changes nothing. The reply says whether more remains.
    """
    _check_date(cmd.run_date)
    limit = max(1, min(cmd.limit, CHUNK))
    due = Book(desk, cmd.run_date)
    settled = failed = 0
    for together in due.settleable():
        if settled and settled + len(together) > limit:
            return _reply(desk, decision, settled, failed, due, remaining=True)
        for one in together:
            _settle(desk, decision, cmd.run_date, *one, len(together))
            due.settled(one)
        settled += len(together)
    for one in due.unrecorded():
        if settled + failed >= limit:
            return _reply(desk, decision, settled, failed, due, remaining=True)
        _fail(desk, decision, cmd.run_date, *one)
        failed += 1
    return _reply(desk, decision, settled, failed, due, remaining=False)


def shortage(desk: Desk, due: Sequence[Due]) -> str:
    """Why some obligations of one account in one instrument cannot settle together now.

    Nothing when they can. Margin accounts pay out of credit and deliver borrowed shares;
    nobody receives what others have not delivered.
    """
    account_id, instrument_id, _ = due[0][0]
    qty = sum(owed.qty for _, owed in due)
    amount = sum(owed.amount for _, owed in due)
    account = desk.accounts[account_id]
    if not account.is_margin:
        if qty < 0 and desk.positions[account_id, instrument_id].settled + qty < 0:
            return SECURITIES
        if amount < 0 and account.cash + amount < 0:
            return CASH
    return AWAITING_DELIVERY if qty > desk.pool.get(instrument_id, 0) else ""


class Book:
    """What is due by a date, in the order of the first trades; the same for equal desks."""

    def __init__(self, desk: Desk, run_date: int) -> None:
        self._desk = desk
        self._run_date = run_date
        self._due = [due for due in desk.obligations.items() if due[0][2] <= run_date]
        self._settled: set[int] = set()

    def settled(self, due: Due) -> None:
        """Take out what was settled."""
        self._settled.add(id(due[1]))

    @property
    def left(self) -> list[Due]:
        """What is due still."""
        gone = self._settled
        return [due for due in self._due if id(due[1]) not in gone] if gone else self._due

    def settleable(self) -> Iterator[Sequence[Due]]:
        """What can settle, going through it again while what settled may have let others.

        Those that deliver come before those that receive. When each alone is short, what is
        due of one account in one instrument may settle together: so nobody waits for shares
        that it owes to the house itself.
        """
        desk = self._desk
        found = True
        while found:
            found = False
            for receiving in (False, True):
                for due in self.left:
                    if (due[1].qty > 0) is receiving and not shortage(desk, (due,)):
                        found = True
                        yield (due,)
            if not found:
                for together in self._together():
                    if not shortage(desk, together):
                        found = True
                        yield together

    def _together(self) -> list[list[Due]]:
        """What is left of those who have several value dates due, what delivers first."""
        found: dict[tuple[UUID, UUID], list[Due]] = {}
        for due in self.left:
            account_id, instrument_id, _ = due[0]
            found.setdefault((account_id, instrument_id), []).append(due)
        several = [together for together in found.values() if len(together) > 1]
        for together in several:
            together.sort(key=lambda due: due[1].qty)
        return several

    def unrecorded(self) -> Iterator[Due]:
        """What is not on record as failed on this date for the reason it has now."""
        desk = self._desk
        for due in self.left:
            known = desk.settlements.get(due[0])
            now = self._run_date, shortage(desk, (due,))
            if known is None or (known.run_date, known.reason) != now:
                yield due


def _check_date(run_date: int) -> None:
    year, month_and_day = divmod(run_date, 10_000)
    try:
        date(year, *divmod(month_and_day, 100))
    except (ValueError, OverflowError):
        raise InvalidField("run_date", "is not a date as 20261120") from None


def _settle(
    desk: Desk,
    decision: Decision,
    run_date: int,
    key: ObligationKey,
    owed: Obligation,
    together: int,
) -> None:
    account = desk.accounts[key.account_id]
    position = desk.positions[key.account_id, key.instrument_id]
    pool_after = desk.pool.get(key.instrument_id, 0) - owed.qty
    settlement = desk.settlements.get(key) or Settlement.of(decision, key)
    settlement.settle(decision, run_date, owed, pool_after, together)
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
    settlement.fail(decision, run_date, owed, shortage(desk, ((key, owed),)))
    desk.settlements[key] = settlement


def _reply(
    desk: Desk,
    decision: Decision,
    settled: int,
    failed: int,
    due: Book,
    *,
    remaining: bool,
) -> Reply:
    """How many of each, how many are due still, and which, when no command can do more."""
    left = due.left
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
        "reason": shortage(desk, ((key, owed),)),
    }
