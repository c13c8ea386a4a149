"""Margin of option strategies: what brokers and exchanges publish of it, and its corners.

The figures are those of the named pages; a requirement is told beyond value, as
`domain/strategy_margin.py` has it: what they ask for, less the premium that a sale brings.
"""

from __future__ import annotations

from typing import NamedTuple

import pytest

from domain.strategy_margin import (
    LISTED,
    MOST_TOGETHER,
    UNLEVERED,
    Bound,
    OptionHolding,
    Rates,
    StockHolding,
    required,
    requirement_of,
    worst_loss,
)
from domain.terms import Right

MARCH, JUNE = 20270319, 20270618
DOLLAR = 10**9


def option(
    text: str, contracts: int, mark: float | int | str, expiry: int = MARCH
) -> OptionHolding:
    """A holding of so many contracts, as `call 100`."""
    right, strike = text.split()
    return OptionHolding(
        int(Right[right.upper()]),
        round(float(strike) * 1000) * DOLLAR // 1000,
        expiry,
        contracts * 10**8,
        round(float(mark) * 10_000),
        4,
        100,
    )


def shares(qty: int, mark: float, initial: int = 5_000, maintenance: int = 2_500) -> StockHolding:
    """A holding of the underlying."""
    return StockHolding(qty * 10**8, round(mark * 10_000), 4, initial, maintenance)


def initial(underlying: float, *held: OptionHolding, stock: StockHolding | None = None) -> int:
    """What it binds when it is opened, in cents."""
    return requirement_of(round(underlying * DOLLAR), stock, held).initial


class Published(NamedTuple):
    """An example that is published, and the dollars that its page asks for beyond value."""

    source: str
    what: str
    underlying: float
    held: tuple[OptionHolding, ...]
    dollars: float
    stock: StockHolding | None = None


CBOE = "CBOE, Margin Requirement Examples for Sample Options-based Positions"
TASTY = "tastytrade help center"
PUBLISHED = (
    Published(CBOE, "short call", 97.73, (option("call 100", -100, 1.68),), 172_760),
    Published(CBOE, "short put", 97.73, (option("put 100", -100, 3.18),), 195_460),
    Published(
        CBOE, "covered call", 97.73, (option("call 100", -100, 1.68),), 471_850,
        shares(10_000, 97.73),
    ),
    Published(
        CBOE, "protective put", 97.73, (option("put 95", 100, 1.02),), 498_850,
        shares(10_000, 97.73),
    ),
    Published(
        CBOE, "synthetic long", 97.73,
        (option("call 100", 100, 1.68), option("put 100", -100, 3.18)), 212_260,
    ),
    Published(
        CBOE, "risk reversal", 97.73,
        (option("put 95", 100, 1.02), option("call 105", -100, 0.40)), 132_960,
    ),
    Published(
        CBOE, "collar", 97.73, (option("put 95", 100, 1.02), option("call 105", -100, 0.40)),
        494_850, shares(10_000, 97.73),
    ),
    Published(
        CBOE, "long vertical call spread", 97.73,
        (option("call 95", 100, 4.53), option("call 105", -100, 0.40)), 41_300,
    ),
    # The page rounds the 486 dollars of a contract to 485.
    Published(
        CBOE, "long straddle", 97.73,
        (option("put 100", 100, 3.18), option("call 100", 100, 1.68)), 48_600,
    ),
    # 1,150 asked for, 150 of premium applied.
    Published(f"{TASTY}, naked short call", "call", 65, (option("call 68", -1, 1.50),), 1_000),
    # 1,030 asked for, 330 of premium applied.
    Published(
        f"{TASTY}, short straddle or strangle", "strangle", 45,
        (option("call 47", -1, 2.10), option("put 43", -1, 1.20)), 700,
    ),
    # 600 asked for, 340 of credit.
    Published(
        f"{TASTY}, short iron condor", "iron condor", 60,
        (
            option("put 50", 2, 0.80), option("put 53", -2, 1.25),
            option("call 67", -2, 2.00), option("call 70", 2, 0.75),
        ), 260,
    ),
    # 1,500 asked for, and what the example pays for it, 150.
    Published(
        f"{TASTY}, short butterfly", "butterfly", 80,
        (option("put 75", -3, 1.50), option("put 80", 6, 4.00), option("put 85", -3, 6.00)), 1_650,
    ),
    Published(
        f"{TASTY}, long calendar spread", "calendar", 43,
        (option("call 43", 4, 3.00, JUNE), option("call 43", -4, 1.00)), 800,
    ),
    # 2,500 asked for, 800 of premium applied: the short outlives the long.
    Published(
        f"{TASTY}, short calendar spread", "calendar", 40,
        (option("call 43", 2, 3.50), option("call 43", -2, 4.00, JUNE)), 1_700,
    ),
    Published("edeltapro, margin", "short put", 209, (option("put 200", -1, 1.20),), 3_280),
    Published(
        "edeltapro, margin", "put spread", 130,
        (option("put 120", 1, 0.80), option("put 125", -1, 1.24)), 456,
    ),
    # 10,000 asked for; the marks are ours, and bring 1,200.
    Published(
        "Interactive Brokers knowledge base, node 600", "iron condor", 175,
        (
            option("put 160", 10, 0.40), option("put 170", -10, 1.00),
            option("call 180", -10, 1.10), option("call 190", 10, 0.50),
        ), 8_800,
    ),
    # Ten contracts each; 20,000 asked for with the option 10 in the money, and 6,000 out of it.
    Published(
        "siliconinvestor 14937011, NYSE and NASD rates", "short call in the money", 40,
        (option("call 30", -10, 12),), 8_000,
    ),
    Published(
        "siliconinvestor 14937011, NYSE and NASD rates", "short call out of the money", 40,
        (option("call 50", -10, 2),), 4_000,
    ),
    Published(
        "neif.org, Options 0000545z", "short put", 72, (option("put 70", -1, 3),), 1_240,
    ),
)  # fmt: skip


