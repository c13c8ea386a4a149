"""A process that hangs is known by its state and its pulse, and its end waits for nobody."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from api.cli.exit_codes import Exit
from api.processes import child as children
from api.processes.child import Child
from api.processes.errors import VenueFailed
from api.processes.leftovers import Processes
from api.processes.looking import children_of, started_at
from api.processes.stopping import Ending
from infrastructure.private_files import write_own
from tests.writer_process import wait_until

HEARS = "import os, signal, time\nsignal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])\n"
BEATS = HEARS + "while True:\n    os.write(0, b'.')\n    time.sleep(0.1)\n"
ONE_BEAT = "import os, time\nos.write(0, b'.')\ntime.sleep(600)\n"
SILENT = "import time\ntime.sleep(600)\n"
DEAF = "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\ntime.sleep(600)\n"


class Stub(Child):
    """A child that runs some lines instead of a process of the venue."""

    def __init__(self, lines: str, say: Callable[[str], object], role: str = "gateway") -> None:
        super().__init__(
            role, (), environment=lambda: dict(os.environ), output=subprocess.DEVNULL, say=say
        )
        self.lines = lines

    def command(self) -> list[str]:
        """What is run."""
        return [sys.executable, "-c", self.lines]


@pytest.fixture
def said() -> list[str]:
    """What is said of the processes."""
    return []


@pytest.fixture
def stub(said: list[str]) -> Iterator[Callable[..., Stub]]:
    """Starts processes that are gone after the test."""
    made: list[Stub] = []

    def start(lines: str, role: str = "gateway") -> Stub:
        one = Stub(lines, said.append, role)
        made.append(one)
        one.start()
        return one

    yield start
    for one in made:
        one.tell(signal.SIGCONT)
        one.stop(0)


def looked_until_replaced(one: Stub, seconds: float = 10) -> None:
    """Look after a child as a supervisor does, until it has been started a second time."""

    def replaced() -> bool:
        one.look()
        return one.starts > 1

    wait_until(replaced, "the process to be replaced", seconds=seconds)


def test_process_that_is_stopped_is_replaced(
    stub: Callable[..., Stub], said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """After some seconds; one that goes on before that is left alone."""
    monkeypatch.setattr(children, "STOPPED_SECONDS", 0.5)
    one = stub(BEATS)
    first = one.pid
    assert first is not None
    for number in (signal.SIGSTOP, signal.SIGCONT):
        os.kill(first, number)
        ends = time.monotonic() + 0.3
        while time.monotonic() < ends:
            one.look()
            time.sleep(0.02)
    assert (1, first) == (one.starts, one.pid)
    os.kill(first, signal.SIGSTOP)
    looked_until_replaced(one)
    assert f"gateway (process {first}) is stopped, and is replaced" in said


def test_process_without_a_pulse_is_replaced_and_one_with_it_is_not(
    stub: Callable[..., Stub], said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A loop that stands still runs for all that the kernel can tell."""
    monkeypatch.setattr(children, "SILENT_SECONDS", 0.8)
    well, stuck = stub(BEATS, "writer"), stub(ONE_BEAT, "projector")
    slow = stub(SILENT, "market-data")
    looked_until_replaced(stuck)
    well.look()
    slow.look()
    # One that has not come to its first beat yet has longer.
    assert (1, 1) == (well.starts, slow.starts)
    assert any(line.startswith("projector (process ") and "hangs for" in line for line in said)


def test_end_waits_for_nobody_beyond_its_time(stub: Callable[..., Stub], said: list[str]) -> None:
    """Deaf and stopped processes are killed when their time is over; asked to hurry, at once."""
    deaf, stopped = stub(DEAF), stub(BEATS, "market-data")
    assert deaf.pid is not None and stopped.pid is not None
    wait_until(lambda: in_mask(deaf.pid, "SigIgn"), "it to be deaf")
    wait_until(lambda: not in_mask(stopped.pid, "SigBlk"), "it to hear")
    os.kill(stopped.pid, signal.SIGSTOP)
    ending = Ending()
    ending.begin()
    began = time.monotonic()
    ending.end_together([deaf, stopped], 1.0)
    assert 0.9 < time.monotonic() - began < 2.5
    assert deaf.pid is None and stopped.pid is None
    assert ["gateway does not leave and is killed"] == said

    deaf = stub(DEAF)
    wait_until(lambda: in_mask(deaf.pid, "SigIgn"), "it to be deaf")
    ending.hurry()
    began = time.monotonic()
    ending.end([deaf])
    assert time.monotonic() - began < 0.8
    assert deaf.pid is None


