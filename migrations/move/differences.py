"""What is unequal in two stores, named down to the column of a row."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

NAMED = 20
"""How many differing rows of one range are named; a range is repaired whole anyway."""


class Difference(NamedTuple):
    """One value that two stores do not agree on."""

    place: str
    """The table or view."""
    key: str
    """Which row: the position of an event, or the key of another row."""
    column: str
    """Empty where the row itself is missing in one store, or there more than once."""
    truth: str | None
    follower: str | None

    def __str__(self) -> str:
        column = f", column {self.column}" if self.column else ""
        return (
            f"{self.place} {self.key}{column}: {_shown(self.truth)} where it is right,"
            f" {_shown(self.follower)} where it was looked at"
        )


Rows = Sequence[Mapping[str, Any]]


def unequal_keys(
    truth: Iterable[tuple[str, int]], follower: Iterable[tuple[str, int]]
) -> list[str]:
    """The keys under which two stores do not have the same rows, as often, in order."""
    ours, theirs = _gathered(truth), _gathered(follower)
    return sorted(
        (key for key in ours.keys() | theirs.keys() if ours.get(key) != theirs.get(key)),
        key=lambda key: (len(key), key),
    )


def differences_of(place: str, key: str, truth: Rows, follower: Rows) -> list[Difference]:
    """What differs under a key between the rows of one store and those of the other."""
    if len(truth) != 1 or len(follower) != 1:
        return [Difference(place, key, "", _counted(truth), _counted(follower))]
    ours, theirs = truth[0], follower[0]
    return [
        Difference(place, key, column, _text(ours.get(column)), _text(theirs.get(column)))
        for column in {**ours, **theirs}
        if ours.get(column) != theirs.get(column)
    ]


def _gathered(rows: Iterable[tuple[str, int]]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for key, checksum in rows:
        found.setdefault(key, []).append(checksum)
    for checksums in found.values():
        checksums.sort()
    return found


def _counted(rows: Rows) -> str | None:
    """Nothing, the row itself, or how often it is there."""
    if not rows:
        return None
    return _text(dict(rows[0])) if len(rows) == 1 else f"{len(rows)} rows"


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, sort_keys=True)


def _shown(value: str | None) -> str:
    return "nothing" if value is None else value
