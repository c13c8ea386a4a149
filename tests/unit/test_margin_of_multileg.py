"""What a multi-leg order holds: its largest loss at its price, never more than its legs alone."""

from __future__ import annotations

import pytest

from application.deciding.multileg_holds import LegAsk, strategy_hold
from domain.strategy_terms import StrategyTerms
from domain.terms import AccountKind, Execution, OrderType, Side, TimeInForce
from tests.model.desk_harness import Amount, cents, code, shares
from tests.model.judged_log import judged
from tests.model.option_desk import BUY, JUNE, SELL, OptionDesk, call, put
from tests.model.shown import Shown

Leg = tuple[Side, int, str]
CONDOR: tuple[Leg, ...] = (
    (BUY, 1, put(90)),
    (SELL, 1, put(95)),
    (SELL, 1, call(105)),
    (BUY, 1, call(110)),
)
HELD: tuple[tuple[str, Amount, tuple[Leg, ...], Amount], ...] = (
    ("debit vertical", 2, ((BUY, 1, call(100)), (SELL, 1, call(105))), 200),
    ("credit vertical", -2, ((SELL, 1, call(100)), (BUY, 1, call(105))), 300),
    ("iron condor", "-1.50", CONDOR, 350),
    ("butterfly", 1, ((BUY, 1, call(95)), (SELL, 2, call(100)), (BUY, 1, call(105))), 100),
    ("straddle bought", 6, ((BUY, 1, call(100)), (BUY, 1, put(100))), 600),
    ("calendar", 2, ((SELL, 1, call(100)), (BUY, 1, call(100, JUNE))), 200),
    ("strangle sold", -4, ((SELL, 1, call(105)), (SELL, 1, put(95))), 1_500),
    # Half of the shares, less the premium.
    ("covered call", 98, ((BUY, 100, "X"), (SELL, 1, call(105))), 4_800),
)


@pytest.mark.parametrize(("name", "net", "legs", "dollars"), HELD, ids=lambda one: str(one)[:20])
def test_margin_of_a_multileg_order_is_its_largest_loss_or_its_rule(
    name: str, net: Amount, legs: tuple[Leg, ...], dollars: Amount
) -> None:
    """Width less credit, or what is paid; a rule's requirement where there is no largest loss."""
    venue = OptionDesk(cash=100_000)

    assert "" == code(venue.strategy(net, *legs, qty=3))

    assert 3 * cents(dollars) == venue.held(), name
    assert [] == judged(venue.log).violations()


def test_margin_of_a_multileg_order_is_taken_up_by_what_it_has_bound() -> None:
    """When a condor has traded what it held is what is bound, and nothing is held."""
    venue = OptionDesk(cash=10_000)
    for side, _, symbol in CONDOR:
        price = "0.50" if side == BUY else "1.25"
        venue.place(venue.b, SELL if side == BUY else BUY, 5, price, symbol=symbol)
    before = venue.free()

    venue.strategy("-1.50", *CONDOR, qty=2)

    assert (0, before - 2 * cents(350)) == (venue.held(), venue.free())
    assert [] == judged(venue.log).violations()


def test_margin_of_a_multileg_order_that_fills_in_part_shrinks_in_proportion() -> None:
    """What is still to trade holds its share, and free is what it was."""
    venue = OptionDesk(cash=10_000)
    for side, _, symbol in CONDOR:
        price = "0.50" if side == BUY else "1.25"
        venue.place(venue.b, SELL if side == BUY else BUY, 3, price, symbol=symbol)
    before = venue.free()

    venue.strategy("-1.50", *CONDOR, qty=5)

    assert 2 * cents(350) == venue.held()
    assert before - 5 * cents(350) == venue.free()


def test_margin_of_a_multileg_order_that_closes_is_nothing() -> None:
    """Who gives back all legs at once is asked for nothing, though each of them covers another."""
    venue = OptionDesk(cash=1_200)
    for side, _, symbol in sorted(CONDOR):
        venue.trade(side, 2, "0.50" if side == BUY else "1.25", symbol)
    free = venue.free()

    closing = tuple((SELL if side == BUY else BUY, ratio, leg) for side, ratio, leg in CONDOR)
    assert "" == code(venue.strategy("1.50", *closing, qty=2))

    assert (0, free) == (venue.held(), venue.free())
    assert f"{free / 100:.2f}" == Shown(venue.log).account(venue.a)["free_margin"]
    assert [] == judged(venue.log).violations()
    venue.check()


def test_margin_of_a_multileg_order_is_refused_by_what_is_not_there() -> None:
    """An order whose largest loss is a cent more than what is free is not taken."""
    venue = OptionDesk(cash=699)

    assert "INSUFFICIENT_BUYING_POWER" == code(venue.strategy("-1.50", *CONDOR, qty=2))
    assert "" == code(venue.strategy("-1.51", *CONDOR, qty=2, tif=TimeInForce.DAY))


def test_margin_of_a_sequential_order_is_that_of_what_may_stand_alone() -> None:
    """Where the short trades first it is margined as long as its cover is still to come."""
    venue = OptionDesk(cash=100_000)
    for symbol in (call(100), call(105)):
        venue.trade(BUY, 1, 2, symbol)
        venue.trade(SELL, 1, 2, symbol)
    legs = (SELL, 1, call(100)), (BUY, 1, call(105))

    venue.strategy(-1, *legs, execution=Execution.SEQUENTIAL)
    short_first = venue.held()
    other = OptionDesk(cash=100_000)
    other.strategy(-1, *legs)

    assert cents(400) == other.held()
    assert cents(400) < short_first


def test_margin_of_a_multileg_order_at_the_market_is_at_most_that_of_its_legs() -> None:
    """Without a net price the worst of each leg counts, and a spread is one all the same."""
    venue = OptionDesk(cash=100_000)
    for symbol in (call(100), call(105)):
        venue.trade(BUY, 1, 2, symbol)
        venue.trade(SELL, 1, 2, symbol)
    markets = venue.desk.markets.by_symbol
    legs = (
        LegAsk(markets[call(100)], SELL, 1, shares(1), 0),
        LegAsk(markets[call(105)], BUY, 1, shares(1), 0),
    )
    account = venue.desk.accounts.by_id[venue.a.int]
    terms = StrategyTerms(int(OrderType.MARKET), int(TimeInForce.DAY), shares(1), 0)

    held = strategy_hold(venue.desk, account, legs, terms)
    alone = [strategy_hold(venue.desk, account, (leg, leg), terms)[0] for leg in legs]

    # Sold for 1 and bought for 3 at the worst, 5 wide.
    assert [cents(700), 0] == [one.amount for one in held]
    assert cents(700) < sum(one.amount for one in alone)


def test_margin_of_a_cash_account_that_buys_legs_is_its_net_price() -> None:
    """It pays no more for both than it said, and may write neither."""
    venue = OptionDesk()
    venue.a = venue.account("cash", 1_000, kind=AccountKind.CASH)

    bought = venue.strategy(6, (BUY, 1, call(100)), (BUY, 1, put(100)))
    written = venue.strategy(-1, (SELL, 1, call(100)), (BUY, 1, call(105)))

    assert "" == code(bought)
    assert cents(600) + 2 == venue.held()
    assert "INSUFFICIENT_QTY" == code(written)
