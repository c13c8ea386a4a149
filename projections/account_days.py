"""Account days: what each account was worth when each of its days was over."""

from __future__ import annotations

from uuid import UUID

import msgspec
from psycopg.rows import class_row

from domain.events import AccountDayClosed
from projections.columns import BIGINT, INTEGER, UUID_
from projections.connections import Connection
from projections.projection import Column, Projection, Table, on

ACCOUNT_DAYS = Table(
    "account_days",
    (
        Column("account_id", UUID_),
        Column("position", BIGINT),
        Column("equity", BIGINT),
        Column("cash", BIGINT),
        Column("unsettled", BIGINT),
        Column("long_value", BIGINT),
        Column("short_value", BIGINT),
        Column("closed_at", BIGINT),
        Column("session_date", INTEGER),
    ),
    key=("account_id", "session_date"),
)


class AccountDays(Projection):
    """Every closed day of every account."""

    name = "account_days"
    version = 2
    tables = (ACCOUNT_DAYS,)

    def __init__(self) -> None:
        super().__init__()
        (self.days,) = self.changes

    @on(AccountDayClosed)
    def closed(self, position: int, e: AccountDayClosed) -> None:
        self.days.put(
            (e.originator_id.int, e.session_date),
            {
                "account_id": e.originator_id,
                "position": position,
                "equity": e.equity,
                "cash": e.cash,
                "unsettled": e.unsettled,
                "long_value": e.long_value,
                "short_value": e.short_value,
                "closed_at": e.at,
                "session_date": e.session_date,
            },
        )


class AccountDay(msgspec.Struct, frozen=True, gc=False):
    """One day of an account; amounts in cents, `short_value` positive.

    `position` is where the log holds its end.
    """

    account_id: UUID
    session_date: int
    equity: int
    cash: int
    unsettled: int
    long_value: int
    short_value: int
    closed_at: int
    position: int


_SELECT = f"SELECT {', '.join(AccountDay.__struct_fields__)} FROM account_days"


async def list_account_days(
    conn: Connection, account_id: UUID, *, first: int = 0, last: int = 99_991_231
) -> list[AccountDay]:
    """An account's closed days from one date to another, both included, oldest first."""
    async with conn.cursor(row_factory=class_row(AccountDay)) as cursor:
        await cursor.execute(
            _SELECT + " WHERE account_id = %s AND session_date BETWEEN %s AND %s"
            " ORDER BY session_date",
            (account_id, first, last),
        )
        return await cursor.fetchall()


async def last_account_day(conn: Connection, account_id: UUID) -> AccountDay | None:
    """The newest day of an account before the one that trades now, or that traded last."""
    async with conn.cursor(row_factory=class_row(AccountDay)) as cursor:
        await cursor.execute(
            _SELECT + " WHERE account_id = %s"
            " AND session_date < (SELECT max(session_date) FROM instruments)"
            " ORDER BY session_date DESC LIMIT 1",
            (account_id,),
        )
        return await cursor.fetchone()
