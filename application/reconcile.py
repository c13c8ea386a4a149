"""The ledger by party and name, added up from the postings of the log alone."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple
from uuid import UUID

from application.ports import Recorded
from domain.events import AccountOpened, CashMoved, DomainEvent, TradeBooked, TradeReversed
from domain.identifiers import HOUSE
from domain.terms import Ledger


class Balance(NamedTuple):
    """What one party has in one ledger, in cents."""

    party: UUID
    name: str
    ledger: str
    amount: int


class Reconciliation:
    """Adds up postings; the whole must be zero, and so must every event."""

    TOPICS = tuple(
        name
        for name, kind in DomainEvent.by_topic.items()
        if issubclass(kind, AccountOpened | CashMoved | TradeBooked | TradeReversed)
    )

    def __init__(self) -> None:
        self._names: dict[UUID, str] = {HOUSE: "house"}
        self._amounts: dict[tuple[UUID, int], int] = {}
        self.events = 0
        self.unbalanced: list[int] = []

    def add(self, recorded: Iterable[Recorded]) -> None:
        """Take in events; those without postings are passed over."""
        amounts = self._amounts
        for position, event in recorded:
            if isinstance(event, AccountOpened):
                self._names[event.originator_id] = event.name
            elif isinstance(event, CashMoved | TradeBooked | TradeReversed):
                self.events += 1
                total = 0
                for party, ledger, amount in event.postings:
                    total += amount
                    amounts[party, ledger] = amounts.get((party, ledger), 0) + amount
                if total:
                    self.unbalanced.append(position)

    @property
    def total(self) -> int:
        """All parties and ledgers together."""
        return sum(self._amounts.values())

    @property
    def ok(self) -> bool:
        """Whether all sums to zero, event by event."""
        return not self.total and not self.unbalanced

    def balances(self) -> list[Balance]:
        """Every party's ledgers, by account name, the house last."""
        rows = [
            Balance(party, self._names.get(party, str(party)), Ledger(ledger).name.lower(), amount)
            for (party, ledger), amount in self._amounts.items()
        ]
        return sorted(rows, key=lambda row: (row.party == HOUSE, row.name, row.ledger))
