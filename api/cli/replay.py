"""`nexus replay`: the desk, a book or one aggregate as it stood; or a recorded run once more."""

from __future__ import annotations

import asyncio
import json
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any, NamedTuple
from uuid import UUID

import typer
import uvloop
from rich.console import Console

from api.cli.exit_codes import Exit
from api.cli.journal_replay import Difference, JournalIncomplete, replay_journal
from api.cli.printing import Table
from api.cli.reading import ArchiveOption, Pace, opened_store, say
from application.desk.desk import Desk
from application.desk.following import DeskDiverged
from application.desk.state import state_hash
from application.log.event_rendering import aggregate_document
from application.log.ports import DeskSnapshots, EventReads
from application.log.replay import (
    NotThere,
    Replayed,
    WrongTime,
    account_at,
    book_rows,
    desk_at,
    holding_at,
    market_at,
    order_at,
    position_of,
)
from domain.aggregate import Aggregate
from domain.identifiers import iso
from domain.money import QTY_SCALE, to_text
from domain.terms import Phase, Side
from infrastructure.log.archive_log import ArchiveLog
from infrastructure.log.library import LibraryRepository
from infrastructure.log.memory import MemorySnapshots
from infrastructure.log.snapshots import PostgresSnapshots
from infrastructure.log.writing import PostgresEventLog
from infrastructure.settings import Settings


def command(
    as_of: Annotated[
        str | None,
        typer.Option(help="A position, or a time as 2026-11-20T15:30:00Z.", show_default=False),
    ] = None,
    order: Annotated[UUID | None, typer.Option(help="One order.", show_default=False)] = None,
    account: Annotated[UUID | None, typer.Option(help="One account.", show_default=False)] = None,
    position: Annotated[
        tuple[str, str] | None,
        typer.Option(
            help="An account's position in a symbol.",
            metavar="ACCOUNT SYMBOL",
            show_default=False,
        ),
    ] = None,
    instrument: Annotated[
        str | None, typer.Option(help="One instrument.", show_default=False)
    ] = None,
    book: Annotated[str | None, typer.Option(help="A symbol's book.", show_default=False)] = None,
    library: Annotated[
        bool,
        typer.Option("--library", help="Load the aggregate by the library's own repository."),
    ] = False,
    commands: Annotated[
        Path | None,
        typer.Option(help="A file that `nexus serve --record` wrote.", show_default=False),
    ] = None,
    compare: Annotated[
        bool, typer.Option("--compare", help="Hold what is decided to the store, byte for byte.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One line for machines.")] = False,
    archive: ArchiveOption = None,
) -> None:
    """Show what stood at a time or position, or decide a recorded run again.

    Without an option it is the whole desk as it stands now: its figures and its state hash.

    Exit codes: 0 well, 1 what is asked for was not there, or a replay differs from the store;
    2 an option is wrong, 3 no server, 4 the schema and this program do not fit.
    """
    chosen = [option for option in (order, account, position, instrument, book) if option]
    if len(chosen) > 1 or (commands and (chosen or as_of)) or (compare and not commands):
        raise typer.BadParameter("these options do not go together")
    if library and (not chosen or book):
        raise typer.BadParameter("--library is for one aggregate")
    if archive is not None and (library or commands):
        raise typer.BadParameter("--archive is the log alone: neither --library nor --commands")
    settings = Settings.load()
    if commands is not None:
        _replay_commands(settings, commands, compare, as_json)
        return
    choice = (order, account, position, instrument, book)
    asked = _Asked(as_of, choice, library, not as_json)
    facts = _what_stood(settings, asked, archive)
    if as_json:
        print(json.dumps(facts))
    else:
        _print(facts)


Choice = tuple[UUID | None, UUID | None, tuple[str, str] | None, str | None, str | None]


class _Asked(NamedTuple):
    """What of which time is asked for."""

    as_of: str | None
    choice: Choice
    library: bool
    show: bool


def _what_stood(settings: Settings, asked: _Asked, archive: Path | None) -> dict[str, Any]:
    """Read the facts from the log; ends the command when they are not there."""
    with ExitStack() as opened:
        dsn = "" if archive is not None else opened.enter_context(opened_store(settings))
        try:
            return uvloop.run(_as_of(dsn, settings, asked, archive))
        except WrongTime as wrong:
            raise typer.BadParameter(f"{wrong} is neither a position nor a time") from None
        except NotThere as missing:
            say(str(missing))
            raise typer.Exit(Exit.CHECK_FAILED) from None
        except DeskDiverged as damaged:
            say(f"the log does not add up: {damaged}; see nexus audit verify")
            raise typer.Exit(Exit.CHECK_FAILED) from None


