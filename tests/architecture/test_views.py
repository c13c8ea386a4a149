"""Views are asked by somebody, and every event is either shown by one or said not to be."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import Any

import pytest

from domain.events import DomainEvent
from projections.projection import Projection
from projections.views import OF_NO_CONCERN, VIEWS

ROOT = Path(__file__).resolve().parent.parent.parent
VIEWS_ROOM = "projections"
ASKING_ROOMS = ("application", "infrastructure", "api", "migrations")
"""A test or a benchmark that asks is no reader."""


class Module:
    """One source file: what each of its top-level names says and uses."""

    def __init__(self, name: str, text: str) -> None:
        tree = ast.parse(text)
        self.name = name
        self.definitions: dict[str, ast.stmt] = {}
        for node in tree.body:
            for defined in _names_defined(node):
                self.definitions[defined] = node
        self.used = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)}
        self.used |= {n.attr for n in ast.walk(tree) if isinstance(n, ast.Attribute)}
        self.imported = _imported(tree)
        self._texts: dict[str, str] = {}

    def text_of(self, name: str) -> str:
        """All string constants that a name leads to within its module."""
        if name not in self._texts:
            self._texts[name] = self._text_of(name, frozenset())
        return self._texts[name]

    def _text_of(self, name: str, seen: frozenset[str]) -> str:
        node = self.definitions.get(name)
        if node is None or name in seen:
            return ""
        own = [
            n.value for n in ast.walk(node) if isinstance(n, ast.Constant) and type(n.value) is str
        ]
        used = {n.id for n in ast.walk(node) if isinstance(n, ast.Name)} - {name}
        return "\n".join([*own, *(self._text_of(other, seen | {name}) for other in sorted(used))])

    def functions(self) -> Iterator[str]:
        """Its top-level functions and classes."""
        for name, node in self.definitions.items():
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                yield name


def _names_defined(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [node.name]
    if isinstance(node, ast.Assign):
        return [target.id for target in node.targets if isinstance(target, ast.Name)]
    if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        return [node.target.id]
    return []


def _imported(tree: ast.AST) -> set[str]:
    """Every module that is named by an import, and every name that one could be."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


@cache
def modules(*rooms: str) -> list[Module]:
    """The modules of some rooms, read once."""
    paths = sorted(path for room in rooms for path in (ROOT / room).rglob("*.py"))
    return [
        Module(".".join(path.relative_to(ROOT).with_suffix("").parts), path.read_text())
        for path in paths
    ]


def asks(text: str, table: str) -> bool:
    """Whether some SQL reads a table by its stable name."""
    return re.search(rf"\b(FROM|JOIN)\s+(\{{schema\}}\.)?{table}\b", text) is not None


def readers(table: str, keeping: list[Module], asking: list[Module]) -> list[str]:
    """Functions that read a table and are used: outside the views' room, or from there."""
    found = [
        f"{module.name}.{name}"
        for module in asking
        for name in module.functions()
        if asks(module.text_of(name), table)
    ]
    for module in keeping:
        users = [other for other in asking if module.name in other.imported]
        found += [
            f"{module.name}.{name}"
            for name in module.functions()
            if asks(module.text_of(name), table) and any(name in user.used for user in users)
        ]
    return found


def topics_left(
    views: tuple[type[Projection], ...], of_no_concern: tuple[type[DomainEvent], ...]
) -> Mapping[str, str]:
    """Topics that are neither shown nor set aside, or both."""
    shown = {event_class for view in views for event_class in view().handlers}
    aside = set(of_no_concern)
    wrong = {e.TOPIC: "shown by no view" for e in DomainEvent.by_topic.values()}
    for event_class in shown | aside:
        wrong.pop(event_class.TOPIC, None)
    return wrong | {e.TOPIC: "shown though it is of no concern" for e in shown & aside}


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.name)
def test_view_is_asked_by_somebody(view: type[Projection]) -> None:
    """Each table of it is read by a function that a gateway, a command or an audit uses."""
    keeping, asking = modules(VIEWS_ROOM), modules(*ASKING_ROOMS)

    unread = [t.name for t in view.tables if not readers(t.name, keeping, asking)]
    assert [] == unread


