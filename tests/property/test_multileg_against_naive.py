"""Multi-leg orders at random: legs in ratio, whatever comes, and all as a naive twin has it."""

from __future__ import annotations

from fractions import Fraction
from typing import Any
from uuid import UUID

import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    rule,
    run_state_machine_as_test,
)

from application.desk.desk import Desk
from application.desk.following import follow
from application.desk.state import dump, load, state_hash
from application.log.ports import Recorded
from domain.events import MultiLegExecuted, OrderFilled
from domain.terms import SelfTrade, Side, TimeInForce
from tests.model.desk_harness import code, shares, wire
from tests.model.naive_strategies import Met, NaiveOrder, NaiveParent, NaiveStrategies
from tests.model.naive_strategy import Rule
from tests.model.strategy_desk import StrategyDesk

WHO = st.integers(0, 3)
SYMBOL = st.sampled_from("ABC")
SIDES = st.sampled_from([Side.BUY, Side.SELL])
PRICES = st.integers(96, 104)
QTYS = st.integers(1, 9)
UNITS = st.integers(1, 5)
PICKS = st.integers(0, 10**6)
AWAY = st.integers(-8, 8)
TIMES = st.sampled_from([TimeInForce.GTC] * 4 + [TimeInForce.DAY, TimeInForce.IOC, TimeInForce.FOK])
SHAPES: list[tuple[tuple[str, int, int], ...]] = [
    (("A", 1, 1), ("B", 2, 1)),
    (("A", 1, 1), ("B", 2, 1)),
    (("B", 1, 2), ("C", 2, 3)),
    (("A", 1, 1), ("B", 1, 1)),
    (("A", 1, 1), ("C", 2, 1), ("B", 1, 1)),
]
"""Legs by the places of their symbols; beside an option a hundred shares are one."""
WITHIN, LINEAR = 1, 2
NONE: tuple[tuple[int, int, int, int, int, int], ...] = ()
CONSTRAINTS = st.sampled_from(
    [
        *[NONE] * 6,
        ((WITHIN, 0, 1, 20 * 10**6, 0, 0),),
        ((LINEAR, 0, 1, 10**9, -(10**9), 2 * 10**9),),
        ((LINEAR, 0, 1, -(10**9), 0, -100 * 10**9),),
    ]
)
TICK = Fraction(1)


def naive_rule(row: tuple[int, int, int, int, int, int]) -> Rule:
    """A constraint in plain numbers."""
    kind, left, right, a, b, c = row
    return Rule(kind, left, right, *[Fraction(one, 10**9) for one in (a, b, c)])


