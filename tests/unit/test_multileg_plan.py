"""What of a multi-leg order trades at once: by levels, in ratio, within limit and constraints."""

import pytest
from msgspec.structs import replace

from domain.matching.book import MAX_LOTS
from domain.matching.leg_prices import leg_prices, prices_hold
from domain.matching.strategy import FIRST_UNITS, NOTHING, plan_units
from domain.matching.strategy_constraints import LINEAR, WITHIN
from domain.money import QTY_UNIT, WIRE_PRICE_SCALE
from domain.strategy_terms import Constraint
from domain.terms import SelfTrade, Side
from tests.model.naive_strategy_books import LegTerms, asked, market_of

BUY, SELL = int(Side.BUY), int(Side.SELL)
OWN, OTHER = 1, 2
STP = int(SelfTrade.CANCEL_NEWEST)
CENT = 10 ** (WIRE_PRICE_SCALE - 2)
PERCENT = 10 ** (WIRE_PRICE_SCALE - 2)


def spread(bought, sold, ratios=(1, 1), **terms):
    """A leg that is bought and one that is sold, each with the orders it meets."""
    legs = zip((BUY, SELL), ratios, (bought, sold), strict=True)
    return [
        asked(leg := LegTerms(side, ratio, **terms), market_of(leg, orders))
        for side, ratio, orders in legs
    ]


def plan(legs, units, limit=None, *constraints):
    """What would trade of so many units."""
    return plan_units(legs, units, limit, constraints, OWN, STP)


