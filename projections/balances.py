"""Balances: each account's money, holds and limits, and the venue's kill switch."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec
from psycopg.rows import class_row

from domain.configuration import MULTIPLIER
from domain.events import (
    AccountConfigured,
    AccountEvent,
    AccountKillSwitched,
    AccountLimitsSet,
    AccountOpened,
    AccountPolicySet,
    AccountSettled,
    AccountStatusChanged,
    CashDeposited,
    CashWithdrawn,
    CommissionScheduleSet,
    FeeCharged,
    MarginCalled,
    MarginCallMet,
    MarginReleased,
    MarginReserved,
    TradeBooked,
    TradeReversed,
    VenueKillSwitched,
)
from domain.identifiers import VENUE
from projections.columns import BIGINT, BOOLEAN, SMALLINT, TEXT, UUID_
from projections.connections import Connection
from projections.pieces import rows_of
from projections.projection import Column, Projection, Row, Table, on

BALANCES = Table(
    "balances",
    (
        Column("account_id", UUID_),
        Column("number", BIGINT),
        Column("owner_number", BIGINT),
        Column("cash", BIGINT),
        Column("unsettled", BIGINT),
        Column("held", BIGINT),
        Column("receivable", BIGINT),
        Column("unpaid", BIGINT),
        Column("commissions", BIGINT),
        Column("max_order_notional", BIGINT),
        Column("max_orders_per_second", BIGINT),
        Column("opened_at", BIGINT),
        Column("updated_at", BIGINT),
        Column("kind", SMALLINT),
        Column("status", SMALLINT),
        Column("use_unsettled", BOOLEAN),
        Column("killed", BOOLEAN),
        Column("margin_called", BOOLEAN),
        Column("suspend_trade", BOOLEAN),
        Column("no_shorting", BOOLEAN),
        Column("fractional_trading", BOOLEAN),
        Column("max_margin_multiplier", SMALLINT),
        Column("name", TEXT),
        Column("owner", TEXT),
        Column("status_reason", TEXT),
        Column("kill_reason", TEXT),
        Column("schedule", TEXT),
    ),
    key=("account_id",),
    fillfactor=50,
    fresh=True,
)

VENUE_SWITCH = Table(
    "venue_switch",
    (
        Column("venue_id", UUID_),
        Column("changed_at", BIGINT),
        Column("killed", BOOLEAN),
        Column("reason", TEXT),
    ),
    key=("venue_id",),
)

_encode_schedule = msgspec.json.Encoder().encode
_decode_schedule = msgspec.json.Decoder(tuple[int, list[tuple[int, int, int]], int, int]).decode


class Balances(Projection):
    """Every account as it is now, and whether the venue is stopped."""

    name = "balances"
    version = 3
    tables = (BALANCES, VENUE_SWITCH)

    def __init__(self) -> None:
        super().__init__()
        self.balances, self.venue = self.changes

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
                "receivable": 0,
                "unpaid": 0,
                "commissions": 0,
                "max_order_notional": e.max_order_notional,
                "max_orders_per_second": 0,
                "opened_at": e.at,
                "updated_at": e.at,
                "kind": e.kind,
                "status": 0,
                "use_unsettled": False,
                "killed": False,
                "margin_called": False,
                "suspend_trade": False,
                "no_shorting": False,
                "fractional_trading": True,
                "max_margin_multiplier": MULTIPLIER,
                "name": e.name,
                "owner": e.owner,
                "status_reason": "",
                "kill_reason": "",
                "schedule": "",
            },
        )

    @on(AccountStatusChanged)
    def status_changed(self, position: int, e: AccountStatusChanged) -> None:
        self._patch(e, {"status": e.status, "status_reason": e.reason})

    @on(AccountLimitsSet)
    def limits_set(self, position: int, e: AccountLimitsSet) -> None:
        self._patch(
            e,
            {
                "max_order_notional": e.max_order_notional,
                "max_orders_per_second": e.max_orders_per_second,
            },
        )

    @on(AccountPolicySet)
    def policy_set(self, position: int, e: AccountPolicySet) -> None:
        self._patch(e, {"use_unsettled": e.use_unsettled})

    @on(AccountConfigured)
    def configured(self, position: int, e: AccountConfigured) -> None:
        self._patch(
            e,
            {
                "suspend_trade": e.suspend_trade,
                "no_shorting": e.no_shorting,
                "fractional_trading": e.fractional_trading,
                "max_margin_multiplier": e.max_margin_multiplier,
            },
        )

    @on(CommissionScheduleSet)
    def schedule_set(self, position: int, e: CommissionScheduleSet) -> None:
        terms = (e.kind, e.tiers, e.minimum, e.cap_bps)
        self._patch(e, {"schedule": _encode_schedule(terms).decode()})

    @on(AccountKillSwitched)
    def kill_switched(self, position: int, e: AccountKillSwitched) -> None:
        self._patch(e, {"killed": e.engaged, "kill_reason": e.reason})

    @on(VenueKillSwitched)
    def venue_kill_switched(self, position: int, e: VenueKillSwitched) -> None:
        self.venue.put(
            e.originator_id.int,
            {
                "venue_id": e.originator_id,
                "changed_at": e.at,
                "killed": e.engaged,
                "reason": e.reason,
            },
        )

    @on(MarginCalled, MarginCallMet)
    def margin_call(self, position: int, e: MarginCalled | MarginCallMet) -> None:
        self._patch(e, {"margin_called": type(e) is MarginCalled})

    @on(CashDeposited, CashWithdrawn, FeeCharged)
    def cash_moved(self, position: int, e: CashDeposited | CashWithdrawn | FeeCharged) -> None:
        self._patch(e, {"cash": e.cash_after})

    @on(MarginReserved, MarginReleased)
    def margin_moved(self, position: int, e: MarginReserved | MarginReleased) -> None:
        self._patch(e, {"held": e.held_after})

    @on(TradeBooked)
    def trade_booked(self, position: int, e: TradeBooked) -> None:
        self._patch(e, {**_money(e), "held": e.held_after, "commissions": e.commissions_after})

    @on(TradeReversed)
    def trade_reversed(self, position: int, e: TradeReversed) -> None:
        self._patch(e, {**_money(e), "commissions": e.commissions_after})

    @on(AccountSettled)
    def settled(self, position: int, e: AccountSettled) -> None:
        self._patch(e, _money(e))

    def _patch(self, e: AccountEvent, columns: Row) -> None:
        columns["account_id"] = e.originator_id
        columns["updated_at"] = e.at
        self.balances.patch(e.originator_id.int, columns)


def _money(e: TradeBooked | TradeReversed | AccountSettled) -> Row:
    """What cash and unsettled trades stand at after an event."""
    return {
        "cash": e.cash_after,
        "unsettled": e.unsettled_after,
        "receivable": e.receivable_after,
        "unpaid": e.unpaid_after,
    }


class AccountRow(msgspec.Struct, frozen=True, gc=False):
    """One account; amounts in cents. `schedule` is the commission schedule's plain state."""

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
    receivable: int
    unpaid: int
    commissions: int
    max_order_notional: int
    max_orders_per_second: int
    use_unsettled: bool
    killed: bool
    kill_reason: str
    margin_called: bool
    suspend_trade: bool
    no_shorting: bool
    fractional_trading: bool
    max_margin_multiplier: int
    schedule: str
    opened_at: int
    updated_at: int

    @property
    def payable(self) -> int:
        """What it owes for purchases that are not settled."""
        return self.receivable - self.unsettled

    @property
    def schedule_state(self) -> tuple[Any, ...]:
        """The commission schedule as accounts keep it; empty when trades are free."""
        return _decode_schedule(self.schedule) if self.schedule else ()


