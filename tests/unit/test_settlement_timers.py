"""What time asks for around settlement: value dates, a run before the day opens, margin calls."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from application.commands import (
    ChangeInstrument,
    CheckMargins,
    CloseInstrument,
    OpenInstrument,
    Refusal,
    Settle,
    Withdraw,
)
from application.requests import Command
from domain.events import MarginCalled, MarginCallMet, SettlementFailed
from domain.identifiers import instant_of
from domain.terms import AccountKind
from tests.model.timed_desk import TimedDesk, kinds


@pytest.fixture
def venue() -> TimedDesk:
    """X on New York's calendar; `a` has 1,000 shares, both accounts 100,000 USD. 2026-11-30."""
    desk = TimedDesk()
    desk.refusing = (Settle,)
    desk.at = instant_of(datetime(2026, 11, 30, 12, tzinfo=UTC))
    desk.instrument(opened=False, calendar="XNYS")
    desk.a, desk.b = desk.account("a", 100_000), desk.account("b", 100_000)
    desk.hold(desk.a, 1000)
    return desk


def value_dates(sent: list[Command]) -> dict[str, int]:
    """The value dates that the instruments opened with."""
    return {c.symbol: c.value_date for c in sent if isinstance(c, OpenInstrument)}


def test_settlement_cycle_of_each_instrument_makes_its_value_date(venue: TimedDesk) -> None:
    """One session, three cycles: the same day, the next, and the tenth settlement day."""
    for symbol, cycle in (("SAME", 0), ("NEXT", 1), ("LONG", 10)):
        venue.instrument(symbol, opened=False, calendar="XNYS", settlement_cycle=cycle)

    opened = value_dates(venue.at_utc(2026, 12, 1, 15))

    assert {"X": 20261203, "SAME": 20261201, "NEXT": 20261202, "LONG": 20261215} == opened


def test_settlement_cycle_that_changes_counts_from_the_next_session(venue: TimedDesk) -> None:
    """What trades today keeps today's value date."""
    venue.at_utc(2026, 12, 1, 15)
    venue.ok(ChangeInstrument("X", settlement_cycle=1))
    assert 20261203 == venue.desk.markets.named("X").instrument.value_date
    venue.at_utc(2026, 12, 2, 3)

    assert {"X": 20261203} == value_dates(venue.at_utc(2026, 12, 2, 15))


def test_settlement_of_a_date_goes_before_its_opening(venue: TimedDesk) -> None:
    """Bought on Tuesday at T+2: paid for before Thursday's first trade, not before."""
    venue.at_utc(2026, 12, 1, 15)
    venue.trade(venue.b, venue.a, 10, 100)
    assert ["CloseInstrument"] == kinds(venue.at_utc(2026, 12, 1, 22))
    assert ["OpenInstrument"] == kinds(venue.at_utc(2026, 12, 2, 15))
    venue.at_utc(2026, 12, 2, 22)

    sent = venue.at_utc(2026, 12, 3, 15)

    assert [Settle(20261203)] == sent[:1]
    assert ["Settle", "OpenInstrument"] == kinds(sent)
    assert (10, 10) == venue.holds(venue.b)


def test_settlement_runs_once_for_a_date_however_many_instruments_open(
    venue: TimedDesk,
) -> None:
    """The first opening of a date brings the run, the others only open."""
    for symbol in ("Y", "Z"):
        venue.instrument(symbol, opened=False, calendar="XNYS")
    venue.at_utc(2026, 12, 1, 15)
    venue.trade(venue.b, venue.a, 10, 100)
    venue.at_utc(2026, 12, 1, 22)

    sent = venue.at_utc(2026, 12, 3, 15)

    assert ["Settle", *["OpenInstrument"] * 3] == kinds(sent)


def test_settlement_that_failed_is_tried_with_each_new_date(venue: TimedDesk) -> None:
    """Every date that settles brings one attempt, until it succeeds."""
    venue.at_utc(2026, 12, 1, 15)
    venue.trade(venue.b, venue.a, 10, 100)
    venue.ok(
        Withdraw(venue.b, venue.desk.accounts.by_id[venue.b.int].withdrawable, "all-that-is-free")
    )
    venue.correct_last(101)
    for day in (3, 4, 7):
        venue.at_utc(2026, 12, day, 3)
        assert "Settle" in kinds(venue.at_utc(2026, 12, day, 15))
    failed = [event for event in venue.log if isinstance(event, SettlementFailed)]
    assert [(20261203, 1), (20261204, 2), (20261207, 3)] == [
        (event.run_date, event.attempts) for event in failed
    ]


