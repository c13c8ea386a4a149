"""The demo's FIX session: one file, one client, the account of one of its traders."""

from __future__ import annotations

import secrets
import signal
from pathlib import Path
from typing import NamedTuple

from api.fix.logon.passwords import hash_of
from api.processes.supervisor import Supervisor

VENUE, CLIENT, LABEL = "NEXUS", "DEMO", "MAIN"
NOBODY = "00000000-0000-7000-8000-000000000000"
"""Whose account it is until there is one: the venue starts before it has any."""


class FixSession(NamedTuple):
    """What a client needs to log on."""

    password: str

    def rows(self, port: int) -> list[tuple[str, str]]:
        """It, as it is shown."""
        return [
            ("address", f"127.0.0.1:{port}"),
            ("SenderCompID(49)", CLIENT),
            ("TargetCompID(56)", VENUE),
            ("Password(554)", self.password),
        ]


def prepared(home: Path) -> Path:
    """The file of the demo's session, made with a password of its own when there is none."""
    file = home / "fix.toml"
    if not file.exists():
        password = home / "fix-password"
        password.touch(mode=0o600)
        password.write_text(secrets.token_urlsafe(12) + "\n")
        _write(file, hash_of(password.read_text().strip()), NOBODY)
    return file


def given_to(venue: Supervisor, account_id: str) -> FixSession:
    """Let the session trade an account from its next logon on."""
    file = venue.settings.fix_config
    assert file is not None
    password = (file.parent / "fix-password").read_text().strip()
    _write(file, hash_of(password), account_id)
    venue.kill("fix", signal.SIGHUP)
    return FixSession(password)


def _write(file: Path, hashed: str, account_id: str) -> None:
    file.touch(mode=0o600)
    file.write_text(
        "# The FIX session of the demo; api/fix/settings/ says what else can stand here.\n"
        "[[session]]\n"
        f'sender = "{VENUE}"\n'
        f'target = "{CLIENT}"\n'
        f'password = "{hashed}"\n'
        f'accounts.{LABEL} = "{account_id}"\n'
        "heartbeat.least = 1\n"
    )
