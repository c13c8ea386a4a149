"""What a database server offers to a store: whether TimescaleDB is there, and what may be made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import tuple_row

from infrastructure.attentive import AttentiveConnectionNow
from infrastructure.log.layouts import Layout, layout_of
from infrastructure.log.stores import StoreAddress

LEAST_POSTGRES = 15
LEAST_TIMESCALE = (2, 18, 1)
WHERE_TO_GET_IT = "https://docs.timescale.com/self-hosted/latest/install/"
LOST_WITHOUT_COMPRESSION = (
    "this TimescaleDB is its Apache edition: nothing is compressed (old events take about five"
    " times the room), days are summed up in ordinary tables instead of continuous aggregates, and"
    " chunks are not merged into weeks; the Timescale edition has all of it"
    " (`timescaledb.license = 'timescale'`)"
)

_ASK = """
SELECT current_setting('server_version_num')::int / 10000,
       (SELECT oid FROM pg_database WHERE datname = current_database()),
       extract(epoch FROM pg_postmaster_start_time())::text,
       has_database_privilege(current_database(), 'CREATE'),
       (SELECT default_version FROM pg_available_extensions WHERE name = 'timescaledb'),
       (SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'),
       -- Said by the loader, in every database of the server; the other by the library of this one.
       current_setting('timescaledb.max_background_workers', true) IS NOT NULL,
       current_setting('timescaledb.license', true),
       (SELECT setting::bigint FROM pg_settings WHERE name = 'max_wal_size'),
       current_user
"""


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """A server and a database on it, as who asks may see them."""

    postgres: int
    """The major version."""
    database: str
    """Tells databases of all servers apart."""
    may_create: bool
    available: str | None
    """The version of TimescaleDB that the server could install; None where its files are absent."""
    installed: str | None
    """The version that is in the database."""
    loaded: bool
    """Whether its library is preloaded, without which it cannot be installed."""
    edition: str | None
    """`timescale` or `apache`; None where nothing says it before it is installed."""
    max_wal_mb: int
    user: str

    @property
    def version(self) -> str | None:
        """The version that a store here would have."""
        return self.installed or self.available

    def lacks(self, layout: Layout) -> list[str]:
        """Why a store of a layout cannot be made here; empty where it can."""
        reasons = []
        if self.postgres < LEAST_POSTGRES:
            reasons.append(f"PostgreSQL {self.postgres} is older than {LEAST_POSTGRES}")
        if not self.may_create:
            reasons.append(
                f"user {self.user} may make no schema there: GRANT CREATE ON DATABASE … TO"
                f" {self.user}"
            )
        if layout in (Layout.HYPERTABLE, Layout.TIMESCALE):
            reasons += self._lacks_timescale(layout)
        return reasons

    def _lacks_timescale(self, layout: Layout) -> list[str]:
        if self.version is None:
            return [
                "the server has no TimescaleDB: install its package for PostgreSQL"
                f" {self.postgres} from {WHERE_TO_GET_IT} and restart, or use the image that"
                " docker-compose.yml names; where nothing can be installed, `--layout native`"
                " moves to PostgreSQL's own partitions"
            ]
        if _numbers(self.version) < LEAST_TIMESCALE:
            least = ".".join(map(str, LEAST_TIMESCALE))
            return [
                f"TimescaleDB {self.version} is older than {least}: before that version INSERT …"
                " ON CONFLICT DO NOTHING into compressed chunks ended early without an error;"
                " update it and run ALTER EXTENSION timescaledb UPDATE"
            ]
        if not self.loaded:
            return [
                "TimescaleDB is installed and not loaded: add timescaledb to"
                " shared_preload_libraries in postgresql.conf and restart the server"
            ]
        if layout is Layout.TIMESCALE and self.edition == "apache":
            return [f"{LOST_WITHOUT_COMPRESSION}; `--layout hypertable` takes it as it is"]
        return []

    def best_layout(self) -> Layout:
        """The layout to have here, or to ask why it cannot be had."""
        if self.edition == "apache":
            return Layout.HYPERTABLE
        return Layout.TIMESCALE


@dataclass(frozen=True, slots=True)
class SchemaFacts:
    """What a schema holds."""

    layout: Layout | None
    """None where no store is in it."""
    events: bool
    """Whether an event is in it."""
    others: int
    """Tables that are of no store."""


def server_facts(dsn: str) -> ServerFacts:
    """Ask a server; raises psycopg.Error."""
    with connected(dsn) as conn, conn.cursor(row_factory=tuple_row) as cursor:
        row = cursor.execute(_ASK).fetchone()
    assert row is not None
    postgres, oid, started, *others = row
    return ServerFacts(postgres, f"{oid} since {started}", *others)


def schema_facts(conn: psycopg.Connection[Any], schema: str) -> SchemaFacts:
    """Look into a schema, which need not be there."""
    layout = layout_of(conn, schema)
    with conn.cursor(row_factory=tuple_row) as cursor:
        tables = {
            row[0]
            for row in cursor.execute(
                "SELECT tablename FROM pg_tables WHERE schemaname = %s", (schema,)
            ).fetchall()
        }
        ours = "schema_migrations" in tables
        filled = False
        if "stored_events" in tables:
            row = cursor.execute(
                sql.SQL("SELECT EXISTS (SELECT FROM {})").format(
                    sql.Identifier(schema, "stored_events")
                )
            ).fetchone()
            filled = row is not None and bool(row[0])
    return SchemaFacts(layout, filled, 0 if ours else len(tables))


def connected(dsn: str) -> psycopg.Connection[Any]:
    """A connection in autocommit."""
    return AttentiveConnectionNow.open(dsn, application_name="nexus timescale")


def holds_password(store: StoreAddress) -> bool:
    """Whether the address of a store gives a secret away."""
    said = conninfo_to_dict(store.dsn)
    return any(said.get(word) for word in ("password", "sslpassword"))


def _numbers(version: str) -> tuple[int, ...]:
    """The numbers of a version, without what follows a dash."""
    return tuple(
        int(part) for part in version.split("-", maxsplit=1)[0].split(".") if part.isdigit()
    )
