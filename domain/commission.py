"""Commission schedules as data: what trades cost, exactly, rounded once on the running total.

Exact commissions are integers of 1e-24 USD: price (up to 9 decimals) times quantity (8) times
a rate (7) never needs more. An order's commission follows from three things alone: what each
of its fills asked for at the rates of its moment, what it traded, and the bounds in force.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import Any, NamedTuple

from domain.money import EXACT_CENT, EXACT_SCALE, QTY_SCALE
from domain.terms import Liquidity

RATE_SCALE = 9
"""Per-share rates are 1e-9 USD."""
BPS_SCALE = 3
"""Proportional rates are thousandths of a basis point."""
MAX_BPS_RATE: int = 10_000 * 10**BPS_SCALE
"""A proportional rate is at most the whole of what is traded, so that no fee leaves 64 bits."""
MAX_PER_SHARE_RATE: int = 1_000 * 10**RATE_SCALE
_ADDED = int(Liquidity.ADDED)
_PER_SHARE_UNIT = 10 ** (EXACT_SCALE - RATE_SCALE - QTY_SCALE)
_BPS_DIGITS = EXACT_SCALE - QTY_SCALE - BPS_SCALE - 4


class Kind(IntEnum):
    """What a rate is multiplied with."""

    NONE = 0
    PER_SHARE = 1
    BPS = 2


class Schedule(NamedTuple):
    """What trades cost one account.

    `tiers` are (quantity traded in the month from which it holds, maker rate, taker rate),
    ascending from 0; each unit of quantity pays the rate of the tier it falls in, so a month
    costs the same however it is cut into fills. A rate may be negative, a rebate. `minimum` in
    cents and `cap_bps`, of what the order traded, bound the commission of one order (0: none);
    the cap wins.
    """

    kind: int = int(Kind.NONE)
    tiers: tuple[tuple[int, int, int], ...] = ()
    minimum: int = 0
    cap_bps: int = 0


FREE = Schedule()


def schedule_of(state: Sequence[Any]) -> Schedule:
    """The schedule in an account's plain state; an empty one is free."""
    if not state:
        return FREE
    kind, tiers, minimum, cap_bps = state
    return Schedule(kind, tuple((a, b, c) for a, b, c in tiers), minimum, cap_bps)


def exact(
    schedule: Schedule, liquidity: int, qty: int, price: int, price_decimals: int, month_qty: int
) -> int:
    """What the schedule's rates ask for one fill, before minimum and cap.

    An auction trade takes: only resting orders of continuous trading pay the maker's rate.
    """
    which = 1 if liquidity == _ADDED else 2
    charged, above = 0, month_qty + qty
    for tier in reversed(schedule.tiers):
        begins = max(tier[0], month_qty)
        if begins < above:
            charged += _charge(schedule.kind, tier[which], above - begins, price, price_decimals)
            above = begins
    return charged


def _charge(kind: int, rate: int, qty: int, price: int, price_decimals: int) -> int:
    if kind == Kind.PER_SHARE:
        per_share: int = rate * qty * _PER_SHARE_UNIT
        return per_share
    unit: int = 10 ** (_BPS_DIGITS - price_decimals)
    charged: int = rate * qty * price * unit
    return charged


def bounded(schedule: Schedule, base: int, value: int, price_decimals: int, *, sale: bool) -> int:
    """An order's commission within its minimum and cap; nothing traded costs nothing.

    `base` is the sum of its fills' `exact`, `value` its exact price times quantity. A schedule
    that charges nothing bounds nothing: what earlier fills cost under another one stands. But a
    sale never costs more than it brings: nobody owes for having sold.
    """
    if not value:
        return 0
    charged = max(base, schedule.minimum * EXACT_CENT) if schedule.minimum else base
    unit: int = 10 ** (EXACT_SCALE - QTY_SCALE - price_decimals - 4)
    if schedule.cap_bps:
        charged = min(charged, value * schedule.cap_bps * unit)
    return min(charged, value * 10_000 * unit) if sale else charged


def ceiling(schedule: Schedule, qty: int, price: int, price_decimals: int) -> int:
    """Cents that an order of this size can cost at most, a cent of rounding included."""
    if not schedule.kind or not qty:
        return 0
    rate = max(max(tier[1], tier[2]) for tier in schedule.tiers)
    base = _charge(schedule.kind, max(rate, 0), qty, price, price_decimals)
    most = bounded(schedule, base, price * qty, price_decimals, sale=False)
    return -(-most // EXACT_CENT) + 1
