"""Logs from before accounts carried their exact sums: they replay as they were, and are judged."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from application.commands import BustTrade, CorrectTrade
from application.desk.desk import Desk
from application.desk.following import follow
from application.log.ports import Recorded
from domain.events import DomainEvent, OrderAccepted, OrderFilled, PositionTraded, TradeBooked
from domain.identifiers import HOUSE
from domain.order import Order
from domain.terms import Ledger, Side
from tests.model.desk_harness import DeskHarness, shares, wire
from tests.model.judged_log import judged
from tests.model.settling_desk import MONDAY, WEDNESDAY, SettlingDesk

BUY, SELL = Side.BUY, Side.SELL
_NOTHING = {"notional": 0, "unsettled_after": 0, "receivable_after": 0, "traded_value_after": "0"}
_AS_POSTED = {"due": 0, "traded_value": "0", "commission": "0"}


def older(event: DomainEvent) -> DomainEvent:
    """An event of a trade of less than half a cent as it was once written: all of it is zero."""
    if isinstance(event, OrderFilled):
        return replace(event, exact=False)
    if isinstance(event, TradeBooked):
        clearing = ((event.originator_id, 6 if event.side == BUY else 2, 0), (HOUSE, 3, 0))
        return replace(event, **_NOTHING, **_AS_POSTED, postings=clearing)
    if isinstance(event, PositionTraded):
        return replace(event, cost_after=0, cost_rest_after="0", realized_after=0, realized=0,
                       realized_rest_after="0", rounded=0)  # fmt: skip
    return event


@pytest.fixture
def venue() -> DeskHarness:
    """Four fills of 0.0049 dollars in an older log, and the desk that it is replayed to."""
    venue = DeskHarness(checked=False)
    venue.instrument(
        lot=shares("0.01"), tick=wire("0.0001"), reference_price=wire("0.5"), collar_bps=9_000
    )
    venue.a, venue.b = venue.account("a", 1), venue.account("b", 1)
    venue.hold(venue.b, 1)
    for _ in range(4):
        venue.place(venue.b, SELL, "0.01", "0.49")
        venue.place(venue.a, BUY, "0.01", "0.49")
    venue.log[:] = [older(event) for event in venue.log]
    venue.desk, venue.follower = Desk(), Desk()
    for desk in (venue.desk, venue.follower):
        follow(desk, [Recorded(n, event) for n, event in enumerate(venue.log, 1)])
    return venue


def test_fill_value_of_an_older_log_is_replayed_as_it_was_and_named_as_wrong(venue):
    """Four times nothing for 0.0196 dollars: two fills of each side should have posted a cent."""
    accounts = venue.desk.accounts.by_id
    assert [0, 0] == [accounts[one.int].unsettled for one in (venue.a, venue.b)]

    findings = judged(venue.log)

    assert {"fill_values": 4} == {name: n for name, n in findings.failed.items() if n}
    assert all("what is posted is 0" in one.message for one in findings.violations())


@pytest.mark.parametrize("corrected", [False, True])
def test_fill_value_of_an_older_fill_goes_back_as_it_was_posted(venue, corrected):
    """Its bust gives nothing for nothing; corrected, it is worth its new price exactly."""
    fills = [event for event in venue.log if isinstance(event, OrderFilled)][:2]
    trade_id = fills[0].trade_id
    for fill in fills:
        venue.desk.orders.ended.by_id.setdefault(fill.originator_id.int, ended(venue, fill))
    venue.desk.trades_found[trade_id] = (fills[0], fills[1])

    if corrected:
        venue.ok(CorrectTrade(trade_id, 1, wire("0.8"), "error"))
    else:
        venue.ok(BustTrade(trade_id, 1, "error"))

    accounts = venue.desk.accounts.by_id
    expected = [-1, 1] if corrected else [0, 0]
    assert expected == [accounts[one.int].unsettled for one in (venue.a, venue.b)]
    assert {"fill_values"} == {name for name, n in judged(venue.log).failed.items() if n}


def test_fill_value_counts_from_the_first_fill_that_is_carried(venue):
    """What older fills rounded away is gone; what comes now is exact, and both books agree."""
    for _ in range(3):
        venue.place(venue.b, SELL, "0.01", "0.51")
        venue.place(venue.a, BUY, "0.01", "0.51")

    accounts = venue.desk.accounts.by_id
    assert [-2, 2] == [accounts[one.int].unsettled for one in (venue.a, venue.b)]
    assert 0 == venue.ledger[HOUSE, int(Ledger.ROUNDING)]
    assert {"fill_values": 4} == {name: n for name, n in judged(venue.log).failed.items() if n}


def ended(venue: DeskHarness, fill: OrderFilled) -> Order:
    """The order of a fill, as a look-up in the log brings it."""
    order = None
    for event in venue.log:
        if event.originator_id == fill.originator_id:
            assert order is not None or isinstance(event, OrderAccepted)
            order = event.mutate(order)
    assert order is not None
    return order


def test_fill_value_of_trades_that_are_due_as_posted_settles_in_those_cents():
    """A log from when obligations were of posted cents goes on: what was due then settles as it
    was posted, beside what is due exactly, and nothing is left over.
    """
    venue = SettlingDesk(checked=False)
    venue.instrument(
        opened=False,
        lot=shares("0.01"),
        tick=wire("0.0001"),
        reference_price=wire("0.5"),
        collar_bps=9_000,
    )
    a, b = venue.account("a", 1), venue.account("b", 1)
    venue.hold(b, 1)
    venue.day(MONDAY, WEDNESDAY)
    for _ in range(7):
        venue.trade(a, b, "0.01", "0.49")
    venue.log[:] = [
        replace(event, **_AS_POSTED) if isinstance(event, TradeBooked) else event
        for event in venue.log
    ]
    venue.desk, venue.follower = Desk(), Desk()
    for desk in (venue.desk, venue.follower):
        follow(desk, [Recorded(n, event) for n, event in enumerate(venue.log, 1)])
    assert (100, 0, 3) == venue.money(a)

    for _ in range(4):
        venue.trade(a, b, "0.01", "0.49")

    assert (100, 0, 5) == venue.money(a)
    assert [] == venue.short(WEDNESDAY)
    assert [(95, 0, 0), (105, 0, 0)] == [venue.money(one) for one in (a, b)]
    assert {} == {name: n for name, n in judged(venue.log).failed.items() if n}
