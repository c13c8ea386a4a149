"""What the tests of alpaca-py begin with: its client, pointed at a venue."""

from __future__ import annotations

from tests.alpaca_py import TradingClient
from tests.venue import Trader, Venue


def client_of(venue: Venue, trader: Trader) -> TradingClient:
    """The client, pointed at the venue and otherwise untouched."""
    return TradingClient(trader.key_id, trader.secret, url_override=venue.url)
