"""A store of before, whose operators' keys stood among the traders', is brought to today's."""

import asyncio
import uuid
from collections.abc import Callable, Iterator

import psycopg
import pytest
from psycopg import sql

from application.audit.verify import verify
from application.commands import CancelOrder, ChargeFee, Deposit, PlaceOrder, TransferPosition
from application.log.ports import RequestKey
from application.writer.sequencer import Sequencer
from domain.events import CashDeposited
from domain.identifiers import operators_of
from domain.terms import Side
from infrastructure.database import EmbeddedServer
from infrastructure.log.audit_source import PostgresAuditSource, StoredCodec
from infrastructure.log.memory import MemoryLog
from infrastructure.log.snapshots import PostgresSnapshots
from infrastructure.log.writing import PostgresEventLog
from migrations.runner import migrate
from tests.keys import store_keys
from tests.model.audited_flow import audited
from tests.model.desk_harness import trading_desk
from tests.model.event_rows import append_events
from tests.model.memory_writer import SetClock, logged

BEFORE = 9
"""The last migration that keeps the keys of both together."""


@pytest.fixture
def old(postgres: EmbeddedServer) -> Iterator[str]:
    """A schema as it was, with a log in it; its name."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    migrate(postgres.dsn(), name, BEFORE)
    yield name
    with psycopg.connect(postgres.dsn(), autocommit=True) as conn:
        conn.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(name)))


def together(key: RequestKey) -> RequestKey:
    """A key as it was stored: an operator's under the account's own id."""
    own = operators_of(key.account_id)
    return key._replace(account_id=own) if own.version == 7 else key


def keep(dsn: str, schema: str, keys: list[RequestKey]) -> None:
    """Store request keys as they are."""
    table = sql.Identifier(schema, "request_keys")
    with psycopg.connect(dsn) as conn, conn.cursor() as cursor:
        cursor.executemany(sql.SQL("INSERT INTO {} VALUES (%s, %s, %s, %s)").format(table), keys)


def kept(dsn: str, schema: str) -> set[tuple[uuid.UUID, str, bytes, int]]:
    """The request keys in a store."""
    table = sql.Identifier(schema, "request_keys")
    with psycopg.connect(dsn) as conn:
        return set(conn.execute(sql.SQL("SELECT * FROM {}").format(table)).fetchall())


def one_of_each() -> MemoryLog:
    """A log in which operators move holdings, the second into a position that is there."""
    venue = trading_desk()
    stranger = venue.account("stranger")
    for number in range(2):
        venue.ok(TransferPosition(stranger, "X", 10**8, 500, f"in {number}"))
    venue.send(TransferPosition(stranger, "NOPE", 10**8, 500, "nowhere"))
    venue.ok(ChargeFee(stranger, 5, "fee"))
    venue.send(CancelOrder(stranger, uuid.uuid4(), "", "deposit"))
    venue.place(stranger, Side.BUY, 1, 90, client="placed")
    log = logged(venue)
    firsts: dict[uuid.UUID, int] = {}
    for position, event in enumerate(log.events(), 1):
        firsts.setdefault(event.correlation_id, position)
    for name, key in list(log.keys.items()):
        # A writer keeps a key where its command begins.
        correlation_id = log.events()[key.position - 1].correlation_id
        log.keys[name] = key._replace(position=firsts[correlation_id])
    return log


def market() -> MemoryLog:
    """The log of a lively market."""
    return audited(3, 200).log


@pytest.mark.parametrize(
    ("lived", "wanted"),
    [
        (one_of_each, {"position.transferred.v1", "account.fee_charged.v1"}),
        (market, {"account.deposited.v1", "position.opened.v1"}),
    ],
    ids=["one of each", "a market"],
)
def test_operators_keys_of_before_are_moved_and_still_answer(
    postgres: EmbeddedServer, old: str, lived: Callable[[], MemoryLog], wanted: set[str]
) -> None:
    """Each stands where a request of today looks for it, its event unchanged; no other moves."""
    dsn, log = postgres.dsn(), lived()
    today = set(log.keys.values())
    append_events(dsn, old, log.events())
    keep(dsn, old, [together(key) for key in today])
    assert kept(dsn, old) != today

    migrate(dsn, old)
    store_keys(dsn, old, log)

    assert today == kept(dsn, old)
    moved = {log.rows[key.position - 1].topic for key in today if key.account_id.version == 8}
    assert {"account.request_refused.v1"} | wanted <= moved
    with PostgresAuditSource(dsn, old) as source:
        report = verify(source, StoredCodec())
    assert report.ok, report.violations


def test_operator_who_asks_again_after_the_move_is_answered_and_a_trader_is_not_kept_out(
    postgres: EmbeddedServer, old: str
) -> None:
    """A deposit of before is not made twice, and its key is free for an order."""
    dsn, log = postgres.dsn(), market()
    append_events(dsn, old, log.events())
    keep(dsn, old, [together(key) for key in log.keys.values()])
    migrate(dsn, old)
    first = next(event for event in log.events() if isinstance(event, CashDeposited))
    again = Deposit(first.originator_id, first.amount, first.request_key, first.description)
    order = PlaceOrder(first.originator_id, "NOPE", 1, 2, 1, 10**8, 10**11, 0, first.request_key)

    async def ask() -> None:
        store = PostgresEventLog(dsn, old, 0)
        clock = SetClock()
        clock.at = log.events()[-1].at
        writer = Sequencer(store, PostgresSnapshots(dsn, old), clock, say=lambda _: None)
        running = asyncio.create_task(writer.run())
        await writer.ready.wait()
        assert (await writer.send(again)).duplicate
        refused = (await writer.send(order)).refusal
        assert refused is not None
        assert "UNKNOWN_INSTRUMENT" == refused.code
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await store.close()

    asyncio.run(ask())
