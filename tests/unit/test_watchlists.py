"""Watchlists: the writer decides what an account's lists are called and what is on them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import pytest
from msgspec.structs import replace

from application.audit.second_books.findings import Findings
from application.audit.second_books.watchlists import WatchlistBooks
from application.commands import ChangeInstrument, Reply
from application.desk.state import dump, load
from application.watchlists import ChangeWatchlist, CreateWatchlist, DeleteWatchlist
from domain.events import (
    InstrumentListed,
    RequestRefused,
    WatchlistChanged,
    WatchlistCreated,
    WatchlistDeleted,
)
from domain.identifiers import NO_ID
from domain.watchlist import LONGEST_NAME, MOST_LISTS, MOST_SYMBOLS
from tests.model.desk_harness import DeskHarness, trading_desk


@pytest.fixture
def venue() -> DeskHarness:
    """Instruments X, Y and Z, and the accounts a and b."""
    venue = trading_desk()
    venue.instrument("Y")
    venue.instrument("Z")
    return venue


def unchecked() -> DeskHarness:
    """A venue whose books are not compared after every command."""
    venue = trading_desk()
    venue.checked = False
    return venue


def created(venue: DeskHarness, name: str, *symbols: str, owner: UUID | None = None) -> UUID:
    """A new list."""
    reply = venue.ok(CreateWatchlist(owner or venue.a, name, f"new {name}", symbols))
    assert reply.result is not None
    return UUID(reply.result["watchlist_id"])


def ids_of(venue: DeskHarness, *symbols: str) -> list[str]:
    """The instruments that symbols lead to."""
    return [str(venue.desk.markets.named(symbol).instrument.id) for symbol in symbols]


def refusal(reply: Reply) -> tuple[str, Any]:
    """The code of a refusal and the field that it names."""
    assert reply.refusal is not None
    return reply.refusal.code, reply.refusal.details["field"]


def test_watchlist_holds_its_symbols_in_the_order_that_was_asked_for(venue: DeskHarness) -> None:
    """The reply says all of it, from the event alone."""
    reply = venue.ok(CreateWatchlist(venue.a, "tech", "k", ("Z", "X")))

    (event,) = venue.events
    assert type(event) is WatchlistCreated
    assert reply.result == {
        "watchlist_id": str(event.originator_id),
        "name": "tech",
        "instruments": ids_of(venue, "Z", "X"),
        "created_at": venue.at,
        "updated_at": venue.at,
    }


def test_watchlist_changes_its_name_its_symbols_or_both(venue: DeskHarness) -> None:
    """What is left out stays; the list keeps its id and its age."""
    which = created(venue, "tech", "X")
    made_at = venue.at

    for command, name, symbols in (
        (ChangeWatchlist(venue.a, which, "1", name="new"), "new", ["X"]),
        (ChangeWatchlist(venue.a, which, "2", symbols=("Y", "X")), "new", ["Y", "X"]),
        (ChangeWatchlist(venue.a, which, "3", name="tech", symbols=()), "tech", []),
        (ChangeWatchlist(venue.a, which, "4", add="Z"), "tech", ["Z"]),
        (ChangeWatchlist(venue.a, NO_ID, "5", named="tech", add="X"), "tech", ["Z", "X"]),
        (ChangeWatchlist(venue.a, which, "6", remove="Z"), "tech", ["X"]),
        (ChangeWatchlist(venue.a, which, "7", name="tech"), "tech", ["X"]),
    ):
        reply = venue.ok(command)
        assert reply.result == {
            "watchlist_id": str(which),
            "name": name,
            "instruments": ids_of(venue, *symbols),
            "created_at": made_at,
            "updated_at": venue.at,
        }
        assert [WatchlistChanged] == [type(event) for event in venue.events]


@pytest.mark.parametrize("by_name", [False, True])
def test_watchlist_that_is_deleted_frees_its_name(venue: DeskHarness, by_name: bool) -> None:
    """It is gone for every request, and another may be called like it."""
    which = created(venue, "tech", "X")

    gone = DeleteWatchlist(venue.a, NO_ID if by_name else which, "gone", "tech" if by_name else "")
    reply = venue.ok(gone)

    assert {"watchlist_id": str(which)} == reply.result
    assert [WatchlistDeleted] == [type(event) for event in venue.events]
    again = venue.send(DeleteWatchlist(venue.a, which, "again"))
    assert ("UNKNOWN_WATCHLIST", "watchlist_id") == refusal(again)
    named = venue.send(ChangeWatchlist(venue.a, NO_ID, "named", "tech", add="Y"))
    assert ("UNKNOWN_WATCHLIST", "name") == refusal(named)
    assert which != created(venue, "tech")


WRONG: list[tuple[str, Any, str, str]] = [
    ("a name that is taken", lambda v, w: CreateWatchlist(v.a, "tech", "k"), "name", "TAKEN"),
    ("an empty name", lambda v, w: CreateWatchlist(v.a, "", "k"), "name", "INVALID"),
    (
        "a long name",
        lambda v, w: CreateWatchlist(v.a, "x" * (LONGEST_NAME + 1), "k"),
        "name",
        "INVALID",
    ),
    (
        "an unknown symbol",
        lambda v, w: CreateWatchlist(v.a, "n", "k", ("X", "NOPE")),
        "symbols",
        "INSTRUMENT",
    ),
    (
        "a symbol twice",
        lambda v, w: CreateWatchlist(v.a, "n", "k", ("X", "Y", "X")),
        "symbols",
        "INVALID",
    ),
    (
        "another's name",
        lambda v, w: ChangeWatchlist(v.a, w, "k", name="other"),
        "name",
        "TAKEN",
    ),
    (
        "an unknown symbol in its place",
        lambda v, w: ChangeWatchlist(v.a, w, "k", symbols=("NOPE",)),
        "symbols",
        "INSTRUMENT",
    ),
    ("what is there", lambda v, w: ChangeWatchlist(v.a, w, "k", add="X"), "symbol", "INVALID"),
    ("what is not", lambda v, w: ChangeWatchlist(v.a, w, "k", remove="Y"), "symbol", "NOT_ON"),
    (
        "what nobody knows",
        lambda v, w: ChangeWatchlist(v.a, w, "k", remove="NOPE"),
        "symbol",
        "INSTRUMENT",
    ),
    ("no list", lambda v, w: DeleteWatchlist(v.a, v.a, "k"), "watchlist_id", "UNKNOWN"),
    (
        "another account's list",
        lambda v, w: ChangeWatchlist(v.b, w, "k", add="Y"),
        "watchlist_id",
        "UNKNOWN",
    ),
    ("another's to delete", lambda v, w: DeleteWatchlist(v.b, w, "k"), "watchlist_id", "UNKNOWN"),
    (
        "another's by name",
        lambda v, w: DeleteWatchlist(v.b, NO_ID, "k", "tech"),
        "name",
        "UNKNOWN",
    ),
]


@pytest.mark.parametrize(("what", "wrong", "field", "code"), WRONG, ids=[w[0] for w in WRONG])
def test_watchlist_refuses(
    venue: DeskHarness, what: str, wrong: Any, field: str, code: str
) -> None:
    """The refusal names the field, spends the key, and changes no list."""
    which = created(venue, "tech", "X")
    created(venue, "other", "Z")
    before = venue.desk.watchlists.dump()

    reply = venue.send(wrong(venue, which))

    assert field == refusal(reply)[1]
    assert code in refusal(reply)[0]
    (event,) = venue.events
    assert type(event) is RequestRefused and event.request_key == "k"
    assert before == venue.desk.watchlists.dump()


def test_watchlists_of_accounts_do_not_meet(venue: DeskHarness) -> None:
    """A name is an account's own."""
    mine = created(venue, "tech", "X")
    theirs = created(venue, "tech", "Y", owner=venue.b)

    venue.ok(DeleteWatchlist(venue.b, NO_ID, "gone", "tech"))

    assert venue.desk.watchlists.find(venue.a, mine) is not None
    assert venue.desk.watchlists.find(venue.b, theirs) is None


