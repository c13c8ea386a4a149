"""Files for nobody else's eyes, of which none is a link, a pipe or another user's."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

_OPEN = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class NotOurs(OSError):
    """What stands at the path is no plain file of this user's own."""


def open_own(path: Path, flags: int) -> int:
    """Open a plain file of this user's own, made with mode 0600 where the flags say so.

    Raises NotOurs for anything else, and the usual errors of opening.
    """
    try:
        descriptor = os.open(path, flags | _OPEN, 0o600)
    except OSError as error:
        if path.is_symlink():
            raise NotOurs(f"{path} is a link, and is not followed") from error
        raise
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid():
        os.close(descriptor)
        raise NotOurs(f"{path} is not a plain file of this user's own")
    return descriptor


def open_log(path: Path) -> int:
    """Open a log to be appended to; one that others could read becomes private."""
    descriptor = open_own(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.fchmod(descriptor, 0o600)
    return descriptor


def read_own(path: Path, most: int = 65_536) -> str | None:
    """What stands in a file of this user's own; None where there is none."""
    try:
        descriptor = open_own(path, os.O_RDONLY)
    except FileNotFoundError:
        return None
    with open(descriptor, "rb") as file:
        return file.read(most).decode()


def write_own(path: Path, text: str, *, mode: int = 0o600) -> None:
    """Put a file in the place of whatever stands there: it is whole, or the former one."""
    descriptor, fresh = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with open(descriptor, "wb") as file:
            os.fchmod(descriptor, mode)
            file.write(text.encode())
            file.flush()
            os.fsync(descriptor)
        os.replace(fresh, path)
    except BaseException:
        # Who is asked to leave just as the file was put in place leaves for that reason.
        Path(fresh).unlink(missing_ok=True)
        raise
