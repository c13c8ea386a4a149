"""Connection strings: the way of one user into a database, made from that of another."""

from __future__ import annotations

import re
from collections.abc import Mapping

from psycopg.conninfo import conninfo_to_dict, make_conninfo

ROLE = re.compile(r"nexus_(writer|gateway|fix|feed|projector)(_.+)?")
"""What a role of ours is called, wherever it is."""
_OF_THE_USER = ("user", "password", "passfile", "sslcert", "sslkey", "service")


def is_role_of(dsn: str | None) -> bool:
    """Whether who comes in so has a role of his own, and needs no password of the owner's."""
    return dsn is not None and bool(ROLE.fullmatch(str(conninfo_to_dict(dsn).get("user", ""))))


def as_user(dsn: str, user: str, password: str, defaults: Mapping[str, str]) -> str:
    """How another user comes in where a connection string leads; what it does not say is said.

    Nothing of the first user's is left in it: neither a password nor the name of a file with one.
    """
    said = {word: value for word, value in conninfo_to_dict(dsn).items() if value is not None}
    words = {word: value for word, value in said.items() if word not in _OF_THE_USER}
    text = " ".join(f"{word}={_quoted(value)}" for word, value in {**defaults, **words}.items())
    return make_conninfo(text, user=user, password=password)


def as_here(there: str | None, here: str) -> str:
    """The address of another server for who comes in here: a role has one name and one password on
    both, as what a store remembers of the other one is the owner's way in.
    """
    if there is None:
        return here
    mine = conninfo_to_dict(here)
    if not is_role_of(here):
        return there
    # Where no database is named it is the one of the owner's name.
    owner = conninfo_to_dict(there).get("user")
    user, password = str(mine["user"]), str(mine.get("password", ""))
    return as_user(there, user, password, {} if owner is None else {"dbname": str(owner)})


def _quoted(value: object) -> str:
    escaped = str(value).replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
