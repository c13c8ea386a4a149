"""Compares what the venue did, as its committed events say, with what the recording shows."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Sequence
from uuid import UUID

import msgspec

from application.rehearsal.recorded_day.lobster import Level, Row
from application.rehearsal.recorded_day.steps import (
    Cancel,
    Compare,
    Crossed,
    Cut,
    Hidden,
    Moment,
    Place,
    Step,
    Sweep,
)
from domain.events import (
    DomainEvent,
    OrderAccepted,
    OrderCanceled,
    OrderExpired,
    OrderFilled,
    OrderReplaced,
)
from domain.money import QTY_UNIT
from domain.terms import Liquidity, Side

_BUY = int(Side.BUY)
_SELL = int(Side.SELL)


class SeenBook:
    """Both sides of the venue's book, kept from its events alone; sizes are in shares."""

    def __init__(self) -> None:
        self._orders: dict[UUID, tuple[int, int, int]] = {}
        self._sizes: dict[int, dict[int, int]] = {_BUY: {}, _SELL: {}}
        self._prices: dict[int, list[int]] = {_BUY: [], _SELL: []}

    def apply(self, event: DomainEvent) -> None:
        """Take one event in."""
        if isinstance(event, OrderAccepted):
            side, price, leaves = event.side, event.working_price, event.qty // QTY_UNIT
            self._orders[event.originator_id] = side, price, leaves
            self._change(side, price, leaves)
        elif isinstance(event, OrderFilled | OrderReplaced):
            self._leave(event.originator_id, event.leaves_after // QTY_UNIT)
        elif isinstance(event, OrderCanceled | OrderExpired):
            self._leave(event.originator_id, 0)

    def best(self, side: Side) -> Level | None:
        """The touch of a side."""
        prices = self._prices[side]
        if not prices:
            return None
        price = prices[-1] if side == _BUY else prices[0]
        return Level(price, self._sizes[side][price])

    def _leave(self, order_id: UUID, leaves: int) -> None:
        side, price, before = self._orders[order_id]
        self._change(side, price, leaves - before)
        if leaves:
            self._orders[order_id] = side, price, leaves
        else:
            del self._orders[order_id]

    def _change(self, side: int, price: int, by: int) -> None:
        sizes, prices = self._sizes[side], self._prices[side]
        if price not in sizes:
            insort(prices, price)
        size = sizes[price] = sizes.get(price, 0) + by
        if not size:
            del sizes[price]
            del prices[bisect_left(prices, price)]


class Score(msgspec.Struct):
    """What came out of the comparison so far."""

    messages: int = 0
    executions: int = 0
    executions_reproduced: int = 0
    announced_executions: int = 0
    """Executions of orders whose submission the recording tells."""
    announced_reproduced: int = 0
    touch_rows: int = 0
    touch_equal: int = 0
    touch_price_equal: int = 0
    hidden: int = 0
    crossings: int = 0
    repairs: Counter[str] = msgspec.field(default_factory=Counter)
    refused: Counter[str] = msgspec.field(default_factory=Counter)
    unplanned_fills: int = 0
    """Resting orders that a command met which was meant to meet none."""


class Judge:
    """Follows the committed events step by step and keeps the score."""

    def __init__(self) -> None:
        self.score = Score()
        self._book = SeenBook()
        self._file_ids: dict[str, int] = {}
        self._client_ids: dict[UUID, str] = {}
        self._announced: set[int] = set()

    def judge(self, step: Step, events: Sequence[DomainEvent], refusal: str | None) -> None:
        """Score one step by what the venue's events say it did."""
        score = self.score
        if refusal is not None:
            score.refused[refusal] += 1
        filled: Counter[str] = Counter()
        for event in events:
            self._book.apply(event)
            if isinstance(event, OrderAccepted):
                self._client_ids[event.originator_id] = event.client_order_id
            elif isinstance(event, OrderFilled) and event.liquidity == Liquidity.ADDED:
                filled[self._client_ids[event.originator_id]] += event.qty // QTY_UNIT
        match step:
            case Place():
                self._file_ids[step.key] = step.order_id
                if step.why is None:
                    self._announced.add(step.order_id)
                else:
                    score.repairs[step.why] += 1
            case Cut() | Cancel():
                if step.why is not None:
                    score.repairs[step.why] += 1
            case Sweep():
                self._score_executions(step, filled)
                return
            case Compare():
                self._score_touch(step.row)
            case Moment():
                score.messages = step.messages
            case Hidden():
                score.hidden += 1
            case Crossed():
                score.crossings += 1
        score.unplanned_fills += len(filled)

    def _score_executions(self, step: Sweep, filled: Counter[str]) -> None:
        score = self.score
        met: Counter[int] = Counter()
        for key, size in filled.items():
            met[self._file_ids[key]] += size
        told: Counter[int] = Counter()
        for order_id, size in step.fills:
            told[order_id] += size
        for order_id, _ in step.fills:
            same = met[order_id] == told[order_id]
            score.executions += 1
            score.executions_reproduced += same
            if order_id in self._announced:
                score.announced_executions += 1
                score.announced_reproduced += same

    def _score_touch(self, row: Row) -> None:
        score = self.score
        shown = tuple(levels[0] if levels else None for levels in (row.asks, row.bids))
        seen = self._book.best(Side.SELL), self._book.best(Side.BUY)
        score.touch_rows += 1
        score.touch_equal += seen == shown
        score.touch_price_equal += [level and level.price for level in seen] == [
            level and level.price for level in shown
        ]
