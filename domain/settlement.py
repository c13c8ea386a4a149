"""The attempts to settle what an account owes and is owed on one value date."""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple
from uuid import UUID

from domain.aggregate import Aggregate, aggregate
from domain.decision import Decision
from domain.events import SettlementFailed, SettlementSettled
from domain.identifiers import NO_ID
from domain.obligation import Obligation, ObligationKey

CASH = "CASH"
"""A cash account's cash does not reach for what it must pay."""
SECURITIES = "SECURITIES"
"""A cash account has not received, or has transferred away, what it must deliver."""
AWAITING_DELIVERY = "AWAITING_DELIVERY"
"""Others have not delivered to the house what the account is to receive."""


class Attempt(NamedTuple):
    """One attempt to settle one obligation."""

    key: ObligationKey
    run_date: int
    owed: Obligation


class Moved(NamedTuple):
    """What the house holds of the instrument afterwards, and how many dates settle as one."""

    pool_after: int
    together: int


class Settlement(Aggregate):
    """The attempts to settle one obligation; there is none before the first attempt."""

    KIND = "settlement"
    FIELDS: ClassVar[dict[str, Any]] = {
        "account_id": NO_ID,
        "instrument_id": NO_ID,
        "value_date": 0,
        "run_date": 0,
        "qty": 0,
        "amount": 0,
        "attempts": 0,
        "reason": "",
        "settled": False,
    }

    account_id: UUID
    instrument_id: UUID
    value_date: int
    run_date: int
    qty: int
    amount: int
    attempts: int
    reason: str
    settled: bool

    @classmethod
    def fail(
        cls, decision: Decision, known: Settlement | None, attempt: Attempt, reason: str
    ) -> None:
        """Say what is short; nothing moves. The first attempt makes the settlement."""
        values = (*attempt.key, attempt.run_date, attempt.owed.qty, attempt.owed.amount)
        if known is None:
            cls.begin(SettlementFailed, decision, decision.new_id(), *values, 1, reason)
        else:
            known.trigger(SettlementFailed, decision, *values, known.attempts + 1, reason)

    @classmethod
    def settle(
        cls, decision: Decision, known: Settlement | None, attempt: Attempt, moved: Moved
    ) -> Settlement:
        """Say that quantity and cash move; returns the settlement, which is over."""
        owed = attempt.owed
        values = (*attempt.key, attempt.run_date, owed.qty, owed.amount)
        gross = (owed.bought_qty, owed.sold_qty, owed.bought_amount, owed.sold_amount)
        if known is None:
            made: Settlement = cls.begin(
                SettlementSettled, decision, decision.new_id(), *values, 1, *gross, *moved
            )
            return made
        known.trigger(SettlementSettled, decision, *values, known.attempts + 1, *gross, *moved)
        return known

    @property
    def key(self) -> ObligationKey:
        """Whose obligation it settles."""
        return ObligationKey(self.account_id, self.instrument_id, self.value_date)


aggregate(Settlement)
