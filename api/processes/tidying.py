"""Frees what refers to itself, in processes that must never pause for long.

The writer's collector is off: the venue's own commands leave no cycles. Connections that failed do,
with all that their tracebacks hold, and a store may be away for hours. Where clients come and go
the collector is on, and looks through little at a time.
"""

from __future__ import annotations

import asyncio
import gc

EVERY_SECONDS = 1.0
MANY = 500_000
"""So many objects more than before, of some fifty megabytes, are worth a pause."""
FEW = 20_000
"""So many young objects are looked through in a millisecond or two."""
YOUNG, OLDER, OLD = 5_000, 20, 50
"""After so many young objects that stay these are looked through, and how seldom the others: fifty
thousand that crashed sockets left behind were a pause of 50 ms.
"""


def collect_little_at_a_time() -> None:
    """Let the collector look at few objects at once, and at none of what was built to start with,
    which lives as long as the process.
    """
    gc.freeze()
    gc.set_threshold(YOUNG, OLDER, OLD)
    gc.enable()


def tidy() -> None:
    """Look through the young objects when they are few; more of them, as of a second full of
    orders, are set apart with the old ones, which costs nothing and which nobody looks through.
    """
    if gc.get_count()[0] < FEW:
        gc.collect(0)
    else:
        gc.freeze()


async def keep_tidy() -> None:
    """Tidy for ever."""
    while True:
        await asyncio.sleep(EVERY_SECONDS)
        tidy()


def set_apart() -> None:
    """Free what is knotted of the young objects; the rest is looked through no more.

    What is not needed any more goes all the same, unless it refers to itself and was older than
    a second by then. Connections do not (`tests/integration/test_door_knots.py`).
    """
    gc.collect(0)
    gc.freeze()


async def keep_apart() -> None:
    """Set apart for ever; and look through all of it when there is far more than there was, which
    is a pause, and what has no use would be kept otherwise.
    """
    bound = MANY
    while True:
        for _ in range(60):
            await asyncio.sleep(EVERY_SECONDS)
            set_apart()
        if gc.get_freeze_count() > bound:
            gc.unfreeze()
            gc.collect()
            gc.freeze()
            bound = gc.get_freeze_count() + MANY
