"""Multi-leg orders against the books of their legs: all legs in ratio, or none."""

from __future__ import annotations

from fractions import Fraction

import pytest

from application.deciding.executing_multileg import MOST_PASSED
from domain.events import MultiLegCanceled, OrderAccepted, OrderCanceled, OrderFilled
from domain.terms import CancelReason, SelfTrade, Side, StrategyStatus, TimeInForce
from tests.model.desk_harness import shares
from tests.model.strategy_desk import PAIR, StrategyDesk, buys, sells

IOC, FOK, DAY, GTC = TimeInForce.IOC, TimeInForce.FOK, TimeInForce.DAY, TimeInForce.GTC
ONE = 10**9
WITHIN, LINEAR = 1, 2


def quoted(*, depth: int = 10) -> StrategyDesk:
    """A and C are offered at 101 and 102, B is bid 99 and 98: so many shares at each price."""
    desk = StrategyDesk()
    for symbol in ("A", "C"):
        desk.offers(symbol, depth, 101)
        desk.offers(symbol, depth, 102)
    desk.bids("B", depth, 99)
    desk.bids("B", depth, 98)
    return desk


def test_multileg_pair_trades_at_once_within_its_net_price() -> None:
    """Both legs fill in the command that placed it, in the order in which they were named, and
    the execution that counts them comes behind.
    """
    desk = quoted()

    parent = desk.placed(desk.me, PAIR, 4, 2, client="pair")

    assert [("A", 4, 101), ("B", 4, 99)] == desk.paid()
    assert [("pair", 4, Fraction(8))] == desk.executed()
    assert StrategyStatus.FILLED == desk.status(parent)
    kinds = [type(event).__name__ for event in desk.events]
    assert kinds.index("MultiLegExecuted") > max(
        place for place, kind in enumerate(kinds) if kind == "OrderFilled"
    )
    desk.audit()


@pytest.mark.parametrize(
    ("net", "units"), [("1.99", 0), (2, 10), (3, 10), ("3.99", 10), (4, 20), (100, 20)]
)
def test_multileg_net_price_holds_for_every_unit(net: str, units: int) -> None:
    """The dearest unit is within the limit: an average that would be is not enough."""
    desk = quoted()

    parent = desk.placed(desk.me, PAIR, 50, net)

    assert shares(units) == desk.parent(parent.id).filled
    desk.audit()


def test_multileg_of_three_legs_trades_in_ratio_over_several_levels() -> None:
    """2 A and 1 C are bought for 5 B sold, as deep as each book is."""
    desk = quoted()

    parent = desk.placed(desk.me, (buys("A", 2), sells("B", 5), buys("C", 1)), 3, 0)

    assert [("A", 6, 101), ("B", 10, 99), ("B", 5, 98), ("C", 3, 101)] == desk.paid()
    assert StrategyStatus.FILLED == desk.status(parent)
    assert Fraction(9 * 101 - 990 - 490) == desk.executed()[0][2]
    desk.audit()


def test_multileg_of_four_legs_is_bound_by_its_thinnest_leg() -> None:
    """Where one book ends all legs end."""
    desk = quoted()
    desk.instrument("D", collar_bps=9_000)
    desk.bids("D", 3, 97)
    for account in (desk.me,):
        desk.hold(account, 100, "D")

    legs = (buys("A"), sells("B"), buys("C"), sells("D"))
    parent = desk.placed(desk.me, legs, 7, 100)

    assert shares(3) == parent.filled
    assert shares(4) == parent.leaves
    assert {3} == {qty for _, qty, _ in desk.paid()}
    desk.audit()


@pytest.mark.parametrize(
    ("tif", "net", "filled", "status", "reason"),
    [
        (IOC, 2, 10, StrategyStatus.CANCELED, CancelReason.IMMEDIATE_OR_CANCEL),
        (IOC, 1, 0, StrategyStatus.CANCELED, CancelReason.IMMEDIATE_OR_CANCEL),
        (IOC, None, 20, StrategyStatus.CANCELED, CancelReason.NO_LIQUIDITY),
        (DAY, None, 20, StrategyStatus.CANCELED, CancelReason.NO_LIQUIDITY),
        (FOK, 2, 0, StrategyStatus.CANCELED, CancelReason.FILL_OR_KILL),
        (FOK, None, 0, StrategyStatus.CANCELED, CancelReason.FILL_OR_KILL),
        (DAY, 2, 10, StrategyStatus.WORKING, 0),
        (GTC, 2, 10, StrategyStatus.WORKING, 0),
    ],
)
def test_multileg_time_in_force_says_what_becomes_of_the_rest(
    tif: TimeInForce, net: int | None, filled: int, status: StrategyStatus, reason: int
) -> None:
    """Of 25 units as many trade as the limit lets; fok is all or nothing; what may not rest is
    canceled with all its legs in the same command.
    """
    desk = quoted()

    parent = desk.placed(desk.me, PAIR, 25, net, tif)

    found = desk.parent(parent.id)
    assert (shares(filled), status, reason) == (found.filled, found.status, found.end_reason)
    if status == StrategyStatus.CANCELED:
        (event,) = desk.happened(MultiLegCanceled)
        assert shares(25 - filled) == event.canceled_qty
        assert {CancelReason.GROUP} == {one.reason for one in desk.happened(OrderCanceled)}
        assert 2 == len(desk.happened(OrderCanceled))
    desk.audit()


