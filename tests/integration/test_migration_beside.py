"""What stands beside the log comes along, as it is now: changed rows changed, lost rows lost."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from infrastructure.database import EmbeddedServer
from infrastructure.log.follower import NotFollowing
from infrastructure.log.tables import BESIDE
from migrations.move.beside import sync_beside
from tests.moved_stores import Moved, moved_stores

EVERY = tuple(table.name for table in BESIDE)
HELD = tuple(table.name for table in BESIDE if table.held)


@pytest.fixture
def moved(postgres: EmbeddedServer) -> Iterator[Moved]:
    """Two stores, the first with some of everything beside its log."""
    with moved_stores(postgres.dsn(), events=0) as stores:
        fill(stores)
        yield stores


def fill(moved: Moved) -> None:
    """Keys, commands set aside, two FIX sessions with messages, snapshots."""
    for statement in (
        "INSERT INTO api_keys SELECT 'key ' || n, sha256(n::text::bytea), gen_random_uuid(),"
        " 'trader', now() FROM generate_series(1, 50) n",
        "INSERT INTO quarantined_commands SELECT gen_random_uuid(), now(), 'a', 'http', '\\x00',"
        " 'e' FROM generate_series(1, 3)",
        "INSERT INTO fix_sessions (sender, target, epoch, life, next_in, next_out, reserved,"
        " arrived, told, began, opened_at, saved_at) SELECT 'NEXUS', name, 1, 2, 7, 25001, 1, 0, 9,"
        " 8, now(), now() FROM unnest(ARRAY['GONE', 'ALPHA', 'BETA']) name",
        "DELETE FROM fix_sessions WHERE target = 'GONE'",
        "INSERT INTO fix_messages SELECT s.id, 2, n, n * 10, 0, n % 97, false"
        " FROM fix_sessions s, generate_series(1, 25000) n WHERE s.target = 'ALPHA' OR n > 24800",
        "INSERT INTO fix_messages SELECT s.id, -1, n, n, 0, 5, true"
        " FROM fix_sessions s, generate_series(1, 20) n",
        "INSERT INTO snapshots SELECT gen_random_uuid(), v * 1000, 'account', '\\x1234'"
        " FROM generate_series(1, 40) v",
        "INSERT INTO desk_snapshots SELECT p * 1000, part, now(), 1, sha256(p::text::bytea),"
        " '\\xff' FROM generate_series(1, 3) p, generate_series(0, 2) part",
    ):
        moved.rows(moved.source, statement)


def test_everything_beside_the_log_comes_along(moved: Moved) -> None:
    """Ids of FIX sessions as they are, and the next one is numbered as it would have been."""
    sync_beside(moved.source, moved.target)

    assert moved.same(*EVERY)
    nothing = sync_beside(moved.source, moved.target)
    assert [] == [change for change in nothing if change.deleted or change.inserted]
    open_session = (
        "INSERT INTO fix_sessions (sender, target, epoch, life, next_in, next_out, reserved,"
        " arrived, told, began, opened_at, saved_at)"
        " VALUES ('NEXUS', 'GAMMA', 1, 1, 1, 1, 1, 0, 0, 0, now(), now()) RETURNING id"
    )
    assert 4 == moved.one(moved.target, open_session)


NUMBERED = (
    "WITH s AS (UPDATE fix_sessions SET next_out = %s, saved_at = now()"
    " WHERE target = 'ALPHA' RETURNING id)"
    " INSERT INTO fix_messages SELECT id, 2, %s, 1, 0, 1, false FROM s"
)
"""A report gets its number."""

CHANGES = {
    "a key is revoked": "UPDATE api_keys SET revoked_at = now() WHERE key_id = 'key 7'",
    "a key is deleted": "DELETE FROM api_keys WHERE key_id = 'key 8'",
    "a command is taken out of quarantine": "DELETE FROM quarantined_commands",
    "a report is numbered": "WITH s AS (UPDATE fix_sessions SET next_out = 25002, saved_at = now()"
    " WHERE target = 'ALPHA' RETURNING id) INSERT INTO fix_messages"
    " SELECT id, 2, 25001, 1, 0, 1, false FROM s",
    "numbers begin anew": "WITH s AS (UPDATE fix_sessions SET life = 3, next_out = 1,"
    " saved_at = now() WHERE target = 'BETA' RETURNING id) UPDATE fix_messages m SET life = -m.life"
    " FROM s WHERE m.session_id = s.id AND m.life = 2 AND m.seq_num > 24900",
    "what was uncertain arrived": "DELETE FROM fix_messages WHERE life < 0",
    "a session is opened": "INSERT INTO fix_sessions (sender, target, epoch, life, next_in,"
    " next_out, reserved, arrived, told, began, opened_at, saved_at)"
    " VALUES ('NEXUS', 'NEW', 1, 1, 1, 1, 1, 0, 0, 0, now(), now())",
}


@pytest.mark.parametrize("final", [False, True], ids=["again and again", "in a switch"])
def test_whatever_changes_beside_the_log_is_brought(moved: Moved, final: bool) -> None:
    """By the mover's next pass, and by the last one, which looks at less."""
    sync_beside(moved.source, moved.target)
    for what, statement in CHANGES.items():
        moved.rows(moved.source, statement)
        assert not moved.same(*HELD), what
        sync_beside(moved.source, moved.target, final=final)
        assert moved.same(*HELD), what


