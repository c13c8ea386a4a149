"""The book and its naive twin agree on every answer and on all they hold, whatever comes."""

import random
from array import array

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from domain.matching.book import BUY, MAX_LOTS, MAX_TICKS, SELL, STP_CANCEL_OLDEST, Book
from tests.model.naive_book import NaiveBook

SIDES = st.sampled_from([BUY, SELL])
KEYS = st.integers(0, 30)
LOTS = st.integers(1, 12)
OWNERS = st.integers(1, 3)
PREVENTION = st.integers(0, 3)
# Prices in two ranges, so that some gaps between levels are wide.
PRICES = st.integers(90, 104) | st.sampled_from([40, 60, 140, 160])

OPERATIONS = st.one_of(
    st.tuples(st.just("add"), KEYS, SIDES, PRICES, LOTS, OWNERS),
    st.tuples(st.just("execute"), KEYS, SIDES, PRICES, LOTS, OWNERS, PREVENTION, st.booleans()),
    st.tuples(st.just("plan"), SIDES, PRICES, st.integers(1, 60), OWNERS, PREVENTION),
    st.tuples(st.just("cancel"), KEYS),
    st.tuples(st.just("reduce"), KEYS, LOTS),
    st.tuples(st.just("replace"), KEYS, PRICES, LOTS, PREVENTION),
    st.tuples(st.just("uncross_price"), st.integers(30, 170)),
    st.tuples(st.just("clear")),
)


def answer(book: Book | NaiveBook, name: str, arguments: tuple) -> object:
    """What an operation returns, or the kind of its refusal."""
    try:
        return getattr(book, name)(*arguments)
    except (KeyError, ValueError) as refusal:
        return type(refusal)


def assert_same(book: Book, naive: NaiveBook) -> None:
    """Compare everything that can be asked of a book."""
    assert naive.state_rows() == book.state_rows()
    assert len(naive) == len(book)
    for side in (BUY, SELL):
        assert naive.depth(side, 1000) == book.depth(side, 1000)
        assert naive.depth(side, 2) == book.depth(side, 2)
        assert naive.best(side) == book.best(side)
        assert naive.best_qty(side) == book.best_qty(side)


def assert_executes_as_planned(book: Book, arguments: tuple) -> list:
    """Run an order and hold what happens against what was foretold."""
    key, side, limit, lots, owner, stp, rest = arguments
    before = book.state_rows()
    planned, left, ended = book.plan(side, limit, lots, owner, stp)
    assert before == book.state_rows()
    rows = book.execute(key, side, limit, lots, owner, stp, rest)
    assert planned == [row[:4] for row in rows]
    assert (left, ended) == (book.last_remainder, book.last_incoming_cancelled)
    return rows


@hypothesis_settings(max_examples=150)
@given(st.lists(OPERATIONS, max_size=60))
def test_every_answer_and_state_equals_the_naive_book(operations):
    """Any run of operations gives the same answers and leaves the same orders in the same place."""
    book, naive = Book(), NaiveBook()
    for name, *arguments in operations:
        assert answer(naive, name, tuple(arguments)) == answer(book, name, tuple(arguments))
        assert_same(book, naive)
        if name in ("execute", "replace"):
            assert naive.last_remainder == book.last_remainder
            assert naive.last_incoming_cancelled == book.last_incoming_cancelled


