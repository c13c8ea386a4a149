"""The roles of a store in its database: who works on it, and what each may do.

The owner makes the schema, changes and moves it; he comes in by the settings. Every process that
serves has a role with a password of its own, and no role but the owner's could change an event:
the writer inserts, the projector makes and keeps the tables of views, the others read.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from typing import Any, Final, LiteralString, NamedTuple

import psycopg
from psycopg import sql

from infrastructure.log.stores import StoreAddress, read_state_now
from infrastructure.log.tables import RIGHTS
from infrastructure.log.ways_in import as_user
from infrastructure.owner import checked_password, set_password

CONNECT_SECONDS = 10
NAME_BYTES = 63
_AGAIN = 3
_TRIGGERED = "only_in_the_truth"
_LED = "writer_epoch"
_ROLE_IS_THERE: Final = "SELECT 1 FROM pg_roles WHERE rolname = %s"
_FUNCTION: Final = (
    "SELECT 1 FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace"
    " WHERE n.nspname = %s AND p.proname = %s"
)


class StoreRole(StrEnum):
    """Who works on a store and does not own it."""

    WRITER = "writer"
    GATEWAY = "gateway"
    FIX = "fix"
    FEED = "feed"
    PROJECTOR = "projector"


OF_PROCESS: Mapping[str, StoreRole] = {
    "writer": StoreRole.WRITER,
    "standby": StoreRole.WRITER,
    "projector": StoreRole.PROJECTOR,
    "peers-projector": StoreRole.PROJECTOR,
    "market-data": StoreRole.FEED,
    "gateway": StoreRole.GATEWAY,
    "fix": StoreRole.FIX,
}
"""The role of each process of the venue; the others come in as the owner."""

READERS = (StoreRole.GATEWAY, StoreRole.FIX, StoreRole.FEED)
"""Whose sessions the writer may end: a store that was left is to have no readers."""


class RolesUnavailable(Exception):
    """Roles cannot be made, or not be used, on this server; the message says why."""


class Roles(NamedTuple):
    """The roles of a partition, by the names and passwords that they have on its servers."""

    suffix: str
    secret: bytes

    @classmethod
    def of(cls, dbname: str, schema: str, secret: bytes) -> Roles:
        """Roles are the server's: the usual store has short names, every other one its own."""
        if (dbname, schema) == ("nexus", "partition_0"):
            return cls("", secret)
        suffix = f"_{dbname}_{schema}"
        longest = NAME_BYTES - len("nexus_projector")
        if len(suffix.encode()) > longest:
            digest = hashlib.sha256(suffix.encode()).hexdigest()[:12]
            suffix = f"_{schema[: longest - 14]}_{digest}"
        return cls(suffix, secret)

    def name(self, role: StoreRole) -> str:
        """What a role is called on the server."""
        return f"nexus_{role}{self.suffix}"

    def password(self, role: StoreRole) -> str:
        """A role's password: who has one cannot tell another."""
        return hmac.digest(self.secret, self.name(role).encode(), "sha256").hex()


def make_roles(owner: StoreAddress, secret: bytes) -> dict[StoreRole, str]:
    """See that the roles of a store are there, with what each may do, and how each comes in.

    What they may do here they may do in the other store of a move in the same database. Raises
    RolesUnavailable, and psycopg.OperationalError when the server is away.
    """
    with psycopg.connect(owner.dsn, connect_timeout=CONNECT_SECONDS, autocommit=True) as conn:
        if not _is_there(conn, "SELECT 1 FROM pg_namespace WHERE nspname = %s", owner.schema):
            raise RolesUnavailable(f"there is no schema {owner.schema} yet: nexus db migrate")
        roles = Roles.of(conn.info.dbname, owner.schema, secret)
        given = {
            role: _as_role(owner.dsn, conn, roles.name(role), roles.password(role))
            for role in StoreRole
        }
        peer = read_state_now(conn, owner).peer
        schemas = [owner.schema]
        if peer is not None and peer.dsn == owner.dsn:
            schemas.append(peer.schema)

        def make() -> None:
            _make_all(conn, roles)
            for schema in schemas:
                _grant(conn, schema, roles)

        _patiently(conn, make)
    for role, dsn in given.items():
        _try(role, dsn, owner.schema)
    return given


def let_work_on(conn: psycopg.Connection[Any], home: str, schema: str) -> None:
    """Let the roles of a store work on another schema of its database, the other one of a move;
    where they were not made there is nothing to do. Raises RolesUnavailable.
    """
    if has_roles(conn, home):
        roles = Roles.of(conn.info.dbname, home, b"")
        _patiently(conn, lambda: _grant(conn, schema, roles))


