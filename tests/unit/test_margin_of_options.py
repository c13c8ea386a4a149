"""Options and shares in one margin account: what positions bind together, and what orders hold."""

from __future__ import annotations

import pytest

from application.commands import CheckMargins, ConfigureAccount, TransferPosition
from domain.events import MarginCalled, MarginCallMet
from domain.margin import equity
from domain.terms import Side
from tests.model.desk_harness import Amount, cents, code, shares
from tests.model.judged_log import judged
from tests.model.option_desk import BUY, JUNE, SELL, OptionDesk, call, put
from tests.model.shown import Shown


def test_margin_order_that_buys_an_option_holds_its_premium() -> None:
    """Nothing is lent on an option."""
    venue = OptionDesk()

    venue.place(venue.a, BUY, 3, "2.50", symbol=call(105))

    assert cents(750) == venue.held()


def test_margin_of_a_long_option_is_its_whole_value() -> None:
    """What is bought binds what it is worth, at every mark."""
    venue = OptionDesk()
    venue.trade(BUY, 2, 3, put(100))

    assert (cents(600), cents(600)) == venue.bound()
    assert cents(10_000 - 600) == venue.free()


def test_margin_order_that_writes_a_call_holds_what_it_binds_by_itself() -> None:
    """A fifth of the underlying less what it is out of the money; its premium pays for the mark."""
    venue = OptionDesk()
    venue.place(venue.b, BUY, 1, 2, symbol=call(105))

    venue.place(venue.a, SELL, 1, 3, symbol=call(105))

    assert cents(1_500) == venue.held()
    venue.trade(SELL, 1, 3, call(110))
    assert (cents(1_000), cents(1_000)) == venue.bound()


def test_margin_of_a_covered_call_order_holds_nothing_and_its_shares_stay_bound() -> None:
    """Shares that are held cover a call; whoever sells them then must have what it binds alone."""
    venue = OptionDesk(cash=0)
    venue.hold(venue.a, 100)
    free = venue.free()

    assert "" == code(venue.place(venue.a, SELL, 1, 2, symbol=call(105)))
    assert (0, free) == (venue.held(), venue.free())
    venue.place(venue.b, BUY, 1, 2, symbol=call(105))
    assert cents(5_000 - 200) == venue.bound()[0]

    assert "" == code(venue.place(venue.a, SELL, 40, 100))
    assert cents(5_000) < venue.bound()[0]


def test_margin_of_a_spread_leg_that_is_sold_alone_is_asked_for() -> None:
    """The long of a spread may be sold only by who could carry the short without it."""
    venue = OptionDesk(cash=1_000)
    venue.trade(BUY, 1, 2, call(105))
    venue.trade(SELL, 1, 4, call(100))
    assert cents(500 - 200) == venue.bound()[0]

    refused = venue.place(venue.a, SELL, 1, 2, symbol=call(105))

    assert "INSUFFICIENT_BUYING_POWER" == code(refused)
    rich = OptionDesk(cash=5_000)
    rich.trade(BUY, 1, 2, call(105))
    rich.trade(SELL, 1, 4, call(100))
    free = rich.free()
    working = rich.place(rich.a, SELL, 1, "2.50", symbol=call(105))
    assert working.order is not None
    # 2,000 of the naked call, where 300 were bound with the spread's 500.
    assert free - cents(2_000 - 300 + 200) == rich.free()
    rich.cancel(rich.a, working.order.order_id)
    assert free == rich.free()


def test_margin_of_a_spread_that_is_written_against_a_long_is_its_width() -> None:
    """A short sold against a held long holds the width less its own premium, not a naked call."""
    venue = OptionDesk(cash=1_000)
    venue.trade(BUY, 1, 2, call(105))

    venue.place(venue.a, SELL, 1, 4, symbol=call(100))

    assert cents(500 - 400) == venue.held()


def test_margin_of_two_shorts_that_one_long_could_cover_is_held_for_both() -> None:
    """The second order counts the first as filled."""
    venue = OptionDesk(cash=100_000)
    venue.trade(BUY, 1, 2, call(110))

    venue.place(venue.a, SELL, 1, 4, symbol=call(105))
    first = venue.held()
    venue.place(venue.a, SELL, 1, 4, symbol=call(100))

    assert cents(500 - 400) == first
    assert cents(1_500) <= venue.held() - first


def test_margin_of_a_short_strangle_is_that_of_its_dearer_side() -> None:
    """Both orders hold theirs until they fill, as each may fill alone."""
    venue = OptionDesk(cash=100_000)

    venue.place(venue.a, SELL, 1, 2, symbol=call(105))
    venue.place(venue.a, SELL, 1, 2, symbol=put(95))
    assert cents(1_500 + 1_500) == venue.held()
    venue.place(venue.b, BUY, 1, 2, symbol=call(105))
    venue.place(venue.b, BUY, 1, 2, symbol=put(95))

    assert (0, cents(1_500)) == (venue.held(), venue.bound()[0])


def test_margin_of_an_iron_condor_spread_is_its_wing_less_the_credit() -> None:
    """Four orders later the account is bound by one wing alone, and free by what was received."""
    venue = OptionDesk(cash=10_000)
    for symbol, price in ((put(90), "0.50"), (call(110), "0.50")):
        venue.trade(BUY, 1, price, symbol)
    for symbol, price in ((put(95), "1.50"), (call(105), "1.50")):
        venue.trade(SELL, 1, price, symbol)

    assert cents(500 - 200) == venue.bound()[0]
    assert cents(10_000 + 200 - 500) == venue.free()


def test_margin_of_a_calendar_spread_is_what_it_costs() -> None:
    """The far leg covers the near one, and is paid for."""
    venue = OptionDesk()
    venue.trade(BUY, 1, 5, call(100, JUNE))
    venue.trade(SELL, 1, 3, call(100))

    assert cents(200) == venue.bound()[0]


