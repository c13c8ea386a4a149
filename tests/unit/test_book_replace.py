"""Replacing a resting order: what keeps its place in the queue, and what comes in anew."""

from array import array

import pytest

from domain.matching.book import (
    BATCH_REPLACE,
    BUY,
    FILL,
    MAX_LOTS,
    SELL,
    STP_CANCEL_NEWEST,
    STP_CANCEL_OLDEST,
    STP_CANCELLED,
    STP_NONE,
    Book,
)

OURS, THEIRS = 7, 8


def queue() -> Book:
    """Three buys at one price, and a sale above them."""
    book = Book()
    for key, owner in ((1, OURS), (2, THEIRS), (3, OURS)):
        book.add(key, BUY, 100, 9, owner)
    book.add(4, SELL, 102, 5, THEIRS)
    return book


def keys(book: Book) -> list[int]:
    """The buys in priority."""
    return [row[0] for row in book.orders(BUY)]


@pytest.mark.parametrize("lots", [1, 8, 9])
def test_only_a_smaller_quantity_keeps_the_place(lots):
    """At its price with no more lots than before, the first in the queue stays the first."""
    book = queue()
    assert [] == book.replace(1, 100, lots, STP_NONE)
    assert [(1, 100, lots, OURS), (2, 100, 9, THEIRS), (3, 100, 9, OURS)] == book.orders(BUY)
    assert (lots, 18 + lots) == (book.last_remainder, book.best_qty(BUY))


@pytest.mark.parametrize("price", [100, 101, 99])
def test_more_lots_or_another_price_lose_the_place(price):
    """It stands behind all others at its price, under its own key, side and owner."""
    book = queue()
    assert [] == book.replace(1, price, 10 if price == 100 else 5, STP_NONE)
    assert {100: [2, 3, 1], 101: [1, 2, 3], 99: [2, 3, 1]}[price] == keys(book)
    book.replace(3, 101, 5, STP_NONE)
    assert ([3, 2, 1] if price != 101 else [1, 3, 2]) == keys(book)
    assert {(1, OURS), (2, THEIRS), (3, OURS)} == {(row[0], row[3]) for row in book.orders(BUY)}


def test_an_order_that_now_crosses_trades_before_it_rests():
    """No replacement leaves the book crossed: it meets whom an incoming order would meet."""
    book = queue()
    assert [(FILL, 4, 5, 102, 0)] == book.replace(2, 103, 12, STP_NONE)
    assert (7, [2, 1, 3]) == (book.last_remainder, keys(book))
    assert (0, 103) == (book.best(SELL), book.best(BUY))


def test_a_replacement_that_is_traded_whole_is_gone():
    """Nothing of it rests, and the other side has what it did not take."""
    book = queue()
    assert [(FILL, 4, 3, 102, 2)] == book.replace(2, 102, 3, STP_NONE)
    assert (0, [1, 3], 2) == (book.last_remainder, keys(book), book.leaves(4))
    assert 2 not in book


@pytest.mark.parametrize(
    ("stp", "rows", "rests"),
    [
        (STP_CANCEL_NEWEST, [], False),
        (STP_CANCEL_OLDEST, [(STP_CANCELLED, 4, 5, 102, 0)], True),
    ],
)
def test_prevention_governs_a_replacement_as_it_does_an_incoming_order(stp, rows, rests):
    """It is the one that is newest when it meets an order of its owner."""
    book = queue()
    assert rows == book.replace(2, 102, 3, stp)
    assert (rests, not rests) == (2 in book, book.last_incoming_cancelled)


def test_what_cannot_be_replaced_changes_nothing():
    """An unknown key, or a number out of bounds: the book is as it was."""
    book = queue()
    before = book.state_rows()
    with pytest.raises(KeyError):
        book.replace(9, 100, 1, STP_NONE)
    for wrong in (0, -1, MAX_LOTS + 1, 2**64):
        with pytest.raises(ValueError, match=r"between|fit"):
            book.replace(1, wrong, 1, STP_NONE)
        with pytest.raises(ValueError, match=r"between|fit"):
            book.replace(1, 100, wrong, STP_NONE)
    with pytest.raises(ValueError, match="prevention"):
        book.replace(1, 100, 1, 4)
    assert before == book.state_rows()


def test_a_batch_replaces_as_a_call_does_and_needs_no_side_or_owner():
    """The order knows both; a key that does not rest stops the batch there."""
    book, called = queue(), queue()
    table = array("q")
    for key, price, lots in ((1, 100, 4), (3, 101, 9), (2, 102, 9)):
        called.replace(key, price, lots, STP_NONE)
        table.extend([BATCH_REPLACE, key, 0, price, lots, 0, STP_NONE, 0])
    assert 1 == book.run_batch(table)
    assert [FILL, 4, 5, 102, 0, 2] == book.batch_rows().tolist()
    assert called.state_rows() == book.state_rows()
    with pytest.raises(KeyError):
        book.run_batch(array("q", [BATCH_REPLACE, 9, 0, 100, 1, 0, 0, 0]))


def test_replacing_in_a_full_book_needs_no_new_row():
    """Thousands of replacements of as many orders as the arrays hold: the last still fits."""
    book = Book(capacity=16)
    for key in range(16):
        book.add(key, BUY, 100 + key, 5, OURS)
    for step in range(2_000):
        book.replace(step % 16, 100 + (step * 7) % 90, 5, STP_NONE)
    assert (16, 80) == (len(book), sum(row[2] for row in book.orders(BUY)))