def test_multileg_plan_at_the_touch_takes_the_first_orders_in_ratio():
    """Two of the one for each of the other, and the orders of a price in their turn."""
    legs = spread([(500, 1, OTHER), (500, 9, OTHER)], [(300, 9, OTHER)], (1, 2))
    found = plan(legs, 3)
    assert 3 == found.units
    assert [[(1, 1), (2, 2)], [(1, 6)]] == [
        [(met.sequence, met.qty // QTY_UNIT) for met in leg] for leg in found.legs
    ]
    assert {500, 300} == {met.price for leg in found.legs for met in leg}


def test_multileg_plan_is_bounded_by_the_thinnest_leg():
    """A unit that one leg lacks does not trade in the other."""
    legs = spread([(500, 9, OTHER)], [(300, 5, OTHER)], (1, 2))
    assert 2 == plan(legs, 9).units
    assert NOTHING == plan(spread([(500, 9, OTHER)], []), 9)
    assert NOTHING == plan(spread([(500, 9, OTHER)], [(300, 1, OTHER)], (1, 2)), 9)


def test_every_multileg_unit_is_within_the_net_limit():
    """The limit is for each unit and not for the average of all."""
    legs = spread([(500, 2, OTHER), (501, 2, OTHER)], [(300, 9, OTHER)])
    assert [0, 2, 4] == [plan(legs, 9, net * CENT).units for net in (199, 200, 201)]


def test_multileg_credit_is_a_negative_net():
    """One who receives at least so much asks for at most that much below nothing."""
    legs = spread([(300, 9, OTHER)], [(500, 1, OTHER), (499, 9, OTHER)])
    assert [0, 1, 9] == [plan(legs, 9, -net * CENT).units for net in (201, 200, 199)]


def test_a_multileg_unit_over_two_levels_costs_their_average():
    """Half a unit at each of two prices is judged by both together, exactly."""
    legs = spread([(500, 1, OTHER), (501, 3, OTHER)], [(300, 9, OTHER)], (2, 1))
    assert [0, 1, 2] == [plan(legs, 9, net * CENT).units for net in (700, 701, 702)]


def test_multileg_net_of_unlike_multipliers_is_for_one_unit_of_the_larger():
    """A hundred shares beside a contract for a hundred count once each."""
    share, call = LegTerms(BUY, 100), LegTerms(SELL, 1, multiplier=100)
    legs = [
        asked(share, market_of(share, [(5_000, 900, OTHER)])),
        asked(call, market_of(call, [(200, 5, OTHER)])),
    ]
    assert [0, 5] == [plan(legs, 9, net * CENT).units for net in (4_799, 4_800)]


def test_multileg_plan_stops_in_front_of_the_owner_s_own_order():
    """What stands behind it is not reached either, whatever the instruction says."""
    legs = spread([(500, 1, OTHER), (500, 1, OWN), (500, 9, OTHER)], [(300, 9, OTHER)])
    for instruction in SelfTrade:
        assert 1 == plan_units(legs, 9, None, (), OWN, int(instruction)).units


def test_multileg_legs_trade_within_their_own_bounds():
    """A leg's worst price ends its depth, also one between two ticks."""
    terms = {"tick": 5}
    legs = spread([(100, 1, OTHER), (101, 9, OTHER)], [(60, 2, OTHER), (59, 9, OTHER)], **terms)
    bounds = [(0, 0, 9), (504, 0, 1), (505, 0, 9), (0, 296, 2), (0, 295, 9), (4, 0, 0)]
    for buy, sell, units in bounds:
        pair = [replace(leg, bound=at) for leg, at in zip(legs, (buy, sell), strict=True)]
        assert units == plan(pair, 9).units


def test_multileg_constraint_within_a_part_is_on_average_prices():
    """More units may lift the average too far from the other leg's, and fewer not."""
    legs = spread([(100, 3, OTHER), (104, 9, OTHER)], [(100, 20, OTHER)])
    # 3 at 1.00 and n at 1.04: at most 2 % above is n = 3.
    assert 6 == plan(legs, 9, None, Constraint(WITHIN, 0, 1, 2 * PERCENT)).units
    assert 3 == plan(legs, 9, None, Constraint(WITHIN, 0, 1, 0)).units


def test_multileg_constraint_may_hold_for_many_units_and_not_for_few():
    """The largest number that satisfies it is what counts, not the first that does not."""
    legs = spread([(100, 3, OTHER), (104, 9, OTHER)], [(104, 20, OTHER)])
    close = Constraint(WITHIN, 0, 1, 1 * PERCENT)
    # 3 at 1.00 and n at 1.04 against 1.04: within 1 % from n = 8.54 on.
    assert 12 == plan(legs, 12, None, close).units
    assert 0 == plan(legs, 11, None, close).units


def test_multileg_linear_constraint_is_exact():
    """Twice the one less the other is at most an amount, to the last billionth."""
    legs = spread([(500, 9, OTHER)], [(300, 9, OTHER)])
    two, less = 2 * 10**WIRE_PRICE_SCALE, -(10**WIRE_PRICE_SCALE)
    assert 9 == plan(legs, 9, None, Constraint(LINEAR, 0, 1, two, less, 700 * CENT)).units
    assert 0 == plan(legs, 9, None, Constraint(LINEAR, 0, 1, two, less, 700 * CENT - 1)).units


def test_multileg_plan_of_the_largest_quantities_is_by_levels():
    """A billion units over two levels take no longer than two, and nothing overflows."""
    many = 10**9
    legs = spread([(500, many, OTHER), (501, MAX_LOTS, OTHER)], [(300, MAX_LOTS, OTHER)])
    assert many == plan(legs, 10**15, 200 * CENT).units
    assert MAX_LOTS // 10**3 == plan(legs, 10**18, 10**17).units // 10**3
    assert 10**15 == plan(legs, 10**15, None, Constraint(WITHIN, 0, 1, PERCENT * 100)).units


def test_multileg_plan_looks_as_deep_as_the_units_need():
    """What is beyond the first look is found too, order by order."""
    units = 9 * FIRST_UNITS + 3
    legs = spread([(500, 1, OTHER)] * (units + 5), [(300, 2, OTHER)] * units)
    found = plan(legs, units + 1)
    assert units + 1 == found.units
    assert units + 5 == plan(legs, 10 * units).units
    assert [units + 1, (units + 2) // 2] == [len(leg) for leg in found.legs]


def quoted(terms, bid, offer):
    """A leg whose book has a bid and an offer."""
    both = ((offer, 1, OTHER),), ((bid, 1, OTHER),)
    return asked(terms, market_of(terms, *(both if terms.side == BUY else both[::-1])))


def test_multileg_legs_trade_at_their_references_where_these_make_the_net():
    """Between complex orders the last leg takes what the others leave."""
    legs = [
        quoted(LegTerms(BUY, reference=505), 490, 520),
        quoted(LegTerms(SELL, reference=305), 290, 320),
    ]
    assert (505, 305) == leg_prices(legs, 200 * CENT)
    assert (505, 303) == leg_prices(legs, 202 * CENT)
    assert (510, 290) == leg_prices(legs, 220 * CENT)
    assert None is leg_prices(legs, 231 * CENT)
    assert None is leg_prices(legs, 200 * CENT + 1)


def test_multileg_leg_prices_never_pass_a_resting_order():
    """Not even where the reference lies beyond it."""
    legs = [
        quoted(LegTerms(BUY, reference=550), 490, 520),
        quoted(LegTerms(SELL, reference=305), 290, 320),
    ]
    assert (520, 320) == leg_prices(legs, 200 * CENT)
    assert (490, 320) == leg_prices(legs, 170 * CENT)
    assert None is leg_prices(legs, 169 * CENT)


def test_multileg_ratios_that_hardly_fit_still_meet_the_net():
    """Legs of five and seven to one have prices for every cent between them."""
    legs = [
        quoted(LegTerms(BUY, 5, reference=500), 400, 600),
        quoted(LegTerms(SELL, 7, reference=357), 200, 400),
    ]
    for net in range(-20, 20):
        first, second = leg_prices(legs, net * CENT)
        assert net == 5 * first - 7 * second
        assert abs(second - 357) <= 2
    # Of two prices as near the lower one; the leg that moves the net most goes first.
    legs = [
        quoted(LegTerms(BUY, 2, reference=750), 1, 900),
        quoted(LegTerms(SELL, 3, reference=500), 1, 900),
    ]
    assert (750, 500) == leg_prices(legs, 0)
    assert (749, 499) == leg_prices(legs, 1 * CENT)


def test_a_multileg_leg_without_any_price_takes_what_the_others_leave():
    """It has no reference and no orders; the known leg trades at its own."""
    unknown = LegTerms(BUY)
    legs = [
        asked(unknown, market_of(unknown, [])),
        quoted(LegTerms(SELL, reference=305), 290, 320),
    ]
    assert (505, 305) == leg_prices(legs, 200 * CENT)
    assert (1, 311) == leg_prices(legs, -310 * CENT)


@pytest.mark.parametrize(("bid", "offer", "price"), [(490, 521, 505), (490, 0, 490), (0, 520, 520)])
def test_a_multileg_leg_without_reference_is_drawn_to_its_market(bid, offer, price):
    """To the middle of bid and offer, rounded down, or to the one there is."""
    terms = LegTerms(BUY)
    bids, offers = ([(at, 1, OTHER)] if at else [] for at in (bid, offer))
    legs = [
        asked(terms, market_of(terms, offers, bids)),
        quoted(LegTerms(SELL), 1, 900),
    ]
    found = leg_prices(legs, (price - 450) * CENT)
    assert (price, 450) == found


def test_multileg_prices_outside_a_collar_are_not_made():
    """A leg's trade moves its last price, so that it keeps to the collar around that."""
    legs = [
        quoted(LegTerms(BUY, reference=500, collar_bps=100), 400, 600),
        quoted(LegTerms(SELL, reference=300, collar_bps=100), 200, 400),
    ]
    assert (505, 297) == leg_prices(legs, 208 * CENT)
    assert None is leg_prices(legs, 209 * CENT)


def test_multileg_prices_that_ticks_cannot_make_end_the_search_in_time():
    """Four legs whose ticks hardly fit each other are given up after a bounded number of tries."""
    legs = [
        quoted(LegTerms(BUY, 1, tick=99_991, reference=500), 1, 900),
        quoted(LegTerms(SELL, 1, tick=99_989, reference=500), 1, 900),
        quoted(LegTerms(BUY, 1, tick=7, reference=500), 500, 500),
        quoted(LegTerms(SELL, 1, tick=3, reference=500), 500, 501),
    ]
    assert None is leg_prices(legs, 1_000_001 * CENT)


def test_multileg_constraints_are_judged_at_the_prices_given():
    """A price that is a billionth too far is too far."""
    legs = spread([], [])
    near = Constraint(WITHIN, 0, 1, PERCENT)
    assert prices_hold(legs, [near], (101, 100))
    assert prices_hold(legs, [near], (99, 100))
    assert not prices_hold(legs, [near], (102, 100))
    assert not prices_hold(legs, [Constraint(WITHIN, 0, 1, PERCENT - 1)], (101, 100))
