"""Asked to leave at any moment, a command ends with the code that its help gives."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytest

from api.cli.exit_codes import Exit
from api.cli.leaving import asked_later
from api.processes.child import Child
from api.processes.environment import SOURCES
from tests.writer_process import Partition, wait_until

MOMENTS_MS = (0, 3, 10, 30, 60, 100, 150, 200, 250, 300)
PATIENCE = 30.0


class SilentStore:
    """Where a server should be, somebody takes connections and never says a word."""

    def __init__(self, listening: socket.socket) -> None:
        self._listening = listening
        self.dsn = f"postgresql://nexus@127.0.0.1:{listening.getsockname()[1]}/nexus"

    @contextmanager
    def called(self) -> Iterator[None]:
        """Wait until a command has connected, and leave it without an answer."""
        connected, _ = self._listening.accept()
        with connected:
            yield


@pytest.fixture
def silent_store() -> Iterator[SilentStore]:
    """A store that keeps every command waiting."""
    with socket.socket() as listening:
        listening.settimeout(PATIENCE)
        listening.bind(("127.0.0.1", 0))
        listening.listen(64)
        yield SilentStore(listening)


@contextmanager
def started(
    arguments: Sequence[str], store: SilentStore, *, through: Sequence[str] = ()
) -> Iterator[subprocess.Popen[str]]:
    """A `nexus` command that will not be done before it is asked to leave."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("NEXUS_")}
    environment |= {"PYTHONPATH": SOURCES, "NEXUS_DATABASE_URL": store.dsn, "NEXUS_PORT": "29123"}
    process = subprocess.Popen(
        [*through, sys.executable, "-m", "api.cli.main", *arguments],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    """How a process ended, and what it said of it."""
    _, said = process.communicate(timeout=PATIENCE)
    return process.returncode, said


@pytest.mark.parametrize("moment_ms", MOMENTS_MS)
@pytest.mark.parametrize(
    ("arguments", "number", "code"),
    [
        (("serve", "--only", "writer"), signal.SIGTERM, Exit.OK),
        (("audit", "verify"), signal.SIGTERM, Exit.INTERRUPTED),
        (("audit", "verify"), signal.SIGINT, Exit.INTERRUPTED),
    ],
)
def test_command_asked_while_it_starts_ends_with_its_code(
    silent_store: SilentStore,
    arguments: Sequence[str],
    number: signal.Signals,
    code: Exit,
    moment_ms: int,
) -> None:
    """Started as the supervisor starts its processes: from the very first moment, never by the
    signal itself, and without a trace of where it was.
    """
    with asked_later(), started(arguments, silent_store) as process:
        time.sleep(moment_ms / 1000)
        process.send_signal(number)
        found, said = ended(process)
    assert code == found, said
    assert said in ("", said_of(code))


def said_of(code: Exit) -> str:
    """What a command says when it is asked while it starts."""
    return "stopped\n" if code is Exit.OK else "interrupted\n"


COMMANDS: list[Any] = [
    (("serve",), Exit.OK),
    (("serve", "--only", "projector"), Exit.OK),
    (("db", "status"), Exit.INTERRUPTED),
    (("events", "list"), Exit.INTERRUPTED),
    (("projections", "status"), Exit.INTERRUPTED),
    (("replay", "--as-of", "2026-11-20T15:00:00Z"), Exit.INTERRUPTED),
    (("simulate", "day"), Exit.INTERRUPTED),
]


# The one talks to the writer alone, the other waits until its attempt to reach the store is over.
OTHERS = [
    (("settlement", "run", "2026-11-24"), Exit.INTERRUPTED),
    (("serve", "--only", "gateway"), Exit.OK),
    (("serve", "--only", "market-data"), Exit.OK),
]


@pytest.mark.parametrize(("arguments", "code"), [*COMMANDS, *OTHERS])
def test_every_command_listens_before_it_loads_anything_heavy(
    silent_store: SilentStore, arguments: Sequence[str], code: Exit
) -> None:
    """Started from a shell: as soon as Python runs the command it is there to be asked."""
    with started(arguments, silent_store) as process:
        while not catches(process.pid, signal.SIGTERM):
            assert process.poll() is None, process.communicate()
        loaded = Path(f"/proc/{process.pid}/maps").read_text()
        process.send_signal(signal.SIGTERM)
        assert (code, said_of(code)) == ended(process)
    assert "_psycopg" not in loaded and "pydantic_core" not in loaded


def catches(pid: int, number: signal.Signals) -> bool:
    """Whether a process runs Python by now, and has a handler for a signal.

    A shell that it is started through may have one as well, for a moment.
    """
    if not Path(f"/proc/{pid}/cmdline").read_bytes().startswith(os.fsencode(sys.executable)):
        return False
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"^SigCgt:\s*(\w+)$", status, re.MULTILINE)
    assert found is not None
    return bool(int(found[1], 16) >> (number - 1) & 1)