@pytest.mark.parametrize("example", PUBLISHED, ids=lambda one: f"{one.source}: {one.what}")
def test_margin_of_a_spread_is_what_is_published(example: Published) -> None:
    """Each example asks for the dollars that its page tells."""
    found = initial(example.underlying, *example.held, stock=example.stock)

    assert round(example.dollars * 100) == found


MAINTENANCE = (
    # tastytrade, protective put: the lesser of a tenth of the strike and what it is out of the
    # money, and a quarter of the stock; the put is paid in full.
    (100.0, option("put 95", 1, 2.00), 1, 95 * 10 + 500 + 200),
    (100.0, option("put 80", 1, 0.50), 1, 2_500 + 50),
    (100.0, option("put 110", 1, 11.00), 1, 1_100 + 1_100),
    # FINRA Rule 4210(f)(2)(H): a long call on shares that are owed.
    (100.0, option("call 105", 1, 2.00), -1, 105 * 10 + 500 + 200),
)


@pytest.mark.parametrize(("underlying", "held", "sign", "dollars"), MAINTENANCE)
def test_margin_of_protected_shares_follows_the_strike_that_protects_them(
    underlying: float, held: OptionHolding, sign: int, dollars: int
) -> None:
    """Shares with an option that bounds their loss bind a tenth of its strike at the least."""
    stock = shares(100 * sign, underlying, maintenance=2_500)
    found = requirement_of(round(underlying * DOLLAR), stock, (held,))

    assert dollars * 100 == found.maintenance
    assert (5_000 + round(held.mark / 100)) * 100 == found.initial


def test_margin_of_a_covered_call_counts_shares_up_to_the_strike_alone() -> None:
    """In the money the shares are worth no more than what they will be delivered for."""
    call = option("call 90", -1, 12)

    # 100 less 12 of premium less half of 90 lent.
    assert (100 - 12 - 45) * 100_00 == initial(100, call, stock=shares(100, 100))


def test_margin_of_a_covered_put_is_what_it_is_in_the_money() -> None:
    """Shares that are owed are bought back at the strike."""
    put = option("put 110", -1, 12)

    assert (50 + 10 - 12) * 100_00 == initial(100, put, stock=shares(-100, 100))


def test_margin_of_a_butterfly_spread_is_what_it_costs() -> None:
    """Both of its spreads are looked at as one: it can lose its price and no more."""
    wings = option("call 90", 1, 11), option("call 110", 1, 1)

    assert 200_00 == initial(100, *wings, option("call 100", -2, 5))


