"""What each method of alpaca-py's trading clients does here, told by the tests that show it.

A test says with `shows` which method it shows and what; `python -m tests.acceptance.methods`
writes all of it into docs/api.md as a table. It is read from the sources: no test is run for it.
"""

from __future__ import annotations

import ast
import inspect
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple, TypeVar

from tests.alpaca_py import TradingClient, TradingStream

HERE = Path(__file__).resolve().parent
DOCUMENT = HERE.parent.parent / "docs" / "api.md"
BEGINS = "<!-- methods: written by `python -m tests.acceptance.methods` -->"
ENDS = "<!-- end of methods -->"
UNSHOWN = "(no test shows it)"

_Test = TypeVar("_Test", bound=Callable[..., object])


class Shown(NamedTuple):
    """What a test shows of a method."""

    method: str
    what: str
    test: str


def shows(method: str, what: str) -> Callable[[_Test], _Test]:
    """Say of a test which method of alpaca-py it shows, and what: a row of the table."""
    assert method and what

    def said(test: _Test) -> _Test:
        return test

    return said


def methods_of(client: type) -> list[str]:
    """The public methods of a client, in the order in which it defines them.

    What sends the requests beneath them, as `get` and `post`, is no method of trading.
    """
    names: list[str] = []
    for kind in client.__mro__:
        if kind is client or kind.__module__.startswith("alpaca.trading"):
            names += [name for name, of in vars(kind).items() if inspect.isroutine(of)]
    return [name for name in dict.fromkeys(names) if not name.startswith("_")]


def known_methods() -> list[str]:
    """Every method that the table has a place for."""
    return [*methods_of(TradingClient), *methods_of(TradingStream)]


def said_in(source: str) -> Iterator[tuple[str, list[Shown]]]:
    """Every test of a source, and what it says that it shows."""
    for node in ast.walk(ast.parse(source)):
        is_function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        if is_function and node.name.startswith("test_"):
            yield node.name, [*_said_of(node)]


def _said_of(test: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[Shown]:
    for decorator in test.decorator_list:
        if not isinstance(decorator, ast.Call) or not isinstance(decorator.func, ast.Name):
            continue
        if decorator.func.id == shows.__name__:
            method, what = (ast.literal_eval(argument) for argument in decorator.args)
            yield Shown(method, what, test.name)


def acceptance_tests() -> dict[str, list[Shown]]:
    """Every test of this folder, by file and by its place there, and what it shows."""
    return {
        name: said
        for path in sorted(HERE.glob("test_alpaca_py_*.py"))
        for name, said in said_in(path.read_text())
    }


def table(tests: dict[str, list[Shown]]) -> str:
    """All methods of both clients, and what is shown of each."""
    of: dict[str, list[Shown]] = defaultdict(list)
    for said in tests.values():
        for shown in said:
            of[shown.method].append(shown)
    lines = ["| method | what it does here | shown by |", "| --- | --- | --- |"]
    for method in known_methods():
        named = f"`{method}`"
        lines += [f"| {named} | {shown.what} | `{shown.test}` |" for shown in of[method]] or [
            f"| {named} | {UNSHOWN} | |"
        ]
    return "\n".join(lines)


def with_table(text: str, written: str) -> str:
    """A document with the table between its marks."""
    before, begins, rest = text.partition(BEGINS)
    _, ends, after = rest.partition(ENDS)
    assert begins and ends, "the document lacks the marks that the table stands between"
    return f"{before}{begins}\n{written}\n{ends}{after}"


def main() -> None:
    """Write the table into the document."""
    DOCUMENT.write_text(with_table(DOCUMENT.read_text(), table(acceptance_tests())))


if __name__ == "__main__":
    main()
