"""The mover as a process: it keeps the follower of a move in step, and sleeps without one."""

from __future__ import annotations

import threading

from api.cli import leaving
from infrastructure.database import open_database
from infrastructure.log.stores import StoreAddress
from infrastructure.log_lines import say
from infrastructure.scheduling import give_way
from infrastructure.settings import Settings
from migrations.move.mover import Mover


def run_mover(settings: Settings) -> None:
    """Keep a follower in step until SIGTERM or SIGINT."""
    stop = threading.Event()
    leaving.call_instead(stop.set)
    with open_database(settings, on_message=_say) as database:
        # Only now: a server started by this process takes its turns as any.
        give_way()
        entry = StoreAddress(database.dsn, settings.partition_schema)
        _say("mover ready")
        Mover(entry, _say).run(stop)


def _say(text: str) -> None:
    say(text)
