"""One step: a command being decided, what it has recorded, and what that still leads to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from application.deciding import elections, executing_multileg, reactions
from application.deciding.notes import EXPIRED, LegEnded, LegFilled, Note, Shrank
from application.desk.desk import Desk
from domain.decision import Decision
from domain.events import (
    DomainEvent,
    InstrumentEvent,
    OrderAdjusted,
    OrderCanceled,
    OrderExpired,
    OrderFilled,
    OrderRejected,
    PositionReversed,
    PositionTraded,
    PositionTransferred,
)
from domain.events import OrderEvent as AnyOrderEvent
from domain.identifiers import Instant
from domain.matching.engine import Market
from domain.order import Order
from domain.position import Position
from domain.price_range import NOTHING_SEEN, PriceRange
from domain.terms import Leg, Side

_BUY = int(Side.BUY)
_FIRST = int(Leg.FIRST)


class Watch(msgspec.Struct, gc=False):
    """What the stops of a market have not been measured against yet.

    `traded` are the prices since they were last looked at, `joined` those since a stop joined
    the others in this step, by its sequence.
    """

    traded: PriceRange = NOTHING_SEEN
    joined: dict[int, PriceRange] | None = None

    def saw(self, price: int) -> None:
        """Note a trade's price."""
        self.traded = self.traded.seeing(price)
        if self.joined is not None:
            for sequence, prices in self.joined.items():
                self.joined[sequence] = prices.seeing(price)

    def take_turns(self) -> Sequence[int]:
        """The prices at which trading turned since this was last asked, if stops trail."""
        return ()

    def take_traded(self) -> PriceRange:
        """The prices traded since this was last asked; they are forgotten by asking."""
        traded, self.traded = self.traded, NOTHING_SEEN
        return traded

    def since_joining(self, sequence: int) -> PriceRange | None:
        """What traded since a stop joined in this step; None when it stood before."""
        return self.joined.get(sequence) if self.joined is not None else None


class TurningWatch(Watch, gc=False):
    """The watch over a market where stops trail: these follow prices in the order of trading."""

    turns: list[int] = msgspec.field(default_factory=list)

    def saw(self, price: int) -> None:
        """Note a trade's price; between two turns only the last of them matters."""
        Watch.saw(self, price)
        turns = self.turns
        if turns and turns[-1] == price:
            return
        if len(turns) > 1 and (turns[-2] < turns[-1]) == (turns[-1] < price):
            turns[-1] = price
        else:
            turns.append(price)

    def take_turns(self) -> Sequence[int]:
        """The first price, each at which trading turned, and the last; they are forgotten."""
        turns, self.turns = self.turns, []
        return turns


