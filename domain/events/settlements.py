"""Events of settlements: one account's obligation in one instrument on one value date."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from domain.events.base import DomainEvent, topic


class SettlementEvent(DomainEvent, frozen=True, array_like=True, gc=False):
    """An attempt to settle: `qty` to receive and `amount` to be paid, negative the other way."""

    AGGREGATE = "settlement"
    account_id: UUID
    instrument_id: UUID
    value_date: int
    run_date: int
    qty: int
    amount: int
    attempts: int

    def apply(self, aggregate: Any) -> None:
        aggregate.account_id = self.account_id
        aggregate.instrument_id = self.instrument_id
        aggregate.value_date = self.value_date
        aggregate.run_date = self.run_date
        aggregate.qty = self.qty
        aggregate.amount = self.amount
        aggregate.attempts = self.attempts


@topic
class SettlementFailed(SettlementEvent, frozen=True, array_like=True, gc=False):
    """Nothing moved because one side is short; `reason` says of what. It is tried again."""

    TOPIC = "settlement.failed.v1"
    reason: str

    def apply(self, aggregate: Any) -> None:
        super().apply(aggregate)
        aggregate.reason = self.reason


@topic
class SettlementSettled(SettlementEvent, frozen=True, array_like=True, gc=False):
    """Delivery versus payment: quantity and cash moved together, once.

    `pool_after` is what of the instrument was delivered to the house and not yet received.
    `together` is how many value dates of the account and instrument settled as one, this one
    among them: each alone may have been short of what the others brought.
    """

    TOPIC = "settlement.settled.v1"
    bought_qty: int
    sold_qty: int
    bought_amount: int
    sold_amount: int
    pool_after: int
    together: int

    def apply(self, aggregate: Any) -> None:
        super().apply(aggregate)
        aggregate.reason = ""
        aggregate.settled = True
