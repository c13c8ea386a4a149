"""The benchmarks' processor time: counted for the right process, with its threads and backends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest

from bench.driving import Driver, DriverFailed
from bench.processor import ENDED, Meter, processor_ns
from bench.turns import median_of
from bench.venue import Process, ProcessEnded, environment_of, short_home
from infrastructure.embedded_server import EmbeddedServer

_WORK = """
import sys, threading, time
def work():
    ends = time.thread_time() + 0.1
    while time.thread_time() < ends:
        pass
threads = [threading.Thread(target=lambda: (work(), stay.wait())) for _ in range(2)]
stay = threading.Event()
for thread in threads:
    thread.start()
work()
while time.process_time() < 0.3:
    time.sleep(0.001)
print(time.process_time_ns(), flush=True)
sys.stdin.read()
stay.set()
"""
_QUERY = "SELECT count(*) FROM generate_series(1, 1000000)"


@contextmanager
def _worker() -> Iterator[tuple[int, int]]:
    """A process that has worked on three threads; yields its id and what it says it used."""
    process = subprocess.Popen(
        [sys.executable, "-c", _WORK], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None and process.stdout is not None
    try:
        yield process.pid, int(process.stdout.readline())
    finally:
        process.stdin.close()
        process.wait()
        process.stdout.close()


def test_processor_of_another_process_counts_all_its_threads() -> None:
    """What /proc says of a process is what the process says of itself."""
    with _worker() as (pid, own):
        read = processor_ns(pid)

    assert read is not None
    assert own > 300_000_000
    assert abs(read - own) < 30_000_000


def test_processor_of_a_process_that_is_gone_is_none() -> None:
    """A process may end between two looks."""
    with _worker() as (pid, _):
        pass

    assert processor_ns(pid) is None


def test_backend_is_counted_for_the_process_whose_role_it_carries(
    postgres: EmbeddedServer,
) -> None:
    """The application name says whose it is; who names none is the rest's."""
    assert postgres.pid is not None
    with (
        _worker() as (pid, _),
        psycopg.connect(postgres.dsn(), application_name="nexus writer test") as writer,
        psycopg.connect(postgres.dsn()) as nameless,
        Meter(postgres.dsn(), postgres.pid, {"writer": pid}, rest="bench") as meter,
    ):
        before = meter.look()
        writer.execute(_QUERY)
        named = meter.since(before).ns
        before = meter.look()
        nameless.execute(_QUERY)
        rest = meter.since(before).ns

    assert named["writer's backends"] > 10_000_000 > named.get("bench's backends", 0)
    assert rest["bench's backends"] > 10_000_000 > rest["writer's backends"]
    assert named["writer"] < 10_000_000


def test_backend_that_ended_meanwhile_is_counted(postgres: EmbeddedServer) -> None:
    """Work of a connection that came and went between two looks is not lost."""
    assert postgres.pid is not None
    with Meter(postgres.dsn(), postgres.pid, {}) as meter:
        before = meter.look()
        with psycopg.connect(postgres.dsn()) as conn:
            conn.execute(_QUERY)
            backend = conn.info.backend_pid
        # The server reaps it when it has seen it end.
        while processor_ns(backend) is not None:
            pass
        used = meter.since(before).ns

    assert used[ENDED] >= 20_000_000


def test_process_that_ended_while_measured_is_named(postgres: EmbeddedServer) -> None:
    """What a standby does after a takeover must not pass for what the writer did."""
    with short_home() as home:
        environment = environment_of(postgres.dsn(), "test_bench_unmigrated", home)
        with Process("projector", environment) as projector:
            os.kill(projector.pid, signal.SIGKILL)
            os.waitid(os.P_PID, projector.pid, os.WEXITED | os.WNOWAIT)

            with pytest.raises(ProcessEnded, match="the projector ended with -9"):
                projector.check()


def test_median_of_turns_is_taken_figure_by_figure() -> None:
    """One turn that stalled decides nothing, also deep inside; names stay."""
    turns = [
        {"p99_ms": 1.5, "used": {"writer": 10}, "how": "same"},
        {"p99_ms": 90.0, "used": {"writer": 12, "vacuum": 3}, "how": "same"},
        {"p99_ms": 2.5, "used": {"writer": 900}, "how": "same"},
    ]

    assert median_of(turns) == {"p99_ms": 2.5, "used": {"writer": 12, "vacuum": 3}, "how": "same"}


def test_driver_that_fails_says_why() -> None:
    """What the driving process wrote last is in the error."""
    with pytest.raises(DriverFailed, match="No module named"):
        Driver("bench.no_such_driver", {})
