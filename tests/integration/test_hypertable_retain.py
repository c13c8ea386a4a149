"""Old parts of the log are told with what keeps them, and none is dropped."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest

from infrastructure.log.archive_export import Stretch, export
from infrastructure.log.archive_store import ArchivedStore
from infrastructure.log.layouts import Layout
from infrastructure.log.retention import OldPart, old_parts
from infrastructure.log.upkeep import keep
from tests.conftest import CHUNKED, Schema, dsn_of
from tests.model.event_streams import EventStream
from tests.model.projecting import nexus
from tests.stores import Store, fill, store_of

DAY = timedelta(days=1)


@pytest.fixture(scope="module", params=CHUNKED, ids=str)
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    """A store of three days, each in its part."""
    stream = EventStream(seed=3).some_market()
    for _ in range(3):
        stream.some_commands(60)
        stream.at += 86_400_000_000
    with store_of(dsn_of(request, request.param), request.param) as made:
        asyncio.run(fill(made, stream.events))
        with psycopg.connect(made.dsn, autocommit=True) as conn:
            keep(conn, made.schema, made.layout)
        yield made


def parts_of(store: Store) -> list[OldPart]:
    """Its parts, but for the last day's."""
    ((newest,),) = store.rows("SELECT max(recorded_at) FROM stored_events")
    with psycopg.connect(store.dsn) as conn:
        return old_parts(conn, store.schema, store.layout, newest)


def test_old_parts_are_told_with_what_asks_for_them(store: Store) -> None:
    """Their positions follow each other; request keys and lives that go on are counted."""
    first, second = parts_of(store)

    assert (1, first.last_position + 1) == (first.first_position, second.first_position)
    ((keys,),) = store.rows(
        "SELECT count(*) FROM request_keys WHERE position <= %s", first.last_position
    )
    assert keys == first.keys > 0
    ((living,),) = store.rows(
        "SELECT count(*) FROM stream_heads WHERE first_at < %s AND last_at >= %s",
        first.end, first.end,
    )  # fmt: skip
    assert living == first.living > 0


def test_part_is_archived_when_all_of_it_is(store: Store, tmp_path: Path) -> None:
    """An archive that ends within a part does not hold it."""
    first, second = parts_of(store)
    archive = export(
        ArchivedStore(store.dsn, store.schema), tmp_path, Stretch(up_to=first.last_position + 1)
    )
    assert [True, False, False] == [
        first.archived(archive), second.archived(archive), first.archived(None)
    ]  # fmt: skip


def test_command_tells_old_parts_and_drops_nothing(store: Store, tmp_path: Path) -> None:
    """With an archive that says what the store says; one that does not is refused."""
    if store.layout is not Layout.NATIVE:
        pytest.skip("a process on one layout shows it")
    rows = store.positions()
    export(ArchivedStore(store.dsn, store.schema), tmp_path, Stretch())
    asked = ("timescale", "retain", "--older-than", "1", "--archive", str(tmp_path), "--json")
    process = nexus(Schema(store.dsn, store.schema), *asked)
    out, errors = process.communicate(timeout=60)

    assert 0 == process.returncode, errors
    told = json.loads(out)
    assert 0 == told["dropped"]
    assert all(part["archived"] for part in told["parts"]) and len(told["parts"]) >= 2
    assert rows == store.positions()

    store.rows("UPDATE stored_events SET actor = 'another' WHERE notification_id = 5")
    refused = nexus(Schema(store.dsn, store.schema), *asked)
    _, errors = refused.communicate(timeout=60)
    assert 1 == refused.returncode and "positions 1 to" in errors
