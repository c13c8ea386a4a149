"""An option of a multiplier is worth, in cents, what costs so many times as much."""

from __future__ import annotations

from fractions import Fraction
from typing import Any
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from application.commands import (
    BustTrade,
    CheckMargins,
    CloseDay,
    CloseInstrument,
    ClosePosition,
    CorrectTrade,
    ListInstrument,
    Reply,
    SetCommissionSchedule,
)
from application.log.ports import Recorded
from application.rehearsal.simulated_day.exact_books import ExactBooks
from application.rehearsal.simulated_day.statements import compare, desk_statement
from domain.commission import Kind
from domain.events import AccountDayClosed, OrderFilled, PositionMarked
from domain.terms import AccountKind, Right, Side, TimeInForce
from infrastructure.log.derived import undone_trade
from tests.model.desk_harness import code, wire
from tests.model.judged_log import judged
from tests.model.settling_desk import SettlingDesk
from tests.model.shown import Shown

SYMBOLS = {True: "X991218C00100000", False: "Y"}
DAYS = (20261201, 20261202, 20261203, 20261204, 20261207)


class Twin(SettlingDesk):
    """One of the twins: an option at a price, or what costs so many times as much."""

    def __init__(self, multiplier: int, *, is_option: bool) -> None:
        super().__init__(checked=False)
        self.times = 1 if is_option else multiplier
        self.symbol = SYMBOLS[is_option]
        self.day_number = 0
        self.trade_ids: list[UUID] = []
        self.answers: list[str] = []
        self.instrument("X")
        terms: dict[str, Any] = {"reference_price": wire(3 * self.times), "shortable": True}
        terms |= {"price_decimals": 2, "tick": wire(Fraction(self.times, 100))}
        terms |= {"settlement_cycle": 1, "calendar": "manual"}
        if is_option:
            terms |= {"asset_class": "us_option", "underlying": "X", "multiplier": multiplier}
            terms |= {"right": int(Right.CALL), "strike": wire(100), "expiry": 20991218}
            terms["calendar"] = ""
        self.ok(self.listing(self.symbol, **terms))
        self.people = [
            self.account("cash", 40_000),
            self.account("rich", 900_000),
            self.account("poor", 30_000),
            self.account("both", 60_000, use_unsettled=True),
        ]
        bps = SetCommissionSchedule(self.people[0], int(Kind.BPS), ((0, 1_000, 2_500),), 35, 50)
        unit = SetCommissionSchedule(
            self.people[2], int(Kind.PER_SHARE), ((0, -(10**8), 65 * 10**7),)
        )
        self.ok(bps)
        self.ok(unit)
        self.next_day()
        # What written options bind is no matter of their multiplier alone: who writes is rich.
        self.writer = self.account("writer", 9_000_000, kind=AccountKind.MARGIN)
        for buyer in self.people:
            self.trade(buyer, self.writer, 5, 3 * self.times, self.symbol)

    def listing(self, symbol: str, **terms: Any) -> ListInstrument:
        return super().listing(symbol, **{"calendar": "manual", **terms})

    def next_day(self) -> None:
        """Settle what is due, and begin another session of both instruments."""
        day = DAYS[self.day_number % len(DAYS)] + 10_000 * (self.day_number // len(DAYS))
        self.day_number += 1
        self.run(day)
        self.day(day, day + 1, self.symbol)

    def end_day(self) -> None:
        """Close, mark what is held, and go on."""
        self.ok(CloseInstrument(self.symbol))
        self.ok(CloseDay(self.at, tuple(self.people)))
        self.next_day()

    def do(self, what: tuple[Any, ...]) -> None:
        """One of the moves."""
        match what:
            case "order", who, side, qty, price, tif:
                limit = None if price is None else Fraction(price * self.times, 100)
                reply = self.place(self.people[who], side, qty, limit, tif=tif, symbol=self.symbol)
                self.answers.append(_told(reply, self.times))
                for event in self.happened(OrderFilled):
                    if event.trade_id not in self.trade_ids:
                        self.trade_ids.append(event.trade_id)
            case "close", who:
                key = f"close-{self.number}"
                reply = self.send(ClosePosition(self.people[who], self.symbol, key))
                self.answers.append(_told(reply, self.times))
            case "bust", number:
                self._undo(number, lambda one: BustTrade(one, 1, "erroneous"))
            case "correct", number, price:
                at = wire(Fraction(price * self.times, 100))
                self._undo(number, lambda one: CorrectTrade(one, 1, at, "mispriced"))
            case "mark", price:
                self.ok_or_not(self.mark(Fraction(price * self.times, 100), self.symbol))
            case "day":
                self.end_day()
            case "margins":
                self.ok(CheckMargins())

    def ok_or_not(self, reply: Reply) -> None:
        self.answers.append(code(reply))

    def _undo(self, number: int, command: Any) -> None:
        if not self.trade_ids:
            return
        trade_id = self.trade_ids[number % len(self.trade_ids)]
        one, other = (
            event
            for event in self.log
            if isinstance(event, OrderFilled) and event.trade_id == trade_id
        )
        self.desk.trades_found[trade_id] = (one, other)
        self.ok_or_not(self.send(command(trade_id)))

    def in_cents(self) -> dict[str, Any]:
        """All amounts of money there are, and all quantities."""
        shown = Shown(self.log)
        found: dict[str, Any] = {"answers": self.answers}
        for number, one in enumerate(self.people):
            account = self.desk.accounts.by_id[one.int]
            # What options bind of a margin account is no part of their value.
            worth = self.desk.margin(one)[:2]
            market = self.desk.markets.by_symbol[self.symbol]
            position = self.desk.accounts.positions[one.int, market.instrument.id.int]
            document = shown.account(one)
            held = shown.positions(one).get(self.symbol, {})
            names = ("market_value", "cost_basis", "unrealized_pl", "unrealized_intraday_pl")
            found[f"account {number}"] = (
                (account.cash, account.unsettled, account.held, account.payable),
                (account.commission, account.commissions, account.month_qty, account.traded_value),
                worth,
                (position.qty, position.settled, position.reserved, position.unpaid),
                (position.exact_cost, position.exact_realized, position.carried),
                [document[name] for name in ("equity", "buying_power", "long_market_value")],
                [held.get(name) for name in (*names, "realized_pl", "qty_available")],
            )
        found["days"] = [
            (event.equity, event.long_value, event.short_value)
            for event in self.log
            if isinstance(event, AccountDayClosed)
        ]
        found["marks"] = [
            (event.market_value, event.unrealized, event.carried_over)
            for event in self.log
            if isinstance(event, PositionMarked)
        ]
        parties = {one: str(number) for number, one in enumerate([*self.people, self.writer])}
        found["ledger"] = {
            (parties.get(party, "house"), name): amount
            for (party, name), amount in self.ledger.items()
        }
        found["traded"] = sum(
            traded.notional for event in self.log if (traded := event.traded()) is not None
        )
        undone = [undone_trade(number, event) for number, event in enumerate(self.log, 1)]
        found["undone"] = sum(one.notional for one in undone if one is not None)
        return found


def _told(reply: Reply, times: int) -> str:
    """What a client was told, but for prices."""
    if reply.refusal is not None:
        return reply.refusal.code
    assert reply.order is not None
    order = reply.order
    return f"{order.status} {order.filled} {int(order.value) // times}"


CENTS = st.integers(1, 900)
MOVES = st.one_of(
    st.tuples(
        st.just("order"),
        st.integers(0, 3),
        st.sampled_from(Side),
        st.integers(1, 12),
        st.one_of(st.integers(200, 400), st.none()),
        st.sampled_from([TimeInForce.GTC, TimeInForce.DAY, TimeInForce.IOC, TimeInForce.FOK]),
    ),
    st.tuples(st.just("close"), st.integers(0, 3)),
    st.tuples(st.just("bust"), st.integers(0, 20)),
    st.tuples(st.just("correct"), st.integers(0, 20), CENTS),
    st.tuples(st.just("mark"), CENTS),
    st.sampled_from([("day",), ("margins",)]),
)


@settings(max_examples=20, deadline=None)
@given(
    st.sampled_from([1, 10, 100, 133]),
    st.lists(MOVES, min_size=4, max_size=25),
)
def test_option_of_a_multiplier_is_worth_what_costs_so_many_times_as_much(
    multiplier: int, moves: list[tuple[Any, ...]]
) -> None:
    """Through trades, busts, corrections, marks, days, settlement and margin calls: every amount
    of cents, and everything a client is told beside prices, is the same; both books agree.
    """
    option = Twin(multiplier, is_option=True)
    share = Twin(multiplier, is_option=False)
    for move in moves:
        option.do(move)
        share.do(move)
    assert option.in_cents() == share.in_cents()
    for one in (option, share):
        one.check()
        raw = ExactBooks()
        raw.take(Recorded(number, event) for number, event in enumerate(one.log, 1))
        assert [] == compare([raw.statement(), desk_statement(one.desk)])[1]
        found = judged(one.log)
        assert [] == found.violations()
