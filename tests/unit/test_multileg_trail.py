"""The trail of a multi-leg order has its legs, whatever of it is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import pytest

from application.audit.trail import Trail, UnknownId, trail
from application.commands import PlaceMultiLeg, ReplaceOrder
from application.log.ports import Recorded, RequestKey
from domain.events import DomainEvent
from domain.terms import OrderType, Side, TimeInForce
from tests.model.desk_harness import DeskHarness, shares, wire


class Log:
    """A log in memory as the search for a trail reads it."""

    def __init__(self, events: Sequence[DomainEvent]) -> None:
        self.events = [Recorded(position, event) for position, event in enumerate(events, 1)]

    def last_position(self) -> int:
        return len(self.events)

    def read(self, after: int, limit: int) -> Sequence[Recorded]:
        return self.events[after : after + limit]

    def events_of(self, originator_id: UUID) -> Sequence[Recorded]:
        return [one for one in self.events if one.event.originator_id == originator_id]

    def keys_named(self, key: str) -> Sequence[RequestKey]:
        found = []
        for position, event in self.events:
            spent = event.spends()
            if spent is not None and spent.key == key:
                found.append(RequestKey(spent.account_id, key, spent.fingerprint, position))
        return found

    def of_account(self, account_id: UUID) -> Sequence[Recorded]:
        return [one for one in self.events if getattr(one.event, "account_id", None) == account_id]


def spread(account: UUID, name: str, ratio: int = 1) -> PlaceMultiLeg:
    """Buy A and sell B for two at most."""
    legs = (("A", int(Side.BUY), ratio, 0), ("B", int(Side.SELL), ratio, 0))
    kind, time = int(OrderType.LIMIT), int(TimeInForce.GTC)
    return PlaceMultiLeg(account, kind, time, shares(5), wire(2), name, legs)


@pytest.fixture
def desk() -> DeskHarness:
    """Two instruments that somebody quotes for three units."""
    desk = DeskHarness()
    maker = desk.account("maker")
    for symbol in "AB":
        desk.instrument(symbol)
        desk.hold(maker, 100, symbol)
    desk.place(maker, Side.SELL, 3, limit=101, symbol="A")
    desk.place(maker, Side.BUY, 3, limit=99, symbol="B")
    return desk


def kinds(found: Trail) -> set[str]:
    """The topics of a trail."""
    return {one.event.TOPIC for one in found.events}


def test_multileg_trail_is_the_same_by_every_name_of_it(desk: DeskHarness) -> None:
    """By its id, a leg's, a revision's and the client's: its own events, its legs' and the other
    sides of their trades.
    """
    taker = desk.account("taker")
    desk.hold(taker, 100, "B")
    parent: Any = desk.send(spread(taker, "mine")).strategy
    changed = desk.send(ReplaceOrder(taker, parent.order_id, "other", "other", qty=shares(4)))
    assert changed.result is not None
    log = Log(desk.log)

    by_id = trail(log, str(parent.order_id))

    assert "multi-leg order" == by_id.kind
    assert {"multileg.placed.v1", "multileg.executed.v1", "multileg.replaced.v1"} <= kinds(by_id)
    assert {"order.accepted.v1", "order.filled.v1", "position.traded.v1"} <= kinds(by_id)
    trades = {one.event.trade_id for one in by_id.events if one.event.TOPIC == "order.filled.v1"}  # type: ignore[attr-defined]
    for trade_id in trades:
        sides = [
            one
            for one in by_id.events
            if one.event.TOPIC == "order.filled.v1" and one.event.trade_id == trade_id  # type: ignore[attr-defined]
        ]
        assert 2 == len(sides)
    for name in (changed.result["revision_id"], "mine", "other"):
        assert by_id.events == trail(log, name).events, name


def test_multileg_trail_of_a_leg_tells_of_its_parent(desk: DeskHarness) -> None:
    """A leg's own events, and its parent's, which caused them."""
    taker = desk.account("taker")
    desk.hold(taker, 100, "B")
    parent: Any = desk.send(spread(taker, "mine")).strategy

    found = trail(Log(desk.log), str(parent.legs[0][0]))

    assert "order" == found.kind
    assert "multileg.executed.v1" in kinds(found)


def test_multileg_trail_of_a_refused_one_is_its_refusal(desk: DeskHarness) -> None:
    """Found by the id that it spent; there are no legs."""
    taker = desk.account("taker")
    desk.send(spread(taker, "bad", ratio=2))
    log = Log(desk.log)

    assert {"multileg.rejected.v1"} == kinds(trail(log, "bad"))
    with pytest.raises(UnknownId):
        trail(log, "good")
