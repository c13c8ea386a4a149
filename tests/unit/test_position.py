"""A position: quantity, cost and profit that add up however often it turns round."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from application.commands import TransferPosition
from domain.decision import Decision
from domain.identifiers import uuid7
from domain.position import Position, traded
from domain.terms import Side
from domain.trade import Trade, TradeDates
from tests.model.desk_harness import code, shares, trading_desk

BUY, SELL = int(Side.BUY), int(Side.SELL)
TRADES = st.lists(
    st.tuples(st.sampled_from([BUY, SELL]), st.integers(1, 10**6), st.integers(0, 10**9)),
    max_size=30,
)


@given(TRADES)
def test_no_cent_is_lost_between_cost_and_profit(trades):
    """What was paid is in the basis, what was gained is realized, and nothing is between them."""
    qty = cost = realized = paid = 0
    for side, amount, worth in trades:
        qty, cost, gained = traded(qty, cost, side, amount, worth)
        realized += gained
        paid += worth if side == BUY else -worth
        assert cost - realized == paid
    assert sum(n if side == BUY else -n for side, n, _ in trades) == qty
    if qty == 0:
        assert (0, -paid) == (cost, realized)


@pytest.mark.parametrize(
    ("before", "side", "qty", "worth", "after"),
    [
        ((0, 0), BUY, 10, 1000, (10, 1000, 0)),
        ((10, 1000), BUY, 10, 3000, (20, 4000, 0)),
        ((10, 1000), SELL, 4, 500, (6, 600, 100)),
        ((10, 1000), SELL, 10, 900, (0, 0, -100)),
        ((10, 1000), SELL, 15, 1500, (-5, -500, 0)),
        ((-5, -500), BUY, 5, 400, (0, 0, 100)),
        ((-5, -500), BUY, 8, 800, (3, 300, 0)),
        ((3, 100), SELL, 1, 33, (2, 67, 0)),
        ((0, 0), SELL, 5, 500, (-5, -500, 0)),
    ],
)
def test_what_a_trade_closes_is_realized_and_what_it_opens_adds_to_the_basis(
    before, side, qty, worth, after
):
    """Long, short, in part, whole, and through zero."""
    assert after == traded(*before, side, qty, worth)


def test_what_is_reserved_cannot_be_released_or_used_twice():
    """A broken invariant stops the writer."""
    step = Decision(1, 0, 1, "t", "t", 1)
    ids = [uuid7(1, 0, 1, number) for number in range(4)]
    position = Position.open(step, *ids[:3])
    position.reserve(step, ids[3], 5)
    with pytest.raises(AssertionError):
        position.release(step, ids[3], 6)
    with pytest.raises(AssertionError):
        made = Trade(
            *(ids[3], ids[2], ids[3], SELL, 6),
            price=1,
            price_decimals=4,
            value=1,
            notional=1,
            fee=0,
            dates=TradeDates(0, 0),
        )
        position.trade(step, made, 6)
    assert (5, -5) == (position.reserved, position.available)


def position_of(venue, account: UUID) -> Position:
    """The account's position in X."""
    return next(p for p in venue.desk.accounts.positions.values() if p.account_id == account)


def test_only_free_and_settled_quantity_can_leave():
    """What a sell order reserves stays, and so does what was bought and is not delivered yet."""
    venue = trading_desk()
    venue.place(venue.a, Side.SELL, 600, 110)
    venue.place(venue.b, Side.SELL, 50, 100)
    venue.place(venue.a, Side.BUY, 50, 100)
    out = TransferPosition(venue.a, "X", -shares(451), 0, "1")
    assert "INSUFFICIENT_QTY" == code(venue.send(out))
    assert "" == code(venue.send(TransferPosition(venue.a, "X", -shares(450), 0, "2")))
    venue.cancel_all(venue.a)
    assert (shares(600), shares(550)) == (
        position_of(venue, venue.a).qty,
        position_of(venue, venue.a).settled,
    )
    assert "INSUFFICIENT_QTY" == code(
        venue.send(TransferPosition(venue.a, "X", -shares(551), 0, "3"))
    )


@pytest.mark.parametrize(
    ("symbol", "qty", "cost", "refusal"),
    [
        ("Z", shares(1), 0, "UNKNOWN_INSTRUMENT"),
        ("X", 0, 0, "INVALID_FIELD"),
        ("X", shares("0.5"), 0, "INVALID_FIELD"),
        ("X", shares(1), 10**15 + 1, "INVALID_AMOUNT"),
        ("X", shares(10**9), 0, "BALANCE_LIMIT"),
        ("X", -shares(1001), 0, "INSUFFICIENT_QTY"),
    ],
)
def test_a_transfer_that_cannot_be_is_refused_and_recorded(symbol, qty, cost, refusal):
    """One event says so, and the position stays as it is."""
    venue = trading_desk()
    before = position_of(venue, venue.a).state()
    assert refusal == code(venue.send(TransferPosition(venue.a, symbol, qty, cost, "k")))
    assert ["account.request_refused.v1"] == [event.TOPIC for event in venue.events]
    assert before == position_of(venue, venue.a).state()


def test_a_position_is_what_its_state_says():
    """State and back, with nothing derived left over."""
    venue = trading_desk()
    position = position_of(venue, venue.a)
    assert position.state() == Position.from_state(position.state()).state()
    assert position.modified_on >= position.created_on
