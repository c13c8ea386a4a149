"""What the demo asks of the venue's own tools once the market is quiet."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from api.processes.supervisor import Supervisor


def nexus(venue: Supervisor, arguments: Sequence[str]) -> tuple[int, dict[str, Any]]:
    """Run a `nexus` command against this venue; its exit code and its JSON line."""
    done = subprocess.run(
        [sys.executable, "-m", "api.cli.main", *arguments, "--json"],
        env=venue.environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    last = done.stdout.strip().splitlines()[-1] if done.stdout.strip() else "{}"
    return done.returncode, json.loads(last)
