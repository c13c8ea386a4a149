"""Work that is killed with -9 at the first visit of one of its lines after another."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from types import FrameType, ModuleType
from typing import Any

FINISHED = 17


def killed_at(line: int, modules: list[ModuleType], work: Callable[[], object]) -> bool:
    """Do some work in a process of its own that dies at the first visit of its n-th new line in
    these modules; whether it died, and was not done before.
    """
    pid = os.fork()
    if pid == 0:
        _die_at(line, {module.__file__ for module in modules})
        work()
        os._exit(FINISHED)
    _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.WEXITSTATUS(status) == FINISHED, status
    return False


def _die_at(line: int, files: set[str | None]) -> None:
    seen: set[tuple[str, int]] = set()

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        if frame.f_code.co_filename not in files:
            return None
        if event == "line":
            seen.add((frame.f_code.co_filename, frame.f_lineno))
            if len(seen) >= line:
                os.kill(os.getpid(), signal.SIGKILL)
        return trace

    sys.settrace(trace)
