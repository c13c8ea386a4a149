"""`nexus demo`: the whole venue on an embedded PostgreSQL, with a market in it."""

from __future__ import annotations

import asyncio
import shlex
import time
from typing import Annotated

import typer
from rich.console import Console

from api.cli import leaving
from api.cli.exit_codes import Exit

NARROWEST = 112
"""Ids and secrets are to be copied whole, also from a log file."""


def command(
    once: Annotated[bool, typer.Option("--once", help="Stop after the run.")] = False,
    port: Annotated[
        int | None, typer.Option(help="Instead of 8000.", min=1, max=65535, show_default=False)
    ] = None,
    reset: Annotated[bool, typer.Option("--reset", help="Forget earlier runs first.")] = False,
) -> None:
    """Start a venue, trade on it, check its books, and keep serving.

    Exit codes: 0 all checks hold, 1 one does not, 3 no server or no port, 4 another program's venue
    stands there.
    """
    with leaving.still_starting():
        from api.demo.clients import DemoFailed
        from api.demo.run import play, report, settings_for, suggestions
        from api.processes.errors import VenueFailed
        from api.processes.supervisor import Supervisor

    console = Console(highlight=False, width=max(Console().width, NARROWEST))
    begun = time.monotonic()
    settings = settings_for(port, reset=reset, console=console)
    try:
        with Supervisor(
            settings, say=lambda text: console.print(f"  {text}", markup=False)
        ) as venue:
            outcome = asyncio.run(play(venue, console))
            report(venue, outcome, console)
            console.print(f"Done in {time.monotonic() - begun:.0f} s.\n")
            if not once:
                leaving.be_interrupted_once(venue.hurry)
                # Not wrapped: every line is to work as it is pasted.
                console.print(suggestions(venue, outcome), markup=False, soft_wrap=True)
                variables = " ".join(
                    shlex.quote(f"{name}={value}")
                    for name, value in venue.environment().items()
                    if name in ("NEXUS_DATA_DIR", "NEXUS_PORT", "NEXUS_FIX_CONFIG")
                )
                order_id = outcome.shown[-1].order_id
                console.print(
                    f"  The command line sees this venue with {variables}, for example:\n"
                    f"  env {variables} .venv/bin/nexus audit trail {order_id}\n",
                    markup=False,
                    soft_wrap=True,
                )
                console.print("Serving. Ctrl-C stops the venue; make demo goes on with it.")
                while True:
                    time.sleep(3600)
    except DemoFailed as error:
        console.print(f"The demo failed: {error}", markup=False)
        raise typer.Exit(Exit.CHECK_FAILED) from None
    except VenueFailed as failure:
        console.print(f"The demo failed: {failure}", markup=False)
        if failure.code is Exit.MIGRATION:
            console.print("nexus demo --reset forgets earlier runs and starts anew", markup=False)
        raise typer.Exit(failure.code) from None
    except KeyboardInterrupt:
        console.print("Stopped.")
        raise typer.Exit(Exit.OK) from None
    raise typer.Exit(Exit.CHECK_FAILED if outcome.failed else Exit.OK)
