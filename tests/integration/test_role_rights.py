"""Which role may do what with which table, as the tables say it, on a server of any kind."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from typer.testing import CliRunner, Result

from api.cli.command_line import app as nexus
from api.cli.exit_codes import Exit
from infrastructure.database import Database, EmbeddedServer, RolesUnavailable, open_database
from infrastructure.log.layouts import Layout
from infrastructure.log.roles import Roles, StoreRole, let_work_on, make_roles
from infrastructure.log.stores import StoreAddress
from infrastructure.log.tables import OF_VIEWS, RIGHTS
from infrastructure.settings import Settings, SettingsError
from migrations.runner import migrate
from tests.conftest import Schema
from tests.stores import store_of


@pytest.fixture
def plain_user(postgres: EmbeddedServer) -> Iterator[str]:
    """The connection string of a user with a database of its own, who may make no roles."""
    name = f"plain_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(postgres.dsn(), autocommit=True) as conn:
        conn.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'plain'").format(sql.Identifier(name)))
        conn.execute(
            sql.SQL("CREATE DATABASE {} OWNER {}").format(
                sql.Identifier(name), sql.Identifier(name)
            )
        )
    yield make_conninfo(postgres.dsn(), user=name, password="plain", dbname=name)
    with psycopg.connect(postgres.dsn(), autocommit=True) as conn:
        conn.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
        for role in StoreRole:
            called = Roles.of(name, "partition_0", b"").name(role)
            conn.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(called)))
        conn.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))


@pytest.mark.parametrize("layout", [Layout.PLAIN, Layout.NATIVE])
def test_every_table_of_a_store_says_who_may_do_what(
    postgres: EmbeddedServer, layout: Layout
) -> None:
    """A table without a line would be taken for one of a view, and given to the projector."""
    with store_of(postgres.dsn(), layout) as store, psycopg.connect(store.dsn) as conn:
        tables = {
            row[0]
            for row in conn.execute(
                "SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
                " WHERE n.nspname = %s AND c.relkind IN ('r', 'p') AND NOT c.relispartition",
                (store.schema,),
            )
        }

    assert set() == tables - set(RIGHTS) - set(OF_VIEWS)
    assert set() == set(OF_VIEWS) & set(RIGHTS)


def test_nobody_may_change_or_remove_what_the_log_holds() -> None:
    """In the lists, whoever edits them: events and request keys are only added, by one role."""
    for table in ("stored_events", "request_keys", "undone_trades", "log_marks"):
        for role, rights in RIGHTS[table]._asdict().items():
            assert rights == ("SELECT, INSERT" if role == "writer" else "SELECT"), (table, role)
    for table, given in RIGHTS.items():
        if table not in ("fix_sessions", "fix_messages", "subjects"):
            for role in ("gateway", "fix", "feed", "projector"):
                assert getattr(given, role) in ("", "SELECT"), (table, role)


def test_user_who_may_make_no_roles_is_told_what_lets_him(plain_user: str) -> None:
    """The reason names the user and the remedy; nothing was changed, and nothing of him is lost."""
    migrate(plain_user, "partition_0")
    with pytest.raises(RolesUnavailable, match=r"user 'plain_\w+' may not .*ALTER ROLE plain_\w+"):
        Database(plain_user, None).make_roles("partition_0")

    with psycopg.connect(plain_user) as conn:
        assert (0,) == conn.execute("SELECT count(*) FROM partition_0.stored_events").fetchone()


def test_user_who_may_make_roles_needs_not_be_a_superuser(
    postgres: EmbeddedServer, plain_user: str
) -> None:
    """One right more, and every process has a role of its own; the next start draws anew."""
    migrate(plain_user, "partition_0")
    with psycopg.connect(plain_user) as conn:
        name = conn.info.user
    with psycopg.connect(postgres.dsn(), autocommit=True) as conn:
        conn.execute(sql.SQL("ALTER ROLE {} CREATEROLE").format(sql.Identifier(name)))

    before = Database(plain_user, None).make_roles("partition_0")
    after = Database(plain_user, None).make_roles("partition_0")

    assert set(StoreRole) == set(before) == set(after)
    for role, dsn in after.items():
        with psycopg.connect(dsn) as conn:
            assert f"nexus_{role}_{name}_partition_0" == conn.info.user
            conn.execute("SELECT FROM partition_0.stored_events LIMIT 1")
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(before[role]).close()


def test_role_made_by_hand_is_taken_by_an_owner_who_may_make_none(
    postgres: EmbeddedServer, plain_user: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A superuser runs what is printed, in which no password stands; from then on every process
    comes in as itself, at each start and served alone too.
    """
    migrate(plain_user, "partition_0")
    kept = tmp_path / "roles"
    monkeypatch.setenv("NEXUS_DATABASE_URL", plain_user)
    monkeypatch.setenv("NEXUS_ROLES_FILE", str(kept))
    assert isinstance(run_nexus("db", "roles").exception, SettingsError)
    kept.touch(mode=0o600)
    kept.write_text("s" * 32)
    settings = Settings.load()
    with pytest.raises(RolesUnavailable):
        open_database(settings, process="gateway")

    printed = run_nexus("db", "roles")
    assert (Exit.OK, False) == (printed.exit_code, "s" * 32 in printed.stdout)
    for _ in range(2):
        with psycopg.connect(postgres.dsn(), autocommit=True) as conn:
            conn.execute(printed.stdout.encode())
        given = open_database(settings).make_roles("partition_0")
        printed = run_nexus("db", "roles")
        assert "ALTER ROLE" in printed.stdout

    for role, dsn in given.items():
        assert conninfo_to_dict(dsn)["password"] not in printed.stdout
        with psycopg.connect(dsn) as conn:
            assert conn.info.user.startswith(f"nexus_{role}_")
            conn.execute("SELECT FROM partition_0.stored_events LIMIT 1")
    assert given[StoreRole.GATEWAY] == open_database(settings, process="gateway").dsn
    kept.write_text("short")
    with pytest.raises(SettingsError, match="NEXUS_ROLES_FILE"):
        open_database(settings)


