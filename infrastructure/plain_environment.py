"""The environment of a program that need know nothing of the venue."""

from __future__ import annotations

import os

KEPT = ("PATH", "LANG", "LC_ALL", "TZ", "LD_LIBRARY_PATH")
"""What a program needs to run at all."""


def plain_environment() -> dict[str, str]:
    """An environment that tells no secret of this process's."""
    return {name: os.environ[name] for name in KEPT if name in os.environ}