def test_multileg_that_rests_stands_in_no_book_and_holds_what_it_may_need() -> None:
    """Nobody sees a leg alone; what its legs close is reserved, what they open is held."""
    desk = quoted()

    parent = desk.placed(desk.me, PAIR, 5, 1)

    assert [] == desk.book(Side.BUY, "A")
    assert 2 == len(desk.book(Side.SELL, "A"))
    first, second = [desk.order(leg.order_id) for leg in parent.strategy]
    assert first.hold > 0 and not first.hold_qty
    assert (0, shares(5)) == (second.hold, second.hold_qty)
    desk.cancel(desk.me, parent.id)
    assert 0 == desk.desk.accounts.by_id[desk.me.int].held
    desk.audit()


def test_multileg_improvement_goes_to_the_order_that_comes() -> None:
    """A resting pair would pay 1.50; who now offers A for 100.20 sells it at 100.50."""
    desk = StrategyDesk()
    desk.bids("B", 10, 99)
    desk.placed(desk.me, PAIR, 4, "1.50", client="pair")

    desk.offers("A", 3, "100.20", desk.you)

    assert [("A", 3, Fraction("100.50")), ("B", 3, 99)] == desk.paid()
    assert [("pair", 3, Fraction("4.50"))] == desk.executed()
    desk.audit()


def test_multileg_improvement_of_a_bid_that_comes_lowers_what_it_pays() -> None:
    """A resting pair that buys A at 101 sells B at 99.50 for a net of 1.50, not at the 100 bid."""
    desk = StrategyDesk()
    desk.offers("A", 10, 101)
    desk.placed(desk.me, PAIR, 4, "1.50", client="pair")

    desk.bids("B", 9, 100, desk.you)

    assert [("A", 4, 101), ("B", 4, Fraction("99.50"))] == desk.paid()
    desk.audit()


def test_multileg_improvement_ends_at_the_collar_of_the_leg() -> None:
    """However much the pair would pay, nothing trades where no single order could."""
    desk = StrategyDesk(collar_bps=3_000)
    desk.bids("B", 10, 99)
    desk.placed(desk.me, PAIR, 4, 90)

    desk.offers("A", 3, "100.20", desk.you)

    assert [("A", 3, 130), ("B", 3, 99)] == desk.paid()
    desk.audit()


def test_multileg_leg_trades_no_further_than_the_collar() -> None:
    """A net price far away lets no leg trade where an order of its own would be refused."""
    desk = StrategyDesk(collar_bps=500)
    desk.offers("A", 5, 104)
    desk.bids("B", 5, 99)
    desk.place(desk.other, Side.SELL, 1, 100, symbol="A")
    desk.place(desk.you, Side.BUY, 1, 100, symbol="A")

    desk.placed(desk.me, PAIR, 9, 1_000)

    assert 5 == desk.executed()[0][1]
    desk.audit()


@pytest.mark.parametrize("mode", [SelfTrade.CANCEL_NEWEST, SelfTrade.CANCEL_OLDEST])
def test_multileg_order_never_meets_an_order_of_its_own_owner(mode: SelfTrade) -> None:
    """The plan ends in front of it: what stands before it trades, what is behind does not."""
    desk = StrategyDesk()
    desk.offers("A", 2, 100)
    desk.offers("A", 5, 101, desk.me)
    desk.offers("A", 5, 102)
    desk.bids("B", 10, 99)

    parent = desk.placed(desk.me, PAIR, 9, 50, self_trade=mode)

    assert shares(2) == parent.filled
    assert [shares(5), shares(5)] == [row[2] for row in desk.book(Side.SELL, "A")]
    desk.audit()


