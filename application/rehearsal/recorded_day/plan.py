"""Turns a recording into what is sent to the venue, step by step, on what was sent before.

A message becomes a command; then the visible book is compared; then what no message told is
repaired. Nothing here knows what the venue answered.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import combinations

from application.rehearsal.recorded_day.foresight import Foresight, LookAhead, Unannounced
from application.rehearsal.recorded_day.lobster import Kind, Level, Message, Recording, Row
from application.rehearsal.recorded_day.queues import Queues, Resting
from application.rehearsal.recorded_day.steps import (
    Cancel,
    Compare,
    Crossed,
    Cut,
    Halt,
    Hidden,
    Moment,
    Place,
    Resume,
    Step,
    Sweep,
    Why,
)
from domain.terms import Side

NEWEST = 12
GONE_TOGETHER = 3
"""How many of a queue's newest orders are tried, and how many of them at once."""

_OTHER = {Side.BUY: Side.SELL, Side.SELL: Side.BUY}


class Planner:
    """Plans one recording."""

    def __init__(self, recording: Recording, look_ahead: LookAhead) -> None:
        self._messages = recording.messages
        self._rows = recording.rows
        self._foresight = Foresight(recording.messages, look_ahead)
        self._coming = list(reversed(self._foresight.unannounced))
        self._due: dict[tuple[Side, int], list[Unannounced]] = defaultdict(list)
        self._due_ids: dict[int, Unannounced] = {}
        self._queues = Queues()
        self._steps: list[Step] = []
        self._dirty: set[tuple[Side, int]] = set()
        self._missed: list[tuple[int, int]] = []
        self._wrong: list[tuple[Resting, int]] = []
        self._keys = 0
        self._number = -1
        self._halted = False

    def steps(self) -> Iterator[Step]:
        """All steps, in order."""
        messages, rows = self._messages, self._rows
        before = row_before(messages[0], rows[0])
        self._steps.append(Moment(messages[0].time_ns, 0))
        self._settle(Row((), ()), before)
        yield from self._taken()
        number = 0
        while number < len(messages):
            end = self._run_end(number)
            run = messages[number:end]
            self._number = end - 1
            self._steps.append(Moment(run[-1].time_ns, end))
            if len(run) > 1 or run[0].kind is Kind.EXECUTED:
                self._execute(run)
            else:
                self._tell(run[0], number)
            for message in run:
                self._foresight.passed(message)
            row = rows[end - 1]
            self._steps.append(Compare(row))
            self._settle(rows[number - 1] if number else before, row)
            yield from self._taken()
            number = end

    def _taken(self) -> list[Step]:
        steps, self._steps = self._steps, []
        return steps

    def _run_end(self, start: int) -> int:
        """Where the executions of one aggressor end: one timestamp, one side, visible or not."""
        messages = self._messages
        first = messages[start]
        if first.kind not in (Kind.EXECUTED, Kind.EXECUTED_HIDDEN):
            return start + 1
        end = last_visible = start + 1
        while end < len(messages):
            message = messages[end]
            if (message.time_ns, message.side) != (first.time_ns, first.side):
                break
            if message.kind is Kind.EXECUTED:
                last_visible = end + 1
            elif message.kind is not Kind.EXECUTED_HIDDEN:
                break
            end += 1
        return last_visible

    # Messages

    def _tell(self, message: Message, number: int) -> None:
        match message.kind:
            case Kind.SUBMITTED:
                self._submit(message, number)
            case Kind.REDUCED:
                self._reduce(message)
            case Kind.DELETED:
                self._delete(message)
            case Kind.EXECUTED_HIDDEN:
                self._steps.append(Hidden())
            case Kind.HALT:
                if message.price == -1 and not self._halted:
                    self._halted = True
                    self._steps.append(Halt())
                elif message.price == 1 and self._halted:
                    self._halted = False
                    self._steps.append(Resume())

    def _submit(self, message: Message, number: int) -> None:
        other = _OTHER[message.side]
        crossed = self._queues.at_least_as_good(other, message.price)
        if crossed:
            self._steps.append(Crossed())
        for price in crossed:
            self._empty(other, price, Why.CROSSING)
        known = self._queues.by_id.get(message.order_id)
        if known is not None:
            self._cancel(known, Why.LEVEL_DIFFERS)
        rank = (number, message.order_id)
        self._place(message.order_id, message.side, message.price, message.size, rank, None)

    def _reduce(self, message: Message) -> None:
        order = self._queues.by_id.get(message.order_id)
        if order is None:
            self._unknown(message)
        elif message.size < order.leaves and not self._halted:
            self._cut(order, order.leaves - message.size, None)
        elif message.size < order.leaves:
            # A halted instrument takes no replace; this order loses its place.
            left = order.leaves - message.size
            self._cancel(order, None)
            self._place(order.order_id, order.side, order.price, left, order.rank, Why.HALTED)
        else:
            self._cancel(order, None)

    def _delete(self, message: Message) -> None:
        order = self._queues.by_id.get(message.order_id)
        if order is None:
            self._unknown(message)
            return
        if order.leaves != message.size:
            self._dirty.add((message.side, message.price))
        self._cancel(order, None)

    def _unknown(self, message: Message) -> None:
        """The message names an order that is not in the book: the level is looked through."""
        self._dirty.add((message.side, message.price))
        self._forget(message.order_id)

    def _execute(self, run: Sequence[Message]) -> None:
        visible = [message for message in run if message.kind is Kind.EXECUTED]
        self._steps.extend(Hidden() for message in run if message.kind is Kind.EXECUTED_HIDDEN)
        resting = visible[0].side
        prices = [message.price for message in visible]
        limit = min(prices) if resting is Side.BUY else max(prices)
        size = sum(message.size for message in visible)
        fills = tuple((message.order_id, message.size) for message in visible)
        self._keys += 1
        self._steps.append(Sweep(f"s{self._keys}", _OTHER[resting], limit, size, fills))
        expected: dict[int, int] = defaultdict(int)
        for message in visible:
            expected[message.order_id] += message.size
            if message.order_id not in self._queues.by_id:
                self._forget(message.order_id)
        self._wrong = self._match(resting, limit, size, expected)
        self._missed = [(order_id, size) for order_id, size in expected.items() if size]

    def _match(
        self, side: Side, limit: int, size: int, expected: dict[int, int]
    ) -> list[tuple[Resting, int]]:
        """Take what the aggressor meets; returns what it met and should not have."""
        wrong: list[tuple[Resting, int]] = []
        for price in self._queues.at_least_as_good(side, limit):
            for order in list(self._queues.queue(side, price)):
                if not size:
                    return wrong
                taken = min(size, order.leaves)
                size -= taken
                right = min(taken, expected.get(order.order_id, 0))
                if right:
                    expected[order.order_id] -= right
                if taken > right:
                    wrong.append((order, taken - right))
                self._queues.take(order, taken)
        return wrong

    # Repairs

    def _settle(self, old: Row, new: Row) -> None:
        """Bring the book to what the row shows and to what later messages say of the unseen."""
        self._make_good()
        sides = ((Side.SELL, old.asks, new.asks), (Side.BUY, old.bids, new.bids))
        # What is not there goes first, from both sides, so that nothing placed meets it.
        for side, was, now in sides:
            if was != now:
                self._left_sight(side, was, now)
            shown = {level.price for level in now}
            for price in self._queues.at_least_as_good(side, now[-1].price if now else None):
                if price not in shown:
                    self._empty(side, price, Why.LEVEL_GONE)
        self._come_due(new)
        for side, was, now in sides:
            seen = {level.price for level in was}
            for level in now:
                dirty = (side, level.price) in self._dirty
                entered = level.price not in seen
                if (
                    dirty
                    or (entered and (side, level.price) in self._due)
                    or self._queues.size(side, level.price) != level.size
                ):
                    self._mend(side, level, self._why(entered))
        self._dirty.clear()

    def _make_good(self) -> None:
        """Give and take what an aggressor left wrong that met others than it should."""
        for order_id, missed in self._missed:
            order = self._queues.by_id.get(order_id)
            if order is not None:
                self._dirty.add((order.side, order.price))
                self._trim(order, missed, Why.LEVEL_DIFFERS)
        for order, lost in self._wrong:
            self._dirty.add((order.side, order.price))
            self._give_back(order, lost)
        self._missed, self._wrong = [], []

    def _give_back(self, order: Resting, lost: int) -> None:
        """Owe an order the shares it traded in error; the level's repair places them."""
        if self._is_certain(order) or (order.order_id and not self._foresight.knows_announced):
            if order.leaves:
                self._cancel(order, Why.LEVEL_DIFFERS)
            came, order_id = order.rank
            self._owe(Unannounced(came, order_id, order.side, order.price, order.leaves + lost))

    def _why(self, entered: bool) -> Why:
        if self._number < 0:
            return Why.STOOD_BEFORE
        return Why.LEVEL_ENTERED if entered else Why.LEVEL_DIFFERS

    def _come_due(self, row: Row) -> None:
        """Place what was submitted out of sight by now."""
        while self._coming and self._coming[-1].came <= self._number:
            order = self._coming.pop()
            if self._foresight.is_named_after(order.order_id, self._number):
                self._owe(order)
                self._dirty.add((order.side, order.price))
        for side, price in [key for key in self._dirty if key in self._due]:
            if _is_beyond(side, price, row):
                self._place_due(side, price)

    def _owe(self, order: Unannounced) -> None:
        self._due[order.side, order.price].append(order)
        self._due_ids[order.order_id] = order

    def _forget(self, order_id: int) -> None:
        order = self._due_ids.pop(order_id, None)
        if order is not None:
            due = self._due[order.side, order.price]
            due.remove(order)
            if not due:
                del self._due[order.side, order.price]

    def _place_due(self, side: Side, price: int) -> None:
        """Place the orders of a level out of sight that later messages name."""
        for order in sorted(self._due[side, price]):
            self._forget(order.order_id)
            why = Why.STOOD_BEFORE if order.came < 0 else Why.CAME_UNSEEN
            rank = (order.came, order.order_id)
            self._place(order.order_id, side, price, order.size, rank, why)

    def _left_sight(self, side: Side, was: Sequence[Level], now: Sequence[Level]) -> None:
        """Keep of a level that left sight what later messages name."""
        shown = {level.price for level in now}
        for level in was:
            if level.price in shown:
                continue
            self._dirty.add((side, level.price))
            for order in list(self._queues.queue(side, level.price)):
                if self._foresight.knows_announced and not self._is_certain(order):
                    self._cancel(order, Why.LEFT_SIGHT)

    def _empty(self, side: Side, price: int, why: Why) -> None:
        """Let nothing stand at a price; what is named later will have to come again."""
        for order in list(self._queues.queue(side, price)):
            if self._is_certain(order):
                self._owe(Unannounced(order.rank[0], order.order_id, side, price, order.leaves))
            self._cancel(order, why)

    def _mend(self, side: Side, level: Level, why: Why) -> None:
        """Let a visible level hold what it shows: first what later messages name."""
        queue = self._queues.queue(side, level.price)
        wanted: list[tuple[tuple[int, int], int]] = []
        room = level.size
        for order in sorted(queue, key=lambda order: order.rank):
            if room and self._is_certain(order):
                size = min(room, self._true_size(order))
                wanted.append((order.rank, size))
                room -= size
        for owed in sorted(self._due.get((side, level.price), ())):
            if owed.size <= room:
                wanted.append(((owed.came, owed.order_id), owed.size))
                room -= owed.size
                self._forget(owed.order_id)
        uncertain = [order for order in queue if not self._is_certain(order)]
        for order in _staying(uncertain, room):
            if room:
                size = min(room, order.leaves)
                wanted.append((order.rank, size))
                room -= size
        wanted.sort()
        self._arrange(side, level.price, wanted, why)
        if room:
            self._place(0, side, level.price, room, (self._number, 0), why)

    def _is_certain(self, order: Resting) -> bool:
        return bool(order.order_id) and self._foresight.is_named_after(order.order_id, self._number)

    def _true_size(self, order: Resting) -> int:
        known = self._foresight.known_size(order.order_id)
        return order.leaves if known is None else min(known, order.leaves)

    def _arrange(
        self, side: Side, price: int, wanted: Sequence[tuple[tuple[int, int], int]], why: Why
    ) -> None:
        """Make the queue these orders in this order: an order can only join at the end."""
        queue = list(self._queues.queue(side, price))
        place = kept = 0
        for rank, size in wanted:
            at = self._find(queue, place, rank, size)
            if at is None:
                break
            for order in queue[place:at]:
                self._cancel(order, why)
            if queue[at].leaves > size:
                self._cut(queue[at], size, why)
            place = at + 1
            kept += 1
        for order in queue[place:]:
            self._cancel(order, why)
        for rank, size in wanted[kept:]:
            self._place(rank[1], side, price, size, rank, why)

    def _find(
        self, queue: Sequence[Resting], start: int, rank: tuple[int, int], size: int
    ) -> int | None:
        """Where in the queue an order stands that can be of this size without moving."""
        for n in range(start, len(queue)):
            if queue[n].rank == rank:
                leaves = queue[n].leaves
                return n if leaves == size or (leaves > size and not self._halted) else None
        return None

    # Commands

    def _place(
        self,
        order_id: int,
        side: Side,
        price: int,
        size: int,
        rank: tuple[int, int],
        why: Why | None,
    ) -> None:
        self._keys += 1
        key = f"o{self._keys}"
        self._queues.add(Resting(key, order_id, side, price, size, rank))
        self._steps.append(Place(key, order_id, side, price, size, why))

    def _trim(self, order: Resting, size: int, why: Why) -> None:
        if size < order.leaves:
            self._cut(order, order.leaves - size, why)
        else:
            self._cancel(order, why)

    def _cut(self, order: Resting, leaves: int, why: Why | None) -> None:
        order.total -= order.leaves - leaves
        order.leaves = leaves
        self._steps.append(Cut(order.key, order.order_id, order.total, why))

    def _cancel(self, order: Resting, why: Why | None) -> None:
        self._queues.remove(order)
        self._steps.append(Cancel(order.key, order.order_id, why))


