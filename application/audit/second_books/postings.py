"""Where an event of cash may post, told a second time: a ledger that is not its own is a fault."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from application.audit.second_books.commissions import posted
from application.audit.second_books.findings import Findings
from application.audit.second_books.unsettled import TAKES
from application.audit.second_books.values import worth_of
from domain.events import (
    AccountSettled,
    CashDeposited,
    CashWithdrawn,
    FeeCharged,
    TradeBooked,
    TradeReversed,
)
from domain.identifiers import HOUSE

CASH, RECEIVABLE, CLEARING, FUNDING, FEES, PAYABLE, COMMISSION, ROUNDING = 1, 2, 3, 4, 5, 6, 11, 12
BUY = 1
_OF_HOUSE = {
    CashDeposited.TOPIC: {FUNDING},
    CashWithdrawn.TOPIC: {FUNDING},
    FeeCharged.TOPIC: {FEES},
    TradeBooked.TOPIC: {CLEARING, COMMISSION, ROUNDING},
    TradeReversed.TOPIC: {CLEARING, COMMISSION, ROUNDING},
    AccountSettled.TOPIC: set(),
}


class PostingRules:
    """Judges the postings of one event; what they add up to is the ledger's."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings

    def judge(self, position: int, event: Any) -> None:
        """An event's postings sum to zero, in the ledgers of what it is."""
        self._findings.looked["postings"] += 1
        total = sum(amount for _, _, amount in event.postings)
        if total:
            self._fail(position, f"the postings sum to {total}")
        own = self._own(event)
        house = _OF_HOUSE[event.TOPIC]
        for party, name, _ in event.postings:
            if name not in (house if party == HOUSE else own) or not _is_party(party, event):
                self._fail(position, f"it posts to ledger {name} of {party}")
        if isinstance(event, TradeBooked | TradeReversed):
            self._trade(position, event)

    def _own(self, event: Any) -> set[int]:
        if isinstance(event, TradeBooked | TradeReversed):
            if event.due:
                return {PAYABLE, RECEIVABLE} if event.due == TAKES else {RECEIVABLE}
            return {PAYABLE} if event.side == BUY else {RECEIVABLE}
        return {CASH, RECEIVABLE, PAYABLE} if isinstance(event, AccountSettled) else {CASH}

    def _trade(self, position: int, event: TradeBooked | TradeReversed) -> None:
        """The house clears what the trade is worth, the same on both sides, and takes the fee."""
        back = -1 if isinstance(event, TradeReversed) else 1
        worth = worth_of(event.price, event.qty, event.price_decimals, event.multiplier)
        cleared = posted(worth) * back
        due = (cleared if event.side == BUY else -cleared, event.fee * back)
        said = (_house(event, CLEARING), _house(event, COMMISSION))
        if said != due:
            self._fail(position, f"clearing and commission are posted {said}, they are {due}")

    def _fail(self, position: int, message: str) -> None:
        self._findings.fail("postings", position, message)


def _is_party(party: UUID, event: Any) -> bool:
    return party == HOUSE or party == event.originator_id


def _house(event: TradeBooked | TradeReversed, ledger: int) -> int:
    return sum(amount for party, name, amount in event.postings if (party, name) == (HOUSE, ledger))
