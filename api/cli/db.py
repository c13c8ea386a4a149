"""`nexus db`: make the store, bring its schema to the present shape, and say how it stands."""

import json
from collections.abc import Sequence
from typing import Annotated

import typer
from rich.console import Console

from api.cli.exit_codes import Exit
from api.cli.printing import Table, tell, warn
from infrastructure.database import open_database, secret_of_roles
from infrastructure.log.roles import roles_by_hand
from infrastructure.log.stores import StoreAddress
from infrastructure.settings import Settings
from migrations.runner import Migration, MigrationStatus, migrate, status
from migrations.stores import migrate_stores

app = typer.Typer(
    rich_markup_mode=None,
    no_args_is_help=True,
    help=(
        "Make the store and keep its schema.\n\n"
        "Exit codes: 0 well, 1 migrations are pending, 2 a setting is wrong, 3 no server or one "
        "that could lose data, 4 the schema and this program do not fit."
    ),
)

Json = Annotated[bool, typer.Option("--json", help="One line for machines.")]
SchemaOption = Annotated[
    str | None, typer.Option("--schema", help="Instead of NEXUS_SCHEMA.", show_default=False)
]


@app.command("init")
def init(as_json: Json = False, schema: SchemaOption = None) -> None:
    """Make the store where there is none, and its schema."""
    settings = _settings(schema)
    with open_database(settings, on_message=_say) as database:
        done = migrate(database.dsn, settings.partition_schema)
        server = database.server
    where = str(server.data_dir) if server is not None else "NEXUS_DATABASE_URL"
    if as_json:
        facts = {"store": where, "schema": settings.partition_schema, "applied": _names(done)}
        print(json.dumps(facts))
        return
    tell(f"The store stands: {where}, schema {settings.partition_schema}")
    _print_applied(done)


@app.command("migrate")
def migrate_command(
    as_json: Json = False,
    schema: SchemaOption = None,
    target: Annotated[
        int | None, typer.Option("--target", help="The last migration to apply.", min=0)
    ] = None,
) -> None:
    """Apply the migrations that are missing; without a target also those of the other store of a
    move.
    """
    settings = _settings(schema)
    applied: dict[str, list[Migration]] = {settings.partition_schema: []}

    def take(store: StoreAddress, done: Sequence[Migration]) -> None:
        applied[store.schema] = [*applied.get(store.schema, ()), *done]

    with open_database(settings, on_message=_say) as database:
        entry = StoreAddress(database.dsn, settings.partition_schema)
        if target is None:
            migrate_stores(*entry, done=take, say=_say)
        else:
            take(entry, migrate(*entry, target))
    if as_json:
        stores = {name: _names(done) for name, done in applied.items()}
        facts = {"schema": entry.schema, "applied": stores.pop(entry.schema)}
        print(json.dumps(facts | ({"others": stores} if stores else {})))
        return
    for name, done in applied.items():
        if len(applied) > 1:
            tell(f"schema {name}:")
        _print_applied(done)


@app.command("status")
def status_command(as_json: Json = False, schema: SchemaOption = None) -> None:
    """Show every migration and when it was applied; end with 1 when some are pending."""
    settings = _settings(schema)
    with open_database(settings, on_message=_say) as database:
        rows = status(database.dsn, settings.partition_schema)
    pending = [row for row in rows if row.pending]
    if as_json:
        facts = {
            "schema": settings.partition_schema,
            "pending": len(pending),
            "migrations": [
                {
                    "version": row.version,
                    "name": row.name,
                    "applied_at": row.applied_at and row.applied_at.isoformat(),
                }
                for row in rows
            ],
        }
        print(json.dumps(facts))
    else:
        _print_status(rows, settings.partition_schema)
    if pending:
        raise typer.Exit(Exit.CHECK_FAILED)


@app.command("roles")
def roles_command(schema: SchemaOption = None) -> None:
    """Print what a superuser runs to make the roles of the venue's processes, for a user of
    NEXUS_DATABASE_URL who may make none: `nexus db roles | psql …`.

    Passwords follow from the secret in the file that NEXUS_ROLES_FILE names, 32 characters or more
    and for its owner's eyes alone; what is printed holds none, but what checks them.
    """
    settings = _settings(schema)
    secret = secret_of_roles(settings)
    if settings.database_url is None or secret is None:
        warn("NEXUS_DATABASE_URL and NEXUS_ROLES_FILE are to be named")
        raise typer.Exit(Exit.USAGE)
    with open_database(settings, on_message=_say) as database:
        print(roles_by_hand(StoreAddress(database.dsn, settings.partition_schema), secret))


def _settings(schema: str | None) -> Settings:
    return Settings.load() if schema is None else Settings.load(partition_schema=schema)


def _say(message: str) -> None:
    """Progress goes to stderr, so that --json stays one line."""
    warn(message)


def _names(migrations: list[Migration]) -> list[str]:
    return [f"{m.version:04d}_{m.name}" for m in migrations]


def _print_applied(done: list[Migration]) -> None:
    for name in _names(done):
        tell(f"applied {name}")
    if not done:
        tell("nothing to apply")


def _print_status(rows: list[MigrationStatus], schema: str) -> None:
    table = Table("", "migration", "applied", title=f"schema {schema}", box=None)
    for row in rows:
        when = "pending" if row.applied_at is None else f"{row.applied_at:%Y-%m-%d %H:%M:%S} UTC"
        table.add_row(f"{row.version:04d}", row.name, when)
    Console().print(table)
