"""What several books say of the same things, line by line, and where they differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import NamedTuple, Protocol
from uuid import UUID

from application.desk.desk import Desk
from domain.identifiers import HOUSE, NO_ID
from domain.money import EXACT_CENT, cents

MONEY = ("cash", "receivable", "payable", "commissions")
"""USD cents, by account."""
INCOME = "commission_income"
"""USD cents, the house's."""
ROUNDED = "rounding"
"""USD cents, the house's: what rounding on the totals of accounts gives and takes."""
SHARES = ("qty", "settled", "cost", "realized")
"""By account and instrument: quantities in 1e-8, amounts exact, in cents and fractions of them."""
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


class Held(Protocol):
    """A position, the writer's or a view's; amounts in 1e-24 USD."""

    @property
    def qty(self) -> int:
        """What is held, in 1e-8."""
        ...

    @property
    def settled(self) -> int:
        """What of it has settled."""
        ...

    @property
    def exact_cost(self) -> int:
        """The cost basis."""
        ...

    @property
    def exact_realized(self) -> int:
        """The profit of what was closed."""
        ...


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
    income = rounded = 0
    for account in desk.accounts.by_id.values():
        income += account.commissions
        rounded -= cents(account.traded_value)
        told = (account.cash, account.receivable, account.payable, account.commissions)
        for what, amount in zip(MONEY, told, strict=True):
            lines[Line(account.id, NO_ID, what)] = amount
    for held in desk.accounts.positions.values():
        lines |= share_lines(held.account_id, held.instrument_id, held)
    for instrument_id, qty in desk.accounts.pool.items():
        lines[Line(HOUSE, instrument_id, POOL)] = qty
    lines[Line(HOUSE, NO_ID, INCOME)] = income
    lines[Line(HOUSE, NO_ID, ROUNDED)] = rounded
    return Statement(book, frozenset({*MONEY, *SHARES, POOL, INCOME, ROUNDED}), lines)


def share_lines(account_id: UUID, instrument_id: UUID, held: Held) -> dict[Line, Amount]:
    """What is held of one instrument, line by line."""
    cost, realized = (Fraction(each, EXACT_CENT) for each in (held.exact_cost, held.exact_realized))
    shares: tuple[Amount, ...] = (held.qty, held.settled, cost, realized)
    told = zip(SHARES, shares, strict=True)
    return {Line(account_id, instrument_id, what): amount for what, amount in told}


def ledger_lines(ledger: Mapping[tuple[UUID, str], int]) -> dict[Line, Amount]:
    """Money lines out of ledger balances by (party, name), where what is owed is negative."""
    lines: dict[Line, Amount] = {}
    for (party, name), amount in ledger.items():
        if party == HOUSE and name == "commission":
            lines[Line(HOUSE, NO_ID, INCOME)] = amount
        elif party == HOUSE and name == "rounding":
            lines[Line(HOUSE, NO_ID, ROUNDED)] = amount
        elif party != HOUSE and name == "payable":
            lines[Line(party, NO_ID, name)] = -amount
        elif party != HOUSE and name in ("cash", "receivable"):
            lines[Line(party, NO_ID, name)] = amount
    return lines


LEDGER_KEEPS = frozenset({"cash", "receivable", "payable", INCOME, ROUNDED})
