"""Multi-leg orders as their own events tell them, with what their legs have traded."""

from __future__ import annotations

from uuid import UUID

from application.audit.second_books.net_prices import ONE, WIRE, LegFill, Traded
from domain.events import MultiLegPlaced

BUY, SELL = 1, 2
LIMIT = 2
SEQUENTIAL = 1
WORKING, UNWINDING, FILLED = 0, 1, 3


class KnownLeg:
    """A leg, and what it has traded that no execution has counted yet.

    `reach` is how far it may trade in the execution under way, 0 until it does.
    """

    __slots__ = ("fills", "instrument_id", "order_id", "ratio", "reach", "side")

    def __init__(self, order_id: UUID, instrument_id: UUID, side: int, ratio: int) -> None:
        self.order_id, self.instrument_id = order_id, instrument_id
        self.side, self.ratio = side, ratio
        self.fills: list[LegFill] = []
        self.reach = 0

    @property
    def signed(self) -> int:
        """1 when it buys, and -1."""
        return 1 if self.side == BUY else -1

    @property
    def opposite(self) -> tuple[UUID, int, int]:
        """What the other side of it is."""
        return self.instrument_id, BUY + SELL - self.side, self.ratio

    def take(self, qty: int) -> Traded:
        """Count so much of what it has traded first."""
        taken = []
        while qty > 0 and self.fills:
            first = self.fills.pop(0)
            if first.qty > qty:
                self.fills.insert(0, first._replace(qty=first.qty - qty))
                first = first._replace(qty=qty)
            taken.append(first)
            qty -= first.qty
        return Traded(self.signed, self.ratio, taken)


class Parent:
    """A multi-leg order as its own events tell it."""

    __slots__ = (
        "accepted",
        "account_id",
        "closing_cost",
        "constraints",
        "cost",
        "due_at",
        "filled",
        "given_up",
        "leaves",
        "leg_seconds",
        "legs",
        "net_price",
        "priced",
        "qty",
        "revised",
        "revision_id",
        "sequence",
        "sequential",
        "status",
        "time_in_force",
    )

    def __init__(self, event: MultiLegPlaced) -> None:
        self.account_id, self.revision_id = event.account_id, event.originator_id
        self.legs = [KnownLeg(row[0], row[1], row[3], row[4]) for row in event.legs]
        self.constraints = event.constraints
        self.qty = self.leaves = event.qty
        self.filled = self.cost = 0
        self.net_price, self.priced = event.net_price, event.order_type == LIMIT
        self.sequence, self.time_in_force = event.sequence, event.time_in_force
        self.sequential = event.execution == SEQUENTIAL
        self.status, self.accepted = WORKING, False
        self.leg_seconds, self.due_at, self.revised = event.leg_seconds, 0, False
        self.closing_cost = self.given_up = 0

    @property
    def strategy(self) -> set[tuple[UUID, int, int]]:
        """What is traded as one."""
        return {(leg.instrument_id, leg.side, leg.ratio) for leg in self.legs}


class LegsHeld:
    """What the legs of one come to hold in a command, and what is to be said of that.

    `free` was what the account could hold before, `alone` is what they would hold as orders of
    their own, where all of them are `priced`, and `fees` what of it is for commissions and
    rounding. Where no options look on, all stand `apart`; `buys` those whose legs all open by
    buying.
    """

    __slots__ = (
        "alone",
        "apart",
        "before",
        "buys",
        "fees",
        "free",
        "held",
        "multiplier",
        "priced",
        "whole",
    )

    def __init__(self, free: int, parent: Parent | None) -> None:
        self.free = free
        priced = parent is not None and parent.priced
        self.whole = max(0, parent.net_price) * parent.leaves if parent and priced else None
        self.alone = self.before = self.held = self.fees = 0
        self.multiplier = 1
        self.priced = self.apart = self.buys = True

    def due(self, *, is_margin: bool) -> int:
        """What they hold where they stand apart: a cash account that only buys needs no more than
        the net price of all units.
        """
        if is_margin or not self.buys or self.whole is None:
            return self.alone
        whole = self.whole * self.multiplier
        return min(self.alone, -(-whole // (WIRE * ONE // 100)) + self.fees)
