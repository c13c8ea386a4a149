"""The planner of multi-leg executions and its naive twin find the same units and orders."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from domain.matching.leg_prices import leg_prices, prices_hold
from domain.matching.strategy import LegAsk, StrategyPlan, plan_leg, plan_units
from domain.matching.strategy_constraints import LINEAR, WITHIN, Before, planes_of_leg
from domain.money import QTY_UNIT, WIRE_PRICE_SCALE
from domain.strategy_terms import Constraint
from domain.terms import SelfTrade
from tests.model.naive_strategy import (
    BUY,
    NaiveLeg,
    Place,
    Rule,
    average,
    most_units,
    nearest_prices,
    net_of,
    reachable,
    taken,
)
from tests.model.naive_strategy_books import LegTerms, asked, market_of, price_of, told

OWNER = 1
ONE = 10**WIRE_PRICE_SCALE
STP = int(SelfTrade.CANCEL_NEWEST)
SIDES = st.sampled_from([1, 2])
TERMS = st.builds(
    LegTerms,
    side=SIDES,
    ratio=st.integers(1, 3),
    multiplier=st.sampled_from([1, 100]),
    decimals=st.sampled_from([2, 4]),
    tick=st.sampled_from([1, 5]),
    lot=st.sampled_from([QTY_UNIT, QTY_UNIT // 4]),
    bound=st.sampled_from([0, 0, 0, 95, 100]),
)
# Of every ten orders one is the asker's own.
OWNERS = st.sampled_from([2, 3, 4, 5, 6, 7, 8, 9, 10, OWNER])
LOTS = st.integers(1, 20) | st.integers(40, 200)
ORDERS = st.lists(st.tuples(st.integers(93, 103), LOTS, OWNERS), min_size=1, max_size=8)
LEGS = st.lists(st.tuples(TERMS, ORDERS), min_size=2, max_size=4)
UNITS = st.integers(1, 25) | st.integers(60, 90)
COEFFICIENTS = st.sampled_from([0, 1, -1, 2, ONE, -ONE, 2 * ONE, -3 * ONE])


@st.composite
def constraints_of(draw: st.DrawFn, touch: Sequence[Fraction]) -> Constraint:
    """A constraint between two of the legs that just holds, or just does not, at these prices."""
    left, right = draw(st.permutations(range(len(touch))))[:2]
    near = draw(st.integers(-4, 12)) * ONE // 400
    if draw(st.booleans()):
        apart = int(abs(touch[left] / touch[right] - 1) * ONE)
        return Constraint(WITHIN, left, right, max(apart + near, 0))
    a, b = draw(COEFFICIENTS), draw(COEFFICIENTS)
    most = int(a * touch[left] + b * touch[right]) + near
    return Constraint(LINEAR, left, right, a, b, most)


def rule_of(constraint: Constraint) -> Rule:
    """A constraint in the twin's words."""
    kind, left, right, a, b, c = constraint
    return Rule(kind, left, right, Fraction(a, ONE), Fraction(b, ONE), Fraction(c, ONE))


def touch_of(legs: Sequence[NaiveLeg]) -> list[Fraction]:
    """The best prices of the legs."""
    return [leg.offered[0].price for leg in legs]


def shown(plan: StrategyPlan) -> list[list[tuple[int, int, int]]]:
    """The orders met, as plain numbers."""
    return [[(met.sequence, met.qty, met.price) for met in leg] for leg in plan.legs]


