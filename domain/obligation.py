"""What an account owes and is owed in one instrument on one value date."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple
from uuid import UUID

from domain.identifiers import Instant
from domain.terms import Side


class ObligationKey(NamedTuple):
    """Trades of the same key settle net."""

    account_id: UUID
    instrument_id: UUID
    value_date: int


class Obligation:
    """The trades of one key, added up: quantities 1e-8, amounts USD cents with commission.

    `unpaid_qty` and `unpaid_amount` are purchases that unsettled proceeds stand for. `since` is
    when the first came: earlier trades of the key have settled without these.
    """

    __slots__ = (
        "bought_amount",
        "bought_qty",
        "since",
        "sold_amount",
        "sold_qty",
        "unpaid_amount",
        "unpaid_qty",
    )

    def __init__(
        self,
        bought_qty: int = 0,
        bought_amount: int = 0,
        sold_qty: int = 0,
        sold_amount: int = 0,
        unpaid_qty: int = 0,
        unpaid_amount: int = 0,
        since: Instant = 0,
    ) -> None:
        self.bought_qty = bought_qty
        self.bought_amount = bought_amount
        self.sold_qty = sold_qty
        self.sold_amount = sold_amount
        self.unpaid_qty = unpaid_qty
        self.unpaid_amount = unpaid_amount
        self.since = since

    def add(self, side: int, qty: int, notional: int, fee: int) -> None:
        """Take a trade in, or out again when all are negative."""
        if side == Side.BUY:
            self.bought_qty += qty
            self.bought_amount += notional + fee
        else:
            self.sold_qty += qty
            self.sold_amount += notional - fee

    @property
    def qty(self) -> int:
        """What is to be received; negative: delivered."""
        return self.bought_qty - self.sold_qty

    @property
    def amount(self) -> int:
        """What is to be paid to the account; negative: by it."""
        return self.sold_amount - self.bought_amount

    def state(self) -> list[Any]:
        """All of it, as `from_state` takes it; gross quantities as digits, past 64 bits."""
        return [
            str(self.bought_qty),
            self.bought_amount,
            str(self.sold_qty),
            self.sold_amount,
            self.unpaid_qty,
            self.unpaid_amount,
            self.since,
        ]

    @classmethod
    def from_state(cls, state: Sequence[Any]) -> Obligation:
        """The obligation whose `state` this is."""
        bought_qty, bought_amount, sold_qty, *others = state
        return cls(int(bought_qty), bought_amount, int(sold_qty), *others)
