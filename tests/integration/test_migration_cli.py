"""`nexus timescale`: the steps that bring the rows, as an operator takes them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from typer.testing import CliRunner

from api.cli.command_line import app
from infrastructure.database import EmbeddedServer
from infrastructure.log.layouts import Layout
from migrations.move.moves import holding
from migrations.move.phases import Action, Phase
from tests.moved_stores import BEFORE, Moved, moved_stores

Nexus = Callable[..., dict[str, Any]]


@pytest.fixture
def moved(postgres: EmbeddedServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Moved]:
    """Two stores as after `prepare`, the first of which the settings name."""
    with moved_stores(postgres.dsn()) as stores:
        monkeypatch.setenv("NEXUS_DATABASE_URL", stores.source.dsn)
        monkeypatch.setenv("NEXUS_SCHEMA", stores.source.schema)
        yield stores


def nexus(*words: str, code: int = 0) -> str:
    """What `nexus timescale` prints."""
    result = CliRunner().invoke(app, ["timescale", *words])
    assert code == result.exit_code, result.output
    return result.stdout if "--json" in words else result.output


def facts(*words: str) -> dict[str, Any]:
    """What it prints for machines."""
    found: dict[str, Any] = json.loads(nexus(*words, "--json"))
    return found


def planned(moved: Moved) -> None:
    """A move that is prepared."""
    with holding(moved.source) as move:
        move.begin(moved.target, Layout.NATIVE, {})
        move.enter(Phase.PREPARED, Action.PREPARE)


def test_rows_come_and_status_tells_how_far_it_is(moved: Moved) -> None:
    """From nothing to all of them, each step again where it was taken already."""
    assert "nothing is moved" in nexus("status")
    planned(moved)
    before = facts("status")
    assert ("prepared", "nexus timescale dual-write") == (before["phase"], before["next"])
    assert (0, BEFORE) == (before["follower_position"], before["lag_positions"])
    assert before["lag_seconds"] > 0

    assert BEFORE == facts("dual-write")["position"]
    assert facts("dual-write")["position"] is None
    status = facts("status")
    assert ("dual_writing", "both", 0) == (
        *(status["phase"], status["writes"], status["lag_positions"]),
    )
    assert (BEFORE, 0) == (status["backfill_of"], status["backfill_rows"])

    brought = facts("backfill", "--workers", "2", "--range", "1000")
    assert (BEFORE, BEFORE) == (brought["rows"], brought["rows_this_run"])
    assert 0 == facts("backfill")["rows_this_run"]
    assert "2,000 events" in nexus("backfill")

    status = facts("status")
    assert ("backfilled", 0, "nexus timescale verify") == (
        *(status["phase"], status["backfill_of"], status["next"]),
    )
    assert BEFORE == status["progress"]["rows"]
    assert "rollback" in status["way_back"]
    assert ["planned", "prepared", "dual_writing", "backfilling", "backfilled"] == [
        step["phase"] for step in status["history"]
    ]
    said = nexus("status")
    for word in ("phase", "follower", "lag 0 events", "way back", "differences: 0"):
        assert word in said
    assert moved.same_log()


def test_move_is_planned_and_prepared(moved: Moved) -> None:
    """The plan is kept, and the target stands after it: empty, and fed."""
    schema = f"{moved.target.schema}_new"
    where = ("--layout", "native", "--target-schema", schema)
    refused = nexus("plan", "--layout", "plain", "--target-schema", schema, code=1)
    assert "REFUSED" in refused
    assert facts("status")["phase"] is None

    plan = facts("plan", *where)
    assert ("planned", BEFORE, []) == (plan["phase"], plan["rows"], plan["refusals"])
    assert "next    nexus timescale prepare" in nexus("plan", *where)
    for _ in range(2):
        assert "prepared" == facts("prepare")["phase"]
    try:
        status = facts("status")
        assert ("prepared", 0, "here") == (
            *(status["phase"], status["follower_position"], status["writes"]),
        )
        assert "under way" in nexus("plan", *where, code=1)
        assert BEFORE == facts("dual-write")["position"]
        assert BEFORE == facts("backfill")["rows"]
    finally:
        moved.rows(moved.source, f"DROP SCHEMA {schema} CASCADE")


def test_step_out_of_order_is_refused_with_the_reason(moved: Moved) -> None:
    """And ends with 1, nothing changed."""
    assert "begin with `nexus timescale plan`" in nexus("dual-write", code=1)
    planned(moved)
    said = nexus("backfill", code=1)
    assert "backfill is out of order" in said
    assert "next is `nexus timescale dual-write`" in said
    with holding(moved.source):
        assert "another runner" in nexus("dual-write", code=1)


def test_window_that_is_none_is_an_error_of_the_command_line(moved: Moved) -> None:
    """Which names the option."""
    assert "--window" in nexus("backfill", "--window", "22-6", code=2)


def test_follower_that_is_away_is_said_by_status(moved: Moved) -> None:
    """The truth is asked all the same."""
    planned(moved)
    moved.rows(moved.source, "UPDATE store_moves SET target_dsn = 'host=/nowhere dbname=x'")

    status = facts("status")
    assert "/nowhere" in status["follower_away"]
    assert BEFORE == status["last_position"]
    assert "cannot be asked" in nexus("status")
