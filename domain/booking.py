"""The cents that one side of a trade moves, and its balanced postings."""

from __future__ import annotations

from uuid import UUID

import msgspec

from domain.events import Posting
from domain.identifiers import HOUSE
from domain.terms import DueAs, Ledger

_RECEIVABLE = int(Ledger.RECEIVABLE)
_PAYABLE = int(Ledger.PAYABLE)
_CLEARING = int(Ledger.CLEARING)
_COMMISSION = int(Ledger.COMMISSION)
_ROUNDING = int(Ledger.ROUNDING)
_AS_PAYABLE = int(DueAs.PAYABLE)


class Booking(msgspec.Struct, frozen=True, gc=False):
    """The cents that one side of a trade moves: what is to be paid, to be received, and what
    the house clears and earns of it.
    """

    payable: int
    receivable: int
    cleared: int
    fee: int

    def postings(self, account: UUID, due: int) -> tuple[Posting, ...]:
        """Balanced postings of a trade that is `due` one way.

        The house clears the trade's notional, the same on both sides. By how much the account's
        own amount differs, for it is rounded on the account's total, the house's ROUNDING takes.
        """
        payable, receivable = self.payable, self.receivable
        cleared, fee = self.cleared, self.fee
        if due == _AS_PAYABLE:
            postings: tuple[Posting, ...] = (
                (account, _PAYABLE, -payable),
                (HOUSE, _CLEARING, cleared),
            )
            if receivable:
                postings = (*postings, (account, _RECEIVABLE, receivable))
        else:
            postings = ((account, _RECEIVABLE, receivable), (HOUSE, _CLEARING, cleared))
        rounding = payable - receivable - cleared - fee
        if rounding:
            postings = (*postings, (HOUSE, _ROUNDING, rounding))
        return (*postings, (HOUSE, _COMMISSION, fee)) if fee else postings
