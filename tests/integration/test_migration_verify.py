"""Two stores compared: what differs is named down to the column, and brought again when asked."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from infrastructure.log.layouts import Layout
from migrations.move.differences import Difference
from migrations.move.verifying import Found, Wanted, verify
from tests.conftest import CHUNKED, dsn_of
from tests.model.command_flow import InMemoryVenue, lived
from tests.move_stage import Pair, PlainFeeding, pair_of, projecting, until_projected

QUICK = Wanted(sample=10, seed=1, range_rows=500)


@pytest.fixture(scope="module")
def flow() -> InMemoryVenue:
    """What both stores hold."""
    return lived(7, 300)


@pytest.fixture(scope="module", params=CHUNKED)
def pair(request: pytest.FixtureRequest, flow: InMemoryVenue) -> Iterator[Pair]:
    """Two equal stores whose projectors run; what a test damages is repaired by it."""
    with pair_of(dsn_of(request, request.param), flow, request.param) as made:
        if request.param is Layout.TIMESCALE:
            made.rows(
                made.follower,
                "SELECT public.compress_chunk(c) FROM public.show_chunks('stored_events') c",
            )
        with projecting([made.truth, made.follower]):
            until_projected([made.truth, made.follower])
            yield made


def compared(pair: Pair, *, repair: bool = False, anew: bool = True) -> Found:
    """One run."""
    feeding = PlainFeeding(pair)
    wanted = QUICK._replace(anew=anew, repair=repair)
    return verify(
        pair.truth,
        pair.follower,
        lambda: feeding.sync_beside(pair.truth, pair.follower),
        wanted,
    )


def named(found: Found) -> set[tuple[str, str, str]]:
    """Place, key and column of each difference."""
    return {(each.place, each.key, each.column) for each in found.differences}


def test_equal_stores_are_found_equal_whole(pair: Pair) -> None:
    """Events, keys, what is derived, what stands beside, single lives and every view."""
    found = compared(pair)

    assert [] == found.differences
    assert [] == found.not_compared
    assert found.views is not None
    assert found.up_to == found.views.position > 500
    assert found.views.rows > 100
    assert 10 == found.sampled
    assert found.equal


def test_what_was_compared_is_not_compared_again(pair: Pair) -> None:
    """Unless it is asked for, or one of the stores does not know of it."""
    first = compared(pair)

    assert 0 == compared(pair, anew=False).ranges
    pair.rows(pair.follower, "DELETE FROM store_verification")
    assert first.ranges == compared(pair, anew=False).ranges > 1


LATER = (
    "INSERT INTO stored_events SELECT originator_id, originator_version, topic, state,"
    " notification_id, recorded_at + interval '3 days', instrument_id, account_id, traded_qty,"
    " traded_notional, correlation_id, actor FROM moved"
)
DAMAGE = {
    "a changed byte": (
        "UPDATE stored_events SET state = set_byte(state, 3, get_byte(state, 3) # 1)"
        " WHERE notification_id = 700",
        {("stored_events", "700", "state")},
    ),
    "a missing event": (
        "DELETE FROM stored_events WHERE notification_id = 701",
        {("stored_events", "701", "")},
    ),
    "a doubled event": (
        "INSERT INTO stored_events SELECT * FROM stored_events WHERE notification_id = 702",
        {("stored_events", "702", "")},
    ),
    "another actor and amount": (
        "UPDATE stored_events SET actor = 'else', traded_qty = 1 WHERE notification_id = 703",
        {("stored_events", "703", "actor"), ("stored_events", "703", "traded_qty")},
    ),
    "a microsecond": (
        "UPDATE stored_events SET recorded_at = recorded_at + interval '1 microsecond'"
        " WHERE notification_id = 704",
        {("stored_events", "704", "recorded_at")},
    ),
    "an event on another day": (
        "WITH moved AS (DELETE FROM stored_events WHERE notification_id = 705 RETURNING *) "
        + LATER,
        {("stored_events", "705", ""), ("stored_events of the follower", "705", "recorded_at")},
    ),
    "an event that is also on another day": (
        f"WITH moved AS (SELECT * FROM stored_events WHERE notification_id = 706) {LATER}",
        {("stored_events of the follower", "706", "recorded_at")},
    ),
    "a request key of another body": (
        "UPDATE request_keys SET fingerprint = '12345678'"
        " WHERE position = (SELECT min(position) FROM request_keys WHERE position > 700)",
        {("request_keys", "*", "fingerprint")},
    ),
    "a bust that is not taken off": (
        "DELETE FROM undone_trades WHERE position = (SELECT max(position) FROM undone_trades)",
        {("undone_trades of the follower", "*", "")},
    ),
    "a lost mark": (
        "DELETE FROM log_marks WHERE position = 512",
        {("log_marks of the follower", "512", "")},
    ),
}


def test_every_damage_of_the_follower_is_named_and_repaired(pair: Pair) -> None:
    """Down to the row and the column; brought again from the truth, all is equal as before."""
    before = pair.rows(pair.truth, "SELECT * FROM stored_events ORDER BY notification_id")
    for damage, _ in DAMAGE.values():
        pair.rows(pair.follower, damage)

    found = compared(pair)

    assert not found.equal
    assert found.up_to == 500
    for what, (_, expected) in DAMAGE.items():
        for place, key, column in expected:
            keys = {k for p, k, c in named(found) if (p, c) == (place, column)}
            assert keys if key == "*" else key in keys, (what, found.differences)
    again = compared(pair, repair=True, anew=False)
    assert again.equal, again.differences
    assert before == pair.rows(pair.truth, "SELECT * FROM stored_events ORDER BY notification_id")


def test_head_that_says_too_little_or_too_much_is_named_and_repaired(pair: Pair) -> None:
    """The guard of versions, and the times between which an aggregate is looked for."""
    ids = [
        row[0]
        for row in pair.rows(
            pair.follower,
            "SELECT originator_id::text FROM stream_heads ORDER BY version DESC LIMIT 3",
        )
    ]
    for change, whose in zip(
        ("version = version - 1", "version = version + 1", "last_at = first_at"), ids, strict=True
    ):
        pair.rows(
            pair.follower, f"UPDATE stream_heads SET {change} WHERE originator_id = %s", whose
        )

    found = compared(pair)

    heads = {key for place, key, _ in named(found) if place == "stream_heads of the follower"}
    assert set(ids) <= heads
    assert compared(pair, repair=True).equal


def test_row_of_a_view_that_differs_is_named_and_built_again(pair: Pair) -> None:
    """At the same position of both logs; the follower's projector goes on afterwards."""
    (view,) = pair.rows(
        pair.follower, "SELECT version FROM projection_tracking WHERE name = 'balances'"
    )[0]
    table = f"view_balances_v{view}"
    pair.rows(pair.follower, f"UPDATE {table} SET cash = cash + 1")

    found = compared(pair)

    assert {("view balances", "cash")} == {(p, c) for p, _, c in named(found)}
    again = compared(pair, repair=True)
    assert again.equal, again.differences
    assert 1 == again.repaired_views


def test_truth_that_is_not_whole_is_said_and_nothing_copied_from_it(pair: Pair) -> None:
    """What the follower has is then the better copy."""
    (lost,) = pair.rows(
        pair.truth, "DELETE FROM stored_events WHERE notification_id = 800 RETURNING *"
    )
    try:
        found = compared(pair, repair=True)
    finally:
        marks = ", ".join(["%s"] * len(lost))
        pair.rows(pair.truth, f"INSERT INTO stored_events VALUES ({marks})", *lost)

    assert "stored_events of the truth" in {place for place, _, _ in named(found)}
    assert 1 == len(
        pair.rows(pair.follower, "SELECT 1 FROM stored_events WHERE notification_id = 800")
    )
    assert compared(pair).equal


def test_difference_says_which_row_and_both_values() -> None:
    """As an operator reads it."""
    assert (
        "stored_events 700, column actor: trader where it is right, else where it was looked at"
        == str(Difference("stored_events", "700", "actor", "trader", "else"))
    )