EDGES = [1, 2, 3, 2**31 - 1, 2**31, 2**32 + 1, 2**53 + 1, MAX_LOTS // 2, MAX_LOTS - 1, MAX_LOTS]
LARGE_LOTS = st.sampled_from(EDGES) | st.integers(1, MAX_LOTS)
LARGE_PRICES = st.sampled_from([1, 2, 2**31, 2**31 + 1, MAX_TICKS - 1, MAX_TICKS])
LARGE_OPERATIONS = st.one_of(
    st.tuples(st.just("add"), KEYS, SIDES, LARGE_PRICES, LARGE_LOTS, OWNERS),
    st.tuples(
        *(st.just("execute"), KEYS, SIDES, LARGE_PRICES, LARGE_LOTS, OWNERS),
        *(PREVENTION, st.booleans()),
    ),
    st.tuples(st.just("plan"), SIDES, LARGE_PRICES, LARGE_LOTS, OWNERS, PREVENTION),
    st.tuples(st.just("cancel"), KEYS),
    st.tuples(st.just("reduce"), KEYS, LARGE_LOTS),
    st.tuples(st.just("replace"), KEYS, LARGE_PRICES, LARGE_LOTS, PREVENTION),
)


@hypothesis_settings(max_examples=150)
@given(st.lists(LARGE_OPERATIONS, max_size=60))
def test_the_largest_and_smallest_orders_and_prices_match_as_the_naive_ones(operations):
    """At every bound of 31, 32, 53 and 57 bits, whatever the orders of a side add up to."""
    book, naive = Book(), NaiveBook()
    # Sixty of the largest on each side, which alone are most of what 63 bits hold.
    for key in range(100, 160):
        for twin in (book, naive):
            twin.add(key, BUY, 1, MAX_LOTS, key % 3)
            twin.add(key + 100, SELL, MAX_TICKS, MAX_LOTS, key % 3)
    for name, *arguments in operations:
        assert answer(naive, name, tuple(arguments)) == answer(book, name, tuple(arguments))
    assert_same(book, naive)


@pytest.mark.parametrize("seed", range(6))
def test_a_long_seeded_stream_equals_the_naive_book(seed):
    """Thousands of orders, with arrays that grow on the way, match as the naive book does."""
    draw = random.Random(seed)
    book, naive = Book(capacity=1), NaiveBook()
    width = (4, 40)[seed % 2]
    for key in range(1, 1201):
        choice = draw.random()
        side, owner = draw.choice((BUY, SELL)), draw.randrange(1, 5)
        price = 500 + draw.randint(-width, width)
        lots = draw.randint(1, 40)
        if choice < 0.55:
            arguments = (key, side, price, lots, owner, draw.randrange(4), draw.random() < 0.9)
            assert naive.plan(*arguments[1:6]) == book.plan(*arguments[1:6])
            assert naive.execute(*arguments) == assert_executes_as_planned(book, arguments)
        elif choice < 0.9:
            old = draw.randrange(max(1, key - 150), key + 1)
            assert naive.leaves(old) == book.leaves(old)
            assert (old in naive) == (old in book)
            assert naive.cancel(old) == book.cancel(old)
        else:
            old, fewer = draw.randrange(1, key + 1), draw.randint(1, 20)
            assert answer(naive, "reduce", (old, fewer)) == answer(book, "reduce", (old, fewer))
        if key % 10 == 0:
            assert_same(book, naive)
    assert_same(book, naive)


RESTING = st.tuples(SIDES, PRICES, LOTS)


@hypothesis_settings(max_examples=200)
@given(st.lists(RESTING, max_size=14), st.integers(0, 200))
def test_auction_price_is_the_best_of_all_prices(orders, reference):
    """No price between the sides beats the one found, the gaps between levels included."""
    book, naive = Book(), NaiveBook()
    for key, (side, price, lots) in enumerate(orders):
        book.add(key, side, price, lots, 1)
        naive.add(key, side, price, lots, 1)

    price, volume, imbalance = book.uncross_price(reference)

    assert naive.uncross_price(reference) == (price, volume, imbalance)
    if volume:
        trades = book.plan_uncross(price)
        assert [trade[:3] for trade in naive.uncross(price)] == trades
        for buy, sell, lots in trades:
            assert book.fill(buy, lots) and book.fill(sell, lots)
        assert volume == sum(trade[2] for trade in trades)
        assert_same(book, naive)
        assert (0, 0, 0) == book.uncross_price(reference)
        assert not book.best(BUY) or not book.best(SELL) or book.best(BUY) < book.best(SELL)


@pytest.mark.parametrize("many", [1, 120])
@hypothesis_settings(max_examples=60)
@given(st.lists(st.tuples(SIDES, PRICES, LARGE_LOTS), max_size=10), st.integers(0, 200))
def test_an_auction_of_the_largest_orders_is_that_of_the_naive_book(many, orders, reference):
    """Also when each side holds more than 64 bits."""
    book, naive = Book(), NaiveBook()
    key = 0
    for side, price, lots in orders:
        for _ in range(many):
            key += 1
            book.add(key, side, price, lots, 1)
            naive.add(key, side, price, lots, 1)

    price, volume, imbalance = book.uncross_price(reference)

    assert naive.uncross_price(reference) == (price, volume, imbalance)
    if volume:
        assert [trade[:3] for trade in naive.uncross(price)] == book.plan_uncross(price)


@pytest.mark.parametrize("seed", range(3))
def test_a_batch_does_what_single_calls_do(seed):
    """One call with many operations writes the fills that one call for each would return."""
    draw = random.Random(seed)
    single, batched = Book(), Book(capacity=1)
    table, expected = array("q"), []
    for key in range(1, 3000):
        side, price, lots = draw.choice((1, 2)), 1000 + draw.randint(-90, 90), draw.randint(1, 50)
        owner, stp, rest = draw.randrange(1, 6), draw.randrange(4), draw.randrange(2)
        choice = draw.random()
        if choice < 0.1 and single.best(3 - side) == 0:
            single.add(key, side, price, lots, owner)
            table.extend([0, key, side, price, lots, owner, 0, 1])
        elif choice < 0.7:
            rows = single.execute(key, side, price, lots, owner, stp, bool(rest))
            expected.extend(number for row in rows for number in (*row, key))
            table.extend([1, key, side, price, lots, owner, stp, rest])
        else:
            old = draw.randrange(1, key + 1)
            single.cancel(old)
            table.extend([2, old, 0, 0, 0, 0, 0, 0])

    assert len(expected) // 6 == batched.run_batch(table)
    assert expected == batched.batch_rows().tolist()
    assert single.state_rows() == batched.state_rows()


@given(st.lists(RESTING, min_size=1, max_size=20))
def test_adding_the_state_rows_builds_the_same_book(orders):
    """A snapshot needs the rows of the book and nothing else."""
    book, copy = Book(), Book()
    for key, (side, price, lots) in enumerate(orders):
        book.execute(key, side, price, lots, key % 3, STP_CANCEL_OLDEST, True)
    for side in (BUY, SELL):
        for key, price, lots, owner in book.orders(side):
            copy.add(key, side, price, lots, owner)
    assert book.state_rows() == copy.state_rows()
    assert book.depth(BUY, 99) == copy.depth(BUY, 99)
