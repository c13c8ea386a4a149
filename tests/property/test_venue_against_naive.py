"""The venue and its naive twin agree on every answer, trade and balance, whatever comes."""

from __future__ import annotations

import random
from collections import Counter
from functools import cache

import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from application.commands import PlaceOrder
from domain.terms import Adjustment, CancelReason, OrderType, SelfTrade, Side, TriggerRule
from tests.model.compared_venue import ComparedVenue
from tests.model.desk_harness import shares

SIDES = st.sampled_from([int(side) for side in Side])
TIMES = st.sampled_from([1, 1, 1, 0, 2, 3, 4, 6, 7])
KINDS = st.sampled_from([2, 2, *map(int, OrderType)])
# Mostly round the touch, so that much trades; some far away, some that no book takes.
PRICES = (st.integers(194, 206) | st.integers(120, 290)).map(lambda half: half * 10**9 // 2)
ODD_PRICES = st.sampled_from([100_300_000_000, 99_999_999_999, -100 * 10**9])
LOTS = st.integers(1, 12) | st.integers(1, 60)
WHO = st.integers(0, 4)
PICKS = st.integers(0, 10**6)
RULES = [int(one) for one in TriggerRule]
SIZES = [shares(1), shares("0.01"), shares("0.00000001")]
ORDERS = st.tuples(
    WHO,
    SIDES,
    KINDS,
    TIMES,
    LOTS,
    PRICES,
    PRICES,
    st.sampled_from([int(one) for one in SelfTrade]),
    st.sampled_from([False, False, False, True]),
    st.integers(2, 15),
    st.booleans(),
    st.integers(1, 40),
)


class Trading(RuleBasedStateMachine):
    """Bursts of orders, and now and then everything else that may happen to a market."""

    @initialize(
        trigger=st.sampled_from(RULES),
        lot=st.sampled_from(SIZES),
        limit=st.sampled_from([0, 0, 410]),
    )
    def begin(self, trigger: int, lot: int, limit: int) -> None:
        self.venue = ComparedVenue(trigger, lot, limit)

    @rule(orders=st.lists(ORDERS, min_size=1, max_size=6))
    def place(self, orders) -> None:
        for order in orders:
            self.venue.place(*order)

    @rule(side=SIDES, lots=st.integers(-1, 60), price=PRICES | ODD_PRICES, off=st.integers(0, 1))
    def place_anything(self, side: int, lots: int, price: int, off: int) -> None:
        venue = self.venue
        qty = lots * venue.lot + (off if venue.lot > 1 else 0)
        label = f"c{venue.real.number}"
        venue.send_order(PlaceOrder(venue.accounts[2], "X", side, 2, 1, qty, price, 0, label))

    @rule(
        pick=PICKS,
        lots=st.none() | LOTS,
        limit=st.none() | PRICES,
        stop=st.none() | PRICES,
        tif=st.none() | TIMES,
        life=st.none() | st.integers(0, 15),
        rename=st.booleans(),
        trail=st.none() | st.integers(1, 40),
    )
    def replace(self, pick, lots, limit, stop, tif, life, rename, trail) -> None:
        self.venue.replace(pick, lots, limit, stop, tif, life, rename, trail)

    @rule(
        who=WHO,
        side=SIDES,
        lots=st.integers(1, 60),
        off=st.integers(-9_999, 9_999),
        again=st.integers(1, 3),
        locate=st.booleans(),
    )
    def spend(self, who, side, lots, off, again, locate) -> None:
        amount = max(1, lots * self.venue.lot * 10_000 // 10**8 + off)
        self.venue.spend(who, side, amount, again, locate)

    @rule(pick=PICKS)
    def cancel(self, pick: int) -> None:
        self.venue.cancel(pick)

    @rule(close=st.booleans(), queued=st.lists(ORDERS, max_size=6), expired=st.booleans())
    def pause(self, close: bool, queued, expired: bool) -> None:
        self.venue.pause(close=close)
        for order in queued:
            self.venue.place(*order)
        if expired:
            self.venue.expire()
        self.venue.go_on()

    @rule(orders=st.lists(ORDERS, max_size=6), queued=st.lists(ORDERS, max_size=4))
    def close_and_open(self, orders, queued) -> None:
        self.venue.close_with_an_auction(orders)
        for who, side, kind, _, *rest in queued:
            self.venue.place(who, side, kind, 2, *rest)
        self.venue.go_on()

    @rule(who=WHO, status=st.sampled_from([0, 1, 2]), order=ORDERS)
    def order_of_a_restricted_account(self, who: int, status: int, order) -> None:
        self.venue.set_status(who, status)
        self.venue.place(who, *order[1:])
        self.venue.replace(order[4], order[4], None, None, None, None, False)
        self.venue.set_status(who, 0)

    @rule(price=PRICES, who=WHO, what=st.sampled_from(["mark", "expire", "cancel all"]))
    def venue_or_owner_acts(self, price: int, who: int, what: str) -> None:
        if what == "mark":
            self.venue.mark(price)
        elif what == "expire":
            self.venue.expire()
        else:
            self.venue.cancel_all(who)

    @rule(who=WHO, which=PICKS, waits=st.booleans())
    def what_an_account_pays(self, who, which, waits) -> None:
        self.venue.charge(who, which)
        if waits:
            self.venue.wait()

    @rule(who=st.none() | WHO, order=ORDERS, pick=PICKS)
    def order_under_a_kill_switch(self, who, order, pick: int) -> None:
        self.venue.kill(who, True)
        self.venue.place(order[0] if who is None else who, *order[1:])
        self.venue.replace(pick, order[4], None, None, None, None, False)
        self.venue.cancel(pick)
        self.venue.kill(who, False)

    @rule(who=WHO, rules=st.lists(st.booleans(), min_size=3, max_size=3), order=ORDERS, pick=PICKS)
    def order_of_an_account_as_configured(self, who: int, rules, order, pick: int) -> None:
        long_only, whole_only, covers_all = rules
        for suspended in (True, False):
            self.venue.configure(
                who,
                suspended=suspended,
                long_only=long_only,
                whole_only=whole_only,
                covers_all=covers_all,
            )
            self.venue.place(who, *order[1:])
            self.venue.replace(pick, order[4], None, None, None, None, False)
        self.venue.configure(
            who, suspended=False, long_only=long_only, whole_only=False, covers_all=covers_all
        )

    @rule(pick=PICKS, price=st.none() | PRICES | ODD_PRICES)
    def a_trade_is_revised(self, pick: int, price: int | None) -> None:
        self.venue.revise(pick, price)

    @rule(price=PRICES, bps=st.sampled_from([2_500, 9_000, 30_000]))
    def margins_are_looked_at(self, price: int, bps: int) -> None:
        self.venue.require(bps, bps)
        self.venue.mark(price)
        self.venue.call_margins()

    @rule(bps=st.sampled_from([1, 150, 9_000]), keeps=st.booleans(), orders=st.lists(ORDERS))
    def remainders_rest_or_end(self, bps: int, keeps: bool, orders) -> None:
        self.venue.protect(bps, keeps=keeps)
        for order in orders:
            self.venue.place(*order)

    @invariant()
    def everything_agrees(self) -> None:
        self.venue.check()


def test_the_venue_does_what_its_naive_twin_does():
    """Same refusals, trades, elections, orders, balances and books after every command."""
    run_state_machine_as_test(
        Trading, settings=hypothesis_settings(max_examples=60, stateful_step_count=20)
    )


def order_as_configured(
    venue: ComparedVenue, draw: random.Random, who: int, side: int, lots: int, limit: int
) -> None:
    """Orders of an account whose owner rules some of them out, and takes it all back."""
    long_only, covers_all = draw.random() < 0.5, draw.random() < 0.5
    for suspended, whole_only in ((True, True), (False, True), (False, False)):
        venue.configure(
            who,
            suspended=suspended,
            long_only=long_only,
            whole_only=whole_only,
            covers_all=covers_all,
        )
        venue.place(who, side, 2, 1, lots, limit, 0, locate=True)
        venue.place(who, 3 - side, 2, 1, lots, limit, 0, locate=True)
    venue.configure(who, suspended=False, long_only=False, whole_only=False, covers_all=False)


@cache
def trade_at_random(seed: int, commands: int) -> Counter[str]:
    """A busy market on both sides of a price that wanders."""
    draw = random.Random(seed)
    venue = ComparedVenue(RULES[seed % 3], SIZES[seed // 3 % 3], (0, 450)[seed % 2])
    middle = 200
    for _ in range(commands):
        choice, who, side = draw.random(), draw.randrange(5), draw.choice((1, 2))
        middle = min(max(middle + draw.choice((-1, 0, 0, 0, 1)), 170), 235)
        off = draw.randint(-3, 5) * (-1 if side == 1 else 1)
        limit, stop = middle + off, middle + draw.randint(1, 8) * (1 if side == 1 else -1)
        lots = draw.choice((1, 2, 5, 5, draw.randint(1, 56)))
        half = 10**9 // 2
        if choice < 0.06:
            amount = lots * venue.lot * middle * 50 // 10**8 + draw.randint(-99, 5_000)
            venue.spend(who, side, max(1, amount), draw.randrange(1, 4), draw.random() < 0.5)
        elif choice < 0.6:
            kind, tif = (
                draw.choice((1, 2, 2, 2, 2, 2, 3, 4, 25)),
                draw.choice((0, 1, 1, 1, 2, 3, 4, 6, 7)),
            )
            again, post = draw.randrange(1, 4), draw.random() < 0.1
            life = draw.randint(2, 40)
            terms = (kind, tif, lots, limit * half, stop * half, again, post, life)
            venue.place(who, side, *terms, draw.random() < 0.8, draw.randint(1, 24))
        elif choice < 0.68:
            venue.cancel(draw.randrange(10**6))
        elif choice < 0.82:
            terms = (lots, limit * half, stop * half, draw.choice((0, 1, 6)), draw.randint(1, 40))
            kept = [one if draw.random() < 0.4 else None for one in terms]
            trail = draw.choice((None, None, draw.randint(1, 24)))
            venue.replace(draw.randrange(10**6), *kept, draw.random() < 0.3, trail)
        elif choice < 0.85:
            venue.wait()
            venue.mark((middle + draw.randint(-6, 6)) * half)
        elif choice < 0.855:
            venue.cancel_all(who)
        elif choice < 0.87:
            venue.expire()
        elif choice < 0.88:
            venue.pause(close=draw.random() < 0.4)
        elif choice < 0.91:
            price = (middle + draw.randint(-6, 6)) * half
            if draw.random() < 0.5:
                # One of the newest trades, when both cash accounts offer all that they have.
                for seller in (2, 3):
                    venue.offer_all(seller, (middle + 12) * half)
                venue.revise(-1 - draw.randrange(4), None)
            venue.revise(draw.randrange(10**6), draw.choice((None, price)))
        elif choice < 0.92:
            venue.charge(who, draw.randrange(10**6))
        elif choice < 0.93:
            venue.wait()
        elif choice < 0.94:
            stopped = draw.choice((None, who))
            order_as_configured(venue, random.Random(lots), who, side, lots, limit * half)
            venue.kill(stopped, True)
            venue.place(who, side, 2, 1, lots, limit * half, 0)
            venue.kill(stopped, False)
        elif choice < 0.955:
            venue.require(draw.choice((3_000, 5_000, 9_000)), draw.choice((2_500, 9_000, 30_000)))
            venue.call_margins()
        elif choice < 0.96:
            venue.protect(draw.choice((1, 100, 300, 5_000)), keeps=draw.random() < 0.8)
        else:
            venue.go_on()
        venue.check()
    return venue.counts


BUSY = [(seed, 350) for seed in range(9)]
"""Each trigger rule with each lot."""


@pytest.mark.parametrize(("seed", "commands"), BUSY)
def test_a_busy_market_trades_as_the_naive_one_does(seed, commands):
    """Each trigger rule with each lot: hundreds of commands, and much of all that can happen."""
    counts = trade_at_random(seed, commands)
    assert counts["trades"] > 20
    assert counts["elections"] > 1


def test_what_is_compared_is_much_of_what_can_happen():
    """Every rule of money and risk has refused something, and busts have taken exits away."""
    counts: Counter[str] = Counter()
    for seed, commands in BUSY:
        counts += trade_at_random(seed, commands)
    assert {
        "FREE_RIDING",
        "INSUFFICIENT_BUYING_POWER",
        "INSUFFICIENT_QTY",
        "LIQUIDATION_ONLY",
        "LOCATE_REQUIRED",
        "POSITION_LIMIT_EXCEEDED",
        "FRACTION_NOT_ALLOWED",
        "SHORTING_NOT_ALLOWED",
        "TRADE_SUSPENDED",
        "ACCOUNT_KILL_SWITCH",
        "VENUE_KILL_SWITCH",
        "margin calls",
        "revised",
        f"canceled {int(CancelReason.POSITION_CLOSED)}",
        f"canceled {int(CancelReason.PROTECTION)}",
        f"canceled {int(CancelReason.OPENING_AUCTION)}",
        f"canceled {int(CancelReason.CLOSING_AUCTION)}",
        f"canceled {int(CancelReason.NOTIONAL)}",
        f"adjusted {int(Adjustment.PROTECTED)}",
        f"adjusted {int(Adjustment.CLOSING)}",
        "trailed",
        "TRAIL_OUT_OF_RANGE",
    } <= {what for what, times in counts.items() if times}


@pytest.mark.slow
@pytest.mark.parametrize(
    "seed", [100, *(pytest.param(seed, marks=pytest.mark.soak) for seed in range(101, 120))]
)
def test_a_long_busy_market_trades_as_the_naive_one_does(seed):
    """The same for a thousand commands, through many sessions."""
    counts = trade_at_random(seed, 1_000)
    assert counts["auctions"] > 2
    assert counts["cascades"] > 0


@pytest.mark.slow
@pytest.mark.parametrize(
    "examples", [25, pytest.param(400, marks=[pytest.mark.soak, pytest.mark.timeout(3600)])]
)
def test_the_venue_does_what_its_naive_twin_does_in_long_runs(examples):
    """Hypothesis again, deeper."""
    run_state_machine_as_test(
        Trading, settings=hypothesis_settings(max_examples=examples, stateful_step_count=60)
    )
