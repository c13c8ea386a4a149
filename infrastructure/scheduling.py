"""How a process shares the processors: who only follows the log gives way to who decides."""

from __future__ import annotations

import os
from contextlib import suppress


def give_way() -> None:
    """Ask the kernel not to preempt others for this process; where it cannot, nothing changes."""
    with suppress(AttributeError, OSError):
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def take_turns() -> None:
    """Share the processors like any other process again."""
    with suppress(AttributeError, OSError):
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