class Strategies(RuleBasedStateMachine):
    """Four owners with orders in three books and multi-leg orders of five shapes over them.

    The desk checks itself after every command: ledger, holds, reserves, legs that work for what
    is left in ratio, a follower and a snapshot that are equal. The twin has the same books, the
    same units filled and left, at the same cost.
    """

    @initialize(options=st.integers(0, 2))
    def begin(self, options: int) -> None:
        venue = self.venue = StrategyDesk(tick=wire(1), on_margin=not options)
        self.symbols = dict(zip("ABC", venue.symbols, strict=True))
        if not options:
            # So much is held, or owed, that no order closes more than is there.
            for writer, holder in ((venue.you, venue.maker), (venue.other, venue.me)):
                venue.offers(venue.symbols[2], 1_000, 100, writer)
                venue.bids(venue.symbols[2], 1_000, 100, holder)
        self.lots = 1 if options else 100
        self.accounts: list[UUID] = [venue.maker, venue.me, venue.you, venue.other]
        multipliers = {"A": 1, "B": 1, self.symbols["C"]: self.lots}
        self.naive = NaiveStrategies(multipliers, TICK)
        self.orders: dict[UUID, NaiveOrder] = {}
        self.names: dict[str, NaiveOrder] = {}
        self.parents: dict[UUID, NaiveParent] = {}

    # -- what clients do ---------------------------------------------------------------------

    @rule(who=WHO, symbol=SYMBOL, side=SIDES, qty=QTYS, price=PRICES, ioc=st.integers(0, 5))
    def order(self, who: int, symbol: str, side: Side, qty: int, price: int, ioc: int) -> None:
        """One order in one book."""
        qty *= 1 if symbol == "C" else self.lots
        symbol = self.symbols[symbol]
        if symbol in self.naive.halted:
            # It would wait for the auction that ends the halt.
            return
        tif = TimeInForce.IOC if ioc == 0 else TimeInForce.GTC
        reply = self.venue.place(self.accounts[who], side, qty, price, symbol=symbol, tif=tif)
        assert reply.refusal is None and reply.order is not None
        self._begin()
        rested = self.naive.order(who, symbol, int(side), qty, price, rests=ioc != 0)
        if rested is not None:
            self.orders[reply.order.order_id] = rested
            self.names[reply.order.client_order_id] = rested
        self._compare()

    @rule(
        who=WHO, shape=st.sampled_from(SHAPES), flip=st.booleans(), units=UNITS, away=AWAY,
        tif=TIMES, constraints=CONSTRAINTS,
    )  # fmt: skip
    def strategy(
        self, who: int, shape: Any, flip: bool, units: int, away: int, tif: TimeInForce,
        constraints: Any,
    ) -> None:  # fmt: skip
        """One order of several legs, around what they cost at 100."""
        shares_of_one = self.lots if "C" in {name for name, _, _ in shape} else 1
        legs = tuple(
            (
                self.symbols[name],
                3 - side if flip else side,
                ratio * (1 if name == "C" else shares_of_one),
            )
            for name, side, ratio in shape
        )
        net = self._around(legs) + away
        reply = self.venue.strategy(
            self.accounts[who],
            [(*leg, 0) for leg in legs],
            units,
            net,
            tif,
            constraints=constraints,
            self_trade=SelfTrade.CANCEL_NEWEST,
        )
        if self.naive.halted & {symbol for symbol, _, _ in legs}:
            assert "INSTRUMENT_HALTED" == code(reply)
            return
        assert reply.refusal is None and reply.strategy is not None, reply.refusal
        rules = tuple(map(naive_rule, constraints))
        parent = NaiveParent(0, who, legs, Fraction(net), units, rules)
        self.parents[reply.strategy.order_id] = parent
        self._begin()
        if tif == TimeInForce.FOK and not reply.strategy.filled:
            # What books alone would give whole is not refused.
            most, _ = self.naive.most(parent, parent.net)
            assert most < units
            self.naive.killed(legs)
            del self.parents[reply.strategy.order_id]
        else:
            rests = tif in (TimeInForce.GTC, TimeInForce.DAY)
            self.naive.strategy(parent, rests=rests, whole=tif == TimeInForce.FOK)
            if tif == TimeInForce.FOK:
                assert 0 == parent.left, "fok traded in part"
        self._compare()

    @rule(pick=PICKS)
    def cancel_order(self, pick: int) -> None:
        """One order is given up."""
        found = [(one, naive) for one, naive in self.orders.items() if naive in self.naive.orders]
        if found:
            order_id, naive = found[pick % len(found)]
            assert self.venue.cancel(self.accounts[naive.owner], order_id).refusal is None
            self._begin()
            self.naive.cancel_order(naive)
            self._compare()

    def _around(self, legs: tuple[tuple[str, int, int], ...]) -> int:
        """What a unit costs when everything is at 100."""
        factors = self.naive.multipliers
        largest = max(factors[symbol] for symbol, _, _ in legs)
        whole = sum(
            (ratio if side == 1 else -ratio) * factors[symbol] for symbol, side, ratio in legs
        )
        return 100 * whole // largest

    def _resting(self, pick: int) -> tuple[UUID, NaiveParent] | None:
        found = [(one, naive) for one, naive in self.parents.items() if naive in self.naive.parents]
        return found[pick % len(found)] if found else None

    @rule(pick=PICKS)
    def cancel_strategy(self, pick: int) -> None:
        """One multi-leg order is given up."""
        found = self._resting(pick)
        if found is not None:
            parent_id, naive = found
            assert self.venue.cancel(self.accounts[naive.owner], parent_id).refusal is None
            self._begin()
            self.naive.cancel_strategy(naive)
            self._compare()

    @rule(pick=PICKS, units=UNITS, away=AWAY)
    def replace_strategy(self, pick: int, units: int, away: int) -> None:
        """One multi-leg order is given other units and another net price."""
        found = self._resting(pick)
        if found is None:
            return
        parent_id, naive = found
        net = self._around(naive.legs) + away
        reply = self.venue.replace(
            self.accounts[naive.owner], parent_id, qty=naive.filled + units, limit=net
        )
        if reply.refusal is not None:
            assert ("NOTHING_TO_REPLACE", units, net) == (code(reply), naive.left, naive.net)
            return
        self._begin()
        self.naive.replace(naive, units, Fraction(net))
        self._compare()

    @rule(symbol=SYMBOL, seldom=st.integers(0, 2))
    def halt(self, symbol: str, seldom: int) -> None:
        """An instrument stops, now and then, or trades on."""
        symbol = self.symbols[symbol]
        if seldom and symbol not in self.naive.halted:
            return
        if symbol in self.naive.halted:
            self.venue.resume(symbol)
            self._begin()
            self.naive.resume(symbol)
        else:
            self.venue.halt(symbol)
            self._begin()
            self.naive.halt(symbol)
        self._compare()

    @rule(from_log=st.booleans())
    def crash(self, from_log: bool) -> None:
        """The writer dies; the next one reads a snapshot, or all the log."""
        before = self.venue.desk
        if from_log:
            after = Desk()
            follow(after, [Recorded(n, event) for n, event in enumerate(self.venue.log, 1)])
        else:
            after = load(dump(before))
        assert state_hash(before) == state_hash(after)
        self.venue.desk = after

    # -- what must be ------------------------------------------------------------------------

    def _begin(self) -> None:
        """Tell the twin which multi-leg orders have met in the command, and at which prices."""
        fills = self.venue.happened(OrderFilled)
        met: dict[tuple[int, UUID, UUID], dict[str, Fraction]] = {}
        symbols = {
            market.instrument.id: market.instrument.symbol
            for market in self.venue.desk.markets.by_id.values()
        }
        part = 0
        for event in self.venue.events:
            if isinstance(event, MultiLegExecuted):
                part += 1
            elif isinstance(event, OrderFilled) and event.liquidity == 2 and event.leg:
                other = next(
                    one for one in fills if one.trade_id == event.trade_id and one is not event
                )
                if other.leg:
                    prices = met.setdefault((part, event.group_id, other.group_id), {})
                    prices[symbols[event.instrument_id]] = Fraction(
                        event.price, 10**event.price_decimals
                    )
        self.naive.begin(
            [
                Met(self.parents[comes], self.parents[rests], prices)
                for (_, comes, rests), prices in met.items()
            ]
        )

    def _compare(self) -> None:
        """Books, and what every multi-leg order has traded and for how much."""
        venue, naive = self.venue, self.naive
        for symbol in self.symbols.values():
            for side in Side:
                theirs = [
                    (self.names[name].number, price // 10**4, qty // shares(1))
                    for name, price, qty in venue.book(side, symbol)
                ]
                ours = [(one.number, one.price, one.left) for one in naive.book(symbol, int(side))]
                assert ours == theirs
        live = {parent_id for parent_id, one in self.parents.items() if one in naive.parents}
        assert live == {parent.id for parent in venue.desk.strategies.live.values()}
        for parent_id, one in self.parents.items():
            parent = venue.parent(parent_id) if parent_id in live else None
            if parent is not None:
                assert (shares(one.left), shares(one.filled)) == (parent.leaves, parent.filled)
                assert one.cost * 10**24 == parent.cost
        executed = {}
        for event in venue.happened(MultiLegExecuted):
            executed[event.originator_id] = (event.filled_after, int(event.cost_after))
        for parent_id, (filled, cost) in executed.items():
            one = self.parents[parent_id]
            assert (shares(one.filled), one.cost * 10**24) == (filled, cost)

    def teardown(self) -> None:
        """In the end the second bookkeeper finds nothing in the log."""
        if hasattr(self, "venue"):
            self.venue.audit()


def test_multileg_orders_trade_as_the_naive_twin_has_it() -> None:
    """Random books, strategies, cancels, replaces, halts and crashes."""
    run_state_machine_as_test(
        Strategies, settings=hypothesis_settings(max_examples=40, stateful_step_count=40)
    )


@pytest.mark.soak
def test_multileg_orders_trade_as_the_naive_twin_has_it_for_minutes() -> None:
    """The same, for as long as nobody would wait for it every day."""
    run_state_machine_as_test(
        Strategies, settings=hypothesis_settings(max_examples=1_000, stateful_step_count=60)
    )
