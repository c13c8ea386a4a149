"""The book the replay expects the venue to have: orders in strict price-time priority.

It is the replay's own, slow and obvious; the venue's book is never read to decide what to send.
"""

from __future__ import annotations

from bisect import bisect_left, insort

from domain.terms import Side


class Resting:
    """One order in a queue; `total` is its quantity with what has been filled."""

    __slots__ = ("key", "leaves", "order_id", "price", "rank", "side", "total")

    def __init__(
        self, key: str, order_id: int, side: Side, price: int, size: int, rank: tuple[int, int]
    ) -> None:
        self.key = key
        self.order_id = order_id
        self.side = side
        self.price = price
        self.leaves = size
        self.total = size
        self.rank = rank


class Queues:
    """Both sides of one book. An anonymous order has the id 0."""

    def __init__(self) -> None:
        self._levels: dict[Side, dict[int, list[Resting]]] = {Side.BUY: {}, Side.SELL: {}}
        # Ascending in how good the price is, so that the best stands last.
        self._prices: dict[Side, list[int]] = {Side.BUY: [], Side.SELL: []}
        self.by_id: dict[int, Resting] = {}

    def add(self, order: Resting) -> None:
        """Put an order last in its price's queue."""
        queue = self._levels[order.side].get(order.price)
        if queue is None:
            queue = self._levels[order.side][order.price] = []
            insort(self._prices[order.side], _goodness(order.side, order.price))
        queue.append(order)
        if order.order_id:
            self.by_id[order.order_id] = order

    def remove(self, order: Resting) -> None:
        """Take an order out."""
        queue = self._levels[order.side][order.price]
        queue.remove(order)
        if not queue:
            del self._levels[order.side][order.price]
            prices = self._prices[order.side]
            del prices[bisect_left(prices, _goodness(order.side, order.price))]
        if order.order_id:
            del self.by_id[order.order_id]

    def take(self, order: Resting, size: int) -> None:
        """Trade part of an order, or all that is left."""
        order.leaves -= size
        if not order.leaves:
            self.remove(order)

    def queue(self, side: Side, price: int) -> list[Resting]:
        """The orders at a price, first to trade first."""
        return self._levels[side].get(price, [])

    def size(self, side: Side, price: int) -> int:
        """What stands at a price in all."""
        return sum(order.leaves for order in self.queue(side, price))

    def best(self, side: Side) -> int | None:
        """The best price of a side."""
        prices = self._prices[side]
        return abs(prices[-1]) if prices else None

    def at_least_as_good(self, side: Side, price: int | None) -> list[int]:
        """The prices of a side that are as good as one or better (None: all), the best first."""
        prices = self._prices[side]
        first = 0 if price is None else bisect_left(prices, _goodness(side, price))
        return [abs(goodness) for goodness in reversed(prices[first:])]


def _goodness(side: Side, price: int) -> int:
    return price if side is Side.BUY else -price