def test_multileg_order_that_its_own_owner_blocks_stands_in_nobody_elses_way() -> None:
    """Two rest for the same; the first cannot meet its owner's offer, the second can."""
    desk = StrategyDesk()
    desk.bids("B", 10, 99)
    mine = desk.placed(desk.me, PAIR, 2, 5, client="mine")
    yours = desk.placed(desk.you, PAIR, 3, 4, client="yours")

    desk.offers("A", 9, 101, desk.me)

    assert ["yours"] == [name for name, _, _ in desk.executed()]
    assert 0 == desk.parent(mine.id).filled
    assert StrategyStatus.FILLED == desk.status(yours)
    desk.audit()


def test_multileg_order_that_its_constraint_blocks_stands_in_nobody_elses_way() -> None:
    """Who comes behind it and asks for less than it would pay trades past it."""
    desk = StrategyDesk()
    desk.bids("B", 10, 99)
    never = ((LINEAR, 0, 1, ONE, 0, 50 * ONE),)
    mine = desk.placed(desk.me, PAIR, 2, 5, constraints=never)
    yours = desk.placed(desk.you, PAIR, 3, 4)

    desk.offers("A", 9, 101)

    assert 0 == desk.parent(mine.id).filled
    assert StrategyStatus.FILLED == desk.status(yours)
    desk.audit()


@pytest.mark.parametrize("blocked", [MOST_PASSED - 1, MOST_PASSED])
def test_multileg_orders_that_are_blocked_cost_a_book_no_endless_looks(blocked: int) -> None:
    """A hundred of one strategy that could pay and may not are looked at after a change; who
    stands behind so many waits for another one.
    """
    assert 100 == MOST_PASSED
    desk = StrategyDesk()
    desk.checked = False
    desk.bids("B", 10, 99)
    never = ((LINEAR, 0, 1, ONE, 0, 50 * ONE),)
    for _ in range(blocked):
        desk.placed(desk.me, PAIR, 1, 5, constraints=never)
    last = desk.placed(desk.you, PAIR, 3, 4)

    desk.offers("A", 9, 101)

    assert (blocked < MOST_PASSED) == (desk.parent(last.id).filled > 0)
    desk.check()
    desk.audit()


def test_multileg_orders_of_one_strategy_trade_by_net_price_then_by_time() -> None:
    """Three rest; who pays most trades first, of two alike who came first."""
    desk = StrategyDesk()
    desk.bids("B", 20, 99)
    for account, net, client in (
        (desk.me, 2, "late"),
        (desk.you, 3, "best"),
        (desk.other, 2, "latest"),
    ):
        desk.placed(account, PAIR, 3, net, client=client)

    desk.offers("A", 8, 101)

    assert [("best", 3), ("late", 3), ("latest", 2)] == [row[:2] for row in desk.executed()]
    desk.audit()


def test_multileg_orders_that_share_a_leg_trade_one_after_the_other() -> None:
    """What the one takes the other does not: the books never owe more than they have."""
    desk = StrategyDesk()
    desk.bids("B", 5, 99)
    desk.bids("C", 5, 99)
    desk.placed(desk.me, (buys("A"), sells("B")), 4, 3, client="first")
    desk.placed(desk.you, (buys("A"), sells("C")), 4, 3, client="second")

    desk.offers("A", 6, 101)

    assert [("first", 4), ("second", 2)] == [row[:2] for row in desk.executed()]
    assert [] == desk.book(Side.SELL, "A")
    desk.audit()


def test_multileg_execution_elects_a_stop_that_its_trade_reaches() -> None:
    """And what the stop then trades is seen by the pairs that rest."""
    desk = StrategyDesk()
    desk.offers("A", 2, 101)
    desk.bids("B", 9, 99)
    desk.place(desk.other, Side.BUY, 2, stop=101, symbol="A")
    desk.offers("A", 4, 105)

    desk.placed(desk.me, PAIR, 2, 2)

    assert 1 == len(desk.elections())
    assert [("A", 2, 101), ("B", 2, 99), ("A", 2, 105)] == desk.paid()
    desk.audit()


