"""What refers to itself and is left behind by those that have been here."""

from __future__ import annotations

import asyncio
import gc
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any

OURS = ("api.", "application.", "litestar.", "uvicorn.", "websockets.server")


def knots_left(
    come_and_go: Callable[[int], Coroutine[Any, Any, None]], times: int
) -> dict[str, int]:
    """What the collector alone would free after so many have come and gone: how many of each kind
    of the venue's own, where each of them has left one.
    """
    asyncio.run(come_and_go(1))
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        asyncio.run(come_and_go(times))
        gc.collect()
        kinds = Counter(f"{type(one).__module__}.{type(one).__qualname__}" for one in gc.garbage)
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
        gc.collect()
    return {kind: n for kind, n in kinds.items() if kind.startswith(OURS) and n >= times}
