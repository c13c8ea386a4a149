"""`nexus report`: what was traded and what accounts were worth, by day; how many events."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any, NamedTuple
from uuid import UUID

import typer
from rich.table import Table

from api.cli.exit_codes import Exit
from api.cli.projections import connector
from api.cli.reading import Pace, opened_store, print_whole, say
from api.rendering import date_text
from application.audit.trail import position_at
from domain.money import QTY_SCALE, USD_SCALE, cents, to_text
from infrastructure.log.reader import LogReader
from infrastructure.log.source import PostgresEventSource
from infrastructure.settings import Settings
from projections import tracking
from projections.account_days import AccountDay, AccountDays, list_account_days
from projections.daily_volume import DailyVolume, DailyVolumeRow, list_daily_volume
from projections.instruments import Instruments, instruments_by_symbol, list_instruments
from projections.projection import Projection
from projections.tracking import ViewStatus

app = typer.Typer(
    rich_markup_mode=None,
    no_args_is_help=True,
    help=(
        "Add up what happened, by UTC day and symbol, and accounts by their days.\n\n"
        "Exit codes: 0 well, 2 a date, a symbol or a setting is wrong, 3 no server, 4 the schema "
        "is not migrated or its views are not made yet."
    ),
)

PAGE = 250_000
"""So many positions are counted in one statement."""

Symbol = Annotated[
    str | None,
    typer.Option(help="Only this instrument, by its symbol.", show_default=False),
]
First = Annotated[
    datetime | None,
    typer.Option(
        "--from", metavar="DATE", formats=["%Y-%m-%d"], help="The first day.", show_default=False
    ),
]
Last = Annotated[
    datetime | None,
    typer.Option(
        "--to",
        metavar="DATE",
        formats=["%Y-%m-%d"],
        help="The last day, itself included.",
        show_default=False,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="One line for machines.")]


DAY_AMOUNTS = ("equity", "cash", "unsettled", "long_value", "short_value")
"""What is told of an account's day."""


class Days(NamedTuple):
    """The days that are asked for, both included."""

    first: date
    last: date

    @property
    def as_numbers(self) -> tuple[int, int]:
        """Both as views keep dates."""
        return int(f"{self.first:%Y%m%d}"), int(f"{self.last:%Y%m%d}")

    @classmethod
    def between(cls, first: datetime | None, last: datetime | None) -> Days:
        """Take the two options; what is not given is open."""
        days = cls(first.date() if first else date.min, last.date() if last else date.max)
        if days.first > days.last:
            raise typer.BadParameter(
                f"{days.first} is after --to {days.last}", param_hint="'--from'"
            )
        return days


class Line(NamedTuple):
    """One count as it is shown; what concerns no instrument has an empty symbol."""

    day: date
    symbol: str
    topic: str
    events: int


@app.command("volume")
def volume(
    symbol: Symbol = None, first: First = None, last: Last = None, as_json: Json = False
) -> None:
    """Show what each instrument traded on each day: trades, shares, dollars and prices.

    A trade counts on the day it printed. One that was busted since is taken off, a corrected one
    counts at its new price; open, high, low and close are as printed.
    """
    days = Days.between(first, last)
    with _store(DailyVolume, Instruments) as store:
        store.instrument(symbol)
        rows = asyncio.run(store.daily_volume(symbol, days))
    position = store.views[0].position
    if as_json:
        print(json.dumps({"position": position, "days": [_volume_facts(row) for row in rows]}))
    else:
        _print_volume(rows, position)


@app.command("days")
def account_days(
    account: Annotated[UUID, typer.Argument(help="The account's id.")],
    first: First = None,
    last: Last = None,
    as_json: Json = False,
) -> None:
    """Show what an account was worth when each of its days was over, as it was recorded then."""
    days = Days.between(first, last)
    with _store(AccountDays, Instruments) as store:
        rows = asyncio.run(store.account_days(account, days))
    position = store.views[0].position
    if as_json:
        print(json.dumps({"position": position, "days": [_day_facts(row) for row in rows]}))
        return
    table = Table("day", box=None)
    for name in DAY_AMOUNTS:
        table.add_column(name.replace("_", " "), justify="right")
    for row in rows:
        table.add_row(*_day_facts(row).values())
    print_whole(table)
    print(f"{len(rows):,} days, as of position {position:,}")


@app.command("events")
def events(
    symbol: Symbol = None, first: First = None, last: Last = None, as_json: Json = False
) -> None:
    """Count the events of every topic by day and symbol, in the log itself.

    What concerns no instrument, such as a deposit, is counted under no symbol.
    """
    days = Days.between(first, last)
    with _store(Instruments) as store:
        only = store.instrument(symbol)
        with LogReader(store.dsn, store.schema) as log:
            position = log.last_position()
            counts = _count(log, days, only, show=not as_json)
    symbols = store.symbols
    rows = sorted(
        Line(day, symbols.get(identifier, str(identifier)) if identifier else "", topic, count)
        for (day, identifier, topic), count in counts.items()
    )
    if as_json:
        facts = [
            {**row._asdict(), "day": row.day.isoformat(), "symbol": row.symbol or None}
            for row in rows
        ]
        print(json.dumps({"position": position, "counts": facts}))
    else:
        _print_events(rows, position)


