"""Ledger: what every party has in every ledger, added up from the postings of all events."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import msgspec

from domain.events import DomainEvent
from domain.ledger import RULES
from projections.columns import SMALLINT, UUID_, WIDE
from projections.connections import Connection
from projections.projection import Column, Merge, Projection, Table, on

LEDGER_BALANCES = Table(
    "ledger_balances",
    (
        Column("party", UUID_),
        Column("ledger", SMALLINT),
        Column("amount", WIDE, merge=Merge.ADD),
    ),
    key=("party", "ledger"),
    fillfactor=50,
)


class LedgerBalances(Projection):
    """The double-entry ledger; the house is the nil party. Over all parties it is zero."""

    name = "ledger"
    tables = (LEDGER_BALANCES,)

    def __init__(self) -> None:
        super().__init__()
        (self.balances,) = self.changes

    @on(*RULES)
    def posted(self, position: int, e: DomainEvent) -> None:
        puts = self.balances.puts
        for party, ledger, amount in RULES[type(e)](e):
            key = (party.int, ledger)
            row = puts.get(key)
            if row is None:
                puts[key] = {"party": party, "ledger": ledger, "amount": amount}
            else:
                row["amount"] += amount


class LedgerBalance(msgspec.Struct, frozen=True, gc=False):
    """What one party has in one ledger, in cents."""

    party: UUID
    ledger: int
    amount: int


async def all_balances(conn: Connection) -> Sequence[LedgerBalance]:
    """What every party has in each ledger, by party."""
    cursor = await conn.execute(
        "SELECT party, ledger, amount FROM ledger_balances ORDER BY party, ledger"
    )
    return [
        LedgerBalance(party, ledger, int(amount))
        for party, ledger, amount in await cursor.fetchall()
    ]
