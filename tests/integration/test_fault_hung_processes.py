"""A process that hangs is replaced, holds no end up, and is found by the next start."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from api.cli.exit_codes import Exit
from tests.served import Served, free_port, home_of_a_venue
from tests.writer_process import wait_until

pytestmark = [pytest.mark.crash, pytest.mark.soak]

IN_TIME = 10.5
"""Ten seconds, and what this machine needs to tell."""


@pytest.fixture
def home() -> Iterator[Path]:
    """A directory of the venue's own."""
    with home_of_a_venue() as made:
        yield made


def stop_all(pids: list[int]) -> None:
    """Have processes stand still."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)


@pytest.mark.timeout(180)
def test_hung_process_is_replaced_and_one_left_behind_is_ended(home: Path) -> None:
    """A gateway and a projector that stand still are replaced. A second start of the same venue is
    refused. Where the supervisor was killed and its gateway holds the port and stands still, the
    next start says so, ends it, and listens on that port. SIGTERM ends all of it in ten seconds.
    """
    served = Served(home, free_port())
    served.opens()
    gateway, projector = served.pid("gateway"), served.pid("projector")
    stop_all([gateway, projector])
    served.says(f"gateway (process {gateway}) is stopped, and is replaced", 12)
    served.says(f"projector (process {projector}) is stopped, and is replaced", 12)
    wait_until(served.answers, "the new gateway to answer", lambda: served.said)
    assert gateway not in served.processes()

    again = Served(home, served.port)
    assert Exit.FENCED == again.process.wait(30)
    assert f"is served already, by process {served.process.pid}: stop that first" in again.said
    assert "Traceback" not in again.said
    assert served.answers()

    hung = served.pid("gateway")
    stop_all([hung])
    served.process.kill()
    served.process.wait()
    later = Served(home, served.port)
    later.opens()
    assert f"left a gateway behind that hangs, process {hung}: it is ended" in later.said
    assert "is taken; using" not in later.said
    assert later.url.endswith(f":{served.port}") and later.answers()

    stop_all([later.pid(role) for role in ("gateway", "writer", "projector", "store")])
    assert later.ended(signal.SIGTERM, 30) < IN_TIME, later.said
    assert Exit.OK == later.process.returncode
    assert [] == later.processes()


@pytest.mark.timeout(180)
def test_server_that_hangs_is_ended_and_the_venue_goes_on(home: Path) -> None:
    """A backend, and the whole server, that stand still: ended, started again, and orders go on.
    Then everything stands still, also PostgreSQL, and SIGTERM ends it in ten seconds.
    """
    served = Served(home, free_port())
    served.opens()
    for whole in (False, True):
        before = served.processes("postgres")
        (main,) = [pid for pid in before if b"-D" in Path(f"/proc/{pid}/cmdline").read_bytes()]
        backends = [pid for pid in before if pid != main]
        stop_all([main, *backends] if whole else backends[:1])
        said = f"a process of the store is stopped and is ended: {main if whole else backends[0]}"
        served.says(said, 15)
        wait_until(served.answers, "the gateway to answer", lambda: served.said)
    stop_all([pid for pid in served.processes() if pid != served.process.pid])
    assert served.ended(signal.SIGTERM, 30) < IN_TIME, served.said
    assert [] == served.processes()


@pytest.mark.timeout(180)
def test_second_sigterm_ends_all_at_once(home: Path) -> None:
    """While everything hangs on its way out, asked once more: within a second or so nobody is left,
    and the next start finds the store as it was.
    """
    served = Served(home, free_port())
    served.opens()
    os.kill(served.pid("gateway"), signal.SIGSTOP)
    stop_all(served.processes("postgres"))
    served.process.send_signal(signal.SIGTERM)
    wait_until(lambda: not served.answers(), "it to begin to leave")
    assert served.ended(signal.SIGTERM, 20) < 3, served.said
    assert [] == served.processes()
    later = Served(home, served.port)
    later.opens()
    assert later.answers()
    assert later.ended(signal.SIGTERM, 30) < IN_TIME
    assert [] == later.processes()
