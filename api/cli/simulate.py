"""`nexus simulate`: a made-up trading day on the real venue, settled and checked to the cent."""

from __future__ import annotations

import gc
import json
import uuid
from typing import Annotated, Any

import typer
import uvloop
from rich.console import Console

from api.cli import leaving
from api.cli.exit_codes import Exit
from api.cli.printing import Table, tell
from api.cli.reading import Pace, say
from infrastructure.database import open_database
from infrastructure.settings import Settings

app = typer.Typer(
    rich_markup_mode=None,
    no_args_is_help=True,
    help=(
        "Live through a made-up market on the real store, and check every cent of it.\n\n"
        "Exit codes: 0 well, 1 books differ or the day failed, 2 a setting is wrong, 3 no server, "
        "130 interrupted."
    ),
)


@app.callback()
def simulate() -> None:
    """Keep `day` a command of its own."""


@app.command("day")
def day(
    trades: Annotated[int, typer.Option(help="How many at least.", min=1)] = 10_000,
    seed: Annotated[int, typer.Option(help="The same seed gives the same day.", min=0)] = 7,
    keep: Annotated[
        bool, typer.Option("--keep", help="Let the schema stand, to be looked into.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One line for machines.")] = False,
) -> None:
    """Trade a whole day in a schema of its own, settle it, and compare all books.

    An opening auction, orders of every kind and order groups, halts, busts and corrections,
    close and expiry; then settlement until nothing remains. Before and after settlement the
    writer's books, the views, the postings and a bookkeeper who adds up raw trades in
    fractions are compared line by line; the log is verified and replayed. `failed` counts
    attempts to settle for which one side was short that day, `unsettled` what was never
    settled, `penny_differences` the lines on which books do not agree.
    """
    with leaving.still_starting():
        from api.simulation.run import schema_of_its_own
        from api.simulation.run import simulate as live_through
        from application.rehearsal.simulated_day.day import SimulationFailed

    schema = f"simulate_{seed}_{uuid.uuid4().hex[:8]}"
    settings = Settings.load(partition_schema=schema)
    gc.freeze()
    gc.set_threshold(200_000, 50, 50)
    quiet = bool if as_json else say
    try:
        with (
            open_database(settings, on_message=say) as database,
            schema_of_its_own(database.dsn, schema, keep=keep, say=say),
            Pace("trading", trades, show=not as_json, unit="trades/s") as pace,
        ):
            living = live_through(
                database.dsn, schema, trades=trades, seed=seed, progress=pace, say=quiet
            )
            facts = uvloop.run(living)
    except SimulationFailed as failure:
        say(f"the day failed: {failure}")
        raise typer.Exit(Exit.CHECK_FAILED) from None
    if as_json:
        print(json.dumps(facts))
    else:
        _print(facts)
    if not facts["ok"]:
        raise typer.Exit(Exit.CHECK_FAILED)


def _print(facts: dict[str, Any]) -> None:
    table = Table("", "", title=f"A simulated day, seed {facts['seed']}", box=None)
    for name, value in facts.items():
        table.add_row(name.replace("_", " "), _text(value))
    Console().print(table)
    tell("all books agree" if facts["ok"] else "NOT ALL IS WELL")


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {of}" for key, of in value.items()) or "none"
    if isinstance(value, list):
        return "\n".join(value) or "none"
    return f"{value:,}" if type(value) is int else f"{value}"
