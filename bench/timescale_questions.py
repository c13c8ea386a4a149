"""Questions about months of events, asked of both stores by turns, and the room both take."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Any, NamedTuple
from uuid import UUID

import psycopg

from bench.timescale_stores import Pair
from infrastructure.log.layouts import Layout
from infrastructure.log.questions import (
    COVERING_INDEXES,
    FAIR_INDEXES,
    QUESTIONS,
    Asked,
    Disk,
    Question,
    answer,
    answer_ms,
    disk_of_parts,
    disk_of_rows,
    make_indexes,
)

_TURNS = range(5)
_MONTH = timedelta(days=30)


def months(now: datetime) -> dict[str, tuple[datetime, datetime]]:
    """Which times are asked for: a month that is old enough to be compressed, and the newest."""
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)
    return {
        "an old month": (today - 2 * _MONTH, today - _MONTH),
        "the newest month": (today - _MONTH, today),
    }


def asked(pair: Pair, symbol: UUID) -> dict[str, dict[str, Any]]:
    """How long each question takes in both; raises AssertionError where the answers differ.

    The plain table is asked with an index that finds the rows, and once more with one that holds
    the answer.
    """
    found: dict[str, dict[str, Any]] = {}
    with _connected(pair.source.dsn) as plain, _connected(pair.target.dsn) as parts:
        rows = _Store(plain, pair.source.schema, Layout.PLAIN)
        cut = _Store(parts, pair.target.schema, pair.layout)
        make_indexes(plain, pair.source.schema, FAIR_INDEXES)
        for name, question, of in _questions(symbol):
            answers = answer(*rows, question, of)
            assert answers == answer(*cut, question, of), f"{name}: the stores answer differently"
            turns = [
                (answer_ms(*rows, question, of), answer_ms(*cut, question, of)) for _ in _TURNS
            ]
            plain_ms, parts_ms = (median(times) for times in zip(*turns, strict=True))
            found[name] = {
                "rows": len(answers),
                "plain_ms": round(plain_ms, 2),
                "parts_ms": round(parts_ms, 2),
                "times": round(plain_ms / parts_ms, 1),
                "gain": "expected" if question.gains else "none expected",
            }
        make_indexes(plain, pair.source.schema, COVERING_INDEXES)
        for name, question, of in _questions(symbol):
            answer(*rows, question, of)
            covered = median(answer_ms(*rows, question, of) for _ in _TURNS)
            found[name]["covered_ms"] = round(covered, 2)
            found[name]["times covered"] = round(covered / found[name]["parts_ms"], 1)
    return found


class _Store(NamedTuple):
    conn: psycopg.Connection[Any]
    schema: str
    layout: Layout


def _questions(symbol: UUID) -> Iterator[tuple[str, Question, Asked]]:
    for when, (since, until) in months(datetime.now(UTC)).items():
        for question in QUESTIONS:
            yield f"{question.name}, {when}", question, Asked(since, until, symbol)


def disk(pair: Pair) -> dict[str, Any]:
    """Bytes a row, and how much smaller compressed rows are than those of a plain table: one with
    the indexes by which it is asked, and as the venue itself keeps it.
    """
    with _connected(pair.source.dsn) as plain, _connected(pair.target.dsn) as parts:
        make_indexes(plain, pair.source.schema, FAIR_INDEXES)
        rows = disk_of_rows(plain, pair.source.schema)
        found = disk_of_parts(parts, pair.target.schema, pair.layout)
    each = {name: _each(one) for name, one in found.items() if one.rows}
    figures: dict[str, Any] = {
        "plain with indexes for the questions, bytes a row": _each(rows.indexed),
        "plain, bytes a row": _each(rows.kept),
    }
    figures |= {f"{name}, bytes a row": size for name, size in each.items()}
    figures["rows compressed"] = found["compressed"].rows
    if "compressed" in each:
        small = each["compressed"]
        figures["times smaller"] = round(_each(rows.indexed) / small, 1)
        figures["times smaller than without those indexes"] = round(_each(rows.kept) / small, 1)
    return figures


def _each(disk_used: Disk) -> float:
    return round(disk_used.size / max(1, disk_used.rows), 1)


def _connected(dsn: str) -> psycopg.Connection[Any]:
    conn = psycopg.connect(dsn, autocommit=True)
    for setting in ("SET jit TO off", "SET work_mem TO '64MB'", "SET timezone TO 'UTC'"):
        conn.execute(setting)
    return conn
