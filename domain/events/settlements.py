"""Events of settlements: one account's obligation in one instrument on one value date."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from domain.events.base import DomainEvent, topic
from domain.identifiers import AccountId, InstrumentId
from domain.units import Cents, Day, Flag, Number, Qty, Unit


class SettlementEvent(DomainEvent, frozen=True, array_like=True, gc=False):
    """An attempt to settle: `qty` to receive and `amount` to be paid, negative the other way."""

    AGGREGATE = "settlement"
    SETS: ClassVar[Mapping[str, Unit]] = {"settled": Flag()}
    account_id: AccountId
    instrument_id: InstrumentId
    value_date: Day
    run_date: Day
    qty: Qty
    amount: Cents
    attempts: Number

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
    bought_qty: Qty
    sold_qty: Qty
    bought_amount: Cents
    sold_amount: Cents
    pool_after: Qty
    together: Number

    def apply(self, aggregate: Any) -> None:
        super().apply(aggregate)
        aggregate.reason = ""
        aggregate.settled = True
