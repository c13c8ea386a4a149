"""The rules of the book, one by one, and the costs it promises."""

import random
import time
from array import array
from enum import IntEnum

import pytest

from domain.matching import book as book_module
from domain.matching.book import (
    BUY,
    FILL,
    MAX_LOTS,
    MAX_TICKS,
    SELL,
    STP_CANCEL_BOTH,
    STP_CANCEL_NEWEST,
    STP_CANCEL_OLDEST,
    STP_CANCELLED,
    STP_NONE,
    Book,
    implementation,
)

OURS, THEIRS = 7, 8


def resting(*rows: tuple[int, int, int, int, int]) -> Book:
    """A book with these orders (key, side, ticks, lots, owner)."""
    book = Book()
    for row in rows:
        book.add(*row)
    return book


def test_implementation_says_which_file_was_loaded():
    """Whoever asks learns whether the compiled or the plain module runs."""
    loaded = "interpreted" if str(book_module.__file__).endswith(".py") else "compiled"
    assert loaded == implementation()


def test_price_comes_before_time_and_time_before_size():
    """Better prices trade first, at their own price; at one price the older order does."""
    book = resting((1, SELL, 102, 5, OURS), (2, SELL, 101, 5, OURS), (3, SELL, 101, 50, OURS))

    rows = book.execute(9, BUY, 102, 12, THEIRS, STP_NONE, True)

    assert [(FILL, 2, 5, 101, 0), (FILL, 3, 7, 101, 43)] == rows
    assert 0 == book.last_remainder
    assert [(3, 101, 43, OURS), (1, 102, 5, OURS)] == book.orders(SELL)


def test_remainder_rests_only_when_asked_to():
    """What does not trade rests at the limit, or is gone when the order may not rest."""
    for rest, expected in ((True, [(9, 101, 2, THEIRS)]), (False, [])):
        book = resting((1, SELL, 101, 5, OURS))
        book.execute(9, BUY, 101, 7, THEIRS, STP_NONE, rest)
        assert 2 == book.last_remainder
        assert not book.last_incoming_cancelled
        assert expected == book.orders(BUY)


OWN_ORDER_IN_FRONT = [(1, SELL, 101, 5, THEIRS), (2, SELL, 101, 5, OURS), (3, SELL, 102, 5, THEIRS)]


@pytest.mark.parametrize(
    ("stp", "rows", "remainder", "cancelled", "left"),
    [
        (STP_NONE, [(FILL, 1, 5, 101, 0), (FILL, 2, 5, 101, 0), (FILL, 3, 2, 102, 3)], 0, False, 3),
        (STP_CANCEL_NEWEST, [(FILL, 1, 5, 101, 0)], 7, True, 10),
        (
            STP_CANCEL_OLDEST,
            [(FILL, 1, 5, 101, 0), (STP_CANCELLED, 2, 5, 101, 0), (FILL, 3, 5, 102, 0)],
            2,
            False,
            0,
        ),
        (STP_CANCEL_BOTH, [(FILL, 1, 5, 101, 0), (STP_CANCELLED, 2, 5, 101, 0)], 7, True, 5),
    ],
)
def test_prevention_follows_the_incoming_instruction(stp, rows, remainder, cancelled, left):
    """On meeting an own order the newest, the oldest, both or none of the two are cancelled."""
    book = resting(*OWN_ORDER_IN_FRONT)

    before = book.state_rows()
    plan = book.plan(BUY, 102, 12, OURS, stp)
    assert before == book.state_rows()
    done = book.execute(9, BUY, 102, 12, OURS, stp, True)

    assert rows == done
    assert (remainder, cancelled) == (book.last_remainder, book.last_incoming_cancelled)
    assert left == sum(lots for _, _, lots, _ in book.orders(SELL))
    assert ([row[:4] for row in rows], remainder, cancelled) == plan
    assert (9 in book) == (remainder > 0 and not cancelled)


def test_plan_that_meets_nobody_leaves_all():
    """When no order can be met, the whole order is left."""
    book = resting((1, SELL, 101, 5, OURS))
    assert ([], 5, False) == book.plan(BUY, 100, 5, THEIRS, STP_NONE)
    assert ([], 5, False) == book.plan(SELL, 1, 5, THEIRS, STP_NONE)


