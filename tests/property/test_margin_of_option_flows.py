"""Random trading of options, shares and strategies on margin, judged by all who reckon margin."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from application.commands import CheckMargins, ConfigureAccount, SetPairMargin
from domain.terms import AccountKind, Execution, Side
from tests.model.desk_harness import code
from tests.model.judged_log import judged
from tests.model.option_desk import BUY, JUNE, SELL, OptionDesk, call, put
from tests.model.shown import Shown

SYMBOLS = ("X", call(100), call(105), put(95), put(100), call(100, JUNE))
LEGS = ("X", call(100), call(105), put(95), call(100, JUNE))


class Trading(OptionDesk):
    """Moves of `a`, with `b` on the other side of everything."""

    def __init__(self, cash: int) -> None:
        super().__init__(cash)
        self.instrument("Y", shortable=True)
        self.hold(self.b, 100_000, "Y")
        self.ok(SetPairMargin("X", "Y", 1_000))
        self.rich = self.account("c", 10_000_000, kind=AccountKind.MARGIN)

    def quote(self, symbol: str, price: int) -> None:
        """Let there be somebody to trade with, unless that would trade by itself."""
        qty = 100 if symbol in ("X", "Y") else 2
        for side, at in ((BUY, price), (SELL, price + 1)):
            self.place(self.b if side == BUY else self.rich, side, qty, at, symbol=symbol)

    def do(self, move: tuple[Any, ...]) -> None:
        """One of the moves; what is refused is refused."""
        match move:
            case "order", symbol, side, qty, price:
                shares = symbol in ("X", "Y")
                at = 95 + price if shares else price
                self.quote(symbol, at)
                self.place(self.a, side, qty * 50 if shares else qty, at, symbol=symbol)
            case "strategy", legs, net, execution:
                named = {
                    symbol: (side, 100 if symbol == "X" else ratio, symbol)
                    for symbol, side, ratio in legs
                }
                self.strategy(net, *named.values(), execution=execution)
            case "cancel", number:
                orders = [o for o in self.desk.orders.of_account(self.a) if o.leg < 11]
                if orders:
                    self.cancel(self.a, orders[number % len(orders)].id)
            case "mark", price:
                self.mark(price)
            case "unlevered", multiplier:
                self.ok(ConfigureAccount(self.a, max_margin_multiplier=multiplier))
        self.ok(CheckMargins())


SIDES = st.sampled_from(Side)
ASKED = st.tuples(st.sampled_from(LEGS), SIDES, st.integers(1, 2))
MOVES = st.one_of(
    st.tuples(
        st.just("order"), st.sampled_from((*SYMBOLS, "Y")), SIDES, st.integers(1, 3),
        st.integers(1, 9),
    ),
    st.tuples(
        st.just("strategy"),
        st.lists(ASKED, min_size=2, max_size=4),
        st.one_of(st.none(), st.integers(-5, 5)),
        st.sampled_from(Execution),
    ),
    st.tuples(st.just("cancel"), st.integers(0, 9)),
    st.tuples(st.just("mark"), st.integers(60, 160)),
    st.tuples(st.just("unlevered"), st.sampled_from((1, 2))),
)  # fmt: skip


@settings(max_examples=25, deadline=None)
@given(st.lists(MOVES, min_size=5, max_size=25), st.sampled_from((3_000, 30_000)))
def test_margin_of_any_flow_of_spreads_is_the_same_to_all_who_reckon_it(
    moves: list[tuple[Any, ...]], cash: int
) -> None:
    """The desk, the account's document and the second bookkeeper agree after every move, and a
    desk that followed the events, or was loaded, is the same.
    """
    venue = Trading(cash)
    for move in moves:
        venue.do(move)
        margin = venue.desk.margin(venue.a)
        document = Shown(venue.log).account(venue.a)
        assert f"{margin.initial / 100:.2f}" == document["initial_margin"]
        assert f"{margin.maintenance / 100:.2f}" == document["maintenance_margin"]
        assert f"{venue.free() / 100:.2f}" == document["free_margin"]
    venue.check()
    assert [] == judged(venue.log).violations()


def test_margin_flow_has_a_trade_on_both_sides() -> None:
    """The quotes of the flow do trade."""
    venue = Trading(30_000)
    venue.do(("order", call(100), BUY, 1, 5))
    venue.do(("order", call(100), SELL, 1, 4))

    assert "" == code(venue.place(venue.a, BUY, 1, 5, symbol=call(105)))
    assert [event for event in venue.log if "filled" in event.TOPIC]
