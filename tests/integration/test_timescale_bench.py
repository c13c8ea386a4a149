"""The benchmark of the move runs through on a small scale, and judges the ratios of its run."""

from __future__ import annotations

import os
from typing import Any

import pytest

from bench import timescale
from bench.timescale_orders import OUTLASTED, Offered
from bench.timescale_stores import URL
from infrastructure.log.layouts import Layout


def _run() -> dict[str, Any]:
    """As few rows as there can be: those of accounts and symbols, and some thousands more."""
    return timescale.run(rows=6_000, offered=Offered(turns=1, seconds=0.2), writer=200)


def _check(result: dict[str, Any]) -> None:
    figures = result["figures"]
    assert {"figures", "machine", "mix", "left_out", "goals", "turns"} <= set(result)
    assert figures["rows"] >= 6_000
    for name in (timescale.COPY, timescale.ALONE):
        assert figures[name]["rows"] >= figures["rows"] and figures[name]["rows/s"] > 0
    assert figures[timescale.ENDED]["ended"] is True
    assert figures[timescale.TURNS]["p99_ms with it"] > 0
    told = figures[timescale.QUESTIONS]
    # The answers of both stores were held against each other, and are not all empty.
    assert len(told) == 12 and any(one["rows"] for one in told.values())


@pytest.mark.soak
def test_bench_of_the_move_runs_without_timescale(monkeypatch: pytest.MonkeyPatch) -> None:
    """On every clone: PostgreSQL's own partitions are the target, and it says so."""
    monkeypatch.delenv(URL, raising=False)

    result = _run()

    _check(result)
    assert URL in result["figures"]["server"]


@pytest.mark.soak
@pytest.mark.timescale
@pytest.mark.skipif(URL not in os.environ, reason=f"{URL} names no server")
def test_bench_of_the_move_runs_on_timescale() -> None:
    """Rows older than a month are compressed, and both stores give the same answers."""
    result = _run()

    _check(result)
    assert "TimescaleDB" in result["figures"]["server"]
    assert result["figures"][timescale.DISK]["rows compressed"] > 0


def _figures(copied: int, backfilled: int, times: float, faster: float) -> dict[str, Any]:
    """Figures of a run, as far as they are judged."""
    return {
        timescale.COPY: {"rows/s": copied},
        timescale.ALONE: {"rows/s": backfilled},
        timescale.TURNS: {"times": times, OUTLASTED: times <= 1.5},
        timescale.COST: {f"{timescale.FED}, times alone": times - 0.45},
        timescale.ENDED: {"ended": True},
        timescale.QUESTIONS: {
            "volume": {"times": faster, "gain": "expected"},
            "rows": {"times": 0.9, "gain": "none expected"},
        },
        timescale.DISK: {"times smaller": 5.1},
    }


@pytest.mark.parametrize(
    ("given", "met"),
    [
        ((100_000, 50_000, 1.5, 10.0), [True, True, True, True, True, True, True]),
        ((100_000, 49_000, 1.6, 9.9), [False, False, False, False, True, False, True]),
    ],
)
def test_goals_of_the_move_are_ratios_of_the_run(
    given: tuple[int, int, float, float], met: list[bool]
) -> None:
    """Beside COPY, beside no backfill, which must not have ended by then, beside the plain table; a
    pattern that gains nothing is shown and not judged.
    """
    assert met == [goal["met"] for goal in timescale.goals(_figures(*given), Layout.TIMESCALE)]


def test_smaller_rows_are_judged_where_rows_are_compressed() -> None:
    """PostgreSQL's own partitions take as much room as a plain table."""
    judged = timescale.goals(_figures(2, 1, 1.0, 20.0), Layout.NATIVE)

    assert not [goal for goal in judged if "smaller" in goal["name"]]
