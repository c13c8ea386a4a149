"""What time asks of the venue, on a clock that a test sets."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from application.commands import (
    CloseDay,
    CloseInstrument,
    Deposit,
    ExpireOrders,
    ListInstrument,
    OpenAccount,
    OpenInstrument,
    PlaceOrder,
    Refusal,
    Reply,
)
from application.deciding.handlers import HANDLERS
from application.deciding.step import Step
from application.desk.desk import Desk
from application.ports import UnknownCalendar
from application.requests import Command
from application.writer.timers import Timers
from domain.errors import Rejection
from domain.identifiers import Instant, instant_of
from domain.terms import Phase, TimeInForce
from infrastructure.calendar_source import Calendars

DAY = 86_400_000_000
LOT = 10**8
MONDAY = instant_of(datetime(2026, 11, 23, tzinfo=UTC))


class SetClock:
    """A clock that stands where it is put."""

    def __init__(self, at: Instant) -> None:
        self.at = at

    def now(self) -> Instant:
        return self.at


class Venue:
    """A desk whose commands are decided at once, at the clock's time, and the timers on it."""

    def __init__(self, at: Instant = MONDAY + DAY // 2) -> None:
        self.desk = Desk()
        self.clock = SetClock(at)
        self.sent: list[Command] = []
        self.said: list[str] = []
        self.refusing: Refusal | None = None
        self.calendar = Calendars()
        self.restart()
        self.account = UUID(self.decide(OpenAccount("a", "", 1)).result["account_id"])
        self.decide(Deposit(self.account, 10**12, "d"))

    def restart(self) -> None:
        """Timers that know nothing but the desk."""
        self.timers = Timers(
            lambda: self.desk, self.send, self.calendar, self.clock, say=self.said.append
        )

    def decide(self, command: Command) -> Any:
        desk = self.desk
        at = max(self.clock.at, desk.last_at)
        step = Step(desk, at, desk.command + 1, "venue", "timer")
        try:
            reply = HANDLERS[type(command)](step, command)
        except Rejection as refusal:
            return Reply(0, Refusal(refusal.code, refusal.message, {}))
        if step.events:
            desk.moved_to(desk.position + len(step.events), at, desk.command + 1)
        return reply or Reply(desk.position)

    async def send(self, command: Command) -> Reply:
        self.sent.append(command)
        if self.refusing is not None:
            return Reply(0, self.refusing)
        reply: Reply = self.decide(command)
        return reply

    def look(self) -> list[Command]:
        """What one look sends, but for the ends of days."""
        self.sent.clear()
        asyncio.run(self.timers.look())
        return [command for command in self.sent if not isinstance(command, CloseDay)]

    def list(self, symbol: str, calendar: str = "24/7") -> None:
        terms = (symbol, "", "us_equity", calendar, 4, 10**7, LOT)
        self.decide(ListInstrument(*terms, reference_price=100 * 10**9))

    def place(
        self,
        symbol: str,
        key: str,
        time_in_force: int = TimeInForce.DAY,
        expires_at: Instant = 0,
    ) -> None:
        command = PlaceOrder(
            self.account, symbol, 1, 2, time_in_force, LOT, 99 * 10**9, 0, key, expires_at
        )
        self.decide(command)

    def phase(self, symbol: str) -> Phase:
        return Phase(self.desk.markets.named(symbol).instrument.phase)

    def keys(self) -> list[str]:
        return [order.client_order_id for order in self.desk.orders.working.values()]


def kinds(commands: list[Command]) -> list[str]:
    """The commands' names, in order."""
    return [type(command).__name__ for command in commands]


def test_around_the_clock_a_session_is_a_utc_day() -> None:
    """A new instrument opens at once; at midnight it closes, expires and opens again."""
    venue = Venue(MONDAY + DAY // 2)
    venue.list("BTC")
    assert [OpenInstrument("BTC", 20261123, 20261125, MONDAY, MONDAY + DAY)] == venue.look()
    assert [] == venue.look()
    venue.place("BTC", "day")
    venue.place("BTC", "gtc", TimeInForce.GTC)

    venue.clock.at = MONDAY + DAY - 1
    assert [] == venue.look()
    venue.clock.at = MONDAY + DAY
    assert [
        CloseInstrument("BTC"),
        ExpireOrders("BTC"),
        OpenInstrument("BTC", 20261124, 20261126, MONDAY + DAY, MONDAY + 2 * DAY),
    ] == venue.look()
    assert ["gtc"] == venue.keys()
    assert [] == venue.look()


def test_expiry_goes_on_until_nothing_is_left() -> None:
    """More orders than one command may expire are expired before the next session opens."""
    venue = Venue()
    venue.list("BTC")
    venue.look()
    for number in range(450):
        venue.place("BTC", f"o{number}")
    venue.clock.at = MONDAY + DAY
    sent = kinds(venue.look())
    assert ["CloseInstrument", *["ExpireOrders"] * 3, "OpenInstrument"] == sent
    assert [] == venue.keys()


def test_interrupted_expiry_is_completed_after_a_restart() -> None:
    """Closed, some expired, then the process ended: the next one expires the rest first."""
    venue = Venue()
    venue.list("BTC")
    venue.look()
    for number in range(250):
        venue.place("BTC", f"o{number}")
    venue.clock.at = MONDAY + DAY
    venue.decide(CloseInstrument("BTC"))
    venue.decide(ExpireOrders("BTC"))
    assert 50 == len(venue.keys())

    venue.restart()
    assert ["ExpireOrders", "OpenInstrument"] == kinds(venue.look())
    assert [] == venue.keys()


def test_expiry_that_an_operators_opening_overtook_is_completed_too() -> None:
    """Day orders of an ended session are over also when the next one runs already."""
    venue = Venue()
    venue.list("BTC", "manual")
    venue.decide(OpenInstrument("BTC", 20261123, 20261125, MONDAY, MONDAY + DAY))
    venue.place("BTC", "old")
    venue.decide(CloseInstrument("BTC"))
    venue.decide(OpenInstrument("BTC", 20261124, 20261126, MONDAY, MONDAY + DAY))
    venue.place("BTC", "new")
    venue.restart()
    assert [ExpireOrders("BTC")] == venue.look()
    assert ["new"] == venue.keys()


@pytest.mark.parametrize("calendar", ["manual", ""])
def test_manual_calendar_opens_and_closes_by_hand_alone(calendar: str) -> None:
    """Time neither opens nor closes it; day orders end with the session an operator ends."""
    venue = Venue()
    venue.list("OTC", calendar)
    assert [] == venue.look()
    venue.decide(OpenInstrument("OTC", 20261123, 20261125, MONDAY, MONDAY + DAY))
    venue.place("OTC", "day")
    venue.clock.at = MONDAY + 5 * DAY
    assert [] == venue.look()
    assert Phase.OPEN == venue.phase("OTC")
    venue.decide(CloseInstrument("OTC"))
    assert [ExpireOrders("OTC")] == venue.look()
    assert ([], Phase.CLOSED) == (venue.keys(), venue.phase("OTC"))


def test_session_closed_by_an_operator_is_not_opened_again() -> None:
    """Who closed an instrument meant it; the next session opens as usual."""
    venue = Venue()
    venue.list("BTC")
    venue.look()
    venue.decide(CloseInstrument("BTC"))
    assert [] == venue.look()
    venue.clock.at = MONDAY + DAY
    assert ["OpenInstrument"] == kinds(venue.look())


def test_clock_that_goes_back_opens_no_ended_session() -> None:
    """The present is never before the newest event."""
    venue = Venue()
    venue.list("BTC")
    venue.look()
    venue.clock.at = MONDAY + DAY
    venue.look()
    for back in (1, DAY // 2, 30 * DAY):
        venue.clock.at = MONDAY + DAY - back
        assert [] == venue.look()
    assert 20261124 == venue.desk.markets.named("BTC").instrument.session_date


def test_clock_that_goes_back_in_silence_finds_the_earlier_session() -> None:
    """Without an event in between, what was asked of the calendar is asked again."""
    thanksgiving_week = Venue(instant_of(datetime(2026, 11, 20, 23, tzinfo=UTC)))
    thanksgiving_week.list("AAPL", "XNYS")
    assert [] == thanksgiving_week.look()
    wednesday = instant_of(datetime(2026, 11, 25, 23, tzinfo=UTC))
    thanksgiving_week.clock.at = wednesday
    assert [] == thanksgiving_week.look()
    thanksgiving_week.clock.at = instant_of(datetime(2026, 11, 24, 15, tzinfo=UTC))
    (opened,) = thanksgiving_week.look()
    assert isinstance(opened, OpenInstrument)
    assert 20261124 == opened.session_date


def test_clock_that_jumps_far_ahead_skips_what_is_over() -> None:
    """Ten days later: one close, one expiry, one opening of the day that is."""
    venue = Venue()
    venue.list("BTC")
    venue.look()
    venue.place("BTC", "day")
    venue.clock.at = MONDAY + 10 * DAY + 5
    sent = venue.look()
    assert ["CloseInstrument", "ExpireOrders", "OpenInstrument"] == kinds(sent)
    assert 20261203 == venue.desk.markets.named("BTC").instrument.session_date


def test_gtd_orders_expire_at_their_instant_in_any_phase() -> None:
    """Open, closed or halted: an order good till a date ends then, and no other does."""
    venue = Venue()
    for symbol in ("A", "B", "C"):
        venue.list(symbol, "manual")
        venue.decide(OpenInstrument(symbol, 20261123, 20261125, MONDAY, MONDAY + DAY))
    now = venue.clock.at
    venue.place("A", "soon", TimeInForce.GTD, now + 10)
    venue.place("A", "later", TimeInForce.GTD, now + 20)
    venue.place("B", "closed", TimeInForce.GTD, now + 10)
    venue.place("C", "gtc", TimeInForce.GTC)
    venue.decide(CloseInstrument("B"))
    venue.look()

    venue.clock.at = now + 9
    assert [] == venue.look()
    venue.clock.at = now + 10
    assert [ExpireOrders("A"), ExpireOrders("B")] == venue.look()
    assert ["later", "gtc"] == venue.keys()
    venue.clock.at = now + 20
    assert [ExpireOrders("A")] == venue.look()
    assert ["gtc"] == venue.keys()


def test_refused_timer_is_tried_again_at_the_next_look() -> None:
    """A full queue delays what is due and loses nothing of it."""
    venue = Venue()
    venue.list("BTC")
    venue.look()
    venue.place("BTC", "day")
    venue.place("BTC", "gtd", TimeInForce.GTD, MONDAY + DAY - 5)
    venue.refusing = Refusal("QUEUE_FULL", "full", {})
    venue.clock.at = MONDAY + DAY - 5
    assert ["ExpireOrders"] == kinds(venue.look())
    venue.clock.at = MONDAY + DAY
    assert ["CloseInstrument"] == kinds(venue.look())
    venue.refusing = None
    assert ["CloseInstrument", "ExpireOrders", "OpenInstrument"] == kinds(venue.look())
    assert [] == venue.keys()


def test_any_number_of_instruments_is_attended_to() -> None:
    """There is no last instrument."""
    venue = Venue()
    for number in range(1_000):
        venue.list(f"S{number}")
    assert 1_000 == len(venue.look())
    venue.clock.at = MONDAY + DAY
    assert {"CloseInstrument", "OpenInstrument"} == set(kinds(venue.look()))
    assert {20261124} == {m.instrument.session_date for m in venue.desk.markets.by_id.values()}


def test_exchange_sessions_keep_holidays_and_early_closes() -> None:
    """XNYS over Thanksgiving 2026: Thursday is closed, Friday closes early, T+2 counts both."""
    calendars = Calendars()
    wednesday = instant_of(datetime(2026, 11, 25, 14, 30, tzinfo=UTC))
    session = calendars.session_at_or_after("XNYS", wednesday + 1)
    closes_at = instant_of(datetime(2026, 11, 25, 21, tzinfo=UTC))
    assert (20261125, wednesday, closes_at) == (
        session.session_date,
        session.opens_at,
        session.closes_at,
    )
    assert 20261130 == session.value_dates[2]
    friday = calendars.session_at_or_after("XNYS", wednesday + DAY)
    opens_at = instant_of(datetime(2026, 11, 27, 14, 30, tzinfo=UTC))
    closes_at = instant_of(datetime(2026, 11, 27, 18, tzinfo=UTC))
    assert (20261127, opens_at, closes_at) == (
        friday.session_date,
        friday.opens_at,
        friday.closes_at,
    )
    assert 20261201 == friday.value_dates[2]
    assert 20261130 == calendars.session_at_or_after("XNYS", friday.closes_at).session_date
    years_later = instant_of(datetime(2031, 7, 4, 15, tzinfo=UTC))
    assert 20310707 == calendars.session_at_or_after("XNYS", years_later).session_date


def test_unknown_calendar_is_said_once_and_holds_nobody_up() -> None:
    """Its instruments are left to operators; all others are opened as ever."""
    venue = Venue()
    venue.list("ODD", "NOPE")
    venue.list("BTC")
    assert ["OpenInstrument"] == kinds(venue.look())
    assert [] == venue.look()
    assert 1 == len(venue.said)
    assert "NOPE" in venue.said[0]
    with pytest.raises(UnknownCalendar):
        Calendars().session_at_or_after("NOPE", MONDAY)


def test_a_look_makes_room_in_a_book_that_is_nearly_full() -> None:
    """The book grows while time looks over the desk, and not when an order comes in."""
    venue = Venue()
    venue.list("BTC")
    book = venue.desk.markets.named("BTC").book
    for key in range(1, 770):
        book.add(-key, 1, 1, 1, 0)
    size = book.memory_bytes()
    venue.look()
    grown = book.memory_bytes()
    assert size < grown
    venue.look()
    assert grown == book.memory_bytes()
