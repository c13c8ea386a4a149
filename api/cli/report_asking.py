"""What every report asks: which days, which symbol, and the store with its views."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from typing import Annotated, NamedTuple
from uuid import UUID

import typer

from api.cli.exit_codes import Exit
from api.cli.projections import connector
from api.cli.reading import opened_store, say
from infrastructure.log.source import PostgresEventSource
from infrastructure.settings import Settings
from projections import tracking
from projections.account_days import AccountDay, list_account_days
from projections.daily_volume import DailyVolumeRow, list_daily_volume
from projections.instruments import instruments_by_symbol, list_instruments
from projections.projection import Projection
from projections.tracking import ViewStatus

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


class Store(NamedTuple):
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
def store_of(*views: type[Projection]) -> Iterator[Store]:
    """The store with its views; ones that are not made, or are behind, are said."""
    settings = Settings.load()
    schema = settings.partition_schema
    with opened_store(settings) as dsn:
        store = asyncio.run(_look(dsn, schema, [view() for view in views]))
        for view in store.views:
            if view.lag:
                say(f"view {view.name} is at position {view.position:,}, {view.lag:,} behind")
        yield store


async def _look(dsn: str, schema: str, views: Sequence[Projection]) -> Store:
    async with await connector(dsn, schema)() as conn, PostgresEventSource(dsn, schema) as log:
        standing = await tracking.status(conn, log, views)
        if any(view.active_version is None for view in standing):
            say(f"the views of schema {schema} are not made yet: nexus projections run")
            raise typer.Exit(Exit.MIGRATION)
        symbols = {row.instrument_id: row.symbol for row in await list_instruments(conn)}
        named = await instruments_by_symbol(conn)
    return Store(dsn, schema, standing, symbols, named)
