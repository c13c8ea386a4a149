"""Directories and socket paths that the kernel, and a server run as another user, can use.

What another user could put in the way is refused: a directory that he owns, one that everybody
or a group of others may write to, a link of his. Under a sticky directory such as /tmp only the
owner of an entry can take it away, so that one of our own is safe there, and one that was taken
first is seen.
"""

from __future__ import annotations

import grp
import os
import pwd
import stat
import sys
from contextlib import suppress
from pathlib import Path

# sizeof(sockaddr_un.sun_path) less the closing zero.
SOCKET_PATH_MAX = 103 if sys.platform == "darwin" else 107
_LINKS_MAX = 40


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


def check_way(path: Path) -> None:
    """Refuse a path that another user could lead elsewhere; what of it is not there is well.

    Raises UnsafeDirectory. Every directory on the way, the last one too, is root's or ours and
    nobody else's to write, unless it is sticky; every link on it is root's or ours.
    """
    trusted = {0, os.geteuid()}
    waiting = [part for part in reversed(Path(os.path.abspath(path)).parts) if part != "/"]
    way, links = Path("/"), 0
    _check_directory(way, way.lstat(), trusted)
    while waiting:
        part = waiting.pop()
        if part == "..":
            way = way.parent
            continue
        step = way / part
        try:
            found = step.lstat()
        except FileNotFoundError:
            return
        if stat.S_ISLNK(found.st_mode):
            links += 1
            if found.st_uid not in trusted or links > _LINKS_MAX:
                raise UnsafeDirectory(f"{step} is a link of user {found.st_uid}")
            target = Path(os.readlink(step))
            if target.is_absolute():
                way = Path("/")
            waiting += [one for one in reversed(target.parts) if one not in ("/", ".")]
            continue
        way = step
        _check_directory(way, found, trusted)


def _check_directory(path: Path, found: os.stat_result, trusted: set[int]) -> None:
    if not stat.S_ISDIR(found.st_mode):
        raise UnsafeDirectory(f"{path} is not a directory")
    if found.st_uid not in trusted:
        raise UnsafeDirectory(f"{path} belongs to user {found.st_uid}, who could change it")
    if found.st_mode & stat.S_IWOTH and not found.st_mode & stat.S_ISVTX:
        raise UnsafeDirectory(f"everybody may write to {path}: chmod o-w {path}")
    if found.st_mode & stat.S_IWGRP and not found.st_mode & stat.S_ISVTX:
        others = _others_in(found.st_gid, trusted)
        if others:
            who = f"user {others[0]}, of group {found.st_gid}, may write to {path}"
            raise UnsafeDirectory(f"{who}: chmod g-w {path}")


def _others_in(group: int, trusted: set[int]) -> list[str]:
    """Who is in a group and neither root nor ourselves."""
    names = {user.pw_name: user.pw_uid for user in pwd.getpwall() if user.pw_gid == group}
    with suppress(KeyError):
        for name in grp.getgrgid(group).gr_mem:
            with suppress(KeyError):
                names[name] = pwd.getpwnam(name).pw_uid
    return sorted(name for name, uid in names.items() if uid not in trusted)


def make_parents(path: Path, mode: int) -> None:
    """Make the directories above one, those that are not there, with a mode of any umask."""
    for parent in reversed(path.parents):
        if not parent.exists():
            parent.mkdir(mode=mode, exist_ok=True)
            parent.chmod(mode)


def make_directory(path: Path, *, mode: int, owner: tuple[int, int] | None = None) -> None:
    """Make the directory, with parents everyone may pass through, or take it when it is ours.

    What root makes or takes stands where nobody else can put another thing in its place.
    """
    if os.geteuid() == 0:
        check_way(path.parent)
    make_parents(path, 0o755)
    path.mkdir(mode=0o700, exist_ok=True)
    uid, gid = owner or (os.geteuid(), os.getegid())
    try:
        directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        raise UnsafeDirectory(f"{path} is not a directory of this user's own") from None
    try:
        found = os.fstat(directory)
        if found.st_uid not in (uid, os.geteuid()):
            raise UnsafeDirectory(f"{path} is not a directory of this user's own")
        if (found.st_uid, found.st_gid) != (uid, gid) and os.geteuid() == 0:
            os.fchown(directory, uid, gid)
        if stat.S_IMODE(found.st_mode) != mode:
            os.fchmod(directory, mode)
    finally:
        os.close(directory)


def make_runtime_directory(path: Path) -> None:
    """Make the directory for sockets, or take it when nobody else could have a hand in it.

    One that root makes may be passed through, for a server that runs as another user.
    """
    check_way(path.parent)
    pass_through = 0o711 if os.geteuid() == 0 else 0o700
    make_parents(path, pass_through)
    if path.is_symlink():
        raise UnsafeDirectory(f"{path} is a link, and is to be a directory of this user's own")
    try:
        path.mkdir(mode=pass_through)
        path.chmod(pass_through)
    except FileExistsError:
        check_way(path)
        found = path.lstat()
        if found.st_uid != os.geteuid():
            return  # Root's, such as /run: nobody else has a hand in it.
        if not found.st_mode & stat.S_ISVTX and stat.S_IMODE(found.st_mode) & 0o022:
            path.chmod(stat.S_IMODE(found.st_mode) & ~0o022)


def prepare_for_socket(directory: Path) -> None:
    """Have a directory for sockets of ours: made for us alone, or one nobody else has a hand in.

    Raises UnsafeDirectory.
    """
    if directory.parent != directory and not directory.parent.exists():
        make_runtime_directory(directory.parent)
    if directory.is_symlink():
        raise UnsafeDirectory(f"{directory} is a link, and is to be a directory of our own")
    check_way(directory.parent)
    with suppress(FileExistsError):
        directory.mkdir(mode=0o700)
    check_way(directory)


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