def test_fill_takes_traded_lots_from_an_order_that_rests():
    """A part keeps its place, the whole leaves; of one that is not there nothing is taken."""
    book = resting((1, BUY, 100, 9, OURS), (2, BUY, 100, 9, THEIRS))
    assert book.fill(1, 4)
    assert [(1, 100, 5, OURS), (2, 100, 9, THEIRS)] == book.orders(BUY)
    with pytest.raises(ValueError, match="more than the 5"):
        book.fill(1, 6)
    assert book.fill(1, 5)
    assert not book.fill(1, 1)
    assert [(2, 100, 9, THEIRS)] == book.orders(BUY)


def test_smaller_quantity_keeps_priority():
    """Reducing an order leaves it where it stands; growing it is refused."""
    book = resting((1, BUY, 100, 9, OURS), (2, BUY, 100, 9, THEIRS))
    book.reduce(1, 4)
    assert [(1, 100, 4, OURS), (2, 100, 9, THEIRS)] == book.orders(BUY)
    assert (4, 13) == (book.leaves(1), book.best_qty(BUY))
    for lots in (4, 5, 0, -1):
        with pytest.raises(ValueError, match=r"lots|between"):
            book.reduce(1, lots)
    with pytest.raises(KeyError):
        book.reduce(3, 1)
    assert [(100, 13, 2)] == book.depth(BUY, 5)


def test_a_key_rests_once():
    """A key that rests is refused by every way in, and nothing changes."""
    book = resting((1, BUY, 100, 9, OURS), (2, SELL, 102, 9, OURS))
    before = book.state_rows()
    with pytest.raises(KeyError):
        book.add(1, SELL, 105, 1, OURS)
    with pytest.raises(KeyError):
        book.execute(1, BUY, 102, 1, THEIRS, STP_NONE, False)
    assert before == book.state_rows()


def test_cancelling_what_is_not_there_gives_nothing():
    """A cancel returns what was left, and zero the second time."""
    book = resting((1, BUY, 100, 9, OURS))
    assert (9, 0, 0) == (book.cancel(1), book.cancel(1), book.cancel(2))
    assert (0, 0, 0, []) == (len(book), book.best(BUY), book.best_qty(BUY), book.depth(BUY, 9))


OUT_OF_BOUNDS = [0, -1, 10**17, 2**57, 2**62, 2**63, 2**64 + 1, 10**30, -(2**63)]


@pytest.mark.parametrize("wrong", OUT_OF_BOUNDS)
def test_prices_and_quantities_are_checked_at_the_door(wrong):
    """A number the arithmetic is not proven for is refused before anything changes."""
    book = resting((1, SELL, 101, 5, OURS))
    before = book.state_rows()
    for call in (
        lambda: book.add(2, BUY, wrong, 1, OURS),
        lambda: book.add(2, BUY, 1, wrong, OURS),
        lambda: book.plan(BUY, wrong, 1, OURS, STP_NONE),
        lambda: book.plan(BUY, 1, wrong, OURS, STP_NONE),
        lambda: book.fill(1, wrong),
        lambda: book.execute(2, BUY, wrong, 1, OURS, STP_NONE, True),
        lambda: book.execute(2, BUY, 1, wrong, OURS, STP_NONE, True),
        lambda: book.plan_uncross(wrong),
    ):
        with pytest.raises(ValueError, match=r"between|fit"):
            call()
    assert before == book.state_rows()


def test_sides_keys_and_instructions_are_checked_at_the_door():
    """Unknown codes and keys beyond 64 bits are refused; other types are not converted."""
    book = Book()
    for side in (0, 3, -1, 2**40, 2**70):
        with pytest.raises(ValueError, match=r"side|fit"):
            book.add(1, side, 1, 1, OURS)
    for stp in (-1, 4, 2**33):
        with pytest.raises(ValueError, match="prevention"):
            book.execute(1, BUY, 1, 1, OURS, stp, True)
    for key in (2**63, -(2**63) - 1):
        with pytest.raises(ValueError, match="fit"):
            book.add(key, BUY, 1, 1, OURS)
        with pytest.raises(ValueError, match="fit"):
            book.add(1, BUY, 1, 1, key)
    for price in (1.5, "1", None):
        with pytest.raises(TypeError):
            book.add(1, BUY, price, 1, OURS)
    assert 0 == len(book)


