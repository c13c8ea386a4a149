"""The same commands give the same bytes, in any process, whatever its hash seed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent

PROGRAM = """
import sys
from hashlib import blake2b
from infrastructure.hot_modules import choose_implementation
choose_implementation()
from application.desk.state import state_hash
from tests.model.command_flow import lived
venue = lived(int(sys.argv[1]), 400)
log = blake2b()
for row in venue.log.rows:
    log.update(repr(row).encode())
print(len(venue.log.rows), log.hexdigest(), state_hash(venue.writer.desk).hex())
"""


def run(seed: int, hash_seed: str, implementation: str) -> str:
    """A flow in a process of its own: how many events, their hash, the state's hash."""
    path = os.pathsep.join([str(ROOT), *sys.path])
    said = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(seed)],
        env={
            **os.environ,
            "PYTHONPATH": path,
            "PYTHONHASHSEED": hash_seed,
            "NEXUS_IMPL": implementation,
        },
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return said.stdout


@pytest.mark.parametrize("seed", [1, 2])
def test_replay_of_the_same_commands_gives_the_same_bytes_in_every_process(seed: int) -> None:
    """Neither the order of a set nor the way the book runs shows in any event."""
    first = run(seed, "0", "compiled")

    assert first == run(seed, "1", "compiled")
    assert first == run(seed, "4242", "interpreted")
    assert first != run(seed + 100, "0", "compiled")
