"""Desks that were kept: the newest that can be read, whatever became of newer ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import msgspec

from application.desk.state import SnapshotFormat, state_hash_of
from application.log.ports import DeskSnapshots

Read = TypeVar("Read")
_DAMAGED = (LookupError, TypeError, ValueError, AttributeError, AssertionError)


async def newest_readable(
    snapshots: DeskSnapshots,
    read: Callable[[bytes], Read],
    *,
    up_to: int | None = None,
    say: Callable[[str], object] = bool,
) -> Read | None:
    """What `read` makes of the newest snapshot that can be read, at or below a position when one
    is given; each that cannot be is told of. None where there is no other.
    """
    snapshot = await snapshots.latest(up_to)
    while snapshot is not None:
        try:
            if state_hash_of(snapshot.state) == snapshot.state_hash:
                return read(snapshot.state)
            why = "its bytes do not fit its hash"
        except (SnapshotFormat, msgspec.MsgspecError, *_DAMAGED) as error:
            why = str(error) if isinstance(error, SnapshotFormat) else repr(error)
        say(f"passes over the snapshot at position {snapshot.position:,}: {why}")
        snapshot = await snapshots.latest(snapshot.position - 1)
    return None
