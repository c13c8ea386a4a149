"""The tests that `make test` runs once more interpreted are those that run a hot module."""

from __future__ import annotations

import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from infrastructure.hot_modules import HOT_MODULES, source_of
from tests.conftest import SOAK_SECONDS, pytest_collection_modifyitems

ROOT = Path(__file__).resolve().parent.parent.parent
MODELS = ROOT / "tests" / "model"
# Who asks a hot module from outside of its process is served by the same book, decided the same.
BY_PROCESS = {"acceptance", "integration"}
READS_SOURCES = {"architecture"}
DESK = re.compile(
    r"^(?:from|import) (?:domain\.matching|application\.(?:desk|deciding|writer))", re.M
)
TWIN = re.compile(r"^from tests\.model\.(\w+) import", re.M)
READ_LOGS = {"damaged_auctions", "damaged_keys", "damaged_strategies", "tampering"}
"""Twins that make a log once and damage it: the second books that are asked know no book."""


def said_by_make(variable: str) -> str:
    """What a variable of the Makefile says."""
    found = re.search(rf"^{variable} := (.+)$", (ROOT / "Makefile").read_text(), re.M)
    assert found, variable
    return found[1]


def words() -> re.Pattern[str]:
    """What a file must say to be run twice."""
    return re.compile(said_by_make("HOT_WORDS"))


def run_twice() -> set[Path]:
    """The files of tests that are run compiled and interpreted."""
    folders = [ROOT / folder for folder in said_by_make("HOT_TESTS").split()]
    files = [path for folder in folders for path in folder.rglob("test_*.py")]
    return {path for path in files if words().search(path.read_text())}


def test_every_test_that_names_a_hot_module_runs_twice() -> None:
    """Wherever it stands, unless it only reads sources or asks processes of their own."""
    named = re.compile("|".join(re.escape(name) for name in HOT_MODULES))
    naming = {
        path
        for path in (ROOT / "tests").rglob("test_*.py")
        if named.search(path.read_text())
        and path.relative_to(ROOT / "tests").parts[0] not in BY_PROCESS | READS_SOURCES
    }

    assert set() == naming - run_twice()


def test_every_hot_module_is_named_by_a_test_that_runs_twice() -> None:
    """The choice is not empty: none is compiled that was not tested interpreted."""
    said = [path.read_text() for path in run_twice()]

    untested = [name for name in HOT_MODULES if not any(name in text for text in said)]
    assert [] == [name for name in untested if source_of(name).exists()]
    assert len(said) > 60


@cache
def drives_a_desk(twin: str) -> bool:
    """Whether a twin, or one that it asks, decides commands on a desk."""
    text = (MODELS / f"{twin}.py").read_text()
    return bool(DESK.search(text)) or any(map(drives_a_desk, TWIN.findall(text)))


def test_every_twin_that_drives_a_desk_makes_its_tests_run_twice() -> None:
    """Whoever writes another harness of the desk gives it a name that the Makefile knows."""
    driving = {path.stem for path in MODELS.glob("*.py") if drives_a_desk(path.stem)}

    assert {"desk_harness", "command_flow"} <= driving
    passed_over = {twin for twin in driving if not words().search(f"tests.model.{twin}")}
    assert READ_LOGS == passed_over


def test_soak_may_take_as_long_as_it_does(request: pytest.FixtureRequest) -> None:
    """None ends after the five minutes that any other test may take; one is an hour of orders."""

    class Soak(pytest.Item):
        def runtest(self) -> None:
            """Nothing."""

    items = [Soak.from_parent(request.node.parent, name=name) for name in ("plain", "own", "long")]
    for item in items[1:]:
        item.add_marker(pytest.mark.soak)
    items[1].add_marker(pytest.mark.timeout(400))
    asked = cast(pytest.Config, SimpleNamespace(option=SimpleNamespace(markexpr="soak")))
    pytest_collection_modifyitems(asked, items)

    limits = [item.get_closest_marker("timeout") for item in items]
    assert [None, (400,), (SOAK_SECONDS,)] == [limit and limit.args for limit in limits]
    assert SOAK_SECONDS > 5_000


def test_no_soak_runs_unless_it_is_asked_for() -> None:
    """Whatever other mark chooses, as in the interpreted round: minutes would become an hour."""
    fuzz = "tests/property/test_fix_fuzz.py"

    def chosen(mark: str) -> str:
        asked = [sys.executable, "-m", "pytest", "-n0", "--collect-only", "-q", "-m", mark, fuzz]
        return subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=True).stdout

    assert "test_millions_of_damaged_bytes" in chosen("soak")
    assert "test_millions_of_damaged_bytes" not in chosen("not crash and not slow")
