"""What runs with the rights of the owner of a store takes nothing from whoever sets it off."""

from __future__ import annotations

import secrets

import psycopg
import pytest
from psycopg import sql

from infrastructure.log.roles import StoreRole, make_roles
from infrastructure.log.stores import StoreAddress
from tests.conftest import Schema

SETTING_OFF = {
    StoreRole.GATEWAY: (
        "INSERT INTO {schema}.subjects (subject, key, name_sha256, created_at)"
        " VALUES (gen_random_uuid(), decode(repeat('00', 64), 'hex'), sha256('x'), now())"
    ),
    StoreRole.FIX: "DELETE FROM {schema}.fix_sessions",
    StoreRole.WRITER: "DELETE FROM {schema}.desk_snapshots",
}
"""A statement of each role that has the trigger of what stands beside the log called."""

TRAP = """
CREATE TEMPORARY TABLE one AS SELECT 1;
CREATE FUNCTION pg_temp.taken(said text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('trap.user', current_user, false);
    RETURN said;
END
$$;
CREATE TEMPORARY VIEW writer_epoch AS SELECT pg_temp.taken('here') AS writes FROM one;
"""


@pytest.mark.parametrize("role", SETTING_OFF)
def test_no_role_has_its_own_tables_taken_for_the_owners(schema: Schema, role: StoreRole) -> None:
    """Anybody makes tables and views of his session: none stands in for one of the store where the
    owner's rights are at work.
    """
    given = make_roles(StoreAddress(schema.dsn, schema.schema), secrets.token_bytes(16))
    with psycopg.connect(given[role], autocommit=True) as conn:
        conn.execute(TRAP.encode())
        conn.execute(sql.SQL(SETTING_OFF[role]).format(schema=sql.Identifier(schema.schema)))
        assert (None,) == conn.execute("SELECT current_setting('trap.user', true)").fetchone()


def test_function_with_the_owners_rights_finds_no_name_by_a_path_of_others(schema: Schema) -> None:
    """Nobody but the system has a hand in what it searches."""
    make_roles(StoreAddress(schema.dsn, schema.schema), secrets.token_bytes(16))
    with psycopg.connect(schema.dsn) as conn:
        found = conn.execute(
            "SELECT p.proname, p.proconfig FROM pg_proc p"
            " JOIN pg_namespace n ON n.oid = p.pronamespace"
            " WHERE n.nspname = %s AND p.prosecdef",
            (schema.schema,),
        ).fetchall()
    assert [("only_in_the_truth", ["search_path=pg_catalog, pg_temp"])] == found
