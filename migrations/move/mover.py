"""Keeps the follower of a move in step with the truth, whichever of the two stores that is."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import sql

from infrastructure.attentive import AttentiveConnectionNow
from infrastructure.log.copying import IncompleteRange, open_end
from infrastructure.log.follower import NotFollowing
from infrastructure.log.layouts import Layout
from infrastructure.log.stores import (
    WRITTEN,
    StoreAddress,
    StoreState,
    Writes,
    find_truth,
    moves_channel,
    read_state_now,
)
from infrastructure.log.upkeep import keep
from migrations.move.beside import Beside
from migrations.move.feed import Feed, Pair, opened_pair, write_both

IDLE_SECONDS = 2.0
"""How often it is looked whether there is a follower."""
POLL_SECONDS = 0.5
AGAIN_SECONDS = 1.0
BESIDE_SECONDS = 1.0
KEEP_SECONDS = 60.0
_BUSY_SHARE = 20
"""What stands beside the log is compared in one part of this many of the time at most."""
STEADY_SECONDS = 120.0
"""A follower that was written for so long is trusted as before."""
LONGEST_WAIT = 60.0

MOVER_LOCK = "hashtextextended('nexus mover ' || %s, 0)"

Say = Callable[[str], object]
_FAILED = (psycopg.Error, OSError, IncompleteRange)


class Mover:
    """Feeds the follower from the log, brings what stands beside it, and looks after both stores.

    Of several movers of a partition one works. Nothing here keeps the truth waiting but the moment
    in which a follower in the same database is written with every append again.
    """

    def __init__(self, entry: StoreAddress, say: Say) -> None:
        self._entry = entry
        self._say = say
        self._told = ""
        self._patience = Patience()

    def run(self, stop: threading.Event) -> None:
        """Work until told to stop; whatever fails is said once and tried again."""
        kept = -KEEP_SECONDS
        while not stop.is_set():
            try:
                truth = find_truth(*self._entry)
                if truth.peer is not None and truth.writes in WRITTEN:
                    self._keep_in_step(truth, truth.peer, stop)
                elif truth.layout.chunked and time.monotonic() - kept >= KEEP_SECONDS:
                    kept = time.monotonic()
                    look_after(truth.address, truth.layout)
                self._tell("")
            except NotFollowing:
                pass  # The stores are changing places.
            except _FAILED as error:
                self._tell(f"the mover tries again: {_first_line(error)}")
            stop.wait(IDLE_SECONDS)

    def _keep_in_step(
        self, truth: StoreState, follower: StoreAddress, stop: threading.Event
    ) -> None:
        """Keep a follower in step until the stores change places, or something fails."""
        with opened_pair(truth.address, follower, "nexus mover") as pair, _news(pair) as news:
            row = pair.truth.conn.execute(
                f"SELECT pg_try_advisory_lock({MOVER_LOCK})", (truth.address.schema,)
            ).fetchone()
            if row is None or not row[0]:
                return
            beside = _BesideKeeper(truth.address, follower, self._say)
            beside.start()
            try:
                while not stop.is_set():
                    state = read_state_now(pair.truth.conn, truth.address)
                    if state.writes not in WRITTEN or state.peer != follower:
                        return
                    self._step(pair, state, news)
                    self._tell("")
            finally:
                beside.leave()

    def _step(self, pair: Pair, state: StoreState, news: psycopg.Connection[Any]) -> None:
        """Bring what there is, and return when there may be more."""
        if state.writes is Writes.BOTH:
            # Every append tells of itself, and there is nothing to do for it here.
            _wait(news, {moves_channel(state.address)}, POLL_SECONDS)
            return
        feed = Feed(pair)
        while feed.page():
            pass
        together = pair.truth.store.dsn == pair.follower.store.dsn
        if state.writes is Writes.HERE and together and self._patience.over() and write_both(pair):
            self._patience.written()
            return
        _wait(news, {state.address.schema, moves_channel(state.address)}, POLL_SECONDS)

    def _tell(self, what: str) -> None:
        """Say something once, however often it happens in a row."""
        if what and what != self._told:
            self._say(what)
        self._told = what


class Patience:
    """How long a follower that fails its appends is only fed, until it is written again."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._wait = 0.0
        self._written_at: float | None = None

    def over(self) -> bool:
        """Whether it may be written again."""
        return self._written_at is None or self._now() >= self._written_at + self._wait

    def written(self) -> None:
        """Hear that it is written again: where that did not hold, wait longer next time."""
        before, self._written_at = self._written_at, self._now()
        if before is None or self._written_at - before >= STEADY_SECONDS:
            self._wait = AGAIN_SECONDS
        else:
            self._wait = min(LONGEST_WAIT, 2 * self._wait)


class _BesideKeeper(threading.Thread):
    """Brings what stands beside the log again and again, over connections of its own."""

    def __init__(self, truth: StoreAddress, follower: StoreAddress, say: Say) -> None:
        super().__init__(name="beside the log", daemon=True)
        self._stores = truth, follower
        self._say = say
        self._leaving = threading.Event()

    def leave(self) -> None:
        """End after what is being done."""
        self._leaving.set()
        self.join()

    def run(self) -> None:
        """Work until told to leave; a failure is said once and tried again."""
        said = ""
        while not self._leaving.is_set():
            try:
                self._work()
            except (NotFollowing, *_FAILED) as error:
                if not isinstance(error, NotFollowing) and str(error) != said:
                    said = str(error)
                    self._say(f"what stands beside the log waits: {_first_line(error)}")
                self._leaving.wait(AGAIN_SECONDS)

    def _work(self) -> None:
        kept = -KEEP_SECONDS
        with opened_pair(*self._stores, "nexus mover") as pair:
            beside = Beside(pair)
            while not self._leaving.is_set():
                began = time.monotonic()
                beside.sync()
                if began - kept >= KEEP_SECONDS:
                    kept = began
                    for end in pair:
                        look_after(end.store, end.layout)
                took = time.monotonic() - began
                self._leaving.wait(max(BESIDE_SECONDS, _BUSY_SHARE * took))


def look_after(store: StoreAddress, layout: Layout) -> None:
    """Have a chunked store ready for the days to come."""
    if layout.chunked:
        with AttentiveConnectionNow.open(
            store.dsn, application_name=f"nexus mover {store.schema}"[:63]
        ) as conn:
            keep(conn, store.schema, layout)


@contextmanager
def _news(pair: Pair) -> Iterator[psycopg.Connection[Any]]:
    """A connection that listens to the truth."""
    store = pair.truth.store
    conn = open_end(store, pair.truth.layout).conn
    try:
        conn.execute(sql.SQL("LISTEN {}").format(sql.Identifier(moves_channel(store))))
        yield conn
    finally:
        conn.close()


def _wait(news: psycopg.Connection[Any], channels: set[str], timeout: float) -> None:
    """Return when one of the channels tells something, or after a while."""
    heard = news.execute("SELECT pg_listening_channels()").fetchall()
    listening = {channel for (channel,) in heard}
    for channel in channels - listening:
        news.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
    for channel in listening - channels:
        news.execute(sql.SQL("UNLISTEN {}").format(sql.Identifier(channel)))
    for _ in news.notifies(timeout=timeout, stop_after=1):
        pass


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0]
