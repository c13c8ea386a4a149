"""Prices from outside, as whoever publishes them beside the venue's own receives them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from domain.identifiers import Instant


class ReferencePrice(NamedTuple):
    """What another place says of an instrument, in 1e-9 units; a side of 0 was not said.

    `quoted_at` is the other place's own time, 0 where it says none.
    """

    symbol: str
    price: int
    bid: int = 0
    ask: int = 0
    quoted_at: Instant = 0


class Received(NamedTuple):
    """Prices that came, in order, perhaps none; `new` unless they may have stood there since long
    ago.

    `known_at` is when the source had told everything by its own time, where it says that; 0 else.
    """

    prices: Sequence[ReferencePrice]
    new: bool
    known_at: Instant = 0


class ReferencePrices(Protocol):
    """A source of prices from outside."""

    async def receive(self) -> Received:
        """The next prices; it waits until there are some."""
        ...
