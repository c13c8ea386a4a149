"""What stands beside the log compared in both stores, while it changes in one of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from infrastructure.log.table_sums import TableSums, table_sums
from infrastructure.log.tables import BESIDE
from migrations.move.comparing_ranges import Side
from migrations.move.differences import NAMED, Difference, differences_of, unequal_keys

LOOKS = 5
LOOK_SECONDS = 1.0


def compare_beside(
    truth: Side, follower: Side, sync: Callable[[], object], *, looks: int = LOOKS
) -> list[Difference]:
    """What differs in the tables beside the log, and still does after they were brought again.

    A row that changes while it is compared is looked at once more: only what stays unequal counts.
    """
    found: list[Difference] = []
    for look in range(looks):
        sync()
        found = [d for table in BESIDE for d in _compare_table(truth, follower, table.name)]
        if not found:
            break
        if look + 1 < looks:
            time.sleep(LOOK_SECONDS)
    return found


def _compare_table(truth: Side, follower: Side, table: str) -> list[Difference]:
    sums = [(side, table_sums(side.conn, side.schema, table)) for side in (truth, follower)]
    whole = _all(sums, TableSums.whole)
    if whole[0] == whole[1]:
        return []
    ours, theirs = _all(sums, TableSums.buckets)
    values: dict[str, Any] = {"buckets": sorted({row[0] for row in set(ours) ^ set(theirs)})}
    keys = unequal_keys(*_all(sums, TableSums.hashes, values))
    found: list[Difference] = []
    for key in keys[:NAMED]:
        rows = _all(sums, TableSums.row, {**values, "key": key})
        found += differences_of(table, key, *([row[0] for row in side] for side in rows))
    return found


def _all(
    sums: Sequence[tuple[Side, TableSums]],
    ask: Callable[[TableSums], Any],
    values: dict[str, Any] | None = None,
) -> list[list[Any]]:
    return [side.conn.execute(ask(table), values).fetchall() for side, table in sums]
