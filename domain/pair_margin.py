"""What a declared pair of instruments saves where one is held long and the other short.

The part of both that hedges, of equal value at the marks, binds the pair's rate in the place of its
own, where that is less. Pairs of smaller rates hedge first, of the same rate those of smaller ids;
each share hedges once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from domain.money import QTY_SCALE, USD_SCALE, WIRE_PRICE_SCALE

MOST_PAIRS = 200
"""So many pairs are declared at most."""
WHOLE_BPS = 10_000
_CENT: int = WHOLE_BPS * 10 ** (WIRE_PRICE_SCALE + QTY_SCALE - USD_SCALE)


class Pair(NamedTuple):
    """Two instruments by the integers of their ids, and the rate of what hedges of both."""

    bps: int
    first: int
    second: int


class Hedgeable(NamedTuple):
    """What is held of an instrument: wire price times quantity, negative when short."""

    value: int
    initial_bps: int
    maintenance_bps: int


class Saved(NamedTuple):
    """Cents, rounded down."""

    initial: int
    maintenance: int


def saved_by(pairs: Iterable[Pair], held: Mapping[int, Hedgeable]) -> Saved:
    """What pairs save of what is held; only those of which both are there are looked at."""
    left = {number: one.value for number, one in held.items()}
    initial = maintenance = 0
    for bps, first, second in sorted({p for p in pairs if p.first in left and p.second in left}):
        one, other = left[first], left[second]
        if one * other >= 0:
            continue
        hedged = min(abs(one), abs(other))
        for number, value in ((first, one), (second, other)):
            rates = held[number]
            initial += hedged * max(0, rates.initial_bps - bps)
            maintenance += hedged * max(0, rates.maintenance_bps - bps)
            left[number] = value - hedged if value > 0 else value + hedged
    return Saved(initial // _CENT, maintenance // _CENT)
