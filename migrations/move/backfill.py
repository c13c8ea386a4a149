"""Brings the rows from before a move began, in ranges, by several workers, and can be stopped."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

import psycopg

from infrastructure.log.copying import Copied, End, Positions
from infrastructure.log.follower import Follower
from infrastructure.log.layouts import Layout
from infrastructure.log.stores import StoreAddress
from infrastructure.log.upkeep import make_parts, refresh_summaries
from migrations.move.bringing import Bringing, recorded_at
from migrations.move.feed import Pair, opened_pair
from migrations.move.throttle import Stopped, Throttle, Window

RANGE_POSITIONS = 100_000
WORKERS = 2
ROWS_OF_A_WORKER = 20_000
"""Rows a second from which on another worker helps: two of them at a slow rate only begin and end
twice as many transactions, of half the size, and orders wait for each.
"""
_SPARE_SECONDS = 0.25
_TICK_SECONDS = 0.05
_TELL_SECONDS = 1.0
_SUM_TRIES = 10
_FIRST_BACKOFF, _LAST_BACKOFF = 0.2, 5.0

_AWAY = (psycopg.OperationalError, psycopg.InterfaceError)


@dataclass(frozen=True, slots=True)
class Pacing:
    """How a backfill goes about it."""

    workers: int = WORKERS
    range_positions: int = RANGE_POSITIONS
    rate: int | None = None
    """Rows a second at most."""
    window: Window | None = None
    """When ranges may be begun."""
    latency_ms: float | None = None
    """How long a commit in the truth, or an answer of its writer, may take until the backfill slows
    down.
    """


class Progress(NamedTuple):
    """How far a backfill has come."""

    rows: int
    of: int
    waiting: str = ""
    """Why it does not go on just now."""
    allowed: float | None = None
    """Rows a second that the throttle allows."""
    commit_ms: float | None = None
    """How long the last commit that was tried in the truth took."""
    answer_ms: float | None = None
    """How long the writer took for its last answer, which waits as an order's does."""


Tell = Callable[[Progress], object]
Probe = Callable[[], object]
"""Does what is measured; answers False when nobody was there to answer."""


