"""What a multi-leg order asks for beside its legs."""

from __future__ import annotations

from typing import NamedTuple


class Constraint(NamedTuple):
    """What must hold between the average prices of an execution's legs, by their places from 0.

    `WITHIN`: left and right differ by at most `a` times right. `LINEAR`: `a` times left plus `b`
    times right is at most `c`. `a` and `b` are in 1e-9, `c` at `money.WIRE_PRICE_SCALE`.
    """

    kind: int
    left: int
    right: int
    a: int
    b: int = 0
    c: int = 0
