"""What can be seen of processes from outside: who listens, who runs, which port is free."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Collection
from pathlib import Path

from api.processes.errors import PortTaken
from infrastructure.working_in import stat_of


def listener_pid(path: Path) -> int | None:
    """Which process listens on a unix socket, as the kernel has it."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1)
        try:
            probe.connect(str(path))
        except OSError:
            return None
        credentials = probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    return int(struct.unpack("3i", credentials)[0])


def free_port(host: str, wanted: int) -> int:
    """The wanted port, or the next one nobody listens on."""
    for port in range(wanted, min(wanted + 100, 65_536)):
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(address)
                probe.listen()
            except OSError:
                continue
            return port
    raise PortTaken(f"every port from {wanted} on is taken; choose another with --port")


def state_of(pid: int) -> str:
    """The letter of a process's state: T for one that is stopped; none when there is none."""
    stat = stat_of(pid)
    return stat[0] if stat else ""


def runs(pid: int) -> bool:
    """Whether a process runs; one that ended and waits to be reaped does not."""
    return state_of(pid) not in ("", "Z", "X")


def is_stopped_child(pid: int) -> bool:
    """The same of a process that this one has started: who is confined may not look at others."""
    try:
        return os.waitid(os.P_PID, pid, os.WSTOPPED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return False


def started_at(pid: int) -> str:
    """When a process was started, in words that no other process of its number has; empty when
    there is none.
    """
    stat = stat_of(pid)
    if not stat or stat[0] in "ZX":
        return ""
    return f"{Path('/proc/sys/kernel/random/boot_id').read_text().strip()}:{stat[19]}"


def group_of(pid: int) -> int:
    """Which group a process is in; 0 when there is none."""
    stat = stat_of(pid)
    return int(stat[2]) if stat else 0


def of_groups(groups: Collection[int]) -> list[int]:
    """The processes that are in one of these groups."""
    pids = [int(entry.name) for entry in Path("/proc").glob("[0-9]*")] if groups else []
    return [pid for pid in pids if group_of(pid) in groups]


def children_of(pid: int) -> list[int]:
    """The processes that a process has started itself, and that it has not outlived."""
    try:
        found = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return []
    return [int(child) for child in found.split()]


def name_of(pid: int) -> str:
    """What a process calls itself."""
    try:
        said = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return "?"
    return os.fsdecode(said.replace(b"\0", b" ").strip())[:60]
