"""Which processes the venue of a data directory consists of, as its next start finds them.

A supervisor holds the file's lock while it lives, and writes down whom it starts. Who comes later
knows by the kernel whether it lives, and by the file what it may have left behind: its processes
leave by themselves when it dies, but for one that is stopped.
"""

from __future__ import annotations

import fcntl
import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from api.cli.exit_codes import Exit
from api.processes.errors import VenueFailed
from api.processes.looking import group_of, of_groups, started_at
from infrastructure.unix_paths import check_way, make_parents
from infrastructure.working_in import is_stopped

SUPERVISOR = "supervisor"
LEAVE_SECONDS = 6.0
"""How long what an earlier supervisor left behind may take to leave by itself."""
STOPPED_SECONDS = 1.0
LOOK_SECONDS = 0.05


class _Process(NamedTuple):
    """A process as it was written down."""

    role: str
    pid: int
    started: str

    @property
    def lives(self) -> bool:
        """Whether it runs yet; not another one that was given its number."""
        return self.started != "" and started_at(self.pid) == self.started


class Processes:
    """The processes of the venue of one data directory and partition."""

    def __init__(self, data_dir: Path, partition: int, say: Callable[[str], object]) -> None:
        self._data_dir = data_dir
        self._path = data_dir / f"venue-{partition}.lock"
        self._say = say
        self._file: int | None = None

    def begin(self) -> None:
        """Be the venue of this directory, and end what hangs of an earlier start of it.

        Raises VenueFailed when it is served already, and UnsafeDirectory where root would write
        into what another user could lead elsewhere.
        """
        if os.geteuid() == 0:
            check_way(self._data_dir)
        try:
            make_parents(self._path, 0o755)
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_APPEND
            file = os.open(self._path, flags, 0o600)
        except OSError as error:
            # A venue whose store is elsewhere needs no directory to write in.
            self._say(f"who serves {self._data_dir} cannot be written down: {error}")
            return
        found = os.fstat(file)
        if found.st_uid != os.geteuid() or found.st_nlink != 1 or found.st_mode & 0o022:
            # Whoever else could write there would choose whom this process ends.
            os.close(file)
            self._say(f"{self._path} is not this user's own alone and is not heeded")
            return
        try:
            self._lock(file)
            self._end_leftovers(self._read(file))
            os.ftruncate(file, 0)
        except BaseException:
            os.close(file)
            raise
        self._file = file
        self.note(SUPERVISOR, os.getpid())

    def note(self, role: str, pid: int) -> None:
        """Write a process down that belongs to the venue now."""
        if self._file is not None:
            with suppress(OSError):
                os.write(self._file, f"{role} {pid} {started_at(pid)}\n".encode())

    def end(self) -> None:
        """Be the venue of this directory no more."""
        file, self._file = self._file, None
        if file is not None:
            with suppress(OSError):
                os.ftruncate(file, 0)
            os.close(file)

    def _lock(self, file: int) -> None:
        until = time.monotonic() + LEAVE_SECONDS
        stopped_since: float | None = None
        while not _try_lock(file):
            holder = next((p for p in self._read(file) if p.role == SUPERVISOR), None)
            now = time.monotonic()
            if holder is not None and holder.lives and is_stopped(holder.pid):
                stopped_since = stopped_since or now
                if now - stopped_since >= STOPPED_SECONDS:
                    self._end("supervisor", holder.pid)
            elif holder is not None and holder.lives:
                raise VenueFailed(
                    f"the venue of {self._data_dir} is served already, by process {holder.pid}:"
                    " stop that first, or set NEXUS_DATA_DIR to another directory",
                    Exit.FENCED,
                )
            elif now >= until:
                raise VenueFailed(
                    f"the venue of {self._data_dir} is being started or stopped by another"
                    f" process, which holds {self._path}",
                    Exit.FENCED,
                )
            time.sleep(LOOK_SECONDS)

    def _end_leftovers(self, known: list[_Process]) -> None:
        """Wait for processes of a supervisor that is gone; end the one that does not leave."""
        until = time.monotonic() + LEAVE_SECONDS
        stopped_since: dict[int, float] = {}
        known = [*known, *self._started_by(known)]
        while left := [process for process in known if process.lives]:
            now = time.monotonic()
            for process in left:
                if is_stopped(process.pid):
                    stopped_since.setdefault(process.pid, now)
                else:
                    stopped_since.pop(process.pid, None)
                hangs = now - stopped_since.get(process.pid, now) >= STOPPED_SECONDS
                if hangs or now >= until:
                    self._end(process.role, process.pid)
            time.sleep(LOOK_SECONDS)

    def _started_by(self, known: list[_Process]) -> list[_Process]:
        """What those have started themselves who are gone: workers of a gateway hold its port, and
        are in its group as long as one of them lives.
        """
        roles = {one.pid: one.role for one in known if one.role != SUPERVISOR and not one.lives}
        own = os.fsencode(f"NEXUS_DATA_DIR={self._data_dir}")
        found = []
        for pid in of_groups(roles):
            with suppress(OSError):
                if own in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
                    found.append(_Process(roles[group_of(pid)], pid, started_at(pid)))
        return found

    def _end(self, role: str, pid: int) -> None:
        self._say(
            f"an earlier start of this venue has left a {role} behind that hangs,"
            f" process {pid}: it is ended"
        )
        with suppress(ProcessLookupError, PermissionError):
            # Each was started as the leader of a group, but for the supervisor.
            if os.getpgid(pid) == pid and role != SUPERVISOR:
                os.killpg(pid, signal.SIGKILL)
            else:
                os.kill(pid, signal.SIGKILL)

    def _read(self, file: int) -> list[_Process]:
        found = []
        for line in os.pread(file, 65_536, 0).decode(errors="replace").splitlines():
            match line.split():
                case [role, pid, started] if pid.isdigit():
                    found.append(_Process(role, int(pid), started))
                case _:
                    continue
        return found


def _try_lock(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
