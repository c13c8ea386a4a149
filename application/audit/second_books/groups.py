"""The books of groups: what linked orders may trade in all, and which of them may still work."""

from __future__ import annotations

from uuid import UUID

from application.audit.second_books.findings import Findings
from application.audit.second_books.known_orders import KnownOrder
from application.audit.second_books.orders import OrderBooks
from domain.events import (
    GroupEnded,
    GroupEntryFilled,
    GroupLegFilled,
    GroupPlaced,
    GroupResized,
    GroupStopTriggered,
    OrderAdjusted,
    OrderTriggered,
)
from domain.identifiers import NO_ID

BUY, SELL = 1, 2
ENTRY, TAKE_PROFIT, STOP_LOSS = 1, 2, 3
STOP_TRIGGERED = 6


class Group:
    """A group as its own events tell it, and what its legs were seen to do."""

    __slots__ = (
        "account_id",
        "ended",
        "entered",
        "entry_filled",
        "exit_qty",
        "filled",
        "instrument_id",
        "legs",
        "placed_for",
        "profit_done",
        "qty",
        "side",
        "stopped",
        "target",
        "traded",
    )

    def __init__(self, event: GroupPlaced) -> None:
        self.account_id, self.instrument_id = event.account_id, event.instrument_id
        self.side, self.qty, self.placed_for = event.side, event.qty, event.qty
        legs = (
            (ENTRY, event.entry_id),
            (TAKE_PROFIT, event.take_profit_id),
            (STOP_LOSS, event.stop_loss_id),
        )
        self.legs = {leg: order_id for leg, order_id in legs if order_id != NO_ID}
        self.exit_qty = 0 if ENTRY in self.legs else event.qty
        self.target = event.take_profit_price
        self.entry_filled = self.filled = 0
        self.entered = self.traded = 0
        self.stopped = self.ended = self.profit_done = False

    @property
    def left(self) -> int:
        """What the exits may still trade."""
        return self.exit_qty - self.filled


