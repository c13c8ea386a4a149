"""The desk changes in one way: events are applied, and nobody reaches into a room."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from application.desk.accounts import Accounts
from application.desk.desk import Desk
from application.desk.keys import Keys
from application.desk.markets import Markets
from application.desk.orders import Orders
from application.desk.trades import Trades
from application.desk.watchlists import Watchlists
from domain.events import AGGREGATE_KINDS, DomainEvent
from domain.matching.book import Book
from domain.matching.engine import Market
from domain.matching.stops import Stops
from domain.matching.trailing import TrailingStops
from tests.every_file import breaking

ROOT = Path(__file__).resolve().parent.parent.parent
OUTSIDE = ("application", "infrastructure", "projections", "api", "migrations")
ROOM = ROOT / "application" / "desk"
# What an ended order is found by is memory and no state: a look-up may bring one back.
MEMORY = {"ended"}
CONTAINER_CHANGES = {
    *("add", "append", "clear", "discard", "extend", "insert", "pop", "popitem", "remove"),
    *("setdefault", "sort", "update"),
}
BOOK_CHANGES = {"add", "cancel", "reduce", "fill", "execute", "replace", "clear", "run_batch"}
STOPS_CHANGES = {*CONTAINER_CHANGES, "add_trailing", "remove_trailing", "move"}
CHANGES_OF = {"book": BOOK_CHANGES, "stops": STOPS_CHANGES}
ROOM_CHANGES = {
    *("apply", "load", "rest", "rest_all", "reduce", "evolve", "accepted", "revised", "moved_to"),
}
# How much memory a room holds ahead of need is no state.
UPKEEP = {"make_room"}
ROOMS = {"orders", "markets", "accounts", "trades", "watchlists", "strategies", "keys"}


def chain(node: ast.expr) -> list[str]:
    """The names of an attribute chain, outermost first; subscripts and calls are passed over."""
    names: list[str] = []
    while True:
        if isinstance(node, ast.Attribute):
            names.append(node.attr)
            node = node.value
        elif isinstance(node, ast.Subscript):
            node = node.value
        elif isinstance(node, ast.Call):
            node = node.func
        elif isinstance(node, ast.Name):
            return [*names, node.id][::-1]
        else:
            return names[::-1]


def is_of_a_room(names: list[str]) -> bool:
    """Whether a chain goes through a room of a desk."""
    desk = next((at for at, name in enumerate(names) if name in ("desk", "_desk")), None)
    return desk is not None and len(names) > desk + 1 and names[desk + 1] in ROOMS


def kept_in(names: list[str]) -> str:
    """The part of a market that a chain ends in."""
    return "stops" if "stops" in names else names[-1] if names else ""


def reaches_into_rooms(tree: ast.AST) -> Iterator[int]:
    """The lines that change a room's containers, books or attributes."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            names = chain(node.func.value)
            if is_of_a_room(names) and not MEMORY & set(names):
                if node.func.attr in CONTAINER_CHANGES | ROOM_CHANGES:
                    yield node.lineno
            elif node.func.attr in CHANGES_OF.get(kept_in(names), ()):
                yield node.lineno
        targets = []
        if isinstance(node, ast.Assign | ast.Delete):
            targets = node.targets
        elif isinstance(node, ast.AugAssign | ast.AnnAssign):
            targets = [node.target]
        for target in targets:
            if not isinstance(target, ast.Name) and is_of_a_room(chain(target)):
                yield target.lineno


def sources() -> list[Path]:
    """Every source file outside the rooms."""
    return [
        path
        for folder in OUTSIDE
        for path in sorted((ROOT / folder).rglob("*.py"))
        if ROOM not in path.parents
    ]


def test_nothing_outside_changes_a_room_of_the_desk() -> None:
    """Handlers read the rooms and record events; applying those is what moves them."""
    assert [] == breaking(reaches_into_rooms, sources())


@pytest.mark.parametrize(
    "wrong",
    [
        "step.desk.orders.working.pop(order_id.int)",
        "desk.accounts.by_id[account_id.int] = account",
        "del self._desk.accounts.obligations[key]",
        "desk.orders.sequence += 1",
        "market.book.cancel(order.sequence)",
        "market.stops.remove_trailing(side, order.sequence)",
        "market.stops.trailing.move(side, 1, order.sequence, 1)",
        "desk.markets.by_id[instrument_id.int].stops.add(1, 2, 3)",
        "self.desk.accounts.pool.update(more)",
        "desk.trades.busted.add(trade_id)",
    ],
)
def test_reaching_into_a_room_is_seen(wrong: str) -> None:
    """The rule bites."""
    assert [1] == list(reaches_into_rooms(ast.parse(wrong)))


@pytest.mark.parametrize("right", ["desk.orders.find(a, b, c)", "desk.accounts.by_id.get(key.int)"])
def test_asking_a_room_is_allowed(right: str) -> None:
    """Questions are what rooms are for."""
    assert [] == list(reaches_into_rooms(ast.parse(right)))


@pytest.mark.parametrize(
    ("room", "changes"),
    [
        (Book, BOOK_CHANGES),
        (Market, ROOM_CHANGES),
        (Stops, STOPS_CHANGES),
        (TrailingStops, STOPS_CHANGES),
        (Orders, ROOM_CHANGES),
        (Markets, ROOM_CHANGES),
        (Accounts, ROOM_CHANGES),
        (Trades, ROOM_CHANGES),
        (Watchlists, ROOM_CHANGES),
        (Keys, ROOM_CHANGES),
        (Desk, ROOM_CHANGES),
    ],
)
def test_what_a_room_offers_is_a_question_or_a_known_change(room: type, changes: set[str]) -> None:
    """A new public method that changes something cannot slip past the rule above: it is named
    like the changes, or its docstring asks.
    """
    questions = {
        *(
            "aggregate_of",
            "anatomy",
            "auction",
            "batch_rows",
            "best",
            "best_qty",
            "collar",
            "count",
            "crosses",
            "depth",
            "dump",
            "expiring",
        ),
        *("begun", "live", "live_of", "of_owner"),
        *("find", "find_working", "knows", "leaves", "margin", "mark", "meet", "memory_bytes"),
        "count_of",
        *("next_sequence", "of_account", "of_instrument", "orders", "works", "owner_number"),
        *("plan", "plan_uncross", "positions_of", "reached", "reference_price", "remembered"),
        *("ahead", "at_collar", "inside", "is_due", "listed_as", "named", "protected"),
        "protection_price",
        *("rows", "state_rows", "stop_reference", "trigger_prices", "uncross_price", "account"),
        *("moved", "paid_on", "positions_in", "proceeds_on", "trail_reference", "trailing"),
        *("last_incoming_cancelled", "last_remainder", "book", "family"),
        *("instrument", "last_price", "stops"),
    }
    offered = {name for name in vars(room) if not name.startswith("_")}
    assert offered <= questions | changes | UPKEEP


def test_every_room_of_the_desk_is_guarded() -> None:
    """A room that is added is one of those that nobody may reach into."""
    assert ROOMS == {name for name, part in vars(Desk()).items() if hasattr(part, "dump")}


def test_every_family_of_events_has_its_aggregates_in_a_room() -> None:
    """A new kind of aggregate is found by the snapshots, or this fails."""
    assert set(AGGREGATE_KINDS) == set(Desk()._aggregates)


def test_every_event_is_of_a_room() -> None:
    """No event can be recorded that moves nothing."""
    desk = Desk()
    assert set(DomainEvent.by_topic.values()) == set(desk._rules)
