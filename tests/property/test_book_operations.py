"""Long seeded streams of operations: the book stands as its naive twin, called or in batches."""

from __future__ import annotations

import random
from array import array
from collections import Counter
from hashlib import blake2b

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from domain.matching.book import (
    BATCH_ADD,
    BATCH_CANCEL,
    BATCH_EXECUTE,
    BATCH_REPLACE,
    BATCH_WIDTH,
    BUY,
    ROW_WIDTH,
    SELL,
    Book,
    implementation,
)
from tests.model.naive_book import NaiveBook
from tests.model.naive_book_walk import walk

COMPILED = implementation() == "compiled"
HASHED_EVERY = 100
WALKED_EVERY = 1_000
MOST_RESTING = 600
Operation = list[int]
Row = tuple[int, ...]


class Stream:
    """Draws operations that a market could see, each done by the naive twin as it is drawn."""

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)
        self.naive = NaiveBook()
        self.next_key = 1
        self.middle = 10_000
        self.given_up: list[int] = []
        self.happened: Counter[str] = Counter()

    def __next__(self) -> tuple[Operation, list[Row]]:
        """One operation, and the rows that the twin wrote for it, each with the incoming key."""
        draw = self.draw
        if draw.random() < 0.01:
            self.middle += draw.randint(-40, 40)
        # What the market has left behind is given up in the end, or after a million operations
        # each look at the whole book would be one at tens of thousands of orders.
        if len(self.naive) > MOST_RESTING and not self.given_up:
            resting = [row[0] for side in (BUY, SELL) for row in self.naive.orders(side)]
            self.given_up = draw.sample(resting, MOST_RESTING // 2)
        if self.given_up and draw.random() < 0.5:
            return self._cancel(self.given_up.pop())
        choice = draw.random()
        # A full book is traded away faster than it fills.
        if choice < (0.5 if len(self.naive) < 80 else 0.3):
            return self._execute(draw.randint(1, 40))
        if choice < 0.6:
            return self._execute(draw.randint(1, 160))
        if choice < 0.65:
            return self._add()
        key = draw.randrange(max(1, self.next_key - 200), self.next_key + 1)
        found = self.naive.find(key)
        if choice < 0.8 or found is None:
            return self._cancel(key)
        return self._replace(key, found[1], found[2].lots)

    def _cancel(self, key: int) -> tuple[Operation, list[Row]]:
        self.happened["cancels" if self.naive.find(key) else "cancels of nothing"] += 1
        self.naive.cancel(key)
        return [BATCH_CANCEL, key, 0, 0, 0, 0, 0, 0], []

    def _execute(self, lots: int) -> tuple[Operation, list[Row]]:
        draw, key = self.draw, self._new_key()
        side, owner, stp = draw.choice((BUY, SELL)), draw.randrange(4), draw.randrange(4)
        price = self.middle + draw.randint(-40, 25) * (1 if side == BUY else -1)
        rest = draw.random() < 0.9
        rows = self.naive.execute(key, side, price, lots, owner, stp, rest)
        self._note(rows)
        operation = [BATCH_EXECUTE, key, side, price, lots, owner, stp, int(rest)]
        return operation, [(*row, key) for row in rows]

    def _add(self) -> tuple[Operation, list[Row]]:
        """Rest an order where it crosses nobody, for adding does not match."""
        draw, key = self.draw, self._new_key()
        side, lots, owner = draw.choice((BUY, SELL)), draw.randint(1, 30), draw.randrange(4)
        away = draw.randint(1, 60)
        if side == BUY:
            price = (self.naive.best(SELL) or self.middle) - away
        else:
            price = (self.naive.best(BUY) or self.middle) + away
        self.naive.add(key, side, price, lots, owner)
        self.happened["adds"] += 1
        return [BATCH_ADD, key, side, price, lots, owner, 0, 0], []

    def _replace(self, key: int, price: int, lots: int) -> tuple[Operation, list[Row]]:
        draw, stp = self.draw, self.draw.randrange(4)
        smaller = lots > 1 and draw.random() < 0.5
        lots = draw.randint(1, lots) if smaller else lots + draw.randint(0, 20)
        price += draw.choice((0, 0, 0, -1, 1, -8, 8, 40, -40))
        rows = self.naive.replace(key, price, lots, stp)
        self.happened["replaces"] += 1
        self._note(rows)
        return [BATCH_REPLACE, key, 0, price, lots, 0, stp, 0], [(*row, key) for row in rows]

    def _new_key(self) -> int:
        self.next_key += 1
        return self.next_key

    def _note(self, rows: list[Row]) -> None:
        for row in rows:
            self.happened["prevented" if row[0] else "part fills" if row[4] else "fills"] += 1


def call(book: Book, operation: Operation) -> list[Row]:
    """Do one operation by its own call; the rows it wrote, each with the incoming key."""
    what, key, side, price, lots, owner, stp, rest = operation
    if what == BATCH_CANCEL:
        book.cancel(key)
        return []
    if what == BATCH_ADD:
        book.add(key, side, price, lots, owner)
        return []
    if what == BATCH_REPLACE:
        return [(*row, key) for row in book.replace(key, price, lots, stp)]
    return [(*row, key) for row in book.execute(key, side, price, lots, owner, stp, bool(rest))]


def run_in_batch(book: Book, operations: list[Operation]) -> list[Row]:
    """Do many operations in one call; the rows they wrote, each with the incoming key."""
    count = book.run_batch(array("q", [number for one in operations for number in one]))
    flat = book.batch_rows().tolist()
    assert count * ROW_WIDTH == len(flat)
    return [tuple(flat[at : at + ROW_WIDTH]) for at in range(0, len(flat), ROW_WIDTH)]


def state_hash(book: Book | NaiveBook) -> bytes:
    """Sixteen bytes that are equal for equal orders in equal places."""
    rows = [(len(book.orders(side)), *book.orders(side)) for side in (BUY, SELL)]
    return blake2b(repr(rows).encode(), digest_size=16).digest()


def compare(count: int, seed: int, *, in_batches: bool) -> Counter[str]:
    """Hold the book against its twin for so many operations; how often what happened."""
    stream, book = Stream(seed), Book(capacity=1)
    waiting: list[Operation] = []
    expected: list[Row] = []
    for number in range(1, count + 1):
        operation, rows = next(stream)
        if in_batches:
            waiting.append(operation)
            expected += rows
        else:
            assert rows == call(book, operation)
        if number % HASHED_EVERY and (not in_batches or stream.draw.random() < 0.95):
            continue
        if in_batches:
            assert expected == run_in_batch(book, waiting)
            waiting, expected = [], []
        if number % HASHED_EVERY == 0:
            assert state_hash(stream.naive) == state_hash(book)
        if number % WALKED_EVERY == 0:
            walk(book)
            assert not book.best(BUY) or not book.best(SELL) or book.best(BUY) < book.best(SELL)
        if number % (7 * WALKED_EVERY) == 0:
            book.make_room()
    walk(book)
    return stream.happened


@pytest.mark.parametrize("in_batches", [False, True], ids=["called", "in batches"])
@pytest.mark.parametrize(
    "count",
    [
        pytest.param(20_000 if COMPILED else 5_000, id="some"),
        pytest.param(
            1_000_000 if COMPILED else 100_000,
            id="all",
            marks=[pytest.mark.soak, pytest.mark.slow, pytest.mark.timeout(3600)],
        ),
    ],
)
def test_seeded_operations_leave_the_book_as_the_naive_one(count, in_batches):
    """Every row agrees, every hundred operations the state, every thousand all arrays."""
    happened = compare(count, 17, in_batches=in_batches)

    wanted = {"adds", "cancels", "cancels of nothing", "fills", "part fills", "prevented"}
    assert wanted | {"replaces"} == set(happened)
    assert min(happened.values()) > count // 100


KEYS = st.integers(0, 12)
SIDES = st.sampled_from([BUY, SELL])
PRICES = st.integers(97, 103)
LOTS = st.integers(1, 9)
OWNERS = st.integers(1, 2)
PREVENTION = st.integers(0, 3)
OPERATIONS = st.one_of(
    st.builds(
        list, st.tuples(st.just(0), KEYS, SIDES, PRICES, LOTS, OWNERS, st.just(0), st.just(0))
    ),
    st.builds(
        list,
        st.tuples(*(st.just(1), KEYS, SIDES, PRICES, LOTS, OWNERS, PREVENTION, st.integers(0, 1))),
    ),
    st.builds(list, st.tuples(st.just(2), KEYS, *[st.just(0)] * (BATCH_WIDTH - 2))),
    st.builds(
        list,
        st.tuples(
            *(st.just(3), KEYS, st.just(0), PRICES, LOTS, st.just(0), PREVENTION, st.just(0))
        ),
    ),
)


@hypothesis_settings(max_examples=150)
@given(st.lists(st.lists(OPERATIONS, max_size=30), max_size=4))
def test_any_batches_do_what_calls_do_and_stop_where_a_call_is_refused(batches):
    """A batch that meets a refusal has done all before it and nothing behind it."""
    called, batched = Book(capacity=1), Book(capacity=1)
    for batch in batches:
        expected: list[Row] = []
        refused = False
        for operation in batch:
            try:
                expected += call(called, operation)
            except KeyError:
                refused = True
                break
        if refused:
            with pytest.raises(KeyError):
                run_in_batch(batched, batch)
        else:
            assert expected == run_in_batch(batched, batch)
        assert called.state_rows() == batched.state_rows()
        walk(batched)
    walk(called)


@pytest.mark.parametrize(
    "damage",
    ["qty", "next", "prev", "level", "lots", "count", "head", "tail", "rank", "index", "levels"],
)
def test_the_walk_sees_what_does_not_agree(damage):
    """Whichever array says something else than the others, the walk fails."""
    book = Book()
    for key in range(40):
        book.add(key, BUY if key % 2 else SELL, 100 + key % 6 - 3 * (key % 2), 5 + key, 1)
    # The last one, so that no damage falls on a row that nobody uses.
    book.cancel(39)
    walk(book)
    arrays = book.anatomy()
    place = next(at for at, value in enumerate(arrays[damage]) if value > 0)
    arrays[damage][place] -= 1

    class Damaged:
        """The same book as far as it is asked, over one number that is another."""

        anatomy = staticmethod(lambda: arrays)
        depth = staticmethod(book.depth)
        __len__ = staticmethod(book.__len__)

    with pytest.raises((AssertionError, IndexError)):
        walk(Damaged())  # type: ignore[arg-type]
