"""Settlement of trades that were busted or corrected, before and after they settled."""

from __future__ import annotations

import pytest

from domain.events import SettlementSettled
from tests.model.desk_harness import cents, shares
from tests.model.settling_desk import (
    FRIDAY,
    MONDAY,
    THURSDAY,
    WEDNESDAY,
    SettlingDesk,
    counts,
    settling_desk,
)


@pytest.fixture
def venue() -> SettlingDesk:
    """X, `a` with a thousand shares, `b` with none, both with 100,000 USD."""
    return settling_desk()


def test_settlement_of_a_busted_trade_moves_nothing(venue):
    """Busted before it is due: the obligation nets to nothing and ends."""
    venue.day(MONDAY, WEDNESDAY)
    venue.trade(venue.b, venue.a, 10, 100)
    venue.bust_last()

    assert (2, 0, 0) == counts(venue.run(WEDNESDAY))

    assert {0} == {event.qty for event in venue.happened(SettlementSettled)}
    assert (cents(100_000), 0, 0) == venue.money(venue.a) == venue.money(venue.b)
    assert (1000, 1000) == venue.holds(venue.a)


def test_settlement_of_a_bust_after_settlement_brings_both_back(venue):
    """A settled trade is undone by a new obligation, due with the trades of today."""
    venue.day(MONDAY, WEDNESDAY)
    venue.trade(venue.b, venue.a, 10, 100)
    venue.run(WEDNESDAY)
    venue.day(THURSDAY, FRIDAY)
    venue.bust_last()
    assert shares(-10) == venue.owed(venue.b, FRIDAY).qty
    assert (cents(99_000), cents(1_000), 0) == venue.money(venue.b)

    assert (2, 0, 0) == counts(venue.run(FRIDAY))

    assert (cents(100_000), 0, 0) == venue.money(venue.a) == venue.money(venue.b)
    assert (1000, 1000) == venue.holds(venue.a)
    assert (0, 0) == venue.holds(venue.b)


def test_settlement_of_a_bust_fails_while_the_shares_are_gone(venue):
    """Who has sold on what it must give back fails, and so does the one who waits for it."""
    c = venue.account("c", 100_000)
    venue.day(MONDAY, WEDNESDAY)
    erroneous = venue.trade(venue.b, venue.a, 10, 100)
    venue.run(WEDNESDAY)
    venue.day(WEDNESDAY, THURSDAY)
    venue.trade(c, venue.b, 10, 100)
    venue.run(THURSDAY)
    venue.day(THURSDAY, FRIDAY)
    venue.bust(erroneous)

    assert [("b", "SECURITIES"), ("a", "AWAITING_DELIVERY")] == venue.short(FRIDAY)
    assert (-10, 0) == venue.holds(venue.b)


@pytest.mark.parametrize(("price", "paid"), [("101.50", 1_015), ("99", 990)])
def test_settlement_of_a_corrected_trade_is_at_the_new_price(venue, price, paid):
    """Corrected before it is due: the obligation holds the corrected amount alone."""
    venue.day(MONDAY, WEDNESDAY)
    venue.trade(venue.b, venue.a, 10, 100)
    venue.correct_last(price)

    assert (2, 0, 0) == counts(venue.run(WEDNESDAY))

    assert (cents(100_000 - paid), 0, 0) == venue.money(venue.b)
    assert (cents(100_000 + paid), 0, 0) == venue.money(venue.a)
    assert (10, 10) == venue.holds(venue.b)


def test_settlement_of_a_correction_after_settlement_moves_the_difference(venue):
    """A settled trade at another price: only the difference in cash is due, no share."""
    venue.day(MONDAY, WEDNESDAY)
    venue.trade(venue.b, venue.a, 10, 100)
    venue.run(WEDNESDAY)
    venue.day(THURSDAY, FRIDAY)
    venue.correct_last(102)
    assert (0, cents(-20)) == venue.due(venue.b, FRIDAY)
    assert (cents(99_000), 0, cents(20)) == venue.money(venue.b)

    venue.run(FRIDAY)

    assert (cents(98_980), 0, 0) == venue.money(venue.b)
    assert (cents(101_020), 0, 0) == venue.money(venue.a)
    assert (10, 10) == venue.holds(venue.b)