def test_settlement_does_not_run_on_a_day_that_banks_keep() -> None:
    """Columbus Day opens and brings no run; the day after it does."""
    venue = TimedDesk()
    venue.at = instant_of(datetime(2026, 10, 7, 12, tzinfo=UTC))
    venue.instrument(opened=False, calendar="XNYS", settlement_cycle=1)
    venue.a, venue.b = venue.account("a", 100_000), venue.account("b", 100_000)
    venue.hold(venue.a, 10)
    assert {"X": 20261013} == value_dates(venue.at_utc(2026, 10, 9, 15))
    venue.trade(venue.b, venue.a, 10, 100)
    venue.at_utc(2026, 10, 9, 22)
    assert ["OpenInstrument"] == kinds(venue.at_utc(2026, 10, 12, 15))
    venue.at_utc(2026, 10, 12, 22)

    assert ["Settle", "OpenInstrument"] == kinds(venue.at_utc(2026, 10, 13, 15))
    assert (10, 10) == venue.holds(venue.b)


def test_settlement_on_the_trade_date_follows_the_close(venue: TimedDesk) -> None:
    """A cycle of zero: what traded today is settled when the session is over."""
    venue.instrument("SAME", opened=False, calendar="XNYS", settlement_cycle=0)
    venue.hold(venue.a, 10, "SAME")
    venue.at_utc(2026, 12, 1, 15)
    venue.trade(venue.b, venue.a, 10, 100, "SAME")

    sent = venue.at_utc(2026, 12, 1, 22)

    assert ["CloseInstrument", "CloseInstrument", "Settle"] == kinds(sent)
    assert (10, 10) == venue.holds(venue.b, "SAME")


def test_settlement_is_not_asked_for_by_instruments_opened_by_hand() -> None:
    """A manual calendar leaves opening, closing and settling to operators."""
    venue = TimedDesk()
    venue.instrument(opened=False, calendar="manual")
    venue.a, venue.b = venue.account("a", 100_000), venue.account("b", 100_000)
    venue.hold(venue.a, 10)
    venue.day(20261201, 20261203)
    venue.trade(venue.b, venue.a, 10, 100)
    venue.ok(CloseInstrument("X"))

    assert [] == venue.at_utc(2026, 12, 4, 15)


def _owing(venue: TimedDesk) -> None:
    venue.at_utc(2026, 12, 1, 15)
    venue.trade(venue.b, venue.a, 10, 100)
    venue.at_utc(2026, 12, 1, 22)


@pytest.mark.parametrize("code", ["QUEUE_FULL", "VENUE_UNAVAILABLE"])
def test_settlement_that_a_busy_writer_refuses_is_asked_for_again(
    venue: TimedDesk, code: str
) -> None:
    """The day opens after its settlement, as soon as the writer takes commands again."""
    _owing(venue)
    venue.refusal = Refusal(code, "busy", {})
    assert ["Settle"] == kinds(venue.at_utc(2026, 12, 3, 15)) == kinds(venue.look())
    venue.refusal = None

    assert ["Settle", "OpenInstrument"] == kinds(venue.look())
    assert [] == venue.said


def test_settlement_that_cannot_be_made_does_not_keep_the_market_closed(
    venue: TimedDesk,
) -> None:
    """A run that breaks is said once, and trading begins all the same."""
    _owing(venue)
    venue.refusal = Refusal("COMMAND_QUARANTINED", "set aside", {})

    assert ["Settle", "OpenInstrument"] == kinds(venue.at_utc(2026, 12, 3, 15))
    assert [] == venue.look()
    assert ["timers: settlement of 20261203: set aside"] == venue.said


def test_settlement_after_a_restart_is_completed_before_the_opening(venue: TimedDesk) -> None:
    """Half a run, then another process: the rest settles before the first trade of the day."""
    _owing(venue)
    venue.at = instant_of(datetime(2026, 12, 3, 14, 40, tzinfo=UTC))
    assert venue.step(20261203, limit=1)["remaining"]
    venue.restart()

    assert ["Settle", "OpenInstrument"] == kinds(venue.look())
    assert {} == venue.desk.accounts.obligations


def test_margin_calls_are_made_and_cleared_as_prices_move(venue: TimedDesk) -> None:
    """Looked for only when something happened, and sent only when a call begins or ends."""
    m = venue.account("m", 6_000, kind=AccountKind.MARGIN)
    venue.at_utc(2026, 12, 1, 15)
    venue.trade(m, venue.a, 100, 100)
    assert [] == venue.look()
    venue.trade(venue.b, venue.a, 1, 51)

    assert [CheckMargins(account_ids=(m,))] == venue.look()
    assert 1 == len(venue.happened(MarginCalled))
    assert [] == venue.look()
    venue.trade(venue.b, venue.a, 1, 76)
    assert [CheckMargins(account_ids=(m,))] == venue.look()
    assert 1 == len(venue.happened(MarginCallMet))
