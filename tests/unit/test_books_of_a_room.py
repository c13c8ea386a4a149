"""The books of the room of markets: loaded in one call each, and grown while nobody waits."""

from __future__ import annotations

import random

import pytest

from application.desk.markets import Markets
from domain.matching.book import BUY, SELL, Book
from tests.model.desk_harness import trading_desk
from tests.model.naive_book_walk import walk


def room() -> Markets:
    """A room with one market, X, whose book is empty."""
    return trading_desk().desk.markets


def crowded(orders: int) -> Markets:
    """The same, with many orders in the book."""
    draw = random.Random(orders)
    markets = room()
    for key in range(1, orders + 1):
        side = draw.choice((BUY, SELL))
        ticks = 10_000 + (-1 if side == BUY else 1) * draw.randint(1, 300)
        book_of(markets).add(key, side, ticks, draw.randint(1, 10**17 - 1), draw.randrange(9))
    return markets


def book_of(markets: Markets) -> Book:
    """The book of X."""
    return markets.named("X").book


@pytest.mark.parametrize("orders", [0, 1, 2_000])
def test_a_loaded_room_has_every_order_in_its_place(orders):
    """What was dumped is what is there: each order, each level, each array."""
    markets = crowded(orders)
    state = markets.dump()

    loaded = Markets()
    loaded.load(state)

    assert state == loaded.dump()
    assert book_of(markets).state_rows() == book_of(loaded).state_rows()
    walk(book_of(loaded))
    for _, ticks, lots, owner in book_of(markets).orders(SELL)[:3]:
        assert book_of(loaded).plan(BUY, ticks, lots, owner, 0) == book_of(markets).plan(
            BUY, ticks, lots, owner, 0
        )


@pytest.mark.parametrize(
    ("rows", "kind"),
    [
        ([(1, 100, 5, 7), (1, 101, 5, 7)], KeyError),
        ([(1, 0, 5, 7)], ValueError),
        ([(1, 100, 0, 7)], ValueError),
        ([(1, 100, 10**17, 7)], ValueError),
        ([(2**63, 100, 5, 7)], OverflowError),
        ([(1, 100, 5)], ValueError),
    ],
)
def test_rows_that_no_book_told_are_refused(rows, kind):
    """A snapshot that says an impossible order is not loaded as another."""
    market = room().named("X")
    with pytest.raises(kind):
        market.rest_all(BUY, rows)
    assert [] == [row for row in market.book.orders(BUY) if row[1:] not in [(100, 5, 7)]]


def test_a_book_grows_when_time_looks_over_the_room():
    """Then no order has to wait for it; books that have room are left alone."""
    markets = crowded(768)
    markets.make_room()
    size = book_of(markets).memory_bytes()
    markets.make_room()
    assert size == book_of(markets).memory_bytes()
    book_of(markets).add(9_999, BUY, 1, 1, 1)
    markets.make_room()
    assert size < book_of(markets).memory_bytes()
    walk(book_of(markets))
