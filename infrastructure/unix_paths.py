"""Directories and socket paths that the kernel, and a server run as another user, can use."""

import os
import stat
import sys
from pathlib import Path

# sizeof(sockaddr_un.sun_path) less the closing zero.
SOCKET_PATH_MAX = 103 if sys.platform == "darwin" else 107


class SocketPathTooLong(Exception):
    """A unix socket cannot have a name of this length."""

    def __init__(self, path: Path, variable: str) -> None:
        length = len(os.fsencode(path))
        super().__init__(
            f"the socket path {path} has {length} bytes and may have {SOCKET_PATH_MAX}; "
            f"set {variable} to a shorter one"
        )
        self.path = path
        self.length = length


class UnsafeDirectory(Exception):
    """A directory cannot be used: it belongs to another, or cannot be reached."""


def check_socket_path(path: Path, variable: str) -> Path:
    """The path itself, when a socket can be bound to it."""
    if len(os.fsencode(path)) > SOCKET_PATH_MAX:
        raise SocketPathTooLong(path, variable)
    return path


def make_directory(path: Path, *, mode: int, owner: tuple[int, int] | None = None) -> None:
    """Make the directory, with parents everyone may pass through, or take it when it is ours."""
    for parent in reversed(path.parents):
        if not parent.exists():
            parent.mkdir(exist_ok=True)
            parent.chmod(0o755)
    path.mkdir(exist_ok=True)
    uid, gid = owner or (os.geteuid(), os.getegid())
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid not in (uid, os.geteuid()):
        raise UnsafeDirectory(f"{path} is not a directory of this user's own")
    if (found.st_uid, found.st_gid) != (uid, gid) and os.geteuid() == 0:
        os.chown(path, uid, gid)
    if stat.S_IMODE(found.st_mode) != mode:
        path.chmod(mode)


def unreachable_parent(path: Path, uid: int, gid: int) -> Path | None:
    """The first directory on the way that the user may not pass through, when there is one."""
    for parent in reversed(path.parents):
        found = parent.stat()
        bit = stat.S_IXOTH
        if found.st_uid == uid:
            bit = stat.S_IXUSR
        elif found.st_gid == gid:
            bit = stat.S_IXGRP
        if not found.st_mode & bit:
            return parent
    return None
