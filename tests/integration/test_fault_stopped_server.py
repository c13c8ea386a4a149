"""The processes of an embedded server stand still, and nobody is left who looked after them."""

from __future__ import annotations

import os
import signal
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from infrastructure import working_in
from infrastructure.database import EmbeddedServer
from infrastructure.working_in import processes_in

pytestmark = [pytest.mark.crash, pytest.mark.slow]


@pytest.fixture
def home(server_home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory whose server, stopped or not, is gone after the test."""
    monkeypatch.setattr(working_in, "STOPPED_SECONDS", 0.5)
    path = server_home / uuid.uuid4().hex[:6]
    yield path
    EmbeddedServer(path / "data", path / "run", on_message=bool).stop(force=True)


def stand_still(server: EmbeddedServer) -> None:
    """Stop every process of a server."""
    for pid in processes_in(server.cluster):
        os.kill(pid, signal.SIGSTOP)


def test_server_that_stands_still_is_ended_by_the_next_start_and_by_its_last_user(
    home: Path,
) -> None:
    """What a venue that was killed has left behind answers nobody and holds the cluster; and who is
    asked to leave waits for no server that stands still. Nothing that was stored is lost.
    """
    said: list[str] = []
    left = EmbeddedServer(home / "data", home / "run", on_message=bool)
    left.start(keep_running=True)
    with psycopg.connect(left.dsn(), autocommit=True) as conn:
        conn.execute("CREATE TABLE kept AS SELECT 7 AS n")
    left.stop()
    stand_still(left)
    later = EmbeddedServer(home / "data", home / "run", on_message=said.append)
    began = time.monotonic()
    later.start()
    assert time.monotonic() - began < 20
    assert any("processes of the store stand still and are ended" in line for line in said)
    with psycopg.connect(later.dsn()) as conn:
        assert (7,) == conn.execute("SELECT n FROM kept").fetchone()

    stand_still(later)
    leaving = threading.Thread(target=later.stop, daemon=True)
    leaving.start()
    leaving.join(20)
    assert not leaving.is_alive()
    assert [] == processes_in(later.cluster)
