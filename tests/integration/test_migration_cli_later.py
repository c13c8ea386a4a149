"""`nexus timescale verify`, cutover, rollback and finalize, as an operator takes the steps."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from api.cli.command_line import app
from infrastructure.database import EmbeddedServer
from infrastructure.log.layouts import Layout
from infrastructure.log.stores import find_truth
from migrations.move.moves import holding
from migrations.move.phases import Action, Phase
from tests.move_stage import projecting, until_projected
from tests.moved_stores import Moved, moved_stores


@pytest.fixture
def moved(postgres: EmbeddedServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Moved]:
    """Two stores as after `prepare`, the first of which the settings name."""
    with moved_stores(postgres.dsn(), events=600) as stores:
        monkeypatch.setenv("NEXUS_DATABASE_URL", stores.source.dsn)
        monkeypatch.setenv("NEXUS_SCHEMA", stores.source.schema)
        with holding(stores.source) as move:
            move.begin(stores.target, Layout.NATIVE, {})
            move.enter(Phase.PREPARED, Action.PREPARE)
        yield stores


def nexus(*words: str, code: int = 0) -> str:
    """What `nexus timescale` prints."""
    result = CliRunner().invoke(app, ["timescale", *words])
    assert code == result.exit_code, (words, result.output)
    return result.output


def facts(*words: str, code: int = 0) -> dict[str, Any]:
    """What it prints for machines."""
    found: dict[str, Any] = json.loads(nexus(*words, "--json", code=code))
    return found


def test_steps_after_the_backfill_are_taken_one_after_another(moved: Moved, tmp_path: Path) -> None:
    """Out of order they are refused with what comes first; what differs is named and repaired; at
    last the old store is in an archive, and its schema a sign-post.
    """
    assert "cutover is out of order" in nexus("cutover", code=1)
    nexus("dual-write")
    nexus("backfill")
    assert "view orders of the follower is not built yet" in nexus("verify", code=1)
    with projecting([moved.source, moved.target]):
        until_projected([moved.source, moved.target])
        moved.rows(
            moved.target, "UPDATE stored_events SET actor = 'else' WHERE notification_id = 77"
        )
        found = facts("verify", "--anew", code=1)
        assert ("stored_events", "77", "actor", "else") == tuple(
            found["differences"][0][part] for part in ("place", "key", "column", "follower")
        )
        assert 1 == facts("status")["differences"]
        assert "differs    stored_events 77, column actor" in nexus("verify", code=1)
        assert "repaired   1 ranges" in nexus("verify", "--repair")
        assert "verified" == facts("status")["phase"]

        there = facts("cutover")
        assert ("cut_over", 600) == (there["phase"], there["position"])
        assert there["held_ms"] < 5000
        assert "rollback" in facts("status")["way_back"]
        back = facts("rollback")
        assert ("backfilled", 600) == (back["phase"], back["position"])
        assert "already" in nexus("rollback")
        assert "backfilled" == facts("status")["phase"]
        assert "next: nexus timescale cutover" in nexus("verify")
        assert "orders waited for" in nexus("cutover")
    assert "--without-export" in nexus("finalize", code=2)
    assert "finalized" == facts("finalize", "--archive", str(tmp_path / "old"))["phase"]
    assert "finalized" == facts("finalize", "--without-export")["phase"]
    assert (tmp_path / "old").is_dir()
    assert moved.target == find_truth(*moved.source).address
    assert "nothing is moved" in nexus("status")


def test_rollback_before_the_switch_drops_the_target_where_it_is_asked_to(moved: Moved) -> None:
    """And says that the move is over."""
    nexus("dual-write")

    assert "the move is over" in nexus("rollback", "--drop-target")

    assert "rolled_back" == facts("status")["phase"]
    assert not moved.rows(
        moved.source, "SELECT 1 FROM pg_namespace WHERE nspname = %s", moved.target.schema
    )
