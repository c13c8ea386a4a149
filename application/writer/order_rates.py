"""How fast accounts may send orders: what exceeds an account's rate is refused at the door.

It is counted on a clock that never goes back, and written down nowhere: such a refusal leaves
no event and takes no number and no request key, and the next writer counts from nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from uuid import UUID

from application.desk.desk import Desk
from application.orders import CancelOrder, CloseAllPositions
from application.requests import Command
from domain.request_errors import OrderRateExceeded

SECOND = 1_000_000_000
"""In the nanoseconds that rates are counted by."""


class OrderRates:
    """When accounts with a limit sent their orders of the last second.

    `elapsed` tells the nanoseconds since some moment. In no second, wherever it begins, are
    more orders taken than the account may send. A limit of the desk holds from the moment
    that it is decided.
    """

    def __init__(self, elapsed: Callable[[], int]) -> None:
        self.elapsed = elapsed
        self._sent: dict[int, deque[int]] = {}

    def take(self, desk: Desk, account_id: UUID, command: Command, arrived: int) -> None:
        """Count what a command sends; raises OrderRateExceeded when that is too much.

        What is refused so is not counted, so that after a second without orders any is taken:
        also a group with more legs than the limit allows.
        """
        account = desk.accounts.by_id.get(account_id.int)
        if account is None or not account.max_orders_per_second:
            return
        orders = orders_in(desk, command)
        if not orders:
            return
        limit = account.max_orders_per_second
        sent = self._within_a_second(account_id, arrived)
        if sent and len(sent) + orders > limit:
            raise OrderRateExceeded(limit)
        sent.extend([arrived] * orders)

    def note(self, desk: Desk, account_id: UUID, arrived: int) -> None:
        """Count a request that is refused although it was not taken to be decided."""
        account = desk.accounts.by_id.get(account_id.int)
        if account is None or not account.max_orders_per_second:
            return
        sent = self._within_a_second(account_id, arrived)
        if len(sent) < account.max_orders_per_second:
            sent.append(arrived)

    def _within_a_second(self, account_id: UUID, arrived: int) -> deque[int]:
        """When the account sent what it sent in the second that ends now."""
        sent = self._sent.setdefault(account_id.int, deque())
        while sent and sent[0] <= arrived - SECOND:
            sent.popleft()
        if sent and sent[0] > arrived + SECOND:
            # Of a clock that is said never to go back, and did: nobody waits until it is there.
            sent.clear()
        return sent


def orders_in(desk: Desk, command: Command) -> int:
    """How many orders a command counts as; a cancel of what works is always taken, and a close of
    all positions counts as many as there are.
    """
    if isinstance(command, CancelOrder):
        works = desk.orders.works(command.account_id, command.order_id, command.client_order_id)
        return 0 if works else 1
    sent = command.orders_sent()
    if isinstance(command, CloseAllPositions) and sent:
        positions = desk.accounts.positions_of(command.account_id)
        return max(sent, sum(position.qty != 0 for position in positions))
    return sent
