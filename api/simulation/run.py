"""One simulated day through the real writer, store and projector, and what its books say."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import psycopg
from psycopg import sql

from application.audit.reconcile import Reconciliation
from application.audit.verify import Report, verify
from application.desk.state import state_hash
from application.log.ports import Fenced
from application.rehearsal.simulated_day.day import Day, DayClock, SimulationFailed
from application.rehearsal.simulated_day.exact_books import ExactBooks
from application.rehearsal.simulated_day.statements import (
    LEDGER_KEEPS,
    MONEY,
    SHARES,
    Amount,
    Difference,
    Line,
    Statement,
    compare,
    desk_statement,
    ledger_lines,
    share_lines,
)
from application.writer.loading import load_desk
from application.writer.sequencer import Sequencer
from domain.identifiers import NO_ID
from domain.money import USD_SCALE, to_text
from domain.terms import Ledger
from infrastructure.log.audit_source import PostgresAuditSource, StoredCodec
from infrastructure.log.snapshots import PostgresSnapshots
from infrastructure.log.source import PostgresEventSource
from infrastructure.log.stores import Stores
from infrastructure.log.writing import PostgresEventLog
from migrations.runner import migrate
from projections import tracking
from projections.balances import list_accounts
from projections.connections import Connection
from projections.ledger import all_balances
from projections.positions import list_positions
from projections.runner import Runner
from projections.views import all_views

MARK = "made by nexus simulate"
SHOWN = 20
_PAGE = 5_000
_LOCK_SECONDS = 20

Say = Callable[[str], object]


class Compared(NamedTuple):
    """One comparison of all books, and where it was made."""

    lines: int
    differences: list[Difference]
    ledger_sum: int
    stopped_views: list[str]


@contextmanager
def schema_of_its_own(dsn: str, schema: str, *, keep: bool, say: Say) -> Iterator[None]:
    """A fresh schema that is gone afterwards, however it ends; else it is said that it stands."""
    name = sql.Identifier(schema)
    try:
        migrate(dsn, schema)
        with psycopg.connect(dsn, autocommit=True) as conn:
            conn.execute(sql.SQL("COMMENT ON SCHEMA {} IS {}").format(name, sql.Literal(MARK)))
        yield
    finally:
        if keep:
            say(f"schema {schema} stands")
        else:
            try:
                with psycopg.connect(dsn, autocommit=True) as conn:
                    conn.execute(f"SET lock_timeout TO '{_LOCK_SECONDS}s'")
                    conn.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(name))
            except BaseException as error:
                say(f"schema {schema} was left behind ({error}); DROP SCHEMA {schema} CASCADE")
                raise


async def simulate(
    dsn: str,
    schema: str,
    *,
    trades: int,
    seed: int,
    progress: Callable[[int], object] | None = None,
    say: Say = bool,
) -> dict[str, Any]:
    """Live the day in a migrated schema and compare its books; raises SimulationFailed."""
    began_ns = time.perf_counter_ns()
    log = PostgresEventLog(dsn, schema, 0)
    snapshots = PostgresSnapshots(dsn, schema)
    clock = DayClock()
    complaints: list[str] = []
    writer = Sequencer(log, snapshots, clock, say=complaints.append)
    writing = asyncio.ensure_future(writer.run())
    day = Day(writer.submit, log, clock, trades=trades, seed=seed, progress=progress)
    books = _Books(dsn, schema, log)
    try:
        await _while_writing(writing, writer.ready.wait())
        await _while_writing(writing, day.trade())
        say(f"{day.seen.counts['trades']:,} trades done; comparing the books before settlement")
        at_close = await books.compare(desk_statement(writer.desk))
        await _while_writing(writing, day.settle())
        say(f"{day.seen.counts['settled']:,} obligations settled; comparing the books again")
        at_end = await books.compare(desk_statement(writer.desk))
        say("verifying the log and replaying it")
        report = await asyncio.to_thread(_verify, dsn, schema)
        replayed, _ = await load_desk(log, snapshots, 0)
        hashes = state_hash(writer.desk).hex(), state_hash(replayed).hex()
    except SimulationFailed as failure:
        raise SimulationFailed("; ".join((str(failure), *complaints))) from failure
    finally:
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)
        await books.close()
        await log.close()
    facts = {
        **_counts(day, seed),
        **_compared(at_close, at_end),
        **_judged(report, hashes),
        "seconds": round((time.perf_counter_ns() - began_ns) / 1e9, 1),
    }
    return {"ok": is_well(facts), **facts}


def is_well(facts: dict[str, Any]) -> bool:
    """Whether nothing differs, nothing is lost, and the log replays to the live state."""
    nothing = (
        *("penny_differences", "orphans", "overfilled_groups", "bare_positions"),
        *("unsettled", "violations"),
    )
    return (
        all(facts[name] == 0 for name in nothing)
        and facts["ledger_sum"] == "0.00"
        and facts["replay_equals_live"]
        and not facts["stopped_views"]
    )


class _Books:
    """The books beside the writer's: each reads the log on from where it stood."""

    def __init__(self, dsn: str, schema: str, log: PostgresEventLog) -> None:
        self._stores = Stores(dsn, schema)
        self._log = log
        self._source = PostgresEventSource(dsn, schema)
        self._projector = Runner(self._connect, self._source, all_views())
        self._exact = ExactBooks()
        self._ledger = Reconciliation()
        self._read_to = 0

    async def compare(self, writer: Statement) -> Compared:
        """Bring all books to the end of the log and hold them against each other."""
        while page := await self._log.read(self._read_to, _PAGE):
            self._exact.take(page)
            self._ledger.add(page)
            self._read_to = page[-1].position
        postings = {(row.party, row.ledger): row.amount for row in self._ledger.balances()}
        conn = await self._connect()
        try:
            stopped = await self._project(conn)
            views = await _views_statement(conn)
            in_view = {
                (row.party, Ledger(row.ledger).name.lower()): row.amount
                for row in await all_balances(conn)
            }
        finally:
            await conn.close()
        lines, differences = compare(
            [
                writer,
                views,
                Statement("ledger view", LEDGER_KEEPS, ledger_lines(in_view)),
                Statement("postings", LEDGER_KEEPS, ledger_lines(postings)),
                self._exact.statement(),
            ]
        )
        uneven = self._ledger.total or sum(in_view.values()) or len(self._ledger.unbalanced)
        return Compared(lines, differences, uneven, stopped)

    async def _project(self, conn: Connection) -> list[str]:
        """Let the views take in all of the log; those that an error stopped."""
        while await tracking.views_position(conn) < self._read_to:
            if not await self._projector.step() and await tracking.stopped(conn):
                break
        return sorted(await tracking.stopped(conn))

    async def close(self) -> None:
        """Leave the server."""
        await self._projector.close()
        await self._source.close()

    async def _connect(self) -> psycopg.AsyncConnection[Any]:
        conn, _ = await self._stores.connect("nexus simulate", names=True)
        return conn


