"""One room knows the tables of the log; everybody else asks it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tests.every_file import breaking

ROOT = Path(__file__).resolve().parent.parent.parent
FOLDERS = ("domain", "application", "infrastructure", "projections", "api", "bench")
ROOM = "infrastructure/log/"
# The event table, what is stored with its rows, who may write it, and what was set aside.
TABLES = re.compile(
    r"\b(stored_events|request_keys|writer_epoch|quarantined_commands)\b"
    r"|(\b(FROM|INTO|JOIN|UPDATE|TABLE|ONLY) |\.)(desk_)?snapshots\b"
)
FIX_TABLES = re.compile(r"\bfix_(sessions|messages)\b")
FIX_FILES = ("infrastructure/fix_numbers.py", "infrastructure/fix_overview.py")
# Words of the trade too: as an identifier of SQL they are tables.
WORDS = {"desk_snapshots", "snapshots"}


def name_of(path: Path) -> str:
    """A path as the test report shows it."""
    return str(path.relative_to(ROOT))


def outside() -> list[Path]:
    """Every source file outside the room."""
    found = (path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))
    return sorted(path for path in found if not name_of(path).startswith(ROOM))


def tables_in(tree: ast.Module, tables: re.Pattern[str] = TABLES) -> Iterator[str]:
    """Where a text, but for the docstrings, names one of some tables."""
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str | bytes):
            text = node.value if isinstance(node.value, str) else node.value.decode("latin-1")
            words = " ".join(text.split())
            if id(node) not in docstrings and tables.search(words):
                yield f"line {node.lineno}: {words}"
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("Identifier"):
            names = {part.value for part in node.args if isinstance(part, ast.Constant)}
            if names & WORDS:
                yield f"line {node.lineno}: {ast.unparse(node)}"


def test_log_is_read_and_written_in_its_own_room_alone() -> None:
    """So that the store can be swapped beneath: no statement elsewhere names its tables."""
    assert [] == breaking(tables_in, outside())


def test_numbers_of_fix_sessions_are_kept_by_two_files_alone() -> None:
    """One writes them for the gateway, one shows them to operators."""
    texts = {name_of(path): path.read_text() for path in outside()}
    naming = {
        name
        for name, text in texts.items()
        if "fix_" in text and list(tables_in(ast.parse(text), FIX_TABLES))
    }

    assert set(FIX_FILES) == naming


def test_log_room_is_guarded_against_statements_and_not_against_prose() -> None:
    """In one piece, in bytes and within a format; not in a docstring or a module's name."""
    wrong = ast.parse(
        '"""Reads stored_events."""\n'
        "import application.writer.request_keys\n"
        'a = "SELECT 1 FROM stored_events"\n'
        'b = b"DELETE FROM x.request_keys"\n'
        'c = f"SELECT state FROM  snapshots WHERE {a}"\n'
        'd = "the snapshots of a desk"\n'
        'e = sql.Identifier(schema, "snapshots")\n'
        'f = "INSERT INTO {}.desk_snapshots"\n'
    )

    found = {said.partition(":")[0] for said in tables_in(wrong)}
    assert {"line 3", "line 4", "line 5", "line 7", "line 8"} == found
