"""Portfolio history: equity by the minute is the desk's, whatever happened within it."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import date
from itertools import pairwise
from uuid import UUID

import pytest

from api.portfolio import windows_of
from api.portfolio_range import MINUTE, Asked, Period, Words, asked_for
from application.commands import Deposit
from domain.errors import InvalidField
from domain.events import DomainEvent, InstrumentMarked
from domain.margin import equity as equity_of
from domain.terms import Side, TriggerRule
from projections.equity import Equity
from projections.equity_reads import CASH, HELD, UNSETTLED, Change, SessionRow, equities
from tests.model.desk_harness import DeskHarness, cents, trading_desk

NOON = 1_795_262_400_000_000
"""2026-11-21T12:00:00Z."""


def folded(log: Sequence[DomainEvent], *, batch: int = 7) -> Equity:
    """The view's rows of a log, folded a few events at a time, and kept over all batches."""
    view, kept = Equity(), Equity()
    for first in range(0, len(log), batch):
        view.fold(list(enumerate(log[first : first + batch], first + 1)))
        for changes, whole in zip(view.changes, kept.changes, strict=True):
            for key, row in changes.puts.items():
                known = whole.puts.get(key, {})
                whole.puts[key] = {**known, **row}
            for key, row in changes.patches.items():
                whole.puts[key] = {**whole.puts[key], **row}
    return kept


def changes_in(view: Equity, account_id: UUID) -> list[Change]:
    """All changes of an account's equity, as a query of everything finds them."""
    found = []
    for row in view.money.puts.values():
        if row["account_id"] == account_id:
            found.append(Change(row["minute"], None, CASH, row["cash"]))
            if "unsettled" in row:
                found.append(Change(row["minute"], None, UNSETTLED, row["unsettled"]))
    for row in view.holdings.puts.values():
        if row["account_id"] == account_id:
            found.append(Change(row["minute"], row["instrument_id"], HELD, row["qty"]))
    found += [
        Change(row["minute"], row["instrument_id"], row["kind"], row["level"])
        for row in view.prices.puts.values()
    ]
    return sorted(found, key=lambda change: change.minute)


def worth(venue: DeskHarness, account_id: UUID) -> int:
    """An account's equity as the desk reckons it."""
    account = venue.desk.accounts.account(account_id)
    return equity_of(account, venue.desk.margin(account_id))


@pytest.mark.parametrize("seed", range(4))
def test_portfolio_equity_of_every_minute_is_the_desks(seed: int) -> None:
    """Through trades, marks, busts, corrections, deposits, transfers and another rule."""
    pick = random.Random(seed)
    rule = pick.choice((TriggerRule.MARK, TriggerRule.LAST_TRADE))
    venue = trading_desk(trigger_rule=int(rule), tick=10**5, price_decimals=4, lot=10**6)
    venue.checked = False
    accounts = (venue.a, venue.b)
    seen: dict[int, tuple[int, ...]] = {}
    for number in range(150):
        venue.at += pick.choice((1, 10**6, 17 * 10**6, 200 * 10**6))
        price = pick.randint(9_500, 10_500)
        maker, taker = pick.sample(accounts, 2)
        side = pick.choice((Side.BUY, Side.SELL))
        other = Side.SELL if side == Side.BUY else Side.BUY
        qty = f"{pick.randint(1, 300)}/100"
        match pick.randint(0, 5):
            case 0:
                venue.mark(f"{price}/100")
            case 1:
                venue.ok(Deposit(maker, cents(pick.randint(1, 99)), f"more {number}"))
            case 2:
                venue.hold(maker, 1)
            case _:
                venue.place(maker, side, qty, f"{price}/100")
                venue.place(taker, other, qty, f"{price}/100")
                if venue.trades() and pick.random() < 0.2:
                    venue.bust_last()
                elif venue.trades() and pick.random() < 0.3:
                    venue.correct_last(f"{price + 3}/100")
        seen[venue.at // MINUTE] = tuple(worth(venue, one) for one in accounts)
    view = folded(venue.log)
    ends = [minute + 1 for minute in seen]

    for place, account_id in enumerate(accounts):
        found = equities(changes_in(view, account_id), ends)
        assert [both[place] for both in seen.values()] == found


def test_million_marks_of_a_minute_are_one_row_of_the_portfolio_view() -> None:
    """The view grows with minutes and not with marks: here a thousandth stands for them."""
    marks: list[DomainEvent] = []
    venue = trading_desk()
    venue.mark(100)
    (first,) = venue.happened(InstrumentMarked)
    for number in range(1_000):
        marks.append(
            InstrumentMarked(
                first.originator_id,
                number + 2,
                NOON + number,
                0,
                "",
                "",
                first.correlation_id,
                0,
                1,
            )
        )

    assert 1 == len(folded(marks, batch=100).prices.puts)


def asked(**words: object) -> Asked:
    """What some words ask for at noon."""
    names: dict[str, object] = dict.fromkeys(Words._fields)
    return asked_for(Words(**{**names, **words}), NOON)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("period", "last", "before"),
    [
        (Period(1, "D"), date(2026, 3, 1), date(2026, 2, 28)),
        (Period(2, "W"), date(2026, 3, 1), date(2026, 2, 15)),
        (Period(1, "M"), date(2026, 3, 31), date(2026, 2, 28)),
        (Period(3, "M"), date(2026, 1, 15), date(2025, 10, 15)),
        (Period(1, "A"), date(2028, 2, 29), date(2027, 2, 28)),
        (Period(12, "M"), date(2026, 12, 31), date(2025, 12, 31)),
        (Period(9999, "A"), date(2026, 1, 1), date.min),
        (Period(-1, "M"), date(2026, 1, 31), date(2026, 2, 28)),
    ],
    ids=str,
)
def test_portfolio_period_ends_so_long_before(period: Period, last: date, before: date) -> None:
    """A month goes back to the same day, or the last there is."""
    assert before == period.before(last)


