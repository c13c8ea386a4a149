"""Filled orders, and entries, of which no trade stands any more: what undid it ends them too."""

from __future__ import annotations

from uuid import UUID

from application.audit.second_books.findings import Findings
from domain.events import OrderCanceled, OrderExpired

BUSTED = 13


class UndoneOrders:
    """The orders whose last trade the command under way has undone, and where it did."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._now: dict[UUID, int] = {}

    def note(self, position: int, order_id: UUID) -> None:
        """No trade of an order stands from here on, and nothing of it is to work."""
        self._now[order_id] = position

    def ended(self, position: int, event: OrderCanceled | OrderExpired, *, worked: bool) -> None:
        """Judge an end: as busted when no trade stands, and of one that is filled only so."""
        undone = self._now.pop(event.originator_id, 0)
        busted = isinstance(event, OrderCanceled) and event.reason == BUSTED
        if not undone if busted else not worked:
            text = f"order {event.originator_id} is taken back, and trades of it stand"
            self._findings.fail("life", position, text)

    def end_command(self) -> None:
        """Judge that what was undone has ended."""
        for order_id, position in self._now.items():
            self._findings.fail("life", position, f"no trade of order {order_id} stands")
        self._now.clear()