def test_margin_of_an_option_is_whole_where_the_owner_wants_no_leverage() -> None:
    """At a multiplier of 1 a put is written against its strike in cash."""
    venue = OptionDesk(cash=10_000)
    venue.ok(ConfigureAccount(venue.a, max_margin_multiplier=1))

    assert "INSUFFICIENT_BUYING_POWER" == code(venue.place(venue.a, SELL, 2, 2, symbol=put(95)))
    venue.place(venue.a, SELL, 1, 2, symbol=put(95))
    assert cents(9_500) == venue.held()


def test_margin_of_what_leaves_an_account_counts_what_it_covered() -> None:
    """Shares that cover a call do not leave an account that could not carry it without them."""
    venue = OptionDesk(cash=1_000)
    venue.hold(venue.a, 100)
    venue.trade(SELL, 1, 2, call(105))

    refused = venue.send(TransferPosition(venue.a, "X", -shares(100), 0, "out"))

    assert "INSUFFICIENT_BUYING_POWER" == code(refused)


def test_margin_of_a_sale_below_the_mark_holds_what_it_would_lose() -> None:
    """Who offers to sell at less than an option is worth may lose the difference at once."""
    venue = OptionDesk(cash=100_000)
    venue.trade(BUY, 1, 4, call(105))
    venue.trade(SELL, 1, 4, call(105))

    venue.place(venue.a, SELL, 1, 3, symbol=call(105))

    assert cents(1_500 + 100) == venue.held()


FLOWS = (
    ((BUY, 1, 2, call(105)), (SELL, 1, 4, call(100))),
    ((SELL, 2, 3, put(95)), (BUY, 1, 2, put(90)), (SELL, 1, 3, call(105))),
    ((BUY, 100, 100, "X"), (SELL, 2, 3, call(105)), (BUY, 1, 2, put(95))),
    ((SELL, 100, 100, "X"), (SELL, 1, 3, put(95)), (BUY, 1, 2, call(105))),
)


@pytest.mark.parametrize("flow", FLOWS)
def test_margin_of_options_is_what_the_document_of_the_account_says(
    flow: tuple[tuple[Side, int, Amount, str], ...],
) -> None:
    """After each trade, and with exits that work, the views reckon what the writer grants."""
    venue = OptionDesk(cash=50_000)
    for side, qty, price, symbol in flow:
        venue.trade(side, qty, price, symbol)
        _same(venue)
    for side, qty, price, symbol in flow:
        venue.place(venue.a, SELL if side == BUY else BUY, qty, price, symbol=symbol)
        _same(venue)
    venue.check()


def _same(venue: OptionDesk) -> None:
    document = Shown(venue.log).account(venue.a)
    margin = venue.desk.margin(venue.a)
    assert _text(margin.initial) == document["initial_margin"]
    assert _text(margin.maintenance) == document["maintenance_margin"]
    assert _text(equity(venue.desk.accounts.by_id[venue.a.int], margin)) == document["equity"]
    assert _text(venue.free()) == document["free_margin"]


def _text(amount: int) -> str:
    return f"{amount / 100:.2f}"


@pytest.mark.parametrize("flow", FLOWS)
def test_margin_of_an_order_that_fills_alone_was_held_for_it(
    flow: tuple[tuple[Side, int, Amount, str], ...],
) -> None:
    """Whatever order of the flow fills by itself, at its price and the marks it makes, what is free
    afterwards is not below what was free while it worked.
    """
    for alone in range(len(flow)):
        venue = OptionDesk(cash=50_000)
        replies = [
            venue.place(venue.a, side, qty, price, symbol=symbol)
            for side, qty, price, symbol in flow
        ]
        assert all("" == code(reply) for reply in replies)
        free = venue.free()
        side, qty, price, symbol = flow[alone]
        venue.place(venue.b, SELL if side == BUY else BUY, qty, price, symbol=symbol)
        assert free <= venue.free()


def test_margin_account_without_options_never_looks_for_families() -> None:
    """Who holds shares alone is bound by their rates, options listed or not."""
    venue = OptionDesk()
    venue.trade(BUY, 100, 100, "X")

    assert (cents(5_000), cents(2_500)) == venue.bound()


@pytest.mark.parametrize("flow", FLOWS)
def test_margin_of_options_is_judged_again_by_the_second_bookkeeper(
    flow: tuple[tuple[Side, int, Amount, str], ...],
) -> None:
    """Holds, calls and what was free agree with books that know another arithmetic."""
    venue = OptionDesk(cash=50_000)
    for side, qty, price, symbol in flow:
        venue.trade(side, qty, price, symbol)
    for side, qty, price, symbol in flow:
        venue.place(venue.a, SELL if side == BUY else BUY, qty, price, symbol=symbol)
        venue.place(venue.a, side, qty, price, symbol=symbol)
    for price in (20, 900):
        venue.mark(price)
        venue.ok(CheckMargins())

    assert [] == judged(venue.log).violations()


def test_margin_call_of_options_comes_with_the_underlying_and_goes_with_a_cover() -> None:
    """A naked call asks for more as the underlying rises, until a long stands beside it."""
    venue = OptionDesk(cash=2_000)
    venue.trade(SELL, 1, 3, call(105))
    venue.mark(130)
    venue.ok(CheckMargins())
    assert venue.happened(MarginCalled)
    assert "LIQUIDATION_ONLY" == code(venue.place(venue.a, BUY, 1, 1, symbol=call(110)))

    venue.mark(80)
    venue.ok(CheckMargins())

    assert venue.happened(MarginCallMet)
    assert [] == judged(venue.log).violations()