async def _views_statement(conn: Connection) -> Statement:
    """What the views say, as anybody may ask them."""
    lines: dict[Line, Amount] = {}
    for account in await list_accounts(conn):
        told = (account.cash, account.receivable, account.payable, account.commissions)
        for what, amount in zip(MONEY, told, strict=True):
            lines[Line(account.account_id, NO_ID, what)] = amount
        for held in await list_positions(conn, account.account_id, include_flat=True):
            lines |= share_lines(held.account_id, held.instrument_id, held)
    return Statement("views", frozenset({*MONEY, *SHARES}), lines)


async def _while_writing(writing: asyncio.Future[None], work: Coroutine[Any, Any, Any]) -> None:
    """Wait for the work; a writer that ends first ends it too."""
    task = asyncio.ensure_future(work)
    try:
        either: set[asyncio.Future[Any]] = {task, writing}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if writing.done():
            writing.result()
        await task
    except Fenced as error:
        raise SimulationFailed("another writer took the schema over") from error
    finally:
        if not task.done():
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def _verify(dsn: str, schema: str) -> Report:
    with PostgresAuditSource(dsn, schema) as source:
        return verify(source, StoredCodec())


# What is told of it


def _counts(day: Day, seed: int) -> dict[str, Any]:
    counts = day.seen.counts
    names = (
        *("trades", "orders", "groups", "busts", "corrections", "settled", "failed"),
        *("partial_fills", "cancels", "replaces", "expiries", "stops_elected", "halts"),
        "remainders_traded",
    )
    return {
        **{name: counts[name] for name in names},
        "group_ends": dict(sorted(day.seen.group_ends.items())),
        "unsettled": len(day.seen.obligations),
        "orphans": day.seen.orphans,
        "overfilled_groups": day.seen.overfilled,
        "bare_positions": day.seen.bare,
        "working_orders": len(day.seen.working),
        "refused": dict(sorted(day.seen.refused.items())),
        "commands": day.commands,
        "seed": seed,
    }


def _compared(at_close: Compared, at_end: Compared) -> dict[str, Any]:
    differences = [
        f"{when}: {difference}"
        for when, compared in (("before settlement", at_close), ("at the end", at_end))
        for difference in compared.differences
    ]
    return {
        "ledger_sum": to_text(at_close.ledger_sum or at_end.ledger_sum, USD_SCALE),
        "lines_compared": at_close.lines + at_end.lines,
        "penny_differences": len(differences),
        "differences": differences[:SHOWN],
        "stopped_views": at_end.stopped_views,
    }


def _judged(report: Report, hashes: tuple[str, str]) -> dict[str, Any]:
    """What the second bookkeeper found, and whether the log replays to the live state."""
    live, replayed = hashes
    return {
        "events": report.events,
        "violations": sum(check.failed for check in report.checks),
        "violated": [f"{v.check} at {v.position}: {v.message}" for v in report.violations[:SHOWN]],
        "replay_equals_live": live == replayed,
        "state_hash": live,
    }
