"""Precision as a rule of the source: no float beside an amount, and one place that rounds."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import get_type_hints

import pytest

from domain.events import DomainEvent
from domain.events.facts import fields_beside_header
from domain.units import Date, Flag, Id, Moment, OneOf, Party, Priced, Scaled, Unit, Words
from projections.views import VIEWS
from tests.every_file import breaking

ROOT = Path(__file__).resolve().parent.parent.parent
RULE_BOOK = ROOT / "domain" / "money.py"
# Calculate in fractions or decimals on purpose: what they round is compared, never booked.
SECOND_BOOKS = ("application/audit/second_books/", "application/rehearsal/simulated_day/")
AMOUNTS = {"domain.money", "domain.commission", "domain.margin", "domain.value_at_risk"}
AMOUNTS |= {"api.decimals", "application.log.event_rendering", "domain.units"}
TIMES = ("_SECONDS", "_WITHIN", "_MS")
TIME_WORDS = ("timeout", "seconds", "delay", "_within")


def sources(*folders: str) -> list[Path]:
    """The Python files of some folders, by path."""
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def name_of(path: Path) -> str:
    """A path as the test report shows it."""
    return str(path.relative_to(ROOT))


def handles_amounts(tree: ast.Module) -> bool:
    """Whether a module works with money, prices or quantities."""
    return any(
        isinstance(node, ast.ImportFrom) and node.module in AMOUNTS for node in ast.walk(tree)
    )


def is_time(name: str) -> bool:
    """Whether a name says that its value is a time on a clock, not an amount."""
    return name.upper().endswith(TIMES) or any(word in name.lower() for word in TIME_WORDS)


def floats_in(tree: ast.AST) -> Iterator[str]:
    """Where a float is written, made, named or asked for, but for named times."""
    timed: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if all(is_time(ast.unparse(target)) for target in targets):
                timed |= {id(part) for part in ast.walk(node)}
        elif (isinstance(node, ast.keyword | ast.arg)) and node.arg and is_time(node.arg):
            timed |= {id(part) for part in ast.walk(node)}
        elif isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values, strict=True):
                if isinstance(key, ast.Constant) and is_time(str(key.value)):
                    timed |= {id(part) for part in ast.walk(value)}
    for node in ast.walk(tree):
        if id(node) in timed:
            continue
        if isinstance(node, ast.Constant) and isinstance(node.value, float):
            yield f"line {node.lineno}: {node.value}"
        elif isinstance(node, ast.Name) and node.id == "float":
            yield f"line {node.lineno}: float"


def rounding_in(tree: ast.AST) -> Iterator[str]:
    """Where something is rounded otherwise than by the rule book's functions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute):
            called = node.func.id if isinstance(node.func, ast.Name) else node.func.attr
            if called in ("round", "quantize", "to_integral_value", "normalize"):
                yield f"line {node.lineno}: {called}()"
        elif isinstance(node, ast.alias) and node.name.startswith("ROUND_"):
            yield f"line {node.lineno}: {node.name}"


def divisions_in(tree: ast.AST) -> Iterator[str]:
    """Where a true division would make a float of two integers."""
    for node in ast.walk(tree):
        if isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.Div):
            yield f"line {node.lineno}: {ast.unparse(node)}"


def test_precision_of_a_module_with_amounts_is_not_lost_to_a_float() -> None:
    """Where amounts are handled the only floats are times, and they are called so."""

    seen = []

    def floats_of_amounts(tree: ast.Module) -> list[str]:
        if not handles_amounts(tree):
            return []
        seen.append(1)
        return list(floats_in(tree))

    rooms = sources("domain", "application", "projections", "infrastructure", "api")
    # Where money.py refuses floats it has to name them.
    assert [] == breaking(floats_of_amounts, [path for path in rooms if path != RULE_BOOK])
    assert len(seen) > 100


def test_precision_of_integers_is_not_lost_to_a_division() -> None:
    """In domain and views only decimals are divided: integers by floor, or half to even."""
    rooms = sources("domain", "projections")
    files = [path for path in rooms if name_of(path) != "domain/value_at_risk.py"]

    assert [] == breaking(divisions_in, files)


def test_rounding_happens_in_the_rule_book_alone() -> None:
    """Half to even stands in domain/money.py; nobody else rounds, or knows another way."""
    rooms = sources("domain", "application", "projections", "infrastructure")
    files = [path for path in rooms if path != RULE_BOOK]

    assert [] == breaking(
        rounding_in, [path for path in files if not name_of(path).startswith(SECOND_BOOKS)]
    )


def test_precision_rules_see_what_they_forbid() -> None:
    """A float, a rounding and a division are each found; a named time is passed over."""
    wrong = ast.parse(
        "from decimal import ROUND_UP\n"
        "price = 0.5\n"
        "def f(x: float): return round(x)\n"
        "y = price / 3\n"
        "price.quantize(1)\n"
        "WAIT_SECONDS = 0.5\n"
        "wait(timeout=2.5)\n"
        "said = {'seconds': 1.5}\n"
    )

    assert ["line 2", "line 3"] == [found.partition(":")[0] for found in floats_in(wrong)]
    assert ["line 1: ROUND_UP", "line 3: round()", "line 5: quantize()"] == sorted(
        rounding_in(wrong)
    )
    assert ["line 4: price / 3"] == list(divisions_in(wrong))


@pytest.mark.parametrize("topic", list(DomainEvent.by_topic))
def test_precision_of_an_event_is_that_of_integers_and_digits(topic: str) -> None:
    """No field of an event is a float or a decimal of unsaid scale."""
    stated = str(get_type_hints(DomainEvent.by_topic[topic]).values())

    assert "float" not in stated
    assert "Decimal" not in stated


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.name)
def test_precision_of_a_view_is_that_of_whole_units(view: type) -> None:
    """A view's columns are integers, wide integers of 38 digits, flags, texts and ids."""
    allowed = {"bigint", "integer", "smallint", "numeric(38,0)", "boolean", "text", "uuid"}
    allowed |= {"jsonb", "bytea"}

    assert set() == {c.type.ddl for table in view.tables for c in table.columns} - allowed


WIDTHS: dict[type[Unit], set[str]] = {
    Scaled: {"bigint", "numeric(38,0)"},
    Priced: {"bigint", "numeric(38,0)"},
    Moment: {"bigint"},
    Date: {"integer"},
    OneOf: {"smallint"},
    Id: {"uuid"},
    Party: {"uuid"},
    Flag: {"boolean"},
    Words: {"text"},
}
"""What a column may be that keeps values of a unit."""


def events_say() -> dict[str, set[Unit]]:
    """What the fields of all events mean, by the names under which views keep them."""
    said: defaultdict[str, set[Unit]] = defaultdict(set)
    for event in DomainEvent.by_topic.values():
        for name, unit in fields_beside_header(event).items():
            said[name.removesuffix("_after")].add(unit)
    return said


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.name)
def test_column_of_a_view_is_wide_enough_for_what_events_say(view: type) -> None:
    """A sum kept as digits in an event is no bigint in a view, a code no text, a date no number."""
    said = events_say()
    for column in (column for table in view.tables for column in table.columns):
        units = said[column.name]
        widths = [WIDTHS[type(unit)] for unit in units if type(unit) in WIDTHS]
        if widths and len(widths) == len(units):
            assert column.type.ddl in set.union(*widths), column.name
        if any(isinstance(unit, Priced) and unit.more for unit in units):
            assert column.type.ddl == "numeric(38,0)", column.name
