"""What the documents name is there: files, modules, commands, tests and names of the sources."""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer

from api.cli.command_line import app

ROOT = Path(__file__).resolve().parent.parent.parent
SOURCES = (
    *("domain", "application", "projections", "infrastructure", "api", "migrations", "bench"),
    "tests",
)
DOCUMENTS = sorted(
    [
        *(path for path in ROOT.glob("*.md")),
        *(ROOT / "docs").rglob("*.md"),
        *(path for folder in SOURCES for path in (ROOT / folder).rglob("*.md")),
    ]
)
ROOMS = "|".join((*SOURCES, "docs"))
# Not what a URL, a longer path or a longer word ends with, nor a media type.
PATH = re.compile(
    rf"(?<![\w/.-])(?!application/(?:json|problem))(?:{ROOMS})/[\w./-]*\w/?|(?<![\w/.-])[\w-]+\.(?:py|toml|yml|sql)\b"
)
MODULE = re.compile(rf"(?<![\w/.-])(?:{'|'.join(SOURCES)})(?:\.\w+)+")
LINK = re.compile(r"\]\(([^)#:\s]+)(?:#[\w-]*)?\)")
COMMAND = re.compile(r"(?<![\w/.-])nexus((?: [a-z][a-z-]*){1,2})(?![\w./-])")
CODE = re.compile(r"`([^`\n]+)`")
TARGET = re.compile(r"(?<![\w-])make ([a-z]+)\b")
TEST = re.compile(r"\btest_\w+")
SETTING = re.compile(r"\bNEXUS_[A-Z_]+")
NAME = re.compile(r"[A-Za-z_][\w.]*(\(\))?")


def name_of(path: Path) -> str:
    """A path as the test report shows it."""
    return str(path.relative_to(ROOT))


def missing_paths(text: str, beside: Path) -> Iterator[str]:
    """Files and folders that a text names and that are not there."""
    for named in PATH.findall(text):
        if "/" in named:
            if not (ROOT / named).exists():
                yield named
        elif not (ROOT / named).exists() and named not in file_names():
            yield named
    for linked in LINK.findall(text):
        if not (beside / linked).exists():
            yield linked


@cache
def file_names() -> frozenset[str]:
    """The bare names of all files of the sources."""
    return frozenset(path.name for folder in SOURCES for path in (ROOT / folder).rglob("*.*"))


def missing_modules(text: str, _: Path) -> Iterator[str]:
    """Dotted names that begin with a package of ours and lead nowhere."""
    for named in MODULE.findall(text):
        if (ROOT / named).exists():
            continue
        parts = named.split(".")
        if not any(found(parts[:count], parts[count:]) for count in range(len(parts), 0, -1)):
            yield named


def found(module: list[str], attributes: list[str]) -> bool:
    """Whether a module has an attribute of an attribute."""
    if module[0] == "tests":
        return not attributes and ROOT.joinpath(*module).with_suffix(".py").exists()
    try:
        here: Any = importlib.import_module(".".join(module))
    except ModuleNotFoundError:
        return False
    for attribute in attributes:
        if not hasattr(here, attribute):
            return attribute in getattr(here, "__annotations__", {})
        here = getattr(here, attribute)
    return True


def missing_commands(text: str, _: Path) -> Iterator[str]:
    """Commands of `nexus` that a text tells to type, and that `nexus` does not know."""
    for typed in typed_lines(text):
        for words in COMMAND.findall(typed):
            if not is_command(words.split()):
                yield "nexus" + words


def typed_lines(text: str) -> Iterator[str]:
    """What a text shows as code: between backquotes, or in an indented block."""
    for line in text.splitlines():
        if line.startswith("    "):
            yield line.partition("#")[0]
        else:
            yield from CODE.findall(line)


@cache
def all_commands() -> Any:
    """`nexus` with its sub-commands."""
    return typer.main.get_command(app)


def is_command(words: list[str]) -> bool:
    """Whether these words lead to a sub-command; what follows one without any is its argument."""
    here: Any = all_commands()
    for word in words:
        below = getattr(here, "commands", None)
        known = (
            here.get_command(typer.Context(here), word) if hasattr(here, "get_command") else None
        )
        if known is None:
            return below is None and here.name in words
        here = known
    return True


