"""From the log back to a desk: the newest snapshot, then the events after it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from application.desk import Desk
from application.desk_state import SnapshotFormat, load, state_hash
from application.following import follow
from application.ports import DeskSnapshots, EventLog
from application.request_keys import RequestKeys, key_of_event

PAGE = 5_000


async def load_desk(
    log: EventLog,
    snapshots: DeskSnapshots,
    partition: int,
    *,
    progress: Callable[[int], object] | None = None,
) -> tuple[Desk, RequestKeys]:
    """The desk as the log says it is, and the request keys of the events it read.

    A snapshot whose hash does not fit its bytes, or of another format, is passed over.
    Raises following.DeskDiverged when the log itself does not add up.
    """
    desk = Desk(partition)
    snapshot = await snapshots.latest()
    if snapshot is not None:
        try:
            candidate = load(snapshot.state)
            if state_hash(candidate) == snapshot.state_hash:
                desk = candidate
        except SnapshotFormat:
            pass
    keys = RequestKeys(warm_up_to=desk.position)
    seen = 0
    while page := await log.read(desk.position, PAGE):
        follow(desk, page)
        for position, event in page:
            key = key_of_event(event, position)
            if key is not None:
                keys.add((key.account_id, key.key), key.fingerprint, key.position)
        seen += len(page)
        if progress is not None:
            progress(seen)
    return desk, keys


async def warm_filter(log: EventLog, keys: RequestKeys) -> None:
    """Put the keys older than the snapshot into the filter; until then they are looked up."""
    for number, (account_id, key) in enumerate(await log.keys_up_to(keys.warm_up_to)):
        keys.forget_into_filter(account_id, key)
        if number % 500 == 0:
            await asyncio.sleep(0)
    keys.warming = False