def run_nexus(*arguments: str) -> Result:
    """What `nexus` says."""
    return CliRunner().invoke(nexus, arguments)


def test_schema_that_is_not_there_yet_is_named(postgres: EmbeddedServer) -> None:
    """A process that starts alone before the migrations says which command is missing."""
    with pytest.raises(RolesUnavailable, match="nowhere yet: nexus db migrate"):
        make_roles(StoreAddress(postgres.dsn(), "nowhere"), b"x")


def test_roles_of_a_store_work_on_its_follower_once_they_are_let(
    postgres: EmbeddedServer, schema: Schema
) -> None:
    """Who writes here writes there when the log moves, and may change as little there."""
    given = make_roles(StoreAddress(*_address(schema)), secrets.token_bytes(16))
    with store_of(postgres.dsn(), Layout.NATIVE) as other:
        adding = f"INSERT INTO {other.schema}.stored_events SELECT * FROM"
        adding += f" {other.schema}.stored_events LIMIT 0"
        with psycopg.connect(given[StoreRole.WRITER], autocommit=True) as writer:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                writer.execute(adding.encode())
            with psycopg.connect(postgres.dsn(), autocommit=True) as owner:
                let_work_on(owner, schema.schema, other.schema)
            writer.execute(adding.encode())
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                writer.execute(f"DELETE FROM {other.schema}.stored_events".encode())


def test_names_of_roles_are_of_one_store_and_fit() -> None:
    """Roles are the server's: two stores on it have none in common, however long their names."""
    usual = Roles.of("nexus", "partition_0", b"")
    assert "nexus_writer" == usual.name(StoreRole.WRITER)
    stores = [("nexus", "partition_1"), ("other", "partition_0"), ("d" * 40, "s" * 63)]
    names = [Roles.of(*store, b"").name(role) for store in stores for role in StoreRole]
    assert len(set(names)) == len(names)
    assert 63 >= max(len(name) for name in names)


def test_password_of_a_role_tells_nothing_of_anothers() -> None:
    """Each is made from a secret that none of them has, and differs by role, store and secret."""
    of = [Roles.of("nexus", schema, secret) for schema in ("a", "b") for secret in (b"1", b"2")]
    passwords = {roles.password(role) for roles in of for role in StoreRole}
    assert len(of) * len(StoreRole) == len(passwords)
    assert {64} == {len(password) for password in passwords}


def _address(schema: Schema) -> tuple[str, str]:
    return schema.dsn, schema.schema
