"""What every recorder of events keeps to: in memory, in a table, in chunks, a follower, an archive.

The same log stands in each, and each is asked the same questions; what is expected is counted out
from the events themselves.
"""

from __future__ import annotations

import asyncio
import random
import tempfile
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest
from eventsourcing.persistence import Notification, StoredEvent

from application.audit.verify import verify
from application.desk.desk import Desk
from application.desk.following import follow
from application.desk.state import dump, state_hash
from application.log.ports import DeskSnapshot, Recorded
from application.log.replay import aggregate_at, desk_at, position_at
from application.writer.loading import load_desk
from domain.events import DomainEvent, OrderAccepted, OrderCanceled, OrderFilled
from infrastructure.log.archive_export import export
from infrastructure.log.archive_log import ArchiveLog
from infrastructure.log.archive_store import ArchivedStore
from infrastructure.log.audit_source import PostgresAuditSource, StoredCodec
from infrastructure.log.codec import encode_event, typed_columns
from infrastructure.log.layouts import Layout
from infrastructure.log.library import Datastore, LibraryRepository, LogRecorder
from infrastructure.log.memory import MemoryLog, MemorySnapshots
from infrastructure.log.snapshots import PostgresSnapshots
from infrastructure.log.source import PostgresEventSource
from infrastructure.log.writing import PostgresEventLog
from tests.conftest import dsn_of
from tests.model.command_flow import InMemoryVenue, lived
from tests.model.stored_flow import batches
from tests.stores import Store, leading_in, pair_of, say, store_of

TOPICS = (OrderFilled.TOPIC, OrderCanceled.TOPIC)


@cache
def flow() -> InMemoryVenue:
    """A market with trades, groups, busts and corrections."""
    return lived(11, 500)


@cache
def events() -> Sequence[DomainEvent]:
    """Every event of it."""
    return flow().log.events()


def log() -> list[Recorded]:
    """Its events with their positions."""
    return [Recorded(position, event) for position, event in enumerate(events(), 1)]


async def keep(store: Store, follower: Store | None = None) -> None:
    """Append the whole log as a writer does; with a follower to both."""
    async with leading_in(store) as writer:
        if follower is not None:
            say(store, "both", follower)
        for batch in batches(flow()):
            await writer.append(batch)


STORES = [
    "plain",
    "native",
    pytest.param("hypertable", marks=pytest.mark.timescale),
    pytest.param("timescale", marks=pytest.mark.timescale),
    "native follower",
    "plain follower",
    pytest.param("timescale follower", marks=pytest.mark.timescale),
]
"""A follower's log came by a writer in mode both."""
ARCHIVE = "archive"
"""Of the plain store, and read without one."""

of_stores = pytest.mark.parametrize("kept", STORES, indirect=True)
of_all = pytest.mark.parametrize("kept", ["memory", *STORES, ARCHIVE], indirect=True)

Kept = MemoryLog | Store | ArchiveLog


@pytest.fixture(scope="module")
def made() -> Iterator[tuple[ExitStack, dict[str, Kept]]]:
    """The recorders that were made; they stay until the last test of this file."""
    with ExitStack() as stack:
        yield stack, {"memory": flow().log}


@pytest.fixture
def kept(request: pytest.FixtureRequest, made: tuple[ExitStack, dict[str, Kept]]) -> Kept:
    """The log in a recorder of a kind."""
    stack, known = made
    kind = str(request.param)
    if kind == ARCHIVE and kind not in known:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        with store_of(dsn_of(request, Layout.PLAIN), Layout.PLAIN) as archived:
            asyncio.run(keep(archived))
            export(ArchivedStore(*archived.address), directory / "log", rows_in_range=700)
        known[kind] = ArchiveLog(directory / "log")
    elif kind not in known:
        layout = Layout(kind.removesuffix(" follower"))
        dsn = dsn_of(request, layout)
        if kind.endswith(" follower"):
            other = Layout.NATIVE if layout is Layout.PLAIN else Layout.PLAIN
            truth, one = stack.enter_context(pair_of(dsn, other, layout))
            asyncio.run(keep(truth, one))
            assert "both" == truth.mode()
        else:
            one = stack.enter_context(store_of(dsn, layout))
            asyncio.run(keep(one))
        known[kind] = one
    return known[kind]


