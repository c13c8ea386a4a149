"""A group of linked orders: take-profit and stop-loss, of which one execution ends the other."""

from __future__ import annotations

from typing import Any, ClassVar
from uuid import UUID

from domain.aggregate import Aggregate, aggregate
from domain.decision import Decision
from domain.events import GroupPlaced
from domain.identifiers import HOUSE
from domain.terms import GroupPhase, OrderClass, Side


class Oco(Aggregate):
    """An oco, bracket or oto group; nil ids are legs it lacks.

    `qty` is what was asked for, `exit_qty` what the exits may trade in all (a bracket's grows
    with its entry), `filled` what they have traded.
    """

    KIND = "oco"
    FIELDS: ClassVar[dict[str, Any]] = {
        "account_id": HOUSE,
        "instrument_id": HOUSE,
        "symbol": "",
        "order_class": int(OrderClass.OCO),
        "side": int(Side.SELL),
        "qty": 0,
        "entry_id": HOUSE,
        "take_profit_id": HOUSE,
        "stop_loss_id": HOUSE,
        "client_order_id": "",
        "phase": int(GroupPhase.WAITING),
        "entry_filled": 0,
        "exit_qty": 0,
        "filled": 0,
    }

    account_id: UUID
    instrument_id: UUID
    symbol: str
    order_class: int
    side: int
    qty: int
    entry_id: UUID
    take_profit_id: UUID
    stop_loss_id: UUID
    client_order_id: str
    phase: int
    entry_filled: int
    exit_qty: int
    filled: int

    @classmethod
    def place(cls, decision: Decision, identifier: UUID, *terms: Any) -> Oco:
        """Link orders that passed every check; `terms` as in GroupPlaced."""
        self = cls.blank(identifier, decision.at)
        self.trigger(GroupPlaced, decision, *terms)
        return self

    @property
    def left(self) -> int:
        """What the exits may still trade."""
        return self.exit_qty - self.filled


aggregate(Oco)
