"""The books of orders, kept a second time: lives, fills, trades, and who stood first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from heapq import heappop, heappush
from typing import Any
from uuid import UUID

from application.second_books.findings import Findings
from application.second_books.money import MoneyBooks
from domain.events import (
    DomainEvent,
    InstrumentClosed,
    InstrumentEvent,
    InstrumentHalted,
    InstrumentOpened,
    InstrumentResumed,
    OrderAccepted,
    OrderCanceled,
    OrderEvent,
    OrderExpired,
    OrderFillBusted,
    OrderFillCorrected,
    OrderFilled,
    OrderRejected,
    OrderReplaced,
    OrderTriggered,
)

BUY, SELL = 1, 2
AUCTION = 4
REMOVED_AND_ADDED = (2, 1)
OPEN = 1
STOP = 3
LIMIT_TYPES = (2, 4)
RESTING_TIMES = (0, 1, 6)

LIFE: dict[str, dict[str, tuple[str, ...]]] = {
    "": {"accepted": ("new",), "rejected": ("rejected",)},
    "new": {
        "triggered": ("new",),
        "replaced": ("new",),
        "filled": ("partial", "filled"),
        "canceled": ("canceled",),
        "expired": ("expired",),
    },
    "partial": {
        "replaced": ("partial",),
        "filled": ("partial", "filled"),
        "canceled": ("canceled",),
        "expired": ("expired",),
        "fill_busted": ("partial",),
        "fill_corrected": ("partial",),
    },
    "filled": {"fill_busted": ("filled",), "fill_corrected": ("filled",)},
    "canceled": {"fill_busted": ("canceled",), "fill_corrected": ("canceled",)},
    "expired": {"fill_busted": ("expired",), "fill_corrected": ("expired",)},
    "rejected": {},
}
"""Where an order may go: from a status, by an event, to one of these."""

STATUS_CODES = {0: "new", 1: "partial", 2: "filled", 4: "canceled", 8: "rejected", 12: "expired"}

History = Callable[[UUID, int], Sequence[DomainEvent]]
"""The events of one aggregate below a position, for what is no longer in memory."""


class Working:
    """An order while it may still trade."""

    __slots__ = (
        "account_id",
        "bound",
        "filled",
        "hold",
        "hold_qty",
        "instrument_id",
        "leaves",
        "qty",
        "rests",
        "sequence",
        "side",
        "status",
        "stop_price",
        "value",
        "waiting",
    )

    def __init__(self, event: OrderAccepted) -> None:
        self.account_id = event.account_id
        self.instrument_id = event.instrument_id
        self.side = event.side
        self.status = "new"
        self.qty = self.leaves = event.qty
        self.filled = self.value = 0
        self.bound = event.working_price
        self.sequence = event.sequence
        self.stop_price = event.stop_price
        self.waiting = event.order_type >= STOP
        self.rests = event.order_type in LIMIT_TYPES and event.time_in_force in RESTING_TIMES
        self.hold = self.hold_qty = 0


class Sides:
    """The resting orders of an instrument, each side a heap whose dead entries go when seen."""

    __slots__ = ("phase", "queues")

    def __init__(self) -> None:
        self.phase = 0
        self.queues: dict[int, list[tuple[int, int, UUID]]] = {BUY: [], SELL: []}


class OrderBooks:
    """Working orders by id; what is done is forgotten and read again when it is needed."""

    def __init__(self, findings: Findings, money: MoneyBooks, history: History) -> None:
        self._findings = findings
        self._money = money
        self._history = history
        self.working: dict[UUID, Working] = {}
        self._markets: dict[UUID, Sides] = {}
        self._first_side: dict[UUID, OrderFilled] = {}
        self._touched: set[UUID] = set()
        self._sequence = 0

    # Instruments

    def phase(self, position: int, event: InstrumentEvent) -> None:
        """A session, a halt or the end of one."""
        market = self._market(event.originator_id)
        if isinstance(event, InstrumentOpened | InstrumentResumed):
            market.phase = OPEN
            self._touched.add(event.originator_id)
        elif isinstance(event, InstrumentClosed | InstrumentHalted):
            market.phase = 0

    def _market(self, instrument_id: UUID) -> Sides:
        market = self._markets.get(instrument_id)
        if market is None:
            market = self._markets[instrument_id] = Sides()
        return market

    # The life of an order

    def accepted(self, position: int, event: OrderAccepted) -> None:
        """A new working order."""
        identifier = event.originator_id
        if identifier in self.working or event.originator_version != 1:
            self._move(position, event, "accepted", self._status_before(event, position), "new")
        else:
            self._findings.looked["life"] += 1
        order = self.working[identifier] = Working(event)
        self._numbered(position, event.sequence)
        self._hold(identifier, order, event.hold, event.hold_qty, used=False)
        if order.rests and not order.waiting:
            self._queue(identifier, order)

    def rejected(self, position: int, event: OrderRejected) -> None:
        """A refused order: its whole life."""
        if event.originator_version != 1 or event.originator_id in self.working:
            before = self._status_before(event, position)
            self._move(position, event, "rejected", before, "rejected")
        else:
            self._findings.looked["life"] += 1

    def triggered(self, position: int, event: OrderTriggered) -> None:
        """An elected stop."""
        order = self._of(position, event, "triggered", "new")
        if order is None:
            return
        reached = (
            event.seen_price >= order.stop_price
            if order.side == BUY
            else event.seen_price <= order.stop_price
        )
        if not (order.waiting and reached):
            self._findings.fail(
                "life", position, f"stop {order.stop_price} elected at {event.seen_price}"
            )
        self._numbered(position, event.sequence)
        order.waiting = False
        order.sequence, order.bound = event.sequence, event.working_price
        if order.rests:
            self._queue(event.originator_id, order)

    def filled(self, position: int, event: OrderFilled) -> None:
        """One side of a trade."""
        status = "partial" if event.leaves_after else "filled"
        order = self._of(position, event, "filled", status)
        if order is None:
            return
        self._trade(position, event, order)
        self._adds_up(position, event, order)
        used = order.hold - event.hold_after, order.hold_qty - event.hold_qty_after
        self._money.expect(event, *used)
        self._hold(event.originator_id, order, event.hold_after, event.hold_qty_after, used=True)
        order.filled, order.leaves = event.filled_after, event.leaves_after
        order.value = int(event.value_after)
        if not order.leaves:
            del self.working[event.originator_id]

    def _adds_up(self, position: int, event: OrderFilled, order: Working) -> None:
        self._findings.looked["fills"] += 1
        filled = order.filled + event.qty
        # What is left does not grow when a fill is busted, so it is counted down on its own.
        due = (filled, order.leaves - event.qty, order.value + event.price * event.qty)
        said = (event.filled_after, event.leaves_after, int(event.value_after))
        if said != due or event.qty <= 0 or filled > order.qty or event.leaves_after < 0:
            self._findings.fail(
                "fills",
                position,
                f"filled, left and value are {said}, from before they are {due} of {order.qty}",
            )
        if STATUS_CODES.get(event.status_after) != order.status:
            self._findings.fail(
                "life", position, f"status {event.status_after} with {event.leaves_after} left"
            )

    def replaced(self, position: int, event: OrderReplaced) -> None:
        """New terms."""
        order = self._of(position, event, "replaced", None)
        if order is None:
            return
        said = (event.filled, int(event.value), event.leaves_after)
        due = (order.filled, order.value, event.qty - order.filled)
        self._findings.looked["fills"] += 1
        if said != due or event.leaves_after <= 0:
            self._findings.fail(
                "fills", position, f"filled, value and left are {said}, from before {due}"
            )
        stays = (event.sequence, event.working_price) == (order.sequence, order.bound)
        if event.kept_priority:
            if not stays or event.qty > order.qty:
                self._findings.fail("priority", position, "kept its place with better terms")
        else:
            self._numbered(position, event.sequence)
        self._hold(event.originator_id, order, event.hold_after, event.hold_qty_after, used=False)
        order.qty, order.leaves = event.qty, event.leaves_after
        order.sequence, order.bound = event.sequence, event.working_price
        order.stop_price = event.stop_price
        order.rests = event.order_type in LIMIT_TYPES and event.time_in_force in RESTING_TIMES
        if order.rests and not order.waiting and not event.kept_priority:
            self._queue(event.originator_id, order)

    def ended(self, position: int, event: OrderCanceled | OrderExpired) -> None:
        """Canceled or expired with what was left."""
        if isinstance(event, OrderCanceled):
            name, qty = "canceled", event.canceled_qty
        else:
            name, qty = "expired", event.expired_qty
        order = self._of(position, event, name, name)
        if order is None:
            return
        self._findings.looked["fills"] += 1
        # What was written before quantities were part of the event reads as zero.
        told = event.side or qty or event.filled
        if told and (qty, event.filled) != (order.leaves, order.filled):
            self._findings.fail(
                "fills",
                position,
                f"left and filled are {(qty, event.filled)}, from before"
                f" {(order.leaves, order.filled)}",
            )
        self._hold(event.originator_id, order, 0, 0, used=False)
        self._touched.add(order.instrument_id)
        del self.working[event.originator_id]

    def revised(self, position: int, event: OrderFillBusted | OrderFillCorrected) -> None:
        """A fill undone, or given another price; the order may have ended long ago."""
        name = "fill_busted" if isinstance(event, OrderFillBusted) else "fill_corrected"
        before = self._history(event.originator_id, position)
        status = _status_after(before)
        self._move(position, event, name, status, status)
        price, filled, value = _fill_so_far(before, event.trade_id)
        self._findings.looked["fills"] += 1
        old_price = event.price if isinstance(event, OrderFillBusted) else event.old_price
        if price is None or price != (old_price, event.qty):
            self._findings.fail(
                "fills", position, f"no fill of {event.qty} at {old_price} in {event.trade_id}"
            )
        if isinstance(event, OrderFillBusted):
            filled -= event.qty
            value -= event.price * event.qty
            if event.filled_after != filled:
                self._findings.fail(
                    "fills", position, f"filled_after is {event.filled_after}, it is {filled}"
                )
        else:
            value += (event.price - event.old_price) * event.qty
            self._money.expect(event, 0, 0)
        if int(event.value_after) != value:
            self._findings.fail(
                "fills", position, f"value_after is {event.value_after}, it is {value}"
            )
        order = self.working.get(event.originator_id)
        if order is not None:
            order.filled, order.value = filled, value

    # Trades

    def _trade(self, position: int, event: OrderFilled, order: Working) -> None:
        findings = self._findings
        findings.looked["limits"] += 1
        findings.looked["phases"] += 1
        self._touched.add(event.instrument_id)
        beyond = event.price > order.bound if order.side == BUY else event.price < order.bound
        if beyond or order.waiting or event.price <= 0:
            findings.fail("limits", position, f"price {event.price}, the limit is {order.bound}")
        market = self._market(event.instrument_id)
        if market.phase != OPEN:
            findings.fail("phases", position, "the instrument is not open")
        other = self._first_side.pop(event.trade_id, None)
        if other is None:
            self._first_side[event.trade_id] = event
            return
        findings.looked["trades"] += 1
        self._sides_agree(position, event, other)
        if event.liquidity == AUCTION:
            return
        self._not_with_himself(position, event, other)
        self._stood_first(position, event, market)

    def _sides_agree(self, position: int, event: OrderFilled, other: OrderFilled) -> None:
        for field in ("qty", "price", "price_decimals", "notional", "instrument_id"):
            said, due = getattr(event, field), getattr(other, field)
            if said != due:
                self._findings.fail(
                    "trades", position, f"{field} is {said}, the other side has {due}"
                )
        if event.side + other.side != BUY + SELL:
            self._findings.fail("trades", position, "both sides are on one side")
        pair = (other.liquidity, event.liquidity)
        if pair not in (REMOVED_AND_ADDED, (AUCTION, AUCTION)):
            self._findings.fail("trades", position, f"liquidity is {pair}")
        due = _rounded(event.price * event.qty, 10 ** (event.price_decimals + 6))
        if event.notional != due:
            self._findings.fail("trades", position, f"amount is {event.notional}, not {due}")

    def _not_with_himself(self, position: int, event: OrderFilled, other: OrderFilled) -> None:
        self._findings.looked["owners"] += 1
        accounts = self._money.accounts
        mine, his = accounts.get(event.account_id), accounts.get(other.account_id)
        if mine is not None and his is not None and mine.owner == his.owner:
            self._findings.fail("owners", position, f"{mine.owner!r} traded with himself")

    def _stood_first(self, position: int, event: OrderFilled, market: Sides) -> None:
        self._findings.looked["priority"] += 1
        best = self._best(market, event.side)
        if best is None or best[2] != event.originator_id:
            self._findings.fail(
                "priority", position, f"traded before order {best and best[2]} that stood first"
            )

    def _queue(self, identifier: UUID, order: Working) -> None:
        key = -order.bound if order.side == BUY else order.bound
        market = self._market(order.instrument_id)
        heappush(market.queues[order.side], (key, order.sequence, identifier))
        self._touched.add(order.instrument_id)

    def _best(self, market: Sides, side: int) -> tuple[int, int, UUID] | None:
        queue = market.queues[side]
        while queue:
            order = self.working.get(queue[0][2])
            if order is not None and order.sequence == queue[0][1]:
                return queue[0]
            heappop(queue)
        return None

    # Judgement

    def _of(
        self, position: int, event: OrderEvent, name: str, status: str | None
    ) -> Working | None:
        """The working order of an event, moved along its life; None when there is none."""
        order = self.working.get(event.originator_id)
        if order is None:
            before = self._status_before(event, position)
            self._move(position, event, name, before, status or before)
            return None
        self._move(position, event, name, order.status, status or order.status)
        order.status = status or order.status
        same = order.account_id.int == event.account_id.int
        if not (same and order.instrument_id.int == event.instrument_id.int):
            self._findings.fail("life", position, "another account or instrument than before")
        if getattr(event, "side", 0) not in (0, order.side):
            self._findings.fail("life", position, "another side than before")
        return order

    def _status_before(self, event: OrderEvent, position: int) -> str:
        return _status_after(self._history(event.originator_id, position))

    def _move(self, position: int, event: OrderEvent, name: str, old: str, new: str) -> None:
        self._findings.looked["life"] += 1
        if new not in LIFE.get(old, {}).get(name, ()):
            self._findings.fail(
                "life", position, f"order {event.originator_id} was {old or 'not there'}: {name}"
            )

    def _numbered(self, position: int, sequence: int) -> None:
        self._findings.looked["priority"] += 1
        if sequence <= self._sequence:
            self._findings.fail(
                "priority", position, f"number {sequence} was given after {self._sequence}"
            )
        self._sequence = max(self._sequence, sequence)

    def _hold(
        self, order_id: UUID, order: Working, hold: int, hold_qty: int, *, used: bool
    ) -> None:
        """What an order holds from now on; a trade uses it, all else the books must say."""
        if hold != order.hold:
            self._money.hold_moved(order_id, order.account_id, hold - order.hold, used)
            order.hold = hold
        if hold_qty != order.hold_qty:
            key = (order.account_id, order.instrument_id)
            self._money.reserve_moved(order_id, key, hold_qty - order.hold_qty, used)
            order.hold_qty = hold_qty

    def end_command(self, position: int) -> None:
        """Judge the books that a command touched, and whether its trades have two sides."""
        for trade_id in self._first_side:
            self._findings.fail("trades", position, f"trade {trade_id} has one side only")
        self._first_side.clear()
        for instrument_id in self._touched:
            market = self._markets.get(instrument_id)
            if market is None or market.phase != OPEN:
                continue
            self._findings.looked["crossed"] += 1
            buy, sell = self._best(market, BUY), self._best(market, SELL)
            if buy is not None and sell is not None and -buy[0] >= sell[0]:
                self._findings.fail(
                    "crossed",
                    position,
                    f"instrument {instrument_id}: bid {-buy[0]}, offer {sell[0]}",
                )
        self._touched.clear()


def _rounded(numerator: int, unit: int) -> int:
    """Half to even, once."""
    whole, rest = divmod(numerator, unit)
    return whole + (2 * rest > unit or (2 * rest == unit and whole % 2))


def _status_after(events: Sequence[Any]) -> str:
    """The status an order's events lead to; empty without any."""
    status = ""
    for event in events:
        if isinstance(event, OrderAccepted):
            status = "new"
        elif isinstance(event, OrderRejected):
            status = "rejected"
        elif isinstance(event, OrderFilled):
            status = "partial" if event.leaves_after else "filled"
        elif isinstance(event, OrderCanceled):
            status = "canceled"
        elif isinstance(event, OrderExpired):
            status = "expired"
    return status


def _fill_so_far(events: Sequence[Any], trade_id: UUID) -> tuple[tuple[int, int] | None, int, int]:
    """A trade's (price, qty) in an order, unless undone; what is filled, and its value."""
    found: tuple[int, int] | None = None
    filled = value = 0
    for event in events:
        if isinstance(event, OrderFilled):
            filled, value = event.filled_after, int(event.value_after)
            if event.trade_id == trade_id:
                found = event.price, event.qty
        elif isinstance(event, OrderFillBusted):
            filled, value = event.filled_after, int(event.value_after)
            if event.trade_id == trade_id:
                found = None
        elif isinstance(event, OrderFillCorrected):
            value = int(event.value_after)
            if event.trade_id == trade_id:
                found = event.price, event.qty
    return found, filled, value