@hypothesis_settings(max_examples=300)
@given(st.data())
def test_multileg_plan_has_the_units_and_orders_of_the_naive_one(data):
    """The most units within limit, bounds and constraints; all legs in ratio; best orders first."""
    legs = data.draw(LEGS)
    twins = [told(terms, orders) for terms, orders in legs]
    asks = [asked(terms, market_of(terms, orders)) for terms, orders in legs]
    units = data.draw(UNITS)
    limit = None
    if data.draw(st.booleans()):
        worse = data.draw(st.integers(-2, 40)) * ONE // 100
        limit = int(net_of(twins, touch_of(twins)) * ONE) + worse
    constraints = data.draw(st.lists(constraints_of(touch_of(twins)), max_size=2))
    before = [ask.market.book.state_rows() for ask in asks]

    plan = plan_units(asks, units, limit, constraints, OWNER, STP)

    exact = None if limit is None else Fraction(limit, ONE)
    most, met = most_units(twins, units, exact, [rule_of(each) for each in constraints], OWNER)
    assert most == plan.units
    if most:
        assert [
            [(key, qty * QTY_UNIT, price * 10**terms.decimals) for key, qty, price in took]
            for took, (terms, _) in zip(met, legs, strict=True)
        ] == shown(plan)
    for leg, ask in zip(plan.legs, asks, strict=bool(plan.units)):
        assert plan.units * ask.ratio * QTY_UNIT == sum(each.qty for each in leg)
        assert all(each.trades for each in leg)
    assert before == [ask.market.book.state_rows() for ask in asks]


@hypothesis_settings(max_examples=60)
@given(st.data())
def test_multileg_plan_takes_the_asker_s_own_orders_where_nothing_prevents_it(data):
    """Without a self-trade instruction orders of the same owner are orders like any other."""
    legs = data.draw(LEGS)
    twins = [told(terms, orders) for terms, orders in legs]
    asks = [asked(terms, market_of(terms, orders)) for terms, orders in legs]
    units = data.draw(UNITS)
    assert (
        most_units(twins, units, None, [], -1)[0] == plan_units(asks, units, None, [], 1, 0).units
    )


