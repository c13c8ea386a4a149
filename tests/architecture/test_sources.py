"""Rules for every source file that no linter of others knows."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from infrastructure.hot_modules import HOT_MODULES, source_of
from tests.every_file import breaking

ROOT = Path(__file__).resolve().parent.parent.parent
PACKAGES = (
    *("domain", "application", "infrastructure", "projections"),
    *("api", "migrations", "bench"),
)
LINES_MAX = 500
# A hot module crosses no module boundary inside its loops, so it is one file by necessity.
HOT_LINES_MAX = 1000
HOT_SOURCES = {source_of(name) for name in HOT_MODULES}

CLOCKS = {"now", "utcnow", "today", "time", "time_ns", "monotonic", "perf_counter"}
DATE_TYPES = {"datetime", "date"}


def sources(*folders: str) -> list[Path]:
    """The Python files of some folders, by path."""
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def name_of(path: Path) -> str:
    """A path as the test report shows it."""
    return str(path.relative_to(ROOT))


def floats_in(tree: ast.AST) -> Iterator[str]:
    """Where a float is written or made."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, float):
            yield f"line {node.lineno}: {node.value}"
        elif (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id == "float"
        ):
            yield f"line {node.lineno}: float()"


def clocks_in(tree: ast.AST) -> Iterator[str]:
    """Where the time of day is read."""
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in CLOCKS
            and ast.unparse(node.func.value).split(".")[-1] in DATE_TYPES
        ):
            yield f"line {node.lineno}: {ast.unparse(node)}"


def unsaid(tree: ast.Module) -> Iterator[str]:
    """That a file has no docstring, or one whose first line is no sentence."""
    docstring = ast.get_docstring(tree)
    if not docstring:
        yield "no docstring"
    elif not docstring.splitlines()[0].rstrip().endswith((".", ":")):
        yield docstring.splitlines()[0]


def test_file_is_short_and_says_what_it_is() -> None:
    """A file is one concept: at most 500 lines, with a docstring that is a sentence."""
    files = sources(*PACKAGES, "tests")
    lengths = {path: len(path.read_text().splitlines()) for path in files}

    assert [] == [
        f"{name_of(path)}: {lines} lines"
        for path, lines in lengths.items()
        if lines > (HOT_LINES_MAX if path in HOT_SOURCES else LINES_MAX)
    ]
    assert [] == breaking(unsaid, files)
    wrong = ("x = 1", '"""No sentence"""', '"""A sentence."""')
    assert [1, 1, 0] == [len(list(unsaid(ast.parse(text)))) for text in wrong]


def test_domain_has_no_float() -> None:
    """Money, prices and quantities are integers or decimals, and nothing turns into a float."""
    assert [] == breaking(floats_in, sources("domain"))


def test_domain_reads_no_clock() -> None:
    """Time comes in as an argument, or a replay would lie."""
    assert [] == breaking(clocks_in, sources("domain"))


def test_the_rules_see_what_they_forbid() -> None:
    """A float, a conversion to one and a clock are each found."""
    tree = ast.parse("a = 0.5\nb = float(a)\nc = datetime.now(UTC)\nd = datetime.date.today()")

    assert [found.partition(":")[0] for found in floats_in(tree)] == ["line 1", "line 2"]
    assert [found.partition(":")[0] for found in clocks_in(tree)] == ["line 3", "line 4"]


def test_no_package_hides_among_the_tests() -> None:
    """An __init__.py under tests/ would shadow a package of the same name."""
    assert [name_of(path) for path in (ROOT / "tests").rglob("__init__.py")] == []


def test_tests_stand_no_double_in_for_our_own_parts() -> None:
    """No test mocks: what is tested is what runs."""
    mocked = re.compile(r"^\s*(?:from|import) unittest\.?.*mock", re.MULTILINE)

    assert [name_of(path) for path in sources("tests") if mocked.search(path.read_text())] == []


def test_every_hot_module_is_rebuilt_by_make() -> None:
    """The Makefile compiles the modules that Python calls hot, and no other."""
    line = next(
        line for line in (ROOT / "Makefile").read_text().splitlines() if line.startswith("HOT :=")
    )
    named = re.findall(r"[\w/]+\.py", line)

    assert named == [name.replace(".", "/") + ".py" for name in HOT_MODULES]


@pytest.mark.parametrize("name", [name for name in HOT_MODULES if source_of(name).exists()])
def test_hot_module_checks_overflow(name: str) -> None:
    """Compiled integers must not wrap in silence."""
    head = source_of(name).read_text().split('"""')[0]

    assert re.search(r"^# cython:.*\boverflowcheck=True", head, re.MULTILINE)


LONGEST_FUNCTION = 70
MOST_POSITIONAL = 8
TAKES_NAMES = {"attrgetter"}
"""Takes names and no values."""


def long_functions(tree: ast.AST) -> Iterator[str]:
    """Functions that nobody takes in at once."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines >= LONGEST_FUNCTION:
                yield f"{node.name} has {lines} lines"


def long_calls(tree: ast.AST) -> Iterator[str]:
    """Calls whose arguments must be counted to be understood."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and len(node.args) > MOST_POSITIONAL:
            called = ast.unparse(node.func).split(".")[-1]
            if called not in TAKES_NAMES:
                yield f"line {node.lineno}: {called} takes {len(node.args)} by place"


def test_source_is_taken_in_at_once() -> None:
    """No function of 70 lines, no call with more than eight arguments told by their place."""

    def too_long(tree: ast.AST) -> list[str]:
        return [*long_functions(tree), *long_calls(tree)]

    assert [] == breaking(too_long, sources(*PACKAGES))


def test_what_is_too_long_is_found() -> None:
    """Both rules bite."""
    long = ast.parse("def f():\n" + "    x = 1\n" * 69 + "g(1, 2, 3, 4, 5, 6, 7, 8, 9)\n")

    assert ["f has 70 lines"] == list(long_functions(long))
    assert ["line 71: g takes 9 by place"] == list(long_calls(long))
