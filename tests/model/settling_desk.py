"""A desk of days: trades with value dates, settlement runs, and what must hold in between."""

from __future__ import annotations

from collections import Counter
from typing import Any
from uuid import UUID

from application.commands import BustTrade, CloseInstrument, OpenInstrument, Reply, Settle
from domain.events import OrderFilled
from domain.identifiers import HOUSE
from domain.settlement import Obligation, ObligationKey
from domain.terms import Ledger, Phase, Side
from tests.model.desk_harness import Amount, DeskHarness

MONDAY, TUESDAY, WEDNESDAY, THURSDAY, FRIDAY = range(20261116, 20261121)


class SettlingDesk(DeskHarness):
    """Every command also leaves the house with what its open obligations say, no more."""

    def check(self) -> None:
        """Besides all else: the pool is what was delivered and is owed to somebody still."""
        super().check()
        owed: Counter[UUID] = Counter()
        for key, obligation in self.desk.accounts.obligations.items():
            owed[key.instrument_id] += obligation.qty
        assert {one: qty for one, qty in owed.items() if qty} == self.desk.accounts.pool
        assert 0 == self.ledger[HOUSE, int(Ledger.CLEARING)]
        assert set(self.desk.accounts.settlements) <= set(self.desk.accounts.obligations)

    def day(self, session_date: int, value_date: int, *symbols: str) -> None:
        """Let instruments trade in a session of this value date."""
        for symbol in symbols or ("X",):
            if self.desk.markets.by_symbol[symbol].instrument.phase != Phase.CLOSED:
                self.ok(CloseInstrument(symbol))
            opens_at = self.at
            self.ok(OpenInstrument(symbol, session_date, value_date, opens_at, opens_at + 10**12))

    def trade(
        self, buyer: UUID, seller: UUID, qty: Amount, price: Amount, symbol: str = "X"
    ) -> UUID:
        """Have one account sell to another; the trade's id."""
        for account, side in ((seller, Side.SELL), (buyer, Side.BUY)):
            reply = self.place(account, side, qty, price, symbol=symbol)
            assert reply.refusal is None, reply.refusal
        assert 1 == len(self.trades())
        trade_id: UUID = self.happened(OrderFilled)[0].trade_id
        return trade_id

    def bust(self, trade_id: UUID) -> Reply:
        """Undo a trade, however old."""
        one, other = (
            event
            for event in self.log
            if isinstance(event, OrderFilled) and event.trade_id == trade_id
        )
        self.desk.trades_found[trade_id] = (one, other)
        return self.ok(BustTrade(trade_id, 1, "erroneous"))

    def step(self, date: int, limit: int = 200) -> dict[str, Any]:
        """One settlement command."""
        result = self.ok(Settle(date, limit)).result
        assert result is not None
        return result

    def run(self, date: int, limit: int = 200) -> dict[str, Any]:
        """A whole settlement run: what it settled and failed, and what is short after it."""
        settled = failed = 0
        while True:
            result = self.step(date, limit)
            settled += result["settled"]
            failed += result["failed"]
            if not result["remaining"]:
                return {**result, "settled": settled, "failed": failed}

    def short(self, date: int) -> list[tuple[str, str]]:
        """Run a date's settlement; who fails then, and why."""
        return [(row["account"], row["reason"]) for row in self.run(date)["short"]]

    def owed(self, account: UUID, value_date: int, symbol: str = "X") -> Obligation:
        """An account's open obligation."""
        instrument = self.desk.markets.by_symbol[symbol].instrument
        return self.desk.accounts.obligations[ObligationKey(account, instrument.id, value_date)]

    def due(self, account: UUID, value_date: int, symbol: str = "X") -> tuple[int, int]:
        """What an account's open obligation brings: (quantity, cents)."""
        owed = self.owed(account, value_date, symbol)
        return owed.qty, self.desk.accounts.by_id[account.int].settling(owed).amount

    def holds(self, account: UUID, symbol: str = "X") -> tuple[int, int]:
        """An account's (quantity, settled quantity) in whole units."""
        instrument = self.desk.markets.by_symbol[symbol].instrument
        position = self.desk.accounts.positions[account.int, instrument.id.int]
        return position.qty // 10**8, position.settled // 10**8

    def money(self, account: UUID) -> tuple[int, int, int]:
        """An account's (cash, receivable, payable) in cents."""
        found = self.desk.accounts.by_id[account.int]
        return found.cash, found.receivable, found.payable


def settling_desk(**terms: Any) -> SettlingDesk:
    """X, closed, and cash accounts `a` with 1,000 shares and `b` with none; 100,000 USD each."""
    desk = SettlingDesk()
    desk.instrument(opened=False, **terms)
    desk.a, desk.b = desk.account("a", 100_000), desk.account("b", 100_000)
    desk.hold(desk.a, 1000)
    return desk


def counts(result: dict[str, Any]) -> tuple[int, int, int]:
    """What a run came to: (settled, failed, left unsettled)."""
    return result["settled"], result["failed"], result["unsettled"]
