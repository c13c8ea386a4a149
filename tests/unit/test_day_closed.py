"""The end of a day: what it records of holdings and accounts, when, and never twice."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from application.commands import CloseDay, CloseInstrument, OpenInstrument, Refusal, Withdraw
from domain.events import AccountDayClosed, PositionMarked
from domain.identifiers import instant_of
from domain.terms import AccountKind, TriggerRule
from tests.model.desk_harness import wire
from tests.model.timed_desk import TimedDesk, kinds

SUNDAY, MONDAY, TUESDAY, WEDNESDAY = 20261129, 20261130, 20261201, 20261202
FRIDAY = 20261127


class Days(TimedDesk):
    """What the ends of days have recorded."""

    def days(self, account: UUID) -> list[tuple[int, int]]:
        """The (date, equity) of every day of an account that was closed."""
        return [
            (e.session_date, e.equity)
            for e in self.log
            if isinstance(e, AccountDayClosed) and e.originator_id == account
        ]

    def day_of(self, account: UUID) -> AccountDayClosed:
        """An account's newest day."""
        return [
            e for e in self.log if isinstance(e, AccountDayClosed) and e.originator_id == account
        ][-1]

    def marks(self, account: UUID, symbol: str = "X") -> list[PositionMarked]:
        """The marks of what an account holds of an instrument."""
        instrument = self.desk.markets.by_symbol[symbol].instrument
        return [
            e
            for e in self.log
            if isinstance(e, PositionMarked)
            and (e.account_id, e.instrument_id) == (account, instrument.id)
        ]


def days(calendar: str = "24/7", *, begins: tuple[int, ...] = (2026, 11, 30, 12)) -> Days:
    """X open on a calendar; `a` has 1,000 shares that cost nothing, both accounts 100,000 USD."""
    desk = Days()
    desk.at = instant_of(datetime(*begins, tzinfo=UTC))  # type: ignore[arg-type]
    desk.instrument(opened=False, calendar=calendar)
    desk.a, desk.b = desk.account("a", 100_000), desk.account("b", 100_000)
    desk.hold(desk.a, 1000)
    desk.look()
    return desk


def fields(event: Any, *names: str) -> tuple[Any, ...]:
    """Some of what an event says."""
    return tuple(getattr(event, name) for name in names)


MARKED = ("session_date", "mark", "qty", "market_value", "unrealized", "carried_over")
CLOSED = ("session_date", "equity", "cash", "unsettled", "long_value", "short_value")


def test_day_closed_tells_mark_profit_and_equity() -> None:
    """Ten shares bought at 100.00 and last traded at 101.50 are worth 1,015.00: 15.00 gained."""
    venue = days()
    venue.trade(venue.b, venue.a, 10, 100)
    venue.trade(venue.b, venue.a, 2, "101.50")
    venue.at_utc(2026, 12, 1)

    (mark,) = venue.marks(venue.b)
    assert (MONDAY, 1_015_000, 12 * 10**8, 121_800, 1_500, 0) == fields(mark, *MARKED)
    assert (MONDAY, 10_001_500, 10_000_000, -120_300, 121_800, 0) == fields(
        venue.day_of(venue.b), *CLOSED
    )
    assert [(MONDAY, 10_001_500)] == venue.days(venue.b)
    # What `a` kept of its thousand cost nothing, and what it sold brought 1,203.00.
    assert [(MONDAY, 10_000_000 + 120_300 + 988 * 10_150)] == venue.days(venue.a)


def test_day_closed_comes_after_expiry_and_before_the_next_session() -> None:
    """Nobody trades on the next day before the one before is on record."""
    venue = days()
    venue.trade(venue.b, venue.a, 10, 100)
    venue.at = instant_of(datetime(2026, 12, 1, tzinfo=UTC))

    assert ["CloseInstrument", "CloseDay", "OpenInstrument"] == kinds(venue.look_at_all())
    assert [] == venue.look_at_all()


