"""The room of accounts: money, positions, what is owed on which date, and the kill switches."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any
from uuid import UUID

from domain.account import Account
from domain.aggregate import Aggregate
from domain.errors import UnknownAccount
from domain.events import (
    AccountEvent,
    AccountOpened,
    DomainEvent,
    OrderAccepted,
    OrderAdjusted,
    OrderCanceled,
    OrderExpired,
    OrderFilled,
    OrderReplaced,
    PairMarginSet,
    PositionEvent,
    PositionOpened,
    SettlementFailed,
    SettlementSettled,
    TradeBooked,
    TradeReversed,
    VenueKillSwitched,
)
from domain.identifiers import VENUE, uuid_of
from domain.obligation import Obligation, ObligationKey
from domain.order import Order
from domain.pair_margin import Pair
from domain.position import Position
from domain.settlement import Settlement
from domain.terms import DueAs, Leg, OrderStatus, Side
from domain.units import from_digits
from domain.venue import Venue

_BUY = int(Side.BUY)
_PAYABLE = int(DueAs.PAYABLE)
_RECEIVABLE = int(DueAs.RECEIVABLE)
_HELD = int(OrderStatus.HELD)
_FIRST = int(Leg.FIRST)


class Accounts:
    """Accounts and positions. `obligations` are the trades that are not settled, added up,
    `pool` what was delivered to the house and not yet received, by instrument.
    """

    def __init__(self) -> None:
        self.by_id: dict[int, Account] = {}
        self.by_name: dict[str, Account] = {}
        self.on_margin: list[Account] = []
        self.owners: dict[str, int] = {}
        self.positions: dict[tuple[int, int], Position] = {}
        self.obligations: dict[ObligationKey, Obligation] = {}
        # The same of each position, by the integers of its ids and then by value date: a UUID
        # hashes in Python, and every fill asks.
        self._owed_by: dict[tuple[int, int], dict[int, Obligation]] = {}
        self.settlements: dict[ObligationKey, Settlement] = {}
        self.pool: dict[UUID, int] = {}
        self.venue = Venue.blank(VENUE, 0)
        self.pairs: dict[int, list[Pair]] = {}
        """Those that an instrument is one of."""
        self._positions_of: dict[int, list[Position]] = {}
        self._positions_in: dict[int, list[Position]] = {}
        self.rules: dict[type[Any], Callable[[Any], Any]] = {
            **{kind: self._account for kind in _kinds(AccountEvent)},
            AccountOpened: self._opened,
            TradeBooked: self._trade_booked,
            TradeReversed: self._trade_reversed,
            **{kind: self._position for kind in _kinds(PositionEvent)},
            PositionOpened: self._position_opened,
            SettlementFailed: self._settlement_failed,
            SettlementSettled: self._settlement_settled,
            VenueKillSwitched: self._venue_moved,
            PairMarginSet: self._paired,
        }
        self.beside: dict[type[Any], Callable[[Order, Any], None]] = {
            OrderAccepted: self._order_accepted,
            OrderAdjusted: self._order_adjusted,
            OrderReplaced: self._order_replaced,
            OrderFilled: self._order_filled,
            OrderCanceled: self._order_ended,
            OrderExpired: self._order_ended,
        }
        """What an order's event does to its account; the order is as it stood before."""

        self.aggregates: dict[str, Callable[[Any], Aggregate | None]] = {
            Account.KIND: lambda event: self.by_id.get(event.originator_id.int),
            Position.KIND: lambda event: self.positions.get(
                (event.account_id.int, event.instrument_id.int)
            ),
            Settlement.KIND: lambda event: self.settlements.get(
                ObligationKey(event.account_id, event.instrument_id, event.value_date)
            ),
            Venue.KIND: lambda _: self.venue,
        }
        """Where the aggregate of an event of each family stands."""

    # Questions

    def account(self, account_id: UUID) -> Account:
        """Raises UnknownAccount."""
        account = self.by_id.get(account_id.int)
        if account is None:
            raise UnknownAccount(account_id)
        return account

    def owner_number(self, account_id: UUID) -> int:
        """The number that an account shares with the others of its owner."""
        return self.by_id[account_id.int].owner_number

    def of_owner(self, owner: str) -> list[Account]:
        """Every account of an owner, in the order in which they were opened."""
        return [account for account in self.by_id.values() if account.owner == owner]

    def positions_of(self, account_id: UUID) -> Iterable[Position]:
        """An account's positions, in the order of their first touch."""
        return self._positions_of.get(account_id.int, ())

    def positions_in(self, instrument_id: UUID) -> Iterable[Position]:
        """All positions in an instrument, in the order of their first touch."""
        return self._positions_in.get(instrument_id.int, ())

    def paid_on(self, position: Position, qty: int) -> int:
        """The value date by which so much of what is unpaid in a position is to settle; 0 when
        none can be told, as where its settlement has failed.
        """
        key = position.account_id, position.instrument_id
        for date, owed in sorted(self._owed_by.get((key[0].int, key[1].int), {}).items()):
            if owed.unpaid_qty > 0:
                if ObligationKey(*key, date) in self.settlements:
                    return 0
                qty -= owed.unpaid_qty
                if qty <= 0:
                    return date
        return 0

    def proceeds_on(self, account: Account, needed: int) -> int:
        """The value date by which so many cents, and all purchases that proceeds stand for, are
        to be paid out of settled funds; 0 when none can be told.
        """
        by_date: dict[int, list[Obligation]] = {}
        for position in self.positions_of(account.id):
            of_position = account.id.int, position.instrument_id.int
            for date, owed in self._owed_by.get(of_position, {}).items():
                by_date.setdefault(date, []).append(owed)
        settled: list[Obligation] = []
        for date in sorted(by_date):
            settled += by_date[date]
            unpaid = sum(owed.unpaid_amount for owed in settled)
            if account.settled_funds + account.settling(*settled).receivable - unpaid >= needed:
                return date
        return 0

    # Applying events

    def _opened(self, event: AccountOpened) -> Account:
        assert event.originator_id.int not in self.by_id
        account: Account = event.mutate(None)
        self._add(account)
        return account

    def _add(self, account: Account) -> None:
        self.by_id[account.id.int] = self.by_name[account.name] = account
        if account.is_margin:
            self.on_margin.append(account)
        self.owners.setdefault(account.owner, account.owner_number)

    def _account(self, event: AccountEvent) -> Account:
        account = self.by_id[event.originator_id.int]
        account.evolve(event)
        return account

    def _trade_booked(self, event: TradeBooked) -> Account:
        return self._traded(event, 1)

    def _trade_reversed(self, event: TradeReversed) -> Account:
        return self._traded(event, -1)

    def _traded(self, event: TradeBooked | TradeReversed, way: int) -> Account:
        """Take a trade into its obligation, or out of it again (-1)."""
        account = self._account(event)
        owed = self._owed(event)
        side = event.side
        owed.add_qty(side, way * event.qty)
        due = event.due
        if due:
            # A trade that comes off what was booked the other way is negative there.
            back = way if (side == _BUY) is (due == _PAYABLE) else -way
            value, cost = (
                back * from_digits(event.traded_value),
                way * from_digits(event.commission),
            )
            _add_due(owed, due, value, cost)
            _add_due(account, due, value, cost)
        else:
            owed.add_posted(side, way * event.notional, way * event.fee)
        if event.unpaid_qty:
            owed.unpaid_qty += way * event.unpaid_qty
            owed.unpaid_amount += way * (event.notional + event.fee)
        return account

    def _owed(self, event: TradeBooked | TradeReversed) -> Obligation:
        date = event.value_date
        by_date = self._owed_by.get((event.originator_id.int, event.instrument_id.int))
        owed = by_date.get(date) if by_date is not None else None
        if owed is None:
            owed = Obligation(since=event.at)
            self._owe(ObligationKey(event.originator_id, event.instrument_id, date), owed)
        return owed

    def _owe(self, key: ObligationKey, owed: Obligation) -> None:
        self.obligations[key] = owed
        of_position = key.account_id.int, key.instrument_id.int
        self._owed_by.setdefault(of_position, {})[key.value_date] = owed

    def _position_opened(self, event: PositionOpened) -> Position:
        assert (event.account_id.int, event.instrument_id.int) not in self.positions
        position: Position = event.mutate(None)
        self._add_position(position)
        return position

    def _add_position(self, position: Position) -> None:
        self.positions[position.account_id.int, position.instrument_id.int] = position
        self._positions_of.setdefault(position.account_id.int, []).append(position)
        self._positions_in.setdefault(position.instrument_id.int, []).append(position)

    def _position(self, event: PositionEvent) -> Position:
        position = self.positions[event.account_id.int, event.instrument_id.int]
        position.evolve(event)
        return position

    def _settlement_failed(self, event: SettlementFailed) -> Settlement:
        key = ObligationKey(event.account_id, event.instrument_id, event.value_date)
        settlement: Settlement = event.mutate(self.settlements.get(key))
        self.settlements[key] = settlement
        return settlement

    def _settlement_settled(self, event: SettlementSettled) -> Settlement:
        key = ObligationKey(event.account_id, event.instrument_id, event.value_date)
        settlement: Settlement = event.mutate(self.settlements.pop(key, None))
        account, instrument = event.account_id.int, event.instrument_id.int
        by_date = self._owed_by[account, instrument]
        del by_date[event.value_date]
        if not by_date:
            del self._owed_by[account, instrument]
        _take_out(self.by_id[account], self.obligations.pop(key))
        if event.pool_after:
            self.pool[event.instrument_id] = event.pool_after
        else:
            self.pool.pop(event.instrument_id, None)
        return settlement

    def _venue_moved(self, event: VenueKillSwitched | PairMarginSet) -> Venue:
        self.venue = event.mutate(self.venue if self.venue.version else None)
        return self.venue

    def _paired(self, event: PairMarginSet) -> Venue:
        venue = self._venue_moved(event)
        self._take_pairs()
        return venue

    def _take_pairs(self) -> None:
        self.pairs = {}
        for first, second, bps in self.venue.pairs:
            pair = Pair(bps, first.int, second.int)
            for number in pair[1:]:
                self.pairs.setdefault(number, []).append(pair)

    def _order_accepted(self, order: Order, event: OrderAccepted) -> None:
        if order.leg >= _FIRST:
            self._join(order, order.hold_qty)
        self._count(order, 0 if order.status == _HELD else order.leaves)

    def _order_adjusted(self, order: Order, event: OrderAdjusted) -> None:
        if order.leg >= _FIRST:
            self._join(order, event.hold_qty_after - order.hold_qty)
        after = 0 if event.status_after == _HELD else event.leaves_after
        self._count(order, after - order.counted)

    def _order_replaced(self, order: Order, event: OrderReplaced) -> None:
        if order.leg >= _FIRST:
            self._join(order, event.hold_qty_after - order.hold_qty)
        if not order.is_held:
            self._count(order, event.leaves_after - order.leaves)

    def _order_filled(self, order: Order, event: OrderFilled) -> None:
        if order.leg >= _FIRST:
            self._join(order, event.hold_qty_after - order.hold_qty)
        self._count(order, -event.qty)

    def _order_ended(self, order: Order, event: OrderCanceled | OrderExpired) -> None:
        if order.leg >= _FIRST:
            self._join(order, -order.hold_qty)
        self._count(order, -order.counted)

    def _count(self, order: Order, qty: int) -> None:
        """Note how much more, or less, of a side works for the position."""
        position = self.positions[order.account_id.int, order.instrument_id.int]
        if order.side == _BUY:
            position.working_buys += qty
        else:
            position.working_sells += qty

    def _join(self, order: Order, qty: int) -> None:
        """Note how much more, or less, of a position legs of multi-leg orders are to close."""
        self.positions[order.account_id.int, order.instrument_id.int].joined += qty

    # The room as plain values

    def dump(self) -> list[Any]:
        """All state of the room in one canonical order."""
        return [
            [account.state() for account in self.by_id.values()],
            [position.state() for position in self.positions.values()],
            [[*key, *owed.state()] for key, owed in self.obligations.items()],
            [row.state() for _, row in sorted(self.settlements.items())],
            sorted([key, qty] for key, qty in self.pool.items()),
            self.venue.state(),
        ]

    def load(self, state: list[Any], working: Iterable[Order]) -> None:
        """Become the room that was dumped; what works for a position is derived from orders."""
        accounts, positions, obligations, settlements, pool, venue = state
        for row in accounts:
            self._add(Account.from_state(row))
        for row in positions:
            self._add_position(Position.from_state(row))
        for account_id, instrument_id, value_date, *owed in obligations:
            key = ObligationKey(uuid_of(account_id), uuid_of(instrument_id), value_date)
            due = Obligation.from_state(owed)
            self._owe(key, due)
            account = self.by_id[key.account_id.int]
            _add_due(account, _PAYABLE, due.paying, due.paying_cost)
            _add_due(account, _RECEIVABLE, due.coming, due.coming_cost)
        for row in settlements:
            settlement = Settlement.from_state(row)
            self.settlements[settlement.key] = settlement
        self.pool = {uuid_of(key): qty for key, qty in pool}
        self.venue = Venue.from_state(venue)
        self._take_pairs()
        for order in working:
            self._count(order, order.counted)
            if order.leg >= _FIRST:
                self._join(order, order.hold_qty)


def _add_due(sums: Obligation | Account, due: int, value: int, cost: int) -> None:
    if due == _PAYABLE:
        sums.paying += value
        sums.paying_cost += cost
    else:
        sums.coming += value
        sums.coming_cost += cost


def _take_out(account: Account, settled: Obligation) -> None:
    _add_due(account, _PAYABLE, -settled.paying, -settled.paying_cost)
    _add_due(account, _RECEIVABLE, -settled.coming, -settled.coming_cost)


def _kinds(family: type[DomainEvent]) -> list[type[DomainEvent]]:
    return [kind for kind in DomainEvent.by_topic.values() if issubclass(kind, family)]
