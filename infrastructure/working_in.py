"""Which processes work in a directory, and which of them stand still."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

STOPPED_SECONDS = 2.5
"""How long a process of a server may be stopped by a signal: all who ask it wait meanwhile."""
LOOK_SECONDS = 0.25


def processes_in(directory: Path) -> list[int]:
    """Those whose working directory it is, as that of a server's processes is their cluster."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if (entry / "cwd").samefile(directory):
                found.append(int(entry.name))
    return found


def stat_of(pid: int) -> list[str]:
    """The fields of a process after its name, its state first; none when there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def is_stopped(pid: int) -> bool:
    """Whether a process was stopped by a signal; one that is traced is in good hands."""
    return stat_of(pid)[:1] == ["T"]


class StandingStill:
    """Ends processes of a server that is waited for when they have been stopped for a while: they
    neither answer nor leave, and nobody else looks after them.
    """

    def __init__(self, directory: Path, say: Callable[[str], object]) -> None:
        self._directory = directory
        self._say = say
        self._since: dict[int, float] = {}
        self._look_at = 0.0

    def end(self) -> bool:
        """Look, not too often, and end those; whether there are any."""
        now = time.monotonic()
        if now < self._look_at:
            return bool(self._since)
        self._look_at = now + LOOK_SECONDS
        stopped = [pid for pid in processes_in(self._directory) if is_stopped(pid)]
        self._since = {pid: self._since.get(pid, now) for pid in stopped}
        ended = [pid for pid, since in self._since.items() if now - since >= STOPPED_SECONDS]
        if ended:
            named = ", ".join(str(pid) for pid in ended)
            self._say(f"processes of the store stand still and are ended: {named}")
        for pid in ended:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        return bool(self._since)
