"""Which options are exercised at their expiry, and who of those that wrote them is assigned."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from domain.identifiers import NO_ID
from domain.instrument import Instrument
from domain.money import QTY_UNIT, USD_SCALE, WIRE_PRICE_SCALE
from domain.position import Position
from domain.terms import Right, Side

LEAST: int = 10 ** (WIRE_PRICE_SCALE - USD_SCALE)
"""By how much an option must be in the money to be exercised: a cent, on the wire's scale."""
_CALL = int(Right.CALL)


class Allotment(NamedTuple):
    """How many contracts are exercised and written in all, and the youngest position to which a
    contract more is assigned than its part rounded down.
    """

    exercised: int = 0
    written: int = 0
    extra_until: UUID = NO_ID


def is_in_the_money(option: Instrument, price: int) -> bool:
    """Whether an option is worth exercising at a price of its underlying; none is at no price.
    Both are on the wire's scale.
    """
    gain = price - option.strike if option.right == _CALL else option.strike - price
    return price > 0 and gain >= LEAST


def allot(positions: Sequence[Position]) -> Allotment:
    """All that is held long is exercised; who is short is assigned in proportion, whole contracts
    each, and what rounding leaves goes to the oldest positions, one each.

    Contracts come here by trades alone, so that no more is held long than is short.
    """
    exercised = sum(position.qty for position in positions if position.qty > 0)
    short = [position for position in positions if position.qty < 0]
    written = -sum(position.qty for position in short)
    assert exercised <= written, "more is held than was written"
    left = exercised - sum(_part(exercised, written, -position.qty) for position in short)
    extra = sorted(short, key=lambda position: position.id.int)[: left // QTY_UNIT]
    return Allotment(exercised, written, extra[-1].id if extra else NO_ID)


def called_on(option: Instrument, position: Position) -> int:
    """How many contracts of a holding are exercised or assigned."""
    qty: int = position.qty
    if not option.exercised or qty >= 0:
        return qty if option.exercised else 0
    extra = QTY_UNIT if position.id.int <= option.extra_until.int else 0
    return _part(option.exercised, option.written, -qty) + extra


def side_of(option: Instrument, position: Position) -> Side:
    """Which side of the underlying's trade the exercise of a holding, or its assignment, is."""
    return Side.BUY if (position.qty > 0) is (option.right == _CALL) else Side.SELL


def _part(exercised: int, written: int, qty: int) -> int:
    """A short position's part of what is exercised, in whole contracts, rounded down."""
    part: int = exercised * qty // (written * QTY_UNIT) * QTY_UNIT
    return part
