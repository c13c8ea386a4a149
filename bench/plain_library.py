"""The same decisions written the eventsourcing library's plain way: one save a command."""

from __future__ import annotations

from time import perf_counter
from typing import Any

from eventsourcing.application import Application
from psycopg.conninfo import conninfo_to_dict

from application.commands import encode_command
from application.deciding.handlers import HANDLERS
from application.desk.desk import Desk
from application.requests import Command
from application.writer.request_keys import fingerprint
from bench.report import percentile
from domain.decision import Decision
from infrastructure.log.codec import EventMapper


class PlainVenue(Application[Any]):
    """The library's application over its own recorder; only the transcoder is ours, the faster."""

    def construct_mapper(self) -> Any:
        """Our codec, so that encoding is not what differs."""
        return EventMapper()


BENCH_TIME = 1_767_351_600_000_000


def environment(dsn: str, schema: str) -> dict[str, str]:
    """The library's settings: cache on, fast-forward and deep copies off."""
    parts = conninfo_to_dict(dsn)
    return {
        "PERSISTENCE_MODULE": "eventsourcing.postgres",
        "POSTGRES_DBNAME": str(parts["dbname"]),
        "POSTGRES_HOST": str(parts.get("host", "127.0.0.1")),
        "POSTGRES_PORT": str(parts.get("port", 5432)),
        "POSTGRES_USER": str(parts.get("user", "")),
        "POSTGRES_PASSWORD": str(parts.get("password", "")),
        "POSTGRES_SCHEMA": schema,
        "AGGREGATE_CACHE_MAXSIZE": "0",
        "AGGREGATE_CACHE_FASTFORWARD": "n",
        "DEEPCOPY_FROM_AGGREGATE_CACHE": "n",
    }


def measure(dsn: str, schema: str, setup: list[Command], commands: list[Command]) -> dict[str, Any]:
    """Commands a second when each is decided, then saved in a transaction of its own."""
    app = PlainVenue(env=environment(dsn, schema))
    desk = Desk()
    latencies = []
    try:
        started = perf_counter()
        for number, command in enumerate([*setup, *commands], start=1):
            if number == len(setup) + 1:
                started = perf_counter()
            begun = perf_counter()
            body = encode_command(command)
            decision = Decision(BENCH_TIME + number, 0, number, "bench", "bench", desk.position + 1)
            HANDLERS[type(command)](desk, decision, command, fingerprint(body))
            if decision.events:
                app.save(*decision.events)
                desk.position += len(decision.events)
            if number > len(setup):
                latencies.append(perf_counter() - begun)
        seconds = perf_counter() - started
    finally:
        app.close()
    latencies.sort()
    return {
        "commands_per_s": round(len(commands) / seconds),
        "p50_ms": round(percentile(latencies, 0.5) * 1e3, 2),
        "p99_ms": round(percentile(latencies, 0.99) * 1e3, 2),
    }