Question = Callable[[Any], Awaitable[Any]]


def ask(kept: Kept, *questions: Question) -> list[Any]:
    """What a reader of a recorder answers; pinned, for a follower would send it to its truth."""

    async def work() -> list[Any]:
        if isinstance(kept, MemoryLog | ArchiveLog):
            return [await question(kept) for question in questions]
        async with PostgresEventSource(kept.dsn, kept.schema, pinned=True) as reader:
            return [await question(reader) for question in questions]

    return asyncio.run(work())


def chosen(judge: Callable[[int, DomainEvent], bool]) -> list[Recorded]:
    """The log's events of a kind."""
    return [one for one in log() if judge(one.position, one.event)]


@of_all
def test_event_store_contract_reads_the_log_by_position(kept: Kept) -> None:
    """In pages of any size, by ranges and by single positions, with topics and without."""
    last = len(events())
    sizes = (99, 256, 4_000)
    pages = ask(kept, *[lambda r, size=size: _paged(r, size) for size in sizes])
    assert [log()] * len(sizes) == pages

    spread = [7, 300, 300, 2, last, 257, 256]
    answers = ask(
        kept,
        lambda r: r.last_position(),
        lambda r: r.read(last, 10),
        lambda r: r.read(last - 3, 10),
        lambda r: r.read(0, 25, topics=TOPICS),
        lambda r: r.read(100, 10_000, topics=TOPICS),
        lambda r: r.read_range(100, 700),
        lambda r: r.read_range(100, 700, topics=TOPICS),
        lambda r: r.read_range(last - 1, last + 50),
        lambda r: r.read_at(spread),
        lambda r: r.read_at([]),
    )
    of_topics = chosen(lambda _, event: event.TOPIC in TOPICS)
    assert [
        last,
        [],
        log()[-3:],
        of_topics[:25],
        [one for one in of_topics if one.position > 100],
        log()[100:700],
        [one for one in of_topics if 100 < one.position <= 700],
        log()[-1:],
        [log()[position - 1] for position in sorted(set(spread))],
        [],
    ] == [answers[0], *map(list, answers[1:])]


async def _paged(reader: Any, size: int) -> list[Recorded]:
    found: list[Recorded] = []
    while page := await reader.read(found[-1].position if found else 0, size):
        assert len(page) <= size
        found += page
    return found


@of_all
@pytest.mark.parametrize("far", [30_000, 2**31 - 7, 2**45])
def test_event_store_contract_has_room_for_every_position(kept: Kept, far: int) -> None:
    """Numbers that just fit a narrower type are positions as good as any: nothing stands there."""
    anybody = events()[0].originator_id
    answers = ask(
        kept,
        lambda r: r.read(far, 5_000),
        lambda r: r.read(far, 5_000, topics=TOPICS),
        lambda r: r.read_range(far, far + 5_000),
        lambda r: r.read_range(far, far + 5_000, topics=TOPICS),
        lambda r: r.lives([anybody], after=far, limit=5_000),
        lambda r: r.stream(anybody, far, far + 5_000),
        lambda r: r.read_of_account(anybody, far, far + 5_000, 5_000, TOPICS),
    )
    assert [[]] * len(answers) == [list(answer) for answer in answers]