class _Store(NamedTuple):
    """The open store, how the views that are asked stand, and the instruments they know."""

    dsn: str
    schema: str
    views: Sequence[ViewStatus]
    symbols: Mapping[UUID, str]
    named: Mapping[str, UUID]

    def instrument(self, symbol: str | None) -> UUID | None:
        """The instrument that a symbol leads to; one that there is not is said."""
        if symbol is None:
            return None
        if symbol in self.named:
            return self.named[symbol]
        there = ", ".join(sorted(self.symbols.values())) or "none"
        raise typer.BadParameter(
            f"no instrument has the symbol {symbol!r}; there are {there}",
            param_hint="'--symbol'",
        )

    async def daily_volume(self, symbol: str | None, days: Days) -> Sequence[DailyVolumeRow]:
        """The days of the view."""
        first, last = days.as_numbers
        async with await connector(self.dsn, self.schema)() as conn:
            return await list_daily_volume(conn, symbol=symbol, first_day=first, last_day=last)

    async def account_days(self, account_id: UUID, days: Days) -> Sequence[AccountDay]:
        """The days of an account."""
        first, last = days.as_numbers
        async with await connector(self.dsn, self.schema)() as conn:
            return await list_account_days(conn, account_id, first=first, last=last)


@contextmanager
def _store(*views: type[Projection]) -> Iterator[_Store]:
    """The store with its views; ones that are not made, or are behind, are said."""
    settings = Settings.load()
    schema = settings.partition_schema
    with opened_store(settings) as dsn:
        store = asyncio.run(_look(dsn, schema, [view() for view in views]))
        for view in store.views:
            if view.lag:
                say(f"view {view.name} is at position {view.position:,}, {view.lag:,} behind")
        yield store


async def _look(dsn: str, schema: str, views: Sequence[Projection]) -> _Store:
    async with await connector(dsn, schema)() as conn, PostgresEventSource(dsn, schema) as log:
        standing = await tracking.status(conn, log, views)
        if any(view.active_version is None for view in standing):
            say(f"the views of schema {schema} are not made yet: nexus projections run")
            raise typer.Exit(Exit.MIGRATION)
        symbols = {row.instrument_id: row.symbol for row in await list_instruments(conn)}
        named = await instruments_by_symbol(conn)
    return _Store(dsn, schema, standing, symbols, named)


def _count(
    log: LogReader, days: Days, only: UUID | None, *, show: bool
) -> Counter[tuple[date, UUID | None, str]]:
    """Count by day, instrument and topic, a part of the log at a time."""
    after = 0 if days.first == date.min else position_at(log, _begin_of(days.first) - 1)
    end = log.last_position()
    if days.last != date.max:
        end = position_at(log, _begin_of(days.last + timedelta(days=1)) - 1)
    counts: Counter[tuple[date, UUID | None, str]] = Counter()
    with Pace("counting", max(end - after, 0), show=show) as pace:
        for start in range(after, end, PAGE):
            up_to = min(start + PAGE, end)
            for count in log.event_counts(start, up_to, instrument_id=only):
                counts[count.day, count.instrument_id, count.topic] += count.events
            pace(up_to - after)
    return counts


def _begin_of(day: date) -> int:
    """The first instant of a UTC day."""
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return (midnight - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def _volume_facts(row: DailyVolumeRow) -> dict[str, Any]:
    day = str(row.day)
    prices = {
        name: to_text(getattr(row, name), row.price_decimals)
        for name in ("open", "high", "low", "close")
    }
    return {
        "day": f"{day[:4]}-{day[4:6]}-{day[6:]}",
        "symbol": row.symbol,
        "instrument_id": str(row.instrument_id),
        "trades": row.trades,
        "volume": to_text(row.volume, QTY_SCALE),
        "notional": to_text(row.notional, USD_SCALE),
        "vwap": row.vwap_text,
        **prices,
    }


def _day_facts(row: AccountDay) -> dict[str, str]:
    amounts = {name: to_text(getattr(row, name), USD_SCALE) for name in DAY_AMOUNTS}
    return {"day": date_text(row.session_date) or "", **amounts}


def _print_volume(rows: Sequence[DailyVolumeRow], position: int) -> None:
    names = ["day", "symbol"]
    amounts = ["trades", "volume", "notional", "vwap", "open", "high", "low", "close"]
    table = Table(*names, box=None)
    for name in amounts:
        table.add_column(name, justify="right")
    for row in rows:
        facts = _volume_facts(row)
        table.add_row(*(str(facts[name]) for name in (*names, *amounts)))
    print_whole(table)
    trades = sum(row.trades for row in rows)
    dollars = to_text(cents(sum(row.exact_notional for row in rows)), USD_SCALE)
    print(f"{trades:,} trades, {dollars} dollars, as of position {position:,}")


def _print_events(rows: Sequence[Line], position: int) -> None:
    table = Table("day", "symbol", "topic", box=None)
    table.add_column("events", justify="right")
    for row in rows:
        table.add_row(row.day.isoformat(), row.symbol or "-", row.topic, f"{row.events:,}")
    print_whole(table)
    print(f"{sum(row.events for row in rows):,} events, as of position {position:,}")