def _staying(orders: list[Resting], room: int) -> list[Resting]:
    """Which of the uncertain orders stay, when what is seen is less than they are.

    Young orders are canceled sooner than old ones: gone are few of the newest that make up
    just the difference, else the newest.
    """
    excess = sum(order.leaves for order in orders) - room
    if excess <= 0:
        return orders
    newest = orders[: -NEWEST - 1 : -1]
    for count in range(1, GONE_TOGETHER + 1):
        for gone in combinations(newest, count):
            if sum(order.leaves for order in gone) == excess:
                return [order for order in orders if order not in gone]
    return orders


def _worse(side: Side, price: int, than: int) -> bool:
    return price < than if side is Side.BUY else price > than


def _is_beyond(side: Side, price: int, row: Row) -> bool:
    """Whether a price lies below what the row shows of its side."""
    levels = row.bids if side is Side.BUY else row.asks
    return bool(levels) and _worse(side, price, levels[-1].price)


def row_before(message: Message, row: Row) -> Row:
    """The visible book before the first message, as far as the row after it tells."""
    change = {
        Kind.SUBMITTED: -message.size,
        Kind.REDUCED: message.size,
        Kind.DELETED: message.size,
        Kind.EXECUTED: message.size,
    }.get(message.kind, 0)
    levels = dict(row.bids if message.side is Side.BUY else row.asks)
    levels[message.price] = levels.get(message.price, 0) + change
    if not levels[message.price]:
        del levels[message.price]
    ordered = sorted(levels.items(), reverse=message.side is Side.BUY)
    changed = tuple(Level(price, size) for price, size in ordered)
    return Row(row.asks, changed) if message.side is Side.BUY else Row(changed, row.bids)
