"""What is declared is used: every command is sent, every refusal raised, every event happens."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from application.audit.second_books.books import Books
from application.audit.second_books.findings import Findings
from application.commands import COMMANDS
from application.desk.desk import Desk
from application.desk.state import dump, load
from domain.errors import Rejection
from domain.events import (
    AGGREGATE_KINDS,
    AccountLimitsSet,
    DomainEvent,
    PositionOpened,
    RequestRefused,
)
from tests.model.audited_flow import audited

ROOT = Path(__file__).resolve().parent.parent.parent
DOORS = ("api", "application/writer")
"""Who sends commands: gateways, operators' commands, and what time asks for."""
ROOMS = ("domain", "application", "infrastructure", "projections", "api", "migrations")


def used_in(trees: Iterator[ast.Module]) -> set[str]:
    """The last part of every name that some sources call or raise."""
    named: list[ast.expr | None] = [
        node.func if isinstance(node, ast.Call) else node.exc
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.Call | ast.Raise)
    ]
    return {ast.unparse(name).split(".")[-1] for name in named if name is not None}


def sources(*folders: str) -> Iterator[ast.Module]:
    """The sources of some folders."""
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*.py")):
            yield ast.parse(path.read_text())


def test_every_command_is_sent_by_a_door_or_a_timer() -> None:
    """One that only tests send is one that nobody can use."""
    used = used_in(sources(*DOORS))

    unsent = {kind.__name__ for kind in COMMANDS.values() if kind.__name__ not in used}
    assert set() == unsent


def test_every_refusal_is_made_by_somebody() -> None:
    """A code that nothing raises is a promise that is not kept, or a sentence nobody hears."""
    used = used_in(sources(*ROOMS))

    assert [] == [kind.__name__ for kind in Rejection.by_code.values() if kind.__name__ not in used]


def test_call_and_raise_are_seen_and_a_mere_name_is_not() -> None:
    """What is imported, listed or caught is not yet used."""
    said = "from a import A, B, C\nC = [C]\nx = [A(1)]\ntry:\n    raise b.B\nexcept C:\n    raise\n"

    assert {"A", "B"} == used_in(iter([ast.parse(said)]))


def test_every_event_happens_in_the_flow_that_is_audited() -> None:
    """So each goes through the desk, a snapshot, a replay and the second books in some test."""
    happened = {type(event) for seed in range(4) for event in audited(seed, 200).log.events()}

    assert set() == set(DomainEvent.by_topic.values()) - happened


NOT_JUDGED = {
    AccountLimitsSet: "limits are of one moment: an order that was taken may stand above a later",
    PositionOpened: "it says only whose and of what a position is",
    RequestRefused: "its key is judged with all keys, and it moves nothing",
}
"""Events that no book of the second bookkeeper takes, and why."""


def test_every_event_is_judged_by_the_second_bookkeeper() -> None:
    """Who adds an event says what must be true of it, or why nothing can be said."""
    judged = set(Books(Findings(), lambda _: []).judges)

    assert set(DomainEvent.by_topic.values()) == judged | NOT_JUDGED.keys()
    assert set() == judged & NOT_JUDGED.keys()


def test_every_kind_of_aggregate_stands_in_the_snapshot_of_a_desk() -> None:
    """What a room applies and does not dump is gone after a restart; what it dumps it loads,
    and where it stands is known.
    """
    desk, seen, met = Desk(), set(), set()
    for event in audited(1, 200).log.events():
        desk.apply(event)
        found = desk.aggregate_of(event)
        if found is not None:
            assert event.originator_id == found.id
            met.add(event.AGGREGATE)
        if event.AGGREGATE not in seen:
            state = dump(desk)
            assert state == dump(load(state))
            if event.originator_id.bytes in state:
                seen.add(event.AGGREGATE)

    assert set(AGGREGATE_KINDS) == seen == met
