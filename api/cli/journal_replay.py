"""A journal decided again into memory, and held to the store that its first run wrote."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import uvloop

from api.cli.reading import Pace, opened_store, say
from application.audit.verify import StoredRow
from application.desk.state import state_hash
from application.log.ports import Recorded, RequestKey
from application.writer.command_replay import CommandReplay
from application.writer.request_keys import key_of_event
from domain.identifiers import command_number
from infrastructure.journal import JournalEntry, read_journal
from infrastructure.log.memory import MemoryLog, MemorySnapshots
from infrastructure.log.reader import LogReader
from infrastructure.settings import Settings

PAGE = 5_000


class JournalIncomplete(Exception):
    """The journal does not begin where the log does."""


class Difference(Exception):
    """The first event that is not the stored one."""

    def __init__(self, position: int, what: str, replayed: Any, stored: Any) -> None:
        super().__init__(
            f"position {position}: {what} is {_shown(replayed)} in the replay,"
            f" {_shown(stored)} in the store"
        )
        self.facts = {
            "position": position,
            "what": what,
            "replayed": _shown(replayed),
            "stored": _shown(stored),
        }


def replay_journal(settings: Settings, path: Path, *, compare: bool, show: bool) -> dict[str, Any]:
    """Decide a journal again. Raises Difference, or JournalIncomplete.

    One that begins later than the log needs the store for what was before it.
    """
    entries = read_journal(path)
    first = next(entries, None)
    if first is None:
        raise JournalIncomplete(f"{path} holds no whole record")
    commands = chain((first,), entries)
    total = sum(1 for _ in read_journal(path))
    gc.freeze()
    gc.disable()
    if not compare and first.number == 1:
        return _replay(commands, MemoryLog(), total, settings.partition, None, show)
    with opened_store(settings) as dsn, LogReader(dsn, settings.partition_schema) as store:
        log = MemoryLog()
        if first.number > 1:
            _load_before(store, log, first.number)
        stored = Comparison(store, log) if compare else None
        return _replay(commands, log, total, settings.partition, stored, show)


class Comparison:
    """Goes through the store beside the replay."""

    def __init__(self, store: LogReader, log: MemoryLog) -> None:
        self._log = log
        self._rows = _rows(store, len(log.rows))
        self.compared = len(log.rows)

    def go_on(self, _: int) -> None:
        """Compare what was decided since; raises Difference."""
        for row in self._log.rows[self.compared :]:
            stored = next(self._rows, None)
            if stored is None:
                raise Difference(row.position, "an event", row.topic, None)
            for name, mine, his in zip(StoredRow._fields, row[:5], stored, strict=False):
                if mine != his:
                    raise Difference(row.position, f"{name} of {row.topic}", mine, his)
            self.compared += 1

    def end(self) -> None:
        """Nothing may be stored beyond; raises Difference."""
        stored = next(self._rows, None)
        if stored is not None:
            raise Difference(stored[0], "an event", None, stored[3])


def _replay(
    commands: Iterator[JournalEntry],
    log: MemoryLog,
    total: int,
    partition: int,
    stored: Comparison | None,
    show: bool,
) -> dict[str, Any]:
    writer = CommandReplay(log, MemorySnapshots(), partition=partition, say=say)
    before = len(log.rows)
    with Pace("deciding", total, show=show, unit="commands/s") as pace:

        def each_round(done: int) -> None:
            if stored is not None:
                stored.go_on(done)
            pace(done)

        done = uvloop.run(writer.replay(commands, each_round))
    if stored is not None:
        stored.end()
    return {
        "commands": done,
        "events": len(log.rows) - before,
        "position": len(log.rows),
        "state_hash": state_hash(writer.desk).hex(),
        "quarantined": len(log.quarantined),
        "commands_per_second": pace.rate,
        **({} if stored is None else {"equal": True, "compared": stored.compared - before}),
    }


def _rows(store: LogReader, after: int) -> Iterator[StoredRow]:
    while page := store.page(after, PAGE):
        yield from page
        after = page[-1][0]


def _load_before(store: LogReader, log: MemoryLog, number: int) -> None:
    """Begin with the stored events of the commands below a number."""
    after = 0
    while page := _below(store.read(after, PAGE), number):
        keys = [key_of_event(event, position) for position, event in page]
        log.load(page, [key for key in keys if isinstance(key, RequestKey)])
        after = page[-1].position


def _below(page: Sequence[Recorded], number: int) -> list[Recorded]:
    return [row for row in page if command_number(row.event.correlation_id) < number]


def _shown(value: Any) -> Any:
    if value is None:
        return "missing"
    return value.hex() if isinstance(value, bytes) else str(value)
