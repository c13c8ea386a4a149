"""Frees what refers to itself, in a process whose collector is off and that must never pause long.

The venue's own commands leave no cycles; connections that failed do, with all that their tracebacks
hold, and a store may be away for hours.
"""

from __future__ import annotations

import asyncio
import gc

EVERY_SECONDS = 1.0
FEW = 20_000
"""So many young objects are looked through in a millisecond or two."""


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
