"""One venue serves a store: another one's start is refused while it does."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from api.cli.exit_codes import Exit
from api.processes import venue_claim
from api.processes.errors import VenueFailed
from api.processes.venue_claim import VenueClaim
from infrastructure.log.stores import StoreAddress
from tests.conftest import Schema
from tests.writer_process import wait_until


@pytest.fixture
def claim(schema: Schema, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], VenueClaim]]:
    """Makes claims of this store, of venues whose data directories have these names."""
    monkeypatch.setattr(venue_claim, "PATIENCE_SECONDS", 0.3)
    made: list[VenueClaim] = []

    def of(name: str) -> VenueClaim:
        made.append(VenueClaim(StoreAddress(schema.dsn, schema.schema), Path(f"/data/{name}")))
        return made[-1]

    yield of
    for one in made:
        one.end()


def test_second_venue_of_a_store_is_refused_until_the_first_is_gone(
    claim: Callable[[str], VenueClaim], schema: Schema
) -> None:
    """It is told who serves the store, and what to do; another schema is another store."""
    first, second = claim("one"), claim("two")
    first.begin()
    with pytest.raises(VenueFailed, match="is served by another venue already") as refused:
        second.begin()
    assert Exit.FENCED == refused.value.code
    assert "/data/one" in str(refused.value) and "NEXUS_SCHEMA" in str(refused.value)
    beside = VenueClaim(StoreAddress(schema.dsn, "elsewhere"), Path("/data/two"))
    beside.begin()
    beside.end()
    first.end()
    claim("three").begin()


def test_venue_that_was_cut_off_holds_its_store_again(
    claim: Callable[[str], VenueClaim], schema: Schema, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What ends its connection ends its hold for a moment; if another venue has come meanwhile, it
    may not go on.
    """
    monkeypatch.setattr(venue_claim, "LOOK_SECONDS", 0.05)
    monkeypatch.setattr(venue_claim, "AGAIN_PATIENCE_SECONDS", 0.3)
    first = claim("one")
    first.begin()
    ended = end_backends(schema)
    wait_until(lambda: holders(schema) == 1 and end_backends(schema, kill=False) != ended, "again")
    with pytest.raises(VenueFailed):
        claim("two").begin()
    assert first.lost is None

    with psycopg.connect(schema.dsn, autocommit=True) as conn:
        taking = threading.Thread(
            target=lambda: conn.execute(f"SELECT pg_advisory_lock({venue_claim._KEY})", key(schema))
        )
        taking.start()
        time.sleep(0.1)
        end_backends(schema)
        taking.join()
        wait_until(lambda: first.lost is not None, "it to miss its store")
    assert first.lost is not None and Exit.FENCED == first.lost.code


def key(schema: Schema) -> tuple[str]:
    """What the lock is made from."""
    return (schema.schema,)


def holders(schema: Schema) -> int:
    """How many hold the store."""
    with psycopg.connect(schema.dsn, autocommit=True) as conn:
        return len(conn.execute(venue_claim._HOLDER.encode(), key(schema)).fetchall())


def end_backends(schema: Schema, *, kill: bool = True) -> list[int]:
    """End, or only find, the connections that hold the store as a venue does."""
    with psycopg.connect(schema.dsn, autocommit=True) as conn:
        found = conn.execute(
            "SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'nexus venue %/data/%'"
        ).fetchall()
        pids = [pid for (pid,) in found]
        for pid in pids if kill else ():
            conn.execute("SELECT pg_terminate_backend(%s)", (pid,))
        return pids
