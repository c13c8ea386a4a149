"""What an account owes and is owed in one instrument on one value date, and its settlement."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple
from uuid import UUID

from domain.aggregate import Aggregate, aggregate
from domain.decision import Decision
from domain.events import SettlementFailed, SettlementSettled
from domain.identifiers import HOUSE, Instant
from domain.terms import Side

CASH = "CASH"
"""A cash account's cash does not reach for what it must pay."""
SECURITIES = "SECURITIES"
"""A cash account has not received, or has transferred away, what it must deliver."""
AWAITING_DELIVERY = "AWAITING_DELIVERY"
"""Others have not delivered to the house what the account is to receive."""


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


class Settlement(Aggregate):
    """The attempts to settle one obligation; there is none before the first attempt."""

    KIND = "settlement"
    FIELDS: ClassVar[dict[str, Any]] = {
        "account_id": HOUSE,
        "instrument_id": HOUSE,
        "value_date": 0,
        "run_date": 0,
        "qty": 0,
        "amount": 0,
        "attempts": 0,
        "reason": "",
        "settled": False,
    }

    account_id: UUID
    instrument_id: UUID
    value_date: int
    run_date: int
    qty: int
    amount: int
    attempts: int
    reason: str
    settled: bool

    @classmethod
    def of(cls, decision: Decision, key: ObligationKey) -> Settlement:
        """What the first attempt begins; there is none before one fails or settles."""
        self = cls.blank(decision.new_id(), decision.at)
        self.account_id, self.instrument_id, self.value_date = key
        return self

    def fail(self, decision: Decision, run_date: int, owed: Obligation, reason: str) -> None:
        """Say what is short; nothing moves."""
        self.trigger(SettlementFailed, decision, *self._attempt(run_date, owed), reason)

    def settle(
        self,
        decision: Decision,
        run_date: int,
        owed: Obligation,
        pool_after: int,
        together: int,
    ) -> None:
        """Say that quantity and cash move, what the house holds then, and how many move as one."""
        self.trigger(
            SettlementSettled,
            decision,
            *self._attempt(run_date, owed),
            owed.bought_qty,
            owed.sold_qty,
            owed.bought_amount,
            owed.sold_amount,
            pool_after,
            together,
        )

    def _attempt(self, run_date: int, owed: Obligation) -> tuple[Any, ...]:
        return *self.key, run_date, owed.qty, owed.amount, self.attempts + 1

    @property
    def key(self) -> ObligationKey:
        """Whose obligation it settles."""
        return ObligationKey(self.account_id, self.instrument_id, self.value_date)


aggregate(Settlement)
