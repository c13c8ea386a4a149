"""Shuts a process that strangers talk to out of the files that are not its business.

A gateway runs as the user who owns the store. Where the kernel has Landlock (Linux from 5.13 on)
it gives up for itself, and for whatever it starts, every file but those of programs and of the
system (`infrastructure.needed_files`) and those that are named: with them the passwords of the
owner, the cluster, the homes of users, disks and memory of the machine, and the memory and the
environment of other processes. It writes no file at all any more. What was open stays open.
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path

from infrastructure.needed_files import listed_directories, needed_files

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_ALIKE = ("x86_64", "aarch64", "riscv64", "ppc64le", "s390x", "loongarch64")
"""Machines on which these calls have these numbers."""
_VERSION = 1
_BENEATH = 1
_SET_DUMPABLE, _SET_NO_NEW_PRIVS = 4, 38

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1, 2, 4, 8
_IOCTL = 1 << 15
_LAST_RIGHT = ((1, 1 << 12), (2, 1 << 13), (3, 1 << 14), (5, _IOCTL))
"""From which version of the interface on which right is the last one that it knows."""
_OF_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _IOCTL
_SCOPES = 3
"""From version 6 on: abstract sockets and signals of processes that are not confined alike."""

_READING = _EXECUTE | _READ_FILE | _READ_DIR
_DEVICES = _READING | _WRITE_FILE | _IOCTL
_PROC = Path("/proc")
_OF_THE_MACHINE = ("cpuinfo", "filesystems", "loadavg", "meminfo", "stat", "sys", "uptime")
"""What of /proc tells of the machine and of nobody's memory, as kcore would."""
_HARMLESS = ("full", "null", "random", "tty", "urandom", "zero")
"""Devices that are no disk, no memory, and nobody's else."""


class Unconfined(Exception):
    """The process keeps what its user may do; the message says why."""


def confine(closed: Sequence[Path], but: Sequence[Path] = ()) -> None:
    """Give up all files but those that a program needs, the other processes of the machine, and all
    writing of files.

    `closed` are directories that are given up wherever they stand. `but` are files and directories
    that can be read all the same, a file as it is now: what takes its place later is another one.
    Raises Unconfined where the kernel has no means for it; nothing has changed then.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    version = _version(libc)
    handled = (max(bit for least, bit in _LAST_RIGHT if version >= least) << 1) - 1
    scopes = _SCOPES if version >= 6 else 0
    attributes = struct.pack("=QQQ", handled, 0, scopes)
    size = 24 if version >= 6 else 16 if version >= 4 else 8
    ruleset = _call(libc, _CREATE_RULESET, ctypes.c_char_p(attributes), size, 0)
    try:
        away = [Path(os.path.realpath(path)) for path in closed]
        for needed in needed_files():
            for path in _beside(Path(os.path.realpath(needed)), away):
                _allow(libc, ruleset, path, _READING & handled)
        for listed in listed_directories():
            if not any(path.is_relative_to(listed) for path in away):
                _allow(libc, ruleset, listed, _READ_DIR)
        for path in but:
            _allow(libc, ruleset, Path(os.path.realpath(path)), _READING & handled)
        for name in _HARMLESS:
            _allow(libc, ruleset, Path("/dev", name), _DEVICES & handled)
        for name in (str(os.getpid()), *_OF_THE_MACHINE):
            _allow(libc, ruleset, _PROC / name, _READING & handled)
        if libc.prctl(_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
            raise Unconfined(f"the kernel refuses: {os.strerror(ctypes.get_errno())}")
        _call(libc, _RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)
    libc.prctl(_SET_DUMPABLE, 0, 0, 0, 0)


def _version(libc: ctypes.CDLL) -> int:
    if not os.path.isdir("/proc/self") or platform.machine() not in _ALIKE:
        raise Unconfined("this system has no Landlock")
    version = int(libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), _VERSION))
    if version < 1:
        raise Unconfined(f"this kernel has no Landlock ({os.strerror(ctypes.get_errno())})")
    return version


def _call(libc: ctypes.CDLL, number: int, *arguments: object) -> int:
    said = int(
        libc.syscall(number, *(ctypes.c_long(a) if isinstance(a, int) else a for a in arguments))
    )
    if said < 0:
        raise Unconfined(f"the kernel refuses: {os.strerror(ctypes.get_errno())}")
    return said


def _allow(libc: ctypes.CDLL, ruleset: int, path: Path, rights: int) -> None:
    """Allow what is below a path; one that has gone meanwhile needs no rule."""
    try:
        beneath = os.open(path, os.O_PATH | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return
    try:
        if not path.is_dir():
            rights &= _OF_FILES
        rule = struct.pack("=Qi", rights, beneath)
        _call(libc, _ADD_RULE, ruleset, _BENEATH, ctypes.c_char_p(rule), 0)
    finally:
        os.close(beneath)


def _beside(directory: Path, closed: Sequence[Path]) -> Iterator[Path]:
    """What of a directory is on the way to nothing that is closed, as few paths as say it all."""
    if any(directory.is_relative_to(path) for path in closed):
        return
    if not any(path.is_relative_to(directory) for path in closed):
        yield directory
        return
    try:
        entries = [Path(entry.path) for entry in os.scandir(directory) if not entry.is_symlink()]
    except OSError:
        return
    for entry in entries:
        yield from _beside(entry, closed)
