"""Prices seen, as the lowest and the highest of them."""

from __future__ import annotations

import msgspec


class PriceRange(msgspec.Struct, frozen=True, gc=False):
    """Bounds of prices at an instrument's scale; 0 is no price on that side."""

    low: int = 0
    high: int = 0

    def spanning(self, other: PriceRange) -> PriceRange:
        """This range and another."""
        low = min(self.low, other.low) if self.low and other.low else self.low or other.low
        return PriceRange(low, max(self.high, other.high))

    def seeing(self, price: int) -> PriceRange:
        """This range and one more price."""
        if 0 < self.low <= price <= self.high:
            return self
        return PriceRange(
            price if price < self.low or not self.low else self.low,
            price if price > self.high else self.high,
        )


NOTHING_SEEN = PriceRange()
