"""What documents say of a desk: its events through the real views, rendered as for clients."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any
from uuid import UUID

from api.rendering import account_document, is_stopped, position_document
from api.valuation import valued
from domain.events import DomainEvent
from domain.identifiers import VENUE
from domain.terms import Leg, TriggerRule
from projections.balances import AccountRow, Balances, VenueSwitch
from projections.instruments import Instruments
from projections.orders import Orders
from projections.pair_margins import PairMargins, PairRow
from projections.positions import PositionRow, Positions


class Shown:
    """The documents of every account, from the events alone."""

    def __init__(self, events: Iterable[DomainEvent]) -> None:
        balances, positions, instruments = Balances(), Positions(), Instruments()
        orders, pairs = Orders(), PairMargins()
        for number, event in enumerate(events, 1):
            for view in (balances, positions, instruments, orders, pairs):
                handler = view.handlers.get(type(event))
                if handler is not None:
                    handler(number, event)
        self._accounts = balances.balances.puts
        self._positions = positions.positions.puts
        self._instruments = instruments.instruments.puts
        self._orders = orders.orders.puts
        self._pairs = [
            PairRow(row["instrument_id"], row["other_id"], row["bps"], row["set_at"])
            for row in pairs.pairs.puts.values()
            if row["bps"]
        ]
        switch = balances.venue.puts.get(VENUE.int)
        self.venue = VenueSwitch(switch["killed"]) if switch else VenueSwitch()

    def account(self, account_id: UUID) -> dict[str, Any]:
        """As `GET /v2/account` has it."""
        row, held = self._row(account_id), self._held(account_id)
        value = valued(row, held, self.venue, self._pairs)
        return account_document(row, value, self.venue)

    def positions(self, account_id: UUID) -> dict[str, dict[str, Any]]:
        """As `GET /v2/positions` has them, by symbol."""
        stopped = is_stopped(self._row(account_id), self.venue)
        return {
            row.symbol: position_document(row, stopped=stopped) for row in self._held(account_id)
        }

    def _underlying(self, instrument_id: UUID) -> dict[str, Any]:
        """What stands beside an option of what it is for."""
        row = self._instruments.get(instrument_id.int)
        if row is None:
            return {}
        by_mark = row["mark_price"] if row["trigger_rule"] == TriggerRule.MARK else 0
        price = by_mark or row["last_price"] or row["mark_price"] or row["reference_price"]
        return {
            "underlying_id": instrument_id,
            "underlying_price": price,
            "underlying_decimals": row["price_decimals"],
            "underlying_initial_bps": row["initial_margin_bps"],
            "underlying_maintenance_bps": row["maintenance_margin_bps"],
        }

    def _row(self, account_id: UUID) -> AccountRow:
        row = self._accounts[account_id.int]
        return AccountRow(**{name: row[name] for name in AccountRow.__struct_fields__})

    def _held(self, account_id: UUID) -> list[PositionRow]:
        found = []
        for row in self._positions.values():
            if row["account_id"] == account_id and row["qty"]:
                both = {**self._instruments[row["instrument_id"].int], **row}
                # No column of a view, but what a feed may tell beside it.
                names = [
                    name
                    for name in PositionRow.__struct_fields__
                    if name not in ("feed_price", "joined") and not name.startswith("underlying_")
                ]
                fields = {name: both[name] for name in names}
                fields |= self._underlying(both["underlying_id"])
                fields["joined"] = sum(
                    order["hold_qty"]
                    for order in self._orders.values()
                    if order["account_id"] == account_id and order["open"]
                    if order["leg"] >= Leg.FIRST
                    if order["instrument_id"] == row["instrument_id"]
                )
                fields["carried"] = Decimal(fields["carried"])
                found.append(PositionRow(**fields))
        return found
