"""What a recording tells of an order before and after the message at hand.

The recording does not list the orders that stand when it begins, nor those submitted below the
visible levels: it names them first when they are reduced, deleted or executed. Their ids were
given in the order of submission, so the ids around them say when they came.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

from application.rehearsal.recorded_day.lobster import Kind, Message
from domain.terms import Side

_NAMING = (Kind.REDUCED, Kind.DELETED, Kind.EXECUTED)


class LookAhead(StrEnum):
    """For which orders the messages to come may be used."""

    NONE = "none"
    UNANNOUNCED = "unannounced"
    """Orders whose submission the recording does not tell: that they stand, and how large."""
    ALL = "all"
    """Also announced ones: whether they still stand after they were out of sight."""


class Unannounced(NamedTuple):
    """An order that the recording names without having told of its submission."""

    came: int
    """The message after which it was submitted (-1: before the first)."""
    order_id: int
    side: Side
    price: int
    size: int


class Life:
    """What the messages yet to come say of one order."""

    __slots__ = ("ends_deleted", "last", "size")

    def __init__(self) -> None:
        self.last = -1
        self.size = 0
        self.ends_deleted = False


class Foresight:
    """What may be known of orders beyond the messages that have passed."""

    def __init__(self, messages: Sequence[Message], look_ahead: LookAhead) -> None:
        self._lives: dict[int, Life] = {}
        self.unannounced: list[Unannounced] = []
        self.knows_announced = look_ahead is LookAhead.ALL
        if look_ahead is not LookAhead.NONE:
            self._read(messages)

    def _read(self, messages: Sequence[Message]) -> None:
        submitted: set[int] = set()
        first_named: dict[int, tuple[int, Message]] = {}
        highest: list[int] = []
        newest = 0
        for number, message in enumerate(messages):
            order_id = message.order_id
            if message.kind is Kind.SUBMITTED:
                submitted.add(order_id)
                newest = max(newest, order_id)
            elif message.kind in _NAMING:
                if order_id not in submitted:
                    first_named.setdefault(order_id, (number, message))
                if self.knows_announced or order_id not in submitted:
                    life = self._lives.setdefault(order_id, Life())
                    life.last = number
                    life.size += message.size
                    life.ends_deleted = message.kind is Kind.DELETED
            highest.append(newest)
        for order_id, (named, message) in first_named.items():
            came = min(bisect_left(highest, order_id), named) - 1
            size = self._lives[order_id].size
            self.unannounced.append(Unannounced(came, order_id, message.side, message.price, size))
        self.unannounced.sort()

    def passed(self, message: Message) -> None:
        """Note that a message is no longer to come."""
        life = self._lives.get(message.order_id)
        if life is not None and message.kind in _NAMING:
            life.size -= message.size

    def is_named_after(self, order_id: int, number: int) -> bool:
        """Whether a message after this one is known to name the order: then it still stands."""
        life = self._lives.get(order_id)
        return life is not None and life.last > number

    def known_size(self, order_id: int) -> int | None:
        """What is left of the order exactly, when its deletion is known to come."""
        life = self._lives.get(order_id)
        return life.size if life is not None and life.ends_deleted else None
