"""The made-up flow: decided by its seed, and of everything that a venue must stand."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import Any
from uuid import UUID

from application.commands import PlaceGroup, PlaceOrder
from application.log.ports import Recorded
from application.rehearsal.simulated_day import cast
from application.rehearsal.simulated_day.cast import LISTINGS, ROLES
from application.rehearsal.simulated_day.flow import Flow
from application.rehearsal.simulated_day.seen import Seen
from application.requests import Command
from domain import events as e
from domain.commission import Kind
from domain.events import DomainEvent
from domain.identifiers import HOUSE
from domain.money import QTY_UNIT
from domain.terms import AccountKind, GroupEnd, Leg, OrderClass, OrderType, Side, TimeInForce

LOTS = {each.symbol: each.lot for each in LISTINGS}
ANN, ACME, GROUP = UUID(int=101), UUID(int=201), UUID(int=301)


def _venue() -> Seen:
    """All accounts, known by name."""
    seen = Seen()
    for number, role in enumerate(ROLES, 1):
        seen.account_named[role.name] = UUID(int=number)
        if role.kind == AccountKind.MARGIN:
            seen.margin.add(UUID(int=number))
    return seen


def _flow(seed: int, count: int = 3_000) -> list[Command]:
    flow = Flow(seed, _venue())
    flow.at = cast.OPENS_AT
    return [flow.next() for _ in range(count)]


def test_equal_seeds_give_equal_commands() -> None:
    """The same seed and the same events ask for the same; another seed for something else."""
    assert _flow(7) == _flow(7)
    assert _flow(7) != _flow(8)


def test_flow_has_every_kind_of_order_and_group() -> None:
    """No type, time in force or class of group is left out."""
    made = _flow(7)
    orders = [command for command in made if isinstance(command, PlaceOrder)]
    groups = [command for command in made if isinstance(command, PlaceGroup)]

    assert set(map(int, OrderType)) == {order.order_type for order in orders}
    assert set(map(int, TimeInForce)) == {order.time_in_force for order in orders}
    assert {1, 2, 3} == {group.order_class for group in groups}
    assert set(LOTS) == {order.symbol for order in orders}


def test_flow_trades_odd_lots_and_decimal_fractions_on_the_lot() -> None:
    """Every quantity is a multiple of the lot; shares come in odd lots, others in fractions."""
    orders = [c for c in _flow(7) if isinstance(c, PlaceOrder)]
    sizes = [(c.symbol, c.qty) for c in orders if not c.notional]

    assert 10 < len(orders) - len(sizes)
    assert all(qty > 0 and qty % LOTS[symbol] == 0 for symbol, qty in sizes)
    acme = Counter(qty % (100 * QTY_UNIT) == 0 for symbol, qty in sizes if symbol == "ACME")
    assert acme[True] > 10 < acme[False]
    assert any(qty % QTY_UNIT for symbol, qty in sizes if symbol == "FRAC")
    assert any(qty % 10 for symbol, qty in sizes if symbol == "COIN")


def test_cast_has_every_kind_of_account_and_commission() -> None:
    """Cash and margin, each with every schedule; some may use what has not settled."""
    kinds = {(role.kind, role.schedule.kind) for role in ROLES}

    assert len(ROLES) > 20
    assert {(a, int(k)) for a in AccountKind for k in Kind} <= kinds
    assert any(role.use_unsettled for role in ROLES)
    assert any(len(role.schedule.tiers) > 2 for role in ROLES)
    assert any(rate < 0 for role in ROLES for tier in role.schedule.tiers for rate in tier[1:])
    assert all(a < b for a, b in pairwise(cast.RUN_DATES))


class Told:
    """Events of one group, as they would be read."""

    def __init__(self) -> None:
        self.seen = Seen()
        self._number = 0
        self.say(e.InstrumentListed, ACME, "ACME", "", "", "", 4, 1, 1, 1, 1, 0, 0, 0, 0)

    def say(self, kind: type[DomainEvent], originator: UUID, *values: Any) -> None:
        self._number += 1
        head = (originator, self._number, 0, 0, "", "", UUID(int=self._number), 0)
        self.seen.take([Recorded(self._number, kind(*head, *values))])

    def group(self) -> None:
        """An oco of two legs."""
        legs = (HOUSE, UUID(int=1), UUID(int=2))
        terms = ("ACME", int(OrderClass.OCO), int(Side.SELL), 10, *legs, "g", b"", 4, 9, 5, 0)
        self.say(e.GroupPlaced, GROUP, ANN, ACME, 0, *terms)
        for number, leg in ((1, Leg.TAKE_PROFIT), (2, Leg.STOP_LOSS)):
            order: list[Any] = [int(Side.SELL), 2, 1, 10, 9, 0, 4, 0, False, 1, f"o{number}", b""]
            order += [HOUSE, number, 9, 0, 10, False, 0, True, GROUP, int(leg)]
            self.say(e.OrderAccepted, UUID(int=number), ANN, ACME, "ACME", *order)

    def cancel(self, number: int) -> None:
        self.say(e.OrderCanceled, UUID(int=number), ANN, ACME, "", b"", 1, 2, 10, 0)

    def end(self) -> None:
        self.say(e.GroupEnded, GROUP, ANN, ACME, 0, int(GroupEnd.CANCELED), 0)


def test_exit_that_outlives_its_group_is_an_orphan() -> None:
    """Legs of a live group are none; a leg that still works when its group is over is one."""
    told = Told()
    told.group()
    assert 0 == told.seen.orphans

    told.cancel(1)
    told.end()

    assert 1 == told.seen.orphans


def test_live_group_without_a_working_leg_is_an_orphan() -> None:
    """When all legs are gone the group must be over too."""
    told = Told()
    told.group()
    told.cancel(1)
    told.cancel(2)
    assert 1 == told.seen.orphans

    told.end()

    assert 0 == told.seen.orphans
