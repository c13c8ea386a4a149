"""A rule for the sources, held against every file at once: each that breaks it is named."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def breaking(rule: Callable[[ast.Module], Iterable[object]], paths: Iterable[Path]) -> list[str]:
    """The files that break a rule, each with where it does."""
    paths = list(paths)
    assert paths, "a rule for no file"
    return [
        f"{path.relative_to(ROOT)}: {found}"
        for path in paths
        for found in rule(ast.parse(path.read_text()))
    ]
