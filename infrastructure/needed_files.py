"""Which files a program of ours reads while it runs, wherever it is installed; none is secret."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from glob import iglob
from pathlib import Path

SYSTEM = (
    *("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix/store", "/gnu/store"),
    *("/sys/devices/system", "/sys/fs/cgroup", "/sys/kernel/mm/transparent_hugepage"),
    *("/run/systemd/resolve", "/run/NetworkManager", "/run/resolvconf"),
)
"""Where programs and libraries stand, and what the kernel says of the machine."""

OF_ETC = (
    *("hosts", "host.conf", "resolv.conf", "nsswitch.conf", "gai.conf", "services", "protocols"),
    *("passwd", "group", "localtime", "timezone", "os-release", "mime.types", "python3*"),
    *("ld.so.*", "ssl/certs", "ssl/cert.pem", "ssl/openssl.cnf", "ca-certificates"),
    *("pki/tls/certs", "pki/tls/cert.pem", "pki/tls/openssl.cnf", "pki/ca-trust"),
    *("crypto-policies", "gss", "krb5.conf", "krb5.conf.d"),
)
"""What root reads of /etc: the rest of it could be another program's secret."""

NAMED = ("SSL_CERT_FILE", "SSL_CERT_DIR", "PGSSLROOTCERT", "PYTHONPYCACHEPREFIX", "TZDIR")
"""Variables that name a file or directory of the kind."""
_LIBRARIES = "LD_LIBRARY_PATH"
_PACKAGES = ("site-packages", "dist-packages")


def needed_files() -> Iterator[Path]:
    """Files and directories that this program, and what it starts, may have to read yet."""
    yield from map(Path, SYSTEM)
    if os.geteuid() == 0:
        yield from (Path(found) for name in OF_ETC for found in iglob(f"/etc/{name}"))
    else:
        # What others may not read of it is closed to a plain user anyway; a file of it, such as
        # resolv.conf, may be replaced at any time.
        yield Path("/etc")
    yield from map(Path, _prefixes())
    for entry in _beyond():
        yield from _modules_in(entry)
    yield from (Path(os.environ[name]) for name in NAMED if os.environ.get(name))
    yield from (Path(one) for one in os.environ.get(_LIBRARIES, "").split(":") if one)
    yield from map(Path, _mapped())


def listed_directories() -> Iterator[Path]:
    """Directories whose files are not all to be read, and in which modules are looked for."""
    yield from _beyond()


def _prefixes() -> set[str]:
    return {sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix}


def _beyond() -> list[Path]:
    """Directories of modules that stand outside of the interpreter's own."""
    found = []
    for entry in sys.path:
        path = Path(os.path.realpath(entry)) if entry else None
        if path is not None and path.is_dir():
            own = any(path.is_relative_to(os.path.realpath(prefix)) for prefix in _prefixes())
            found += [] if own else [path]
    return found


def _modules_in(directory: Path) -> Iterator[Path]:
    """The packages and modules of a directory, in which there may be other things."""
    if directory.name in _PACKAGES:
        yield directory
        return
    for entry in os.scandir(directory):
        path = Path(entry.path)
        module = entry.is_file() and path.suffix in (".py", ".so")
        if module or (entry.is_dir() and (path / "__init__.py").exists()):
            yield path


def _mapped() -> set[str]:
    """The libraries that are loaded: what this program starts loads them again."""
    with open("/proc/self/maps", encoding="utf-8", errors="surrogateescape") as maps:
        lines = [line.split(maxsplit=5) for line in maps]
    return {line[5].strip() for line in lines if len(line) == 6 and line[5].startswith("/")}