def test_old_messages_and_snapshots_that_go_are_taken_out(moved: Moved) -> None:
    """Rows of former numbers are thinned out, snapshots replaced; the mover sees to it."""
    sync_beside(moved.source, moved.target)
    for statement in (
        "DELETE FROM fix_messages WHERE life = 2 AND seq_num < 12000",
        "DELETE FROM desk_snapshots WHERE position = 1000",
        "DELETE FROM snapshots WHERE originator_version < 3000",
        "UPDATE snapshots SET state = '\\x99' WHERE originator_version = 9000",
        "INSERT INTO snapshots SELECT originator_id, 77000, topic, state FROM snapshots LIMIT 1",
    ):
        moved.rows(moved.source, statement)

    changed = {change.table: change for change in sync_beside(moved.source, moved.target)}

    assert moved.same(*EVERY)
    # Two groups of ten thousand numbers: the third was left alone.
    assert (2, 11_999) == (changed["fix_messages"].groups, changed["fix_messages"].deleted)
    assert 0 == changed["api_keys"].groups


def test_two_who_bring_it_never_take_it_back(moved: Moved) -> None:
    """A switch brings it once more beside the mover: what was looked at earlier comes no later."""
    sync_beside(moved.source, moved.target)
    stop = threading.Event()
    failures: list[BaseException] = []

    def bring(final: bool) -> None:
        try:
            while not stop.is_set():
                sync_beside(moved.source, moved.target, final=final)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=bring, args=(final,)) for final in (False, True)]
    for thread in threads:
        thread.start()
    seen = []
    number = 25_001
    look = "SELECT next_out FROM fix_sessions WHERE target = 'ALPHA'"
    deadline = time.monotonic() + 2
    while time.monotonic() < deadline:
        moved.rows(moved.source, NUMBERED, number + 1, number)
        number += 1
        seen.append(moved.one(moved.target, look))
    stop.set()
    for thread in threads:
        thread.join()

    assert [] == failures
    assert sorted(seen) == seen
    assert len(set(seen)) > 1
    sync_beside(moved.source, moved.target, final=True)
    assert moved.same(*HELD)


def test_store_that_is_written_is_not_overwritten(moved: Moved) -> None:
    """What its own processes have put there since a switch is newer."""
    moved.rows(moved.target, "UPDATE writer_epoch SET writes = 'here'")

    with pytest.raises(NotFollowing):
        sync_beside(moved.source, moved.target)
    assert 0 == moved.one(moved.target, "SELECT count(*) FROM api_keys")


def test_way_back_is_kept_in_step_too(moved: Moved) -> None:
    """After a switch the old store follows the new one, in everything."""
    sync_beside(moved.source, moved.target)
    moved.rows(
        moved.source,
        "INSERT INTO writer_epoch (partition, epoch, holder, backend_pid, taken_at, writes,"
        " peer_schema) VALUES (0, 1, '', 0, now(), 'fed', %s)",
        moved.target.schema,
    )
    moved.rows(moved.target, "UPDATE writer_epoch SET writes = 'here'")
    for statement in CHANGES.values():
        moved.rows(moved.target, statement)

    sync_beside(moved.target, moved.source)

    assert moved.same(*EVERY)