class Backfill:
    """One run of bringing all that is missing.

    Each range is one transaction in the target, with its line in the ledger: killed at any point,
    the next run brings what the ledger lacks. `probe` commits next to nothing in the truth, `asked`
    has its writer answer: an order waits for more than its commit.
    """

    def __init__(
        self,
        source: StoreAddress,
        target: StoreAddress,
        pacing: Pacing,
        *,
        probe: Probe,
        asked: Probe | None = None,
        tell: Tell = lambda progress: None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._source = source
        self._target = target
        self._pacing = pacing
        self._probe = probe
        self._asked = asked
        self._tell = tell
        self._now = now
        self._throttle = Throttle(pacing.rate, pacing.latency_ms)
        self._waiting: deque[Positions] = deque()
        self._workers: list[_Worker] = []
        self._brought = 0
        self._failed: list[BaseException] = []
        self._lock = threading.Lock()

    def run(self) -> Copied:
        """Bring everything up to the follower's base; what the ledger counts then.

        Raises IncompleteRange, NotFollowing, and psycopg.Error for what no trying again helps.
        """
        with opened_pair(self._source, self._target, "nexus backfill") as pair:
            follower = Follower(pair.follower)
            follower.wait_for_others()
            base = follower.reached().base
            self._waiting.extend(follower.missing(self._pacing.range_positions))
            self._brought = base - sum(positions.size for positions in self._waiting)
            if self._waiting:
                _make_parts(pair.truth, pair.follower, Positions(1, base))
                self._work(base)
            if base:
                follower.complete()
            brought = follower.brought()
            if brought.rows:
                _sum_up(pair, Positions(1, brought.rows), again=not base)
            return brought

    def _work(self, base: int) -> None:
        count = min(self._pacing.workers, len(self._waiting))
        self._workers = [_Worker(self, number) for number in range(count)]
        for worker in self._workers:
            worker.start()
        try:
            self._look_on(base)
        finally:
            self._throttle.stop()
            for worker in self._workers:
                worker.join()
        if self._failed:
            raise self._failed[0]

    def _look_on(self, base: int) -> None:
        """Try commits in the truth, and tell how far it is, until no worker works."""
        commit_ms = answer_ms = None
        told = probed = 0.0
        while any(worker.is_alive() for worker in self._workers) and not self._failed:
            now = time.monotonic()
            # While nothing is brought there is nothing to slow down.
            works = any(worker.works for worker in self._workers)
            limited = self._pacing.latency_ms is not None and works
            if now - probed >= (_TICK_SECONDS if limited else _TELL_SECONDS):
                probed = now
                commit_ms = self._took(self._probe) or commit_ms
                if self._asked is not None:
                    answer_ms = self._took(self._asked)
            if now - told >= _TELL_SECONDS / 4:
                told = now
                rows = self._brought + sum(worker.in_hand for worker in self._workers)
                waiting = next((w.waiting for w in self._workers if w.waiting), "")
                rate = self._throttle.rate
                self._tell(Progress(rows, base, waiting, rate, commit_ms, answer_ms))
            time.sleep(_TICK_SECONDS)
        rate = self._throttle.rate
        self._tell(Progress(self._brought, base, "", rate, commit_ms, answer_ms))

    def _took(self, probe: Probe) -> float | None:
        """How many milliseconds it took; None when nobody was there."""
        began = time.perf_counter_ns()
        try:
            if probe() is False:
                return None
        except _AWAY:
            return None
        took = (time.perf_counter_ns() - began) / 1e6
        self._throttle.measured(took)
        return took

    # What workers ask

    @property
    def stores(self) -> tuple[StoreAddress, StoreAddress]:
        """From where to where."""
        return self._source, self._target

    @property
    def throttle(self) -> Throttle:
        """What a worker asks before it goes on."""
        return self._throttle

    def next(self) -> Positions | None:
        """The next range to bring, as much of it as about a second brings; None when nothing is
        left.
        """
        with self._lock:
            if not self._waiting:
                return None
            positions = self._waiting.popleft()
            most = max(1, self._throttle.of_a_second() // self._at_work())
            if positions.size <= most:
                return positions
            last = positions.first + most - 1
            self._waiting.appendleft(Positions(last + 1, positions.last))
            return Positions(positions.first, last)

    @property
    def is_left(self) -> bool:
        """Whether a range waits for a worker."""
        return bool(self._waiting)

    def spares(self, number: int) -> bool:
        """Whether the worker of this number is not needed now, at the rate that is allowed."""
        return self.is_left and number >= self._at_work()

    def _at_work(self) -> int:
        """How many workers the rate that is allowed gives work to."""
        rate = self._throttle.rate
        wanted = self._pacing.workers if rate is None else 1 + int(rate // ROWS_OF_A_WORKER)
        return min(self._pacing.workers, wanted)

    def open_now(self) -> bool:
        """Whether a range may be begun."""
        return self._pacing.window is None or self._pacing.window.open_at(self._now())

    def done(self, positions: Positions) -> None:
        """Count a range that was brought."""
        with self._lock:
            self._brought += positions.size

    def fail(self, error: BaseException) -> None:
        """Stop everybody for an error that trying again does not mend."""
        self._failed.append(error)
        self._throttle.stop()


class _Worker(threading.Thread):
    """Brings one range after another over connections of its own."""

    def __init__(self, backfill: Backfill, number: int) -> None:
        super().__init__(name=f"backfill {number}", daemon=True)
        self._backfill = backfill
        self._number = number
        self._spare = False
        self.in_hand = 0
        """Rows of the range that is being brought."""
        self.waiting = ""
        self._backoff = _FIRST_BACKOFF

    @property
    def works(self) -> bool:
        """Whether it brings something now, as far as is known."""
        return not (self.waiting or self._spare)

    def run(self) -> None:
        """Work until nothing is left, or the backfill is stopped."""
        positions: Positions | None = None
        while True:
            try:
                self._wait_until_needed()
                if positions is None and not self._backfill.is_left:
                    return
                with opened_pair(*self._backfill.stores, "nexus backfill") as pair:
                    with opened_pair(*self._backfill.stores, "nexus backfill") as beside:
                        bring = Bringing(pair.truth, pair.follower, beside.follower)
                        while positions := positions or self._backfill.next():
                            self._wait_for_window()
                            bring.bring(positions, self._pace, self._pace_beside)
                            self._backfill.done(positions)
                            self.in_hand = 0
                            positions = None
                            self._backoff = _FIRST_BACKOFF
                            self._wait_until_needed()
                return
            except Stopped:
                return
            except _AWAY as error:
                self.in_hand = 0
                self.waiting = f"a store is away: {str(error).strip()}"
                try:
                    self._backfill.throttle.sleep(self._backoff)
                except Stopped:
                    return
                self._backoff = min(2 * self._backoff, _LAST_BACKOFF)
                self.waiting = ""
            except BaseException as error:
                self._backfill.fail(error)
                return

    def _wait_until_needed(self) -> None:
        while self._backfill.spares(self._number):
            self._spare = True
            self._backfill.throttle.sleep(_SPARE_SECONDS)
        self._spare = False

    def _pace(self, rows: int) -> None:
        self._backfill.throttle.take(rows)
        self.in_hand += rows

    def _pace_beside(self, rows: int) -> None:
        # Rows of two or three columns cost about half of what an event does.
        self._backfill.throttle.take(rows // 2)

    def _wait_for_window(self) -> None:
        while not self._backfill.open_now():
            self.waiting = "it waits for its window of the day"
            self._backfill.throttle.sleep(_TELL_SECONDS)
        self.waiting = ""


def _sum_up(pair: Pair, positions: Positions, *, again: bool) -> None:
    """Have the target sum up the days that have come; days summed up once need it no more."""
    target = pair.follower
    if again and target.layout is not Layout.TIMESCALE:
        return
    first, last = (recorded_at(pair.truth, position) for position in positions)
    for _ in range(_SUM_TRIES):
        try:
            refresh_summaries(target.conn, target.store.schema, target.layout, first, last)
            return
        except psycopg.errors.LockNotAvailable:
            # The store's own policy is at it, which has just been woken.
            time.sleep(_TELL_SECONDS)


def _make_parts(source: End, target: End, positions: Positions) -> None:
    """Make the parts of the target that the rows will stand in."""
    first, last = (recorded_at(source, position) for position in positions)
    make_parts(target.conn, target.store.schema, target.layout, first, last)
