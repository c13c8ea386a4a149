"""Which processes work in a directory."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path


def processes_in(directory: Path) -> list[int]:
    """Those whose working directory it is, as that of a server's processes is their cluster."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if (entry / "cwd").samefile(directory):
                found.append(int(entry.name))
    return found
