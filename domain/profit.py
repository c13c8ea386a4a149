"""What a holding has gained and not realized: in all, and since the last day's end; exact.

Amounts are integers of 1e-24 USD, as commissions are, and become cents once, where they are
recorded or shown.
"""

from __future__ import annotations

from domain.money import cents, divide_half_even, exact_value

MOST_CENTS = 2**63 - 1
"""What a record of a day can say at most: 92 quadrillion dollars. No balance comes near, but a
mark may be set to anything.
"""


def unrealized(mark: int, qty: int, price_decimals: int, cost: int) -> int:
    """What closing a holding at a mark would bring beyond its exact cost."""
    return exact_value(mark, qty, price_decimals) - cost


def still_carried(carried: int, before: int, after: int) -> int:
    """What is left of an earlier day's profit when a holding goes from one quantity to another.

    It leaves with what is closed, pro rata as the cost does; what is opened brings none.
    """
    if not after or (after > 0) != (before > 0):
        return 0
    if abs(after) >= abs(before):
        return carried
    return divide_half_even(carried * abs(after), abs(before))


def to_cents(amount: int) -> int:
    """An exact amount as it is recorded and shown: in cents, half to even."""
    return cents(amount)


def recorded(amount: int) -> int:
    """An amount in cents as a record of a day holds it."""
    return max(-MOST_CENTS, min(amount, MOST_CENTS))