def test_day_closed_is_recorded_once_after_any_number_of_restarts() -> None:
    """A process that starts looks over everything again, and finds it done."""
    venue = days()
    venue.trade(venue.b, venue.a, 10, 100)
    venue.at_utc(2026, 12, 1)
    for _ in range(3):
        venue.restart()
        assert [] == venue.look_at_all()
    assert (1, 1) == (len(venue.days(venue.a)), len(venue.marks(venue.a)))


def test_day_closed_half_way_is_completed_after_a_restart() -> None:
    """Some accounts done, then the process ended: the next one does the others, once."""
    venue = days()
    others = [venue.account(f"c{number}", number + 1) for number in range(5)]
    venue.trade(venue.b, venue.a, 10, 100)
    venue.at = until = instant_of(datetime(2026, 12, 1, tzinfo=UTC))
    venue.ok(CloseInstrument("X"))
    everyone = (venue.a, venue.b, *others)
    result = venue.ok(CloseDay(until, everyone, 3)).result
    assert {"marked": 2, "closed": 1, "remaining": True} == result

    venue.restart()
    (closing, opening) = venue.look_at_all()
    assert isinstance(closing, CloseDay) and isinstance(opening, OpenInstrument)
    assert (venue.b, *others) == closing.account_ids
    assert {1} == {len(venue.days(account)) for account in everyone}


