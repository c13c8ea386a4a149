"""The book most people write first: a sorted list of prices, a deque of orders at each, Decimal."""

from bisect import bisect_left, insort
from collections import deque
from dataclasses import dataclass
from decimal import Decimal

Fill = tuple[int, Decimal, Decimal]


@dataclass(slots=True, eq=False)
class Order:
    """One resting order."""

    key: int
    side: int
    price: Decimal
    qty: Decimal


class NaiveDecimalBook:
    """Price-time priority, as plainly as it can be said."""

    def __init__(self) -> None:
        self.prices: dict[int, list[Decimal]] = {1: [], 2: []}
        self.queues: dict[int, dict[Decimal, deque[Order]]] = {1: {}, 2: {}}
        self.orders: dict[int, Order] = {}

    def execute(self, key: int, side: int, price: Decimal, qty: Decimal) -> list[Fill]:
        """Match a limit order, rest what is left, say what traded as (key, qty, price)."""
        fills = []
        other = 3 - side
        prices = self.prices[other]
        while qty and prices:
            best = prices[0] if other == 2 else prices[-1]
            if best > price if side == 1 else best < price:
                break
            queue = self.queues[other][best]
            order = queue[0]
            traded = min(qty, order.qty)
            qty -= traded
            order.qty -= traded
            fills.append((order.key, traded, best))
            if not order.qty:
                queue.popleft()
                del self.orders[order.key]
                if not queue:
                    self._close(other, best)
        if qty:
            order = Order(key, side, price, qty)
            self.orders[key] = order
            if price not in self.queues[side]:
                insort(self.prices[side], price)
                self.queues[side][price] = deque()
            self.queues[side][price].append(order)
        return fills

    def cancel(self, key: int) -> Decimal:
        """Take an order out and return what it had left."""
        order = self.orders.pop(key, None)
        if order is None:
            return Decimal(0)
        queue = self.queues[order.side][order.price]
        queue.remove(order)
        if not queue:
            self._close(order.side, order.price)
        return order.qty

    def replace(self, key: int, price: Decimal, qty: Decimal) -> list[Fill]:
        """Reduce an order where it stands, or take it out and let it come in anew."""
        order = self.orders[key]
        if price == order.price and qty <= order.qty:
            order.qty = qty
            return []
        self.cancel(key)
        return self.execute(key, order.side, price, qty)

    def _close(self, side: int, price: Decimal) -> None:
        del self.queues[side][price]
        del self.prices[side][bisect_left(self.prices[side], price)]
