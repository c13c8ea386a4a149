"""What the small book-keeper behind event streams remembers."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from uuid import UUID


@dataclass(eq=False)
class OrderState:
    """An order; every trade of it costs one cent."""

    id: UUID
    account: AccountState
    instrument: InstrumentState
    side: int
    qty: int
    price: int
    client_order_id: str
    revision_id: UUID
    submitted_at: int
    filled: int = 0
    value: int = 0
    hold: int = 0
    hold_qty: int = 0
    trades: int = 0
    released: int = 0

    @property
    def leaves(self) -> int:
        return self.qty - self.filled


@dataclass(eq=False)
class AccountState:
    """Cash of an account, its positions by instrument, and what it owes and is owed for each."""

    id: UUID
    cash: int = 0
    unsettled: int = 0
    receivable: int = 0
    held: int = 0
    trades: int = 0
    traded: int = 0
    positions: dict[UUID, PositionState] = field(default_factory=dict)
    due: defaultdict[UUID, Due] = field(default_factory=lambda: defaultdict(Due))


@dataclass(eq=False)
class Due:
    """Trades of one account and instrument that have not settled."""

    bought_qty: int = 0
    bought_amount: int = 0
    sold_qty: int = 0
    sold_amount: int = 0


@dataclass(eq=False)
class PositionState:
    """A holding."""

    id: UUID
    qty: int = 0
    settled: int = 0
    reserved: int = 0
    cost: int = 0
    realized: int = 0


@dataclass(eq=False)
class InstrumentState:
    """An instrument and its name."""

    id: UUID
    symbol: str
    pool: int = 0


@dataclass(eq=False)
class TradeState:
    """A trade and its two orders."""

    id: UUID
    buy: OrderState
    sell: OrderState
    qty: int
    price: int
