"""Waits for a server that does not answer yet."""

from __future__ import annotations

import time
from collections.abc import Callable

import psycopg

from application.log.away import Away
from infrastructure.attentive import AttentiveConnectionNow


def wait_for_server(dsn: str, say: Callable[[str], object]) -> None:
    """Return when a server takes a connection, however long it is away; that is said once."""
    away = Away(say)
    while True:
        try:
            AttentiveConnectionNow.open(dsn, application_name="nexus waits").close()
        except psycopg.OperationalError as error:
            away.gone(error)
            time.sleep(away.pause())
        else:
            away.back()
            return