@pytest.mark.parametrize(
    ("constraint", "units"),
    [
        ((WITHIN, 0, 1, 20 * 10**6, 0, 0), 0),
        ((WITHIN, 0, 1, 21 * 10**6, 0, 0), 10),
        ((WITHIN, 1, 0, 20 * 10**6, 0, 0), 10),
        ((WITHIN, 0, 1, 30 * 10**6, 0, 0), 19),
        ((LINEAR, 0, 1, ONE, -ONE, 2 * ONE), 10),
        ((LINEAR, 0, 1, ONE, -ONE, 2 * ONE - 1), 0),
        ((LINEAR, 0, 1, ONE, 0, 101 * ONE + ONE // 4), 13),
        ((LINEAR, 1, 0, -ONE, 0, -98 * ONE - ONE // 2), 20),
    ],
)
def test_multileg_constraint_bounds_the_average_prices_of_an_execution(
    constraint: tuple[int, int, int, int, int, int], units: int
) -> None:
    """The most units trade whose legs' average prices are within it, to the last digit."""
    desk = quoted()

    parent = desk.placed(desk.me, PAIR, 30, 10, IOC, constraints=(constraint,))

    assert shares(units) == desk.parent(parent.id).filled
    desk.audit()


@pytest.mark.parametrize("phase", ["halted", "closed"])
def test_multileg_order_waits_while_one_of_its_legs_does_not_trade(phase: str) -> None:
    """The other leg's book changes meanwhile; when both trade again it looks at once."""
    desk = StrategyDesk()
    desk.bids("B", 5, 99)
    parent = desk.placed(desk.me, PAIR, 5, 2)
    (desk.halt if phase == "halted" else desk.close)("B")

    desk.offers("A", 5, 101)
    assert 0 == desk.parent(parent.id).filled
    (desk.resume if phase == "halted" else desk.open)("B")

    assert StrategyStatus.FILLED == desk.status(parent)
    desk.audit()


def test_multileg_legs_are_orders_of_their_own_that_name_their_whole() -> None:
    """Each has an id, its parent's as its group's, and its place; they are never in a book."""
    desk = StrategyDesk()

    parent = desk.placed(desk.me, (buys("A", 2), sells("B", 3), buys("C")), 2, -500)

    accepted = desk.happened(OrderAccepted)
    assert [11, 12, 13] == [event.leg for event in accepted]
    assert {parent.id} == {event.group_id for event in accepted}
    assert [shares(4), shares(6), shares(2)] == [event.qty for event in accepted]
    assert [False] * 3 == [event.armed for event in accepted]
    desk.audit()


def test_multileg_of_the_largest_quantities_and_prices_stays_exact() -> None:
    """Hundred million units for ten thousand dollars each: the cost is exact."""
    desk = StrategyDesk(reference_price=10**13, collar_bps=9_000)
    rich, maker = [desk.account(name, 9 * 10**12) for name in ("rich", "richer")]
    for symbol in ("A", "B"):
        for account in (rich, maker):
            desk.hold(account, 5 * 10**8, symbol)
    price = 10**4 + Fraction(1, 100)
    desk.offers("A", 10**8, price, maker)
    desk.bids("B", 10**8, 10**4, maker)

    parent = desk.placed(rich, PAIR, 10**8, "0.01")

    assert StrategyStatus.FILLED == desk.status(parent)
    assert Fraction(10**8, 100) == desk.executed()[0][2]
    desk.audit()


def test_multileg_of_tiny_ticks_and_lots_stays_exact() -> None:
    """A tick of a hundred millionth and lots of a hundredth of a share."""
    desk = StrategyDesk()
    for symbol in ("P", "Q"):
        desk.instrument(
            symbol,
            asset_class="crypto",
            price_decimals=8,
            tick=10,
            lot=shares("0.01"),
            reference_price=10**4,
            collar_bps=9_000,
        )
        for account in (desk.maker, desk.me):
            desk.hold(account, 1_000, symbol)
    desk.offers("P", "3.99", Fraction(1_001, 10**8))
    desk.bids("Q", 9, Fraction(999, 10**8))

    parent = desk.placed(desk.me, (buys("P"), sells("Q")), 9, Fraction(2, 10**8))

    assert shares(3) == parent.filled
    assert Fraction(6, 10**8) == desk.executed()[0][2]
    assert shares("0.99") == desk.book(Side.SELL, "P")[0][2]
    desk.audit()


def test_multileg_order_that_rests_is_not_seen_by_an_order_that_may_not_rest() -> None:
    """An ioc order meets the book alone; one that rests meets the pair at once."""
    desk = StrategyDesk()
    desk.bids("B", 9, 99)
    desk.placed(desk.me, PAIR, 4, 2)

    desk.place(desk.you, Side.SELL, 4, 101, symbol="A", tif=IOC)
    assert [] == desk.executed()
    desk.place(desk.you, Side.SELL, 4, 101, symbol="A", tif=DAY)

    assert 4 == desk.executed()[0][1]
    desk.audit()


def test_multileg_fill_in_a_partial_book_leaves_lots_that_are_no_unit() -> None:
    """3 A for 2 B: of 10 offered nine trade."""
    desk = StrategyDesk()
    desk.offers("A", 10, 100)
    desk.bids("B", 10, 100)

    desk.placed(desk.me, (buys("A", 3), sells("B", 2)), 4, 100)

    assert [("A", 9, 100), ("B", 6, 100)] == desk.paid()
    assert shares(1) == desk.book(Side.SELL, "A")[0][2]
    assert 4 == len(desk.happened(OrderFilled))
    desk.audit()