def make_roles_elsewhere(home: StoreAddress, other: StoreAddress, secret: bytes) -> None:
    """See that the roles of a store are on the server of another one, the other one of a move:
    the processes come in there with the names and passwords that they have at home.

    Raises RolesUnavailable.
    """
    with psycopg.connect(home.dsn, connect_timeout=CONNECT_SECONDS) as conn:
        roles = Roles.of(conn.info.dbname, home.schema, secret)
    with psycopg.connect(other.dsn, connect_timeout=CONNECT_SECONDS, autocommit=True) as conn:

        def make() -> None:
            _make_all(conn, roles)
            _grant(conn, other.schema, roles)

        _patiently(conn, make)


def has_roles(conn: psycopg.Connection[Any], home: str) -> bool:
    """Whether the processes of a store have roles of their own."""
    roles = Roles.of(conn.info.dbname, home, b"")
    return all(_is_there(conn, _ROLE_IS_THERE, roles.name(role)) for role in StoreRole)


def may_make_roles(conn: psycopg.Connection[Any]) -> bool:
    """Whether this user may give the processes of a store roles of their own."""
    return _is_there(
        conn,
        "SELECT 1 FROM pg_roles WHERE rolname = current_user AND (rolcreaterole OR rolsuper)",
    )


def _patiently(conn: psycopg.Connection[Any], work: Callable[[], object]) -> None:
    """Do it in one transaction, and again when another owner changed roles at that moment."""
    for left in reversed(range(_AGAIN)):
        try:
            with conn.transaction():
                conn.execute("SELECT pg_advisory_xact_lock(hashtextextended('nexus roles', 0))")
                work()
            return
        except psycopg.errors.InsufficientPrivilege as error:
            raise RolesUnavailable(_why_not(conn, error)) from error
        except (psycopg.errors.InternalError_, psycopg.errors.UniqueViolation):
            if not left:
                raise


def _why_not(conn: psycopg.Connection[Any], error: psycopg.Error) -> str:
    return (
        f"user {conn.info.user!r} may not make or grant what they need"
        f" ({str(error.diag.message_primary or error).strip()}); ALTER ROLE {conn.info.user}"
        " CREATEROLE, as a superuser, lets the next start make them, and so does what `nexus db"
        " roles` prints, run by one"
    )


def _grant(conn: psycopg.Connection[Any], schema: str, roles: Roles) -> None:
    names = {role: sql.Identifier(roles.name(role)) for role in StoreRole}
    projector = names[StoreRole.PROJECTOR]
    words: dict[str, sql.Composable] = {
        "schema": sql.Identifier(schema),
        "everybody": _listed(names.values()),
        "writer": names[StoreRole.WRITER],
        "projector": projector,
        "readers": _listed(names[role] for role in READERS),
        "others": _listed(name for name in names.values() if name is not projector),
    }

    def do(text: LiteralString, **more: sql.Composable) -> None:
        conn.execute(sql.SQL(text).format(**words, **more))

    if not _reads_alike(conn, roles):
        do("GRANT {readers} TO {writer}")
    do("REVOKE ALL ON SCHEMA {schema} FROM PUBLIC")
    do("GRANT USAGE ON SCHEMA {schema} TO {everybody}")
    do("GRANT CREATE ON SCHEMA {schema} TO {projector}")
    do(
        "ALTER DEFAULT PRIVILEGES FOR ROLE {projector} IN SCHEMA {schema}"
        " GRANT SELECT ON TABLES TO {others}"
    )
    if _is_there(conn, _FUNCTION, schema, _TRIGGERED):
        # It looks at who writes the log, which most who set it off may not lock.
        do(
            "ALTER FUNCTION {schema}.{function} () SECURITY DEFINER",
            function=sql.Identifier(_TRIGGERED),
        )
    for table, owner in _tables(conn, schema):
        name = sql.Identifier(schema, table)
        if table not in RIGHTS:
            if owner != roles.name(StoreRole.PROJECTOR):
                do("ALTER TABLE {table} OWNER TO {projector}", table=name)
            do("GRANT SELECT ON {table} TO {others}", table=name)
            continue
        do("REVOKE ALL ON {table} FROM {everybody}", table=name)
        for role, rights in RIGHTS[table]._asdict().items():
            if rights:
                given = sql.SQL(rights)
                do(
                    "GRANT {rights} ON {table} TO {role}",
                    rights=given,
                    table=name,
                    role=names[StoreRole(role)],
                )


