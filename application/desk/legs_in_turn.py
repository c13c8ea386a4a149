"""What legs of sequential orders have traded that no whole unit counts yet, first come first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple
from uuid import UUID

from domain.events import OrderFillBusted, OrderFillCorrected, OrderFilled
from domain.identifiers import uuid_of
from domain.money import QTY_UNIT, exact_value
from domain.multileg import MultiLegOrder
from domain.order import Order
from domain.terms import Leg, Side

_FIRST = int(Leg.FIRST)
_BUY = int(Side.BUY)


class LegFill(NamedTuple):
    """A trade of a leg, or what is left of one to count; `exits` of it closed what was held."""

    trade_id: UUID
    qty: int
    exits: int
    price: int
    price_decimals: int
    multiplier: int

    def value(self, qty: int) -> int:
        """What so much of it is worth, in 1e-24 USD."""
        return exact_value(self.price, qty * self.multiplier, self.price_decimals)

    def without(self, qty: int) -> LegFill:
        """What is left when so much is counted; what closed something is counted first."""
        return self._replace(qty=self.qty - qty, exits=max(self.exits - qty, 0))


class LegAhead:
    """One leg's trades that are ahead of whole units; `sign` is 1 when it buys, and -1."""

    __slots__ = ("fills", "ratio", "sign")

    def __init__(self, side: int, ratio: int) -> None:
        self.sign = 1 if side == _BUY else -1
        self.ratio = ratio
        self.fills: list[LegFill] = []

    @property
    def qty(self) -> int:
        """How much it is ahead."""
        return sum(fill.qty for fill in self.fills)

    @property
    def exits(self) -> int:
        """How much of that closed what was held."""
        return sum(fill.exits for fill in self.fills)

    @property
    def units(self) -> int:
        """How many whole units that is."""
        units: int = self.qty // (self.ratio * QTY_UNIT)
        return units

    @property
    def price_sum(self) -> int:
        """Price times quantity of all of it."""
        return sum(fill.price * fill.qty for fill in self.fills)

    def cost(self, qty: int) -> int:
        """What its first so much cost, in 1e-24 USD; negative was received."""
        value = 0
        for fill in self.fills:
            took = min(qty, fill.qty)
            value += fill.value(took)
            qty -= took
            if not qty:
                break
        return self.sign * value

    def count(self, qty: int) -> None:
        """Take out its first so much."""
        while qty:
            first = self.fills[0]
            took = min(qty, first.qty)
            qty -= took
            if took == first.qty:
                del self.fills[0]
            else:
                self.fills[0] = first.without(took)

    def revise(self, trade_id: UUID, price: int) -> bool:
        """Give a trade another price, 0 when it is undone; whether it is among these."""
        for place, fill in enumerate(self.fills):
            if fill.trade_id == trade_id:
                if price:
                    self.fills[place] = fill._replace(price=price)
                else:
                    del self.fills[place]
                return True
        return False


class LegsInTurn:
    """The legs of every live sequential order, by its id."""

    def __init__(self) -> None:
        self._ahead: dict[int, tuple[LegAhead, ...]] = {}
        self._parents: dict[int, MultiLegOrder] = {}
        self._on: dict[int, dict[int, MultiLegOrder]] = {}

    def of(self, parent: MultiLegOrder) -> tuple[LegAhead, ...]:
        """What the legs of one are ahead, in their order."""
        return self._ahead[parent.id.int]

    def are_ahead(self, parent: MultiLegOrder) -> bool:
        """Whether any leg of one is."""
        return any(leg.fills for leg in self._ahead.get(parent.id.int, ()))

    def ahead_on(self, instrument_number: int) -> list[MultiLegOrder]:
        """Those with an instrument among their legs of which one is ahead, the oldest first."""
        found = self._on.get(instrument_number)
        return sorted(found.values(), key=_sequence) if found else []

    # Applying events

    def begin(self, parent: MultiLegOrder) -> None:
        """Follow the legs of a new one."""
        legs = parent.strategy
        self._parents[parent.id.int] = parent
        self._ahead[parent.id.int] = tuple(LegAhead(leg.side, leg.ratio) for leg in legs)

    def end(self, parent: MultiLegOrder) -> None:
        """Forget one that is over."""
        number = parent.id.int
        if self._ahead.pop(number, None) is not None:
            self._index(number)
            del self._parents[number]

    def executed(self, parent: MultiLegOrder, units: int) -> None:
        """Count whole units, given in 1e-8."""
        for leg in self._ahead.get(parent.id.int, ()):
            leg.count(units * leg.ratio)
        self._index(parent.id.int)

    def closed(self, parent: MultiLegOrder, leg: int, qty: int) -> None:
        """Count what was closed again of a leg."""
        self._ahead[parent.id.int][leg - _FIRST].count(qty)
        self._index(parent.id.int)

    def filled(self, order: Order, event: OrderFilled) -> None:
        """Note what a leg traded; the order is as it stood before."""
        if event.leg < _FIRST:
            return
        legs = self._ahead.get(event.group_id.int)
        if legs is not None:
            exits = order.hold_qty - event.hold_qty_after
            legs[event.leg - _FIRST].fills.append(
                LegFill(
                    event.trade_id,
                    event.qty,
                    exits,
                    event.price,
                    event.price_decimals,
                    event.multiplier,
                )
            )
            self._index(event.group_id.int)

    def revised(self, event: OrderFillBusted | OrderFillCorrected) -> None:
        """Note what became of a leg's trade."""
        if event.leg < _FIRST:
            return
        legs = self._ahead.get(event.group_id.int)
        if legs is not None:
            price = event.price if isinstance(event, OrderFillCorrected) else 0
            legs[event.leg - _FIRST].revise(event.trade_id, price)
            self._index(event.group_id.int)

    def _index(self, number: int) -> None:
        """Let one be found by its instruments as long as a leg is ahead."""
        parent = self._parents.get(number)
        if parent is None:
            return
        ahead = self.are_ahead(parent)
        for leg in parent.strategy:
            found = self._on.setdefault(leg.instrument_id.int, {})
            if ahead:
                found[number] = parent
            else:
                found.pop(number, None)
            if not found:
                del self._on[leg.instrument_id.int]

    # As plain values

    def dump(self, parent: MultiLegOrder) -> list[Any]:
        """What the legs of one are ahead."""
        return [[list(fill) for fill in leg.fills] for leg in self._ahead.get(parent.id.int, ())]

    def load(self, parent: MultiLegOrder, state: Sequence[Any]) -> None:
        """Become what was dumped of one."""
        if state:
            self.begin(parent)
        for leg, rows in zip(self._ahead.get(parent.id.int, ()), state, strict=True):
            leg.fills = [LegFill(uuid_of(row[0]), *row[1:]) for row in rows]
        self._index(parent.id.int)


def _sequence(parent: MultiLegOrder) -> int:
    return parent.sequence
