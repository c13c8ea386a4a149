"""`nexus serve` as a process of its own, with all that belongs to it."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx

from tests.homes import new_home
from tests.writer_process import wait_until

SOURCES = str(Path(__file__).resolve().parent.parent)


class Served:
    """A `nexus serve` in a home, which outlives it and may be served again."""

    def __init__(self, home: Path, port: int, *arguments: str, **settings: str) -> None:
        self.home = home
        self.port = port
        self._output = home / f"output-{time.monotonic_ns()}"
        environment = {k: v for k, v in os.environ.items() if not k.startswith("NEXUS_")}
        environment |= {
            "PYTHONPATH": SOURCES,
            "NEXUS_DATA_DIR": str(home / "data"),
            "NEXUS_RUNTIME_DIR": str(home / "run"),
            **{f"NEXUS_{name.upper()}": value for name, value in settings.items()},
        }
        with open(self._output, "wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "api.cli.main", "serve", "--port", str(port), *arguments],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def said(self) -> str:
        """All it has printed."""
        return self._output.read_text()

    @property
    def url(self) -> str:
        """Where it says that its gateway answers."""
        (ready,) = [s for s in self.said.splitlines() if s.startswith("gateway ready: ")]
        return ready.removeprefix("gateway ready: ")

    def says(self, words: str, seconds: float = 60) -> None:
        """Wait until it has printed these words."""
        wait_until(lambda: words in self.said, f"{words!r}", lambda: self.said, seconds)

    def opens(self) -> None:
        """Wait until it says that the venue is open."""
        self.says("the venue is open")

    def answers(self) -> bool:
        """Whether its gateway is well."""
        try:
            return httpx.get(self.url + "/healthz", timeout=2).status_code == 200
        except httpx.TransportError:
            return False

    def pid(self, role: str) -> int:
        """The process of a role."""
        (found,) = self.processes(f"--only\0{role}")
        return found

    def processes(self, words: str = "") -> list[int]:
        """Every living process that belongs to this home, PostgreSQL's too; or those whose
        command line has these words.
        """
        found = []
        mine = str(self.home).encode()
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit() or int(entry.name) == os.getpid():
                continue
            with suppress(OSError):
                command = (entry / "cmdline").read_bytes()
                # A server's processes write over where their environment was.
                belongs = mine in command or os.fsencode(os.readlink(entry / "cwd")).startswith(
                    mine
                )
                belongs = belongs or mine in (entry / "environ").read_bytes()
                state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
                if belongs and words.encode() in command and state != "Z":
                    found.append(int(entry.name))
        return found

    def ended(self, number: signal.Signals, seconds: float) -> float:
        """Send a signal and wait for the end; how long it took."""
        began = time.monotonic()
        self.process.send_signal(number)
        self.process.wait(seconds)
        return time.monotonic() - began


@contextmanager
def home_of_a_venue() -> Iterator[Path]:
    """A directory of a venue's own that the server's user can reach; at the end nobody works in
    it any more.
    """
    home = new_home()
    try:
        yield home
    finally:
        left = Served.__new__(Served)
        left.home = home
        for pid in left.processes():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        shutil.rmtree(home, ignore_errors=True)


def free_port() -> int:
    """A port nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
