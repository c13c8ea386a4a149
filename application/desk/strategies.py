"""The room of multi-leg orders: those that are live, how each is found, and who rests where."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from application.desk.ended import KEPT, EndedOrders
from application.desk.legs_in_turn import LegsInTurn
from domain.aggregate import Aggregate
from domain.events import (
    MultiLegCanceled,
    MultiLegClosed,
    MultiLegEvent,
    MultiLegExecuted,
    MultiLegExpired,
    MultiLegPlaced,
    MultiLegRejected,
    MultiLegReplaced,
    MultiLegTurned,
    MultiLegUnwinding,
    MultiLegUnwound,
    OrderFillBusted,
    OrderFillCorrected,
    OrderFilled,
)
from domain.identifiers import Instant, uuid_of
from domain.multileg import MultiLegOrder
from domain.order import Order
from domain.strategy_terms import StrategyLeg
from domain.terms import Side

_BUY = int(Side.BUY)
_SELL = int(Side.SELL)


class Strategy(NamedTuple):
    """What is traded as one: instruments and their ratios, and which way each goes.

    Rows are (instrument, side, ratio) by the instruments' ids, so that it matters to nobody in
    which order somebody named them.
    """

    rows: tuple[tuple[int, int, int], ...]

    @classmethod
    def of(cls, legs: Iterable[StrategyLeg]) -> Strategy:
        """The strategy of these legs."""
        return cls(tuple(sorted((leg.instrument_id.int, leg.side, leg.ratio) for leg in legs)))

    @classmethod
    def in_turn(cls, parent: MultiLegOrder) -> Strategy:
        """That of a sequential order: its legs in their order, and whether they have time. It
        trades with nobody but the books, so that nobody has the other side of it.
        """
        legs = [(leg.instrument_id.int, leg.side, leg.ratio) for leg in parent.strategy]
        return cls((*legs, (0, 0, 1 if parent.leg_seconds else 0)))

    def opposite(self) -> Strategy:
        """The other side of it."""
        return Strategy(
            tuple((one, _SELL if side == _BUY else _BUY, ratio) for one, side, ratio in self.rows)
        )


class Sides(NamedTuple):
    """The strategy of an order, and that of who trades with it."""

    own: Strategy
    other: Strategy


class Strategies:
    """Live multi-leg orders, by id and by client order id.

    `resting` are of each strategy who pays most first, and then who came first; sequential orders
    stand apart from the others. `touching` are the strategies of which an instrument is a leg,
    `timed` the orders of which a leg has its turn for some time. `ended` is memory and no state.
    """

    def __init__(self, remembers: int = KEPT) -> None:
        self.live: dict[int, MultiLegOrder] = {}
        self.by_client: dict[tuple[int, str], MultiLegOrder] = {}
        self.revisions: dict[int, MultiLegOrder] = {}
        self._revisions_of: dict[int, list[UUID]] = {}
        self.touching: dict[int, set[Strategy]] = {}
        self.resting: dict[Strategy, list[MultiLegOrder]] = {}
        self.timed: dict[int, MultiLegOrder] = {}
        self.in_turn = LegsInTurn()
        self._of_account: dict[int, dict[int, MultiLegOrder]] = {}
        self._strategies: dict[int, Sides] = {}
        self.ended: EndedOrders[MultiLegOrder] = EndedOrders(remembers)
        self.rules: dict[type[Any], Callable[[Any], Any]] = {
            MultiLegPlaced: self._placed,
            MultiLegRejected: self._rejected,
            MultiLegReplaced: self._replaced,
            MultiLegExecuted: self._executed,
            MultiLegTurned: self._moved,
            MultiLegClosed: self._closed,
            MultiLegCanceled: self._moved,
            MultiLegExpired: self._moved,
            MultiLegUnwinding: self._moved,
            MultiLegUnwound: self._moved,
        }
        self.beside: dict[type[Any], Callable[[Order, Any], None]] = {
            OrderFilled: self.in_turn.filled
        }
        """What an order's event does to the order that it is a leg of; the leg is as it stood."""

        self.aggregates: dict[str, Callable[[Any], Aggregate | None]] = {
            MultiLegOrder.KIND: lambda event: self.live.get(event.originator_id.int)
        }
        """Where the aggregate of an event of each family stands."""

    # Questions

    def find(
        self, account_id: UUID, parent_id: UUID | None, client_order_id: str
    ) -> MultiLegOrder | None:
        """One of an account that is live or remembered, by any id that it had or by client order
        id.
        """
        if parent_id is not None:
            parent = self.by_any_id(parent_id)
        else:
            key = (account_id.int, client_order_id)
            parent = self.by_client.get(key) or self.ended.by_client.get(key)
        return parent if parent is not None and parent.account_id == account_id else None

    def by_any_id(self, parent_id: UUID) -> MultiLegOrder | None:
        """One that is live or remembered, by its own id or that of a revision."""
        return (
            self.live.get(parent_id.int)
            or self.revisions.get(parent_id.int)
            or self.ended.find(parent_id)
        )

    def remembered(self, parent_id: UUID) -> MultiLegOrder | None:
        """One by its own id, live or among those that ended last."""
        return self.live.get(parent_id.int) or self.ended.by_id.get(parent_id.int)

    def of_account(self, account_id: UUID) -> Iterable[MultiLegOrder]:
        """The live ones of an account, the oldest first."""
        return self._of_account.get(account_id.int, {}).values()

    def opposite_of(self, parent: MultiLegOrder) -> Sequence[MultiLegOrder]:
        """Those that rest and want the other side of the same strategy, in their order."""
        return self.resting.get(self._strategies[parent.id.int].other, ())

    def on(self, instrument_number: int) -> list[Strategy]:
        """The strategies that have an instrument among their legs and of which any rest, that of
        the oldest first one first.
        """
        found = list(self.touching.get(instrument_number, ()))
        found.sort(key=lambda one: self.resting[one][0].sequence)
        return found

    def standing(self, strategy: Strategy) -> Sequence[MultiLegOrder]:
        """Those of a strategy that rest, in their order."""
        return self.resting.get(strategy, ())

    def due(self, now: Instant) -> list[MultiLegOrder]:
        """Those of which a leg has had its time, the longest due first."""
        found = [parent for parent in self.timed.values() if parent.due_at <= now]
        found.sort(key=lambda parent: (parent.due_at, parent.sequence))
        return found

    # Applying events

    def revised(self, event: OrderFillBusted | OrderFillCorrected) -> None:
        """Note what became of a leg's trade."""
        self.in_turn.revised(event)

    def _placed(self, event: MultiLegPlaced) -> MultiLegOrder:
        assert event.originator_id.int not in self.live
        parent: MultiLegOrder = event.mutate(None)
        self._index(parent)
        if parent.is_sequential:
            self.in_turn.begin(parent)
        return parent

    def _rejected(self, event: MultiLegRejected) -> MultiLegOrder:
        parent: MultiLegOrder = event.mutate(None)
        self.ended.remember(parent)
        return parent

    def _replaced(self, event: MultiLegReplaced) -> MultiLegOrder:
        parent = self.live[event.originator_id.int]
        self._take_out(parent)
        parent.evolve(event)
        self._index(parent)
        self._revised(parent, event.revision_id)
        return parent

    def _moved(self, event: MultiLegEvent) -> MultiLegOrder:
        parent = self.live[event.originator_id.int]
        parent.evolve(event)
        if parent.due_at:
            self.timed[parent.id.int] = parent
        else:
            self.timed.pop(parent.id.int, None)
        if not parent.is_live:
            self._take_out(parent)
            self.in_turn.end(parent)
            self.ended.remember(parent)
            for revision in self._revisions_of.pop(parent.id.int, ()):
                del self.revisions[revision.int]
                self.ended.name(revision, parent.id)
        return parent

    def _executed(self, event: MultiLegExecuted) -> MultiLegOrder:
        self.in_turn.executed(self.live[event.originator_id.int], event.qty)
        return self._moved(event)

    def _closed(self, event: MultiLegClosed) -> MultiLegOrder:
        self.in_turn.closed(self.live[event.originator_id.int], event.leg, event.qty)
        return self._moved(event)

    # Indexes

    def _index(self, parent: MultiLegOrder) -> None:
        number, account = parent.id.int, parent.account_id.int
        self.live[number] = parent
        self.by_client[account, parent.client_order_id] = parent
        self._of_account.setdefault(account, {})[number] = parent
        own = Strategy.in_turn(parent) if parent.is_sequential else Strategy.of(parent.strategy)
        self._strategies[number] = Sides(own, own.opposite())
        strategy = own
        insort(self.resting.setdefault(strategy, []), parent, key=_place)
        for leg in parent.strategy:
            self.touching.setdefault(leg.instrument_id.int, set()).add(strategy)

    def _revised(self, parent: MultiLegOrder, revision_id: UUID) -> None:
        self.revisions[revision_id.int] = parent
        self._revisions_of.setdefault(parent.id.int, []).append(revision_id)

    def _take_out(self, parent: MultiLegOrder) -> None:
        number, account = parent.id.int, parent.account_id.int
        del self.live[number]
        del self.by_client[account, parent.client_order_id]
        of_account = self._of_account[account]
        del of_account[number]
        if not of_account:
            del self._of_account[account]
        strategy = self._strategies.pop(number).own
        orders = self.resting[strategy]
        del orders[bisect_left(orders, _place(parent), key=_place)]
        if orders:
            return
        del self.resting[strategy]
        for leg in parent.strategy:
            touching = self.touching[leg.instrument_id.int]
            touching.discard(strategy)
            if not touching:
                del self.touching[leg.instrument_id.int]

    # The room as plain values

    def dump(self) -> list[Any]:
        """All state of the room in one canonical order."""
        return [
            [
                [parent.state(), self.in_turn.dump(parent)]
                for _, parent in sorted(self.live.items())
            ],
            [[UUID(int=key), ids] for key, ids in sorted(self._revisions_of.items())],
        ]

    def load(self, state: list[Any]) -> None:
        """Become the room that was dumped."""
        rows, revisions_of = state
        parents = [(MultiLegOrder.from_state(row), ahead) for row, ahead in rows]
        for parent, ahead in sorted(parents, key=lambda each: each[0].sequence):
            self._index(parent)
            self.in_turn.load(parent, ahead)
            if parent.due_at:
                self.timed[parent.id.int] = parent
        for key, ids in revisions_of:
            parent = self.live[uuid_of(key).int]
            for revision_id in ids:
                self._revised(parent, uuid_of(revision_id))


def _place(parent: MultiLegOrder) -> tuple[int, int]:
    """Where one stands among those of its strategy."""
    return -parent.net_price, parent.sequence
