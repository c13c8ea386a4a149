"""The runbook of a move, followed command by command while orders flow through `nexus serve`."""

from __future__ import annotations

import asyncio
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from api.processes.supervisor import Supervisor
from domain.events import OrderAccepted
from infrastructure.log.layouts import Layout
from infrastructure.log.stores import find_truth
from infrastructure.settings import Settings
from tests.conftest import dsn_of
from tests.homes import new_home
from tests.log_checks import read_log
from tests.order_driver import ADMIN_SECRET, Driver, free_port

DOCUMENT = Path(__file__).resolve().parent.parent.parent / "docs" / "timescale.md"
FIRST, AFTER = "## The move", "## What to watch"
STILL_BEHIND = ("not all was compared", "did not come to position", "lags by")
"""What is refused while the target's views are behind; the runbook says to ask again."""
ACKNOWLEDGED_EACH = 5
"""Orders that must be answered after each step, before the next one begins."""


class Step(NamedTuple):
    """A command of the runbook, and what it says there that it says; `…` is anything."""

    command: str
    expected: tuple[str, ...]

    def missing(self, said: str) -> list[str]:
        """What it did not say, in the order of the lines."""
        lines = said.splitlines()
        missing = []
        for wanted in self.expected:
            pattern = ".*".join(re.escape(part) for part in wanted.split("…"))
            found = next((n for n, line in enumerate(lines) if re.search(pattern, line)), None)
            if found is None:
                missing.append(wanted)
            else:
                lines = lines[found + 1 :]
        return missing


def steps() -> list[Step]:
    """Every command of the part of the runbook that moves a store, in its order."""
    text = DOCUMENT.read_text()
    told = text[text.index(FIRST) : text.index(AFTER)]
    found: list[Step] = []
    for line in told.splitlines():
        if line.startswith("    nexus "):
            found.append(Step(line.strip(), ()))
        elif line.startswith("    ") and found:
            found[-1] = found[-1]._replace(expected=(*found[-1].expected, line.strip()))
    return found


def test_runbook_tells_every_step_of_a_move_and_what_each_says() -> None:
    """A step that is left out, or shown without its answer, is not rehearsed."""
    told = [step.command.split()[1:3] for step in steps()]

    for word in ("plan", "prepare", "dual-write", "backfill", "verify", "status", "cutover"):
        assert ["timescale", word] in told
    assert told.index(["timescale", "rollback"]) < told.index(["timescale", "finalize"])
    assert all(step.expected for step in steps())


def test_what_a_command_left_out_is_noticed() -> None:
    """Lines are looked for in their order, with anything where the document has an ellipsis."""
    step = Step("nexus", ("at … of", "ended"))

    assert [] == step.missing("begun\nat 3 of 4\nall ended")
    assert ["ended"] == step.missing("ended\nat 3 of 4")


@pytest.fixture
def home() -> Iterator[Path]:
    """A directory that the server's user can reach."""
    made = new_home()
    yield made
    shutil.rmtree(made, ignore_errors=True)


def run(step: Step, venue: Supervisor, layout: Layout) -> subprocess.CompletedProcess[str]:
    """Type a command, and again while the target's views are still behind.

    A server without the extension takes the layout that the runbook names for it.
    """
    words = shlex.split(step.command)[1:]
    if layout is Layout.NATIVE and words == ["timescale", "plan"]:
        words += ["--layout", "native"]
    ends = time.monotonic() + 90
    while True:
        said = subprocess.run(
            [sys.executable, "-W", "error", "-m", "api.cli.main", *words],
            env={**venue.environment(), "COLUMNS": "200"},
            cwd=venue.settings.data_dir.parent,
            capture_output=True,
            text=True,
            check=False,
        )
        behind = any(words in said.stdout + said.stderr for words in STILL_BEHIND)
        if not behind or time.monotonic() > ends:
            return said
        time.sleep(0.2)


async def followed(venue: Supervisor, driver: Driver, layout: Layout) -> None:
    """Follow the runbook, each step with orders before and after it."""
    stop = asyncio.Event()
    trading = asyncio.create_task(driver.run(stop))
    await driver.acknowledged_more(trading, 20 * ACKNOWLEDGED_EACH)
    for step in steps():
        said = await asyncio.to_thread(run, step, venue, layout)
        assert said.returncode == 0, f"{step.command}\n{said.stdout}{said.stderr}"
        missing = step.missing(said.stdout)
        assert not missing, f"{step.command} did not say {missing}:\n{said.stdout}"
        await driver.acknowledged_more(trading, ACKNOWLEDGED_EACH)
    stop.set()
    await asyncio.wait_for(trading, 60)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "layout", [Layout.NATIVE, pytest.param(Layout.TIMESCALE, marks=pytest.mark.timescale)]
)
def test_runbook_moves_a_store_there_and_back_and_there_while_orders_flow(
    layout: Layout, home: Path, request: pytest.FixtureRequest
) -> None:
    """Every command says what the document says, and no order is lost, doubled or refused by it."""
    settings = Settings(
        database_url=None if layout is Layout.NATIVE else dsn_of(request, layout),
        partition_schema="partition_0",
        data_dir=home / "data",
        runtime_dir=home / "run",
        port=free_port(),
        admin_key=ADMIN_SECRET,
    )
    with Supervisor(settings, say=lambda _: None, output=subprocess.DEVNULL) as venue:
        driver = Driver(venue, 20261130)
        driver.open()
        asyncio.run(followed(venue, driver, layout))
        assert [] == driver.wrong

        truth = find_truth(venue.dsn, settings.partition_schema)
        assert (layout, None) == (truth.layout, truth.peer)
        log = read_log(*truth.address)
        log.check()
        stored = log.orders_by_client_id()
        assert {} == {key: found for key, found in stored.items() if len(found) != 1}
        for key, told in driver.orders.items():
            ((_, event),) = stored[key]
            assert isinstance(event, OrderAccepted)
            assert told.order_id == str(event.originator_id)
