"""Orders of a kept desk for who only follows books: read one by one, when events name them.

Most orders that rest in a large market are named by no event for long, and to make an order of
each would take most of the time until a market data feed stands.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from application.desk.orders import Orders
from domain.identifiers import uuid_of
from domain.oco import Oco
from domain.order import Order

Row = list[Any]


class _Working(dict[int, Order]):
    """The working orders that were read; whoever asks for another one has it read."""

    def __init__(self, rows: dict[int, Row], read: Callable[[Row], object]) -> None:
        super().__init__()
        self._rows = rows
        self._read = read

    def __missing__(self, number: int) -> Order:
        self._read(self._rows.pop(number))
        return self[number]

    def __contains__(self, number: object) -> bool:
        return super().__contains__(number) or number in self._rows

    def get(self, number: int, default: Any = None) -> Any:
        """The order with an id, read if it was not."""
        found = super().get(number)
        if found is None and number in self._rows:
            found = self[number]
        return default if found is None else found


class KeptOrders(Orders):
    """The room of orders without questions about more than one: for a floor. Nobody asks it for
    one that has ended.
    """

    def __init__(self) -> None:
        super().__init__(0)

    def load(self, state: list[Any]) -> None:
        """Become the room that was dumped."""
        self.sequence, orders, revisions_of, groups = state
        rows = {int.from_bytes(row[0], "big"): row for row in orders}
        self.working = _Working(rows, self._read)
        for key, revisions in revisions_of:
            self._revisions_of[uuid_of(key).int] = [uuid_of(revision) for revision in revisions]
        for row in groups:
            group = Oco.from_state(row)
            self.groups[group.id.int] = group

    def dump(self) -> list[Any]:
        """Nothing: who would keep this keeps a desk."""
        raise NotImplementedError

    def _read(self, row: Row) -> None:
        order = Order.from_state(row)
        self._index(order)
        for revision in self._revisions_of.get(order.id.int, ()):
            self.revisions[revision.int] = order
