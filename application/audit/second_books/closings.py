"""The closing of all positions, judged a second time: its orders open nothing."""

from __future__ import annotations

from application.audit.second_books.findings import Findings
from application.audit.second_books.holdings import HoldingBooks
from domain.events import CloseAllTaken, OrderAccepted, OrderCanceled, OrderRejected

BUY, MARKET, BY_CLIENT = 1, 1, 1


class ClosingBooks:
    """What a command that closes all positions cancels and places, beside what all orders are
    judged by; `end_command` compares it with what the command said it would.
    """

    def __init__(self, findings: Findings, holdings: HoldingBooks) -> None:
        self._findings = findings
        self._holdings = holdings
        self._taken: CloseAllTaken | None = None
        self._canceled = self._placed = 0

    def taken(self, position: int, event: CloseAllTaken) -> None:
        """Note what a step of closing everything says that it does."""
        self._findings.looked["exits"] += 1
        if self._taken is not None or event.passed_after < event.passed + event.closed:
            text = f"{event.closed} closed between {event.passed} and {event.passed_after}"
            self._findings.fail("exits", position, text)
        self._taken = event
        self._canceled = self._placed = 0

    def accepted(self, position: int, event: OrderAccepted) -> None:
        """Judge an order, which closes a position where a command closes all."""
        if self._taken is not None:
            self._placed += 1
            self._closes(position, event, self._taken)

    def _closes(self, position: int, event: OrderAccepted, taken: CloseAllTaken) -> None:
        held = self._holdings.of((event.account_id, event.instrument_id)).qty
        reduces = held < 0 if event.side == BUY else held > 0
        if not reduces or event.qty > abs(held) or event.order_type != MARKET:
            text = f"an order of {event.qty} closes a position of {held}"
            self._findings.fail("exits", position, text)
        if event.account_id != taken.originator_id or event.client_order_id != str(
            event.originator_id
        ):
            self._findings.fail("exits", position, "an order of another, or under a name")

    def canceled(self, position: int, event: OrderCanceled) -> None:
        """Note an order that was canceled, as the client asked, before anything is closed."""
        if self._taken is not None and event.reason == BY_CLIENT:
            self._canceled += 1

    def rejected(self, position: int, event: OrderRejected) -> None:
        """Note an order that was refused where a position was to be closed."""
        self._placed += self._taken is not None

    def end_command(self, position: int) -> None:
        """Judge whether a step did what it said."""
        taken = self._taken
        if taken is None:
            return
        self._taken = None
        if self._canceled != taken.canceled or self._placed > taken.closed:
            text = f"{self._canceled} canceled and {self._placed} closed, and not"
            said = f"{taken.canceled} and {taken.closed}"
            self._findings.fail("exits", position, f"{text} {said}")
