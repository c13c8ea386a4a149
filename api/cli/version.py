"""`nexus version`: which program, which Python, which PostgreSQL, and what runs compiled."""

import importlib.metadata
import json
import platform
from typing import Annotated

import typer
from rich.console import Console

from api.cli.printing import Table
from infrastructure.hot_modules import implementations
from infrastructure.postgres_binaries import BinariesMissing, ServerUser, find_binaries


def command(
    as_json: Annotated[bool, typer.Option("--json", help="One line for machines.")] = False,
) -> None:
    """Show the versions and which hot modules run compiled."""
    facts = {
        "nexustrade": _distribution_version(),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "postgresql": _postgresql_version(),
        "hot_modules": implementations(),
    }
    if as_json:
        print(json.dumps(facts))
        return
    table = Table(show_header=False, box=None)
    for name in ("nexustrade", "python", "postgresql"):
        table.add_row(name, str(facts[name] or "not installed"))
    for name, how in implementations().items():
        table.add_row(name, how)
    Console().print(table)


def _distribution_version() -> str | None:
    try:
        return importlib.metadata.version("nexustrade")
    except importlib.metadata.PackageNotFoundError:
        return None


def _postgresql_version() -> str | None:
    """The version of the embedded programs, when there are any."""
    user = ServerUser.current()
    try:
        return find_binaries(user).version(user)
    except BinariesMissing:
        return None
