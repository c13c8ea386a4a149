"""`nexus report`: what was traded and what accounts were worth, by day; how many events."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Annotated, Any
from uuid import UUID

import typer

from api.cli import report_log
from api.cli.printing import Table, tell
from api.cli.reading import print_whole
from api.cli.report_asking import Days, First, Json, Last, Symbol, store_of
from api.rendering import date_text
from domain.money import QTY_SCALE, USD_SCALE, cents, to_text
from projections.account_days import AccountDay, AccountDays
from projections.daily_volume import DailyVolume, DailyVolumeRow
from projections.instruments import Instruments

app = typer.Typer(
    rich_markup_mode=None,
    no_args_is_help=True,
    help=(
        "Add up what happened, by UTC day and symbol, and accounts by their days.\n\n"
        "Exit codes: 0 well, 2 a date, a symbol or a setting is wrong, 3 no server, 4 the schema "
        "is not migrated or its views are not made yet."
    ),
)

app.command("events")(report_log.events)
app.command("kinds")(report_log.kinds)
app.command("trades")(report_log.trades)

DAY_AMOUNTS = ("equity", "cash", "unsettled", "long_value", "short_value")
"""What is told of an account's day."""


@app.command("volume")
def volume(
    symbol: Symbol = None, first: First = None, last: Last = None, as_json: Json = False
) -> None:
    """Show what each instrument traded on each day: trades, shares, dollars and prices.

    A trade counts on the day it printed. One that was busted since is taken off, a corrected one
    counts at its new price; open, high, low and close are as printed.
    """
    days = Days.between(first, last)
    with store_of(DailyVolume, Instruments) as store:
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
    with store_of(AccountDays, Instruments) as store:
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
    tell(f"{len(rows):,} days, as of position {position:,}")


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
    tell(f"{trades:,} trades, {dollars} dollars, as of position {position:,}")
