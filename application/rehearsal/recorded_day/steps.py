"""What a plan is made of: commands to the venue, and places where the two are compared."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from application.rehearsal.recorded_day.lobster import Row
from domain.terms import Side


class Why(StrEnum):
    """What a repair mends."""

    STOOD_BEFORE = "stood_before"
    """An order stood when the recording began."""
    CAME_UNSEEN = "came_unseen"
    """An order was submitted below the visible levels and is named later."""
    LEVEL_ENTERED = "level_entered"
    """A level came into sight with another size than is known."""
    LEFT_SIGHT = "left_sight"
    """A level left sight with orders that no later message names."""
    LEVEL_GONE = "level_gone"
    """A level that was remembered is not there any more."""
    LEVEL_DIFFERS = "level_differs"
    """A level in sight differs after an execution or an order that could not be told apart."""
    HALTED = "halted"
    """An order shrank in a halt, when the venue takes no replace."""
    CROSSING = "crossing"
    """A new order would have met one that cannot be there any more."""


class Place(msgspec.Struct, frozen=True):
    """Let an order rest; anonymous ones are the repair account's."""

    key: str
    order_id: int
    side: Side
    price: int
    size: int
    why: Why | None


class Cut(msgspec.Struct, frozen=True):
    """Give a resting order a smaller total, which keeps its priority."""

    key: str
    order_id: int
    total: int
    why: Why | None


class Cancel(msgspec.Struct, frozen=True):
    """Take a resting order out."""

    key: str
    order_id: int
    why: Why | None


class Sweep(msgspec.Struct, frozen=True):
    """One aggressing order; `side` is the aggressor's, `fills` what the recording says it met."""

    key: str
    side: Side
    price: int
    size: int
    fills: tuple[tuple[int, int], ...]


class Halt(msgspec.Struct, frozen=True):
    """Trading stops."""


class Resume(msgspec.Struct, frozen=True):
    """Trading goes on."""


class Compare(msgspec.Struct, frozen=True):
    """Here the venue's touch must be the row's; nothing has been repaired for it yet."""

    row: Row


class Moment(msgspec.Struct, frozen=True):
    """The clock stands at a message; `messages` of the recording have been read."""

    time_ns: int
    messages: int


class Hidden(msgspec.Struct, frozen=True):
    """An order that nobody saw was executed: the visible book does not change."""


class Crossed(msgspec.Struct, frozen=True):
    """A submitted order meets one that the venue would have matched."""


Step = Place | Cut | Cancel | Sweep | Halt | Resume | Compare | Moment | Hidden | Crossed
