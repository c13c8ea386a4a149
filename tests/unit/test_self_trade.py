"""Self-trade prevention: by owner, and the incoming order's instruction governs."""

import pytest

from domain.events import OrderCanceled
from domain.terms import CancelReason, OrderStatus, SelfTrade, Side, TimeInForce
from tests.model.desk_harness import DeskHarness, shares, trading_desk

BUY, SELL = Side.BUY, Side.SELL
NEWEST, OLDEST, BOTH = SelfTrade.CANCEL_NEWEST, SelfTrade.CANCEL_OLDEST, SelfTrade.CANCEL_BOTH


@pytest.fixture
def venue() -> DeskHarness:
    """A stranger's offer at 100, then one of the same owner's, then a stranger's at 101."""
    venue = trading_desk()
    venue.sister = venue.account("a's other account", owner="a")
    venue.hold(venue.sister, 100)
    venue.place(venue.b, SELL, 1, 100, client="stranger")
    venue.place(venue.sister, SELL, 5, 100, client="own")
    venue.place(venue.b, SELL, 9, 101, client="behind")
    return venue


def status(venue: DeskHarness, label: str) -> int:
    """How an order stands, found by its label."""
    return venue.order(next(k for k, v in venue.labels.items() if v == label)).status


@pytest.mark.parametrize(
    ("instruction", "trades", "incoming", "own"),
    [
        (NEWEST, ["stranger"], OrderStatus.CANCELED, OrderStatus.NEW),
        (OLDEST, ["stranger", "behind"], OrderStatus.FILLED, OrderStatus.CANCELED),
        (BOTH, ["stranger"], OrderStatus.CANCELED, OrderStatus.CANCELED),
    ],
)
def test_the_incoming_instruction_says_who_gives_way(venue, instruction, trades, incoming, own):
    """Two accounts of one owner never trade with each other, whoever stands in between."""
    venue.place(venue.a, BUY, 4, 101, client="mine", self_trade=instruction)

    assert trades == [sell for _, sell, _, _ in venue.trades()]
    assert [incoming, own] == [status(venue, "mine"), status(venue, "own")]
    reasons = {event.reason for event in venue.happened(OrderCanceled)}
    assert {int(CancelReason.SELF_TRADE)} == reasons


def test_the_resting_orders_instruction_is_not_asked(venue):
    """Only who comes in governs."""
    venue.cancel_all(venue.b)
    venue.cancel_all(venue.sister)
    venue.place(venue.sister, SELL, 5, 100, client="resting", self_trade=NEWEST)
    venue.place(venue.a, BUY, 5, 100, client="mine", self_trade=OLDEST)
    assert [OrderStatus.NEW, OrderStatus.CANCELED] == [
        status(venue, "mine"),
        status(venue, "resting"),
    ]


@pytest.mark.parametrize(
    ("instruction", "qty", "filled"),
    [
        (NEWEST, 1, True),
        (NEWEST, 2, False),
        (BOTH, 2, False),
        (OLDEST, 10, True),
        (OLDEST, 11, False),
    ],
)
def test_fok_counts_only_what_prevention_lets_it_trade(venue, instruction, qty, filled):
    """All or nothing; and when nothing, the own orders it would have met stay untouched."""
    before = venue.book(SELL)
    venue.place(venue.a, BUY, qty, 101, tif=TimeInForce.FOK, client="m", self_trade=instruction)
    assert (OrderStatus.FILLED if filled else OrderStatus.CANCELED) == status(venue, "m")
    if not filled:
        assert before == venue.book(SELL)
        [canceled] = venue.happened(OrderCanceled)
        assert CancelReason.FILL_OR_KILL == canceled.reason


def test_an_elected_stop_obeys_its_own_instruction(venue):
    """Its election makes it the incoming order."""
    venue.place(venue.a, BUY, 2, 101, stop=100, client="stop", self_trade=OLDEST)
    third = venue.account("third")
    venue.place(third, BUY, 1, 100)
    assert [("stop", 1, 100_0000)] == venue.elections()
    assert [("stop", "behind", shares(2), 101_0000)] == venue.trades()[1:]
    assert OrderStatus.CANCELED == status(venue, "own")


def test_an_account_without_a_named_owner_is_its_own(venue):
    """It does not trade with itself, and does with all others."""
    venue.place(venue.b, BUY, 1, 100, client="own side")
    assert [] == venue.trades()
    assert OrderStatus.CANCELED == status(venue, "own side")
