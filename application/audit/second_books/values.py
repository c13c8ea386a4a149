"""What all trades of an account are worth together, in fractions of dollars, and what is posted.

The exact sum is kept from the prices and quantities alone. An account is posted by how much
that sum moves in cents, so however its orders are cut it pays and gets what they are worth.

A fill from before accounts kept their sum posted its own value, rounded alone. Such fills are
judged by the same rule, on a sum of their own: those that post another cent are named. What is
undone of them goes back as it was posted.
"""

from __future__ import annotations

from fractions import Fraction
from uuid import UUID

from application.audit.second_books.bookings import Exercise, Undoing
from application.audit.second_books.commissions import NOTHING, posted, told
from application.audit.second_books.findings import Findings
from domain.events import OrderFillCorrected, OrderFilled, TradeBooked, TradeReversed

BUY = 1


class Worth:
    """What an account sold less what it bought: as events carry it, and of the oldest trades."""

    __slots__ = ("carried", "oldest")

    def __init__(self) -> None:
        self.carried = self.oldest = NOTHING


class ValueBooks:
    """The exact sums of all accounts."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._sums: dict[UUID, Worth] = {}

    def booked(
        self,
        position: int,
        event: TradeBooked,
        fill: OrderFilled | OrderFillCorrected | Exercise | None,
    ) -> None:
        """Judge what a trade posts."""
        worth = worth_of(event.price, event.qty, event.price_decimals, event.multiplier)
        signed = -worth if event.side == BUY else worth
        if fill is not None and not fill.exact:
            self._oldest(position, event, signed)
        else:
            self._carried(position, event, signed, event.notional)

    def reversed(self, position: int, event: TradeReversed, undoing: Undoing | None) -> None:
        """Judge what a trade that is undone gives back."""
        sums = self._of(event.originator_id)
        worth = worth_of(event.price, event.qty, event.price_decimals, event.multiplier)
        if undoing is not None and not undoing.exact:
            # It goes back as it was posted, which before sums were carried left no trace.
            self._findings.chain(
                "fill_values", position, "notional", event.notional, undoing.notional
            )
            if not sums.carried and event.traded_value_after == "0":
                sums.oldest += worth if event.side == BUY else -worth
                return
            worth = undoing.worth
        signed = worth if event.side == BUY else -worth
        self._carried(position, event, signed, -event.notional)

    def of(self, account_id: UUID) -> Fraction:
        """What an account's trades brought it, less what they took, in dollars."""
        return self._of(account_id).carried

    def house(self) -> int:
        """What the house's rounding stands at: what accounts have too little, or too much."""
        return -sum(posted(sums.carried) for sums in self._sums.values())

    def _carried(
        self, position: int, event: TradeBooked | TradeReversed, signed: Fraction, notional: int
    ) -> None:
        sums = self._of(event.originator_id)
        after = sums.carried + signed
        due = posted(after) - posted(sums.carried)
        said = -notional if event.side == BUY else notional
        self._findings.chain("fill_values", position, "what is posted", said, due)
        carried = told(event.traded_value_after)
        self._findings.chain("fill_values", position, "traded_value_after", carried, after)
        sums.carried = carried

    def _oldest(self, position: int, event: TradeBooked, signed: Fraction) -> None:
        sums = self._of(event.originator_id)
        after = sums.oldest + signed
        due = abs(posted(after) - posted(sums.oldest))
        self._findings.chain("fill_values", position, "what is posted", event.notional, due)
        sums.oldest = after

    def _of(self, account_id: UUID) -> Worth:
        sums = self._sums.get(account_id)
        if sums is None:
            sums = self._sums[account_id] = Worth()
        return sums


def worth_of(price: int, qty: int, decimals: int, multiplier: int) -> Fraction:
    """Price times quantity times multiplier in dollars, exactly."""
    return Fraction(price * qty * multiplier, 10 ** (decimals + 8))
