"""The books of orders, kept a second time: their lives, their fills, and what they hold."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from uuid import UUID

from application.audit.second_books.bookings import Bookings, Fill, Undoing
from application.audit.second_books.commissions import NOTHING, told
from application.audit.second_books.costs import CostBooks
from application.audit.second_books.findings import Findings
from application.audit.second_books.histories import Past, past_of
from application.audit.second_books.hold_ages import HoldAges
from application.audit.second_books.holdings import HoldingBooks
from application.audit.second_books.known_orders import KnownOrder
from application.audit.second_books.market import FIRST_LEG, MarketBooks, may_rest
from application.audit.second_books.money import MoneyBooks
from application.audit.second_books.order_lives import LIFE, STATUS_CODES
from application.audit.second_books.permits import CENT, Permits
from application.audit.second_books.undone import UndoneOrders
from domain.events import (
    DomainEvent,
    OrderAccepted,
    OrderAdjusted,
    OrderCanceled,
    OrderEvent,
    OrderExpired,
    OrderFillBusted,
    OrderFillCorrected,
    OrderFilled,
    OrderRejected,
    OrderReplaced,
    OrderTrailed,
    OrderTriggered,
)
from domain.identifiers import NO_ID

BUY = 1
HELD = 9
NO_LEG, ENTRY = 0, 1
GROUP_REPLACED, STOP_TRIGGERED, BECAME_OPENING = 5, 6, 7

History = Callable[[UUID, int], Sequence[DomainEvent]]
"""The events of one aggregate below a position, for what is no longer in memory."""


class OrderBooks:
    """Working orders by id; what is done is forgotten and read again when it is needed.

    `accepted_now` and `freed_now` are of the command under way, as are the legs' fills.
    """

    def __init__(
        self,
        findings: Findings,
        bookings: Bookings,
        money: MoneyBooks,
        holdings: HoldingBooks,
        market: MarketBooks,
        permits: Permits,
        history: History,
    ) -> None:
        self._findings = findings
        self._bookings = bookings
        self._money = money
        self._holdings = holdings
        self._market = market
        self._permits = permits
        self._history = history
        self._costs = CostBooks(findings, money)
        self._undone = UndoneOrders(findings)
        self._ages = HoldAges()
        self._members: dict[UUID, list[UUID]] = {}
        self.working: dict[UUID, KnownOrder] = {}
        self.accepted_now: dict[UUID, OrderAccepted] = {}
        self.freed_now: dict[UUID, tuple[int, int]] = {}
        self.leg_fills: list[tuple[UUID, int, int, int]] = []
        self.groups_touched: set[UUID] = set()
        self.strategies_touched: set[UUID] = set()

    # The life of an order

    def accepted(self, position: int, event: OrderAccepted) -> None:
        """Take a new working order in."""
        identifier = event.originator_id
        order = KnownOrder(event)
        if identifier in self.working or event.originator_version != 1:
            before = self._past(event, position).status
            self._move(position, event, "accepted", before, order.status)
        else:
            self._move(position, event, "accepted", "", order.status)
        if bool(event.leg) != (event.group_id != NO_ID):
            self._findings.fail("legs", position, "a leg without a group, or the other way")
        self.working[identifier] = order
        if event.leg:
            self.accepted_now[identifier] = event
            self._touch(order)
            if event.leg < FIRST_LEG:
                self._members.setdefault(event.group_id, []).append(identifier)
        self._market.numbered(position, event.sequence)
        # What one for an amount opens is judged when it has traded; it holds nothing before.
        at_once = event.notional > 0
        opens = event.hold_qty < event.qty and order.status != "held" and not at_once
        # What waits for another order trades no more than that one has brought.
        whole = order.status != "held" and (event.armed or event.leg >= FIRST_LEG) and not at_once
        self._permits.taken(position, event, more_held=event.hold, opens=opens, sized=whole)
        sized = 0 if at_once else event.qty
        self._size(position, order, sized, event.hold, event.hold_qty, placed=True)
        self._hold(identifier, order, event.hold, event.hold_qty, used=False)
        if order.leg and order.armed and order.status == "held":
            self._stands_for(position, order)
        if order.stands:
            self._market.stands(identifier, order)

    def rejected(self, position: int, event: OrderRejected) -> None:
        """Judge a refused order: its whole life."""
        if event.originator_version != 1 or event.originator_id in self.working:
            before = self._past(event, position).status
            self._move(position, event, "rejected", before, "rejected")
        else:
            self._findings.looked["life"] += 1

    def trailed(self, position: int, event: OrderTrailed) -> KnownOrder | None:
        """Find the stop that an event moves, which must wait still."""
        order = self._of(position, event, "trailed", "new")
        return order if order is not None and order.waiting else None

    def triggered(self, position: int, event: OrderTriggered) -> None:
        """Judge an elected stop."""
        order = self._of(position, event, "triggered", "new")
        if order is None:
            return
        reached = (
            event.seen_price >= order.stop_price
            if order.side == BUY
            else event.seen_price <= order.stop_price
        )
        if not (order.waiting and reached and event.seen_price > 0):
            self._findings.fail(
                "life", position, f"stop {order.stop_price} elected at {event.seen_price}"
            )
        self._market.numbered(position, event.sequence)
        order.waiting, order.rests = False, order.rests or event.rests
        order.sequence, order.bound = event.sequence, event.working_price
        if order.stands:
            self._market.stands(event.originator_id, order)

    def filled(self, position: int, event: OrderFilled) -> None:
        """Judge one side of a trade."""
        status = "partial" if event.leaves_after else "filled"
        order = self._of(position, event, "filled", status)
        if order is None:
            return
        if event.exact:
            self._ages.carried()
        self._market.trade(position, event, order)
        self._adds_up(position, event, order)
        self._used_up(position, event, order)
        extra = self._costs.filled(position, event, order)
        hold, hold_qty = event.hold_after, event.hold_qty_after
        used = (order.hold - hold, order.hold_qty - hold_qty)
        self._bookings.expect(Fill(event, *used, order.hold, extra))
        self._hold(event.originator_id, order, hold, hold_qty, used=True)
        order.filled, order.leaves = event.filled_after, event.leaves_after
        order.value = int(event.value_after)
        if 0 < order.leg < FIRST_LEG:
            self.leg_fills.append((order.group_id, order.leg, event.qty, order.leaves))
        if not order.leaves:
            self._gone(event.originator_id, order)

    def _adds_up(self, position: int, event: OrderFilled, order: KnownOrder) -> None:
        filled = order.filled + event.qty
        # What is left does not grow when a fill is busted, so it is counted down on its own.
        due = (filled, order.leaves - event.qty, order.value + event.price * event.qty)
        said = (event.filled_after, event.leaves_after, int(event.value_after))
        self._findings.chain("fills", position, "filled, left and value", said, due)
        if event.qty <= 0 or filled > order.qty or event.leaves_after < 0:
            self._findings.fail("fills", position, f"{filled} of {order.qty} is filled")
        if STATUS_CODES.get(event.status_after) != order.status:
            self._findings.fail(
                "life", position, f"status {event.status_after} with {event.leaves_after} left"
            )

    def _used_up(self, position: int, event: OrderFilled, order: KnownOrder) -> None:
        """What reduces the position trades first; the hold goes with the rest, in proportion."""
        opening = order.leaves - order.hold_qty
        qty_after = max(0, order.hold_qty - event.qty)
        opens_after = order.leaves - event.qty - qty_after
        if not opening:
            # A hold without anything that opens is for other legs, and goes with all that trades.
            opening, opens_after = order.leaves, order.leaves - event.qty
        hold_after = 0 if opens_after <= 0 else -(-order.hold * opens_after // max(1, opening))
        said = (event.hold_after, event.hold_qty_after)
        self._findings.chain("hold_sizes", position, "holds", said, (hold_after, qty_after))

    def adjusted(self, position: int, event: OrderAdjusted) -> None:
        """Judge what the venue changed of an order because something else happened."""
        status = STATUS_CODES.get(event.status_after, "")
        order = self._of(position, event, "adjusted", status)
        if order is None:
            return
        said = (event.filled, event.qty - event.leaves_after)
        due = (order.filled, order.qty - order.leaves)
        self._findings.chain("fills", position, "filled and done", said, due)
        if event.leaves_after <= 0 or event.hold_qty_after > event.leaves_after:
            text = f"{event.leaves_after} is left, {event.hold_qty_after} reserved"
            self._findings.fail("fills", position, text)
        moved = event.sequence != order.sequence
        if moved:
            self._market.numbered(position, event.sequence)
        elif order.stands and event.leaves_after > order.leaves:
            self._findings.fail("priority", position, "kept its place with more to trade")
        self._adjusted_hold(position, event, order)
        hold, hold_qty = event.hold_after, event.hold_qty_after
        self._hold(event.originator_id, order, hold, hold_qty, used=False)
        stood = order.stands
        order.qty, order.leaves = event.qty, event.leaves_after
        order.sequence, order.armed = event.sequence, event.armed
        order.bound = event.protection_price or order.bound
        if order.stands and (moved or not stood):
            self._market.stands(event.originator_id, order)

    def _adjusted_hold(self, position: int, event: OrderAdjusted, order: KnownOrder) -> None:
        if event.reason == STOP_TRIGGERED or order.leg >= FIRST_LEG:
            # Its group judges that it takes over what its take-profit held, a multi-leg order
            # what all its legs hold.
            return
        opening = order.leaves - order.hold_qty
        opens_after = event.leaves_after - event.hold_qty_after
        if event.status_after == HELD or not opens_after:
            due = 0
        elif event.reason == GROUP_REPLACED:
            due = self._due(order, opens_after, event.hold_after)
            more = event.hold_after - order.hold
            self._permits.covered(position, event.account_id, more)
        elif event.reason == BECAME_OPENING:
            price = max(order.bound, self._permits.mark(order.instrument_id))
            more = order.hold_qty - event.hold_qty_after
            asked = (order.account_id, order.instrument_id, order.side, more, price)
            grown, most = event.hold_after - order.hold, self._permits.became(*asked)
            due = order.hold + self._permits.between(grown, most, *asked)
        else:
            due = -(-order.hold * opens_after // opening) if opening else 0
        self._findings.chain("hold_sizes", position, "hold_after", event.hold_after, due)

    def replaced(self, position: int, event: OrderReplaced) -> None:
        """Judge new terms of an order."""
        order = self._of(position, event, "replaced", None)
        if order is None:
            return
        said = (event.filled, int(event.value), event.leaves_after)
        due = (order.filled, order.value, event.qty - order.filled)
        self._findings.chain("fills", position, "filled, value and left", said, due)
        if event.leaves_after <= 0:
            self._findings.fail("fills", position, f"{event.leaves_after} is left")
        stays = (event.sequence, event.working_price) == (order.sequence, order.bound)
        if event.kept_priority:
            if not stays or event.qty > order.qty:
                self._findings.fail("priority", position, "kept its place with better terms")
        else:
            self._market.numbered(position, event.sequence)
        opens = event.leaves_after - event.hold_qty_after > order.leaves - order.hold_qty
        more = event.hold_after - order.hold
        held = order.status == "held"
        opens, sized = opens and not held, event.qty != order.filled + order.leaves and not held
        self._permits.taken(position, event, more_held=more, opens=opens, sized=sized)
        order.bound = event.working_price
        self._size(position, order, event.leaves_after, event.hold_after, event.hold_qty_after)
        hold, hold_qty = event.hold_after, event.hold_qty_after
        self._hold(event.originator_id, order, hold, hold_qty, used=False)
        order.qty, order.leaves = event.qty, event.leaves_after
        order.sequence, order.stop_price = event.sequence, event.stop_price
        order.rests = may_rest(event)
        if order.stands and not event.kept_priority:
            self._market.stands(event.originator_id, order)

    def ended(self, position: int, event: OrderCanceled | OrderExpired) -> None:
        """Judge the end of an order, canceled or expired with what was left."""
        if isinstance(event, OrderCanceled):
            name, qty = "canceled", event.canceled_qty
        else:
            name, qty = "expired", event.expired_qty
        self._undone.ended(position, event, worked=event.originator_id in self.working)
        order = self._of(position, event, name, name)
        if order is None:
            return
        self._findings.looked["fills"] += 1
        # What was written before quantities were part of the event reads as zero.
        told_so = event.side or qty or event.filled
        if told_so and (qty, event.filled) != (order.leaves, order.filled):
            text = f"left and filled are {(qty, event.filled)}"
            before = f"from before {(order.leaves, order.filled)}"
            self._findings.fail("fills", position, f"{text}, {before}")
        if order.leg:
            self.freed_now[event.originator_id] = (order.hold, order.hold_qty)
        self._hold(event.originator_id, order, 0, 0, used=False)
        self._gone(event.originator_id, order)

    def revised(self, position: int, event: OrderFillBusted | OrderFillCorrected) -> None:
        """Judge a fill undone, or given another price; its order may have ended long ago."""
        busted = isinstance(event, OrderFillBusted)
        past = self._past(event, position)
        name = "fill_busted" if busted else "fill_corrected"
        self._move(position, event, name, past.status, past.status)
        if (event.group_id, event.leg) != (past.group_id, past.leg):
            self._findings.fail("legs", position, "another group or leg than before")
        fill = past.fills.get(event.trade_id)
        old_price = event.price if isinstance(event, OrderFillBusted) else event.old_price
        self._findings.looked["fills"] += 1
        said = (old_price, event.qty, event.multiplier)
        if fill is None or (fill.price, fill.first.qty, fill.first.multiplier) != said:
            text = f"no fill of {event.qty} at {old_price} in {event.trade_id}"
            self._findings.fail("fills", position, text)
        filled, value = past.filled, past.value - old_price * event.qty
        if isinstance(event, OrderFillBusted):
            filled -= event.qty
            self._findings.chain("fills", position, "filled_after", event.filled_after, filled)
        else:
            value += event.price * event.qty
        self._findings.chain("fills", position, "value_after", int(event.value_after), value)
        extra = self._costs.revised(position, event, past, value)
        if fill is not None:
            notional, back = fill.notional, -extra if busted else NOTHING
            worth, exact = fill.worth, fill.exact
            undoing = Undoing(event, old_price, notional, worth, exact, fill.first, back)
            self._bookings.expect_undone(undoing)
        if isinstance(event, OrderFillCorrected):
            self._bookings.expect(Fill(event, 0, 0, 0, extra))
        order = self.working.get(event.originator_id)
        works_on = order is not None and order.leg != ENTRY
        if busted and not filled and past.status in ("partial", "filled") and not works_on:
            self._undone.note(position, event.originator_id)
        if order is not None:
            order.filled, order.value = filled, value
            order.asked = told(event.commission_base_after)
            order.charged = told(event.commission_after)

    # Judgement

    def _of(
        self, position: int, event: OrderEvent, name: str, status: str | None
    ) -> KnownOrder | None:
        """The working order of an event, moved along its life; None when there is none."""
        order = self.working.get(event.originator_id)
        if order is None:
            before = self._past(event, position).status
            self._move(position, event, name, before, status or before)
            return None
        self._move(position, event, name, order.status, status or order.status)
        order.status = status or order.status
        same = order.account_id.int == event.account_id.int
        if not (same and order.instrument_id.int == event.instrument_id.int):
            self._findings.fail("life", position, "another account or instrument than before")
        if getattr(event, "side", 0) not in (0, order.side):
            self._findings.fail("life", position, "another side than before")
        # What trails is an order of its own: its event has no place for a group.
        leg: int = getattr(event, "leg", NO_LEG)
        if order.leg or leg:
            self._findings.looked["legs"] += 1
            self._touch(order)
            if (order.leg, order.group_id) != (leg, getattr(event, "group_id", NO_ID)):
                self._findings.fail("legs", position, "another group or leg than before")
        return order

    def _touch(self, order: KnownOrder) -> None:
        """What an order is a leg of is judged when the command has ended."""
        touched = self.groups_touched if order.leg < FIRST_LEG else self.strategies_touched
        touched.add(order.group_id)

    def _past(self, event: OrderEvent, position: int) -> Past:
        return past_of(self._history(event.originator_id, position))

    def _move(self, position: int, event: OrderEvent, name: str, old: str, new: str) -> None:
        self._findings.looked["life"] += 1
        if new not in LIFE.get(old, {}).get(name, ()):
            self._findings.fail(
                "life", position, f"order {event.originator_id} was {old or 'not there'}: {name}"
            )

    def _size(
        self,
        position: int,
        order: KnownOrder,
        leaves: int,
        hold: int,
        hold_qty: int,
        *,
        placed: bool = False,
    ) -> None:
        """What a new order, or one with new terms, holds: nothing while it waits for another."""
        due_qty = due = 0
        if order.status != "held":
            due_qty = self.reserve_due(order, leaves)
            if order.leg < FIRST_LEG:
                due = self._due(order, leaves - due_qty, hold)
        if order.leg >= FIRST_LEG:
            # What all legs hold is judged of the whole.
            due = hold
        if placed and order.leg > ENTRY and order.status != "held":
            # Its stop is not there yet; with it the hold is judged whole.
            due = max(due, hold)
        self._findings.chain("hold_sizes", position, "holds", (hold, hold_qty), (due, due_qty))

    def reserve_due(self, order: KnownOrder, leaves: int) -> int:
        """Find what an order reserves of the position when so much of it is left.

        An entry reserves nothing: it opens, whatever is held when it changes. Nor does what a
        cash account buys: it pays for all of it.
        """
        is_margin = self._money.account(order.account_id).is_margin
        if order.leg == ENTRY or not (is_margin or order.side != BUY):
            return 0
        holding = self._holdings.of((order.account_id, order.instrument_id))
        return min(leaves, order.hold_qty + holding.free(order.side))

    def _stands_for(self, position: int, stop: KnownOrder) -> None:
        """The exit that works for a group holds what the dearer of both may need, never both."""
        for order_id in self._members[stop.group_id]:
            order = self.working.get(order_id)
            if order is not None and order.status != "held":
                opening = order.leaves - order.hold_qty
                due = self._due(order, opening, order.hold)
                self._findings.chain("hold_sizes", position, "the hold of both", order.hold, due)

    def _due(self, order: KnownOrder, opening: int, said: int) -> int:
        """What an order must hold; of a written option what lies between two bounds."""
        due = self._ages.due(said, self._dearest(order, opening), self._cent(order, opening))
        named = order.account_id, order.instrument_id, order.side
        return self._permits.between(said, due, *named, opening, order.bound)

    def _dearest(self, order: KnownOrder, opening: int) -> int:
        """What the opening part of an order holds, or of the dearer exit of its group."""
        account_id, instrument_id, side = order.account_id, order.instrument_id, order.side
        prices = [order.bound]
        if order.leg > ENTRY:
            members = (self.working.get(i) for i in self._members.get(order.group_id, ()))
            prices += [other.bound for other in members if other is not None and other.leg > ENTRY]
        hold = self._permits.hold
        return max(hold(account_id, instrument_id, side, opening, price) for price in prices)

    def _cent(self, order: KnownOrder, opening: int) -> int:
        """What of a hold is for rounding: of what a cash account opens."""
        is_margin = self._money.account(order.account_id).is_margin
        return CENT if opening and not is_margin else 0

    def _hold(
        self, order_id: UUID, order: KnownOrder, hold: int, hold_qty: int, *, used: bool
    ) -> None:
        """What an order holds from now on; a trade uses it, all else the books must say."""
        if hold != order.hold:
            self._money.hold_moved(order_id, order.account_id, hold - order.hold, used)
            order.hold = hold
        if hold_qty != order.hold_qty:
            key = (order.account_id, order.instrument_id)
            self._holdings.reserve_moved(order_id, key, hold_qty - order.hold_qty, used)
            if order.leg >= FIRST_LEG:
                self._holdings.of(key).joined += hold_qty - order.hold_qty
            order.hold_qty = hold_qty

    def _gone(self, order_id: UUID, order: KnownOrder) -> None:
        self._market.left(order_id, order)
        del self.working[order_id]
        if order.group_id in self._members and not self.working.keys() & set(
            self._members[order.group_id]
        ):
            del self._members[order.group_id]

    def end_command(self) -> None:
        """Forget what concerned only this command; what is undone must have ended in it."""
        self._undone.end_command()
        if self.accepted_now or self.freed_now:
            self.accepted_now.clear()
            self.freed_now.clear()
