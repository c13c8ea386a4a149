"""Who trades what on a simulated day: instruments, accounts, schedules, first commands."""

from __future__ import annotations

from typing import NamedTuple

from application.commands import (
    Deposit,
    ListInstrument,
    OpenInstrument,
    SetAccountPolicy,
    SetCommissionSchedule,
    TransferPosition,
)
from application.rehearsal.simulated_day.seen import Seen
from application.requests import Command
from domain.commission import Kind, Schedule
from domain.identifiers import Instant
from domain.money import QTY_UNIT, WIRE_PRICE_SCALE, notional
from domain.terms import AccountKind, TriggerRule

SESSION_DATE = 20261008
"""A Thursday; the Monday after it is Columbus Day, when exchanges trade and banks rest."""
NEXT_DAY = 20261009
VALUE_DATE = 20261013
RUN_DATES = (NEXT_DAY, VALUE_DATE, 20261014, 20261015)
OPENS_AT: Instant = 1_791_466_200_000_000
"""2026-10-08T13:30:00Z, half past nine in New York."""
CLOSES_AT: Instant = OPENS_AT + 23_400_000_000
DAY = 86_400_000_000

_FREE = Schedule()
_PER_SHARE = Schedule(int(Kind.PER_SHARE), ((0, 3_500_000, 3_500_000),), 35, 100)
_BASIS_POINTS = Schedule(int(Kind.BPS), ((0, 1_750, 1_750),))
_MAKER_TAKER = Schedule(int(Kind.PER_SHARE), ((0, -1_300_000, 2_900_000),))
_TIERS = Schedule(
    int(Kind.BPS),
    (
        (0, 3_333, 5_111),
        (2_000 * QTY_UNIT, 2_222, 4_001),
        (9_000 * QTY_UNIT, -333, 1_777),
    ),
    5,
    50,
)
SCHEDULES = (_FREE, _PER_SHARE, _BASIS_POINTS, _MAKER_TAKER, _TIERS)
NEW_SCHEDULE = Schedule(int(Kind.BPS), ((0, 777, 1_999),), 12)
"""What one account pays from noon on."""


class Listing(NamedTuple):
    """An instrument: `tick` and `reference` in its price units, `lot` and `typical` in 1e-8."""

    symbol: str
    price_decimals: int
    tick: int
    lot: int
    reference: int
    typical: int
    """A usual order; the smallest is one lot."""
    value_date: int = VALUE_DATE
    trigger_rule: TriggerRule = TriggerRule.LAST_TRADE
    shortable: bool = False
    step: int = 1
    """How many ticks prices of the flow lie apart: many make a thin book."""

    def wire(self, ticks: int) -> int:
        """A price in ticks as commands carry it."""
        price: int = ticks * self.tick * 10 ** (WIRE_PRICE_SCALE - self.price_decimals)
        return price

    @property
    def middle(self) -> int:
        """The reference in ticks."""
        return self.reference // self.tick


LISTINGS = (
    Listing("ACME", 4, 100, QTY_UNIT, 1_011_000, 200 * QTY_UNIT, shortable=True),
    Listing("ORBT", 4, 1, QTY_UNIT, 73_457, 900 * QTY_UNIT, shortable=True),
    Listing("DIME", 4, 1, QTY_UNIT // 100, 4_907, QTY_UNIT // 2),
    Listing("FRAC", 4, 50, 10_000, 1_874_250, 40 * QTY_UNIT),
    Listing("COIN", 2, 1, 1, 6_432_155, QTY_UNIT // 5, NEXT_DAY),
    Listing(
        symbol="INDX",
        price_decimals=4,
        tick=25,
        lot=QTY_UNIT,
        reference=4_410_025,
        typical=60 * QTY_UNIT,
        value_date=VALUE_DATE,
        trigger_rule=TriggerRule.BID_ASK,
        shortable=True,
    ),
    Listing(
        "BOND", 5, 125, QTY_UNIT // 100, 9_887_500, 90 * QTY_UNIT, VALUE_DATE, TriggerRule.MARK
    ),
    # So far apart that most stops find less within their protection than they want to sell.
    Listing("THIN", 4, 1, QTY_UNIT // 100, 203_155, 30 * QTY_UNIT, shortable=True, step=80),
)


class Role(NamedTuple):
    """An account: what it is, what it pays, and what it begins with."""

    name: str
    owner: str
    kind: AccountKind
    schedule: Schedule
    cash: int
    orders: int
    """How many usual orders' worth of each instrument it holds."""
    use_unsettled: bool = False


def _roles() -> tuple[Role, ...]:
    made = []
    for number in range(12):
        schedule = SCHEDULES[number % len(SCHEDULES)]
        # Two accounts of one owner, so that he may meet himself.
        owner = "Mill Lane" if number in (3, 4) else ""
        made.append(
            Role(f"cash {number:02}", owner, AccountKind.CASH, schedule, 300_000_017, 60 + number)
        )
    for number in range(12):
        schedule = SCHEDULES[(number + 2) % len(SCHEDULES)]
        holds = 40 if number % 3 else 0
        made.append(
            Role(f"margin {number:02}", "", AccountKind.MARGIN, schedule, 400_000_003, holds)
        )
    made.append(
        Role("recycler", "", AccountKind.CASH, _BASIS_POINTS, 1_500_009, 12, use_unsettled=True)
    )
    made.append(
        Role("recycler two", "", AccountKind.CASH, _PER_SHARE, 40_001, 8, use_unsettled=True)
    )
    return tuple(made)


ROLES = _roles()


def listings() -> list[Command]:
    """Make what lists the instruments, all still closed."""
    return [
        ListInstrument(
            each.symbol,
            f"{each.symbol} of the simulated day",
            "crypto" if each.symbol == "COIN" else "us_equity",
            "manual",
            each.price_decimals,
            each.wire(1),
            each.lot,
            int(each.trigger_rule),
            reference_price=each.wire(each.middle),
            shortable=each.shortable,
            settlement_cycle=1 if each.value_date == NEXT_DAY else 2,
        )
        for each in LISTINGS
    ]


def funding(seen: Seen) -> list[Command]:
    """Cash, holdings, schedules and policies of accounts that are open."""
    made: list[Command] = []
    for role in ROLES:
        account = seen.account_named[role.name]
        made.append(Deposit(account, role.cash, f"fund {role.name}"))
        if role.schedule.kind:
            made.append(SetCommissionSchedule(account, *role.schedule))
        if role.use_unsettled:
            made.append(SetAccountPolicy(account, True))
        for each in LISTINGS if role.orders else ():
            qty = role.orders * each.typical // each.lot * each.lot
            cost = notional(each.reference, qty, each.price_decimals) - 1
            key = f"bring {role.name} {each.symbol}"
            made.append(TransferPosition(account, each.symbol, qty, cost, key))
    return made


def openings() -> list[Command]:
    """What opens the session, each instrument with an auction of what has gathered."""
    return [
        OpenInstrument(each.symbol, SESSION_DATE, each.value_date, OPENS_AT, CLOSES_AT)
        for each in LISTINGS
    ]