def test_extreme_keys_and_named_sides_are_taken():
    """Every 64-bit key is a key, and an enumeration of FIX codes is a side."""

    class Side(IntEnum):
        BUY = 1

    book = Book()
    for key in (0, -1, 2**63 - 1, -(2**63)):
        book.add(key, Side.BUY, 5, 1, key)
    assert [0, -1, 2**63 - 1, -(2**63)] == [row[0] for row in book.orders(BUY)]
    assert all(key in book for key in (0, -1, 2**63 - 1, -(2**63)))


def test_largest_sums_do_not_wrap():
    """A level of many of the largest orders, at the largest price, stays exact past 64 bits."""
    book = Book()
    for key in range(1000):
        book.add(key, SELL, MAX_TICKS, MAX_LOTS, OURS)
    assert 2**66 < 1000 * MAX_LOTS == book.best_qty(SELL)
    assert [(MAX_TICKS, 1000 * MAX_LOTS, 1000)] == book.depth(SELL, 9)
    plan = book.plan(BUY, MAX_TICKS, MAX_LOTS, THEIRS, STP_NONE)
    assert ([(FILL, 0, MAX_LOTS, MAX_TICKS)], 0, False) == plan
    assert [(FILL, 0, MAX_LOTS, MAX_TICKS, 0)] == book.execute(
        -1, BUY, MAX_TICKS, MAX_LOTS, THEIRS, STP_NONE, True
    )
    assert 999 * MAX_LOTS == book.best_qty(SELL)