@pytest.mark.parametrize("limit", [1, 2, 3, 200, 10**6])
def test_day_closed_in_steps_of_any_size_comes_to_the_same(limit: int) -> None:
    """An account's marks may be parted from its close, and come before it."""
    venue = days()
    venue.instrument("Y", opened=False)
    venue.look()
    venue.hold(venue.a, 7, "Y")
    venue.trade(venue.b, venue.a, 10, 100)
    venue.at = until = instant_of(datetime(2026, 12, 1, tzinfo=UTC))
    for symbol in ("X", "Y"):
        venue.ok(CloseInstrument(symbol))
    remaining, steps = True, 0
    while remaining:
        result = venue.ok(CloseDay(until, (venue.a, venue.b), limit)).result
        assert result is not None
        assert 0 < result["marked"] + result["closed"] <= max(limit, 1)
        remaining, steps = result["remaining"], steps + 1
    assert max(1, -(-5 // limit)) == steps
    assert (1, 1, 1) == (
        len(venue.marks(venue.a)),
        len(venue.marks(venue.a, "Y")),
        len(venue.marks(venue.b)),
    )
    assert [10_000_000 + 100_000 + 990 * 10_000 + 7 * 10_000] == [
        equity for _, equity in venue.days(venue.a)
    ]


def test_day_closed_on_an_exchange_follows_its_sessions() -> None:
    """Friday after Thanksgiving ends at 13:00 in New York; a weekend has no days to close."""
    venue = days("XNYS", begins=(2026, 11, 25, 15))
    venue.at_utc(2026, 11, 25, 21)
    assert [20261125] == [date for date, _ in venue.days(venue.a)]
    venue.at_utc(2026, 11, 26, 15)
    venue.at_utc(2026, 11, 27, 15)
    venue.at_utc(2026, 11, 27, 17, 59)
    assert [20261125] == [date for date, _ in venue.days(venue.a)]
    venue.at_utc(2026, 11, 27, 18)
    assert [20261125, FRIDAY] == [date for date, _ in venue.days(venue.a)]
    for day in (28, 29):
        venue.at_utc(2026, 11, day, 12)
    venue.at_utc(2026, 11, 30, 15)

    assert [20261125, FRIDAY] == [mark.session_date for mark in venue.marks(venue.a)]
    assert [20261125, FRIDAY] == [date for date, _ in venue.days(venue.b)]


def test_day_closed_after_an_outage_is_that_of_the_last_session_held() -> None:
    """The writer was away for three midnights: what was under way ends once, at what it saw."""
    venue = days()
    venue.trade(venue.b, venue.a, 10, 102)
    venue.restart()
    venue.at_utc(2026, 12, 3, 9)

    assert [MONDAY] == [date for date, _ in venue.days(venue.a)]
    assert [MONDAY] == [mark.session_date for mark in venue.marks(venue.a)]
    venue.at_utc(2026, 12, 4)
    assert [MONDAY, 20261203] == [date for date, _ in venue.days(venue.a)]


def test_day_closed_with_two_calendars_waits_for_the_last_of_what_is_held() -> None:
    """New York ends at 21:00 UTC: shares are marked then, and who has coins goes on to midnight."""
    venue = days("XNYS", begins=(2026, 11, 30, 15))
    venue.instrument("BTC", opened=False)
    venue.look()
    both, stocks, nothing = venue.a, venue.b, venue.account("c", 5)
    venue.hold(stocks, 3)
    venue.hold(both, 1, "BTC")
    venue.at_utc(2026, 11, 30, 21)

    assert (1, 0, 1) == (
        len(venue.marks(both)),
        len(venue.marks(both, "BTC")),
        len(venue.marks(stocks)),
    )
    assert ([], [MONDAY], []) == tuple(
        [date for date, _ in venue.days(one)] for one in (both, stocks, nothing)
    )
    venue.at_utc(2026, 12, 1)
    assert 1 == len(venue.marks(both, "BTC"))
    assert {(MONDAY,)} == {
        tuple(date for date, _ in venue.days(one)) for one in (both, stocks, nothing)
    }
    # The venue is open around the clock, so Saturday is a day of everyone's.
    for day in (1, 2, 3, 4, 5):
        venue.at_utc(2026, 12, day, 15)
        venue.at_utc(2026, 12, day, 22)
        venue.at_utc(2026, 12, day + 1)
    assert {tuple(range(20261201, 20261206))} == {
        tuple(date for date, _ in venue.days(one))[1:] for one in (both, stocks, nothing)
    }


def test_day_closed_of_what_operators_open_and_close_by_hand() -> None:
    """Their close is the session's end; the same date again is no other day."""
    venue = days("manual")
    venue.day(MONDAY, TUESDAY)
    venue.trade(venue.b, venue.a, 10, 103)
    assert [] == venue.look_at_all()
    venue.ok(CloseInstrument("X"))
    assert ["CloseDay"] == kinds(venue.look_at_all())
    assert [MONDAY] == [date for date, _ in venue.days(venue.b)]
    venue.day(MONDAY, TUESDAY)
    venue.ok(CloseInstrument("X"))
    assert [] == venue.look_at_all()
    venue.day(TUESDAY, WEDNESDAY)
    venue.ok(CloseInstrument("X"))
    venue.look()
    assert [MONDAY, TUESDAY] == [date for date, _ in venue.days(venue.b)]


def test_day_closed_is_none_of_a_session_dated_by_a_slip_of_the_hand() -> None:
    """The year 9999 closes no day, and the right date after it does."""
    venue = days("manual")
    venue.day(99991231, 99991231)
    venue.ok(CloseInstrument("X"))
    venue.look()
    assert [] == venue.days(venue.b)
    venue.day(MONDAY, TUESDAY)
    venue.ok(CloseInstrument("X"))
    venue.look()
    assert [MONDAY] == [date for date, _ in venue.days(venue.a)]
    assert [MONDAY] == [mark.session_date for mark in venue.marks(venue.a)]


def test_day_closed_early_by_an_operator_ends_at_its_hour() -> None:
    """A calendar's session that an operator closed may be opened again until its time is over."""
    venue = days("XNYS", begins=(2026, 11, 30, 15))
    venue.ok(CloseInstrument("X"))
    assert [] == venue.look_at_all()
    venue.at = instant_of(datetime(2026, 11, 30, 21, tzinfo=UTC))
    assert ["CloseDay"] == kinds(venue.look_at_all())
    assert [MONDAY] == [date for date, _ in venue.days(venue.a)]


def test_day_closed_out_of_a_halt_is_valued_at_the_last_trade() -> None:
    """A halted instrument has a day's end like any other."""
    venue = days("XNYS", begins=(2026, 11, 30, 15))
    venue.trade(venue.b, venue.a, 10, 104)
    venue.halt()
    venue.at_utc(2026, 11, 30, 21)

    assert [1_040_000] == [mark.mark for mark in venue.marks(venue.b)]


def test_day_closed_without_a_trade_is_valued_at_the_reference() -> None:
    """Listed at a reference of 100.00 and never traded; without one there is nothing to say."""
    venue = days()
    venue.instrument("NONE", opened=False, reference_price=0)
    venue.look()
    venue.hold(venue.a, 5, "NONE")
    venue.at_utc(2026, 12, 1)

    assert [1_000_000] == [mark.mark for mark in venue.marks(venue.a)]
    assert [] == venue.marks(venue.a, "NONE")
    assert [(MONDAY, 10_000_000 + 10_000_000)] == venue.days(venue.a)
    assert [] == venue.look_at_all()


def test_day_closed_by_the_mark_where_the_mark_moves_stops() -> None:
    """The mark of the close counts, not one that comes between it and the record."""
    venue = days("manual")
    venue.instrument("M", opened=False, calendar="manual", trigger_rule=int(TriggerRule.MARK))
    venue.day(MONDAY, TUESDAY, "M")
    venue.hold(venue.a, 2, "M")
    venue.mark(110, "M")
    venue.ok(CloseInstrument("M"))
    venue.mark(90, "M")
    venue.look()

    assert [1_100_000] == [mark.mark for mark in venue.marks(venue.a, "M")]
    assert [(MONDAY, 10_000_000 + 10_000_000 + 22_000)] == venue.days(venue.a)


def test_day_closed_of_a_short_position_is_signed() -> None:
    """Five sold at 100.00, worth 95.00 at the end: 25.00 gained, and 475.00 to be bought back."""
    venue = days()
    short = venue.account("s", 1_000, kind=AccountKind.MARGIN)
    venue.place(short, 2, 5, 100, locate=True)
    venue.place(venue.b, 1, 5, 100)
    venue.trade(venue.b, venue.a, 1, 95)
    venue.at_utc(2026, 12, 1)

    (mark,) = venue.marks(short)
    assert (-5 * 10**8, -47_500, 2_500) == fields(mark, "qty", "market_value", "unrealized")
    assert (102_500, 0, 47_500) == fields(
        venue.day_of(short), "equity", "long_value", "short_value"
    )


def test_day_closed_carries_its_profit_into_the_next_day() -> None:
    """What a day gained is what is unrealized beyond what was carried, less what was closed."""
    venue = days()
    venue.trade(venue.b, venue.a, 10, 100)
    venue.trade(venue.b, venue.a, 2, 106)
    venue.at_utc(2026, 12, 1)
    # 12 for 1,212.00, worth 1,272.00: 60.00 carried. Four go, and with them 20.00.
    c = venue.account("c", 100_000)
    venue.trade(c, venue.b, 4, 107)
    venue.trade(c, venue.a, 1, 108)
    venue.at_utc(2026, 12, 2)

    first, second = venue.marks(venue.b)
    assert (6_000, 0) == fields(first, "unrealized", "carried_over")
    # Eight that cost 808.00 are worth 864.00: 56.00, of which 40.00 are yesterday's.
    assert (TUESDAY, 5_600, 4_000) == fields(second, "session_date", "unrealized", "carried_over")


def test_day_closed_of_an_account_without_anything_is_its_cash() -> None:
    """Also of one that is empty; one that was opened after the close has none yet."""
    venue = days("XNYS", begins=(2026, 11, 30, 15))
    empty = venue.account("empty", 0)
    venue.at_utc(2026, 11, 30, 21)
    late = venue.account("late", 7)
    venue.restart()
    venue.look()

    assert [(MONDAY, 0)] == venue.days(empty)
    assert [] == venue.days(late)
    venue.at_utc(2026, 12, 1, 15)
    venue.at_utc(2026, 12, 1, 21)
    assert [(TUESDAY, 700)] == venue.days(late)


def test_day_closed_stands_when_a_trade_of_it_is_busted_later() -> None:
    """The record says what was known; the next day's tells of the bust."""
    venue = days()
    trade = venue.trade(venue.b, venue.a, 10, 100)
    venue.trade(venue.b, venue.a, 1, 110)
    venue.at_utc(2026, 12, 1)
    before = venue.days(venue.b)
    venue.bust(trade)
    venue.restart()
    assert [] == venue.look_at_all()
    assert before == venue.days(venue.b) == [(MONDAY, 10_000_000 + 10 * 1_000)]
    venue.at_utc(2026, 12, 2)

    assert (TUESDAY, 10_000_000) == venue.days(venue.b)[-1]


def test_day_closed_takes_what_came_in_and_went_out() -> None:
    """Equity is all of it: a withdrawal makes it less, and is no loss."""
    venue = days()
    venue.ok(Withdraw(venue.b, 10_000, "w"))
    venue.at_utc(2026, 12, 1)

    assert [(MONDAY, 9_990_000)] == venue.days(venue.b)


def test_day_closed_in_chunks_of_two_hundred() -> None:
    """No decision grows with the number of accounts."""
    venue = days()
    venue.checked = False
    for number in range(450):
        venue.account(f"n{number}", 1)
    venue.at = instant_of(datetime(2026, 12, 1, tzinfo=UTC))
    sent = [command for command in venue.look_at_all() if isinstance(command, CloseDay)]

    assert [200, 200, 52] == [len(command.account_ids) for command in sent[:1] + sent[2:]]
    assert {1} == {len(venue.days(account.id)) for account in venue.desk.accounts.by_id.values()}
    venue.check()


@pytest.mark.parametrize("code", ["QUEUE_FULL", "VENUE_UNAVAILABLE"])
def test_day_closed_that_a_busy_writer_refuses_is_asked_for_again(code: str) -> None:
    """The next session waits for it."""
    venue = days()
    venue.refusing, venue.refusal = (CloseDay,), Refusal(code, "busy", {})
    venue.at = instant_of(datetime(2026, 12, 1, tzinfo=UTC))
    assert ["CloseInstrument", "CloseDay"] == kinds(venue.look_at_all())
    assert ["CloseDay"] == kinds(venue.look_at_all())
    venue.refusal = None

    assert ["CloseDay", "OpenInstrument"] == kinds(venue.look_at_all())
    assert [] == venue.said


def test_day_closed_that_cannot_be_does_not_keep_the_market_closed() -> None:
    """It is said, and trading begins all the same."""
    venue = days()
    venue.refusing, venue.refusal = (CloseDay,), Refusal("COMMAND_QUARANTINED", "set aside", {})
    venue.at = instant_of(datetime(2026, 12, 1, tzinfo=UTC))

    assert ["CloseInstrument", "CloseDay", "OpenInstrument"] == kinds(venue.look_at_all())
    assert [] == venue.look_at_all()
    assert ["timers: the end of the day: set aside"] == venue.said


def test_day_closed_of_an_unknown_account_is_refused() -> None:
    """The command names accounts that are there, or does nothing."""
    venue = days()
    reply = venue.send(CloseDay(venue.at, (venue.a, UUID(int=5))))
    assert reply.refusal is not None
    assert "UNKNOWN_ACCOUNT" == reply.refusal.code


def test_day_closed_at_a_mark_beyond_all_sense_says_the_most_that_it_can() -> None:
    """A record holds 64 bits; who marks a share at trillions keeps nobody's day from ending."""
    venue = days("manual")
    rule = int(TriggerRule.MARK)
    venue.instrument("M", opened=False, calendar="manual", trigger_rule=rule, tick=wire(1))
    venue.day(MONDAY, TUESDAY, "M")
    for _ in range(9):
        venue.hold(venue.a, 90_000_000, "M")
    venue.mark(2**31 - 1, "M")
    venue.ok(CloseInstrument("M"))
    venue.look()
    assert [(MONDAY, 10_000_000)] == venue.days(venue.b)
    assert [(MONDAY, 2**63 - 1)] == venue.days(venue.a)
