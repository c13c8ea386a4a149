"""Multi-leg orders that want the two sides of one strategy: first come by net price."""

from __future__ import annotations

from fractions import Fraction

import pytest

from application.deciding.executing_multileg import MOST_PASSED
from domain.events import OrderFilled
from domain.terms import Side, StrategyStatus, TimeInForce
from tests.model.desk_harness import shares
from tests.model.strategy_desk import PAIR, TURNED, StrategyDesk, buys, sells

IOC, FOK = TimeInForce.IOC, TimeInForce.FOK
ONE = 10**9
LINEAR = 2


def test_multileg_order_meets_an_opposite_one_at_the_price_that_rested() -> None:
    """Who comes would take 1.00 and gets 2.00: the improvement is his. Nobody else trades."""
    desk = StrategyDesk()
    first = desk.placed(desk.me, PAIR, 5, 2, client="rests")

    second = desk.placed(desk.you, TURNED, 3, -1, client="comes")

    assert [("comes", 3, Fraction(-6)), ("rests", 3, Fraction(6))] == desk.executed()
    assert StrategyStatus.FILLED == desk.status(second)
    assert shares(2) == desk.parent(first.id).leaves
    prices = {symbol: price for symbol, _, price in desk.paid()}
    assert 2 == prices["A"] - prices["B"]
    desk.audit()


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_multileg_legs_may_be_named_in_any_order(order: tuple[int, int]) -> None:
    """The strategy is the same: instruments, sides and ratios."""
    desk = StrategyDesk()
    desk.placed(desk.me, (buys("A", 2), sells("B", 3)), 5, 2)

    legs = (sells("A", 2), buys("B", 3))
    parent = desk.placed(desk.you, tuple(legs[place] for place in order), 5, -2, IOC)

    assert StrategyStatus.FILLED == desk.status(parent)
    desk.audit()


@pytest.mark.parametrize(
    "legs",
    [
        (sells("A", 3), buys("B", 2)),
        (sells("A"), buys("C")),
        (sells("A", 2), buys("B", 3), buys("C")),
        (buys("A", 2), sells("B", 3)),
    ],
)
def test_multileg_order_meets_no_other_strategy(
    legs: tuple[tuple[str, int, int, int], ...],
) -> None:
    """Other ratios, other instruments, one leg more or the same side are something else."""
    desk = StrategyDesk()
    desk.placed(desk.me, (buys("A", 2), sells("B", 3)), 5, 1_000)

    desk.placed(desk.you, legs, 5, 1_000)

    assert [] == desk.executed()
    desk.audit()


def test_multileg_opposite_orders_are_met_by_net_price_then_by_time() -> None:
    """The best first, of two alike who came first; none beyond what the one who comes takes."""
    desk = StrategyDesk()
    for account, net, client in (
        (desk.me, 2, "third"),
        (desk.other, 3, "first"),
        (desk.maker, 2, "fourth"),
        (desk.me, 1, "never"),
        (desk.other, "2.5", "second"),
    ):
        desk.placed(account, PAIR, 2, net, client=client)

    desk.placed(desk.you, TURNED, 9, -2, client="comes")

    met = [(name, cost) for name, _, cost in desk.executed() if name != "comes"]
    assert [("first", 6), ("second", 5), ("third", 4), ("fourth", 4)] == met
    desk.audit()


def test_multileg_order_takes_the_better_of_books_and_an_opposite_order() -> None:
    """Books at 1.00, an opposite order at 2.00, books at 3.00; at the same price books first."""
    desk = StrategyDesk()
    desk.placed(desk.you, TURNED, 4, -2, client="opposite")
    desk.offers("A", 3, 100)
    desk.offers("A", 3, 101)
    desk.offers("A", 9, 102)
    desk.bids("B", 99, 99)

    parent = desk.placed(desk.me, PAIR, 20, 3, client="comes")

    mine = [(units, cost) for name, units, cost in desk.executed() if name == "comes"]
    assert [(6, 9), (4, 8), (9, 27)] == mine
    assert shares(1) == desk.parent(parent.id).leaves
    desk.audit()


def test_multileg_leg_prices_never_pass_an_order_that_stands_in_a_book() -> None:
    """Between the best bid and offer of each leg, wherever the references are."""
    desk = StrategyDesk()
    desk.bids("A", 1, 120)
    desk.offers("A", 1, 121)
    desk.bids("B", 1, 90)
    desk.offers("B", 1, 91)
    desk.placed(desk.me, PAIR, 5, "30.50")

    desk.placed(desk.you, TURNED, 5, "-30.50")

    prices = {symbol: price for symbol, _, price in desk.paid()}
    assert 120 <= prices["A"] <= 121
    assert 90 <= prices["B"] <= 91
    desk.audit()


def test_multileg_orders_do_not_meet_where_the_books_leave_no_price() -> None:
    """The legs' books are better than the net price of both: who comes takes them instead."""
    desk = StrategyDesk()
    desk.bids("A", 5, 100)
    desk.offers("A", 5, 101)
    desk.bids("B", 5, 100)
    desk.offers("B", 5, 101)
    first = desk.placed(desk.me, PAIR, 2, -5)

    second = desk.placed(desk.you, TURNED, 2, 5)

    assert 0 == desk.parent(first.id).filled
    assert StrategyStatus.FILLED == desk.status(second)
    desk.audit()


