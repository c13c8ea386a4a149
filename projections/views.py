"""All views of the venue, in the order in which they are shown."""

from __future__ import annotations

from projections.balances import Balances
from projections.instruments import Instruments
from projections.orders import Orders
from projections.positions import Positions
from projections.projection import Projection

VIEWS: tuple[type[Projection], ...] = (Orders, Positions, Balances, Instruments)


def all_views() -> list[Projection]:
    """A fresh instance of every view."""
    return [view() for view in VIEWS]