def queries(module: Module) -> list[str]:
    """Public coroutines of a module that holds a view: what it offers to be asked."""
    holds_view = any(
        isinstance(node, ast.ClassDef)
        and any(isinstance(base, ast.Name) and base.id == "Projection" for base in node.bases)
        for node in module.definitions.values()
    )
    return [
        name
        for name, node in module.definitions.items()
        if holds_view and isinstance(node, ast.AsyncFunctionDef) and not name.startswith("_")
    ]


def test_every_question_to_a_view_is_asked() -> None:
    """A query that only tests call is one that nobody needs."""
    keeping, asking = modules(VIEWS_ROOM), modules(*ASKING_ROOMS)

    unasked = [
        f"{module.name}.{name}"
        for module in keeping
        for name in queries(module)
        if not any(
            module.name in user.imported and name in user.used
            for user in (*asking, *(m for m in keeping if m is not module))
        )
    ]
    assert [] == unasked


def test_every_view_of_the_room_is_one_of_the_venue() -> None:
    """A view that is written and left out of the list would never be kept."""
    written = {
        name
        for module in modules(VIEWS_ROOM)
        for name, node in module.definitions.items()
        if isinstance(node, ast.ClassDef)
        and any(isinstance(base, ast.Name) and base.id == "Projection" for base in node.bases)
    }

    assert written == {view.__name__ for view in VIEWS}


def reached(module: Module, name: str) -> set[str]:
    """A top-level name of a module, and those of the module that it leads to."""
    found, left = set[str](), {name}
    while left:
        found |= left
        nodes = [node for one in left for node in ast.walk(module.definitions[one])]
        left = {node.id for node in nodes if isinstance(node, ast.Name)} & module.definitions.keys()
        left -= found
    return found


def awaited(module: Module, names: set[str]) -> set[str]:
    """The views that a route lets catch up, by name or by a constant of its module."""
    calls = [
        node
        for name in names
        for node in ast.walk(module.definitions[name])
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
        if node.func.attr in ("catch_up", "catch_up_to_end")
    ]
    said = [argument for call in calls for argument in call.args]
    texts = [module.text_of(one.value.id) for one in said if isinstance(one, ast.Starred)]
    texts += [str(one.value) for one in said if isinstance(one, ast.Constant)]
    return {name for text in texts for name in text.split("\n")}


def asked_of(module: Module, names: set[str], keeping: list[Module]) -> set[str]:
    """The views whose tables the questions read that a route puts."""
    used = {
        node.attr if isinstance(node, ast.Attribute) else node.id
        for name in names
        for node in ast.walk(module.definitions[name])
        if isinstance(node, ast.Attribute | ast.Name)
    }
    texts = [
        kept.text_of(name)
        for kept in keeping
        if kept.name in module.imported
        for name, node in kept.definitions.items()
        if isinstance(node, ast.AsyncFunctionDef) and name in used
    ]
    return {
        view.name for view in VIEWS for t in view.tables for text in texts if asks(text, t.name)
    }


def too_early(module: Module, keeping: list[Module]) -> dict[str, set[str]]:
    """Routes, and the views that they ask without letting them catch up."""
    found = {}
    for name, node in module.definitions.items():
        if isinstance(node, ast.AsyncFunctionDef) and node.decorator_list:
            names = reached(module, name)
            found[name] = asked_of(module, names, keeping) - awaited(module, names)
    return {name: views for name, views in found.items() if views}


def test_route_lets_every_view_catch_up_that_it_asks() -> None:
    """Else a client does not find what it has just written, or only half of it."""
    keeping = modules(VIEWS_ROOM)

    found = {route.name: too_early(route, keeping) for route in modules("api/http")}
    assert {} == {name: routes for name, routes in found.items() if routes}


