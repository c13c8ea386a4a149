"""Ways into a store: a role takes its own name and password along, and nothing of the owner's."""

from __future__ import annotations

import pytest
from psycopg.conninfo import conninfo_to_dict

from infrastructure.log.ways_in import as_here, as_user, is_role_of

OWNERS = (
    "host=db.example port=6432 user=owner password='it''s \\\\ secret' dbname=trades"
    " passfile=/home/owner/.pgpass sslcert=/home/owner/client.crt sslkey=/home/owner/client.key"
    " sslmode=verify-full sslrootcert=/etc/ca.pem"
).replace("''", "\\'")


def test_role_comes_in_where_its_owner_does_with_nothing_of_his() -> None:
    """Neither his password nor the file that has it; what guards the connection stays."""
    said = conninfo_to_dict(as_user(OWNERS, "nexus_gateway", "its own", {"dbname": "unused"}))

    assert {
        "host": "db.example",
        "port": "6432",
        "dbname": "trades",
        "sslmode": "verify-full",
        "sslrootcert": "/etc/ca.pem",
        "user": "nexus_gateway",
        "password": "its own",
    } == said


def test_what_an_address_leaves_to_the_environment_is_said() -> None:
    """The environment of a process says nothing of it."""
    found = {"host": "/run/postgresql", "port": "5432", "dbname": "trades"}
    said = conninfo_to_dict(as_user("user=owner", "nexus_feed", "p", found))
    assert {**found, "user": "nexus_feed", "password": "p"} == said


def test_value_with_spaces_and_quotes_comes_through() -> None:
    """A folder or a name may hold whatever a file system takes."""
    odd = r"/tmp/o'clock \ now"
    said = conninfo_to_dict(as_user(f"dbname={'x'}", "nexus_fix", "p q'", {"host": odd}))
    assert (odd, "p q'") == (said["host"], said["password"])


@pytest.mark.parametrize("user", ["nexus_writer", "nexus_fix_trades_partition_7"])
def test_role_comes_to_the_other_store_of_a_move_as_it_comes_here(user: str) -> None:
    """What a store remembers of the other one is the owner's way in."""
    here = f"host=here user={user} password=mine dbname=trades"
    there = conninfo_to_dict(as_here("host=there user=owner passfile=/secret", here))
    assert {"host": "there", "user": user, "password": "mine", "dbname": "owner"} == there
    assert here == as_here(None, here)


@pytest.mark.parametrize("user", ["nexus_owner", "nexus", "operator", "nexus_writers"])
def test_owner_comes_to_the_other_store_as_it_remembers(user: str) -> None:
    """His password is his to know, wherever that store is."""
    here = f"host=here user={user}"
    assert "host=there user=x" == as_here("host=there user=x", here)
    assert not is_role_of(here)
    assert not is_role_of(None)
