"""`nexus db` and `nexus version`: what they print for machines, and what their exit codes say."""

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from api.cli.exit_codes import Exit
from infrastructure.database import EmbeddedServer
from infrastructure.hot_modules import HOT_MODULES
from migrations.runner import migrations_in

ROOT = Path(__file__).resolve().parent.parent.parent
ALL = [f"{m.version:04d}_{m.name}" for m in migrations_in()]

Nexus = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def nexus(postgres: EmbeddedServer) -> Nexus:
    """Runs the command line on a schema of the test's own."""
    schema = f"test_{uuid.uuid4().hex[:12]}"
    settings = {"NEXUS_DATABASE_URL": postgres.dsn(), "NEXUS_SCHEMA": schema}
    path = os.pathsep.join([str(ROOT), *sys.path])

    def run(*arguments: str, **changed: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-W", "error", "-m", "api.cli.main", *arguments],
            env={**os.environ, "PYTHONPATH": path, **settings, **changed},
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def test_status_ends_with_1_while_migrations_are_pending(nexus: Nexus) -> None:
    """A script can ask before it starts the venue."""
    before = nexus("db", "status", "--json")
    applied = nexus("db", "migrate", "--json")
    after = nexus("db", "status", "--json")

    assert before.returncode == Exit.CHECK_FAILED, before.stderr
    assert json.loads(before.stdout)["pending"] == len(ALL)
    assert (Exit.OK, ALL) == (applied.returncode, json.loads(applied.stdout)["applied"])
    assert after.returncode == Exit.OK
    assert json.loads(after.stdout)["pending"] == 0


def test_init_twice_is_harmless(nexus: Nexus) -> None:
    """The second time there is nothing to do."""
    first, second = nexus("db", "init", "--json"), nexus("db", "init", "--json")

    assert json.loads(first.stdout)["applied"] == ALL, first.stderr
    assert (Exit.OK, []) == (second.returncode, json.loads(second.stdout)["applied"])


@pytest.mark.parametrize(
    ("variable", "value", "code"),
    [
        ("NEXUS_PORT", "x", Exit.USAGE),
        ("NEXUS_DATABASE_URL", "host=/nowhere dbname=nexus", Exit.STORE_UNAVAILABLE),
    ],
)
def test_failure_ends_with_its_code_and_one_line_that_names_the_variable(
    nexus: Nexus, variable: str, value: str, code: Exit
) -> None:
    """No traceback: the reader learns what to change."""
    said = nexus("db", "status", **{variable: value})

    assert said.returncode == code
    assert said.stderr.startswith(f"{variable}: ")
    assert "Traceback" not in said.stderr


def test_schema_ahead_of_the_program_ends_with_4(nexus: Nexus, postgres: EmbeddedServer) -> None:
    """An old program does not touch a newer store."""
    schema = json.loads(nexus("db", "init", "--json").stdout)["schema"]
    with psycopg.connect(postgres.dsn()) as conn:
        conn.execute(
            f"INSERT INTO {schema}.schema_migrations (version, name, checksum)"
            " VALUES (999, 'later', '')"
        )

    said = nexus("db", "migrate")

    assert said.returncode == Exit.MIGRATION
    assert "0999_later" in said.stderr


def test_unknown_command_ends_with_2(nexus: Nexus) -> None:
    """A typing error is no success."""
    assert nexus("nonsense").returncode == Exit.USAGE


def test_version_tells_what_runs(nexus: Nexus) -> None:
    """Every hot module is told, and how it runs under the choice of the environment."""
    said = nexus("version", "--json", NEXUS_IMPL="interpreted")

    facts = json.loads(said.stdout)
    assert list(facts["hot_modules"]) == list(HOT_MODULES)
    assert "compiled" not in facts["hot_modules"].values()
    assert facts["postgresql"].startswith("18.")
