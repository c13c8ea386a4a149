"""`nexus bench`: each benchmark compares in one run and says what it left out."""

from __future__ import annotations

import importlib
from enum import StrEnum
from typing import Annotated

import typer

from api.cli.exit_codes import Exit


class Bench(StrEnum):
    """What can be measured."""

    SUBMIT = "submit"
    HTTP = "http"
    STORE = "store"
    BOOK = "book"
    RECOVER = "recover"
    OCO = "oco"
    MULTILEG = "multileg"
    FIX = "fix"
    TIMESCALE = "timescale"
    FEED = "feed"
    CACHE = "cache"
    SIEGE = "siege"
    ALL = "all"


def command(
    name: Annotated[Bench, typer.Argument(help="Which benchmark, or all of them.")],
    as_json: Annotated[
        bool, typer.Option("--json", help="One line each: figures, machine, mix, goals.")
    ] = False,
    rows: Annotated[
        int | None,
        typer.Option(help="How many events the log has that is moved (timescale).", min=10_000),
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="A shorter, rougher run.")] = False,
) -> None:
    """Measure; exit 1 when a goal is missed."""
    # By name: nothing of the venue depends on what measures it.
    show = importlib.import_module("bench.report").show
    chosen = [b for b in Bench if b is not Bench.ALL] if name is Bench.ALL else [name]
    if rows is not None and name is not Bench.TIMESCALE:
        raise typer.BadParameter("--rows is for timescale alone")
    missed = 0
    for bench in chosen:
        module = importlib.import_module(f"bench.{bench.value}")
        size = (module.QUICK if quick else {}) | ({} if rows is None else {"rows": rows})
        result = module.run(**size)
        missed += show(bench.value, result, as_json=as_json)
    raise typer.Exit(Exit.CHECK_FAILED if missed else Exit.OK)
