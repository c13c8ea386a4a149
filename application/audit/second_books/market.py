"""The books of markets: who stands first, at which price, and with whom each trade is made."""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from typing import Protocol
from uuid import UUID

from application.audit.second_books.findings import Findings
from application.audit.second_books.instruments import InstrumentBooks
from application.audit.second_books.money import MoneyBooks
from domain.events import OrderAccepted, OrderFilled, OrderReplaced

BUY, SELL = 1, 2
AUCTION = 4
FIRST_LEG = 11
"""From here on an order is a leg of a multi-leg order, and the net price of that bounds it."""
REMOVED_AND_ADDED = (2, 1)
LIMIT_TYPES = (2, 4)
RESTING_TIMES = (0, 1, 6)
OPG, CLS = 2, 7
"""Times in force of orders for one auction alone, at the open and at the close."""
STANDING_TIMES = (*RESTING_TIMES, OPG, CLS)
FEW = 64
"""Heaps of fewer entries are not worth to be swept."""


def may_rest(event: OrderAccepted | OrderReplaced) -> bool:
    """Whether an order of these terms stands in the book; a stop says it when it is elected."""
    stands = event.rests or event.order_type in LIMIT_TYPES
    return event.time_in_force in STANDING_TIMES and stands


class Standing(Protocol):
    """An order as a market sees it."""

    instrument_id: UUID
    side: int
    bound: int
    leaves: int
    sequence: int
    waiting: bool


