"""The demo's FIX session: one file, one client, the account of one of its traders."""

from __future__ import annotations

import asyncio
import secrets
from typing import NamedTuple

from api.fix.logon.passwords import hash_of
from api.processes.supervisor import Supervisor
from infrastructure.private_files import read_own, write_own

VENUE, CLIENT, LABEL = "NEXUS", "DEMO", "MAIN"


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


async def serve_fix(venue: Supervisor, account_id: str) -> FixSession:
    """Write the file of a session that trades an account, and have the venue serve it; the
    password is drawn once in the life of a demo venue.
    """
    home = venue.settings.data_dir
    secret, file = home / "fix-password", home / "fix.toml"
    password = (read_own(secret) or "").strip()
    if not password:
        password = secrets.token_urlsafe(12)
        write_own(secret, password + "\n")
    write_own(
        file,
        "# The FIX session of the demo; docs/fix-sessions.md says what else can stand here.\n"
        "[[session]]\n"
        f'sender = "{VENUE}"\n'
        f'target = "{CLIENT}"\n'
        f'password = "{hash_of(password)}"\n'
        f'accounts.{LABEL} = "{account_id}"\n'
        "heartbeat.least = 1\n",
    )
    await asyncio.to_thread(venue.serve_fix, file)
    return FixSession(password)