@pytest.mark.parametrize(
    ("words", "timeframe"),
    [
        ({}, "1D"),
        ({"period": "6D"}, "1Min"),
        ({"period": "1W"}, "15Min"),
        ({"period": "29D"}, "15Min"),
        ({"period": "30D"}, "1D"),
        ({"period": "1M"}, "1D"),
        ({"period": "intraday"}, "1Min"),
        ({"period": "all"}, "1D"),
        ({"start": "2026-11-16T12:00:00Z"}, "1Min"),
        ({"start": "2026-11-01T00:00:00Z", "end": "2026-11-20T00:00:00Z"}, "15Min"),
        ({"start": "2026-09-01"}, "1D"),
        ({"start": "2026-09-01", "period": "2D"}, "1Min"),
    ],
    ids=str,
)
def test_portfolio_timeframe_follows_from_how_much_is_asked_for(
    words: dict[str, str], timeframe: str
) -> None:
    """As Alpaca documents it, where none is asked for."""
    assert timeframe == asked(**words).timeframe


def test_portfolio_start_and_period_make_an_end() -> None:
    """Two of start, end and period say the third."""
    found = asked(start="2026-11-02T00:00:00Z", period="1W", timeframe="1D")

    assert (20261102, 20261108) == (found.start_date, found.end_date)
    with pytest.raises(InvalidField, match="period"):
        asked(start="2026-11-02", period="all")


MORNING = NOON - 120 * MINUTE - 30_000_000
"""09:59:30."""


def test_portfolio_points_of_market_hours_lie_in_sessions() -> None:
    """The first begins when the session did, all end where the timeframe's do."""
    first = MORNING // MINUTE
    closed = SessionRow(20261121, MORNING, MORNING + 62 * MINUTE)

    hours = windows_of(asked(period="1D", timeframe="1H"), [closed], 0, NOON, trading=False)
    none = windows_of(asked(period="1D", timeframe="1H"), [], 0, NOON, trading=False)

    assert [(first, first + 1), (first + 1, first + 61), (first + 61, first + 121)] == [
        (window.begins, window.ends) for window in hours
    ]
    assert {20261121} == {window.day for window in hours}
    assert [] == none


def test_portfolio_point_under_way_ends_now() -> None:
    """While anything is in a session the last point is of this minute."""
    present = NOON // MINUTE
    under_way = SessionRow(20261121, MORNING, 0)

    found = windows_of(asked(period="1D", timeframe="1H"), [under_way], 0, NOON, trading=True)
    late = windows_of(
        asked(period="1D", timeframe="1Min"), [under_way], present - 2, NOON, trading=True
    )

    assert (present, present + 1) == (found[-1].begins, found[-1].ends)
    assert [present - 2, present - 1, present] == [window.begins for window in late]


def test_portfolio_period_of_days_counts_sessions() -> None:
    """The weekend between two sessions is no day of the period."""
    sessions = [
        SessionRow(day, NOON - back * 1440 * MINUTE, NOON - back * 1440 * MINUTE + 5 * MINUTE)
        for day, back in ((20261118, 3), (20261119, 2), (20261120, 1))
    ]

    found = windows_of(asked(period="2D", timeframe="5Min"), sessions, 0, NOON, trading=False)

    assert {20261119, 20261120} == {window.day for window in found}


def test_portfolio_points_around_the_clock_reach_back_by_hours() -> None:
    """A day is the last 24 hours, and nothing before the account was there."""
    present = NOON // MINUTE
    words = asked(period="1D", timeframe="15Min", reporting="continuous")

    whole = windows_of(words, [], 0, NOON, trading=False)
    young = windows_of(words, [], present - 20, NOON, trading=False)

    assert present - 1439 == whole[0].begins
    assert (present - 20, present + 1) == (young[0].begins, young[-1].ends)
    assert all(one.ends == later.begins for one, later in pairwise(whole))
