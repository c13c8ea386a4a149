"""Orders that were taken before they held a cent for rounding are judged by what was due then."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from application.deciding import checks
from application.desk.desk import Desk
from application.desk.following import follow
from application.log.ports import Recorded
from domain.events import DomainEvent, OrderAccepted, OrderFilled, TradeBooked
from domain.terms import Side
from tests.model.desk_harness import DeskHarness
from tests.model.group_desk import GroupDesk
from tests.model.judged_log import judged

BUY, SELL = Side.BUY, Side.SELL


class Unjudged:
    """Second books of a harness that judge nothing: they know the rules of today alone."""

    def take(self, event: DomainEvent) -> None:
        """Pass an event over."""


def older(event: DomainEvent) -> DomainEvent:
    """An event of a trade as it was written when it was due as it was posted."""
    if isinstance(event, OrderFilled):
        return replace(event, exact=False)
    if isinstance(event, TradeBooked):
        return replace(event, due=0, traded_value="0", commission="0", traded_value_after="0")
    return event


def trading(venue: GroupDesk) -> None:
    """Orders that wait, trade in part and whole, are replaced and end; a bracket and an oco."""
    venue.place(venue.b, SELL, 30, 100)
    venue.place(venue.a, BUY, 10, 100)
    resting = venue.place(venue.a, BUY, 10, 99).order
    assert resting is not None
    venue.place(venue.b, SELL, 4, 99)
    venue.replace(venue.a, resting.order_id, qty=12)
    venue.replace(venue.a, resting.order_id, limit=98)
    venue.legs(venue.bracket(venue.a, BUY, 5, 120, 80, limit=100))
    venue.cancel(venue.a, resting.order_id)
    venue.place(venue.a, BUY, 7, 97)


@pytest.fixture
def venue(monkeypatch: pytest.MonkeyPatch) -> GroupDesk:
    """A market with a log that a program wrote which held no cent, and the desk it leads to."""
    venue = GroupDesk(checked=False)
    venue.books = Unjudged()
    venue.instrument()
    venue.a, venue.b = venue.account("a"), venue.account("b")
    venue.hold(venue.b, 1_000)
    with monkeypatch.context() as before:
        before.setattr(checks, "ROUNDING", 0)
        trading(venue)
    venue.log[:] = [older(event) for event in venue.log]
    venue.desk, venue.follower = Desk(), Desk()
    for desk in (venue.desk, venue.follower):
        follow(desk, [Recorded(n, event) for n, event in enumerate(venue.log, 1)])
    return venue


def found(venue: DeskHarness, damage: Callable[[DomainEvent], DomainEvent]) -> dict[str, int]:
    """What the audit names in the log with some events changed, by check."""
    failed = judged([damage(event) for event in venue.log]).failed
    return {name: count for name, count in failed.items() if count}


def as_it_is(event: DomainEvent) -> DomainEvent:
    """No damage."""
    return event


def test_a_log_from_before_the_cent_is_sound(venue: GroupDesk) -> None:
    """As it was written, and with all that was done since."""
    assert {} == found(venue, as_it_is)
    resting = [order for order in venue.desk.orders.working.values() if not order.leg]
    venue.replace(venue.a, resting[-1].id, qty=9)
    trading(venue)
    assert {} == found(venue, as_it_is)


@pytest.mark.parametrize("by", [1, -1, -2])
def test_another_hold_in_a_log_from_before_the_cent_is_named(venue: GroupDesk, by: int) -> None:
    """A cent too much or too little of one order, where the others show no cent."""
    last = [event for event in venue.log if isinstance(event, OrderAccepted) and event.hold][-1]

    def damage(event: DomainEvent) -> DomainEvent:
        return replace(last, hold=last.hold + by) if event is last else event

    assert found(venue, damage)


def test_an_order_without_the_cent_after_others_had_it_is_named(venue: GroupDesk) -> None:
    """The age is over with the first order that holds a cent, and with the first exact fill."""
    before = len(venue.log)
    trading(venue)
    newer = [e for e in venue.log[before:] if isinstance(e, OrderAccepted) and e.hold and not e.leg]

    def damage(event: DomainEvent) -> DomainEvent:
        return replace(newer[-1], hold=newer[-1].hold - 1) if event is newer[-1] else event

    assert "hold_sizes" in found(venue, damage)


def test_a_cent_that_is_missing_in_a_log_of_today_is_named() -> None:
    """Where the first fill carries its exact value no order is older."""
    venue = GroupDesk()
    venue.instrument()
    venue.a, venue.b = venue.account("a"), venue.account("b")
    venue.hold(venue.b, 1_000)
    trading(venue)
    last = [event for event in venue.log if isinstance(event, OrderAccepted) and event.hold][-1]

    def damage(event: DomainEvent) -> DomainEvent:
        return replace(last, hold=last.hold - 1) if event is last else event

    assert {} == found(venue, as_it_is)
    assert "hold_sizes" in found(venue, damage)
