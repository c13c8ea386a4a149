"""The same decisions written the eventsourcing library's plain way: one save a command."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from time import perf_counter
from types import TracebackType
from typing import Any

from eventsourcing.application import Application
from psycopg.conninfo import conninfo_to_dict

from application.requests import Command
from bench.deciding import DeskAlone
from bench.report import percentile
from infrastructure.log.codec import EventMapper


class PlainVenue(Application[Any]):
    """The library's application over its own recorder; only the transcoder is ours, the faster."""

    def construct_mapper(self) -> Any:
        """Our codec, so that encoding is not what differs."""
        return EventMapper()


def environment(dsn: str, schema: str) -> dict[str, str]:
    """The library's settings: cache on, fast-forward and deep copies off."""
    parts = conninfo_to_dict(dsn)
    return {
        "PERSISTENCE_MODULE": "eventsourcing.postgres",
        "POSTGRES_DBNAME": str(parts["dbname"]),
        "POSTGRES_HOST": str(parts.get("host", "127.0.0.1")),
        "POSTGRES_PORT": str(parts.get("port", 5432)),
        "POSTGRES_USER": str(parts.get("user", "")),
        "POSTGRES_PASSWORD": str(parts.get("password", "") or _password_of(parts)),
        "POSTGRES_SCHEMA": schema,
        "AGGREGATE_CACHE_MAXSIZE": "0",
        "AGGREGATE_CACHE_FASTFORWARD": "n",
        "DEEPCOPY_FROM_AGGREGATE_CACHE": "n",
    }


def _password_of(parts: Mapping[str, Any]) -> str:
    """What the file of passwords has for the user: the library takes no file."""
    file = Path(str(parts.get("passfile", "")))
    lines = file.read_text().split() if file.is_file() else []
    of_users = dict(line.split(":")[3:5] for line in lines if line.count(":") == 4)
    return of_users.get(str(parts.get("user", "")), "")


class PlainWay:
    """Decides each command, then saves it in a transaction of its own."""

    def __init__(self, dsn: str, schema: str, setup: Sequence[Command]) -> None:
        self._app = PlainVenue(env=environment(dsn, schema))
        self._alone = DeskAlone()
        for command in setup:
            self._save(command)

    def _save(self, command: Command) -> None:
        events = self._alone.decide(command).events
        if events:
            self._app.save(*events)

    def run(self, commands: Sequence[Command]) -> dict[str, Any]:
        """Commands a second, and how long each took."""
        latencies = []
        started = begun = perf_counter()
        for command in commands:
            self._save(command)
            now = perf_counter()
            latencies.append(now - begun)
            begun = now
        seconds = perf_counter() - started
        latencies.sort()
        return {
            "commands_per_s": round(len(commands) / seconds),
            "p50_ms": round(percentile(latencies, 0.5) * 1e3, 2),
            "p99_ms": round(percentile(latencies, 0.99) * 1e3, 2),
        }

    def __enter__(self) -> PlainWay:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._app.close()
