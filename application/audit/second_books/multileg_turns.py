"""The books of sequential orders: legs follow each other in ratio, and what is ahead is unwound."""

from __future__ import annotations

from fractions import Fraction
from uuid import UUID

from application.audit.second_books.findings import Findings
from application.audit.second_books.market import FIRST_LEG
from application.audit.second_books.multileg_records import UNWINDING, WORKING, Parent
from application.audit.second_books.multilegs import CHECK, EXACT, PRICES, MultiLegBooks
from application.audit.second_books.net_prices import ONE, WIRE, LegFill, Traded, holds_between
from domain.events import (
    MultiLegClosed,
    MultiLegExecuted,
    MultiLegTurned,
    MultiLegUnwinding,
    MultiLegUnwound,
    OrderFillBusted,
    OrderFillCorrected,
    OrderFilled,
)

SECOND = 1_000_000
FOK = 4


class TurnBooks:
    """What orders do whose legs trade one after the other; `end_command` judges where they stand.

    Their life beside that is in the books of all multi-leg orders.
    """

    def __init__(self, findings: Findings, multilegs: MultiLegBooks) -> None:
        self._findings = findings
        self._multilegs = multilegs
        self._touched: dict[UUID, Parent] = {}
        self._closing: dict[UUID, list[OrderFilled]] = {}
        self._unwinding: set[UUID] = set()

    def filled(self, position: int, event: OrderFilled) -> None:
        """Note what a leg trades, or an order that may close one."""
        if event.leg >= FIRST_LEG:
            self._note(event.group_id)
        elif self._unwinding:
            self._closing.setdefault(event.originator_id, []).append(event)

    def revised(self, position: int, event: OrderFillBusted | OrderFillCorrected) -> None:
        """Take a trade that no unit counts out of its leg, or give it its other price."""
        parent = self._note(event.group_id) if event.leg >= FIRST_LEG else None
        if parent is None:
            return
        leg = parent.legs[event.leg - FIRST_LEG]
        for place, fill in enumerate(leg.fills):
            if fill.trade_id != event.trade_id:
                continue
            if isinstance(event, OrderFillBusted):
                del leg.fills[place]
            else:
                price = Fraction(event.price, 10**event.price_decimals)
                leg.fills[place] = fill._replace(price=price)
            parent.revised = True
            break

    def turned(self, position: int, event: MultiLegTurned) -> None:
        """Judge whose turn it is, and until when."""
        parent = self._multilegs.of(position, event)
        if parent is None:
            return
        self._touched[event.originator_id] = parent
        units = _units(parent)
        place = event.leg - FIRST_LEG
        behind = [at for at, each in enumerate(units) if each < units[0]]
        if parent.status != WORKING or not parent.sequential or behind[:1] != [place]:
            self._fail(position, f"it is leg {place + 1}'s turn, {units} units have traded")
        due = (units[0] * ONE, event.at + parent.leg_seconds * SECOND)
        self._chain(position, "units and time of a turn", (event.qty, event.due_at), due)
        parent.due_at = event.due_at

    def executed(self, position: int, event: MultiLegExecuted, taken: list[Traded]) -> None:
        """Judge units that legs have completed one after the other."""
        parent = self._multilegs.live.get(event.originator_id)
        if parent is None or not parent.sequential:
            return
        self._touched[event.originator_id] = parent
        parent.due_at = 0
        for leg in parent.legs:
            leg.reach = 0
        if parent.status != WORKING or parent.revised or not all(each.fills for each in taken):
            return
        self._findings.looked[PRICES] += 1
        largest = max(fill.multiplier for each in taken for fill in each.fills)
        cost = Fraction(int(event.cost), EXACT)
        most = Fraction(parent.net_price, WIRE) * largest * event.qty / ONE
        if parent.priced and cost > most:
            text = f"{event.qty / ONE} units cost {cost}, the limit is {most}"
            self._findings.fail(PRICES, position, text)
        for number, one in enumerate(parent.constraints):
            if not holds_between(one, taken):
                self._findings.fail(PRICES, position, f"constraint {number + 1} does not hold")

    def unwinding(self, position: int, event: MultiLegUnwinding) -> None:
        """Judge the begin of an unwinding: a leg has come less far than the first one."""
        parent = self._multilegs.of(position, event)
        if parent is None:
            return
        self._touched[event.originator_id] = parent
        units = _units(parent)
        fewest = min(units)
        if (
            parent.status != WORKING
            or not parent.sequential
            or not any(leg.fills for leg in parent.legs)
        ):
            self._fail(position, f"nothing of {event.originator_id} is ahead")
        self._chain(position, "leg", event.leg - FIRST_LEG, units.index(fewest))
        whole = 0 if parent.time_in_force == FOK else fewest
        left = parent.leaves - whole * ONE
        self._chain(position, "units given up", event.canceled_qty, left)
        self._unwinding.add(event.originator_id)
        parent.status, parent.due_at, parent.given_up = UNWINDING, 0, event.canceled_qty

    def closed(self, position: int, event: MultiLegClosed) -> None:
        """Judge what an order has closed of a leg: it has traded that, and costs what it says."""
        parent = self._multilegs.of(position, event)
        if parent is None:
            return
        self._touched[event.originator_id] = parent
        leg = parent.legs[event.leg - FIRST_LEG]
        trades = self._closing.pop(event.order_id, [])
        said = {(each.account_id, each.instrument_id, each.side) for each in trades}
        due = {(parent.account_id, leg.instrument_id, leg.opposite[1])}
        self._chain(position, "whose trades close it", said, due)
        self._chain(position, "closed", event.qty, sum(each.qty for each in trades))
        back = Traded(-leg.signed, 1, [LegFill.of(each, None) for each in trades])
        opened = leg.take(event.qty)
        if sum(fill.qty for fill in opened.fills) != event.qty:
            self._fail(position, f"leg {event.leg} was not so far ahead")
        cost = (back.value + opened.value) * EXACT
        self._findings.chain(PRICES, position, "cost of closing", int(event.cost), cost)
        parent.closing_cost += int(event.cost)
        self._chain(position, "cost so far", int(event.cost_after), parent.closing_cost)

    def unwound(self, position: int, event: MultiLegUnwound) -> None:
        """Judge the end of an unwinding: what it cost, and what could not be closed."""
        parent = self._multilegs.of(position, event)
        if parent is None:
            return
        left = sum(fill.qty for leg in parent.legs for fill in leg.fills)
        said = (event.filled, int(event.cost), event.open_qty)
        self._chain(
            position, "filled, cost, open", said, (parent.filled, parent.closing_cost, left)
        )
        if parent.status != UNWINDING:
            self._fail(position, f"{event.originator_id} was not being unwound")
        for leg in parent.legs:
            leg.fills.clear()
        self._unwinding.discard(event.originator_id)
        self._multilegs.over(event.originator_id, parent)

    def end_command(self, position: int) -> None:
        """No leg has come further than the one before it, and each has what it needs to follow."""
        for identifier, parent in self._touched.items():
            ended = identifier not in self._multilegs.live
            if ended and any(leg.fills for leg in parent.legs):
                self._fail(position, f"{identifier} has ended, and a leg is ahead")
            if parent.status == WORKING and not ended:
                units = _units(parent)
                if units != sorted(units, reverse=True):
                    self._fail(position, f"legs of {identifier} have come {units} units far")
                if any(units) and not parent.due_at:
                    self._fail(position, f"a leg of {identifier} is ahead, and no other's turn")
            elif parent.status == UNWINDING and parent.given_up != parent.leaves:
                self._fail(position, f"{identifier} gives up {parent.given_up} of {parent.leaves}")
            for leg in parent.legs:
                leg.reach = 0
        self._touched.clear()
        self._closing.clear()

    def _note(self, group_id: UUID) -> Parent | None:
        parent = self._multilegs.live.get(group_id)
        if parent is None or not parent.sequential:
            return None
        self._touched[group_id] = parent
        return parent

    def _chain(self, position: int, field: str, said: object, due: object) -> None:
        self._findings.chain(CHECK, position, field, said, due)

    def _fail(self, position: int, message: str) -> None:
        self._findings.fail(CHECK, position, message)


def _units(parent: Parent) -> list[int]:
    """How many whole units each leg has traded that none counts yet."""
    return [sum(fill.qty for fill in leg.fills) // (leg.ratio * ONE) for leg in parent.legs]
