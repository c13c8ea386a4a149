"""What the steps of a move share: the move in hand, failures in words, how a step is told."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, Any

import psycopg
import typer

from api.cli.exit_codes import Exit
from api.cli.reading import opened_store, say
from infrastructure.log.copying import IncompleteRange
from infrastructure.log.follower import NotFollowing
from infrastructure.log.stores import StoreAddress
from infrastructure.settings import Settings
from migrations.move.moves import Holding, holding
from migrations.move.phases import MoveRefused
from migrations.move.servers import holds_password

Json = Annotated[bool, typer.Option("--json", help="One line for machines.")]


def _without_password(dsn: str | None) -> str | None:
    """Refuse an address with a password: every user of the machine can read arguments."""
    try:
        told = dsn is not None and holds_password(StoreAddress(dsn, ""))
    except psycopg.ProgrammingError as error:
        raise typer.BadParameter("is no connection string") from error
    if told:
        raise typer.BadParameter(
            "holds a password, which every user of this machine can read among the arguments: put"
            " it into the password file (~/.pgpass, or PGPASSFILE), and leave it out"
        )
    return dsn


OwnerDsn = Annotated[
    str | None,
    typer.Option(
        help="Who may create the extension in the target's database, without a password; none: who"
        " uses it.",
        callback=_without_password,
        show_default=False,
    ),
]


@contextmanager
def opened_entry() -> Iterator[StoreAddress]:
    """The store that the settings name; what fails in the block is said, and ends with its code."""
    settings = Settings.load()
    with opened_store(settings) as dsn:
        try:
            yield StoreAddress(dsn, settings.partition_schema)
        except (MoveRefused, NotFollowing, IncompleteRange) as refused:
            say(str(refused))
            raise typer.Exit(Exit.CHECK_FAILED) from None
        except psycopg.OperationalError as away:
            say(f"a store cannot be reached: {str(away).strip()}")
            raise typer.Exit(Exit.STORE_UNAVAILABLE) from None


@contextmanager
def move_in_hand() -> Iterator[Holding]:
    """The move of the partition, for this command alone."""
    with opened_entry() as entry, holding(entry) as move:
        yield move


def tell(facts: Mapping[str, Any], words: str, *, as_json: bool) -> None:
    """Print what a step came to, for machines or for people."""
    typer.echo(json.dumps(facts) if as_json else words)
