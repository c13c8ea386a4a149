"""Hot modules: an old compiled file is seen, and the environment chooses what runs."""

import os
import subprocess
import sys
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

from infrastructure.hot_modules import (
    HOT_MODULES,
    ROOT,
    compiled_files_of,
    source_of,
    stale_modules,
    uncompiled_modules,
)

NAME = HOT_MODULES[0]
SHOW = f"""
import importlib
from infrastructure.hot_modules import choose_implementation, implementations
choose_implementation()
before = implementations()[{NAME!r}]
importlib.import_module({NAME!r})
print(before, implementations()[{NAME!r}])
"""


def checkout(root: Path) -> tuple[Path, Path]:
    """A directory with one hot module and a compiled file beside it."""
    source = source_of(NAME, root)
    source.parent.mkdir(parents=True)
    source.write_text('"""A module."""\n')
    compiled = source.with_name(source.stem + EXTENSION_SUFFIXES[0])
    compiled.touch()
    return source, compiled


def run(implementation: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Ask a fresh process what runs there."""
    return subprocess.run(
        [sys.executable, *(arguments or ("-c", SHOW))],
        cwd=ROOT,
        env={**os.environ, "NEXUS_IMPL": implementation, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_compiled_file_older_than_its_source_is_stale(tmp_path: Path) -> None:
    """An edit that would not be seen is told."""
    source, compiled = checkout(tmp_path)
    os.utime(source, ns=(2_000_000_000, 2_000_000_000))
    os.utime(compiled, ns=(1_000_000_000, 1_000_000_000))

    assert stale_modules(tmp_path) == [NAME]


def test_compiled_file_newer_than_its_source_is_used(tmp_path: Path) -> None:
    """What was compiled after the last edit is what it says."""
    source, compiled = checkout(tmp_path)
    os.utime(source, ns=(1_000_000_000, 1_000_000_000))
    os.utime(compiled, ns=(2_000_000_000, 2_000_000_000))

    assert stale_modules(tmp_path) == []
    assert compiled_files_of(NAME, tmp_path) == [compiled]
    assert uncompiled_modules(tmp_path) == []


def test_module_without_a_compiled_file_is_to_be_compiled(tmp_path: Path) -> None:
    """Nothing is stale where nothing was built."""
    _, compiled = checkout(tmp_path)
    compiled.unlink()

    assert stale_modules(tmp_path) == []
    assert uncompiled_modules(tmp_path) == [NAME]


def test_interpreted_is_chosen_by_the_environment() -> None:
    """The .py runs, whatever stands beside it."""
    said = run("interpreted")

    assert said.stdout.split() == ["interpreted", "interpreted"], said.stderr


def test_the_command_chooses_before_it_imports_a_hot_module() -> None:
    """What the command needs to read its settings must not bring a hot module along."""
    said = run("interpreted", "-m", "api.cli.main", "version")

    assert said.returncode == 0, said.stderr
    assert f"{NAME} interpreted" in " ".join(said.stdout.split())


def test_compiled_is_the_choice_where_it_is_there() -> None:
    """Without a word in the environment the compiled file wins, when there is one."""
    there = "compiled" if compiled_files_of(NAME) else "interpreted"

    assert run("").stdout.split() == [there, there]


def test_unknown_implementation_is_refused() -> None:
    """A typing error does not quietly test the wrong thing."""
    said = run("cython")

    assert said.returncode != 0
    assert "NEXUS_IMPL must be" in said.stderr