def test_multileg_orders_that_rested_past_each_other_meet_when_books_let_them() -> None:
    """Their nets cross while a leg is halted; when it trades on the newer one takes the older."""
    desk = StrategyDesk()
    desk.close("B")
    desk.placed(desk.me, PAIR, 5, 2, client="older")
    desk.placed(desk.you, TURNED, 5, -1, client="newer")
    assert [] == desk.executed()

    desk.open("B")

    assert [("newer", 5, Fraction(-10)), ("older", 5, Fraction(10))] == desk.executed()
    desk.audit()


def test_multileg_orders_of_one_owner_never_meet() -> None:
    """Nobody trades with himself, whatever account it is; another owner behind is met."""
    desk = StrategyDesk()
    alias = desk.account("alias", owner="me")
    mine = desk.account("mine", owner="me")
    for account in (alias, mine):
        for symbol in ("A", "B"):
            desk.hold(account, 100, symbol)
    desk.placed(alias, PAIR, 5, 3, client="own")
    desk.placed(desk.other, PAIR, 5, 2, client="other")

    desk.placed(mine, TURNED, 4, -1, client="comes")

    assert [("comes", 4), ("other", 4)] == [row[:2] for row in desk.executed()]
    desk.audit()


def test_multileg_constraints_of_both_hold_where_they_meet() -> None:
    """A constraint that the prices between the books cannot meet keeps the two apart."""
    desk = StrategyDesk()
    desk.bids("A", 1, 100)
    desk.offers("A", 1, 101)
    below = (LINEAR, 0, 1, ONE, 0, 99 * ONE)
    first = desk.placed(desk.me, PAIR, 5, 2, constraints=(below,))

    desk.placed(desk.you, TURNED, 5, -2)

    assert 0 == desk.parent(first.id).filled
    assert [] == desk.executed()
    desk.audit()


@pytest.mark.parametrize("blocked", [MOST_PASSED - 1, MOST_PASSED])
def test_multileg_order_that_comes_looks_at_no_endless_row_of_blocked_ones(blocked: int) -> None:
    """A hundred opposite orders whose constraints no price meets are passed, and no more."""
    desk = StrategyDesk()
    desk.checked = False
    desk.bids("A", 1, 60)
    never = ((LINEAR, 0, 1, ONE, 0, 50 * ONE),)
    for _ in range(blocked):
        desk.placed(desk.me, PAIR, 1, 5, constraints=never)
    desk.placed(desk.other, PAIR, 1, 4, client="behind")

    desk.placed(desk.you, TURNED, 1, -3)

    assert (blocked < MOST_PASSED) == ("behind" in [row[0] for row in desk.executed()])
    desk.check()
    desk.audit()


def test_multileg_fill_or_kill_counts_books_and_opposite_orders_together() -> None:
    """Four at an opposite order and six in the books: ten trade, eleven do not."""
    desk = StrategyDesk()
    desk.offers("A", 6, 101)
    desk.bids("B", 50, 99)
    desk.placed(desk.you, TURNED, 4, -1)

    too_many = desk.placed(desk.me, PAIR, 11, 3, FOK)
    assert (StrategyStatus.CANCELED, 0) == (desk.status(too_many), desk.parent(too_many.id).filled)

    enough = desk.placed(desk.me, PAIR, 10, 3, FOK)
    assert StrategyStatus.FILLED == desk.status(enough)
    desk.audit()


@pytest.mark.parametrize("qty", range(2, 9))
def test_multileg_fill_or_kill_is_whole_or_nothing_where_a_constraint_parts_it(qty: int) -> None:
    """The books' first units alone are not within the constraint, with those behind them they are:
    what cannot trade whole does not trade in part.
    """
    desk = StrategyDesk()
    desk.placed(desk.you, TURNED, 3, "-1.50")
    desk.offers("A", 2, 100)
    desk.offers("A", 5, 102)
    desk.bids("B", 50, 99)
    above = (LINEAR, 0, 1, -ONE, 0, -101 * ONE)

    parent = desk.placed(desk.me, PAIR, qty, 5, FOK, constraints=(above,))

    assert desk.parent(parent.id).filled in (0, shares(qty))
    desk.audit()


def test_multileg_fill_or_kill_is_known_to_fill_before_anything_trades() -> None:
    """Five in the books are within the constraint, the first two of them alone are not: with three
    at an opposite order there are eight to be had, and still not three and two.
    """
    desk = StrategyDesk()
    for symbol in ("A", "B"):
        desk.place(desk.maker, Side.SELL, 1, "99.50", symbol=symbol)
        desk.place(desk.other, Side.BUY, 1, "99.50", symbol=symbol)
    desk.offers("A", 9, 100)
    desk.bids("B", 2, 99)
    desk.bids("B", 3, 97)
    desk.placed(desk.you, TURNED, 3, "-0.50")
    sum_of_both = (LINEAR, 0, 1, ONE, ONE, 199 * ONE - ONE // 2)

    parent = desk.placed(desk.me, PAIR, 5, 5, FOK, constraints=(sum_of_both,))

    assert StrategyStatus.FILLED == desk.status(parent)
    assert [5] == [units for _, units, _ in desk.executed()]
    desk.audit()


def test_multileg_trade_of_two_orders_has_two_sides_like_any_other() -> None:
    """Each leg is one trade of two fills: the one who came has removed, the other added."""
    desk = StrategyDesk()
    desk.placed(desk.me, PAIR, 5, 2)

    desk.placed(desk.you, TURNED, 5, -2)

    fills = desk.happened(OrderFilled)
    assert [(2, 1)] * 2 == [
        (one.liquidity, other.liquidity) for one, other in zip(fills[::2], fills[1::2], strict=True)
    ]
    assert [int(Side.SELL), int(Side.BUY)] == [one.side for one in fills[::2]]
    desk.audit()
