"""Balances: each account's cash and holds, and the sums of the ledger over all postings."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import msgspec
from psycopg.rows import class_row

from domain.events import (
    AccountEvent,
    AccountLimitsSet,
    AccountOpened,
    AccountStatusChanged,
    CashDeposited,
    CashWithdrawn,
    FeeCharged,
    MarginReleased,
    MarginReserved,
    Posting,
    TradeBooked,
    TradeReversed,
)
from projections.columns import BIGINT, SMALLINT, TEXT, UUID_, WIDE
from projections.projection import (
    Column,
    Connection,
    Merge,
    Projection,
    Row,
    Table,
    on,
)

BALANCES = Table(
    "balances",
    (
        Column("account_id", UUID_),
        Column("number", BIGINT),
        Column("owner_number", BIGINT),
        Column("cash", BIGINT),
        Column("unsettled", BIGINT),
        Column("held", BIGINT),
        Column("max_order_notional", BIGINT),
        Column("opened_at", BIGINT),
        Column("updated_at", BIGINT),
        Column("kind", SMALLINT),
        Column("status", SMALLINT),
        Column("name", TEXT),
        Column("owner", TEXT),
        Column("status_reason", TEXT),
    ),
    key=("account_id",),
    fillfactor=50,
    fresh=True,
)

LEDGER = Table(
    "ledger",
    (
        Column("party", UUID_),
        Column("ledger", SMALLINT),
        Column("amount", WIDE, merge=Merge.ADD),
    ),
    key=("party", "ledger"),
    fillfactor=50,
)


class Balances(Projection):
    """Every account as it is now, and what each party has in each ledger."""

    name = "balances"
    tables = (BALANCES, LEDGER)

    def __init__(self) -> None:
        super().__init__()
        self.balances, self.ledger = self.changes

    @on(AccountOpened)
    def opened(self, position: int, e: AccountOpened) -> None:
        self.balances.put(
            e.originator_id.int,
            {
                "account_id": e.originator_id,
                "number": e.number,
                "owner_number": e.owner_number,
                "cash": 0,
                "unsettled": 0,
                "held": 0,
                "max_order_notional": e.max_order_notional,
                "opened_at": e.at,
                "updated_at": e.at,
                "kind": e.kind,
                "status": 0,
                "name": e.name,
                "owner": e.owner,
                "status_reason": "",
            },
        )

    @on(AccountStatusChanged)
    def status_changed(self, position: int, e: AccountStatusChanged) -> None:
        self._patch(e, {"status": e.status, "status_reason": e.reason})

    @on(AccountLimitsSet)
    def limits_set(self, position: int, e: AccountLimitsSet) -> None:
        self._patch(e, {"max_order_notional": e.max_order_notional})

    @on(CashDeposited, CashWithdrawn, FeeCharged)
    def cash_moved(self, position: int, e: CashDeposited | CashWithdrawn | FeeCharged) -> None:
        self._patch(e, {"cash": e.cash_after})
        self._post(e.postings)

    @on(MarginReserved, MarginReleased)
    def margin_moved(self, position: int, e: MarginReserved | MarginReleased) -> None:
        self._patch(e, {"held": e.held_after})

    @on(TradeBooked)
    def trade_booked(self, position: int, e: TradeBooked) -> None:
        self._patch(e, {"cash": e.cash_after, "unsettled": e.unsettled_after, "held": e.held_after})
        self._post(e.postings)

    @on(TradeReversed)
    def trade_reversed(self, position: int, e: TradeReversed) -> None:
        self._patch(e, {"cash": e.cash_after, "unsettled": e.unsettled_after})
        self._post(e.postings)

    def _patch(self, e: AccountEvent, columns: Row) -> None:
        columns["account_id"] = e.originator_id
        columns["updated_at"] = e.at
        self.balances.patch(e.originator_id.int, columns)

    def _post(self, postings: Sequence[Posting]) -> None:
        sums = self.ledger.puts
        for party, ledger, amount in postings:
            key = (party.int, ledger)
            row = sums.get(key)
            if row is None:
                sums[key] = {"party": party, "ledger": ledger, "amount": amount}
            else:
                row["amount"] += amount


class AccountRow(msgspec.Struct, frozen=True, gc=False):
    """One account; amounts in cents."""

    account_id: UUID
    number: int
    owner_number: int
    name: str
    owner: str
    kind: int
    status: int
    status_reason: str
    cash: int
    unsettled: int
    held: int
    max_order_notional: int
    opened_at: int
    updated_at: int

    @property
    def buying_power(self) -> int:
        """What a cash account may still spend: cash, what is to settle, less what is held."""
        return self.cash + self.unsettled - self.held


class LedgerTotal(msgspec.Struct, frozen=True, gc=False):
    """What one party has in one ledger, in cents."""

    party: UUID
    ledger: int
    amount: int


_SELECT = f"SELECT {', '.join(AccountRow.__struct_fields__)} FROM balances"


async def list_accounts(
    conn: Connection, *, limit: int = 1000, after_id: UUID | None = None
) -> list[AccountRow]:
    """All accounts in the order of their ids, which is that of their opening."""
    async with conn.cursor(row_factory=class_row(AccountRow)) as cursor:
        await cursor.execute(
            _SELECT + " WHERE %(after)s::uuid IS NULL OR account_id > %(after)s"
            " ORDER BY account_id LIMIT %(limit)s",
            {"after": after_id, "limit": limit},
        )
        return await cursor.fetchall()


async def get_account(conn: Connection, account_id: UUID) -> AccountRow | None:
    """One account."""
    async with conn.cursor(row_factory=class_row(AccountRow)) as cursor:
        await cursor.execute(_SELECT + " WHERE account_id = %s", (account_id,))
        return await cursor.fetchone()


async def count_open_orders(conn: Connection, account_id: UUID) -> int:
    """How many orders of the account work now."""
    cursor = await conn.execute(
        "SELECT count(*) FROM orders WHERE account_id = %s AND open", (account_id,)
    )
    row = await cursor.fetchone()
    assert row is not None
    return int(row[0])


async def ledger_totals(conn: Connection) -> list[LedgerTotal]:
    """What each party has in each ledger; over all parties it is zero."""
    cursor = await conn.execute("SELECT party, ledger, amount FROM ledger ORDER BY party, ledger")
    return [
        LedgerTotal(party, ledger, int(amount)) for party, ledger, amount in await cursor.fetchall()
    ]
