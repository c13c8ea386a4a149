"""Room in the book: made ahead of need, by doubling, without any order noticing."""

import random
import tracemalloc

import pytest

from domain.matching.book import BUY, MAX_ORDERS, SELL, STP_NONE, Book, implementation
from tests.model.naive_book_walk import walk


def capacity(book: Book) -> int:
    """How many orders the arrays hold."""
    return len(book.anatomy()["key"])


def test_a_book_that_is_three_quarters_full_is_doubled_ahead():
    """One that is less full is left alone, however often it is asked."""
    book = Book(capacity=64)
    for key in range(48):
        book.add(key, BUY, 100, 1, 7)
    assert not book.make_room()
    book.add(48, BUY, 100, 1, 7)
    assert book.make_room()
    assert not book.make_room()
    assert 128 == capacity(book)
    walk(book)


def test_levels_are_doubled_ahead_too():
    """Many prices fill the arrays of levels before those of orders."""
    book = Book(capacity=1024)
    for key in range(49):
        book.add(key, SELL if key % 2 else BUY, 1_000 + (1 if key % 2 else -1) * key, 1, 7)
    before = book.state_rows()
    assert book.make_room()
    assert (128, 1024) == (len(book.anatomy()["price"]), capacity(book))
    assert before == book.state_rows()
    walk(book)


@pytest.mark.parametrize("orders", [0, 1, 40, 1_000])
def test_so_many_more_orders_have_room(orders):
    """Afterwards that many can be added and no array grows again."""
    book = Book(capacity=16)
    for key in range(10):
        book.add(-1 - key, BUY, 100, 1, 7)
    book.make_room(orders)
    size = book.memory_bytes()
    for key in range(orders):
        book.add(key, BUY, 100, 1, 7)
    assert size == book.memory_bytes()
    walk(book)


def test_room_is_bounded():
    """What no book can hold is refused, and nothing grows."""
    book = Book()
    size = book.memory_bytes()
    for wrong in (-1, MAX_ORDERS + 1, 2**70):
        with pytest.raises(ValueError, match=r"between|fit"):
            book.make_room(wrong)
    assert size == book.memory_bytes()


@pytest.mark.parametrize("seed", range(4))
def test_growing_at_any_moment_loses_no_order_and_no_row(seed):
    """With rows free here and there the longer arrays hold the same book, and go on as before."""
    draw = random.Random(seed)
    book, twin = Book(capacity=16), Book(capacity=4096)
    live: list[int] = []
    for key in range(1_500):
        if live and draw.random() < 0.45:
            victim = live.pop(draw.randrange(len(live)))
            assert book.cancel(victim) == twin.cancel(victim)
        order = (key, draw.choice((BUY, SELL)), 500 + draw.randint(-60, 60), draw.randint(1, 9), 7)
        rows = twin.execute(*order, STP_NONE, True)
        assert rows == book.execute(*order, STP_NONE, True)
        live.append(key)
        if draw.random() < 0.05:
            before = book.state_rows()
            book.make_room(draw.choice((0, 0, 0, 200)))
            assert before == book.state_rows()
            walk(book)
    assert twin.state_rows() == book.state_rows()
    walk(book)


def allocated(book: Book, rows: list[tuple[int, int, int, int, int]]) -> tuple[int, int]:
    """The bytes that stay after some orders came to rest, and the most there were meanwhile."""
    add = book.add
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        for key, side, ticks, lots, owner in rows:
            add(key, side, ticks, lots, owner)
        after, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return after - before, peak - before


def test_resting_an_order_allocates_nothing():
    """Ten thousand orders come to rest, and Python's allocators give not a byte for them."""
    rows = [(key, BUY, 100 + key % 50, 5, 7) for key in range(10_000)]
    book = Book(capacity=16_384)
    book.add(-1, BUY, 1, 1, 7)
    # What looking allocates is seen where nothing is done, once Python has seen the lines.
    allocated(book, rows[:100])
    stays, most = allocated(book, [])
    did_stay, did_most = allocated(book, rows[100:])
    assert 10_001 == len(book)
    if implementation() == "compiled":
        assert (stays, most) == (did_stay, did_most)
    else:
        assert did_stay < 1_000
