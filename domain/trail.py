"""How a stop trails: from the best price seen to where the stop stands, and back."""

from __future__ import annotations

from typing import NamedTuple

from domain.errors import Rejection
from domain.money import WHOLE_TRAIL
from domain.terms import Side

_SELL = int(Side.SELL)


class Trail(NamedTuple):
    """What keeps a stop away from the best price seen: a `price`, or a `percent` of that price.

    A sell's stop is below the highest price, a buy's above the lowest. It is rounded to the tick
    away from the market, so that it is never nearer than was asked for.
    """

    price: int = 0
    percent: int = 0

    def stop(self, side: int, mark: int, tick: int) -> int:
        """Where the stop stands when `mark` is the best price seen; not above 0 is nowhere."""
        if side == _SELL:
            away = mark * (WHOLE_TRAIL - self.percent) // WHOLE_TRAIL - self.price
            return away // tick * tick
        away = -(-mark * (WHOLE_TRAIL + self.percent) // WHOLE_TRAIL) + self.price
        return -(-away // tick) * tick

    def next_mark(self, side: int, stop: int, tick: int) -> int:
        """The nearest price that moves a stop that stands here by a tick; none when not above 0."""
        if side == _SELL:
            wanted = (stop + tick + self.price) * WHOLE_TRAIL
            return -(-wanted // (WHOLE_TRAIL - self.percent))
        return (stop - tick - self.price) * WHOLE_TRAIL // (WHOLE_TRAIL + self.percent)

    def is_within(self, mark: int, tick: int) -> bool:
        """Whether it is less than one tick at a price."""
        return self.price < tick and mark * self.percent < tick * WHOLE_TRAIL


class TrailOutOfRange(Rejection):
    """A stop that would trail by less than a tick, or so far that it would stand nowhere."""

    code = "TRAIL_OUT_OF_RANGE"

    def __init__(self, field: str, trail: str, price: str, why: str) -> None:
        super().__init__(
            f"{field} {trail} {why} at a price of {price}", field=field, trail=trail, price=price
        )
