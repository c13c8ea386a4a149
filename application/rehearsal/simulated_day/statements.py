"""What several books say of the same things, line by line, and where they differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import NamedTuple
from uuid import UUID

from application.desk.desk import Desk
from domain.identifiers import HOUSE, NO_ID

MONEY = ("cash", "receivable", "payable", "commissions")
"""USD cents, by account."""
INCOME = "commission_income"
"""USD cents, the house's."""
SHARES = ("qty", "settled", "cost", "realized")
"""By account and instrument: quantities in 1e-8, amounts in cents."""
POOL = "pool"
"""What was delivered to the house and not yet received, by instrument, in 1e-8."""


class Line(NamedTuple):
    """What is told: of whom, of which instrument (nil: none), and what of it."""

    party: UUID
    instrument: UUID
    what: str


Amount = int | Fraction


class Statement(NamedTuple):
    """What one book says; a line it keeps and does not have is zero."""

    book: str
    keeps: frozenset[str]
    lines: Mapping[Line, Amount]


class Difference(NamedTuple):
    """One line on which books do not agree."""

    line: Line
    said: tuple[tuple[str, Amount], ...]

    def __str__(self) -> str:
        said = ", ".join(f"{book} {amount}" for book, amount in self.said)
        what = f"{self.line.what} of {self.line.party}"
        return (
            f"{what} in {self.line.instrument}: {said}"
            if self.line.instrument.int
            else (f"{what}: {said}")
        )


def compare(statements: Sequence[Statement]) -> tuple[int, list[Difference]]:
    """How many lines were compared, and those on which not all who keep them agree."""
    lines = {line for statement in statements for line in statement.lines}
    found = []
    for line in sorted(lines, key=lambda line: (line.party.int, line.instrument.int, line.what)):
        said = tuple(
            (statement.book, statement.lines.get(line, 0))
            for statement in statements
            if line.what in statement.keeps
        )
        if len({amount for _, amount in said}) > 1:
            found.append(Difference(line, said))
    return len(lines), found


def desk_statement(desk: Desk, book: str = "writer") -> Statement:
    """What the writer itself has."""
    lines: dict[Line, Amount] = {}
    income = 0
    for account in desk.accounts.by_id.values():
        income += account.commissions
        told = (account.cash, account.receivable, account.payable, account.commissions)
        for what, amount in zip(MONEY, told, strict=True):
            lines[Line(account.id, NO_ID, what)] = amount
    for held in desk.accounts.positions.values():
        shares = (held.qty, held.settled, held.cost, held.realized)
        for what, amount in zip(SHARES, shares, strict=True):
            lines[Line(held.account_id, held.instrument_id, what)] = amount
    for instrument_id, qty in desk.accounts.pool.items():
        lines[Line(HOUSE, instrument_id, POOL)] = qty
    lines[Line(HOUSE, NO_ID, INCOME)] = income
    return Statement(book, frozenset({*MONEY, *SHARES, POOL, INCOME}), lines)


def ledger_lines(ledger: Mapping[tuple[UUID, str], int]) -> dict[Line, Amount]:
    """Money lines out of ledger balances by (party, name), where what is owed is negative."""
    lines: dict[Line, Amount] = {}
    for (party, name), amount in ledger.items():
        if party == HOUSE and name == "commission":
            lines[Line(HOUSE, NO_ID, INCOME)] = amount
        elif party != HOUSE and name == "payable":
            lines[Line(party, NO_ID, name)] = -amount
        elif party != HOUSE and name in ("cash", "receivable"):
            lines[Line(party, NO_ID, name)] = amount
    return lines


LEDGER_KEEPS = frozenset({"cash", "receivable", "payable", INCOME})