def test_margin_of_a_wide_spread_is_what_its_short_binds_alone() -> None:
    """A long that is far away asks for no more than what the short would bind without it."""
    short = option("put 100", -1, 3)

    assert 20_00 * 100 == initial(100, short)
    assert 20_00 * 100 + 10_00 == initial(100, short, option("put 10", 1, 0.10))


def test_margin_of_a_short_iron_butterfly_spread_is_one_wing_less_the_credit() -> None:
    """Only one side can be in the money."""
    held = (
        option("put 90", 1, 1),
        option("put 100", -1, 4),
        option("call 100", -1, 4),
        option("call 110", 1, 1),
    )

    assert (10 - 6) * 100_00 == initial(100, *held)


def test_margin_of_a_box_spread_bought_is_what_it_costs() -> None:
    """It pays its width wherever the underlying ends."""
    held = (
        option("call 90", 1, 11),
        option("call 100", -1, 5),
        option("put 90", -1, 1),
        option("put 100", 1, 4.5),
    )

    assert 950_00 == initial(100, *held)


def test_margin_of_an_uneven_spread_leaves_the_rest_by_itself() -> None:
    """Of three short calls two are spread, the third is margined alone."""
    spread = option("call 100", -3, 3), option("call 105", 2, 1.5)
    alone, two = initial(100, option("call 100", -1, 3)), 2 * (5 - 1.5) * 100_00

    assert alone + two == initial(100, *spread)


def test_margin_of_a_spread_whose_long_ends_first_is_that_of_its_legs() -> None:
    """A long that expires before the short covers nothing of it."""
    short, long = option("call 100", -1, 4, JUNE), option("call 100", 1, 3, MARCH)

    assert initial(100, short) + 300_00 == initial(100, short, long)


def test_margin_of_short_options_of_an_account_without_leverage_is_all_that_they_are_for() -> None:
    """At a multiplier of 1 a put binds its strike and a call its underlying."""
    put = requirement_of(100 * DOLLAR, None, (option("put 90", -1, 2),), UNLEVERED)
    call = requirement_of(100 * DOLLAR, None, (option("call 110", -1, 2),), UNLEVERED)

    assert (9_000_00, 1_000_00) == put
    assert 10_000_00 == call.initial


def test_margin_of_an_option_whose_underlying_has_no_price_is_that_of_its_strike() -> None:
    """What nobody has priced is taken to stand at the strike: it never binds nothing."""
    assert initial(100, option("call 100", -1, 3)) == initial(0, option("call 100", -1, 3))


def test_margin_of_many_options_spread_by_spread_is_no_more_than_alone() -> None:
    """Of more than are looked at together each expiry is looked at by itself."""
    many = tuple(
        option(f"put {100 - strike}", sign, 9 - strike / 2)
        for strike, sign in zip(range(MOST_TOGETHER + 2), (-1, 1) * MOST_TOGETHER, strict=False)
    )
    alone = sum(initial(100, one) for one in many)
    pairs = sum(initial(100, *many[at : at + 2]) for at in range(0, len(many), 2))

    assert pairs == initial(100, *many) < alone


def test_worst_loss_of_a_spread_is_told_exactly() -> None:
    """From the present marks to the worst bend, in cents; without a bound there is none."""
    spread = option("call 100", -1, 3), option("call 105", 1, 1.5)

    assert 350_00 == worst_loss(None, spread)
    assert worst_loss(None, spread[:1]) is None
    assert 9_700_00 == worst_loss(shares(100, 100), spread[:1])
    assert worst_loss(shares(-100, 100), ()) is None


def test_margin_of_a_spread_of_the_largest_amounts_is_exact() -> None:
    """Nothing overflows: the requirement of a huge spread is that of one, so many times."""
    huge = 10**9
    one = Bound(100 * DOLLAR, (option("put 100", -1, 3), option("put 95", 1, 1)), LISTED)
    many = one._replace(options=tuple(o._replace(qty=o.qty * huge) for o in one.options))

    assert required(one) * huge == required(many)


def test_margin_of_a_part_of_a_cent_spread_is_rounded_up() -> None:
    """A hold is never a fraction of a cent too little."""
    tiny = option("put 100", -1, 0)._replace(qty=-1, multiplier=1)

    assert 1 == required(Bound(100 * DOLLAR, (tiny,), Rates(1, 0)))
