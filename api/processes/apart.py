"""A process that strangers talk to, beside one that has the owner's way into the store.

The embedded server is started, and a secret of the owner's read, by a process that talks to nobody;
the one that strangers talk to is given its own role's way in, and is confined as under the
supervisor.
"""

from __future__ import annotations

import asyncio
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress

from api.cli.exit_codes import Exit
from api.cli.leaving import asked_later, call_instead
from api.key_issuing import keep_ensuring
from api.processes.environment import environment_of, place_of_work, variables_of
from infrastructure.command_bus import UnixSocketBus
from infrastructure.database import open_database
from infrastructure.log.ways_in import is_role_of
from infrastructure.settings import PREFIX, Settings


def serve_apart(
    role: str, settings: Settings, arguments: Sequence[str], *, say: Callable[[str], object]
) -> int:
    """Keep the store while the process runs, and answer with the code with which it ends."""
    with open_database(settings, on_message=say, process=role) as database:
        if not is_role_of(database.dsn):
            say(f"{role} is not served with all of the owner's rights: strangers talk to it")
            return Exit.MIGRATION
        ours, theirs = socket.socketpair()
        with ours:
            with asked_later(), theirs:
                process = subprocess.Popen(
                    [
                        *(sys.executable, "-P", "-m", "api.cli.main", "serve", "--supervised"),
                        *("--only", role, *arguments),
                    ],
                    stdin=theirs.fileno(),
                    env=_environment(settings, database.dsn),
                    cwd=place_of_work(),
                    start_new_session=True,
                )
                call_instead(process.terminate)
                # What is read again when this is heard is read there.
                signal.signal(signal.SIGHUP, lambda *_: process.send_signal(signal.SIGHUP))
            if settings.admin_key is not None:
                threading.Thread(target=_see_to_operator, args=(settings, say), daemon=True).start()
            code = process.wait()
    return code if code >= 0 else Exit.CHECK_FAILED


def _environment(settings: Settings, dsn: str) -> dict[str, str]:
    variables = variables_of(settings)
    for name in ("ADMIN_KEY", "ROLES_FILE"):
        variables.pop(PREFIX + name, None)
    return environment_of({**variables, PREFIX + "DATABASE_URL": dsn})


def _see_to_operator(settings: Settings, say: Callable[[str], object]) -> None:
    """Have NEXUS_ADMIN_KEY let an operator in as soon as a writer leads: the other process does not
    have it.
    """

    async def ensure() -> None:
        bus = UnixSocketBus(settings.bus_socket)
        try:
            await keep_ensuring(bus, settings, say)
        finally:
            await bus.close()

    with suppress(OSError):
        asyncio.run(ensure())