@of_all
def test_event_store_contract_reads_the_log_by_aggregate_and_account(kept: Kept) -> None:
    """One life whole or in part, several together, how they began, and all of one account."""
    lives: dict[UUID, list[Recorded]] = {}
    for one in log():
        lives.setdefault(one.event.originator_id, []).append(one)
    longest = max(lives, key=lambda identifier: len(lives[identifier]))
    some = random.Random(3).sample(sorted(lives), 20)
    nobody = uuid4()
    account = next(e.account_id for e in events() if isinstance(e, OrderAccepted))
    middle = len(events()) // 2

    answers = ask(
        kept,
        lambda r: r.stream(longest),
        lambda r: r.stream(longest, 3),
        lambda r: r.stream(longest, 3, 7),
        lambda r: r.stream(longest, 0, 1),
        lambda r: r.stream(nobody),
        lambda r: r.lives([*some, nobody], after=0, limit=10_000),
        lambda r: r.lives(some, after=middle, limit=9),
        lambda r: r.first_events([*some, nobody]),
        lambda r: r.first_events([]),
        lambda r: r.read_of_account(account, 0, len(events()), 10_000, TOPICS),
        lambda r: r.read_of_account(account, 200, middle, 5, TOPICS),
    )

    together = chosen(lambda _, event: event.originator_id in some)
    of_account = chosen(
        lambda _, event: event.TOPIC in TOPICS and typed_columns(event).account_id == account
    )
    assert [
        lives[longest],
        lives[longest][3:],
        lives[longest][3:7],
        lives[longest][:1],
        [],
        together,
        [one for one in together if one.position > middle][:9],
        sorted(lives[one][0] for one in some),
        [],
        of_account,
        [one for one in of_account if 200 < one.position <= middle][:5],
    ] == [*map(list, answers[:7]), sorted(answers[7]), *map(list, answers[8:])]
    assert [*map(len, answers[9:])] != [0, 0]


@of_all
def test_event_store_contract_knows_every_request_key(kept: Kept) -> None:
    """However old; who writes reads them all by account and key, page by page."""
    keys = flow().log.keys
    assert len(keys) > 300
    some = random.Random(4).sample(sorted(keys), 15)
    answers = ask(kept, *[lambda r, key=key: r.find_key(*key) for key in [*some, (uuid4(), "x")]])
    assert [*[keys[one] for one in some], None] == answers
    if isinstance(kept, ArchiveLog):
        return

    async def work() -> None:
        writer = PostgresEventLog(kept.dsn, kept.schema, 0) if isinstance(kept, Store) else kept
        middle = len(events()) // 2
        found: list[tuple[UUID, str]] = []
        while page := await writer.keys_up_to(middle, found[-1] if found else None, 100):
            assert len(page) <= 100
            found += page
        assert sorted(one for one, key in keys.items() if key.position <= middle) == found
        if isinstance(writer, PostgresEventLog):
            await writer.close()

    asyncio.run(work())


@of_all
def test_event_store_contract_is_replayed_to_any_moment(kept: Kept) -> None:
    """The desk, one aggregate, and the position of an instant are what the log says."""
    desk, middle = Desk(), Desk()
    half = len(events()) // 2
    follow(desk, log())
    follow(middle, log()[:half])
    account = next(iter(desk.accounts.by_id.values()))
    at = events()[half].at
    none = MemorySnapshots()

    whole, part, life, position = ask(
        kept,
        lambda r: load_desk(r, none, 0),
        lambda r: desk_at(r, none, half),
        lambda r: aggregate_at(r, account.id, len(events())),
        lambda r: position_at(r, at),
    )

    assert state_hash(desk) == state_hash(whole[0])
    assert dump(middle) == dump(part.desk)
    assert account.state() == life.state()
    assert max(n for n, event in log() if event.at <= at) == position


@of_stores
def test_event_store_contract_passes_the_audit(kept: Store) -> None:
    """The second bookkeeper finds whole rows, in order, columns and keys as they must be."""
    with PostgresAuditSource(kept.dsn, kept.schema, pinned=True) as source:
        report = verify(source, StoredCodec())
        assert report.ok, report
        assert len(events()) == report.events == source.last_position()
        assert len(flow().log.keys) == source.key_count()
        rows = source.page(100, 50)
        assert [one.position for one in log()[100:150]] == [row[0] for row in rows]
        assert [encode_event(one.event) for one in log()[100:150]] == [row[4] for row in rows]


