"""Processor time by process, from /proc: the venue's processes and what PostgreSQL runs for each.

The kernel counts every thread in nanoseconds (schedstat); where it does not, in ticks of 10 ms
(stat). A connection belongs to the process whose role its application name contains.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import psycopg

TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
METER = "bench meter"
OTHER_POSTGRES = "other PostgreSQL"
ENDED = "ended PostgreSQL processes"
_NAMED = ("checkpointer", "walwriter")
_QUIET_SECONDS = 0.15
_QUIET_SHARE = 0.1
_QUIET_AFTER = 120.0


def processor_ns(pid: int) -> int | None:
    """Nanoseconds of processor that all threads of a process have used; None when it is gone."""
    try:
        return sum(
            int((task / "schedstat").read_text().split()[0])
            for task in Path(f"/proc/{pid}/task").iterdir()
        )
    except OSError:
        fields = _stat(pid)
        return None if fields is None else (int(fields[11]) + int(fields[12])) * TICK_NS


def until_idle(pid: int) -> None:
    """Return when a process has next to nothing left to do."""
    ends = time.monotonic() + _QUIET_AFTER
    before = processor_ns(pid)
    while time.monotonic() < ends:
        time.sleep(_QUIET_SECONDS)
        used = processor_ns(pid)
        if used is None or before is None:
            raise RuntimeError(f"process {pid} has ended")
        if used - before < _QUIET_SHARE * _QUIET_SECONDS * 1e9:
            return
        before = used
    raise RuntimeError(f"process {pid} is still busy after {_QUIET_AFTER:g} s")


def ended_children_ns(pid: int) -> int:
    """Nanoseconds used by the children of a process that have ended, in whole ticks."""
    fields = _stat(pid)
    return 0 if fields is None else (int(fields[13]) + int(fields[14])) * TICK_NS


def parents() -> dict[int, int]:
    """Of each process that runs, which one started it."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            fields = _stat(int(entry.name))
            if fields is not None:
                found[int(entry.name)] = int(fields[1])
    return found


def machine_busy_ns() -> int:
    """Nanoseconds that all processors have worked for anybody."""
    user, nice, system, _, _, interrupt, soft, steal = (
        int(part) for part in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]
    )
    return (user + nice + system + interrupt + soft + steal) * TICK_NS


def _stat(pid: int) -> list[str] | None:
    """The fields of /proc/PID/stat from the state on; a name may hold spaces and brackets."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None


class Look(NamedTuple):
    """The counters at one moment: of each process by its id, and who they are."""

    at: float
    busy: int
    used: dict[int, int]
    names: dict[int, str]
    ended: int


class Used(NamedTuple):
    """What was used between two looks: nanoseconds by name, and by others on this machine."""

    ns: dict[str, int]
    elsewhere_ns: int
    seconds: float

    @property
    def in_all(self) -> int:
        """Everything that was named."""
        return sum(self.ns.values())

    def each(self, count: int) -> dict[str, float]:
        """Microseconds for each of so many commands, by name and in all."""
        figures = {name: round(ns / count / 1e3, 1) for name, ns in self.ns.items()}
        return figures | {"in all": round(self.in_all / count / 1e3, 1)}

    def cores_elsewhere(self, known_ns: int) -> float:
        """How many cores others on this machine kept busy meanwhile, but for what is known."""
        return round(max(0, self.elsewhere_ns - known_ns) / self.seconds / 1e9, 2)


class Meter:
    """Looks at the counters of some processes and of all that PostgreSQL runs.

    `rest` is the process whose backends those are that name none.
    """

    def __init__(
        self, dsn: str, postmaster: int, processes: Mapping[str, int], *, rest: str = "other"
    ) -> None:
        self._conn = psycopg.connect(dsn, autocommit=True, application_name=METER)
        self._own = self._conn.info.backend_pid
        self._postmaster = postmaster
        self._processes = dict(processes)
        self._rest = rest

    def look(self) -> Look:
        """Read all counters."""
        kinds: dict[int, tuple[str, str]] = {
            pid: (kind, name)
            for pid, kind, name in self._conn.execute(
                "SELECT pid, coalesce(backend_type, ''), coalesce(application_name, '')"
                " FROM pg_stat_activity"
            )
        }
        names = {pid: name for name, pid in self._processes.items()}
        for pid, parent in parents().items():
            if parent == self._postmaster and pid != self._own:
                names[pid] = self._name(*kinds.get(pid, ("", "")))
            elif parent in self._processes.values() and pid != self._postmaster:
                names.setdefault(pid, names[parent])
        names[self._postmaster] = OTHER_POSTGRES
        used = {pid: ns for pid in names if (ns := processor_ns(pid)) is not None}
        ended = ended_children_ns(self._postmaster)
        return Look(time.perf_counter(), machine_busy_ns(), used, names, ended)

    def _name(self, kind: str, application: str) -> str:
        if kind == "client backend":
            for role in self._processes:
                if role in application.split():
                    return f"{role}'s backends"
            return f"{self._rest}'s backends"
        return kind if kind in _NAMED else OTHER_POSTGRES

    def since(self, before: Look) -> Used:
        """What was used since a look. What PostgreSQL ran and has ended meanwhile, as its
        autovacuum does, has a line of its own, in whole ticks.
        """
        after = self.look()
        ns = Counter({name: 0 for role in self._processes for name in (role, f"{role}'s backends")})
        for pid, used in after.used.items():
            ns[after.names[pid]] += used - before.used.get(pid, 0)
        gone = sum(used for pid, used in before.used.items() if pid not in after.used)
        ns[ENDED] += max(0, after.ended - before.ended - gone)
        total = sum(ns.values())
        elsewhere = max(0, after.busy - before.busy - total)
        ordered = {name: ns[name] for name in sorted(ns, key=self._place)}
        return Used(ordered, elsewhere, after.at - before.at)

    def _place(self, name: str) -> tuple[int, str]:
        """Processes in the order given, each with its backends, then the rest of PostgreSQL."""
        for number, role in enumerate(self._processes):
            if name.startswith(role):
                return number, name
        return len(self._processes), name

    def until_quiet(self) -> None:
        """Return when all that was looked at has next to nothing left to do."""
        ends = time.monotonic() + _QUIET_AFTER
        before = self.look()
        while time.monotonic() < ends:
            time.sleep(_QUIET_SECONDS)
            now = self.look()
            used = sum(ns - before.used.get(pid, 0) for pid, ns in now.used.items())
            if used < _QUIET_SHARE * (now.at - before.at) * 1e9:
                return
            before = now
        raise RuntimeError(f"the venue is still busy after {_QUIET_AFTER:g} s")

    def close(self) -> None:
        """Leave the server."""
        with suppress(psycopg.Error):
            self._conn.close()

    def __enter__(self) -> Meter:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
