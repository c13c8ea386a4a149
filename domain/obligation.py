"""What an account owes and is owed in one instrument on one value date."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple
from uuid import UUID

from domain.identifiers import Instant
from domain.terms import Side

_BUY = int(Side.BUY)


class ObligationKey(NamedTuple):
    """Trades of the same key settle net."""

    account_id: UUID
    instrument_id: UUID
    value_date: int


class Obligation:
    """The trades of one key, added up: quantities 1e-8, amounts with commission.

    `paying` is what they are worth that the account pays for, `coming` what it is paid for, and
    `paying_cost` and `coming_cost` their commissions, all exactly, in 1e-24 USD: which cents
    move, the account's sum of all that has settled tells. `bought_amount` and `sold_amount` are
    cents of trades that were booked before this was kept. `unpaid_qty` and `unpaid_amount`
    (cents) are purchases that unsettled proceeds stand for. `since` is when the first came:
    earlier trades of the key have settled without these.
    """

    __slots__ = (
        "bought_amount",
        "bought_qty",
        "coming",
        "coming_cost",
        "paying",
        "paying_cost",
        "since",
        "sold_amount",
        "sold_qty",
        "unpaid_amount",
        "unpaid_qty",
    )

    def __init__(self, since: Instant = 0) -> None:
        self.bought_qty = self.bought_amount = 0
        self.sold_qty = self.sold_amount = 0
        self.unpaid_qty = self.unpaid_amount = 0
        self.since = since
        self.paying = self.paying_cost = 0
        self.coming = self.coming_cost = 0

    def add_qty(self, side: int, qty: int) -> None:
        """Take a trade's quantity in, or out again when it is negative."""
        if side == _BUY:
            self.bought_qty += qty
        else:
            self.sold_qty += qty

    def add_posted(self, side: int, notional: int, fee: int) -> None:
        """Take the cents of a trade in that settles in these, or out again."""
        if side == _BUY:
            self.bought_amount += notional + fee
        else:
            self.sold_amount += notional - fee

    @property
    def qty(self) -> int:
        """What is to be received; negative: delivered."""
        return self.bought_qty - self.sold_qty

    def state(self) -> list[Any]:
        """All of it, as `from_state` takes it; what may pass 64 bits as digits."""
        return [
            str(self.bought_qty),
            self.bought_amount,
            str(self.sold_qty),
            self.sold_amount,
            self.unpaid_qty,
            self.unpaid_amount,
            self.since,
            str(self.paying),
            str(self.paying_cost),
            str(self.coming),
            str(self.coming_cost),
        ]

    @classmethod
    def from_state(cls, state: Sequence[Any]) -> Obligation:
        """The obligation whose `state` this is."""
        self = cls()
        bought_qty, self.bought_amount, sold_qty, self.sold_amount, *others = state
        self.bought_qty, self.sold_qty = int(bought_qty), int(sold_qty)
        self.unpaid_qty, self.unpaid_amount, self.since, *exact = others
        self.paying, self.paying_cost, self.coming, self.coming_cost = map(int, exact)
        return self


class Moved(NamedTuple):
    """Cents of payable and receivable that become cash, or would."""

    payable: int
    receivable: int

    @property
    def amount(self) -> int:
        """What is paid to the account; negative: by it."""
        return self.receivable - self.payable