class Step(Decision):
    """What lives for one decision: its events, and what they lead to until nothing follows.

    Recording an event moves the desk. What other orders and markets have to do with it is noted
    by looking at the event alone, and done by `follow_up` and `until_quiet`.
    """

    __slots__ = ("_touched", "_watched", "desk", "fingerprint", "notes", "sequence_before")

    def __init__(
        self,
        desk: Desk,
        at: Instant,
        number: int,
        actor: str = "",
        gateway: str = "",
        fingerprint: bytes = b"",
    ) -> None:
        Decision.__init__(self, at, desk.partition, number, actor, gateway, desk.position + 1)
        self.desk = desk
        self.fingerprint = fingerprint
        self.notes: list[Note] = []
        self.sequence_before = desk.orders.sequence
        """The newest priority number before it: what has a later one came in it."""
        self._watched: dict[Market, Watch] = {}
        self._touched: dict[int, None] = {}

    def record(self, event: DomainEvent, aggregate: Any) -> Any:
        """Take an event in, move the desk by it, and note what it leads to."""
        self.events.append(event)
        kind = type(event)
        if kind is OrderAdjusted and event.armed and not aggregate.armed:  # type: ignore[attr-defined]
            self._note_joining(aggregate)
        found = self.desk.apply(event)
        look = _LOOKS.get(kind)
        if look is not None:
            look(self, event, found)
        return found

    @property
    def position(self) -> int:
        """The log position of the newest event, of this step or before it."""
        return self.last_position() if self.events else self.desk.position

    # What follows

    def follow_up(self) -> None:
        """Let linked orders and exits follow what happened, and what that leads to in turn."""
        if self.notes:
            reactions.react(self)

    def until_quiet(self) -> None:
        """Follow up everything, elect stops in every market touched, and let multi-leg orders
        trade that rest on one, until nothing does.
        """
        watched, touched = self._watched, self._touched
        while True:
            if self.notes:
                reactions.react(self)
            if watched:
                market = next(iter(watched))
                elections.elect_stops(self, market)
                del watched[market]
            elif touched:
                number = next(iter(touched))
                del touched[number]
                executing_multileg.look_again(self, number)
            else:
                return

    def watch(self, market: Market) -> Watch:
        """What is noted of a market that was touched; its stops are looked at in the end."""
        watched = self._watched.get(market)
        if watched is None:
            kind = TurningWatch if market.stops.trailing.count else Watch
            watched = self._watched[market] = kind()
        return watched

    def look_again(self, market: Market) -> None:
        """Let stops be measured against the last trade once more, though nothing traded."""
        watched = self.watch(market)
        if market.last_price:
            watched.saw(market.last_price)

    def _note_joining(self, order: Order) -> None:
        """A stop joins because of a trade of this very step: none before is one of its prices."""
        if order.waits:
            market = self.desk.markets.by_id[order.instrument_id.int]
            watched = self.watch(market)
            watched.joined = watched.joined or {}
            watched.joined[order.sequence] = PriceRange(market.last_price, market.last_price)

    # What an event leads to

    def _look_at_order(self, event: Any, order: Order) -> None:
        number = event.instrument_id.int
        market = self.desk.markets.by_id[number]
        # Without a trade only stops that wait already can have been reached.
        if market.stops.count:
            self.watch(market)
        # A leg stands in no book, and what becomes of it changes none.
        if order.leg < _FIRST and number in self.desk.strategies.touching:
            self._touched[number] = None

    def _look_at_instrument(self, event: InstrumentEvent, _: Any) -> None:
        number = event.originator_id.int
        self.watch(self.desk.markets.by_id[number])
        if number in self.desk.strategies.touching:
            self._touched[number] = None

    def _look_at_fill(self, event: OrderFilled, order: Order) -> None:
        if event.instrument_id.int in self.desk.strategies.touching:
            self._touched[event.instrument_id.int] = None
        self.watch(self.desk.markets.by_id[event.instrument_id.int]).saw(event.price)
        if event.leg:
            self.notes.append(LegFilled(order, event.qty))

    def _look_at_end(self, event: OrderCanceled | OrderExpired, order: Order) -> None:
        self._look_at_order(event, order)
        if not event.leg:
            return
        if type(event) is OrderExpired:
            self.notes.append(LegEnded(order, EXPIRED))
        elif type(event) is OrderCanceled and event.canceled_qty:
            # One that was filled and is taken back had left its group before.
            self.notes.append(LegEnded(order, event.reason))

    def _look_at_trade(self, event: PositionTraded, position: Position) -> None:
        if position.reserved:
            qty = event.qty if event.side == _BUY else -event.qty
            self._look_at_position(position, position.qty - qty)

    def _look_at_reversal(self, event: PositionReversed, position: Position) -> None:
        if position.reserved:
            qty = -event.qty if event.side == _BUY else event.qty
            self._look_at_position(position, position.qty - qty)

    def _look_at_transfer(self, event: PositionTransferred, position: Position) -> None:
        self._look_at_position(position, position.qty - event.qty)

    def _look_at_position(self, position: Position, qty_before: int) -> None:
        if position.overreserved(qty_before):
            self.notes.append(Shrank(position))


_LOOKS: dict[type[Any], Callable[[Step, Any, Any], None]] = {
    **{
        kind: Step._look_at_order
        for kind in DomainEvent.by_topic.values()
        if issubclass(kind, AnyOrderEvent) and kind is not OrderRejected
    },
    **{
        kind: Step._look_at_instrument
        for kind in DomainEvent.by_topic.values()
        if issubclass(kind, InstrumentEvent)
    },
    OrderFilled: Step._look_at_fill,
    OrderCanceled: Step._look_at_end,
    OrderExpired: Step._look_at_end,
    PositionTraded: Step._look_at_trade,
    PositionReversed: Step._look_at_reversal,
    PositionTransferred: Step._look_at_transfer,
}