def missing_targets(text: str, _: Path) -> Iterator[str]:
    """Targets of make that a text tells to make, and that the Makefile does not have."""
    known = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for typed in typed_lines(text):
        yield from (f"make {name}" for name in TARGET.findall(typed) if name not in known)


@cache
def defined() -> frozenset[str]:
    """Every name that a source or a test defines, the files of tests and the tests included."""
    names: set[str] = set()
    for folder in SOURCES:
        for path in (ROOT / folder).rglob("*.py"):
            names.add(path.stem)
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                    names.add(node.name)
                elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                    names.add(node.id)
                elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
                    names.add(node.attr)
                elif isinstance(node, ast.arg):
                    names.add(node.arg)
    return frozenset(names)


def missing_tests(text: str, _: Path) -> Iterator[str]:
    """Tests and their files that a text names and that nobody has written."""
    yield from (name for name in TEST.findall(text) if name not in defined())


def missing_settings(text: str, _: Path) -> Iterator[str]:
    """Environment variables that nothing of ours mentions."""
    for name in SETTING.findall(text):
        if name not in variables() and name.rstrip("_") != "NEXUS":
            yield name


@cache
def variables() -> frozenset[str]:
    """Environment variables of the settings, and those that a source mentions."""
    from infrastructure.settings import Settings

    names = {f"NEXUS_{field.upper()}" for field in Settings.model_fields}
    for folder in SOURCES[:-1]:
        for path in (ROOT / folder).rglob("*.py"):
            names |= set(SETTING.findall(path.read_text()))
    return frozenset({*names, *SETTING.findall((ROOT / "tests/conftest.py").read_text())})


def missing_names(text: str, _: Path) -> Iterator[str]:
    """Names of the sources between backquotes that no source defines any more."""
    for code in CODE.findall(text):
        if PATH.fullmatch(code):
            continue
        if NAME.fullmatch(code) and re.search(r"[A-Z_.(]", code):
            last = code.removesuffix("()").split(".")[-1]
            if (
                last not in defined()
                and not (ROOT / code).exists()
                and not code.startswith("NEXUS")
            ):
                yield code


CHECKS: list[Callable[[str, Path], Iterator[str]]] = [
    missing_paths,
    missing_modules,
    missing_commands,
    missing_targets,
    missing_tests,
    missing_settings,
]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_what_a_document_names_is_there(
    path: Path, check: Callable[[str, Path], Iterator[str]]
) -> None:
    """Whoever moves or renames something finds every page that still says the old name."""
    assert [] == list(check(path.read_text(), path.parent))


@pytest.mark.parametrize("name", ["ARCHITECTURE.md", "CONTRIBUTING.md"])
def test_names_of_the_sources_in_a_document_are_defined(name: str) -> None:
    """The two pages that speak of the code from within use its own words."""
    assert [] == list(missing_names((ROOT / name).read_text(), ROOT))


WRONG = """
See `domain/nowhere.py`, `nowhere.py`, application/desk/attic and [a page](docs/none.md),
`application.writer.replies.sing` or domain.nowhere; then `nexus audit everything` and
`nexus sing`, `make tea`, held by `test_that_nobody_wrote`; NEXUS_TEA=1. `Teapot.boil()`.
"""
RIGHT = """
See `domain/order.py`, `order.py`, application/desk/ and [a page](docs/api.md), `GET /api/x`,
`application.writer.replies.render` or domain.order; then `nexus audit trail ID` and
`nexus replay --as-of 7`, `nexus replay-market FILE.zip`, `make demo PORT=9000`, held by
`test_what_a_document_names_is_there`; NEXUS_DATA_DIR=x. `Step.record`, `order`, `step.record()`.
"""


def test_what_is_not_there_is_found() -> None:
    """Each check bites, and none at what is right."""
    wrong = {found for check in (*CHECKS, missing_names) for found in check(WRONG, ROOT)}

    assert {
        *("domain/nowhere.py", "nowhere.py", "application/desk/attic", "docs/none.md"),
        *("application.writer.replies.sing", "domain.nowhere"),
        *("nexus audit everything", "nexus sing", "make tea", "test_that_nobody_wrote"),
        *("NEXUS_TEA", "Teapot.boil()"),
    } == wrong
    assert [] == [found for check in (*CHECKS, missing_names) for found in check(RIGHT, ROOT)]