async def _as_of(
    dsn: str, settings: Settings, asked: _Asked, archive: Path | None
) -> dict[str, Any]:
    schema = settings.partition_schema
    log: PostgresEventLog | ArchiveLog
    snapshots: DeskSnapshots
    if archive is not None:
        log, snapshots = ArchiveLog(archive), MemorySnapshots()
    else:
        log = PostgresEventLog(dsn, schema, settings.partition)
        snapshots = PostgresSnapshots(dsn, schema)
    try:
        last = await log.last_position()
        position = last if asked.as_of is None else await position_of(log, asked.as_of)
        newest = await snapshots.latest(position)
        ahead = position - (newest.position if newest is not None else 0)
        with Pace("replaying", ahead, show=asked.show and ahead > 0) as pace:
            replayed = await desk_at(
                log, snapshots, position, partition=settings.partition, progress=pace
            )
        facts = _where(replayed, last, pace.rate)
        if asked.choice[4] is not None:
            return {**facts, **_book(replayed.desk, asked.choice[4])}
        aggregate = await _chosen(log, replayed.desk, asked.choice)
        if aggregate is None:
            return {**facts, **_summary(replayed.desk)}
        if asked.library:
            aggregate = await asyncio.to_thread(_by_library, dsn, schema, aggregate)
        decimals = _decimals(replayed.desk, aggregate)
        return {**facts, "state": aggregate_document(aggregate, decimals)}
    finally:
        await log.close()


async def _chosen(log: EventReads, desk: Desk, choice: Choice) -> Aggregate | None:
    order, account, position, instrument, _ = choice
    if order is not None:
        return await order_at(log, desk, order)
    if account is not None:
        return account_at(desk, account)
    if position is not None:
        try:
            holder = UUID(position[0])
        except ValueError:
            named = desk.accounts.by_name.get(position[0])
            if named is None:
                raise NotThere(f"account {position[0]} was not there") from None
            holder = named.id
        return holding_at(desk, holder, position[1])
    if instrument is not None:
        return market_at(desk, instrument).instrument
    return None


def _by_library(dsn: str, schema: str, aggregate: Aggregate) -> Aggregate:
    with LibraryRepository(dsn, schema) as repository:
        found = repository.get(aggregate.id, aggregate.version)
    if found is None:
        raise NotThere(f"the library's repository has no {aggregate.KIND} {aggregate.id}")
    return found


def _decimals(desk: Desk, aggregate: Aggregate) -> int:
    told: int | None = getattr(aggregate, "price_decimals", None)
    return 0 if told is None else told


def _where(replayed: Replayed, last: int, rate: int) -> dict[str, Any]:
    desk = replayed.desk
    return {
        "position": desk.position,
        "last_position": last,
        "at": iso(desk.last_at) if desk.position else None,
        "from_snapshot": replayed.from_snapshot,
        "events_replayed": replayed.events,
        "events_per_second": rate,
    }


def _summary(desk: Desk) -> dict[str, Any]:
    return {
        "state_hash": state_hash(desk).hex(),
        "accounts": len(desk.accounts.by_id),
        "instruments": len(desk.markets.by_id),
        "positions": len(desk.accounts.positions),
        "working_orders": len(desk.orders.working),
        "commands": desk.command,
    }


def _book(desk: Desk, symbol: str) -> dict[str, Any]:
    market = market_at(desk, symbol)
    instrument = market.instrument
    decimals = instrument.price_decimals
    return {
        "symbol": instrument.symbol,
        "phase": Phase(instrument.phase).name.lower(),
        "last_price": to_text(market.last_price, decimals) if market.last_price else None,
        "waiting_stops": len(market.stops),
        "orders": [
            {
                "side": Side(row.side).name.lower(),
                "price": to_text(row.price, decimals),
                "qty": to_text(row.qty, QTY_SCALE),
                "order_id": str(row.order_id),
                "account_id": str(row.account_id),
            }
            for row in book_rows(desk, market)
        ],
    }


def _print(facts: dict[str, Any]) -> None:
    console = Console()
    table = Table(show_header=False, box=None)
    for name, value in {**facts, **facts.get("state", {})}.items():
        if name not in ("orders", "state"):
            table.add_row(name, "" if value is None else str(value))
    console.print(table)
    if "orders" in facts:
        rows = Table("side", "price", "qty", "order", "account", box=None)
        for row in facts["orders"]:
            rows.add_row(*row.values())
        console.print(rows)


def _replay_commands(settings: Settings, path: Path, compare: bool, as_json: bool) -> None:
    if not path.is_file():
        raise typer.BadParameter(f"{path} is not a file")
    try:
        facts = replay_journal(settings, path, compare=compare, show=not as_json)
    except JournalIncomplete as missing:
        say(str(missing))
        raise typer.Exit(Exit.CHECK_FAILED) from None
    except Difference as difference:
        if as_json:
            print(json.dumps({"equal": False, **difference.facts}))
        else:
            say(str(difference))
        raise typer.Exit(Exit.CHECK_FAILED) from None
    if as_json:
        print(json.dumps(facts))
    else:
        _print(facts)