@hypothesis_settings(max_examples=100)
@given(st.data())
def test_what_a_multileg_plan_leaves_cannot_trade_by_itself_either(data):
    """Once it is done nothing of the rest is within the constraints, with or without the first."""
    legs = data.draw(LEGS)
    asks = [asked(terms, market_of(terms, orders)) for terms, orders in legs]
    units = data.draw(UNITS)
    touch = touch_of([told(terms, orders) for terms, orders in legs])
    constraints = data.draw(st.lists(constraints_of(touch), min_size=1, max_size=2))
    plan = plan_units(asks, units, None, constraints, OWNER, STP)
    if units == plan.units:
        return
    for ask, leg in zip(asks, plan.legs, strict=bool(plan.units)):
        for each in leg:
            ask.market.book.fill(each.sequence, each.qty // ask.market.instrument.lot)
    again = plan_units(asks, units - plan.units, None, constraints, OWNER, STP)
    assert 0 == again.units


@hypothesis_settings(max_examples=150)
@given(st.data())
def test_one_multileg_leg_goes_on_as_far_as_all_of_it_together_may(data):
    """With what it traded before its average stays within what must hold beside another leg's."""
    legs = data.draw(st.lists(st.tuples(TERMS, ORDERS), min_size=2, max_size=2))
    twins = [told(terms, orders) for terms, orders in legs]
    asks = [asked(terms, market_of(terms, orders)) for terms, orders in legs]
    constraints = data.draw(st.lists(constraints_of(touch_of(twins)), min_size=1, max_size=2))
    ahead, units = data.draw(st.integers(0, 4)), data.draw(st.integers(1, 25))
    offers = reachable(twins[0], OWNER)
    before = taken(offers, 0, ahead * twins[0].ratio)
    first = plan_leg(asks[0], max(ahead, 1), (), Before(0, (0,)), OWNER, STP)
    if before is None or first.units < ahead:
        return
    spent = 0
    for met in first.legs[0] if ahead else ():
        lots = met.qty // asks[0].market.instrument.lot
        asks[0].market.book.fill(met.sequence, lots)
        spent += met.price * lots
    # The other leg's average is near its touch, and between two ticks.
    scale, count = 10 ** legs[1][0].decimals, data.draw(st.integers(1, 3))
    prices = int(touch_of(twins)[1] * scale) * count + data.draw(st.integers(-2, 2))
    known = [None, Before(count, (prices * asks[1].lots,))]
    price = Fraction(prices, count * scale)

    planes = planes_of_leg(asks, constraints, 0, known)
    plan = plan_leg(asks[0], units, planes, Before(ahead, (spent,)), OWNER, STP)

    rules = [rule_of(each) for each in constraints]
    most = 0
    for unit in range(1, units + 1):
        together = taken(offers, 0, (ahead + unit) * twins[0].ratio)
        if together is None:
            break
        if all(rule.holds([average(together), price]) for rule in rules):
            most = unit
    assert most == plan.units


@st.composite
def places(draw: st.DrawFn) -> tuple[LegTerms, LegAsk, list[int]]:
    """A leg between complex orders, its market, and every tick at which it may trade."""
    terms = draw(
        st.builds(
            LegTerms,
            side=SIDES,
            ratio=st.sampled_from([1, 1, 2, 3, 5, 7]),
            multiplier=st.sampled_from([1, 1, 100]),
            tick=st.sampled_from([1, 5]),
            bound=st.sampled_from([0, 0, 9, 12]),
            reference=st.integers(5, 15),
            collar_bps=st.sampled_from([9_999, 2_000]),
        )
    )
    bid, offer = sorted(draw(st.tuples(st.integers(4, 16), st.integers(4, 16))))
    offered, wanted = ((offer, 1, 2),), ((bid, 1, 2),)
    if terms.side != BUY:
        offered, wanted = wanted, offered
    market = market_of(terms, offered, wanted)
    low, high = market.collar(market.reference_price)
    ticks = [
        ticks
        for ticks in range(bid, offer + 1)
        if low <= ticks * terms.tick <= high
        and (
            not terms.bound or (ticks <= terms.bound if terms.side == BUY else ticks >= terms.bound)
        )
    ]
    return terms, asked(terms, market), ticks


@hypothesis_settings(max_examples=300)
@given(st.data())
def test_multileg_leg_prices_are_the_nearest_of_all_that_make_the_net(data):
    """Between bid and offer, inside collar and bounds, exactly the net, as near as possible."""
    drawn = data.draw(st.lists(places(), min_size=2, max_size=4))
    largest = max(terms.multiplier for terms, _, _ in drawn)
    found = []
    for terms, _, ticks in drawn:
        weight = Fraction(terms.ratio * terms.multiplier, largest)
        weight = weight if terms.side == BUY else -weight
        # Where it is drawn to when that is outside: to the nearest tick inside.
        near = min(max(terms.reference, ticks[0]), ticks[-1]) if ticks else 0
        prices = [price_of(terms, each) for each in ticks]
        found.append(Place(prices, price_of(terms, near), weight, weight * price_of(terms, 1)))
    # What some of these prices make, or a little beside it.
    some = [data.draw(st.sampled_from(each.prices or [Fraction(0)])) for each in found]
    net = int(sum((p.weight * price for p, price in zip(found, some, strict=True)), 0) * ONE)
    net += data.draw(st.sampled_from([0, 0, 0, ONE // 10_000, -ONE // 100]))

    prices = leg_prices([ask for _, ask, _ in drawn], net)

    told_so = nearest_prices(found, Fraction(net, ONE))
    assert told_so == (None if prices is None else tuple(Fraction(each, 100) for each in prices))


@hypothesis_settings(max_examples=60)
@given(st.data())
def test_multileg_constraints_hold_at_given_prices_as_in_fractions(data):
    """What is judged of two complex orders is what a fraction says."""
    legs = data.draw(LEGS)
    asks = [asked(terms, market_of(terms, ())) for terms, _ in legs]
    ticks = [data.draw(st.integers(1, 200)) for _ in legs]
    prices = [price_of(terms, each) for (terms, _), each in zip(legs, ticks, strict=True)]
    units = [each * terms.tick for (terms, _), each in zip(legs, ticks, strict=True)]
    constraint = data.draw(constraints_of(prices))
    assert rule_of(constraint).holds(prices) == prices_hold(asks, [constraint], units)


def test_average_of_a_multileg_twin_is_by_quantity():
    """The twin weighs prices by what was taken at them."""
    took = [(1, Fraction(1), Fraction(2)), (2, Fraction(3), Fraction(4))]
    assert Fraction(7, 2) == average(took)
