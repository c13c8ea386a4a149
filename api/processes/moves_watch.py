"""Tells the supervisor which processes a move of the log needs beside the usual ones."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection

import psycopg

from infrastructure.log.stores import StoreAddress, Stores, StoreState

LOOK_SECONDS = 2.0


OF_MOVES = ("mover", "peers-projector")
"""The processes that run only while a move, or the layout of a store, needs them."""


class MovesWatch:
    """Looks now and then what the store that the settings name says of a move."""

    def __init__(
        self, entry: StoreAddress, let_in: Callable[[StoreAddress], object] = lambda peer: None
    ) -> None:
        """`let_in` is told of the other store before any process is needed there."""
        self._stores = Stores(*entry, pinned=True)
        self._leaving = threading.Event()
        self._thread = threading.Thread(target=self._look_on, name="moves", daemon=True)
        self._let_in = let_in
        self._let_in_at: StoreAddress | None = None
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
                conn.close()
                self._let_all_in(state.peer)
                self.needed = needed_for(state)
            except (psycopg.Error, OSError):
                pass  # A store that is away says nothing new.
            if self._leaving.wait(LOOK_SECONDS):
                return

    def _let_all_in(self, peer: StoreAddress | None) -> None:
        """Have every process come to the other store of a move, as it comes to this one."""
        if peer is not None and peer != self._let_in_at:
            self._let_in(peer)
        self._let_in_at = peer


def needed_for(state: StoreState) -> Collection[str]:
    """A follower is fed and has views of its own; a chunked store has parts made for it."""
    if state.peer is not None:
        return OF_MOVES
    return ("mover",) if state.layout.chunked else ()
