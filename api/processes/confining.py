"""What a process that strangers talk to may read beside its programs: no other's password."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from multiprocessing.heap import BufferWrapper
from pathlib import Path

from psycopg.conninfo import conninfo_to_dict

from infrastructure.capabilities import keep_capabilities
from infrastructure.confinement import Unconfined, confine
from infrastructure.log.ways_in import is_role_of
from infrastructure.settings import Settings

FIX = "fix"
_SHARED_BYTES = 64 * 1024
_TRUSTED_CERTIFICATES = ("root.crt", "root.crl")
_PASSWORDS = (".pgpass", ".pg_service.conf", ".postgresql")
_PASSWORD_FILES = ("PGPASSFILE", "PGSERVICEFILE")
"""Where the owner of a store may have passwords, which nobody needs who has a role of his own."""
_OF_THE_SERVER = ("sslrootcert", "sslcrl", "sslcrldir")
_OF_THE_USER = ("passfile", "sslcert", "sslkey")
"""Files that a connection string may name: by which a server is known, and by which the user is."""


def confine_process(role: str, settings: Settings, say: Callable[[str], object]) -> None:
    """Give up what strangers must never come to through this process, before it has threads, which
    would keep it; say what is not held.
    """
    # What it shares with its workers is begun before: later it can make no memory to share.
    BufferWrapper(_SHARED_BYTES)
    closed, but = [settings.data_dir], [*_files_of_the_store(settings.database_url)]
    if is_role_of(settings.database_url):
        closed += [Path(os.environ[name]) for name in _PASSWORD_FILES if os.environ.get(name)]
    if settings.fix_config is not None and role == FIX:
        but += _files_of_sessions(settings.fix_config, settings.data_dir)
    elif settings.fix_config is not None:
        closed.append(settings.fix_config)
    try:
        confine(closed, but)
    except Unconfined as error:
        say(f"{role} can read what its user can: {error}")
    keep_capabilities()


def say_if_owner(role: str, settings: Settings, say: Callable[[str], object]) -> None:
    """Say of a process that was started alone what rights it has, where they are not its own."""
    if settings.database_url is not None and not is_role_of(settings.database_url):
        user = conninfo_to_dict(settings.database_url).get("user", "of the address")
        say(
            f"{role} works with all rights of database user {user}: the address of its own role"
            " takes them from it (docs/roles.md)"
        )


def _files_of_the_store(dsn: str | None) -> Iterator[Path]:
    """What the driver may have to read to come into the store."""
    if dsn is None:
        return
    said = conninfo_to_dict(dsn)
    own = is_role_of(dsn)
    words = _OF_THE_SERVER if own else (*_OF_THE_SERVER, *_OF_THE_USER)
    yield from (Path(str(said[word])) for word in words if said.get(word))
    if not own:
        yield from (Path(os.environ[name]) for name in _PASSWORD_FILES if os.environ.get(name))
    home = _home()
    if home is not None:
        yield from (home / ".postgresql" / name for name in _TRUSTED_CERTIFICATES)
        if not own:
            yield from (home / name for name in _PASSWORDS)


def _files_of_sessions(config: Path, data_dir: Path) -> Iterator[Path]:
    """The file of FIX sessions with what it names; and its directory, where that is for it, so
    that a file that takes its place is read too.
    """
    from api.processes.fix import files_of

    yield from files_of(config)
    directory = config.parent
    home = _home()
    others = [data_dir, *([home] if home else []), *map(Path, ("/root", "/etc", "/tmp"))]
    if not any(other.is_relative_to(directory) for other in others) and not (
        directory.is_relative_to(data_dir)
    ):
        yield directory


def _home() -> Path | None:
    try:
        return Path.home()
    except RuntimeError:
        return None  # a user without a name
