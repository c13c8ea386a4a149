"""Damage to what a log says of auctions, of orders for an amount, and of stops that trail."""

from __future__ import annotations

from domain import events as e
from tests.model.tampering import OF_TRAILS, Tamper, altered, one_more

OF_MARKETS: list[tuple[str, str, Tamper]] = [
    ("auctions", "another price", altered(e.InstrumentClosing, "uncross_price", one_more)),
    ("auctions", "another volume", altered(e.InstrumentOpened, "uncross_qty", one_more)),
    ("auctions", "at an hour of its own", altered(e.OrderFilled, "liquidity", 2, liquidity=4)),
    (
        "auctions",
        "for another auction",
        altered(e.OrderAccepted, "time_in_force", 2, time_in_force=7),
    ),
    ("notionals", "more spent", altered(e.OrderAccepted, "notional", 19_999, notional=20_050)),
    ("notionals", "ended too early", altered(e.OrderAccepted, "notional", 90_000, notional=20_050)),
    *OF_TRAILS,
]