def roles_by_hand(owner: StoreAddress, secret: bytes) -> str:
    """What a superuser runs to make the roles of a store for an owner who may not, with the
    passwords that follow from a secret; of these it holds no more than what checks them.
    """
    with psycopg.connect(owner.dsn, connect_timeout=CONNECT_SECONDS, autocommit=True) as conn:
        roles = Roles.of(conn.info.dbname, owner.schema, secret)
        user = sql.Identifier(conn.info.user)
        names = {role: sql.Identifier(roles.name(role)) for role in StoreRole}
        lines: list[sql.Composed] = []
        for role, name in names.items():
            there = _is_there(conn, _ROLE_IS_THERE, roles.name(role))
            verb = sql.SQL("ALTER" if there else "CREATE")
            checked = sql.Literal(checked_password(conn, roles.name(role), roles.password(role)))
            lines.append(sql.SQL("{} ROLE {} LOGIN PASSWORD {};").format(verb, name, checked))
            lines.append(sql.SQL("GRANT {} TO {};").format(name, user))
        readers = _listed(names[role] for role in READERS)
        lines.append(sql.SQL("GRANT {} TO {};").format(readers, names[StoreRole.WRITER]))
        return "\n".join(line.as_string(conn) for line in lines)


def ways_in(owner: StoreAddress, secret: bytes) -> dict[StoreRole, str]:
    """How each role comes in whose password follows from a secret that is kept; raises
    RolesUnavailable.
    """
    with psycopg.connect(owner.dsn, connect_timeout=CONNECT_SECONDS, autocommit=True) as conn:
        roles = Roles.of(conn.info.dbname, owner.schema, secret)
        given = {
            role: _as_role(owner.dsn, conn, roles.name(role), roles.password(role))
            for role in StoreRole
        }
    for role, dsn in given.items():
        _try(role, dsn, owner.schema)
    return given


def _make_all(conn: psycopg.Connection[Any], roles: Roles) -> None:
    """Make the roles; of one who may not, those that were made for him are taken as they are."""
    if not may_make_roles(conn) and all(
        _is_there(conn, _ROLE_IS_THERE, roles.name(role)) for role in StoreRole
    ):
        return
    for role in StoreRole:
        _make(conn, roles.name(role), roles.password(role))


def _reads_alike(conn: psycopg.Connection[Any], roles: Roles) -> bool:
    """Whether the writer is one of those who read already."""
    query: LiteralString = "SELECT 1 WHERE pg_has_role(%s, %s, 'MEMBER')"
    writer = roles.name(StoreRole.WRITER)
    return all(_is_there(conn, query, writer, roles.name(reader)) for reader in READERS)


def _make(conn: psycopg.Connection[Any], name: str, password: str) -> None:
    role = sql.Identifier(name)
    if not _is_there(conn, _ROLE_IS_THERE, name):
        conn.execute(sql.SQL("CREATE ROLE {} LOGIN").format(role))
        # Whoever moves and migrates may do what they may, and end their sessions.
        conn.execute(sql.SQL("GRANT {} TO CURRENT_USER").format(role))
    set_password(conn, name, password)


def _listed(names: Iterable[sql.Composable]) -> sql.Composed:
    return sql.SQL(", ").join(list(names))


def _is_there(conn: psycopg.Connection[Any], query: LiteralString, *names: str) -> bool:
    return conn.execute(query, names).fetchone() is not None


def _tables(conn: psycopg.Connection[Any], schema: str) -> list[tuple[str, str]]:
    """Every table and view of a schema with its owner; parts of a table are reached through it."""
    return conn.execute(
        "SELECT c.relname, pg_get_userbyid(c.relowner)"
        " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname = %s AND c.relkind IN ('r', 'p', 'v', 'm') AND NOT c.relispartition"
        " ORDER BY 1",
        (schema,),
    ).fetchall()


def _as_role(owner: str, conn: psycopg.Connection[Any], name: str, password: str) -> str:
    """The owner's connection string for a role; what it leaves to the environment is said in it."""
    info = conn.info
    found = {"dbname": info.dbname, "host": info.host, "port": str(info.port)}
    return as_user(owner, name, password, found)


def _try(role: StoreRole, dsn: str, schema: str) -> None:
    """Come in as a role, and look at who leads: a server may know other ways in than by password,
    and of a store that the log has left this table is all there is. Raises RolesUnavailable.
    """
    try:
        with psycopg.connect(dsn, connect_timeout=CONNECT_SECONDS, autocommit=True) as conn:
            conn.execute(sql.SQL("SELECT FROM {} LIMIT 0").format(sql.Identifier(schema, _LED)))
    except psycopg.errors.InsufficientPrivilege as error:
        raise RolesUnavailable(
            f"the tables of schema {schema} are another owner's: {error.diag.message_primary}"
        ) from error
    except psycopg.OperationalError as error:
        raise RolesUnavailable(
            f"the server does not let role {role} in: {str(error).strip()}"
        ) from error
