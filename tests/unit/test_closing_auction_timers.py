"""The closing auction as timers hold it: at the hour, after a restart, and before the day's end."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from domain.events import AccountDayClosed, InstrumentClosing, OrderFilled, PositionMarked
from domain.identifiers import instant_of
from domain.terms import CancelReason, OrderStatus, Side, TimeInForce
from tests.model.desk_harness import DeskHarness, code, shares
from tests.model.timed_desk import TimedDesk, kinds

CLS, OPG, DAY, GTC = TimeInForce.CLS, TimeInForce.OPG, TimeInForce.DAY, TimeInForce.GTC
MONDAY = 20261130


def desk_on(calendar: str, *begins: int) -> TimedDesk:
    """X on a calendar; `a` has cash, `b` has shares as well."""
    desk = TimedDesk()
    desk.at = instant_of(datetime(*begins, tzinfo=UTC))  # type: ignore[arg-type]
    desk.instrument(opened=False, calendar=calendar)
    desk.a, desk.b = desk.account("a"), desk.account("b")
    desk.hold(desk.b, 1000)
    desk.look()
    return desk


def crossing(desk: DeskHarness, tif: TimeInForce) -> None:
    """A purchase and a sale for an auction, of which three trade at 103."""
    assert "" == code(desk.place(desk.a, Side.BUY, 5, 103, tif=tif, client="buy"))
    assert "" == code(desk.place(desk.b, Side.SELL, 3, 103, tif=tif, client="sell"))


@pytest.mark.parametrize(
    ("looks", "late"),
    [((2026, 11, 30, 21), False), ((2026, 11, 30, 23), True), ((2026, 12, 1, 9), True)],
    ids=["at the hour", "two hours later", "next morning"],
)
def test_closing_auction_is_held_with_the_close_however_late_that_is_looked_at(looks, late):
    """Also by timers that have just started: nothing but the log tells what is due."""
    venue = desk_on("XNYS", 2026, 11, 30, 15)
    crossing(venue, CLS)
    assert [] == venue.at_utc(2026, 11, 30, 20, 59)
    if late:
        venue.restart()
    assert "CloseInstrument" == kinds(venue.at_utc(*looks))[0]

    fills = [event for event in venue.log if isinstance(event, OrderFilled)]
    assert [(shares(3), 103_0000, MONDAY)] * 2 == [
        (fill.qty, fill.price, fill.session_date) for fill in fills
    ]
    assert 1 == sum(isinstance(event, InstrumentClosing) for event in venue.log)
    marks = [event for event in venue.log if isinstance(event, PositionMarked)]
    assert {(MONDAY, 103_0000)} == {(mark.session_date, mark.mark) for mark in marks}
    assert {MONDAY} == {e.session_date for e in venue.log if isinstance(e, AccountDayClosed)}
    before = len(venue.log)
    venue.look()
    assert before == len(venue.log)


def test_orders_for_both_auctions_of_one_night_trade_in_their_own():
    """What is sent in the evening is for the next morning, or the next evening."""
    venue = desk_on("XNYS", 2026, 11, 30, 15)
    venue.at_utc(2026, 11, 30, 22)
    crossing(venue, OPG)
    late = venue.place(venue.a, Side.BUY, 2, 104, tif=CLS, client="late")
    venue.at_utc(2026, 12, 1, 15)
    assert [shares(3)] * 2 == [e.qty for e in venue.log if isinstance(e, OrderFilled)]
    assert OrderStatus.NEW == venue.order(late.order.order_id).status
    venue.at_utc(2026, 12, 1, 21)
    order = venue.order(late.order.order_id)
    assert (OrderStatus.CANCELED, CancelReason.CLOSING_AUCTION) == (order.status, order.end_reason)


def test_around_the_clock_each_day_ends_with_an_auction():
    """At midnight, before the next day begins."""
    venue = desk_on("24/7", 2026, 11, 30, 15)
    crossing(venue, CLS)
    sent = kinds(venue.at_utc(2026, 12, 1))
    assert ["CloseInstrument", "OpenInstrument"] == [
        name for name in sent if name in ("CloseInstrument", "OpenInstrument")
    ]
    fills = [event for event in venue.log if isinstance(event, OrderFilled)]
    assert {MONDAY} == {fill.session_date for fill in fills}