def in_mask(pid: int | None, mask: str) -> bool:
    """Whether SIGTERM is among the signals of a mask of a process."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(mask):
            return bool(int(line.split()[1], 16) >> (signal.SIGTERM - 1) & 1)
    return False


def test_next_start_ends_what_an_earlier_one_has_left_behind(tmp_path: Path) -> None:
    """A process that was written down and hangs is ended, and that is said; one that was given the
    same number since is none of the venue's.
    """
    hung = subprocess.Popen([sys.executable, "-c", SILENT], start_new_session=True)
    other = subprocess.Popen([sys.executable, "-c", SILENT], start_new_session=True)
    said: list[str] = []
    try:
        os.kill(hung.pid, signal.SIGSTOP)
        lock = tmp_path / "venue-0.lock"
        lock.write_text(
            f"supervisor 1 never\ngateway {hung.pid} {started_at(hung.pid)}\n"
            f"writer {other.pid} another\nnonsense\n"
        )
        processes = Processes(tmp_path, 0, said.append)
        processes.begin()
        assert -signal.SIGKILL == hung.wait(5)
        assert other.poll() is None
        assert 1 == len(said) and f"a gateway behind that hangs, process {hung.pid}" in said[0]
        processes.end()
    finally:
        for process in (hung, other):
            process.kill()
            process.wait()


def test_list_of_processes_that_others_may_write_is_not_heeded(tmp_path: Path) -> None:
    """Nobody else chooses whom a start ends: neither by writing there nor by a link."""
    bystander = subprocess.Popen([sys.executable, "-c", SILENT], start_new_session=True)
    try:
        line = f"gateway {bystander.pid} {started_at(bystander.pid)}\n"
        os.kill(bystander.pid, signal.SIGSTOP)
        said: list[str] = []
        forged, linked = tmp_path / "venue-0.lock", tmp_path / "venue-1.lock"
        forged.write_text(line)
        forged.chmod(0o666)
        (tmp_path / "elsewhere").write_text(line)
        linked.symlink_to(tmp_path / "elsewhere")
        os.link(tmp_path / "elsewhere", tmp_path / "venue-2.lock")
        for partition in range(3):
            processes = Processes(tmp_path, partition, said.append)
            processes.begin()
            processes.end()
        assert bystander.poll() is None
        assert 3 == len(said)
        assert line == forged.read_text() == (tmp_path / "elsewhere").read_text()
        own = Processes(tmp_path, 3, said.append)
        own.begin()
        assert 0o600 == (tmp_path / "venue-3.lock").stat().st_mode & 0o777
        own.end()
    finally:
        bystander.kill()
        bystander.wait()


def test_venue_of_a_directory_is_served_once(tmp_path: Path) -> None:
    """A second start is refused while the first one lives, and not afterwards."""
    first, second = Processes(tmp_path, 0, print), Processes(tmp_path, 0, print)
    first.begin()
    with pytest.raises(
        VenueFailed, match=f"is served already, by process {os.getpid()}"
    ) as refused:
        second.begin()
    assert Exit.FENCED == refused.value.code
    # Another partition of the directory is another venue.
    beside = Processes(tmp_path, 1, print)
    beside.begin()
    beside.end()
    first.end()
    second.begin()
    second.end()


def test_nobody_who_is_asked_to_leave_meets_another_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever it comes: just as a file was put in its place, what comes of it is the end."""
    replace = os.replace

    def interrupted(source: str, target: Path) -> None:
        replace(source, target)
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_own(tmp_path / "file", "whole")
    assert ["file"] == [path.name for path in tmp_path.iterdir()]
    assert "whole" == (tmp_path / "file").read_text()


WORKER = (
    "import subprocess, sys, time\n"
    "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
    "time.sleep(600)\n"
)


def worker_of(pid: int) -> int:
    """The process that another one has started, once it has."""
    wait_until(lambda: children_of(pid) != [], "it to have a worker")
    (worker,) = children_of(pid)
    return worker


def test_no_worker_is_left_behind_whose_first_process_is_gone(tmp_path: Path) -> None:
    """A gateway's worker that stands still holds the port after its first process was killed: the
    next start finds it by its group and by whose it is, and ends nobody else's.
    """
    said: list[str] = []
    firsts = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER],
            start_new_session=True,
            env={**os.environ, "NEXUS_DATA_DIR": str(directory)},
        )
        for directory in (tmp_path, tmp_path / "another")
    ]
    try:
        workers = []
        for first in firsts:
            workers.append(worker_of(first.pid))
        own, others = workers
        lines = [f"gateway {first.pid} {started_at(first.pid)}\n" for first in firsts]
        (tmp_path / "venue-0.lock").write_text("".join(lines))
        (tmp_path / "venue-0.lock").chmod(0o600)
        os.kill(own, signal.SIGSTOP)
        for first in firsts:
            first.kill()
            first.wait()
        processes = Processes(tmp_path, 0, said.append)
        processes.begin()
        assert "" == started_at(own) and "" != started_at(others)
        assert 1 == len(said) and f"a gateway behind that hangs, process {own}" in said[0]
        processes.end()
    finally:
        for first in firsts:
            with suppress(ProcessLookupError):
                os.killpg(first.pid, signal.SIGKILL)
