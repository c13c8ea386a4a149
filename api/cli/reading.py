"""What the commands that only read the log share: the open store, and a bar that tells its pace."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import psycopg
import typer
from rich.console import Console
from rich.measure import Measurement
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

from api.cli.exit_codes import Exit
from api.cli.printing import Table, tell, warn
from application.log.event_rendering import DecimalsOf, event_fields
from domain.events import DomainEvent
from domain.identifiers import iso
from infrastructure.database import open_database
from infrastructure.log.archive_log import ArchiveReader
from infrastructure.log.reader import LogReader
from infrastructure.settings import Settings


def say(message: str) -> None:
    """Progress goes to stderr, so that --json stays one line."""
    warn(message)


@contextmanager
def opened_store(settings: Settings) -> Iterator[str]:
    """The DSN of the open store; a schema without a log is said and ends with 4."""
    with open_database(settings, on_message=say) as database:
        try:
            yield database.dsn
        except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn) as error:
            say(f"schema {settings.partition_schema} is not as this program needs it: {error}")
            say("nexus db migrate")
            raise typer.Exit(Exit.MIGRATION) from None


ArchiveOption = Annotated[
    Path | None,
    typer.Option("--archive", help="Read an archive, and no store.", show_default=False),
]


@contextmanager
def opened_log(archive: Path | None = None) -> Iterator[LogReader | ArchiveReader]:
    """The log of the partition that the environment names, or the one in an archive."""
    if archive is not None:
        with ArchiveReader(archive) as archived:
            yield archived
        return
    settings = Settings.load()
    with opened_store(settings) as dsn, LogReader(dsn, settings.partition_schema) as log:
        yield log


def print_event(position: int, event: DomainEvent, decimals_of: DecimalsOf, why: str) -> None:
    """One event for people: whose and why on one line, what it says on the next; no id is cut."""
    tell(
        f"{position:>9}  {iso(event.at)}  {event.TOPIC}  {event.AGGREGATE} {event.originator_id}"
        f"  {why}"
    )
    said = event_fields(event, decimals_of)
    text = " ".join(f"{k}={v}" for k, v in said.items() if v not in (None, "", False))
    tell(f"{'':>11}{text}")


def print_whole(table: Table) -> None:
    """Print a table as wide as it is: a terminal may wrap a line, and no amount is cut."""
    console = Console()
    wide = console.options.update(max_width=10_000)
    width = Measurement.get(console, wide, table).maximum
    Console(width=max(console.width, width)).print(table)


class Pace:
    """A bar on stderr with its pace, unless nobody looks."""

    def __init__(self, what: str, total: int, *, show: bool, unit: str = "events/s") -> None:
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            disable=not show,
        )
        self._what, self._total, self._unit = what, total, unit
        self._task: TaskID | None = None
        self._began = time.perf_counter_ns()
        self.done = 0
        self.before = 0
        """What was done when it began, and does not count for the pace."""

    def __enter__(self) -> Pace:
        self._bar.start()
        self._task = self._bar.add_task(self._what, total=self._total, rate="")
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.stop()

    def __call__(self, done: int, total: int | None = None) -> None:
        """So many are done, of so many when that was not known before."""
        self.done = done
        assert self._task is not None
        rate = f"{self.rate:,} {self._unit}"
        self._bar.update(self._task, completed=done, total=total, rate=rate)

    @property
    def rate(self) -> int:
        """How many a second until now."""
        passed = time.perf_counter_ns() - self._began
        return (self.done - self.before) * 1_000_000_000 // max(1, passed)
