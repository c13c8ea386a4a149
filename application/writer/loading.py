"""From the log back to a desk: the newest snapshot, then the events after it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from application.desk.desk import Desk
from application.desk.following import follow
from application.desk.kept import newest_readable
from application.desk.state import load
from application.log.away import Away
from application.log.patience import persist
from application.log.ports import DeskSnapshots, EventLog, Recorded
from application.writer.request_keys import RequestKeys, key_of_event

PAGE = 5_000
WARM_PAGE = 2_000
"""Fewer at a time: commands are decided meanwhile, and wait for a page to be read."""


async def load_desk(
    log: EventLog,
    snapshots: DeskSnapshots,
    partition: int,
    *,
    warm: tuple[Desk, RequestKeys] | None = None,
    progress: Callable[[int], object] | None = None,
    say: Callable[[str], object] = bool,
) -> tuple[Desk, RequestKeys]:
    """The desk as the log says it is, and the request keys of the events it read.

    A warm desk, which has applied committed events only, reads on from where it stands. A
    snapshot whose hash does not fit its bytes, or of another format, is passed over, and that is
    said: without one the whole log is read.
    Raises following.DeskDiverged when the log itself does not add up.
    """
    desk, keys = warm or await load_snapshot(snapshots, partition, say)
    seen = 0
    while page := await log.read(desk.position, PAGE):
        apply(desk, keys, page)
        seen += len(page)
        if progress is not None:
            progress(seen)
    return desk, keys


async def load_snapshot(
    snapshots: DeskSnapshots, partition: int, say: Callable[[str], object] = bool
) -> tuple[Desk, RequestKeys]:
    """The desk of the newest snapshot that can be read, or else an empty one; each that cannot be
    is told of.
    """
    found = await newest_readable(snapshots, load, say=say)
    desk = Desk(partition) if found is None else found
    return desk, RequestKeys(warm_up_to=desk.position)


def apply(desk: Desk, keys: RequestKeys, page: Sequence[Recorded]) -> None:
    """Bring a desk and its keys forward by committed events."""
    follow(desk, page)
    for position, event in page:
        key = key_of_event(event, position)
        if key is not None:
            keys.add((key.account_id, key.key), key.fingerprint, key.position)


async def warm_filter(
    log: EventLog, keys: RequestKeys, say: Callable[[str], object] = bool
) -> None:
    """Put the keys older than the snapshot into the filter; until then they are looked up.

    It goes on where it was left, by whomever, and waits for a store that is away.
    """
    away = Away(say)
    while page := await persist(
        lambda: log.keys_up_to(keys.warm_up_to, keys.warmed_to, WARM_PAGE), away
    ):
        for number, (account_id, key) in enumerate(page):
            keys.forget_into_filter(account_id, key)
            if number % 500 == 0:
                await asyncio.sleep(0)
        keys.warmed_to = page[-1]
    keys.warming = False
