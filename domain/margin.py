"""What positions and orders bind of a margin account, and what is free to open more."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from domain.account import Account
from domain.money import QTY_SCALE, USD_SCALE
from domain.profit import MOST_CENTS

_BPS = 10_000


class Holding(NamedTuple):
    """A position as margin sees it: its quantity times the multiplier of its instrument, `mark` at
    the instrument's scale, rates in basis points.
    """

    qty: int
    mark: int
    price_decimals: int
    initial_bps: int
    maintenance_bps: int


class Margin(NamedTuple):
    """An account's margin in USD cents; `short_value` is positive."""

    long_value: int
    short_value: int
    initial: int
    maintenance: int


def requirement(price: int, qty: int, price_decimals: int, bps: int) -> int:
    """The part of a value that must be the account's own, in cents, rounded up."""
    unit: int = _BPS * 10 ** (price_decimals + QTY_SCALE - USD_SCALE)
    return -(-price * qty * bps // unit)


def margin_of(holdings: Iterable[Holding]) -> Margin:
    """Values at the marks, longs rounded down and shorts up, and what both must be covered by."""
    long_value = short_value = initial = maintenance = 0
    for qty, mark, decimals, initial_bps, maintenance_bps in holdings:
        size = abs(qty)
        unit: int = 10 ** (decimals + QTY_SCALE - USD_SCALE)
        if qty > 0:
            long_value += mark * size // unit
        else:
            short_value += -(-mark * size // unit)
        initial += requirement(mark, size, decimals, initial_bps)
        maintenance += requirement(mark, size, decimals, maintenance_bps)
    return Margin(long_value, short_value, initial, maintenance)


def equity(account: Account, margin: Margin) -> int:
    """What would be left if everything were closed at the marks and settled."""
    return account.cash + account.unsettled + margin.long_value - margin.short_value


def free_margin(account: Account, margin: Margin) -> int:
    """What may be bound by new orders, in cents; negative when too much is bound already.

    Proceeds that have not settled, beyond what the account owes itself, count only by
    policy, but for those that stand for its own short positions.
    """
    counted = equity(account, margin)
    if not account.use_unsettled:
        counted -= max(0, account.unsettled - margin.short_value)
    # A mark may be set to anything; what is held stays an amount that can be recorded.
    return min(counted - margin.initial, MOST_CENTS) - account.held
