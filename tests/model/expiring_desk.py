"""A desk with options that end on a Friday, on the venue's timers."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from application.log.ports import Recorded
from application.rehearsal.simulated_day.exact_books import ExactBooks
from application.rehearsal.simulated_day.statements import compare, desk_statement
from domain.events import PositionExpired
from domain.identifiers import instant_of
from domain.terms import AccountKind, Right
from tests.model.desk_harness import wire
from tests.model.judged_log import judged
from tests.model.timed_desk import TimedDesk, kinds

FRIDAY = 20261218
CALL, PUT = "X261218C00100000", "X261218P00100000"
OPEN, CLOSE, MONDAY = (2026, 12, 18, 15), (2026, 12, 18, 21, 1), (2026, 12, 21, 14, 31)


class Expiring(TimedDesk):
    """A desk with options on X that end on Friday; every log is judged by the second books."""

    def option(self, right: Right, **terms: Any) -> None:
        """List an option on X at 100."""
        values: dict[str, Any] = {
            "asset_class": "us_option",
            "calendar": "",
            "price_decimals": 2,
            "reference_price": wire(2),
            "settlement_cycle": 1,
            "shortable": True,
            "multiplier": 100,
            "underlying": "X",
            "right": int(right),
            "strike": wire(100),
            "expiry": FRIDAY,
        }
        symbol = CALL if right == Right.CALL else PUT
        self.instrument(symbol, opened=False, **{**values, **terms})

    def person(self, name: str, cash: int = 1_000_000) -> UUID:
        """A margin account."""
        return self.account(name, cash, kind=AccountKind.MARGIN)

    def held(self, account: UUID, symbol: str = "X") -> int:
        """An account's position in whole units."""
        instrument = self.desk.markets.by_symbol[symbol].instrument
        position = self.desk.accounts.positions.get((account.int, instrument.id.int))
        return 0 if position is None else position.qty // 10**8

    def ended(self, symbol: str = CALL) -> list[tuple[str, int, int]]:
        """What became of each holding, by accounts, as (account's name, how, contracts)."""
        instrument = self.desk.markets.by_symbol[symbol].instrument
        accounts = self.desk.accounts.by_id
        found = [
            (accounts[e.account_id.int], e.how, e.qty // 10**8)
            for e in self.log
            if isinstance(e, PositionExpired) and e.instrument_id == instrument.id
        ]
        found.sort(key=lambda one: one[0].number)
        return [(account.name, how, qty) for account, how, qty in found]

    def judge(self) -> None:
        """All three bookkeepers agree, and no money came from nowhere."""
        assert [] == judged(self.log).violations()
        raw = ExactBooks()
        raw.take(Recorded(number, event) for number, event in enumerate(self.log, 1))
        assert [] == compare([raw.statement(), desk_statement(self.desk)])[1]
        self.check()

    def expiry(self, price: Any) -> list[str]:
        """Let X trade at a price on Friday, and the session end; what is sent."""
        self.at_utc(*OPEN)
        if price:
            self.trade(self.a, self.b, 1, price)
        return kinds(self.at_utc(*CLOSE))


def expiring(
    *rights: Right,
    calendar: str = "XNYS",
    desk: Expiring | None = None,
    underlying_price: int = 100,
    **terms: Any,
) -> Expiring:
    """X and options on it, open on the Friday of their expiry; `a` and `b` trade the shares."""
    desk = desk or Expiring()
    desk.at = instant_of(datetime(2026, 12, 17, 15, tzinfo=UTC))
    listed = {"settlement_cycle": 1, "shortable": True, "reference_price": wire(underlying_price)}
    desk.instrument(opened=False, calendar=calendar, **listed)
    for right in rights or (Right.CALL,):
        desk.option(right, **terms)
    desk.a, desk.b = desk.account("a"), desk.account("b")
    desk.hold(desk.b, 1_000)
    desk.look()
    return desk
