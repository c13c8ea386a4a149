"""The books of expiries: what an option is worth at its end, who exercises it, who is assigned."""

from __future__ import annotations

from fractions import Fraction
from uuid import UUID

from application.audit.second_books.bookings import Bookings, Exercise, Fill
from application.audit.second_books.commissions import NOTHING
from application.audit.second_books.findings import Findings
from application.audit.second_books.holdings import HoldingBooks
from application.audit.second_books.instruments import InstrumentBooks, Terms
from domain.events import InstrumentExpired, PositionExpired
from domain.identifiers import NO_ID

CHECK = "expiries"
BUY, SELL = 1, 2
CALL = 1
EXPIRED, EXERCISED, ASSIGNED = 1, 2, 3
CONTRACT = 10**8
_CENT = Fraction(1, 100)


class ExpiryBooks:
    """What each holding of an expired option must come to, until it has."""

    def __init__(
        self,
        findings: Findings,
        bookings: Bookings,
        holdings: HoldingBooks,
        instruments: InstrumentBooks,
    ) -> None:
        self._findings = findings
        self._bookings = bookings
        self._holdings = holdings
        self._instruments = instruments
        self._over: dict[UUID, InstrumentExpired] = {}
        self._called: dict[tuple[UUID, UUID], int] = {}
        """How many contracts of a holding are to be exercised or assigned still."""

    def expired(self, position: int, event: InstrumentExpired) -> None:
        """Judge what an option comes to, by what its underlying closed at."""
        option = self._instruments.of(event.originator_id)
        underlying = self._instruments.of(option.underlying_id)
        if option.underlying_id == NO_ID or event.originator_id in self._over:
            self._fail(position, "it is no option, or has expired before")
        if not option.is_closed or (not underlying.is_closed and not _later(underlying, option)):
            self._fail(position, "a session is under way")
        self._over[event.originator_id] = event
        closed_at = underlying.close_before if _later(underlying, option) else underlying.close
        price = Fraction(closed_at or underlying.mark, 10**underlying.decimals)
        said = (Fraction(event.underlying_price, 10**9), event.session_date, event.value_date)
        due = (price, underlying.session_date, underlying.value_date)
        self._findings.chain(CHECK, position, "price and dates", said, due)
        strike = Fraction(option.strike, 10**9)
        gain = price - strike if option.right == CALL else strike - price
        self._call(position, event, exercised=bool(price) and gain >= _CENT)

    def _call(self, position: int, event: InstrumentExpired, *, exercised: bool) -> None:
        """Work out who is called on, and judge the sums."""
        longs, shorts, extra = 0, 0, NO_ID
        if exercised:
            held = self._holdings.of_instrument(event.originator_id)
            oldest = sorted(held, key=lambda one: one[1].identifier.int)
            longs = sum(books.qty for _, books in oldest if books.qty > 0)
            shorts = -sum(books.qty for _, books in oldest if books.qty < 0)
            given = self._whole_parts(event, Fraction(longs, shorts or 1))
            for account_id, books in oldest:
                if books.qty < 0 and given < longs:
                    self._called[account_id, event.originator_id] += CONTRACT
                    given, extra = given + CONTRACT, books.identifier
        said = (int(event.exercised), int(event.written), event.extra_until)
        self._findings.chain(CHECK, position, "what is called on", said, (longs, shorts, extra))

    def _whole_parts(self, event: InstrumentExpired, part: Fraction) -> int:
        """Let all that is held be exercised, and of what is short a part in whole contracts;
        returns how much that is.
        """
        given = 0
        for account_id, books in self._holdings.of_instrument(event.originator_id):
            called = max(0, books.qty)
            if books.qty < 0:
                called = int(-books.qty * part / CONTRACT) * CONTRACT
                given += called
            self._called[account_id, event.originator_id] = called
        return given

    def ended(self, position: int, event: PositionExpired) -> None:
        """Judge what became of a holding; what is called on is a trade at the strike."""
        key = event.account_id, event.instrument_id
        books = self._holdings.of(key)
        called, is_long = self._called.pop(key, 0), books.qty > 0
        how = (EXERCISED if is_long else ASSIGNED) if called else EXPIRED
        qty = called if called else abs(books.qty)
        over = self._over.get(event.instrument_id)
        if over is None or not books.qty or books.order_reserves:
            self._fail(position, "it has not expired, or nothing is held, or orders are there")
        said = (event.how, event.qty, event.trade_id != NO_ID)
        due = (how, qty if is_long else -qty, bool(called))
        self._findings.chain(CHECK, position, "how, quantity and trade", said, due)
        if called and over is not None:
            self._trades(event, over, called, is_long=is_long)
        self._holdings.expired(position, event)

    def _trades(
        self, event: PositionExpired, over: InstrumentExpired, called: int, *, is_long: bool
    ) -> None:
        """Expect the underlying to be bought or sold at the strike."""
        option = self._instruments.of(event.instrument_id)
        underlying = self._instruments.of(option.underlying_id)
        buys = is_long if option.right == CALL else not is_long
        price = Fraction(option.strike * 10**underlying.decimals, 10**9)
        exercise = Exercise(
            event.account_id,
            option.underlying_id,
            event.trade_id,
            BUY if buys else SELL,
            qty=called * option.multiplier,
            price=int(price) if price.denominator == 1 else 0,
            price_decimals=underlying.decimals,
            multiplier=underlying.multiplier,
            session_date=over.session_date,
            value_date=over.value_date,
        )
        self._bookings.expect(Fill(exercise, 0, 0, 0, NOTHING))

    def _fail(self, position: int, message: str) -> None:
        self._findings.fail(CHECK, position, message)


def _later(underlying: Terms, option: Terms) -> bool:
    """Whether the underlying trades on a day after the option's last already."""
    return underlying.session_date > option.expiry
