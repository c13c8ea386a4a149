"""The worked example of `docs/multileg.md`: an iron condor from its order to what it binds."""

from __future__ import annotations

from pathlib import Path

import pytest

from application.commands import ListOptionChain, PlaceMultiLeg, Reply
from application.multileg import StrategyView
from domain.events import OrderFilled
from domain.money import EXACT_CENT
from domain.terms import (
    AccountKind,
    OrderType,
    PositionIntent,
    Right,
    Side,
    StrategyStatus,
    TimeInForce,
)
from tests.model.desk_harness import DeskHarness, cents, shares, wire

PAGE = (Path(__file__).resolve().parent.parent.parent / "docs" / "multileg.md").read_text()
PUT_90, PUT_95 = "X261218P00090000", "X261218P00095000"
CALL_105, CALL_110 = "X261218C00105000", "X261218C00110000"
QUOTES = {
    PUT_90: ("0.40", "0.45"),
    PUT_95: ("1.20", "1.25"),
    CALL_105: ("1.10", "1.15"),
    CALL_110: ("0.30", "0.35"),
}
"""What the market maker bids and offers for each contract."""
LEGS = (
    (PUT_90, Side.BUY, PositionIntent.BUY_TO_OPEN),
    (PUT_95, Side.SELL, PositionIntent.SELL_TO_OPEN),
    (CALL_105, Side.SELL, PositionIntent.SELL_TO_OPEN),
    (CALL_110, Side.BUY, PositionIntent.BUY_TO_OPEN),
)
"""Bought wings, sold body: what is received is the most that can be won."""


class Condor:
    """A market in four contracts, and a client with 10,000 dollars on margin."""

    def __init__(self) -> None:
        self.venue = DeskHarness()
        self.venue.instrument("X")
        self.maker = self.venue.account("maker", kind=AccountKind.MARGIN)
        self.client = self.venue.account("client", 10_000, kind=AccountKind.MARGIN)
        for rights, strikes in (((Right.PUT,), (90, 95)), ((Right.CALL,), (105, 110))):
            self.venue.ok(
                ListOptionChain(
                    underlying="X",
                    expiries=(20261218,),
                    strikes=tuple(wire(strike) for strike in strikes),
                    rights=tuple(map(int, rights)),
                    tick=wire("0.01"),
                )
            )
        for symbol, (bid, ask) in QUOTES.items():
            self.venue.open(symbol)
            for side, price in ((Side.BUY, bid), (Side.SELL, ask)):
                placed = self.venue.place(self.maker, side, 50, price, symbol=symbol)
                assert placed.refusal is None, placed.refusal

    def order(self, qty: int, credit: str) -> Reply:
        """An iron condor for a credit."""
        return self.venue.send(
            PlaceMultiLeg(
                self.client,
                int(OrderType.LIMIT),
                int(TimeInForce.DAY),
                shares(qty),
                -wire(credit),
                f"condor-{credit}",
                tuple((symbol, int(side), 1, int(intent)) for symbol, side, intent in LEGS),
            )
        )


@pytest.fixture
def condor() -> Condor:
    """Before anything was traded."""
    return Condor()


def shown(reply: Reply) -> StrategyView:
    """The multi-leg order of an answer."""
    assert reply.refusal is None, reply.refusal
    assert reply.strategy is not None
    return reply.strategy


def test_condor_that_the_books_pay_for_trades_at_once_and_whole(condor: Condor) -> None:
    """Each leg at the best price of its own book, and for each unit what was asked for."""
    placed = shown(condor.order(5, "1.50"))

    assert StrategyStatus.FILLED == placed.status
    assert -750 * 100 * EXACT_CENT == int(placed.cost)
    assert len(condor.venue.trades()) == 4
    for symbol, side, intent in LEGS:
        bid, ask = QUOTES[symbol]
        does = f"{'buys' if side is Side.BUY else 'sells'} 1"
        assert f"| {symbol} | {bid} | {ask} | {does} | {intent.name.lower()} |" in PAGE


def test_condor_that_asks_for_more_rests_whole_until_the_books_pay(condor: Condor) -> None:
    """Nobody sees a leg of it, and who lets it trade is given what it would have paid."""
    venue = condor.venue
    books = {symbol: venue.book(Side.BUY, symbol) for symbol in QUOTES}
    resting = shown(condor.order(5, "1.53"))
    assert (StrategyStatus.WORKING, 0) == (resting.status, resting.filled)
    assert books == {symbol: venue.book(Side.BUY, symbol) for symbol in QUOTES}

    comer = venue.account("comer", kind=AccountKind.MARGIN)
    venue.place(comer, Side.BUY, 2, "1.14", symbol=CALL_105)

    parent = venue.desk.strategies.live[resting.order_id.int]
    assert (shares(2), shares(3)) == (parent.filled, parent.leaves)
    assert -306 * 100 * EXACT_CENT == parent.cost
    (paid,) = {event.price for event in venue.happened(OrderFilled) if event.account_id == comer}
    assert 113 == paid


def test_condor_sets_aside_the_most_that_can_be_lost(condor: Condor) -> None:
    """One of its two spreads, never both, less what is received; never all four legs alone."""
    venue = condor.venue
    account = venue.desk.accounts.by_id[condor.client.int]
    shown(condor.order(5, "1.53"))

    assert cents("1735.00") == account.held
    assert "1,735.00 USD" in PAGE


def test_condor_that_has_traded_binds_its_width(condor: Condor) -> None:
    """With what was received in cash, and what it would cost to close taken off."""
    venue = condor.venue
    shown(condor.order(5, "1.50"))

    account = venue.desk.accounts.by_id[condor.client.int]
    margin = venue.desk.margin(condor.client)
    assert (0, cents("10750.00")) == (account.held, account.cash + account.unsettled)
    to_close = margin.short_value - margin.long_value
    assert cents("2500.00") == margin.initial + to_close == margin.maintenance + to_close
    assert "2,500.00 USD" in PAGE


def test_cancel_of_a_condor_cancels_every_leg_of_it(condor: Condor) -> None:
    """In one command, and what it had set aside is free."""
    venue = condor.venue
    account = venue.desk.accounts.by_id[condor.client.int]
    resting = shown(condor.order(5, "1.53"))
    assert account.held > 0

    reply = venue.cancel(condor.client, resting.order_id)

    assert reply.result is not None and shares(5) == reply.result["canceled_qty"]
    assert 0 == account.held
    assert not venue.desk.strategies.live
    assert not list(venue.desk.orders.of_account(condor.client))