class MarketBooks:
    """The resting orders of each instrument, each side a heap whose dead entries go when seen."""

    def __init__(self, findings: Findings, money: MoneyBooks, instruments: InstrumentBooks) -> None:
        self._findings = findings
        self._money = money
        self._instruments = instruments
        self._queues: dict[tuple[UUID, int], list[tuple[int, int, UUID]]] = {}
        self._swept_at: dict[tuple[UUID, int], int] = {}
        self._standing: dict[UUID, Standing] = {}
        self._first_side: dict[UUID, OrderFilled] = {}
        self._sequence = 0
        self.touched = instruments.touched

    def numbered(self, position: int, sequence: int) -> None:
        """Judge a place given in the queue: places only grow."""
        self._findings.looked["priority"] += 1
        if sequence <= self._sequence:
            self._findings.fail(
                "priority", position, f"number {sequence} was given after {self._sequence}"
            )
        self._sequence = max(self._sequence, sequence)

    def first(self, instrument_id: UUID, side: int) -> int:
        """Find the price of the order that stands first on a side; 0 when nobody does."""
        best = self._best(instrument_id, side)
        return abs(best[0]) if best is not None else 0

    def standing(self, instrument_id: UUID, side: int) -> list[tuple[int, int]]:
        """List the bound and the rest of every order that stands on a side."""
        found = []
        for _, sequence, identifier in self._queues.get((instrument_id, side), ()):
            order = self._standing.get(identifier)
            if order is not None and order.sequence == sequence:
                found.append((order.bound, order.leaves))
        return found

    def stands(self, identifier: UUID, order: Standing) -> None:
        """Let an order rest, last at its price."""
        key = -order.bound if order.side == BUY else order.bound
        place = order.instrument_id, order.side
        queue = self._queues.setdefault(place, [])
        heappush(queue, (key, order.sequence, identifier))
        self._standing[identifier] = order
        self.touched.add(order.instrument_id)
        if len(queue) > self._swept_at.get(place, FEW):
            self._sweep(place, queue)

    def _sweep(self, place: tuple[UUID, int], queue: list[tuple[int, int, UUID]]) -> None:
        """Take the dead entries out of a heap, also those that are never seen: they become no
        more than twice as many as the living.
        """
        standing = self._standing
        queue[:] = [
            entry
            for entry in queue
            if (order := standing.get(entry[2])) is not None and order.sequence == entry[1]
        ]
        heapify(queue)
        self._swept_at[place] = max(FEW, 2 * len(queue))

    def left(self, identifier: UUID, order: Standing) -> None:
        """Take an order out that stands there no more."""
        if self._standing.pop(identifier, None) is not None:
            self.touched.add(order.instrument_id)

    def trade(self, position: int, event: OrderFilled, order: Standing) -> None:
        """Take one side of a trade; when the other is known, judge the whole."""
        findings = self._findings
        findings.looked["limits"] += 1
        findings.looked["phases"] += 1
        self.touched.add(event.instrument_id)
        beyond = event.price > order.bound if order.side == BUY else event.price < order.bound
        if (beyond and event.leg < FIRST_LEG) or order.waiting or event.price <= 0:
            findings.fail("limits", position, f"price {event.price}, the limit is {order.bound}")
        terms = self._instruments.of(event.instrument_id)
        terms.last = event.price
        if not terms.is_open:
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
        if event.leg < FIRST_LEG:
            self._stood_first(position, event)
        else:
            self._between(position, event)

    def _sides_agree(self, position: int, event: OrderFilled, other: OrderFilled) -> None:
        for field in ("qty", "price", "price_decimals", "multiplier", "notional", "instrument_id"):
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
        units = event.qty * self._instruments.of(event.instrument_id).multiplier
        due = rounded(event.price * units, 10 ** (event.price_decimals + 6))
        if event.notional != due:
            self._findings.fail("trades", position, f"worth is {event.notional}, not {due}")

    def _not_with_himself(self, position: int, event: OrderFilled, other: OrderFilled) -> None:
        self._findings.looked["owners"] += 1
        accounts = self._money.accounts
        mine, his = accounts.get(event.account_id), accounts.get(other.account_id)
        if mine is not None and his is not None and mine.owner == his.owner:
            self._findings.fail("owners", position, f"{mine.owner!r} traded with himself")

    def _stood_first(self, position: int, event: OrderFilled) -> None:
        self._findings.looked["priority"] += 1
        best = self._best(event.instrument_id, event.side)
        if best is None or best[2] != event.originator_id:
            self._findings.fail(
                "priority", position, f"traded before order {best and best[2]} that stood first"
            )

    def _between(self, position: int, event: OrderFilled) -> None:
        """Two multi-leg orders trade a leg past nobody who stands in its book."""
        self._findings.looked["priority"] += 1
        bid, offer = (self.first(event.instrument_id, side) for side in (BUY, SELL))
        if event.price < bid or (offer and event.price > offer):
            text = f"traded at {event.price} between {bid} and {offer}"
            self._findings.fail("priority", position, text)

    def _best(self, instrument_id: UUID, side: int) -> tuple[int, int, UUID] | None:
        queue = self._queues.get((instrument_id, side), [])
        while queue:
            order = self._standing.get(queue[0][2])
            if order is not None and order.sequence == queue[0][1]:
                return queue[0]
            heappop(queue)
        return None

    def end_command(self, position: int) -> None:
        """Judge the books that a command touched, and whether its trades have two sides."""
        for trade_id in self._first_side:
            self._findings.fail("trades", position, f"trade {trade_id} has one side only")
        self._first_side.clear()
        for instrument_id in self.touched:
            if not self._instruments.of(instrument_id).is_open:
                continue
            self._findings.looked["crossed"] += 1
            buy, sell = self._best(instrument_id, BUY), self._best(instrument_id, SELL)
            if buy is not None and sell is not None and -buy[0] >= sell[0]:
                self._findings.fail(
                    "crossed",
                    position,
                    f"instrument {instrument_id}: bid {-buy[0]}, offer {sell[0]}",
                )
        self.touched.clear()


def rounded(numerator: int, unit: int) -> int:
    """Round half to even, once."""
    whole, rest = divmod(numerator, unit)
    return whole + (2 * rest > unit or (2 * rest == unit and whole % 2))
