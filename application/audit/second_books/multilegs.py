"""The books of multi-leg orders: their legs trade in ratio or not at all, and end with them."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from math import gcd
from uuid import UUID

from application.audit.second_books.findings import Findings
from application.audit.second_books.market import FIRST_LEG
from application.audit.second_books.money import MoneyBooks
from application.audit.second_books.multileg_records import FILLED, WORKING, LegsHeld, Parent
from application.audit.second_books.net_prices import (
    ONE,
    WIRE,
    LegFill,
    Traded,
    dearest,
    holds_between,
)
from application.audit.second_books.orders import OrderBooks
from application.audit.second_books.permits import Permits
from application.audit.second_books.protections import ProtectionBooks
from domain.events import (
    MultiLegCanceled,
    MultiLegEvent,
    MultiLegExecuted,
    MultiLegExpired,
    MultiLegPlaced,
    MultiLegRejected,
    MultiLegReplaced,
    OrderAccepted,
    OrderAdjusted,
    OrderFilled,
)

BUY = 1
MARKET, LIMIT = 1, 2
ADDED = 1
GROUP_REPLACED = 5
EXACT = 10**24
"""Dollars in events that say exactly what something cost."""
CHECK, PRICES = "multilegs", "net_prices"


class MultiLegBooks:
    """Multi-leg orders that are not over, by id; `end_command` judges those that were touched."""

    def __init__(
        self,
        findings: Findings,
        money: MoneyBooks,
        permits: Permits,
        protections: ProtectionBooks,
        orders: OrderBooks,
    ) -> None:
        self._findings = findings
        self._money = money
        self._permits = permits
        self._protections = protections
        self._orders = orders
        self.live: dict[UUID, Parent] = {}
        self._touched: dict[UUID, Parent] = {}
        self._ended: dict[UUID, Parent] = {}
        self._trades: dict[UUID, UUID] = {}
        self._held: dict[UUID, LegsHeld] = {}
        self.on_executed: Callable[[int, MultiLegExecuted, list[Traded]], None]
        """Who judges the units of sequential orders."""

    # The life of a multi-leg order

    def placed(self, position: int, event: MultiLegPlaced) -> None:
        """Take a new one in; its legs are judged when the command has ended."""
        identifier = event.originator_id
        if identifier in self.live or event.originator_version != 1:
            self._fail(position, f"multi-leg order {identifier} was there")
        parent = self.live[identifier] = self._touched[identifier] = Parent(event)
        ratios = [leg.ratio for leg in parent.legs]
        instruments = {leg.instrument_id for leg in parent.legs}
        sound = 2 <= len(instruments) == len(ratios) <= 4 and min(ratios) > 0
        if not sound or gcd(*ratios) != 1 or event.qty <= 0 or event.qty % ONE:
            self._fail(position, f"{event.qty} units of ratios {ratios} are no strategy")
        if event.order_type not in (MARKET, LIMIT) or (event.net_price and not parent.priced):
            self._fail(position, f"type {event.order_type} at {event.net_price}")

    def rejected(self, position: int, event: MultiLegRejected) -> None:
        """Judge a refused one: its whole life."""
        self._findings.looked[CHECK] += 1
        if event.originator_version != 1 or event.originator_id in self.live:
            self._fail(position, f"multi-leg order {event.originator_id} was there")

    def leg_accepted(self, position: int, event: OrderAccepted) -> None:
        """Judge a leg: an order that stands in no book, bound by the price of the whole."""
        if event.leg < FIRST_LEG:
            return
        bare = (event.order_type, event.armed, event.rests, event.working_price)
        self._findings.chain(CHECK, position, "the leg", bare, (MARKET, False, False, 0))
        if event.group_id not in self.live:
            self._fail(position, f"there is no multi-leg order {event.group_id}")
        opening = event.qty - event.hold_qty
        self._holds(event, event.side, opening, 0, event.hold)

    def leg_adjusted(self, position: int, event: OrderAdjusted) -> None:
        """Note what a leg holds under other terms of the whole."""
        order = self._orders.working.get(event.originator_id)
        if event.leg < FIRST_LEG or order is None:
            return
        if event.reason != GROUP_REPLACED:
            self._fail(position, f"leg {event.leg} is adjusted for reason {event.reason}")
        due = self._orders.reserve_due(order, event.leaves_after)
        self._findings.chain("hold_sizes", position, "reserves", event.hold_qty_after, due)
        opening = event.leaves_after - event.hold_qty_after
        if opening > order.leaves - order.hold_qty:
            self._permits.opens(position, event.account_id, order.side)
        self._holds(event, order.side, opening, order.hold, event.hold_after)

    def _holds(
        self, event: OrderAccepted | OrderAdjusted, side: int, opening: int, before: int, now: int
    ) -> None:
        account_id, instrument_id = event.account_id, event.instrument_id
        held = self._held.get(event.group_id)
        if held is None:
            # The first leg's hold is not booked yet.
            free, parent = self._permits.free(account_id), self.live.get(event.group_id)
            held = self._held[event.group_id] = LegsHeld(free, parent)
        if opening and not self._protections.is_priced(instrument_id, side):
            held.priced = False
        price = self._protections.alone(instrument_id, side)
        held.alone += self._permits.hold(account_id, instrument_id, side, opening, price)
        if opening:
            held.fees += self._permits.fees(account_id, instrument_id, opening, price)
        held.apart &= self._permits.stands_apart(account_id, instrument_id)
        held.buys &= side == BUY
        held.multiplier = max(held.multiplier, self._permits.multiplier(instrument_id))
        held.before, held.held = held.before + before, held.held + now

    def leg_filled(self, position: int, event: OrderFilled) -> None:
        """Note what a leg trades; an execution must count it in this command."""
        if event.leg < FIRST_LEG:
            return
        parent = self.live.get(event.group_id)
        place = event.leg - FIRST_LEG
        if parent is None or place >= len(parent.legs):
            self._fail(position, f"a leg of {event.group_id} trades, which is not there")
            return
        self._touched[event.group_id] = parent
        leg = parent.legs[place]
        if not leg.fills:
            leg.reach = self._protections.reach_of_leg(
                leg.instrument_id, leg.side, priced=parent.priced
            )
        beyond = event.price > leg.reach if leg.side == BUY else event.price < leg.reach
        if leg.reach and beyond:
            text = f"leg {place + 1} trades at {event.price}, it may reach {leg.reach}"
            self._findings.fail(PRICES, position, text)
        other = self._trades.pop(event.trade_id, None)
        if other is None:
            self._trades[event.trade_id] = event.group_id
        rests = event.liquidity == ADDED
        leg.fills.append(LegFill.of(event, other if rests else None))

    def executed(self, position: int, event: MultiLegExecuted) -> None:
        """Judge units that traded: all legs in ratio, at a net price within what was asked."""
        parent = self.of(position, event)
        if parent is None:
            return
        taken = [leg.take(event.qty * leg.ratio) for leg in parent.legs]
        for place, (leg, part) in enumerate(zip(parent.legs, taken, strict=True)):
            traded = sum(fill.qty for fill in part.fills)
            self._chain(position, f"leg {place + 1} traded", traded, event.qty * leg.ratio)
            if leg.fills and not parent.sequential:
                self._fail(position, f"leg {place + 1} has traded more than its ratio")
                leg.fills.clear()
        self.on_executed(position, event, taken)
        said = (event.filled_after, event.leaves_after, int(event.cost_after))
        due = (
            parent.filled + event.qty,
            parent.leaves - event.qty,
            parent.cost + int(event.cost),
        )
        self._chain(position, "filled, left and cost", said, due)
        if event.qty <= 0 or event.qty % ONE or event.leaves_after < 0:
            self._fail(position, f"{event.qty} of {parent.leaves} units traded")
        status = parent.status if event.leaves_after else FILLED
        self._chain(position, "status", event.status_after, status)
        self._priced(position, event, parent, taken)
        parent.filled, parent.leaves, parent.cost = said
        parent.status = event.status_after
        if parent.status == FILLED:
            self.over(event.originator_id, parent)

    def _priced(
        self, position: int, event: MultiLegExecuted, parent: Parent, taken: list[Traded]
    ) -> None:
        """Judge what an execution came to: its cost, every unit's net price, the constraints."""
        cost = sum((part.value for part in taken), Fraction())
        self._findings.chain(PRICES, position, "cost", int(event.cost), cost * EXACT)
        if parent.sequential or event.qty < ONE or not all(part.fills for part in taken):
            return
        limit = Fraction(parent.net_price, WIRE)
        most = dearest(taken, event.qty // ONE)
        if parent.priced and most > limit:
            text = f"a unit cost {most}, the limit is {limit}"
            self._findings.fail(PRICES, position, text)
        for number, one in enumerate(parent.constraints):
            self._findings.looked[PRICES] += 1
            if not holds_between(one, taken):
                self._findings.fail(PRICES, position, f"constraint {number + 1} does not hold")
        others = {fill.other for part in taken for fill in part.fills}
        if others != {None}:
            if len(others) > 1 or most != limit:
                text = f"met {others} at {most}, it rests at {limit}"
                self._findings.fail(PRICES, position, text)
            self._met(position, event.originator_id, parent, next(iter(others)))

    def _met(self, position: int, identifier: UUID, parent: Parent, other_id: UUID | None) -> None:
        """Judge one that rested and met another whole: the other side of it, and in its turn."""
        other = self._touched.get(other_id) if other_id is not None else None
        if other is None or {leg.opposite for leg in other.legs} != parent.strategy:
            self._fail(position, f"{other_id} wants no other side of {identifier}")
            return
        taker = self._money.account(other.account_id).owner
        for passed_id, one in self.live.items():
            ahead = one.sequence < parent.sequence and one.net_price == parent.net_price
            if not ahead or one.constraints or one.sequential or one.strategy != parent.strategy:
                continue
            if self._money.account(one.account_id).owner != taker:
                self._fail(position, f"{passed_id} stood before it at the same net price")

    def replaced(self, position: int, event: MultiLegReplaced) -> None:
        """Judge other terms of one: never fewer units than have traded."""
        parent = self.of(position, event)
        if parent is None:
            return
        said = (event.leaves_after, event.replaces)
        self._chain(position, "left", said, (event.qty - parent.filled, parent.revision_id))
        if parent.status != WORKING or event.leaves_after <= 0 or event.qty % ONE:
            self._fail(position, f"{event.qty} units, {parent.filled} have traded")
        if event.net_price and not parent.priced:
            self._fail(position, "an order at the market has got a price")
        kept = event.net_price == parent.net_price and event.qty <= parent.qty
        if (event.sequence == parent.sequence) != kept or event.sequence < parent.sequence:
            text = f"number {event.sequence} after {parent.sequence}"
            self._findings.fail("priority", position, text)
        self._permits.not_stopped(position, event.account_id)
        parent.qty, parent.leaves = event.qty, event.leaves_after
        parent.net_price, parent.sequence = event.net_price, event.sequence
        parent.revision_id = event.revision_id

    def canceled(self, position: int, event: MultiLegCanceled) -> None:
        """Judge an end before all units traded."""
        self._end(position, event, (event.canceled_qty, event.filled))

    def expired(self, position: int, event: MultiLegExpired) -> None:
        """Judge an end with the time of what is left."""
        self._end(position, event, (event.expired_qty, event.filled))

    def _end(self, position: int, event: MultiLegEvent, said: tuple[int, int]) -> None:
        parent = self.of(position, event)
        if parent is not None:
            self._chain(position, "left and filled", said, (parent.leaves, parent.filled))
            self.over(event.originator_id, parent)

    def over(self, identifier: UUID, parent: Parent) -> None:
        """Let one be over."""
        self._ended[identifier] = parent
        del self.live[identifier]

    def of(self, position: int, event: MultiLegEvent) -> Parent | None:
        """The order of an event that it must be there for."""
        parent = self.live.get(event.originator_id)
        if parent is None:
            self._fail(position, f"multi-leg order {event.originator_id} is not there any more")
            return None
        if parent.account_id != event.account_id:
            self._fail(position, "another account than before")
        self._touched[event.originator_id] = parent
        return parent

    # Judgement

    def end_command(self, position: int) -> None:
        """Judge the multi-leg orders that a command touched, and the legs of those."""
        orders = self._orders
        for group_id in orders.strategies_touched:
            if group_id in self.live:
                self._touched[group_id] = self.live[group_id]
            elif group_id not in self._ended:
                self._fail(position, f"an order is a leg of {group_id}, which is not there")
        for identifier, parent in self._touched.items():
            self._findings.looked[CHECK] += 1
            if not parent.accepted:
                self._judge_accepted(position, identifier, parent)
            self._judge_legs(position, identifier, parent, ended=identifier in self._ended)
        for identifier, held in self._held.items():
            self._findings.looked["hold_sizes"] += 1
            self._findings.looked["buying_power"] += 1
            whose = self._touched.get(identifier)
            is_margin = whose is not None and self._money.account(whose.account_id).is_margin
            due = held.due(is_margin=is_margin)
            least = due if held.apart and held.priced else 0
            if held.held < least or (held.priced and held.held > due):
                text = f"the legs of {identifier} hold {held.held}, alone {held.alone}"
                self._findings.fail("hold_sizes", position, text)
            if held.held - held.before > max(held.free, 0):
                text = f"the legs of {identifier} hold {held.held - held.before} more"
                self._findings.fail("buying_power", position, f"{text}, {held.free} is free")
        self._held.clear()
        if self._touched or orders.strategies_touched:
            self._touched.clear()
            self._ended.clear()
            self._trades.clear()
            orders.strategies_touched.clear()

    def _judge_accepted(self, position: int, identifier: UUID, parent: Parent) -> None:
        """Every leg was accepted in the command that took the whole, for its share of the units."""
        parent.accepted = True
        for place, leg in enumerate(parent.legs):
            event = self._orders.accepted_now.get(leg.order_id)
            if event is None:
                self._fail(position, f"leg {place + 1}, order {leg.order_id}, was not accepted")
                continue
            said = (
                event.group_id, event.leg, event.account_id, event.instrument_id, event.side,
                event.time_in_force, event.sequence - parent.sequence, event.qty,
            )  # fmt: skip
            due = (
                identifier, FIRST_LEG + place, parent.account_id, leg.instrument_id, leg.side,
                parent.time_in_force, place, parent.qty * leg.ratio,
            )  # fmt: skip
            self._chain(position, f"leg {place + 1}", said, due)

    def _judge_legs(self, position: int, identifier: UUID, parent: Parent, *, ended: bool) -> None:
        """No leg has traded alone, each works for what is left of the whole, and ends with it."""
        working = self._orders.working
        for place, leg in enumerate(parent.legs):
            if leg.fills and not parent.sequential:
                self._fail(position, f"leg {place + 1} of {identifier} has traded alone")
                leg.fills.clear()
            order = working.get(leg.order_id)
            if parent.sequential and not ended:
                continue
            left = order.leaves if order is not None else 0
            due = 0 if ended else parent.leaves * leg.ratio
            self._chain(position, f"leg {place + 1} works for", left, due)

    def _chain(self, position: int, field: str, said: object, due: object) -> None:
        self._findings.chain(CHECK, position, field, said, due)

    def _fail(self, position: int, message: str) -> None:
        self._findings.fail(CHECK, position, message)
