"""A desk with order groups, and what must hold of every group between two commands."""

from __future__ import annotations

from collections import defaultdict
from fractions import Fraction
from math import ceil
from typing import Any, NamedTuple
from uuid import UUID

from application.commands import PlaceGroup, Reply
from application.desk.desk import Desk
from application.desk.following import follow
from application.desk.state import dump, load
from application.log.ports import Recorded
from domain.decision import Decision
from domain.events import (
    DomainEvent,
    GroupEnded,
    GroupEntryFilled,
    GroupEvent,
    GroupPlaced,
    GroupResized,
    OrderAccepted,
    OrderCanceled,
    OrderEvent,
    OrderFilled,
    OrderRejected,
    OrderReplaced,
)
from domain.identifiers import HOUSE
from domain.terms import (
    AccountKind,
    CancelReason,
    Leg,
    OrderClass,
    OrderStatus,
    OrderType,
    Remainder,
    SelfTrade,
    Side,
    TimeInForce,
)
from tests.model.desk_harness import Amount, DeskHarness, shares, wire

LEFT_BARE = (
    CancelReason.IMMEDIATE_OR_CANCEL,
    CancelReason.COLLAR,
    CancelReason.PROTECTION,
    CancelReason.NO_LIQUIDITY,
)
"""Reasons that end an exit because the market was thin."""


class Legs(NamedTuple):
    """The ids of a group and of its legs, nil for a leg it lacks."""

    group: UUID
    entry: UUID
    take_profit: UUID
    stop_loss: UUID


class Tally:
    """One group as its events alone tell it."""

    def __init__(self, event: GroupPlaced) -> None:
        self.legs = {
            event.entry_id: Leg.ENTRY,
            event.take_profit_id: Leg.TAKE_PROFIT,
            event.stop_loss_id: Leg.STOP_LOSS,
        }
        self.legs.pop(HOUSE, None)
        self.order_class = event.order_class
        self.exit_qty = event.qty if event.entry_id == HOUSE else 0
        self.qty = event.qty
        self.bought = self.exited = 0
        self.ended = False


