"""Directories of tests' own: short, as paths of sockets are, and in memory where that has room."""

from __future__ import annotations

import shutil
import tempfile
from functools import cache
from pathlib import Path

MEMORY = Path("/dev/shm")
ROOM_BYTES = 6 << 30
"""What must be free for the servers of all workers."""


def new_home(prefix: str = "nexus-") -> Path:
    """A directory that the server's user can reach, also when the tests run as root."""
    home = Path(tempfile.mkdtemp(prefix=prefix, dir=place()))
    home.chmod(0o755)
    return home


@cache
def place() -> Path:
    """Where homes are made: in memory, since PostgreSQL has each commit wait until the disk has it,
    in tests as in a venue. What a test kills are processes, never the machine.
    """
    return MEMORY if has_room(MEMORY) and memory_left() >= ROOM_BYTES else Path("/tmp")


def has_room(directory: Path) -> bool:
    """Whether a directory is there, anybody's as /tmp is, and has room enough."""
    try:
        return directory.stat().st_mode & 0o7777 == 0o1777 and (
            shutil.disk_usage(directory).free >= ROOM_BYTES
        )
    except OSError:
        return False


def memory_left() -> int:
    """How many bytes may still be used: of the machine, or of the container if it has fewer."""
    left = 0
    for line in text_of("/proc/meminfo").splitlines():
        if line.startswith("MemAvailable:"):
            left = int(line.split()[1]) * 1024
    most, used = (text_of(f"/sys/fs/cgroup/memory.{name}") for name in ("max", "current"))
    if most.isdigit() and used.isdigit():
        left = min(left, int(most) - int(used))
    return left


def text_of(path: str) -> str:
    """What the kernel says there; nothing where it has no such file."""
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""