def test_watchlist_follows_a_renaming(venue: DeskHarness) -> None:
    """It holds the instrument: the old symbol and the new one are the same."""
    which = created(venue, "tech", "X", "Y")
    before = ids_of(venue, "X", "Y")
    venue.ok(ChangeInstrument("X", new_symbol="NEW"))

    again = venue.send(ChangeWatchlist(venue.a, which, "add", add="NEW"))
    twice = venue.send(CreateWatchlist(venue.a, "n", "twice", ("X", "NEW")))
    removed = venue.ok(ChangeWatchlist(venue.a, which, "remove", remove="X"))

    assert ("INVALID_FIELD", "symbol") == refusal(again)
    assert ("INVALID_FIELD", "symbols") == refusal(twice)
    assert removed.result is not None and before[1:] == removed.result["instruments"]


def test_watchlists_are_no_more_than_an_account_may_have() -> None:
    """One more is refused with the limit; after a deletion there is room again."""
    venue = unchecked()
    first = created(venue, "0")
    for number in range(1, MOST_LISTS):
        created(venue, str(number))

    refused = venue.send(CreateWatchlist(venue.a, "more", "k"))

    assert ("WATCHLIST_LIMIT", "name") == refusal(refused)
    assert refused.refusal is not None and MOST_LISTS == refused.refusal.details["limit"]
    created(venue, "of another", owner=venue.b)
    venue.ok(DeleteWatchlist(venue.a, first, "gone"))
    created(venue, "more")


