"""The books of days: what holdings and accounts were worth when a day was over, judged again."""

from __future__ import annotations

from fractions import Fraction
from uuid import UUID

from application.audit.second_books.findings import Findings, within
from application.audit.second_books.holdings import HoldingBooks
from application.audit.second_books.instruments import InstrumentBooks, Terms
from application.audit.second_books.money import MoneyBooks
from domain.events import AccountDayClosed, InstrumentClosed, InstrumentOpened, PositionMarked

CHECK = "day_ends"
_EXACT = 10**24


class DayBooks:
    """Which mark each session closed at, and what is on record of the day that ended with it."""

    def __init__(
        self,
        findings: Findings,
        money: MoneyBooks,
        holdings: HoldingBooks,
        instruments: InstrumentBooks,
    ) -> None:
        self._findings = findings
        self._money = money
        self._holdings = holdings
        self._instruments = instruments

    def session_closed(self, position: int, event: InstrumentClosed) -> None:
        """Judge the mark of a close; rows of older programs say none."""
        terms = self._instruments.of(event.originator_id)
        if event.mark:
            self._findings.chain(CHECK, position, "the closing mark", event.mark, terms.mark)
        said, due = event.session_date, terms.session_date
        self._findings.chain(CHECK, position, "the session that closes", said, due)
        self._instruments.stopped(position, event)
        terms.is_closed, terms.close = True, event.mark

    def session_opened(self, position: int, event: InstrumentOpened) -> None:
        """Judge what a session says the one of an earlier date closed at."""
        terms = self._instruments.of(event.originator_id)
        if event.session_date != terms.session_date:
            terms.close_before = terms.close
        said = event.previous_close
        self._findings.chain(CHECK, position, "previous_close", said, terms.close_before)
        self._instruments.opened(position, event)
        terms.is_closed = False

    def marked(self, position: int, event: PositionMarked) -> None:
        """Judge what a holding was worth, and go on from what the event says is carried."""
        terms = self._instruments.of(event.instrument_id)
        books = self._holdings.of((event.account_id, event.instrument_id))
        said = (event.session_date, event.mark, event.price_decimals, event.multiplier, event.qty)
        due = (terms.session_date, _mark(terms), terms.decimals, terms.multiplier, books.qty)
        self._findings.chain(CHECK, position, "date, mark and quantity", said, due)
        value = Fraction(event.mark * event.qty * terms.multiplier, 10 ** (terms.decimals + 8))
        profit = value - books.exact_cost
        worth = (event.market_value, event.unrealized, event.carried_over)
        exact = (round(value * 100), round(profit * 100), round(Fraction(books.carried, 10**22)))
        cents = tuple(map(within, exact))
        self._findings.chain(CHECK, position, "value, profit and what was carried", worth, cents)
        books.carried = int(event.carried_after)
        self._findings.chain(CHECK, position, "carried_after", books.carried, profit * _EXACT)
        if not terms.is_closed:
            self._findings.fail(CHECK, position, "its session is not over")
        if not event.qty or event.session_date <= books.marked_day:
            self._findings.fail(CHECK, position, "it is marked twice, or nothing is held")
        books.marked_day = event.session_date

    def day_closed(self, position: int, event: AccountDayClosed) -> None:
        """Judge what an account was worth: the sum of what it has, at the marks of the close."""
        account = self._money.account(event.originator_id)
        longs, shorts = self._values(position, event.originator_id, event.session_date)
        has = account.cash + account.unsettled
        said = (event.cash, event.unsettled, event.long_value, event.short_value, event.equity)
        values = tuple(map(within, (longs, shorts, has + longs - shorts)))
        due = (account.cash, account.unsettled, *values)
        self._findings.chain(CHECK, position, "what the account has", said, due)
        if event.session_date <= account.closed_day:
            self._findings.fail(CHECK, position, f"{event.session_date} was closed before")
        account.closed_day = event.session_date

    def _values(self, position: int, account_id: UUID, day: int) -> tuple[int, int]:
        """Longs rounded down, shorts up; what is held of that day's sessions must be marked."""
        longs = shorts = 0
        for instrument_id, books in self._holdings.of_account(account_id):
            terms = self._instruments.of(instrument_id)
            units = abs(books.qty) * terms.multiplier
            value, unit = _mark(terms) * units, 10 ** (terms.decimals + 6)
            if books.qty > 0:
                longs += value // unit
            elif books.qty:
                shorts += -(-value // unit)
            if value and terms.session_date == day > books.marked_day:
                self._findings.fail(CHECK, position, f"{instrument_id} is held and not marked")
        return longs, shorts


def _mark(terms: Terms) -> int:
    return (terms.is_closed and terms.close) or terms.mark
