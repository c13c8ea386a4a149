"""Which store a projector keeps the views of: never of one whose log has a beginning to come."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from api.processes import projected
from api.processes.moves_watch import OF_MOVES, needed_for
from api.processes.projected import store_to_project
from infrastructure.database import EmbeddedServer
from infrastructure.log.layouts import Layout
from infrastructure.log.stores import StoreAddress, find_truth
from tests.stores import Store, pair_of, say, store_of


@pytest.fixture
def pair(
    postgres: EmbeddedServer, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Store, Store]]:
    """A plain truth, and a follower in parts that nothing was brought to yet."""
    monkeypatch.setattr(projected, "LOOK_SECONDS", 0.01)
    with pair_of(postgres.dsn(), Layout.PLAIN, Layout.NATIVE) as stores:
        yield stores


def chosen(entry: Store, *, peer: bool) -> StoreAddress | None:
    """The store of a projector; None when it waits."""

    async def choose() -> StoreAddress | None:
        try:
            return await asyncio.wait_for(store_to_project(entry.address, peer=peer), 0.3)
        except TimeoutError:
            return None

    return asyncio.run(choose())


def test_views_of_a_follower_are_made_when_its_log_is_whole(pair: tuple[Store, Store]) -> None:
    """Those of the store that is named, at once: a move changes nothing for it."""
    truth, follower = pair
    assert truth.address == chosen(truth, peer=False)
    assert chosen(truth, peer=True) is None, "it stands where the truth stands only later"

    follower.rows("UPDATE log_head SET position = 100, base = 100")
    assert chosen(truth, peer=True) is None, "a backfill is under way"
    assert chosen(follower, peer=False) is None, "whoever asks"

    follower.rows("UPDATE log_head SET base = 0")
    assert follower.address == chosen(truth, peer=True)
    assert truth.address == chosen(follower, peer=True)


def test_store_that_was_left_for_good_has_no_views(pair: tuple[Store, Store]) -> None:
    """A projector that it names keeps those of the store that the log is in."""
    truth, follower = pair
    say(truth, "there", follower)
    say(follower, "here", None)
    truth.rows("DROP TABLE stored_events CASCADE")

    assert follower.address == chosen(truth, peer=False)
    assert chosen(truth, peer=True) is None


def test_processes_of_a_move_run_while_there_is_one(
    pair: tuple[Store, Store], postgres: EmbeddedServer
) -> None:
    """Parts are made for a chunked store when there is none as well."""
    truth, _ = pair
    assert set(OF_MOVES) == set(needed_for(find_truth(*truth.address)))
    with store_of(postgres.dsn(), Layout.PLAIN) as alone:
        assert [] == list(needed_for(find_truth(*alone.address)))
    with store_of(postgres.dsn(), Layout.NATIVE) as alone:
        assert ["mover"] == list(needed_for(find_truth(*alone.address)))
