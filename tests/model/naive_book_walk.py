"""A walk through every array of a book, told anew: what must agree with what, row by row."""

from __future__ import annotations

from domain.matching.book import BUY, SELL, Book

WRAP = 2**62
GOLDEN = 0x9E3779B97F4A7C15
Arrays = dict[str, list[int]]


def walk(book: Book) -> None:
    """Hold all that a book keeps twice, or keeps sorted, against each other."""
    arrays = book.anatomy()
    open_levels = set()
    resting = []
    for side in (BUY, SELL):
        levels = vector_of(arrays, side)
        assert len(levels) == len(book.depth(side, 10**9))
        open_levels |= set(levels)
        for level in levels:
            resting += queue_of(arrays, level)
    assert len(open_levels) == sum(arrays["levels"])
    assert sorted(resting) == sorted(set(resting))
    assert len(book) == len(resting)
    free = chain(arrays["next"], arrays["free"][0])
    assert sorted(free + resting) == list(range(len(arrays["key"])))
    free_levels = chain(arrays["head"], arrays["free_level"][0])
    assert sorted([*free_levels, *open_levels]) == list(range(len(arrays["price"])))
    check_index(arrays, resting)


def vector_of(arrays: Arrays, side: int) -> list[int]:
    """The levels of a side, which stand sorted with the best one last, and alone there."""
    first = 0 if side == BUY else len(arrays["price"])
    count = arrays["levels"][0 if side == BUY else 1]
    levels = arrays["level_at"][first : first + count]
    ranks = arrays["rank"][first : first + count]
    assert ranks == sorted(set(ranks))
    for level, rank in zip(levels, ranks, strict=True):
        assert rank == (arrays["price"][level] if side == BUY else -arrays["price"][level])
        assert arrays["side_of"][level] == (0 if side == BUY else 1)
    return levels


def queue_of(arrays: Arrays, level: int) -> list[int]:
    """The rows of a level from first to last, linked both ways, and as many lots as it says."""
    rows = chain(arrays["next"], arrays["head"][level])
    assert rows
    assert rows[::-1] == chain(arrays["prev"], arrays["tail"][level])
    assert {level} == {arrays["level"][row] for row in rows}
    assert len(rows) == arrays["count"][level]
    lots = [arrays["qty"][row] for row in rows]
    assert min(lots) > 0
    assert sum(lots) == arrays["lots"][level] + WRAP * arrays["wraps"][level]
    assert 0 <= arrays["lots"][level] < WRAP
    return rows


def chain(following: list[int], first: int) -> list[int]:
    """The rows that follow each other, none of them twice."""
    rows = []
    while first >= 0:
        rows.append(first)
        assert len(rows) <= len(following), "a ring"
        first = following[first]
    return rows


def check_index(arrays: Arrays, resting: list[int]) -> None:
    """Every resting row stands once in the index, and no gap between its home and itself."""
    index = arrays["index"]
    size = len(index)
    assert sorted(resting) == sorted(row for row in index if row >= 0)
    for place, row in enumerate(index):
        if row >= 0:
            home = (arrays["key"][row] * GOLDEN % 2**64) * size // 2**64
            steps = (place - home) % size
            assert all(index[(home + step) % size] >= 0 for step in range(steps))
