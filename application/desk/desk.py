"""The desk: all state the writer owns, in rooms that events move and nothing else does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from application.desk.accounts import Accounts
from application.desk.ended import KEPT
from application.desk.families import margin_with_options
from application.desk.floor import TradingFloor
from application.desk.keys import Keys
from application.desk.orders import Orders
from application.desk.pairs import relieved
from application.desk.strategies import Strategies
from application.desk.trades import Trades
from application.desk.watchlists import Watchlists
from domain.aggregate import Aggregate
from domain.events import (
    DomainEvent,
    OrderAccepted,
    OrderFillBusted,
    OrderFillCorrected,
    OrderFilled,
)
from domain.identifiers import Instant
from domain.margin import Holding, Margin, margin_of
from domain.order import Order


class Desk(TradingFloor):
    """Orders, markets, accounts, trades, watchlists, strategies and keys of one partition.

    `position` is the log position of the newest event it holds, `last_at` that event's time,
    `command` the number of the command that made it.

    `remembers` is of how many ended orders, which is no state, and neither is `trades_found`: what
    a look-up brought for the command that is about to be decided.
    """

    def __init__(self, partition: int = 0, *, remembers: int = KEPT) -> None:
        self.partition = partition
        self.position = 0
        self.last_at: Instant = 0
        self.command = 0
        self.accounts = Accounts()
        self.trades = Trades()
        self.watchlists = Watchlists()
        self.strategies = Strategies(remembers)
        self.keys = Keys()
        self.trades_found: dict[UUID, tuple[OrderFilled, OrderFilled]] = {}
        super().__init__(self.accounts.owner_number, Orders(remembers))
        self._rules |= self.accounts.rules | self.watchlists.rules | self.strategies.rules
        self._rules |= self.keys.rules
        beside = self.accounts.beside
        for room in (beside, self.strategies.beside):
            self._moves = {
                kind: (room[kind], *moves) if kind in room else moves
                for kind, moves in self._moves.items()
            }
        self._beside_accepted = (*self._beside_accepted, beside[OrderAccepted])
        self._aggregates: dict[str, Callable[[Any], Aggregate | None]] = {
            **self.orders.aggregates,
            **self.markets.aggregates,
            **self.accounts.aggregates,
            **self.watchlists.aggregates,
            **self.strategies.aggregates,
            **self.keys.aggregates,
        }

    def apply(self, event: DomainEvent) -> Any:
        """Move everything that an event moves; returns the aggregate it belongs to."""
        return self._rules[type(event)](event)

    def aggregate_of(self, event: DomainEvent) -> Aggregate | None:
        """The aggregate that an event belongs to, as it stands; None when it has left memory."""
        return self._aggregates[event.AGGREGATE](event)

    def moved_to(self, position: int, at: Instant, command: int) -> None:
        """Note where in the log the desk stands now, between two commands."""
        self.position, self.last_at, self.command = position, at, command

    def margin(self, account_id: UUID) -> Margin:
        """What the account's positions are worth, and bind, at the present marks."""
        account = self.accounts.by_id[account_id.int]
        initial_bps = account.initial_bps
        holdings = []
        for position in self.accounts.positions_of(account_id):
            if position.qty:
                market = self.markets.by_id[position.instrument_id.int]
                terms = market.instrument
                if terms.expiry:
                    margin = margin_with_options(self, account)
                    return relieved(self, account, margin) if self.accounts.pairs else margin
                holdings.append(
                    Holding(
                        position.qty * terms.multiplier,
                        market.mark,
                        terms.price_decimals,
                        initial_bps(terms.initial_margin_bps),
                        terms.maintenance_margin_bps,
                    )
                )
        margin = margin_of(holdings)
        if self.accounts.pairs and margin.long_value and margin.short_value:
            return relieved(self, account, margin)
        return margin

    def _fill_revised(self, event: OrderFillBusted | OrderFillCorrected) -> Order | None:
        self.trades.rules[type(event)](event)
        self.strategies.revised(event)
        return super()._fill_revised(event)
