"""Money and shares: never made, never lost, whatever trades, is busted, corrected or moved."""

from __future__ import annotations

import random
from collections import defaultdict
from fractions import Fraction
from uuid import UUID

import pytest
from hypothesis import example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from application.commands import (
    BustTrade,
    CancelOrder,
    ChargeFee,
    CorrectTrade,
    Deposit,
    PlaceOrder,
    TransferPosition,
    Withdraw,
)
from application.desk.desk import Desk
from application.desk.following import DeskDiverged, follow
from application.log.ports import Recorded
from domain.events import (
    CashMoved,
    OrderFilled,
    OrderRejected,
    PositionTransferred,
    TradeBooked,
    TradeReversed,
)
from domain.identifiers import HOUSE
from domain.terms import Ledger, Side
from tests.model.desk_harness import DeskHarness, shares, trading_desk, wire

LOTS = [1, 7_919, shares("0.01"), shares(1)]


def busy(seed: int, commands: int, *, checked: bool = True) -> DeskHarness:
    """A market of four in lots of every size, with fees, busts and corrections in between."""
    draw = random.Random(seed)
    lot = LOTS[seed % len(LOTS)]
    venue = DeskHarness(checked=checked)
    venue.instrument(lot=lot, collar_bps=9_000)
    people = [venue.account(f"p{number}", cash=10**6) for number in range(4)]
    for person in people:
        venue.ok(TransferPosition(person, "X", 10**6 * lot, 0, "begin"))
    for number in range(commands):
        choice, who, key = draw.random(), draw.choice(people), f"k{number}"
        price = wire(Fraction(draw.randint(9_000, 11_000), 100))
        fills = [event for event in venue.log if isinstance(event, OrderFilled)]
        if choice < 0.7:
            kind, limit = draw.choice(((1, 0), (2, price), (2, price), (2, price)))
            qty = draw.randint(1, 5_000) * lot
            command = PlaceOrder(who, "X", draw.choice((1, 2)), kind, 1, qty, limit, 0, key)
        elif choice < 0.8:
            command = CancelOrder(who, None, f"k{draw.randrange(number + 1)}", key)
        elif choice < 0.86:
            command = draw.choice((Deposit, Withdraw, ChargeFee))(who, draw.randint(1, 10**6), key)
        elif choice < 0.9 or not fills:
            qty = draw.choice((-1, 1)) * draw.randint(1, 10**4) * lot
            command = TransferPosition(who, "X", qty, draw.randint(0, 999), key)
        else:
            trade_id = draw.choice(fills).trade_id
            buy, sell = (event for event in fills if event.trade_id == trade_id)
            venue.desk.trades_found[trade_id] = (buy, sell)
            command = (
                BustTrade(trade_id, 1, "error")
                if choice < 0.95
                else CorrectTrade(trade_id, 1, price, "error")
            )
        venue.send(command)
    venue.check()
    return venue


def assert_nothing_is_made_or_lost(venue: DeskHarness) -> None:
    """Add everything up from the events alone, as an auditor would."""
    cash: defaultdict[UUID, int] = defaultdict(int)
    unsettled: defaultdict[UUID, int] = defaultdict(int)
    quantity: defaultdict[UUID, int] = defaultdict(int)
    transferred = 0
    for event in venue.log:
        if isinstance(event, CashMoved):
            cash[event.originator_id] += event.amount
        elif isinstance(event, TradeBooked | TradeReversed):
            sign = (1 if event.side == Side.SELL else -1) * (
                1 if isinstance(event, TradeBooked) else -1
            )
            unsettled[event.originator_id] += sign * event.notional
            quantity[event.originator_id] -= sign * event.qty
        elif isinstance(event, PositionTransferred):
            quantity[event.account_id] += event.qty
            transferred += event.qty
    desk = venue.desk
    for account in desk.accounts.by_id.values():
        assert (cash[account.id], unsettled[account.id]) == (account.cash, account.unsettled)
    for position in desk.accounts.positions.values():
        assert quantity[position.account_id] == position.qty
    assert 0 == venue.ledger[HOUSE, int(Ledger.CLEARING)]
    assert -sum(unsettled.values()) == venue.ledger[HOUSE, int(Ledger.ROUNDING)]
    assert 2 * abs(sum(unsettled.values())) <= len(unsettled)
    assert transferred == sum(position.qty for position in desk.accounts.positions.values())
    house = {ledger: amount for (party, ledger), amount in venue.ledger.items() if party == HOUSE}
    assert -sum(house.values()) == sum(cash.values()) + sum(unsettled.values())


@hypothesis_settings(max_examples=20)
@given(st.integers(0, 10**6))
def test_every_cent_and_share_is_accounted_for(seed):
    """The postings of all events sum to what the accounts hold, and the house holds the rest."""
    assert_nothing_is_made_or_lost(busy(seed, 60))


@pytest.mark.parametrize("seed", range(4))
def test_a_long_day_ends_with_a_ledger_of_zero(seed):
    """Hundreds of trades in lots of one size each, down to the smallest there is."""
    venue = busy(seed, 600, checked=False)
    assert sum(isinstance(event, OrderFilled) for event in venue.log) > 100
    assert_nothing_is_made_or_lost(venue)


@hypothesis_settings(max_examples=60)
@given(
    st.lists(
        st.tuples(st.integers(1, 9), st.integers(800_000, 1_300_000)), min_size=1, max_size=30
    ),
    st.sampled_from([1, 10**4, 10**5, 10**7]),
)
def test_a_buyer_pays_the_exact_value_of_all_its_trades_to_half_a_cent(trades, lot):
    """However small the lots and however many the trades, nothing is gained or lost by rounding."""
    venue = trading_desk(lot=lot, tick=wire("0.0001"), collar_bps=9_000)
    venue.checked = False
    exact = Fraction(0)
    for number, (lots, price) in enumerate(trades):
        qty, cost = lots * lot, wire(Fraction(price, 10**4))
        venue.ok(PlaceOrder(venue.b, "X", 2, 2, 1, qty, cost, 0, f"s{number}"))
        venue.ok(PlaceOrder(venue.a, "X", 1, 2, 1, qty, cost, 0, f"b{number}"))
        exact += Fraction(qty, 10**8) * Fraction(price, 10**4) * 100
    venue.check()
    paid = -venue.desk.accounts.by_id[venue.a.int].unsettled
    assert abs(paid - exact) <= Fraction(1, 2)
    assert 0 == venue.desk.accounts.by_id[venue.a.int].held


@hypothesis_settings(max_examples=30)
@given(st.integers(0, 40), st.integers(0, 10**6))
@example(2, 109)
def test_a_log_with_a_hole_or_a_wrong_event_is_called_diverged(seed, where):
    """A follower never goes on over an event that is missing, doubled or out of its place."""
    venue = busy(seed % 4, 25)
    events = [Recorded(n, event) for n, event in enumerate(venue.log, 1)]
    hole = where % (len(events) - 1)
    with pytest.raises(DeskDiverged):
        follow(Desk(), events[:hole] + events[hole + 1 :])
    if isinstance(events[hole].event, OrderRejected):
        return  # it is the whole life of its order and leaves nothing to compare with
    doubled = [row.event for row in events[: hole + 1]] + [events[hole].event]
    with pytest.raises(DeskDiverged):
        follow(Desk(), [Recorded(n, event) for n, event in enumerate(doubled, 1)])
