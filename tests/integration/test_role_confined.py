"""What a confined process can still read, and that what it needs is there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Sequence
from pathlib import Path

import pytest

from infrastructure.capabilities import LISTEN_BELOW_1024, PASS_BY_MODES
from tests.integration.test_role_venue import ROOT, without_landlock

CONFINED = """
import json, os, sys
from pathlib import Path
from infrastructure.confinement import confine
confine([Path(one) for one in sys.argv[1].split(":")], [Path(sys.argv[2])])
found = {}
for name in sys.argv[3:]:
    try:
        with open(name, "rb", buffering=0) as file:
            found[name] = len(file.read(8))
    except OSError as error:
        found[name] = type(error).__name__
print(json.dumps(found))
"""

WORKING = """
import os, socket, subprocess, sys, zoneinfo
from pathlib import Path
from infrastructure.confinement import confine
confine([Path(sys.argv[1])])
import api.app, api.wiring, infrastructure.calendar_source, ssl, http.server, mimetypes
mimetypes.init()
assert ssl.create_default_context().cert_store_stats() is not None
assert zoneinfo.ZoneInfo("America/New_York")
assert socket.getaddrinfo("localhost", 80)
os.urandom(8), Path("/dev/urandom").open("rb").read(8), os.cpu_count()
from infrastructure.calendar_source import Calendars
assert Calendars().session_at_or_after("XNYS", 1_700_000_000_000_000)
print("works")
"""

pytestmark = pytest.mark.skipif(
    without_landlock(), reason="this kernel has no Landlock: the start says so"
)


def tried(closed: str, but: Path, names: Sequence[str | Path]) -> dict[str, int | str]:
    """What a confined process has read of each file, or why it has not."""
    done = subprocess.run(
        [sys.executable, "-c", CONFINED, closed, str(but), *map(str, names)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, int | str] = json.loads(done.stdout)
    return found


def test_role_confined_process_reads_no_other_programs_secret(tmp_path: Path) -> None:
    """Another venue's passwords, a note in a home, a shell's history: none of it is a program's."""
    note = tmp_path / "elsewhere" / "pgpass"
    note.parent.mkdir()
    note.write_text("a password")
    beside = ROOT / f".secret-{uuid.uuid4().hex}"
    beside.write_text("NEXUS_ADMIN_KEY=of the checkout")
    try:
        names = [note, beside, Path.home() / ".profile", "/etc/shadow", "/etc/nexustrade.env"]
        found = tried("/nowhere", Path("/nowhere"), names)
    finally:
        beside.unlink()
    assert set(found.values()) <= {"PermissionError", "FileNotFoundError"}, found
    assert "PermissionError" == found[str(note)] == found[str(beside)]


@pytest.mark.skipif(os.geteuid() != 0, reason="a plain user can read none of it anyway")
def test_role_confined_process_of_root_reads_no_memory_and_no_disk() -> None:
    """Whoever reads them reads every password on the machine."""
    blocks = [f"/dev/{entry.name}" for entry in Path("/sys/block").iterdir()]
    there = [name for name in ("/proc/kcore", "/dev/mem", *blocks) if os.path.exists(name)]
    found = tried("/nowhere", Path("/nowhere"), there)
    assert {"PermissionError"} == set(found.values()), found


@pytest.mark.skipif(os.geteuid() != 0, reason="no other user has any")
def test_role_confined_process_of_root_keeps_two_capabilities_and_so_do_its_children() -> None:
    """It loads nothing into the kernel, and becomes no other user."""
    code = (
        "import os, subprocess; from infrastructure.capabilities import keep_capabilities\n"
        "assert keep_capabilities()\n"
        "words = 'CapInh', 'CapPrm', 'CapEff', 'CapBnd'\n"
        "for text in (open('/proc/self/status').read(),\n"
        "             subprocess.check_output(['cat', '/proc/self/status'], text=True)):\n"
        "    print(*(int(l.split()[1], 16) for l in text.splitlines() if l[:6] in words))\n"
        "try: os.setuid(1)\n"
        "except PermissionError: print('refused')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    *found, last = done.stdout.splitlines()
    bits = 1 << PASS_BY_MODES | 1 << LISTEN_BELOW_1024
    assert "refused" == last
    for line in found:
        assert {0, *map(int, line.split())} == {0, bits}, found


def test_role_file_that_is_named_is_read_and_no_other_of_its_directory(tmp_path: Path) -> None:
    """Of a directory that is closed, too; one that is no file is read whole."""
    (tmp_path / "fix.toml").write_text("sessions")
    (tmp_path / "pgpass").write_text("a password")
    names = [tmp_path / "fix.toml", tmp_path / "pgpass"]
    found = tried(str(tmp_path), tmp_path / "fix.toml", names)
    assert [8, "PermissionError"] == [found[str(name)] for name in names]
    assert [8, 8] == [*tried("/nowhere", tmp_path, names).values()]


def test_role_confined_process_finds_what_it_needs(tmp_path: Path) -> None:
    """Modules, certificates, time zones, names of hosts, calendars in a process of their own."""
    done = subprocess.run(
        [sys.executable, "-c", WORKING, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONSAFEPATH": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "works\n" == done.stdout, done.stderr
