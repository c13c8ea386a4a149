"""Tells the supervisor which processes a move of the log needs beside the usual ones."""

from __future__ import annotations

import threading
from collections.abc import Collection
from typing import Any

import psycopg

from infrastructure.log.roles import RolesUnavailable, let_work_on
from infrastructure.log.stores import StoreAddress, Stores, StoreState

LOOK_SECONDS = 2.0


OF_MOVES = ("mover", "peers-projector")
"""The processes that run only while a move, or the layout of a store, needs them."""


class MovesWatch:
    """Looks now and then what the store that the settings name says of a move."""

    def __init__(self, entry: StoreAddress) -> None:
        self._stores = Stores(*entry, pinned=True)
        self._leaving = threading.Event()
        self._thread = threading.Thread(target=self._look_on, name="moves", daemon=True)
        self._let_in: StoreAddress | None = None
        self.needed: Collection[str] = ()
        """As it was when the store answered last."""

    def start(self) -> None:
        """Look once at once, and again and again."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._leaving.set()

    def _look_on(self) -> None:
        while True:
            try:
                conn, state = self._stores.connect_now("nexus supervisor", reading=False)
                with conn:
                    self._let_all_work(conn, state)
                self.needed = needed_for(state)
            except (psycopg.Error, OSError, RolesUnavailable):
                pass  # A store that is away says nothing new.
            if self._leaving.wait(LOOK_SECONDS):
                return

    def _let_all_work(self, conn: psycopg.Connection[Any], state: StoreState) -> None:
        """Have every process come to the other store of a move in the same database, too."""
        peer = state.peer
        if peer != self._let_in and peer is not None and peer.dsn == state.address.dsn:
            let_work_on(conn, state.address.schema, peer.schema)
        self._let_in = peer


def needed_for(state: StoreState) -> Collection[str]:
    """A follower is fed and has views of its own; a chunked store has parts made for it."""
    if state.peer is not None:
        return OF_MOVES
    return ("mover",) if state.layout.chunked else ()
