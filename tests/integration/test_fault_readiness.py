"""/readyz is false while what is read is stale for good, and says why."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from psycopg import sql

from infrastructure.database import EmbeddedServer
from projections.orders import Orders
from tests.venue import Venue, served
from tests.writer_process import wait_until


@pytest.fixture(scope="module")
def venue(postgres: EmbeddedServer) -> Iterator[Venue]:
    """A venue of this file's own."""
    with served(postgres.dsn()) as made:
        made.trader()
        yield made


@pytest.fixture
def change(venue: Venue, postgres: EmbeddedServer) -> Callable[[str], None]:
    """Changes rows beside the venue's back."""

    def changed(statement: str) -> None:
        with psycopg.connect(postgres.dsn(), autocommit=True) as conn:
            conn.execute(sql.SQL("SET search_path TO {}").format(sql.Identifier(venue.schema)))
            conn.execute(statement.encode())

    return changed


def readiness(venue: Venue) -> tuple[int, Any]:
    """What /readyz answers."""
    answer = venue.admin.get("/readyz")
    return answer.status_code, answer.json()


def until_ready(venue: Venue) -> None:
    """Wait until the venue is ready."""
    wait_until(lambda: readiness(venue)[0] == 200, "it to be ready", lambda: str(readiness(venue)))


@pytest.mark.parametrize(
    ("set_wrong", "set_right", "told"),
    [
        ("position = position + 50", "position = position - 50", "and the log ends at"),
        ("version = version + 1", "version = version - 1", "run the newer program"),
    ],
    ids=["ahead of the log", "of a newer program"],
)
def test_venue_with_a_stale_view_is_not_ready(
    venue: Venue, change: Callable[[str], None], set_wrong: str, set_right: str, told: str
) -> None:
    """A view that is never kept again: orders may be taken, and yet what is read is wrong."""
    until_ready(venue)
    where = "UPDATE projection_tracking SET {} WHERE name = 'orders'"
    change(where.format(set_wrong))
    try:
        wait_until(lambda: readiness(venue)[0] == 503, "it not to be ready")
        _, body = readiness(venue)
        assert ("not_ready", True, True) == (body["status"], body["writer"], body["database"])
        (problem,) = [said for said in body["problems"] if "view orders" in said]
        assert told in problem and "nexus projections rebuild orders" in problem
    finally:
        change(where.format(set_right))
    until_ready(venue)
    assert [] == readiness(venue)[1]["problems"]


def test_view_that_an_error_stopped_keeps_the_venue_from_being_ready(
    venue: Venue, change: Callable[[str], None]
) -> None:
    """Until it goes on: the error is told with it."""
    until_ready(venue)
    change(
        "INSERT INTO projection_errors SELECT name, version, position, now(), 'KeyError: 7'"
        " FROM projection_tracking WHERE name = 'orders'"
    )
    wait_until(lambda: readiness(venue)[0] == 503, "it not to be ready")
    assert any("KeyError: 7" in problem for problem in readiness(venue)[1]["problems"])
    change("DELETE FROM projection_errors")
    until_ready(venue)


def test_views_that_stand_still_keep_the_venue_from_being_ready(
    venue: Venue, change: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A projector that is gone, or held up, leaves every view behind the log for good."""
    monkeypatch.setattr("api.processes.heart.STILL_SECONDS", 1.5)
    until_ready(venue)
    change(f"UPDATE projection_tracking SET version = {Orders.version + 1} WHERE name = 'orders'")
    venue.trader()
    wait_until(
        lambda: any("stand still" in problem for problem in readiness(venue)[1]["problems"]),
        "it to notice",
        lambda: str(readiness(venue)),
    )
    change(f"UPDATE projection_tracking SET version = {Orders.version} WHERE name = 'orders'")
    until_ready(venue)
