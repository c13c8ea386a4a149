"""The price of an auction and its trades, from levels and orders alone."""

import pytest

from domain.matching import auction as auction_module
from domain.matching.auction import best_price, crosses, implementation

# domain.matching.auction is compiled like the book that asks it.


def test_implementation_says_which_file_was_loaded():
    """Whoever asks learns whether the compiled or the plain module runs."""
    loaded = "interpreted" if str(auction_module.__file__).endswith(".py") else "compiled"
    assert loaded == implementation()


@pytest.mark.parametrize(
    ("bids", "asks", "reference", "expected"),
    [
        ([], [], 100, (0, 0, 0)),
        ([(100, 5, 1)], [(100, 5, 1)], 1, (100, 5, 0)),
        # Most volume, whatever the reference says.
        ([(105, 5, 1), (100, 5, 1)], [(99, 10, 1)], 105, (100, 10, 0)),
        # The least imbalance is inside the gap; there the reference decides.
        ([(105, 10, 1), (100, 5, 1)], [(99, 10, 1), (103, 5, 1)], 1, (101, 10, 0)),
        ([(105, 10, 1), (100, 5, 1)], [(99, 10, 1), (103, 5, 1)], 110, (102, 10, 0)),
        # One volume and one imbalance all the way: nearest the reference.
        ([(110, 7, 1)], [(90, 7, 1)], 97, (97, 7, 0)),
        ([(110, 7, 1)], [(90, 7, 1)], 500, (110, 7, 0)),
        # Buyers are left over.
        ([(110, 9, 1)], [(90, 7, 1)], 100, (100, 7, 2)),
    ],
)
def test_price_has_most_volume_then_least_imbalance_then_is_nearest(
    bids, asks, reference, expected
):
    """The rules of the auction, in their order."""
    assert expected == best_price(bids, asks, reference)


def test_volumes_beyond_64_bits_are_exact():
    """Lots are summed without a bound."""
    many = 2**66 + 1
    assert (100, many, 1) == best_price([(100, many + 1, 9)], [(100, many, 9)], 100)


def test_orders_trade_in_their_priority_until_a_side_is_used_up():
    """The first of each side trade with each other for what the smaller has left."""
    buys = [(1, 105, 5, 0), (2, 104, 7, 0)]
    sells = [(3, 99, 6, 0), (4, 100, 1, 0), (5, 101, 9, 0)]
    assert [(1, 3, 5), (2, 3, 1), (2, 4, 1), (2, 5, 5)] == crosses(buys, sells)
    assert [] == crosses([], sells)
    assert [] == crosses(buys, [])
