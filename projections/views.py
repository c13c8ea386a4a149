"""All views of the venue, in the order in which they are shown."""

from __future__ import annotations

from domain.events import (
    AccountOwnerForgotten,
    CloseAllTaken,
    DomainEvent,
    InstrumentClosing,
    KeyIssued,
    KeyRevoked,
    KeyRotated,
    RequestRefused,
)
from projections.account_days import AccountDays
from projections.activities import Activities
from projections.balances import Balances
from projections.daily_closes import DailyCloses
from projections.daily_volume import DailyVolume
from projections.equity import Equity
from projections.instruments import Instruments
from projections.ledger import LedgerBalances
from projections.order_groups import OrderGroups
from projections.orders import Orders
from projections.pair_margins import PairMargins
from projections.positions import Positions
from projections.projection import Projection
from projections.settlements import Settlements
from projections.strategies import Strategies
from projections.trades import Trades
from projections.watchlists import Watchlists

VIEWS: tuple[type[Projection], ...] = (
    Orders,
    OrderGroups,
    Strategies,
    Trades,
    Activities,
    Positions,
    Balances,
    AccountDays,
    Equity,
    LedgerBalances,
    Instruments,
    DailyVolume,
    DailyCloses,
    Settlements,
    Watchlists,
    PairMargins,
)


def all_views() -> list[Projection]:
    """A fresh instance of every view."""
    return [view() for view in VIEWS]


OF_NO_CONCERN: tuple[type[DomainEvent], ...] = (
    # Answered when it is refused and kept for its key; nothing that anybody has changes by it.
    RequestRefused,
    # What its auction traded is in the fills, and that the session is over in the close.
    InstrumentClosing,
    # What it closes are orders, each of which says itself what becomes of it.
    CloseAllTaken,
    # Their rows stand beside the log and are stored with the events.
    KeyIssued,
    KeyRotated,
    KeyRevoked,
    # The key that opened the name is gone with the event; who shows the name finds none.
    AccountOwnerForgotten,
)
"""Events that no view takes; every other one is taken by some view."""
