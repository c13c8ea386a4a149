"""The room of orders: those that work, the groups that link them, and how each is found."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Collection, Mapping
from typing import Any
from uuid import UUID

from application.desk.ended import KEPT, EndedOrders
from domain.errors import UnknownOrder
from domain.events import (
    GroupEnded,
    GroupEntryFilled,
    GroupLegFilled,
    GroupPlaced,
    GroupResized,
    GroupStopTriggered,
    OrderAccepted,
    OrderAdjusted,
    OrderCanceled,
    OrderEvent,
    OrderExpired,
    OrderFilled,
    OrderReplaced,
    OrderTrailed,
    OrderTriggered,
)
from domain.identifiers import MAX_INSTANT, Instant, uuid_of
from domain.oco import Oco
from domain.order import Order

NONE: Mapping[int, Order] = {}


class Orders:
    """Working orders and their groups; `sequence` is the newest priority number.

    What is found by an id is found by the id's integer, here and in the other rooms: a UUID
    hashes and compares in Python, a dozen times a command.

    `ended` is memory and no state. Every order event moves its order here, after the other
    rooms have looked at the order as it stood before.
    """

    def __init__(self, remembers: int = KEPT) -> None:
        self.sequence = 0
        self.working: dict[int, Order] = {}
        self.by_sequence: dict[int, Order] = {}
        self.by_client: dict[tuple[int, str], Order] = {}
        self.revisions: dict[int, Order] = {}
        self.groups: dict[int, Oco] = {}
        self.ended: EndedOrders[Order] = EndedOrders(remembers)
        self._of_account: dict[int, dict[int, Order]] = {}
        self._of_instrument: dict[int, dict[int, Order]] = {}
        self._revisions_of: dict[int, list[UUID]] = {}
        self._expiries: list[tuple[Instant, int, UUID]] = []
        self.own: dict[type[Any], Callable[[Order, Any], None]] = {
            OrderAdjusted: self._moved,
            OrderTrailed: self._trailed,
            OrderTriggered: self._moved,
            OrderReplaced: self._replaced,
            OrderFilled: self._filled,
            OrderCanceled: self._ended,
            OrderExpired: self._ended,
        }
        """How the events of a working order move it, once the other rooms have looked."""
        self.rules: dict[type[Any], Callable[[Any], Any]] = {
            GroupPlaced: self._group_placed,
            GroupEntryFilled: self._group,
            GroupLegFilled: self._group,
            GroupStopTriggered: self._group,
            GroupResized: self._group,
            GroupEnded: self._group_ended,
        }

        self.aggregates: dict[str, Callable[[Any], Order | Oco | None]] = {
            Order.KIND: lambda event: self.remembered(event.originator_id),
            Oco.KIND: lambda event: self.groups.get(event.originator_id.int),
        }
        """Where the aggregate of an event of each family stands."""

    # Questions

    @property
    def next_sequence(self) -> int:
        """The priority number that the next order, or the next place at a price, gets."""
        return self.sequence + 1

    def of_account(self, account_id: UUID) -> Collection[Order]:
        """The working orders of an account, in order of acceptance."""
        return self._of_account.get(account_id.int, NONE).values()

    def of_instrument(self, instrument_id: UUID) -> Collection[Order]:
        """The working orders of an instrument, in order of acceptance."""
        return self._of_instrument.get(instrument_id.int, NONE).values()

    def expiring(self, now: Instant) -> list[Order]:
        """The working orders whose own date has come, the earliest first."""
        end = bisect_right(self._expiries, (now, MAX_INSTANT))
        return [self.working[order_id.int] for _, _, order_id in self._expiries[:end]]

    def find_working(self, account_id: UUID, order_id: UUID | None, client_order_id: str) -> Order:
        """A working order by any revision's id or by client order id.

        Raises UnknownOrder, or OrderNotWorking when it is among the ended ones in memory.
        """
        order = self.find(account_id, order_id, client_order_id)
        order.check_working()
        return order

    def knows(self, account_id: UUID, order_id: UUID | None, client_order_id: str) -> bool:
        """Whether memory can say all about this order."""
        if order_id is not None:
            return self._by_id(order_id) is not None or order_id.int in self.groups
        key = (account_id.int, client_order_id)
        return key in self.by_client or key in self.ended.by_client

    def works(self, account_id: UUID, order_id: UUID | None, client_order_id: str) -> bool:
        """Whether this is a working order, or a group, of the account."""
        if order_id is None:
            return (account_id.int, client_order_id) in self.by_client
        named = (
            self.working.get(order_id.int)
            or self.revisions.get(order_id.int)
            or self.groups.get(order_id.int)
        )
        return named is not None and named.account_id == account_id

    def find(self, account_id: UUID, order_id: UUID | None, client_order_id: str) -> Order:
        """A working or remembered order; raises UnknownOrder."""
        if order_id is not None:
            order = self._by_id(order_id)
        else:
            key = (account_id.int, client_order_id)
            order = self.by_client.get(key) or self.ended.by_client.get(key)
        if order is None or order.account_id != account_id:
            raise UnknownOrder(str(order_id or client_order_id))
        return order

    def remembered(self, order_id: UUID) -> Order | None:
        """An order by its own id, working or remembered."""
        return self.working.get(order_id.int) or self.ended.by_id.get(order_id.int)

    def _by_id(self, order_id: UUID) -> Order | None:
        return (
            self.working.get(order_id.int)
            or self.revisions.get(order_id.int)
            or self.ended.find(order_id)
        )

    # Applying events

    def accepted(self, event: OrderAccepted) -> Order:
        """Take a new order in."""
        assert event.sequence > self.sequence
        order = Order.begun_by(event)
        self.sequence = event.sequence
        self._index(order)
        return order

    def _moved(self, order: Order, event: OrderAdjusted | OrderTriggered) -> None:
        self._forget_expiry(order)
        self._resequence(order, event.sequence)
        order.evolve(event)
        self._note_expiry(order)

    def _trailed(self, order: Order, event: OrderTrailed) -> None:
        order.evolve(event)

    def _replaced(self, order: Order, event: OrderReplaced) -> None:
        self._forget_expiry(order)
        self._resequence(order, event.sequence)
        if event.client_order_id != order.client_order_id:
            self.by_client.pop((order.account_id.int, order.client_order_id), None)
            self.by_client[order.account_id.int, event.client_order_id] = order
        order.evolve(event)
        self.revisions[order.revision_id.int] = order
        self._revisions_of.setdefault(order.id.int, []).append(order.revision_id)
        self._note_expiry(order)

    def _filled(self, order: Order, event: OrderFilled) -> None:
        order.evolve(event)
        if not event.leaves_after:
            self._take_out(order)

    def _ended(self, order: Order, event: OrderCanceled | OrderExpired) -> None:
        order.evolve(event)
        self._take_out(order)

    def revised(self, event: OrderEvent) -> Order | None:
        """Move an order by what became of its fills, unless it has left memory.

        One that ended before the snapshot is not there, and nothing needs it.
        """
        order = self.remembered(event.originator_id)
        if order is not None:
            order.evolve(event)
        return order

    def _group_placed(self, event: GroupPlaced) -> Oco:
        assert event.originator_id.int not in self.groups
        group: Oco = event.mutate(None)
        self.groups[event.originator_id.int] = group
        return group

    def _group(self, event: Any) -> Oco:
        group = self.groups[event.originator_id.int]
        group.evolve(event)
        return group

    def _group_ended(self, event: GroupEnded) -> Oco:
        group = self.groups.pop(event.originator_id.int)
        group.evolve(event)
        return group

    # Indexes

    def _index(self, order: Order) -> None:
        identifier, account = order._id.int, order.account_id.int
        self.working[identifier] = order
        self.by_sequence[order.sequence] = order
        self.by_client[account, order.client_order_id] = order
        self._of_account.setdefault(account, {})[identifier] = order
        self._of_instrument.setdefault(order.instrument_id.int, {})[identifier] = order
        if order.expires_at:
            self._note_expiry(order)

    def _note_expiry(self, order: Order) -> None:
        if order.expires_at:
            insort(self._expiries, (order.expires_at, order.sequence, order.id))

    def _forget_expiry(self, order: Order) -> None:
        if order.expires_at:
            entry = (order.expires_at, order.sequence, order.id)
            at = bisect_left(self._expiries, entry)
            assert self._expiries[at] == entry
            del self._expiries[at]

    def _resequence(self, order: Order, sequence: int) -> None:
        if sequence != order.sequence:
            assert sequence > self.sequence
            self.sequence = sequence
            del self.by_sequence[order.sequence]
            self.by_sequence[sequence] = order

    def _take_out(self, order: Order) -> None:
        if order.expires_at:
            self._forget_expiry(order)
        identifier, account = order._id.int, order.account_id.int
        del self.working[identifier]
        del self.by_sequence[order.sequence]
        self.by_client.pop((account, order.client_order_id), None)
        del self._of_account[account][identifier]
        del self._of_instrument[order.instrument_id.int][identifier]
        self.ended.remember(order)
        for revision in self._revisions_of.pop(identifier, ()):
            del self.revisions[revision.int]
            self.ended.name(revision, order.id)

    # The room as plain values

    def dump(self) -> list[Any]:
        """All state of the room in one canonical order."""
        return [
            self.sequence,
            [order.state() for order in self.working.values()],
            [[UUID(int=key), revisions] for key, revisions in sorted(self._revisions_of.items())],
            [group.state() for _, group in sorted(self.groups.items())],
        ]

    def load(self, state: list[Any]) -> None:
        """Become the room that was dumped."""
        self.sequence, orders, revisions_of, groups = state
        for row in orders:
            self._index(Order.from_state(row))
        for key, revisions in revisions_of:
            order = self.working[uuid_of(key).int]
            ids = [uuid_of(revision) for revision in revisions]
            self._revisions_of[order.id.int] = ids
            self.revisions.update((revision.int, order) for revision in ids)
        for row in groups:
            group = Oco.from_state(row)
            self.groups[group.id.int] = group