@pytest.mark.parametrize(("arguments", "code"), COMMANDS)
def test_command_that_works_is_interrupted_where_it_is(
    silent_store: SilentStore, arguments: Sequence[str], code: Exit
) -> None:
    """Waiting for a server that does not answer, it leaves as documented when it is asked."""
    with started(arguments, silent_store) as process:
        with silent_store.called():
            process.send_signal(signal.SIGTERM)
            found, said = ended(process)
    assert (code, "") == (found, "".join(re.findall(r"Traceback|Aborted|Error", said))), said


@pytest.mark.slow
def test_gateway_that_cannot_start_after_it_was_asked_to_leave_has_not_failed(
    silent_store: SilentStore,
) -> None:
    """It ends its attempt to reach the store, says what came of it, and leaves well."""
    with started(("serve", "--only", "gateway"), silent_store) as process, silent_store.called():
        process.send_signal(signal.SIGTERM)
        found, said = ended(process)
    assert Exit.OK == found, said
    assert "no connection to the database" in said


INTERRUPTS_IGNORED = ("sh", "-c", 'trap "" INT; exec "$@"', "sh")
"""What `nohup`, and a shell's background jobs in a script, leave to a process."""


@pytest.mark.parametrize("working", [False, True])
@pytest.mark.parametrize(
    ("arguments", "code"),
    [(("serve",), Exit.OK), (("audit", "verify"), Exit.INTERRUPTED)],
)
def test_command_started_with_interrupts_ignored_is_interrupted_all_the_same(
    silent_store: SilentStore, arguments: Sequence[str], code: Exit, working: bool
) -> None:
    """Who sends SIGINT means it, whatever the process has inherited."""
    with started(arguments, silent_store, through=INTERRUPTS_IGNORED) as process:
        while not catches(process.pid, signal.SIGINT):
            assert process.poll() is None, process.communicate()
        with silent_store.called() if working else nullcontext():
            process.send_signal(signal.SIGINT)
            found, said = ended(process)
    assert code == found, said
    assert "Traceback" not in said


def test_writer_asked_again_and_again_ends_well(venue: Partition) -> None:
    """Every millisecond of its way out: the code is that of the first time it was asked."""
    writer = venue.start()
    venue.leader()
    writer.signal(signal.SIGTERM)
    deadline = time.monotonic() + PATIENCE
    while (Path(f"/proc/{writer.pid}/stat").read_text().rpartition(")")[2].split()[0]) != "Z":
        writer.signal(signal.SIGTERM)
        time.sleep(0.001)
        assert time.monotonic() < deadline, "the writer does not leave"
    assert Exit.OK == writer.ended()
    assert "left" in writer.said


@pytest.fixture
def venue(schema: Any) -> Iterator[Partition]:
    """A partition with a store that is there."""
    from tests.writer_process import partition

    with partition(schema.dsn, schema.schema) as made:
        yield made


def test_process_that_was_started_to_listen_later_is_listening_in_the_end(
    silent_store: SilentStore,
) -> None:
    """What blocks signals for a start does not stay: neither here nor there."""
    with asked_later():
        pass
    assert not signal.pthread_sigmask(signal.SIG_BLOCK, ()) & {signal.SIGINT, signal.SIGTERM}
    with asked_later(), started(("audit", "verify"), silent_store) as process:
        wait_until(lambda: catches(process.pid, signal.SIGTERM), "the command to listen")
        blocked = re.search(
            r"^SigBlk:\s*(\w+)$", Path(f"/proc/{process.pid}/status").read_text(), re.MULTILINE
        )
        assert blocked is not None
        wait_until(lambda: not _blocks(process.pid), "the command to be asked")
        process.send_signal(signal.SIGINT)
        assert Exit.INTERRUPTED == ended(process)[0]


def _blocks(pid: int) -> bool:
    """Whether a process lets SIGTERM wait."""
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"^SigBlk:\s*(\w+)$", status, re.MULTILINE)
    assert found is not None
    return bool(int(found[1], 16) >> (signal.SIGTERM - 1) & 1)


def test_process_of_the_venue_is_asked_at_once_and_ends_well(silent_store: SilentStore) -> None:
    """A supervisor that stops right after its start sees every process leave, none killed."""
    said: list[str] = []
    environment = {k: v for k, v in os.environ.items() if not k.startswith("NEXUS_")}
    environment |= {"PYTHONPATH": SOURCES, "NEXUS_DATABASE_URL": silent_store.dsn}
    child = Child(
        "projector",
        (),
        environment=lambda: environment,
        output=subprocess.DEVNULL,
        say=said.append,
    )
    child.start()
    try:
        assert child.tell(signal.SIGTERM)
        wait_until(lambda: child.pid is None, "the process to leave")
        child.look()
    finally:
        child.stop()
    assert 1 == len(said)
    assert said[0].startswith("projector ended with code 0")
