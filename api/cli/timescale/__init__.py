"""`nexus timescale`: move the log to another store while orders flow, one step after another."""

from __future__ import annotations

import typer

from api.cli.timescale import (
    backfill,
    cutover,
    dual_write,
    finalize,
    plan,
    prepare,
    retain,
    rollback,
    status,
    verify,
)

app = typer.Typer(
    rich_markup_mode=None,
    no_args_is_help=True,
    help=(
        "Move the log of the partition to TimescaleDB, or to partitions of PostgreSQL, while"
        " orders flow: plan, prepare, dual-write, backfill, verify, cutover, finalize. Each step"
        " can be asked for again; rollback goes back from any of them.\n\n"
        "Exit codes: 0 well, 1 it is out of order, refused, or something differs; 2 an option or a"
        " setting is wrong, 3 a server is away, 4 the schema and this program do not fit."
    ),
)

app.command("plan")(plan.command)
app.command("prepare")(prepare.command)
app.command("dual-write")(dual_write.command)
app.command("backfill")(backfill.command)
app.command("verify")(verify.command)
app.command("cutover")(cutover.command)
app.command("finalize")(finalize.command)
app.command("rollback")(rollback.command)
app.command("status")(status.command)
app.command("retain")(retain.command)