class GroupBooks:
    """Groups that are not over, by id; `end_command` judges those that a command touched."""

    def __init__(self, findings: Findings, orders: OrderBooks) -> None:
        self._findings = findings
        self._orders = orders
        self._groups: dict[UUID, Group] = {}
        self._placed: list[Group] = []

    def placed(self, position: int, event: GroupPlaced) -> None:
        """Take a new group in: linked orders, of which one execution ends the other."""
        identifier = event.originator_id
        if identifier in self._groups or event.originator_version != 1:
            self._fail("groups", position, f"group {identifier} was there")
        group = self._groups[identifier] = Group(event)
        self._placed.append(group)
        self._orders.groups_touched.add(identifier)

    def target(self, group_id: UUID, leg: int) -> int:
        """Find where the take-profit of an entry stands or will; 0 for what is none."""
        group = self._groups.get(group_id) if leg == ENTRY else None
        if group is None:
            return 0
        exit_ = self._orders.working.get(group.legs.get(TAKE_PROFIT, NO_ID))
        return group.target if exit_ is None else exit_.bound

    def entry_filled(self, position: int, event: GroupEntryFilled) -> None:
        """Judge that exits grow with their entry, and by no more than it traded."""
        group = self._of(position, event)
        if group is None:
            return
        due = group.entry_filled + event.qty
        self._chain(position, "entry_filled_after", event.entry_filled_after, due)
        growth = event.exit_qty_after - group.exit_qty
        if not 0 <= growth <= event.qty:
            self._fail("groups", position, f"the exits grew by {growth}, the entry {event.qty}")
        group.entry_filled, group.exit_qty = event.entry_filled_after, event.exit_qty_after

    def leg_filled(self, position: int, event: GroupLegFilled) -> None:
        """Judge a trade of an exit: some of what both exits may trade."""
        group = self._of(position, event)
        if group is None:
            return
        filled = group.filled + event.qty
        said = (event.filled_after, event.left_after)
        self._chain(position, "filled and left", said, (filled, group.exit_qty - filled))
        if group.legs.get(event.leg) != event.order_id or event.leg == ENTRY:
            self._fail("legs", position, f"leg {event.leg} is not order {event.order_id}")
        if event.left_after < 0:
            self._fail("groups", position, f"the exits have traded {-event.left_after} too much")
        group.filled = event.filled_after

    def stop_triggered(self, position: int, event: GroupStopTriggered) -> None:
        """Judge that a stop's condition was met by a price that was seen."""
        group = self._of(position, event)
        if group is None:
            return
        self._findings.looked["triggers"] += 1
        self._chain(position, "left", event.left, group.left)
        stop = self._orders.working.get(event.order_id)
        low, high = event.low_price, event.high_price
        met = stop is not None and (
            high >= stop.stop_price if group.side == BUY else 0 < low <= stop.stop_price
        )
        if group.stopped or not met or group.legs.get(STOP_LOSS) != event.order_id:
            self._fail("triggers", position, f"prices {low} to {high} trigger no stop")
        target = self._orders.working.get(group.legs.get(TAKE_PROFIT, NO_ID))
        gap = target is not None and (
            high >= target.bound if group.side == SELL else 0 < low <= target.bound
        )
        self._chain(position, "gap", event.gap, gap)
        group.stopped = True

    def triggered(self, position: int, event: OrderTriggered) -> None:
        """A stop of a group runs once the group knows, and when no other leg works any more."""
        if event.leg == STOP_LOSS:
            self._findings.looked["triggers"] += 1
            group = self._groups.get(event.group_id)
            others = (
                [] if group is None else [i for leg, i in group.legs.items() if leg != event.leg]
            )
            if group is None or not group.stopped or self._orders.working.keys() & set(others):
                self._fail("triggers", position, "the stop runs beside another leg")
        self._orders.triggered(position, event)

    def adjusted(self, position: int, event: OrderAdjusted) -> None:
        """A stop that is triggered takes over what its take-profit held, no more and no less."""
        if event.reason == STOP_TRIGGERED:
            group = self._groups.get(event.group_id)
            take_profit = NO_ID if group is None else group.legs.get(TAKE_PROFIT, NO_ID)
            due = self._orders.freed_now.get(take_profit, (0, 0))
            said = (event.hold_after, event.hold_qty_after)
            self._findings.chain("hold_sizes", position, "what the stop holds", said, due)
        self._orders.adjusted(position, event)

    def resized(self, position: int, event: GroupResized) -> None:
        """Judge another quantity for the exits: never less than they have traded."""
        group = self._of(position, event)
        if group is None:
            return
        if not group.filled <= event.exit_qty_after <= event.qty_after:
            text = f"{event.exit_qty_after} of {event.qty_after}, traded are {group.filled}"
            self._fail("groups", position, text)
        group.qty, group.exit_qty = event.qty_after, event.exit_qty_after

    def ended(self, position: int, event: GroupEnded) -> None:
        """Note that a group is over."""
        group = self._of(position, event)
        if group is None:
            return
        self._chain(position, "filled", event.filled, group.filled)
        group.ended = True

    def _of(
        self,
        position: int,
        event: (GroupEntryFilled | GroupLegFilled | GroupStopTriggered | GroupResized | GroupEnded),
    ) -> Group | None:
        group = self._groups.get(event.originator_id)
        if group is None or group.ended:
            self._fail("groups", position, f"group {event.originator_id} is not there any more")
            return None
        if (event.account_id, event.instrument_id) != (group.account_id, group.instrument_id):
            self._fail("groups", position, "another account or instrument than before")
        self._orders.groups_touched.add(event.originator_id)
        return group

    # Judgement

    def end_command(self, position: int) -> None:
        """Judge the groups whose legs or events a command touched."""
        for group in self._placed:
            self._judge_placed(position, group)
        self._placed.clear()
        orders = self._orders
        for group_id, leg, qty, leaves in orders.leg_fills:
            known = self._groups.get(group_id)
            if known is not None and leg == ENTRY:
                known.entered += qty
            elif known is not None:
                known.traded += qty
                # All it was for then; its entry may yet bring more, which the stop exits.
                known.profit_done |= leg == TAKE_PROFIT and not leaves
        orders.leg_fills.clear()
        for group_id in orders.groups_touched:
            found = self._groups.get(group_id)
            if found is None:
                self._fail("legs", position, f"there is no group {group_id}")
                continue
            self._judge(position, group_id, found)
            if found.ended:
                del self._groups[group_id]
        orders.groups_touched.clear()

    def _judge_placed(self, position: int, group: Group) -> None:
        """Its legs are there, on the right sides, for the same quantity."""
        self._findings.looked["legs"] += 1
        for leg, order_id in group.legs.items():
            side = group.side if leg != ENTRY else BUY + SELL - group.side
            accepted = self._orders.accepted_now.get(order_id)
            if accepted is None:
                self._fail("legs", position, f"leg {leg}, order {order_id}, was not accepted")
                continue
            said = (
                accepted.leg, accepted.account_id, accepted.instrument_id, accepted.side,
                accepted.qty,
            )  # fmt: skip
            due = (leg, group.account_id, group.instrument_id, side, group.placed_for)
            self._findings.chain("legs", position, f"leg {leg}", said, due)

    def _judge(self, position: int, group_id: UUID, group: Group) -> None:
        findings = self._findings
        findings.looked["groups"] += 1
        findings.looked["siblings"] += 1
        seen, said = (group.entered, group.traded), (group.entry_filled, group.filled)
        if seen != said or group.traded > group.exit_qty or group.entered > group.qty:
            text = f"entry and exits traded {seen}, the group says {said} of {group.exit_qty}"
            self._fail("groups", position, text)
        works = {leg: self._orders.working.get(order_id) for leg, order_id in group.legs.items()}
        for leg, order in works.items():
            if order is not None and (order.group_id, order.leg) != (group_id, leg):
                self._fail("legs", position, f"order {group.legs[leg]} is not leg {leg}")
        alive = {leg for leg, order in works.items() if order is not None}
        if alive - self._may_work(group) or self._must_work(group) - alive:
            self._fail("siblings", position, f"group {group_id}: legs {sorted(alive)} still work")
        for leg in alive - {ENTRY}:
            self._judge_exit(position, group, leg, works[leg])

    def _may_work(self, group: Group) -> set[int]:
        if group.ended:
            return set()
        return {STOP_LOSS} if group.stopped else set(group.legs)

    def _must_work(self, group: Group) -> set[int]:
        if group.ended:
            return set()
        if group.stopped:
            return {STOP_LOSS}
        needed = set(group.legs) - {ENTRY} if group.exit_qty else set(group.legs)
        return needed - {TAKE_PROFIT} if group.profit_done else needed

    def _judge_exit(self, position: int, group: Group, leg: int, order: KnownOrder | None) -> None:
        """Both exits are for what is left; the one that stands behind the other holds nothing."""
        assert order is not None
        if group.exit_qty and order.leaves != group.left:
            text = f"leg {leg} works for {order.leaves}, the group has {group.left} left"
            self._fail("groups", position, text)
        behind = not group.exit_qty or (
            leg == STOP_LOSS
            and TAKE_PROFIT in group.legs
            and not (group.stopped or group.profit_done)
        )
        if behind != (order.status == "held"):
            self._fail("siblings", position, f"leg {leg} is {order.status}")

    def _chain(self, position: int, field: str, said: object, due: object) -> None:
        self._findings.chain("groups", position, field, said, due)

    def _fail(self, check: str, position: int, message: str) -> None:
        self._findings.fail(check, position, message)
