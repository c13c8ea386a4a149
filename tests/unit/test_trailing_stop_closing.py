"""Trailing stops and the closing auction: its price moves them when the next session opens."""

from __future__ import annotations

from domain.terms import Side, TimeInForce
from tests.model.desk_harness import DeskHarness

BUY, SELL, CLS = Side.BUY, Side.SELL, TimeInForce.CLS


def test_trailing_stop_follows_the_closing_price_at_the_next_open() -> None:
    """Though the opening trades elsewhere: it stands where the best price of all puts it."""
    venue = DeskHarness()
    venue.instrument()
    a, b, third = (venue.account(name) for name in ("a", "b", "third"))
    venue.hold(b, 10)
    venue.place(third, BUY, 2, trail=3)
    for side, who in ((BUY, a), (SELL, b)):
        venue.place(who, side, 1, 96, tif=CLS)
    venue.close()
    for side, who in ((BUY, a), (SELL, b)):
        venue.place(who, side, 1, 98)
    venue.open()

    (order,) = venue.desk.orders.of_account(third)
    assert (96_0000, 99_0000) == (order.water_mark, order.stop_price)