class GroupDesk(DeskHarness):
    """Every command also leaves each group whole: no leg without it, no orphan, no leg too many."""

    def __init__(self, *, checked: bool = True, restarts: bool = False) -> None:
        super().__init__(checked=checked)
        self.restarts = restarts
        self.tallies: dict[UUID, Tally] = {}
        self.member: dict[UUID, UUID] = {}

    # -- commands --------------------------------------------------------------------------

    def send(self, command: Any) -> Reply:
        """With `restarts`, every command meets a desk that has just come back from its log."""
        if self.restarts:
            self.restart()
        return super().send(command)

    def restart(self) -> None:
        """Forget the desk, and follow the log from its beginning, then through a snapshot."""
        desk = Desk()
        rows = [Recorded(position, event) for position, event in enumerate(self.log, 1)]
        follow(desk, rows)
        desk.trades_found = self.desk.trades_found
        done = desk.orders.ended.by_id
        self.desk = load(dump(desk))
        self.desk.trades_found, self.desk.orders.ended.by_id = desk.trades_found, done

    def group(
        self, account: UUID, order_class: OrderClass, side: Side, qty: Amount, **terms: Any
    ) -> Reply:
        """Place a group: `limit` and `entry_stop` of the entry, `profit`, `stop`, `stop_limit`."""
        limit, entry_stop = terms.get("limit"), terms.get("entry_stop")
        if entry_stop is None:
            kind = OrderType.MARKET if limit is None else OrderType.LIMIT
        else:
            kind = OrderType.STOP if limit is None else OrderType.STOP_LIMIT
        if order_class == OrderClass.OCO:
            kind = OrderType.LIMIT
        return self.send(
            PlaceGroup(
                account,
                terms.get("symbol", "X"),
                int(order_class),
                int(side),
                int(terms.get("kind", kind)),
                int(terms.get("tif", TimeInForce.GTC)),
                shares(qty),
                wire(limit),
                wire(entry_stop),
                terms.get("client") or f"g{self.number + 1}",
                wire(terms.get("profit")),
                wire(terms.get("stop")),
                wire(terms.get("stop_limit")),
                shares(terms.get("stop_qty", 0)),
                terms.get("expires_at", 0),
                int(terms.get("self_trade", SelfTrade.CANCEL_NEWEST)),
                terms.get("locate", False),
            )
        )

    def oco(
        self,
        account: UUID,
        side: Side,
        qty: Amount,
        profit: Amount | None,
        stop: Amount | None,
        **terms: Any,
    ) -> Reply:
        """Place an oco; `side` is that of its exits."""
        return self.group(account, OrderClass.OCO, side, qty, profit=profit, stop=stop, **terms)

    def bracket(
        self,
        account: UUID,
        side: Side,
        qty: Amount,
        profit: Amount | None,
        stop: Amount | None,
        **terms: Any,
    ) -> Reply:
        """Place a bracket; `side` is that of its entry."""
        return self.group(account, OrderClass.BRACKET, side, qty, profit=profit, stop=stop, **terms)

    def oto(self, account: UUID, side: Side, qty: Amount, **terms: Any) -> Reply:
        """Place an oto; `side` is that of its entry."""
        return self.group(account, OrderClass.OTO, side, qty, **terms)

    def legs(self, reply: Reply) -> Legs:
        """The ids of an accepted group."""
        assert reply.refusal is None, reply.refusal
        assert reply.order is not None
        ids = {view.leg: view.order_id for view in (reply.order, *reply.legs)}
        return Legs(
            reply.order.group_id,
            ids.get(Leg.ENTRY, HOUSE),
            ids.get(Leg.TAKE_PROFIT, HOUSE),
            ids.get(Leg.STOP_LOSS, HOUSE),
        )

    def margin_account(self, name: str, cash: Amount = 1_000_000) -> UUID:
        """A margin account with money in it."""
        return self.account(name, cash, kind=AccountKind.MARGIN)

    # -- what happened ---------------------------------------------------------------------

    def leaves(self, order_id: UUID) -> int:
        """What is left of an order, in whole shares."""
        left, odd = divmod(self.order(order_id).leaves, shares(1))
        assert not odd
        return left

    def status(self, order_id: UUID) -> str:
        """An order's status by name."""
        return OrderStatus(self.order(order_id).status).name.lower()

    def of(self, *ids: UUID) -> list[DomainEvent]:
        """The latest command's events of these aggregates, in order."""
        return [event for event in self.events if event.originator_id in ids]

    def names(self, legs: Legs) -> list[str]:
        """The latest command's events of a group and its legs, as (leg) topic, in order."""
        return [
            f"{Leg(event.leg).name.lower()} {event.TOPIC.rsplit('.', 1)[0]}"
            for event in self.of(*legs)
            if isinstance(event, OrderEvent | GroupEvent)
        ]

    # -- the second bookkeeper --------------------------------------------------------------

    def _keep(self, decision: Decision) -> None:
        for event in decision.events:
            self._tally(event)
        super()._keep(decision)

    def _tally(self, event: Any) -> None:
        identifier = event.originator_id
        if isinstance(event, GroupPlaced):
            tally = self.tallies[identifier] = Tally(event)
            self.member.update((order_id, identifier) for order_id in tally.legs)
            return
        if isinstance(event, GroupEvent):
            tally = self.tallies[identifier]
            assert not tally.ended, "a group lives on after its end"
            if isinstance(event, GroupEnded):
                tally.ended = True
                assert tally.exited == event.filled
            elif isinstance(event, GroupEntryFilled):
                tally.exit_qty = event.exit_qty_after
            elif isinstance(event, GroupResized):
                tally.qty, tally.exit_qty = event.qty_after, event.exit_qty_after
            return
        if not isinstance(event, OrderEvent) or isinstance(event, OrderRejected):
            return
        group_id = self.member.get(identifier, HOUSE)
        assert group_id == event.group_id, "an event does not say whose leg it is of"
        if group_id == HOUSE:
            assert not event.leg
            return
        tally = self.tallies[group_id]
        assert tally.legs[identifier] == event.leg
        if isinstance(event, OrderCanceled) and event.leg != Leg.ENTRY:
            terms = self.desk.markets.by_id[event.instrument_id.int].instrument
            rests = terms.remainder == Remainder.REST
            assert not (rests and event.reason in LEFT_BARE), "an exit has left its position bare"
        if isinstance(event, OrderFilled):
            assert not tally.ended, "a leg traded after the end of its group"
            if event.leg == Leg.ENTRY:
                tally.bought += event.qty
            else:
                tally.exited += event.qty

    def check(self) -> None:
        """Besides all else: groups and legs live and die together, and are of one size."""
        super().check()
        desk = self.desk
        alive = {identifier for identifier, tally in self.tallies.items() if not tally.ended}
        assert alive == {group.id for group in desk.orders.groups.values()}
        working: defaultdict[UUID, list[Any]] = defaultdict(list)
        for order in desk.orders.working.values():
            assert bool(order.leg) == (order.group_id != HOUSE)
            if order.leg:
                assert order.group_id in alive, "an orphan: a leg works without its group"
                working[order.group_id].append(order)
        for group in desk.orders.groups.values():
            group_id = group.id
            tally = self.tallies[group_id]
            assert working[group_id], "a group without a working leg"
            assert (tally.qty, tally.exit_qty, tally.exited, tally.bought) == (
                group.qty,
                group.exit_qty,
                group.filled,
                group.entry_filled,
            )
            assert tally.exited <= tally.exit_qty
            if tally.order_class != OrderClass.OCO:
                assert tally.exit_qty <= tally.bought
            self._check_legs(group, working[group_id])
        self.check_holds()

    def check_holds(self) -> None:
        """What was just placed or replaced holds the dearer leg; exits reserve what is there."""
        desk = self.desk
        for order in desk.orders.working.values():
            if order.hold_qty:
                held = desk.accounts.positions[order.account_id.int, order.instrument_id.int].qty
                assert (held > 0) == (order.side == Side.SELL), "an exit of nothing"
        traded = {event.originator_id for event in self.events if isinstance(event, OrderFilled)}
        asked = [e for e in self.events if isinstance(e, OrderAccepted | OrderReplaced)]
        for number in {event.group_id.int for event in asked} & set(desk.orders.groups):
            group = desk.orders.groups[number]
            parent = desk.orders.working.get(group.take_profit_id.int)
            if group.order_class != OrderClass.OCO or parent is None or parent.id in traded:
                continue
            legs = Legs(group.id, HOUSE, group.take_profit_id, group.stop_loss_id)
            opening = Fraction(parent.leaves - parent.hold_qty, shares(1))
            assert self.dearest_hold(legs, opening) == parent.hold

    def _check_legs(self, group: Any, orders: list[Any]) -> None:
        exits = [order for order in orders if order.leg != Leg.ENTRY]
        for order in exits:
            assert order.side == group.side
            assert order.armed == bool(group.exit_qty)
            if order.armed:
                assert order.leaves == group.exit_qty - group.filled
        live = [order for order in exits if not order.is_held]
        assert len(live) <= 1, "both exits may trade"
        if group.exit_qty:
            assert live, "exits that nobody offers"
            if group.order_class != OrderClass.OCO:
                assert (0, live[0].leaves) == (live[0].hold, live[0].hold_qty)

    def dearest_hold(self, legs: Legs, opening: Amount) -> int:
        """What the dearer exit would hold for so much that opens, reckoned with fractions."""
        costs = []
        for order_id in (legs.take_profit, legs.stop_loss):
            order = self.order(order_id)
            instrument = self.desk.markets.by_id[order.instrument_id.int].instrument
            account = self.desk.accounts.by_id[order.account_id.int]
            price = Fraction(order.working_price, 10**order.price_decimals)
            if account.is_margin:
                if order.side == Side.SELL:
                    mark = self.desk.markets.by_id[order.instrument_id.int].mark
                    price = max(price, Fraction(mark, 10**order.price_decimals))
                price = price * instrument.initial_margin_bps / 10_000
            # A cash account pays, and is rounded on all it pays: a cent for that.
            cent = int(bool(opening) and not account.is_margin)
            costs.append(ceil(price * Fraction(opening) * 100) + cent)
        return max(costs)


def group_desk(**terms: Any) -> GroupDesk:
    """One open instrument X; cash accounts `a` and `b`, a million and 1000 shares each."""
    desk = GroupDesk(restarts=terms.pop("restarts", False))
    desk.instrument(**terms)
    desk.a, desk.b = desk.account("a"), desk.account("b")
    for account in (desk.a, desk.b):
        desk.hold(account, 1000)
    return desk