def test_view_that_is_asked_too_early_is_found() -> None:
    """Named one by one or together, in the route or in what it calls."""
    kept = Module(
        "projections.orders",
        'async def ask(conn): conn.execute("SELECT 1 FROM orders JOIN trades USING (id)")\n',
    )
    route = Module(
        "api.http.a",
        "from projections import orders\n"
        'BOTH = ("orders", "trades")\n'
        "async def _found(c): return await orders.ask(c)\n"
        "@get\nasync def right(g, c):\n await g.catch_up(None, 1, *BOTH)\n await _found(c)\n"
        '@get\nasync def half(g, c):\n await g.catch_up_to_end("orders")\n await _found(c)\n'
        "@get\nasync def none(g, c):\n await orders.ask(c)\n",
    )

    assert {"half": {"trades"}, "none": {"orders", "trades"}} == too_early(route, [kept])


SHAPES = ROOT / "tests" / "data" / "view_shapes.json"


def shapes() -> dict[str, list[Any]]:
    """Every view's version, and what a database that has this version holds of it."""
    return {view.name: [view.version, shape(view)] for view in VIEWS}


def shape(view: type[Projection]) -> str:
    """The tables of a view as the database is told to make them, in a few digits."""
    tables = [
        table._replace(columns=tuple(c._replace(type=c.type.ddl) for c in table.columns))
        for table in view.tables
    ]
    return blake2b(repr(tables).encode(), digest_size=8).hexdigest()


def grown_in_silence(
    before: Mapping[str, list[Any]], after: Mapping[str, list[Any]]
) -> dict[str, str]:
    """Views that changed under the same version, and those that are written down wrong."""
    wrong = {}
    for name in before.keys() | after.keys():
        old, new = before.get(name), after.get(name)
        if old is not None and new is not None and old[0] == new[0] and old[1] != new[1]:
            wrong[name] = "its tables changed and its version did not: raise it"
        elif old != new:
            wrong[name] = f"write its shape down in {SHAPES.name}: {new}"
    return wrong


def test_view_whose_tables_change_has_another_version() -> None:
    """A database keeps the tables of the version it knows; a column more is not there for it."""
    assert {} == grown_in_silence(json.loads(SHAPES.read_text()), shapes())


def test_change_of_a_view_without_a_new_version_is_found() -> None:
    """A shape that differs is told from a version that was raised, from a new view and an old."""
    before = {"a": [1, "x"], "b": [1, "x"], "c": [1, "x"], "d": [1, "x"]}
    after = {"a": [1, "y"], "b": [2, "y"], "c": [1, "x"], "e": [1, "x"]}

    found = grown_in_silence(before, after)

    assert {"a", "b", "d", "e"} == found.keys()
    assert "raise it" in found["a"] and "raise it" not in found["b"]


def test_reader_is_told_from_what_nobody_calls() -> None:
    """A query counts when it reads the table and another room calls it, or stands there itself."""
    kept = Module(
        "projections.tape",
        '_SELECT = "SELECT * FROM tape t"\n'
        "async def last(conn): return await conn.execute(_SELECT)\n"
        'async def first(conn): return await conn.execute("SELECT * FROM tapes")\n',
    )
    caller = Module("api.a", "from projections import tape\nasync def f(c): await tape.last(c)\n")
    other = Module("api.b", "from projections import tape\nasync def f(c): await tape.first(c)\n")
    stranger = Module("api.c", "async def f(x): await x.last(1)\n")
    own = Module("infrastructure.d", 'def f(c): c.execute("SELECT 1 FROM {schema}.tape")\n')

    assert ["projections.tape.last"] == readers("tape", [kept], [caller])
    assert [] == readers("tape", [kept], [other, stranger])
    assert ["infrastructure.d.f"] == readers("tape", [kept], [own])


def test_every_topic_is_shown_by_a_view_or_set_aside() -> None:
    """Who adds an event decides whether somebody sees it."""
    assert {} == topics_left(VIEWS, OF_NO_CONCERN)


def test_topic_that_was_forgotten_or_set_aside_in_vain_is_found() -> None:
    """Leaving the views or the list shorter, or the list longer, is noticed."""
    shown = next(iter(VIEWS[0]().handlers))

    assert {e.TOPIC for e in OF_NO_CONCERN} == topics_left(VIEWS, ()).keys()
    assert {shown.TOPIC} == topics_left(VIEWS, (*OF_NO_CONCERN, shown)).keys()
    assert len(topics_left(VIEWS[:1], OF_NO_CONCERN)) > 10
