"""A log that others can have written into: not his to fill who can make the venue say something."""

from __future__ import annotations

import io
import logging
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from infrastructure.log_lines import ALIKE_MOST, FORMAT, BoundedHandler, SafeFormatter

MOST, SECONDS = 3, 10.0


class Log:
    """A log of a process, and the time that its handler goes by."""

    def __init__(self, most: int = MOST, seconds: float = SECONDS) -> None:
        self.now = 100.0
        self.out = io.StringIO()
        self.handler = BoundedHandler(self.out, most=most, seconds=seconds, clock=lambda: self.now)
        self.handler.setFormatter(SafeFormatter(FORMAT))
        self.logger = logging.Logger("nexus.fix")
        self.logger.addHandler(self.handler)

    def refuse(self, who: str) -> None:
        """One place that says something."""
        self.logger.warning("%s: not admitted", who)

    @property
    def lines(self) -> list[str]:
        """What is written."""
        return self.out.getvalue().splitlines()


@pytest.fixture
def log() -> Iterator[Log]:
    """A log that bears little."""
    log = Log()
    yield log
    log.handler.close()


def test_door_flood_of_lines_is_written_in_part_and_counted(log: Log) -> None:
    """However different they are: it is the place in the program that they have in common."""
    for number in range(5_000):
        log.refuse(f"client {number}")
    assert [f"nexus.fix WARNING client {n}: not admitted" for n in range(MOST)] == log.lines

    log.now += SECONDS
    log.refuse("another")

    told, another = log.lines[MOST:]
    assert (
        "nexus.fix WARNING 4,997 more lines like this one were left out: %s: not admitted" == told
    )
    assert another.endswith("another: not admitted")


def test_door_flood_of_lines_keeps_no_other_line_away(log: Log) -> None:
    """Of another place of the program, be it in the same words."""
    for number in range(50):
        log.refuse(str(number))
    log.logger.warning("%s: not admitted", "elsewhere")
    log.logger.error("a fault")

    assert ["elsewhere: not admitted", "a fault"] == [
        line.split(" ", 2)[2] for line in log.lines[MOST:]
    ]


def test_door_line_that_is_said_now_and_then_is_written_each_time(log: Log) -> None:
    """Within what is borne nothing is left out, and nobody speaks of it."""
    for _ in range(20):
        for number in range(MOST):
            log.refuse(str(number))
        log.now += SECONDS

    assert 20 * MOST == len(log.lines)


def test_door_lines_left_out_are_told_when_nothing_more_is_said() -> None:
    """A flood that ends is told of all the same, and so is one in which a process ends."""
    log = Log(seconds=0.05)
    for number in range(9):
        log.refuse(str(number))
    log.now += 1
    ends = time.monotonic() + 10
    while len(log.lines) == MOST and time.monotonic() < ends:
        time.sleep(0.005)
    assert "6 more lines" in log.lines[-1]

    for number in range(5):
        log.refuse(str(number))
    log.handler.close()
    assert "2 more lines" in log.lines[-1]


def test_door_no_process_of_the_venue_writes_a_flood_of_lines(tmp_path: Path) -> None:
    """Every one has its logging set up by the same function; tracebacks count as well."""
    said = subprocess.run(
        [
            sys.executable,
            "-c",
            "import logging\n"
            "from infrastructure.log_lines import set_up_logging\n"
            "set_up_logging()\n"
            "for number in range(1000):\n"
            "    try:\n"
            "        raise ValueError(number)\n"
            "    except ValueError:\n"
            "        logging.getLogger('nexus.fix').exception('it failed: %d', number)\n",
        ],
        capture_output=True,
        text=True,
        check=True,
    ).stderr

    records = [line for line in said.splitlines() if not line.startswith("  | ")]
    assert ALIKE_MOST + 1 == len(records)
    assert "980 more lines like this one were left out: it failed: %d" in records[-1]
