"""What tests write into a file of FIX sessions: a cheap hash, and the least of a session."""

from __future__ import annotations

from typing import Any

from argon2 import PasswordHasher

PASSWORD = "correct horse"
ACCOUNT = "0192b1f0-0000-7000-8000-000000000001"

CHEAP_HASHER = PasswordHasher(time_cost=1, memory_cost=7_168, parallelism=1)
"""As cheap as a template takes it: hundreds of logons are no test of argon2."""
CHEAP_HASH = CHEAP_HASHER.hash(PASSWORD)


def session(**said: Any) -> dict[str, Any]:
    """One session as a document has it; what is None is left out."""
    whole = {
        "sender": "NEXUS",
        "target": "ALPHA",
        "password": CHEAP_HASH,
        "accounts": {"MAIN": ACCOUNT},
        **said,
    }
    return {name: value for name, value in whole.items() if value is not None}
