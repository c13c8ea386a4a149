"""The day's end: what holdings are worth when a session is over, and accounts when their day is.

A session is over when its instrument is closed and, on a calendar, its hour has come. The day of
an account ends with the last session of that date of what it holds, and at the latest with the
house's: the last session of that date of all instruments on calendars, or of all, where operators
open and close every one by hand. A day on which there was no session has no end.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from application.commands import CloseDay, Reply
from application.deciding.recording import CHUNK, done
from application.deciding.step import Step
from application.desk.desk import Desk
from domain.account import Account, Worth
from domain.identifiers import Instant, datetime_of
from domain.instrument import ENDED, Instrument
from domain.margin import Holding, equity, margin_of
from domain.matching.engine import Market
from domain.position import Position

YEARS_AHEAD = 10
"""A session whose date lies further ahead was dated by a slip of the hand: it is no day's, else no
day before that date would be closed any more.
"""


class Days(NamedTuple):
    """Dates of sessions: those over, each with its latest close, and those that go on."""

    over: dict[int, Instant]
    under_way: set[int]

    def ended(self) -> dict[int, Instant]:
        """The dates on which nothing goes on any more, each with its latest close."""
        return {date: at for date, at in self.over.items() if date not in self.under_way}


class DayEnd:
    """Which sessions are over by an instant, and what of that is not on record yet."""

    def __init__(self, desk: Desk, until: Instant) -> None:
        self._desk = desk
        self._until = until
        self._last_date = (datetime_of(until).year + YEARS_AHEAD) * 10_000 + 1231
        self._house: dict[int, Instant] | None = None

    def is_due(self, account: Account) -> bool:
        """Whether an account has something to be marked, or its day to be closed."""
        return bool(self.unmarked(account)) or self.day_of(account) != 0

    def unmarked(self, account: Account) -> list[Position]:
        """What it holds of ended sessions that no mark of theirs is on record of."""
        found = []
        for position in self._desk.accounts.positions_of(account.id):
            if position.qty:
                market = self._market(position)
                instrument = market.instrument
                late = position.marked_day < instrument.session_date <= self._last_date
                if late and instrument.is_over(self._until) and self.mark(market):
                    found.append(position)
        return found

    def day_of(self, account: Account) -> int:
        """The date of its newest day that is over and not closed; 0 when there is none.

        A day that ended before the account was opened is none of its own.
        """
        held = self._days(
            self._market(position).instrument
            for position in self._desk.accounts.positions_of(account.id)
            if position.qty
        )
        newest = account.closed_day
        for ended in (held.ended(), self._house_days()):
            for date, closed_at in ended.items():
                if date > newest and date not in held.under_way and account.created_at <= closed_at:
                    newest = date
        return newest if newest > account.closed_day else 0

    def mark(self, market: Market) -> int:
        """What holdings are worth at the day's end: as the session closed where it is closed, else
        as they are now; 0 where nothing tells a price.
        """
        closed = market.instrument.phase in ENDED
        return (closed and market.instrument.close_price) or market.mark

    def worth(self, account: Account) -> Worth:
        """What the account is worth at these marks."""
        holdings = []
        for position in self._desk.accounts.positions_of(account.id):
            if position.qty:
                market = self._market(position)
                terms = market.instrument
                rates = terms.initial_margin_bps, terms.maintenance_margin_bps
                mark = self.mark(market)
                qty = position.qty * terms.multiplier
                holdings.append(Holding(qty, mark, terms.price_decimals, *rates))
        margin = margin_of(holdings)
        return Worth(equity(account, margin), margin.long_value, margin.short_value)

    def _house_days(self) -> dict[int, Instant]:
        if self._house is None:
            listed = [market.instrument for market in self._desk.markets.by_id.values()]
            timed = [instrument for instrument in listed if not instrument.is_by_hand]
            self._house = self._days(timed or listed).ended()
        return self._house

    def _days(self, instruments: Iterable[Instrument]) -> Days:
        days = Days({}, set())
        for instrument in instruments:
            date = instrument.session_date
            if date > self._last_date:
                continue
            if instrument.is_over(self._until):
                days.over[date] = max(instrument.closed_at, days.over.get(date, 0))
            elif date:
                days.under_way.add(date)
        return days

    def _market(self, position: Position) -> Market:
        return self._desk.markets.by_id[position.instrument_id.int]


def close_day(step: Step, cmd: CloseDay) -> Reply:
    """Mark what the named accounts hold of ended sessions, and close their days that are over.

    The reply says how many of each, and whether more remains for the same command again.
    """
    accounts = [step.desk.accounts.account(account_id) for account_id in cmd.account_ids]
    day_end = DayEnd(step.desk, cmd.until)
    limit = max(1, min(cmd.limit, CHUNK))
    marked = closed = 0
    for account in accounts:
        for position in day_end.unmarked(account):
            if marked + closed >= limit:
                return _reply(step, marked, closed, remaining=True)
            market = step.desk.markets.by_id[position.instrument_id.int]
            terms = market.instrument
            mark = day_end.mark(market)
            decimals, multiplier = terms.price_decimals, terms.multiplier
            position.mark(step, terms.session_date, mark, decimals, multiplier)
            marked += 1
        date = day_end.day_of(account)
        if date:
            if marked + closed >= limit:
                return _reply(step, marked, closed, remaining=True)
            account.close_day(step, date, day_end.worth(account))
            closed += 1
    return _reply(step, marked, closed, remaining=False)


def _reply(step: Step, marked: int, closed: int, *, remaining: bool) -> Reply:
    return done(step, {"marked": marked, "closed": closed, "remaining": remaining})
