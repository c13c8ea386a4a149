"""Whoever reads or writes the log of a partition finds the store that it stands in."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.every_file import breaking

ROOT = Path(__file__).resolve().parent.parent.parent
FOLDERS = ("domain", "application", "projections", "api")
ALONE = {
    "api/cli/replay_market.py": "makes a schema of its own, and drops that of an earlier replay",
    "api/simulation/run.py": "makes a schema of its own, and drops it",
}
"""Who opens connections that follow nobody, and why."""
OPENERS = {"connect", "AsyncConnectionPool", "ConnectionPool"}


def name_of(path: Path) -> str:
    """A path as the test report shows it."""
    return str(path.relative_to(ROOT))


def files() -> list[Path]:
    """Every source file that may not open connections of its own."""
    found = (path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))
    return sorted(path for path in found if name_of(path) not in ALONE)


def connections_in(tree: ast.Module) -> Iterator[str]:
    """Where a connection to PostgreSQL is opened by the driver's own means."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            of_driver = called.startswith(("psycopg", "AsyncConnection", "Connection"))
            if of_driver and called.rpartition(".")[2] in OPENERS:
                yield f"line {node.lineno}: {called}"


def test_store_is_found_and_never_only_named() -> None:
    """Through `Stores`: another connection would read a store that the log has left."""
    assert [] == breaking(connections_in, files())


def test_connections_that_follow_nobody_are_seen() -> None:
    """The driver's connections and pools, however they are named; not those of `Stores`."""
    wrong = ast.parse(
        "a = psycopg.connect(dsn)\n"
        "b = psycopg.AsyncConnection.connect(dsn)\n"
        "c = AsyncConnection.connect(dsn)\n"
        "d = AsyncConnectionPool(dsn)\n"
        "e = await stores.connect('nexus')\n"
        "f = StorePool(stores)\n"
    )

    found = [said.partition(":")[0] for said in connections_in(wrong)]
    assert ["line 1", "line 2", "line 3", "line 4"] == found


def test_those_who_follow_nobody_are_there() -> None:
    """No exception outlives its file."""
    assert [] == [name for name in ALONE if not list(connections_in(_tree(name)))]


def _tree(name: str) -> ast.Module:
    return ast.parse((ROOT / name).read_text())