@of_stores
def test_event_store_contract_answers_the_librarys_recorder(kept: Store) -> None:
    """`select_events` and `select_notifications` with every combination of their arguments."""
    stored = [
        Notification(e.originator_id, e.originator_version, e.TOPIC, encode_event(e), position)
        for position, e in log()
    ]
    counted = Counter(one.originator_id for one in stored)
    ((identifier, count),) = counted.most_common(1)
    stream = [
        StoredEvent(one.originator_id, one.originator_version, one.topic, one.state)
        for one in stored
        if one.originator_id == identifier
    ]
    datastore = Datastore(kept.dsn, kept.schema)
    try:
        recorder = LogRecorder(datastore, kept.layout)
        for gt, lte, desc, limit in product(
            (None, 0, 3, count), (None, 2, 9), (False, True), (None, 4)
        ):
            expected = [
                one
                for one in stream
                if one.originator_version > (gt or 0)
                and (lte is None or one.originator_version <= lte)
            ]
            expected = (expected[::-1] if desc else expected)[:limit]
            found = recorder.select_events(identifier, gt=gt, lte=lte, desc=desc, limit=limit)
            assert expected == found, (gt, lte, desc, limit)
        assert [] == recorder.select_events(uuid4())
        arguments = product(
            (None, 1, 255, 1_000), (None, 900), ((), TOPICS), (True, False), (7, 10**6)
        )
        for start, stop, topics, inclusive, limit in arguments:
            expected = [
                one
                for one in stored
                if (start is None or one.id > start or (inclusive and one.id == start))
                and (stop is None or one.id <= stop)
                and (not topics or one.topic in topics)
            ][:limit]
            found = recorder.select_notifications(
                start, limit, stop, topics, inclusive_of_start=inclusive
            )
            assert expected == found, (start, stop, topics, inclusive, limit)
        assert len(stored) == recorder.max_notification_id()
        with recorder.subscribe(gt=len(stored) - 600, topics=()) as subscription:
            followed = [next(subscription) for _ in range(600)]
        assert stored[-600:] == followed
    finally:
        datastore.close()


@of_stores
def test_event_store_contract_loads_aggregates_the_librarys_way(kept: Store) -> None:
    """Whole, at a version, and from a snapshot; what there is none of is none."""
    desk = Desk()
    follow(desk, log())
    account = max(desk.accounts.by_id.values(), key=lambda one: one.version)
    order = next(e.originator_id for e in events() if isinstance(e, OrderAccepted))
    with LibraryRepository(kept.dsn, kept.schema, pinned=True) as repository:
        found: Any = repository.get(account.id)
        assert account.state() == found.state()
        before: Any = None
        for event in [e for e in events() if e.originator_id == account.id][:3]:
            before = event.mutate(before)
        found = repository.get(account.id, 3)
        assert before.state() == found.state()
        assert repository.get(order) is not None
        assert repository.get(uuid4()) is None


def test_event_store_contract_begins_with_snapshots(target_store: Store) -> None:
    """The newest that fits is where a replay begins, of the desk and of one aggregate; what comes
    out is the same.
    """
    asyncio.run(keep(target_store))
    half, whole = Desk(), Desk()
    follow(half, log()[: len(events()) // 2])
    follow(whole, log())
    account = max(half.accounts.by_id.values(), key=lambda one: one.version)
    state = msgspec.msgpack.Encoder(uuid_format="bytes").encode(account.state())

    async def work() -> None:
        snapshots = PostgresSnapshots(target_store.dsn, target_store.schema)
        await snapshots.save(
            DeskSnapshot(half.position, state_hash(half), dump(half)), half.last_at
        )
        await snapshots.save_aggregates([(account.id, account.version, account.KIND, state)])
        assert half.position == (await snapshots.latest()).position  # type: ignore[union-attr]
        async with PostgresEventSource(target_store.dsn, target_store.schema) as reader:
            again = await desk_at(reader, snapshots, len(events()))
        assert (half.position, dump(whole)) == (again.from_snapshot, dump(again.desk))

    asyncio.run(work())
    # Only the snapshot can say what came before it.
    target_store.rows(
        "DELETE FROM stored_events WHERE originator_id = %s AND originator_version <= %s",
        account.id,
        account.version,
    )
    with LibraryRepository(target_store.dsn, target_store.schema) as repository:
        found: Any = repository.get(account.id)
    now = next(one for one in whole.accounts.by_id.values() if one.id == account.id)
    assert now.state() == found.state()


def test_event_store_contract_wakes_the_librarys_subscription(target_store: Store) -> None:
    """What a writer appends while it waits arrives, in order and once."""
    datastore = Datastore(target_store.dsn, target_store.schema)
    try:
        with LogRecorder(datastore, target_store.layout).subscribe(gt=0) as subscription:
            asyncio.run(keep(target_store))
            ids = [next(subscription).id for _ in events()]
        assert list(range(1, len(events()) + 1)) == ids
    finally:
        datastore.close()