@pytest.mark.parametrize("lots", [1, 2**31 - 1, 2**31, 2**57 - 10**17, MAX_LOTS - 1, MAX_LOTS])
def test_sums_of_a_level_are_exact_while_they_pass_64_bits_up_and_down(lots):
    """Orders come, trade, shrink and go, and the sum is that of what rests, at every step."""
    draw = random.Random(lots)
    book, held = Book(), {}
    for key in range(600):
        choice = draw.random()
        if choice < (0.8 if key < 300 else 0.2):
            held[key] = draw.choice((1, lots, MAX_LOTS, 1 + lots // 2))
            book.add(key, BUY, 7, held[key], OURS)
        elif held:
            old = draw.choice(list(held))
            if choice > 0.9:
                assert held.pop(old) == book.cancel(old)
            elif held[old] > 1:
                less = draw.randint(1, held[old] - 1)
                if choice > 0.85:
                    book.reduce(old, held[old] - less)
                else:
                    assert book.fill(old, less)
                held[old] -= less
        assert sum(held.values()) == book.best_qty(BUY)
    rows = book.execute(-1, SELL, 1, MAX_LOTS, THEIRS, STP_NONE, False)
    assert min(MAX_LOTS, sum(held.values())) == sum(row[2] for row in rows)
    for key in list(held):
        book.cancel(key)
    assert (0, 0) == (book.best_qty(BUY), len(book))


def test_an_auction_of_more_than_64_bits_is_exact():
    """Its volume, its imbalance and its trades, of two hundred of the largest orders a side."""
    book = Book()
    for key in range(200):
        book.add(key, BUY, MAX_TICKS - key % 3, MAX_LOTS, OURS)
        book.add(1000 + key, SELL, 1 + key % 5, MAX_LOTS - 1, THEIRS)
    book.add(5000, BUY, MAX_TICKS, 77, OURS)

    price, volume, imbalance = book.uncross_price(MAX_TICKS)

    assert (200 * (MAX_LOTS - 1), 277) == (volume, imbalance)
    trades = book.plan_uncross(price)
    assert volume == sum(lots for _, _, lots in trades)
    for buy, sell, lots in trades:
        assert book.fill(buy, lots) and book.fill(sell, lots)
    assert 0 == book.best(SELL)
    assert 277 == sum(lots for _, _, lots, _ in book.orders(BUY))


def test_one_order_meets_thousands_of_the_largest_of_its_owner():
    """Prevention ends them all for the one lot behind them; there is room for their rows."""
    book = Book(capacity=1)
    for key in range(2000):
        book.add(key, SELL, 1 + key % 3, MAX_LOTS, OURS)
    book.add(5000, SELL, 9, 1, THEIRS)
    rows = book.execute(-1, BUY, MAX_TICKS, MAX_LOTS, OURS, STP_CANCEL_OLDEST, False)
    assert 2001 == len(rows)
    assert (MAX_LOTS - 1, 0) == (book.last_remainder, len(book))


def test_levels_stay_sorted_through_random_opening_and_closing():
    """Thousands of levels opened and closed in any order leave both sides sorted and whole."""
    draw = random.Random(3)
    book = Book()
    prices = draw.sample(range(1, 1_000_000), 3000)
    for key, price in enumerate(prices):
        book.add(key, BUY if key % 2 else SELL, price, 1, OURS)
    gone = set(draw.sample(range(3000), 1700))
    for key in gone:
        assert 1 == book.cancel(key)
    for side, parity, reverse in ((BUY, 1, True), (SELL, 0, False)):
        left = [p for k, p in enumerate(prices) if k % 2 == parity and k not in gone]
        assert sorted(left, reverse=reverse) == [row[0] for row in book.depth(side, 5000)]


def test_the_index_survives_churn():
    """Deleted keys leave no graves: a look-up costs the same after a million changes as before."""
    draw = random.Random(11)
    book, held = Book(capacity=64), {}
    rounds = 200_000 if implementation() == "compiled" else 20_000
    for step in range(rounds):
        # Keys a power of two apart are the hardest for a table of that size.
        key = draw.randrange(400) << draw.choice((0, 7, 32, 50))
        if key in held:
            assert held.pop(key) == book.cancel(key)
        elif len(held) < 64:
            held[key] = step % 9 + 1
            book.add(key, BUY, 100 + step % 3, held[key], OURS)
    assert held == {key: lots for key, _, lots, _ in book.orders(BUY)}
    assert all(
        (key << shift in held) == (key << shift in book)
        for key in range(400)
        for shift in (0, 7, 32, 50)
    )
    assert Book(capacity=64).memory_bytes() == book.memory_bytes()


def test_arrays_grow_while_an_order_executes():
    """An order that sweeps more than the arrays hold, and then rests, loses nothing."""
    book = Book(capacity=1)
    for key in range(5000):
        book.add(key, SELL, 100 + key % 700, 2, OURS)
    while len(book) & (len(book) - 1):
        book.add(10_000 + len(book), BUY, 1, 1, OURS)
    total = MAX_LOTS - book.plan(BUY, 799, MAX_LOTS, THEIRS, STP_NONE)[1]

    rows = book.execute(-5, BUY, 900, total + 3, THEIRS, STP_NONE, True)

    assert (5000, 10_000) == (len(rows), total)
    assert sorted(range(5000)) == sorted(row[1] for row in rows)
    assert [row[3] for row in rows] == sorted(row[3] for row in rows)
    assert (3, 900) == (book.leaves(-5), book.best(BUY))


def test_prevention_can_sweep_more_orders_than_lots():
    """One lot may cancel thousands of own orders on its way; there is room for all their rows."""
    book = Book()
    for key in range(3000):
        book.add(key, BUY, 5000 - key // 3, 1, OURS)
    rows = book.execute(-1, SELL, 100, 1, OURS, STP_CANCEL_OLDEST, True)
    assert [(STP_CANCELLED, key, 1, 5000 - key // 3, 0) for key in range(3000)] == rows
    assert [(-1, 100, 1, OURS)] == book.state_rows()


def cancel_cost_ns(orders: int) -> float:
    """The time of one cancel out of the middle of four long queues, the best of three books."""
    keys = random.Random(5).sample(range(orders // 4, orders // 2), 200)
    best = float("inf")
    for _ in range(3):
        book = Book(capacity=orders)
        for key in range(orders):
            book.add(key, BUY, 100 + key % 4, 1, OURS)
        begun = time.perf_counter_ns()
        for key in keys:
            book.cancel(key)
        best = min(best, (time.perf_counter_ns() - begun) / len(keys))
    return best


def test_cancel_in_the_middle_of_a_long_queue_costs_the_same():
    """With 100,000 orders on four levels a cancel is no search: far from 100 times as dear."""
    assert cancel_cost_ns(100_000) < 15 * cancel_cost_ns(1_000)


def test_clearing_keeps_the_memory_and_nothing_else():
    """A cleared book is empty and takes the same keys again."""
    book = Book(capacity=1)
    for _ in range(3):
        for key in range(100):
            book.add(key, SELL, 100 + key, 1, OURS)
        size = book.memory_bytes()
        book.clear()
        assert ([], 0, 0) == (book.state_rows(), len(book), book.best(SELL))
        assert size == book.memory_bytes()


def test_an_auction_inside_a_gap_has_the_least_imbalance():
    """Between two levels the imbalance can be less than at either: such a price is found."""
    book = resting(
        (1, BUY, 105, 10, OURS),
        (2, BUY, 100, 5, OURS),
        (3, SELL, 99, 10, THEIRS),
        (4, SELL, 103, 5, THEIRS),
    )
    assert (101, 10, 0) == book.uncross_price(1)
    assert (102, 10, 0) == book.uncross_price(110)
    before = book.state_rows()
    assert [(1, 3, 10)] == book.plan_uncross(101)
    assert before == book.state_rows()


def test_an_auction_price_that_leaves_the_book_crossed_is_refused():
    """Only a price of most volume uncrosses the book; another changes nothing."""
    book = resting((1, BUY, 105, 5, OURS), (2, BUY, 100, 5, OURS), (3, SELL, 99, 10, OURS))
    before = book.state_rows()
    with pytest.raises(ValueError, match="more than 5 lots"):
        book.plan_uncross(103)
    assert before == book.state_rows()
    # Prevention does not apply: all three belong to one owner.
    assert [(1, 3, 5), (2, 3, 5)] == book.plan_uncross(book.uncross_price(100)[0])


def test_a_batch_is_checked_before_its_first_operation():
    """One wrong number anywhere in a batch and none of it is run."""
    good = [0, 1, BUY, 100, 5, OURS, 0, 1]
    for place, wrong in (
        (0, 4),
        (0, -1),
        (2, 0),
        (3, 0),
        (3, 10**17),
        (4, 0),
        (4, 2**62),
        (6, 4),
        (6, -1),
    ):
        bad = [0, 2, SELL, 100, 5, OURS, 0, 1]
        bad[place] = wrong
        book = Book()
        with pytest.raises(ValueError, match="operation 1"):
            book.run_batch(array("q", good + bad))
        assert 0 == len(book)
    with pytest.raises(ValueError, match="rows of eight"):
        Book().run_batch(array("q", [1, 2, 3]))


def test_a_key_used_twice_stops_a_batch_there():
    """What stands before the duplicate is done, what stands behind it is not."""
    table = array("q")
    for key in (1, 2, 1, 3):
        table.extend([0, key, BUY, 100, 5, OURS, 0, 1])
    book = Book()
    with pytest.raises(KeyError):
        book.run_batch(table)
    assert [1, 2] == [row[0] for row in book.orders(BUY)]


@pytest.mark.parametrize("step", [1, 2, 3, 7, 10**13])
def test_a_price_is_found_however_far_apart_the_levels_stand(step):
    """Dense levels, sparse ones, and dense ones with gaps: each new level stands in its place."""
    draw = random.Random(step)
    for gaps in (0, 3, 40):
        book = Book()
        prices = [step * place for place in draw.sample(range(1, 400), 399 - gaps)]
        for key, price in enumerate(prices):
            book.add(key, BUY if key % 2 else SELL, price, 1, OURS)
        for side, odd in ((BUY, 1), (SELL, 0)):
            mine = [price for key, price in enumerate(prices) if key % 2 == odd]
            assert sorted(mine, reverse=side == BUY) == [row[0] for row in book.depth(side, 999)]
        for key in draw.sample(range(len(prices)), len(prices)):
            assert 1 == book.cancel(key)
        assert ([], []) == (book.depth(BUY, 9), book.depth(SELL, 9))
