"""The end of a move: the old store is dropped, after an export, and leaves a sign-post."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from infrastructure.database import EmbeddedServer
from infrastructure.log import mode_changes
from infrastructure.log.stores import StoreAddress, find_truth
from migrations.move import finalizing
from migrations.move.finalizing import SIGN_POST, CannotFinalize, finalize
from tests.killed_at_lines import killed_at
from tests.model.command_flow import InMemoryVenue, lived
from tests.move_stage import Pair, pair_of, projecting, until_projected


@pytest.fixture(scope="module")
def flow() -> InMemoryVenue:
    """A short flow."""
    return lived(7, 40)


@pytest.fixture
def pair(postgres: EmbeddedServer, flow: InMemoryVenue) -> Iterator[Pair]:
    """Two equal stores of which the one in parts is the truth since a cutover."""
    with pair_of(postgres.dsn(), flow) as made:
        with projecting([made.truth]):
            until_projected([made.truth])
        made.rows(made.truth, "UPDATE writer_epoch SET writes = 'fed'")
        made.rows(made.follower, "UPDATE writer_epoch SET writes = 'here', epoch = 7")
        yield made


def tables_of(pair: Pair, where: StoreAddress) -> set[str]:
    """Tables and views of a store."""
    rows = pair.rows(
        where,
        "SELECT relname FROM pg_class WHERE relnamespace = current_schema()::regnamespace"
        " AND relkind IN ('r', 'p', 'v')",
    )
    return {row[0] for row in rows}


def test_old_store_is_dropped_and_points_at_the_new_one(pair: Pair) -> None:
    """Who still names it finds the log; the new store has no peer any more."""
    exported: list[StoreAddress] = []

    def export(store: StoreAddress) -> list[str]:
        exported.append(store)
        return []

    finalize(pair.truth, pair.follower, export)

    assert [pair.truth] == exported
    assert tables_of(pair, pair.truth) == SIGN_POST & tables_of(pair, pair.truth)
    assert "stored_events" in tables_of(pair, pair.follower)
    state = find_truth(*pair.truth)
    assert (pair.follower, None, 7) == (state.address, state.peer, state.epoch)


def test_finalizing_that_is_killed_goes_on(pair: Pair) -> None:
    """Wherever it was; in the end it is the same."""
    for line in range(8, 400, 13):
        died = killed_at(
            line, [finalizing, mode_changes], lambda: finalize(pair.truth, pair.follower, None)
        )
        assert pair.follower == find_truth(*pair.truth).address
        if not died:
            break
    else:
        raise AssertionError("it never ended")

    assert line > 30
    assert tables_of(pair, pair.truth) <= SIGN_POST
    finalize(pair.truth, pair.follower, None)
    assert tables_of(pair, pair.truth) <= SIGN_POST


def test_nothing_is_dropped_after_an_export_that_is_not_good(pair: Pair) -> None:
    """It is said what differs."""
    with pytest.raises(CannotFinalize, match="positions 1 to 20 differ"):
        finalize(pair.truth, pair.follower, lambda store: ["positions 1 to 20 differ"])

    assert "stored_events" in tables_of(pair, pair.truth)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("UPDATE {new}.writer_epoch SET writes = 'held'", "was not cut over to it"),
        ("UPDATE {old}.writer_epoch SET writes = 'here'", "is not a follower"),
        ("UPDATE {old}.writer_epoch SET peer_schema = 'else'", "does not follow store"),
        ("UPDATE {new}.log_head SET position = position - 5", "lacks 5 positions"),
    ],
)
def test_store_that_is_not_superseded_is_not_dropped(pair: Pair, change: str, reason: str) -> None:
    """The truth, another's follower, one that has what the new one lacks."""
    pair.rows(pair.truth, change.format(old=pair.truth.schema, new=pair.follower.schema))

    with pytest.raises(CannotFinalize, match=reason):
        finalize(pair.truth, pair.follower, None)

    assert "stored_events" in tables_of(pair, pair.truth)
