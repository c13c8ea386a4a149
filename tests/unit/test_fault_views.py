"""What keeps a view from being what the log says is told, with what to do about it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from projections.orders import Orders
from projections.tracking import Tracked
from projections.troubles import troubles

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
VERSION = Orders.version


def row(version: int = VERSION, position: int = 10, state: str = "active") -> Tracked:
    """A row of tracking."""
    name = "orders" if state == "active" else "orders.next"
    return Tracked(name, version, position, state, NOON)


def test_view_that_is_kept_is_no_trouble() -> None:
    """At the log's end or behind it: the projector brings it there."""
    assert [] == troubles([Orders()], [row()], {}, 10)
    assert [] == troubles([Orders()], [row()], {}, 10_000)


@pytest.mark.parametrize(
    ("rows", "errors", "told"),
    [
        ([], {}, ("not made yet", "the projector does when it starts")),
        (
            [row(VERSION + 1)],
            {},
            (f"version {VERSION + 1} serves", "run the newer program", "rebuild orders`"),
        ),
        ([row(VERSION - 1)], {}, (f"builds version {VERSION}", "has not begun", "wait for it")),
        (
            [row(VERSION - 1), row(VERSION, 4, "building")],
            {},
            ("stands at position 4", "wait for it"),
        ),
        (
            [row(VERSION - 1)],
            {"orders": (10, "KeyError: 7")},
            ("could not be: KeyError: 7",),
        ),
        ([row(position=11)], {}, ("stands at position 11 and the log ends at 10", "rebuild")),
        (
            [row(position=11)],
            {"orders": (10, "it was ahead; run `nexus projections rebuild orders`")},
            ("it was ahead", "rebuild orders`"),
        ),
        (
            [row(position=9)],
            {"orders": (9, "KeyError: 7")},
            ("stopped after position 9 by KeyError: 7", "rebuild orders`"),
        ),
    ],
    ids=["missing", "newer", "older", "building", "unbuilt", "ahead", "was-ahead", "stopped"],
)
def test_view_that_is_not_kept_is_named_with_its_remedy(
    rows: list[Tracked], errors: dict[str, tuple[int, str]], told: tuple[str, ...]
) -> None:
    """One sentence, which names the view."""
    (sentence,) = troubles([Orders()], rows, errors, 10)
    assert sentence.startswith("view orders: ")
    for words in told:
        assert words in sentence
