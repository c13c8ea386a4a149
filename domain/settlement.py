"""The attempts to settle what an account owes and is owed on one value date."""

from __future__ import annotations

from typing import NamedTuple
from uuid import UUID

from domain.aggregate import Aggregate, aggregate
from domain.decision import Decision, Header
from domain.events import SettlementFailed, SettlementSettled
from domain.identifiers import NO_ID
from domain.obligation import Moved, Obligation, ObligationKey

CASH = "CASH"
"""A cash account's cash does not reach for what it must pay."""
SECURITIES = "SECURITIES"
"""A cash account has not received, or has transferred away, what it must deliver."""
AWAITING_DELIVERY = "AWAITING_DELIVERY"
"""Others have not delivered to the house what the account is to receive."""
AWAITING_RECEIPT = "AWAITING_RECEIPT"
"""The house has as much as it can hold, until others receive what is theirs."""
LARGEST_POOL: int = 2**63 - 1
"""What the house can hold of one instrument between those who deliver and those who receive."""


class Attempt(NamedTuple):
    """One attempt to settle one obligation; `moved` are the cents that it moves."""

    key: ObligationKey
    run_date: int
    owed: Obligation
    moved: Moved


class House(NamedTuple):
    """What the house holds of the instrument afterwards, and how many dates settle as one."""

    pool_after: int
    together: int


class Settlement(Aggregate):
    """The attempts to settle one obligation; there is none before the first attempt."""

    KIND = "settlement"

    account_id: UUID = NO_ID
    instrument_id: UUID = NO_ID
    value_date: int = 0
    run_date: int = 0
    qty: int = 0
    amount: int = 0
    attempts: int = 0
    reason: str = ""
    settled: bool = False

    @classmethod
    def fail(
        cls, decision: Decision, known: Settlement | None, attempt: Attempt, reason: str
    ) -> None:
        """Say what is short; nothing moves. The first attempt makes the settlement."""
        event = SettlementFailed(
            *_head(decision, known),
            *attempt.key,
            run_date=attempt.run_date,
            qty=attempt.owed.qty,
            amount=attempt.moved.amount,
            attempts=_number(known),
            reason=reason,
        )
        decision.record(event, known)

    @classmethod
    def settle(
        cls, decision: Decision, known: Settlement | None, attempt: Attempt, house: House
    ) -> Settlement:
        """Say that quantity and cash move; returns the settlement, which is over."""
        owed = attempt.owed
        event = SettlementSettled(
            *_head(decision, known),
            *attempt.key,
            run_date=attempt.run_date,
            qty=owed.qty,
            amount=attempt.moved.amount,
            attempts=_number(known),
            bought_qty=owed.bought_qty,
            sold_qty=owed.sold_qty,
            bought_amount=attempt.moved.payable,
            sold_amount=attempt.moved.receivable,
            pool_after=house.pool_after,
            together=house.together,
        )
        settlement: Settlement = decision.record(event, known)
        return settlement

    @property
    def key(self) -> ObligationKey:
        """Whose obligation it settles."""
        return ObligationKey(self.account_id, self.instrument_id, self.value_date)


def _head(decision: Decision, known: Settlement | None) -> Header:
    return decision.first_of(decision.new_id()) if known is None else decision.next_of(known)


def _number(known: Settlement | None) -> int:
    return 1 if known is None else known.attempts + 1


aggregate(Settlement)