def test_watchlist_holds_no_more_symbols_than_it_may() -> None:
    """One more is refused with the limit."""
    venue = unchecked()
    symbols: Sequence[str] = [f"S{number}" for number in range(MOST_SYMBOLS)]
    for symbol in symbols:
        venue.instrument(symbol)
    which = created(venue, "all", *symbols)

    refused = venue.send(ChangeWatchlist(venue.a, which, "more", add="X"))

    assert ("WATCHLIST_LIMIT", "symbol") == refusal(refused)
    assert refused.refusal is not None and MOST_SYMBOLS == refused.refusal.details["limit"]


def test_watchlists_survive_a_snapshot(venue: DeskHarness) -> None:
    """What is loaded has the same lists under the same names, and goes on alike."""
    which = created(venue, "tech", "X", "Z")
    created(venue, "empty")
    created(venue, "gone")
    venue.ok(DeleteWatchlist(venue.a, NO_ID, "x", "gone"))

    loaded = load(dump(venue.desk))

    found = loaded.watchlists.named(venue.a, "tech")
    assert found is not None and which == found.id
    assert ids_of(venue, "X", "Z") == [str(one) for one in found.instruments]
    assert loaded.watchlists.named(venue.a, "gone") is None
    assert 2 == loaded.watchlists.count_of(venue.a)
    assert dump(venue.desk) == dump(loaded)


@pytest.mark.parametrize("wrong", ["an instrument twice", "what was never listed", "an empty name"])
def test_watchlist_that_cannot_be_is_found_by_the_second_books(wrong: str) -> None:
    """The auditor knows what was listed, and looks at every list that is made."""
    venue = trading_desk()
    created(venue, "tech", "X")
    (made,) = venue.events
    assert type(made) is WatchlistCreated
    (listed,) = (event for event in venue.log if type(event) is InstrumentListed)
    (held,) = made.instruments
    damage: dict[str, dict[str, Any]] = {
        "an instrument twice": {"instruments": (held, held)},
        "what was never listed": {"instruments": (held, venue.a)},
        "an empty name": {"name": ""},
    }
    sound, found = Findings(), Findings()
    for findings, event in ((sound, made), (found, replace(made, **damage[wrong]))):
        books = WatchlistBooks(findings)
        books.listed(listed)
        books.created(1, event)

    assert (0, 1) == (sound.failed["watchlists"], found.failed["watchlists"])
