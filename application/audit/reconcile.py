"""The ledger by party and name, added up from the events alone, and beside what a view has."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple
from uuid import UUID

from application.log.ports import Recorded
from domain.events import AccountOpened
from domain.identifiers import HOUSE
from domain.ledger import RULES, postings_of
from domain.terms import Ledger

Amounts = Mapping[tuple[UUID, int], int]
"""Cents by party and ledger."""


class Balance(NamedTuple):
    """What one party has in one ledger, in cents."""

    party: UUID
    name: str
    ledger: str
    amount: int


class LedgerTotal(NamedTuple):
    """What all accounts together, and the house, have in one ledger, in cents.

    `view` is what the view has of both, None without one; `differing` counts the parties for
    which it has another amount than the events.
    """

    ledger: str
    accounts: int
    house: int
    view: int | None
    differing: int


class Reconciliation:
    """Adds up postings; the whole must be zero, and so must every event."""

    TOPICS = tuple(sorted({AccountOpened.TOPIC, *(kind.TOPIC for kind in RULES)}))

    def __init__(self, view: tuple[int, Amounts] | None = None) -> None:
        self._names: dict[UUID, str] = {HOUSE: "house"}
        self._amounts: dict[tuple[UUID, int], int] = {}
        self._view = view
        self._at_view: Amounts | None = None
        self.events = 0
        self.unbalanced: list[int] = []

    def add(self, recorded: Iterable[Recorded]) -> None:
        """Take in events by position; those without postings are passed over."""
        amounts = self._amounts
        view_position = self._view[0] if self._view is not None else 0
        for position, event in recorded:
            if self._view is not None and self._at_view is None and position > view_position:
                self._at_view = dict(amounts)
            if isinstance(event, AccountOpened):
                self._names[event.originator_id] = event.name
                continue
            postings = postings_of(event)
            if not postings:
                continue
            self.events += 1
            total = 0
            for party, ledger, amount in postings:
                total += amount
                amounts[party, ledger] = amounts.get((party, ledger), 0) + amount
            if total:
                self.unbalanced.append(position)

    @property
    def total(self) -> int:
        """All parties and ledgers together."""
        return sum(self._amounts.values())

    @property
    def view_position(self) -> int | None:
        """The position that the view stands for."""
        return None if self._view is None else self._view[0]

    @property
    def ok(self) -> bool:
        """Whether all sums to zero, event by event, and the view has the same amounts."""
        agrees = not any(row.differing for row in self.totals())
        return not self.total and not self.unbalanced and agrees

    def balances(self) -> list[Balance]:
        """Every party's ledgers, by account name, the house last."""
        rows = [
            Balance(party, self._names.get(party, str(party)), Ledger(ledger).name.lower(), amount)
            for (party, ledger), amount in self._amounts.items()
        ]
        return sorted(rows, key=lambda row: (row.party == HOUSE, row.name, row.ledger))

    def totals(self) -> list[LedgerTotal]:
        """Every ledger over all parties; the view is compared at the position it has reached."""
        found = []
        view = None if self._view is None else self._view[1]
        then = self._amounts if self._at_view is None else self._at_view
        for ledger in Ledger:
            house = self._amounts.get((HOUSE, ledger), 0)
            both = _sum(self._amounts, ledger)
            viewed = None if view is None else _sum(view, ledger)
            differing = 0
            if view is not None:
                keys = {key for key in (*view, *then) if key[1] == ledger}
                differing = sum(view.get(key, 0) != then.get(key, 0) for key in keys)
            found.append(LedgerTotal(ledger.name.lower(), both - house, house, viewed, differing))
        return found


def _sum(amounts: Amounts, ledger: int) -> int:
    return sum(amount for (_, name), amount in amounts.items() if name == ledger)