class VenueSwitch(msgspec.Struct, frozen=True, gc=False):
    """The kill switch of all accounts."""

    killed: bool = False
    reason: str = ""
    changed_at: int = 0


_SELECT = f"SELECT {', '.join(AccountRow.__struct_fields__)} FROM balances"


async def has_owner(conn: Connection, owner: str) -> bool:
    """Whether any account has an owner whose name is written so."""
    cursor = await conn.execute("SELECT 1 FROM balances WHERE owner = %s LIMIT 1", (owner,))
    return await cursor.fetchone() is not None


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
        return await rows_of(cursor)


async def get_account(conn: Connection, account_id: UUID) -> AccountRow | None:
    """One account."""
    async with conn.cursor(row_factory=class_row(AccountRow)) as cursor:
        await cursor.execute(_SELECT + " WHERE account_id = %s", (account_id,))
        return await cursor.fetchone()


async def get_venue_switch(conn: Connection) -> VenueSwitch:
    """The venue's kill switch; never touched, it is released."""
    async with conn.cursor(row_factory=class_row(VenueSwitch)) as cursor:
        await cursor.execute(
            "SELECT killed, reason, changed_at FROM venue_switch WHERE venue_id = %s", (VENUE,)
        )
        return await cursor.fetchone() or VenueSwitch()


async def accounts_with_open_orders(conn: Connection) -> list[UUID]:
    """The accounts that have an order working now."""
    cursor = await conn.execute("SELECT DISTINCT account_id FROM orders WHERE open ORDER BY 1")
    return [account_id for (account_id,) in await cursor.fetchall()]
