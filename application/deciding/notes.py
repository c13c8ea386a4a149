"""What the events of a step lead to for others, noted until it is followed up."""

from __future__ import annotations

import msgspec

from domain.order import Order
from domain.position import Position

EXPIRED = 0
"""Stands where a CancelReason would, for an order whose time ran out."""


class LegFilled(msgspec.Struct, frozen=True, gc=False):
    """A leg of a group traded."""

    order: Order
    qty: int


class LegEnded(msgspec.Struct, frozen=True, gc=False):
    """A leg of a group is over; `reason` is a CancelReason, or EXPIRED."""

    order: Order
    reason: int


class Shrank(msgspec.Struct, frozen=True, gc=False):
    """A position no longer covers what its exits have set aside."""

    position: Position


Note = LegFilled | LegEnded | Shrank
