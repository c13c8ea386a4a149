"""Several runs of one measurement as one: the median of each figure, so that no stall decides."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Any


def median_of(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The median of each figure over runs that have the same figures.

    Counts of refusals and the like are summed; of what is no number the first stands.
    """
    first = runs[0]
    return {key: _one([run[key] for run in runs if key in run]) for key in first}


def _one(values: list[Any]) -> Any:
    first = values[0]
    if isinstance(first, dict):
        keys = dict.fromkeys(key for value in values for key in value)
        return {key: _one([value[key] for value in values if key in value]) for key in keys}
    if isinstance(first, int | float) and not isinstance(first, bool):
        middle = median(values)
        return (
            round(middle) if all(isinstance(value, int) for value in values) else round(middle, 3)
        )
    return first
