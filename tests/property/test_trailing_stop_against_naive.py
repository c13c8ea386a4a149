"""Trailing stops and a naive trail: the same stops after every price, and through restarts."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor

from hypothesis import example, given, settings
from hypothesis import strategies as st

from application.desk.state import dump, load
from domain.events import OrderTrailed
from domain.terms import Side, TriggerRule
from tests.model.desk_harness import DeskHarness

TICK = Fraction(1, 20)
PRICES = st.integers(1_600, 2_400).map(lambda ticks: ticks * TICK)
AMOUNTS = st.integers(1, 700).map(lambda ticks: ticks * TICK)
PERCENTS = st.integers(63, 95_000).map(lambda thousandths: Fraction(thousandths, 1_000))


@dataclass
class NaiveTrail:
    """A stop as Alpaca tells it: so far behind the best price since it was placed."""

    side: Side
    amount: Fraction | None
    percent: Fraction | None
    best: Fraction
    stop: Fraction
    elected: bool = False

    def see(self, price: Fraction) -> None:
        """Let the best price be this one, or the stop be reached."""
        if self.elected:
            return
        sells = self.side == Side.SELL
        self.best = max(self.best, price) if sells else min(self.best, price)
        away = self.amount if self.percent is None else self.best * self.percent / 100
        assert away is not None
        if sells:
            self.stop = floor((self.best - away) / TICK) * TICK
            self.elected = price <= self.stop
        else:
            self.stop = ceil((self.best + away) / TICK) * TICK
            self.elected = price >= self.stop


class Marked:
    """A market whose mark moves stops, and orders of both kinds by two owners."""

    def __init__(self) -> None:
        self.venue = DeskHarness(checked=False)
        self.venue.instrument(tick=50_000_000, trigger_rule=int(TriggerRule.MARK))
        self.seller, self.buyer = self.venue.account("seller"), self.venue.account("buyer", 10**9)
        self.venue.hold(self.seller, 10**6)
        self.naive: dict[str, NaiveTrail] = {}
        self.mark = Fraction(100)
        self.see(self.mark)

    def place(self, side: Side, amount: Fraction | None, percent: Fraction | None) -> None:
        """A trailing stop, which is refused by both or taken by both."""
        trail = NaiveTrail(side, amount, percent, self.mark, Fraction(0))
        account = self.seller if side == Side.SELL else self.buyer
        reply = self.venue.place(account, side, 1, trail=amount, percent=percent)
        trail.see(self.mark)
        away = amount if percent is None else self.mark * percent / 100
        assert away is not None
        taken = away >= TICK and trail.stop > 0
        assert taken == (reply.order is not None)
        if reply.order is not None:
            self.naive[reply.order.client_order_id] = trail

    def see(self, price: Fraction) -> None:
        """The next mark: no stop moves by less than a tick, and none twice."""
        self.mark = price
        self.venue.mark(price)
        moved = [event.originator_id for event in self.venue.happened(OrderTrailed)]
        assert len(moved) == len(set(moved))
        for trail in self.naive.values():
            trail.see(price)

    def restart(self) -> None:
        """Go on from a snapshot of now."""
        self.venue.desk = load(dump(self.venue.desk))

    def check(self) -> None:
        """Every stop stands where the naive one does, and the desk that follows agrees."""
        by_client = self.venue.desk.orders.by_client
        waiting = {client: one.stop_price for (_, client), one in by_client.items() if one.waits}
        assert waiting == {
            client: trail.stop * 10_000 for client, trail in self.naive.items() if not trail.elected
        }
        self.venue.check()


STEPS = st.one_of(
    PRICES,
    PRICES,
    st.tuples(st.sampled_from(Side), AMOUNTS, st.none()),
    st.tuples(st.sampled_from(Side), st.none(), PERCENTS),
    st.none(),
)


@given(st.lists(STEPS, min_size=5, max_size=60))
@settings(max_examples=60, deadline=None)
@example([(Side.SELL, Fraction(5), None), Fraction(101), None, Fraction(103), Fraction(98)])
def test_trailing_stop_stands_where_the_naive_one_does_through_restarts(steps) -> None:
    """Prices, orders and restarts in any order: live, followed and loaded are the same."""
    market = Marked()
    for step in steps:
        if step is None:
            market.restart()
        elif isinstance(step, tuple):
            market.place(*step)
        else:
            market.see(step)
    market.check()
