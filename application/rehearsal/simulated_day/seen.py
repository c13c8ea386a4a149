"""What a day has led to so far, as its committed events say: all that the flow may know."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple
from uuid import UUID

from application.log.ports import Recorded
from domain import events as e
from domain.events import DomainEvent
from domain.identifiers import NO_ID
from domain.terms import AccountKind, CancelReason, GroupEnd, Leg, Side

_BUY = int(Side.BUY)
EXITS = (int(Leg.TAKE_PROFIT), int(Leg.STOP_LOSS))
OF_THIN_BOOKS = (
    CancelReason.IMMEDIATE_OR_CANCEL,
    CancelReason.NO_LIQUIDITY,
    CancelReason.COLLAR,
    CancelReason.PROTECTION,
)
"""Why an order ends that found too little."""


class SeenOrder:
    """An order in the market."""

    __slots__ = (
        *("account_id", "elected_by", "filled", "group_id", "leaves", "leg", "price", "side"),
        *("symbol", "trail_price"),
    )

    def __init__(self, event: e.OrderAccepted) -> None:
        self.account_id = event.account_id
        self.symbol = event.symbol
        self.side = event.side
        self.leaves = event.qty
        self.filled = 0
        self.price = event.limit_price
        self.trail_price = event.trail_price
        self.group_id = event.group_id
        self.leg = event.leg
        self.elected_by = NO_ID
        """The command that elected it, a stop."""


class Trade(NamedTuple):
    """A trade, and where the log holds one of its fills."""

    trade_id: UUID
    position: int
    symbol: str
    buyer: UUID
    seller: UUID
    qty: int
    price: int


class Group:
    """An order group: what its exits may trade in all, and what they have traded."""

    __slots__ = ("ended", "entry_filled", "exit_qty", "filled", "has_entry")

    def __init__(self, event: e.GroupPlaced) -> None:
        self.has_entry = event.entry_id != NO_ID
        self.exit_qty = 0 if self.has_entry else event.qty
        self.entry_filled = 0
        self.filled = 0
        self.ended = False


class Seen:
    """Accounts, working orders, trades, groups and obligations, kept from events alone."""

    def __init__(self) -> None:
        self.position = 0
        self.counts: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.group_ends: Counter[str] = Counter()
        self.account_named: dict[str, UUID] = {}
        self.symbol_of: dict[UUID, str] = {}
        self.margin: set[UUID] = set()
        self.working: dict[UUID, SeenOrder] = {}
        self.order_ids: list[UUID] = []
        self.trades: list[Trade] = []
        self.undone: set[UUID] = set()
        self.killed: list[UUID] = []
        self.holdings: dict[tuple[UUID, str], int] = {}
        self.reserved: dict[tuple[UUID, str], int] = {}
        self.spare: dict[UUID, int] = {}
        self.last_price: dict[str, int] = {}
        self.groups: dict[UUID, Group] = {}
        self.obligations: set[tuple[UUID, UUID, int]] = set()
        self._fills: dict[UUID, tuple[int, e.OrderFilled]] = {}
        self._corrections: set[UUID] = set()
        self._handlers: dict[type[DomainEvent], Callable[[int, Any], None]] = {
            e.AccountOpened: self._opened,
            e.AccountKillSwitched: self._kill_switched,
            e.InstrumentListed: self._listed,
            e.InstrumentHalted: self._counted("halts"),
            e.CashDeposited: self._cash,
            e.CashWithdrawn: self._cash,
            e.FeeCharged: self._cash,
            e.OrderAccepted: self._accepted,
            e.OrderRejected: self._rejected,
            e.RequestRefused: self._rejected,
            e.OrderTrailed: self._counted("stops_trailed"),
            e.OrderTriggered: self._elected,
            e.OrderFilled: self._filled,
            e.OrderAdjusted: self._adjusted,
            e.OrderReplaced: self._replaced,
            e.OrderCanceled: self._ended,
            e.OrderExpired: self._ended,
            e.OrderFillBusted: self._busted,
            e.OrderFillCorrected: self._corrected,
            e.TradeBooked: self._booked,
            e.TradeReversed: self._reversed,
            e.PositionTraded: self._moved,
            e.PositionReversed: self._moved,
            e.PositionTransferred: self._moved,
            e.QuantityReserved: self._reserved,
            e.QuantityReleased: self._reserved,
            e.GroupPlaced: self._placed,
            e.GroupEntryFilled: self._entry_filled,
            e.GroupLegFilled: self._leg_filled,
            e.GroupResized: self._resized,
            e.GroupEnded: self._group_ended,
            e.SettlementSettled: self._settled,
            e.SettlementFailed: self._counted("failed"),
        }

    def take(self, recorded: Iterable[Recorded]) -> None:
        """Take in committed events, in order."""
        handlers = self._handlers
        for position, event in recorded:
            self.position = position
            handler = handlers.get(type(event))
            if handler is not None:
                handler(position, event)

    @property
    def orphans(self) -> int:
        """Exits that work without a live group, and live groups without a leg that works."""
        groups = {order.group_id for order in self.working.values() if order.leg}
        lost = sum(
            order.leg in EXITS and self._over(order.group_id) for order in self.working.values()
        )
        empty = sum(not group.ended and name not in groups for name, group in self.groups.items())
        return lost + empty

    def _over(self, group_id: UUID) -> bool:
        group = self.groups.get(group_id)
        return group is None or group.ended

    @property
    def overfilled(self) -> int:
        """Groups whose exits traded more than they might."""
        return sum(group.filled > group.exit_qty for group in self.groups.values())

    @property
    def bare(self) -> int:
        """Positions whose stop was triggered and ended though they were still held: nobody was
        there, or only the own orders of who held them.
        """
        return self.counts["bare"]

    def _counted(self, name: str) -> Callable[[int, DomainEvent], None]:
        def count(position: int, event: DomainEvent) -> None:
            self.counts[name] += 1

        return count

    def _opened(self, position: int, event: e.AccountOpened) -> None:
        self.account_named[event.name] = event.originator_id
        self.spare[event.originator_id] = 0
        if event.kind == AccountKind.MARGIN:
            self.margin.add(event.originator_id)

    def _kill_switched(self, position: int, event: e.AccountKillSwitched) -> None:
        if event.engaged:
            self.killed.append(event.originator_id)
        else:
            self.killed.remove(event.originator_id)

    def _listed(self, position: int, event: e.InstrumentListed) -> None:
        self.symbol_of[event.originator_id] = event.symbol

    def _cash(self, position: int, event: e.CashMoved) -> None:
        self.spare[event.originator_id] += event.amount

    def _accepted(self, position: int, event: e.OrderAccepted) -> None:
        self.counts["orders"] += 1
        self.working[event.originator_id] = SeenOrder(event)
        self.order_ids.append(event.originator_id)

    def _rejected(self, position: int, event: e.OrderRejected | e.RequestRefused) -> None:
        self.refused[event.code] += 1

    def _filled(self, position: int, event: e.OrderFilled) -> None:
        order = self.working[event.originator_id]
        if order.elected_by not in (NO_ID, event.correlation_id):
            self.counts["remainders_traded"] += 1
        order.leaves, order.filled = event.leaves_after, event.filled_after
        if event.leaves_after:
            self.counts["partial_fills"] += 1
        else:
            del self.working[event.originator_id]
        if event.leg in EXITS:
            self.groups[event.group_id].filled += event.qty
        symbol = self.symbol_of[event.instrument_id]
        self.last_price[symbol] = event.price
        self.obligations.add((event.account_id, event.instrument_id, event.value_date))
        first = self._fills.pop(event.trade_id, None)
        if first is None:
            self._fills[event.trade_id] = position, event
            return
        self.counts["trades"] += 1
        at, other = first
        buyer, seller = (other, event) if other.side == _BUY else (event, other)
        accounts = buyer.account_id, seller.account_id
        self.trades.append(Trade(event.trade_id, at, symbol, *accounts, event.qty, event.price))

    def _elected(self, position: int, event: e.OrderTriggered) -> None:
        self.counts["stops_elected"] += 1
        self.working[event.originator_id].elected_by = event.correlation_id

    def _adjusted(self, position: int, event: e.OrderAdjusted) -> None:
        self.working[event.originator_id].leaves = event.leaves_after

    def _replaced(self, position: int, event: e.OrderReplaced) -> None:
        self.counts["replaces"] += 1
        order = self.working[event.originator_id]
        order.leaves, order.price = event.leaves_after, event.limit_price

    def _ended(self, position: int, event: e.OrderCanceled | e.OrderExpired) -> None:
        order = self.working.pop(event.originator_id, None)
        if isinstance(event, e.OrderExpired):
            self.counts["expiries"] += 1
            return
        self.counts["cancels"] += 1
        if order is None:
            # One that is filled is taken back when no trade of it stands any more.
            assert event.reason == CancelReason.BUSTED, "an order ended that did not work"
        elif order.leg in EXITS and order.elected_by != NO_ID:
            at_once = order.elected_by == event.correlation_id
            met_own = event.reason == CancelReason.SELF_TRADE and at_once
            self.counts["bare"] += met_own or event.reason in OF_THIN_BOOKS

    def _busted(self, position: int, event: e.OrderFillBusted) -> None:
        if event.trade_id not in self.undone:
            self.undone.add(event.trade_id)
            self.counts["busts"] += 1

    def _corrected(self, position: int, event: e.OrderFillCorrected) -> None:
        # Both sides of one correction have the trade's id; the second closes the pair.
        if event.trade_id in self._corrections:
            self._corrections.discard(event.trade_id)
            self.counts["corrections"] += 1
        else:
            self._corrections.add(event.trade_id)

    def _booked(self, position: int, event: e.TradeBooked) -> None:
        self.spare[event.originator_id] = event.cash_after + event.unsettled_after
        self.obligations.add((event.originator_id, event.instrument_id, event.value_date))

    def _reversed(self, position: int, event: e.TradeReversed) -> None:
        self.spare[event.originator_id] = event.cash_after + event.unsettled_after
        self.obligations.add((event.originator_id, event.instrument_id, event.value_date))

    def _moved(
        self,
        position: int,
        event: e.PositionTraded | e.PositionReversed | e.PositionTransferred,
    ) -> None:
        key = event.account_id, self.symbol_of[event.instrument_id]
        self.holdings[key] = event.qty_after
        if isinstance(event, e.PositionTraded):
            self.reserved[key] = event.reserved_after

    def _reserved(self, position: int, event: e.QuantityReserved | e.QuantityReleased) -> None:
        key = event.account_id, self.symbol_of[event.instrument_id]
        self.reserved[key] = event.reserved_after

    def _placed(self, position: int, event: e.GroupPlaced) -> None:
        self.counts["groups"] += 1
        self.groups[event.originator_id] = Group(event)

    def _entry_filled(self, position: int, event: e.GroupEntryFilled) -> None:
        group = self.groups[event.originator_id]
        group.entry_filled, group.exit_qty = event.entry_filled_after, event.exit_qty_after

    def _leg_filled(self, position: int, event: e.GroupLegFilled) -> None:
        self.counts["group_fills"] += 1

    def _resized(self, position: int, event: e.GroupResized) -> None:
        # What was traded already stays traded when the exits shrink.
        self.groups[event.originator_id].exit_qty = event.exit_qty_after

    def _group_ended(self, position: int, event: e.GroupEnded) -> None:
        self.group_ends[GroupEnd(event.reason).name.lower()] += 1
        self.groups[event.originator_id].ended = True

    def _settled(self, position: int, event: e.SettlementSettled) -> None:
        self.counts["settled"] += 1
        self.obligations.discard((event.account_id, event.instrument_id, event.value_date))
