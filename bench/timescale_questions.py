"""Questions about months of events, asked of both stores by turns, and the room both take."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Any
from uuid import UUID

import psycopg

from bench.timescale_stores import Pair
from infrastructure.log.layouts import Layout
from infrastructure.log.questions import (
    QUESTIONS,
    Asked,
    Disk,
    answer,
    answer_ms,
    disk_of_parts,
    disk_of_rows,
)

_TURNS = 5
_MONTH = timedelta(days=30)


def months(now: datetime, symbol: UUID) -> dict[str, Asked]:
    """Which times are asked for: a month that is old enough to be compressed, and the newest."""
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)
    return {
        "an old month": Asked(today - 2 * _MONTH, today - _MONTH, symbol),
        "the newest month": Asked(today - _MONTH, today, symbol),
    }


def asked(pair: Pair, symbol: UUID) -> dict[str, dict[str, Any]]:
    """How long each question takes in both; raises AssertionError where the answers differ."""
    found: dict[str, dict[str, Any]] = {}
    with _connected(pair.source.dsn) as plain, _connected(pair.target.dsn) as parts:
        both = ((plain, pair.source.schema, Layout.PLAIN), (parts, pair.target.schema, pair.layout))
        for when, of in months(datetime.now(UTC), symbol).items():
            for question in QUESTIONS:
                one, other = (answer(*store, question, of) for store in both)
                assert one == other, f"{question.name}, {when}: the stores answer differently"
                turns = [[answer_ms(*s, question, of) for s in both] for _ in range(_TURNS)]
                plain_ms, parts_ms = (median(times) for times in zip(*turns, strict=True))
                found[f"{question.name}, {when}"] = {
                    "rows": len(one),
                    "plain_ms": round(plain_ms, 2),
                    "parts_ms": round(parts_ms, 2),
                    "times": round(plain_ms / parts_ms, 1),
                    "gain": "expected" if question.gains else "none expected",
                }
    return found


def disk(pair: Pair) -> dict[str, Any]:
    """Bytes a row, and how much smaller compressed rows are."""
    with _connected(pair.source.dsn) as plain, _connected(pair.target.dsn) as parts:
        rows = disk_of_rows(plain, pair.source.schema)
        found = disk_of_parts(parts, pair.target.schema, pair.layout)
    each = {name: _each(one) for name, one in found.items() if one.rows}
    figures: dict[str, Any] = {"plain, bytes a row": _each(rows)}
    figures |= {f"{name}, bytes a row": size for name, size in each.items()}
    figures["rows compressed"] = found["compressed"].rows
    if "compressed" in each:
        figures["times smaller"] = round(_each(rows) / each["compressed"], 1)
    return figures


def _each(disk_used: Disk) -> float:
    return round(disk_used.size / max(1, disk_used.rows), 1)


def _connected(dsn: str) -> psycopg.Connection[Any]:
    conn = psycopg.connect(dsn, autocommit=True)
    for setting in ("SET jit TO off", "SET work_mem TO '64MB'", "SET timezone TO 'UTC'"):
        conn.execute(setting)
    return conn
