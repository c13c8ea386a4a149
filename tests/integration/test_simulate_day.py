"""`nexus simulate day` on a real PostgreSQL: real writer, store and projector, and its command."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psycopg
import pytest
import uvloop

from api.simulation.run import is_well, schema_of_its_own, simulate
from application.rehearsal.simulated_day import cast
from application.rehearsal.simulated_day.day import SimulationFailed
from infrastructure.calendar_source import Calendars
from infrastructure.embedded_server import EmbeddedServer

ROOT = Path(__file__).resolve().parent.parent.parent
PATIENCE = 60


def live(postgres: EmbeddedServer, schema: str, *, seed: int, trades: int) -> dict[str, Any]:
    """A day in a schema of its own."""
    said: list[str] = []
    with schema_of_its_own(postgres.dsn(), schema, keep=False, say=said.append):
        facts = uvloop.run(simulate(postgres.dsn(), schema, trades=trades, seed=seed))
    assert said == []
    return facts


def simulated_schemas(postgres: EmbeddedServer) -> list[str]:
    """The schemas of days that run or were left behind."""
    with psycopg.connect(postgres.dsn()) as conn:
        rows = conn.execute(
            "SELECT nspname FROM pg_namespace WHERE nspname LIKE 'simulate%' ORDER BY nspname"
        ).fetchall()
    return [row[0] for row in rows]


def run_command(postgres: EmbeddedServer, home: Path, *arguments: str) -> subprocess.Popen[str]:
    """`nexus simulate day` as a process."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "NEXUS_DATABASE_URL": postgres.dsn(),
        "NEXUS_DATA_DIR": str(home),
    }
    return subprocess.Popen(
        [sys.executable, "-m", "api.cli.main", "simulate", "day", *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("seed", [7, 8, 9])
def test_simulated_day_settles_to_the_penny(postgres: EmbeddedServer, seed: int) -> None:
    """500 trades with odd lots, partial fills, groups, busts and corrections: writer, views,
    postings, audit and a bookkeeper of raw trades agree, and the log replays to the live state.
    """
    facts = live(postgres, f"simulate_penny_{seed}", seed=seed, trades=500)

    assert [] == facts["differences"] + facts["violated"] + facts["stopped_views"]
    assert (0, 0, "0.00") == (facts["penny_differences"], facts["orphans"], facts["ledger_sum"])
    assert (0, 0, 0) == (facts["violations"], facts["overfilled_groups"], facts["unsettled"])
    assert facts["replay_equals_live"]
    assert facts["ok"]
    assert 500 <= facts["trades"]
    for name in ("groups", "busts", "corrections", "partial_fills", "cancels", "replaces"):
        assert facts[name] > 0, name
    for name in ("expiries", "stops_elected", "halts", "settled", "lines_compared"):
        assert facts[name] > 0, name
    assert {"take_profit", "stop_loss"} <= set(facts["group_ends"])
    assert [] == simulated_schemas(postgres)


def test_simulated_dates_are_those_of_the_kept_calendar() -> None:
    """Hours and value dates are the exchange's: T+2 of this Thursday leaps over Columbus Day."""
    session = Calendars().session_at_or_after("XNYS", cast.OPENS_AT)

    assert cast.SESSION_DATE == session.session_date
    assert (cast.OPENS_AT, cast.CLOSES_AT) == (session.opens_at, session.closes_at)
    assert [cast.NEXT_DAY, cast.VALUE_DATE] == list(session.value_dates[1:3])


def test_same_seed_gives_the_same_decimal_state(postgres: EmbeddedServer) -> None:
    """How commits gather differs from run to run; what is decided does not."""
    first = live(postgres, "simulate_twice", seed=3, trades=80)
    second = live(postgres, "simulate_twice", seed=3, trades=80)

    assert first["state_hash"] == second["state_hash"]
    assert first["events"] == second["events"]


def test_one_penny_or_orphan_is_not_well() -> None:
    """Every promise of the day by itself makes it fail."""
    names = (
        *("penny_differences", "orphans", "overfilled_groups", "bare_positions"),
        *("unsettled", "violations"),
    )
    well: dict[str, Any] = {
        **dict.fromkeys(names, 0),
        "ledger_sum": "0.00",
        "replay_equals_live": True,
        "stopped_views": [],
    }
    assert is_well(well)

    for name in names:
        assert not is_well({**well, name: 1}), name
    assert not is_well({**well, "ledger_sum": "0.01"})
    assert not is_well({**well, "replay_equals_live": False})
    assert not is_well({**well, "stopped_views": ["balances"]})


def test_schema_is_dropped_when_the_day_fails(postgres: EmbeddedServer) -> None:
    """Nothing is left behind, unless it was asked for, which is said."""
    said: list[str] = []
    with pytest.raises(SimulationFailed):
        with schema_of_its_own(postgres.dsn(), "simulate_fails", keep=False, say=said.append):
            assert ["simulate_fails"] == simulated_schemas(postgres)
            raise SimulationFailed("on purpose")
    assert ([], []) == (simulated_schemas(postgres), said)

    with schema_of_its_own(postgres.dsn(), "simulate_kept", keep=True, say=said.append):
        pass
    assert ["simulate_kept"] == simulated_schemas(postgres)
    assert ["schema simulate_kept stands"] == said
    with schema_of_its_own(postgres.dsn(), "simulate_kept", keep=False, say=said.append):
        pass


def test_command_prints_one_line_of_json(postgres: EmbeddedServer, tmp_path: Path) -> None:
    """What a machine asks for is there, amounts as text with their decimal places."""
    process = run_command(postgres, tmp_path, "--trades", "60", "--seed", "3", "--json")
    out, err = process.communicate(timeout=PATIENCE)

    facts = json.loads(out)
    assert 1 == len(out.splitlines()), err
    assert (0 if facts["ok"] else 1) == process.returncode
    assert {
        *("trades", "orders", "groups", "busts", "corrections", "settled", "failed", "seed"),
        *("ledger_sum", "penny_differences", "orphans", "seconds"),
    } <= set(facts)
    assert 3 == facts["seed"]
    assert [] == simulated_schemas(postgres)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_day_leaves_no_schema(
    postgres: EmbeddedServer, tmp_path: Path, number: signal.Signals
) -> None:
    """Ctrl-C in the middle of trading ends with 130 and takes the schema away."""
    process = run_command(postgres, tmp_path, "--trades", "500000", "--json")
    try:
        deadline = time.monotonic() + PATIENCE
        while not _trades_in(postgres):
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline, "the day did not begin to trade"
        process.send_signal(number)
        _, err = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
        process.wait()

    assert 130 == process.returncode, err
    assert "interrupted" in err
    assert [] == simulated_schemas(postgres)


def _trades_in(postgres: EmbeddedServer) -> bool:
    """Whether the running day has traded."""
    for schema in simulated_schemas(postgres):
        with psycopg.connect(postgres.dsn()) as conn:
            there = conn.execute("SELECT to_regclass(%s)", (f"{schema}.stored_events",)).fetchone()
            if there is not None and there[0] is not None:
                row = conn.execute(
                    f"SELECT 1 FROM {schema}.stored_events WHERE topic = 'order.filled.v1' LIMIT 1"
                ).fetchone()
                if row is not None:
                    return True
    return False
