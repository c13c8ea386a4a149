"""`nexus settlement`: settle what is due, through the running writer."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.console import Console

from api.cli.exit_codes import Exit
from api.cli.printing import Table, tell
from api.cli.reading import Pace, say
from application.commands import Settle
from domain.errors import QueueFull, VenueUnavailable
from infrastructure.command_bus import UnixSocketBus
from infrastructure.settings import Settings

CHUNK = 200
BUSY_SECONDS = 0.2

app = typer.Typer(
    rich_markup_mode=None,
    no_args_is_help=True,
    help=(
        "Settle trades.\n\n"
        "Exit codes: 0 the run came to its end, also where some failed and are named; 2 the "
        "date or a setting is wrong, 3 no writer answers: run the same line again."
    ),
)


@app.callback()
def settlement() -> None:
    """Settle trades."""


@app.command("run")
def run(
    day: Annotated[
        datetime,
        typer.Argument(
            metavar="DATE", help="Value dates up to this one.", formats=["%Y-%m-%d", "%Y%m%d"]
        ),
    ],
    chunk: Annotated[
        int, typer.Option(help="So many obligations a command.", min=1, max=CHUNK)
    ] = CHUNK,
    ahead: Annotated[
        bool, typer.Option("--ahead", help="Allow a date that has not come yet.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One line for machines.")] = False,
) -> None:
    """Settle everything that is due on or before a date, and name what fails.

    A run may be broken off and started again at any time, and again on the same date: what
    is settled stays settled, and what failed is tried anew.
    """
    if day.date() > datetime.now(UTC).date() and not ahead:
        raise typer.BadParameter(f"{day:%Y-%m-%d} has not come yet; --ahead settles it now")
    settings = Settings.load()
    date = int(f"{day:%Y%m%d}")
    try:
        with Pace("settling", 0, show=not as_json, unit="obligations/s") as pace:
            done = asyncio.run(_run(settings, date, chunk, pace))
    except VenueUnavailable as error:
        say(f"{error.message}; `nexus serve` starts one, and the same line goes on from here")
        raise typer.Exit(Exit.STORE_UNAVAILABLE) from None
    if as_json:
        print(json.dumps({"run_date": date, **done}))
    else:
        _print(date, done)


async def _run(
    settings: Settings, date: int, chunk: int, progress: Callable[[int, int], None]
) -> dict[str, Any]:
    """Send the run's commands, one after the other, until nothing remains."""
    bus = UnixSocketBus(settings.bus_socket)
    settled = 0
    try:
        while True:
            reply = await bus.send(Settle(date, chunk), "admin", "cli")
            if reply.refusal is not None:
                if reply.refusal.code != QueueFull.code:
                    raise typer.BadParameter(reply.refusal.message)
                await asyncio.sleep(BUSY_SECONDS)
                continue
            result = reply.result or {}
            settled += result["settled"]
            progress(settled, settled + result["unsettled"])
            if not result["remaining"]:
                return {
                    "settled": settled,
                    "failed": result["unsettled"],
                    "position": reply.position,
                    "short": result["short"],
                }
    finally:
        await bus.close()


def _print(date: int, done: dict[str, Any]) -> None:
    tell(f"run of {date}: {done['settled']:,} settled, {done['failed']:,} failed")
    if not done["failed"]:
        return
    table = Table("account", "symbol", "value date", "reason", box=None)
    table.add_column("receives", justify="right")
    table.add_column("is paid", justify="right")
    for row in done["short"]:
        table.add_row(
            row["account"],
            row["symbol"],
            str(row["value_date"]),
            row["reason"],
            row["qty"],
            row["amount"],
        )
    Console().print(table)
    if done["failed"] > len(done["short"]):
        tell(f"and {done['failed'] - len(done['short']):,} more")
