"""How fast a backfill may go: at a rate, in a window of the day, and while commits stay quick."""

from __future__ import annotations

import re
import threading
import time
from collections import deque
from datetime import UTC, datetime
from typing import NamedTuple

LEAST_RATE = 1_000
MOST_RATE = 10_000_000
"""Rows a second between which a rate is sought at which commits stay quick, from the least on."""
_PROBES, _SLOW_ANYHOW = 100, 2
_BEGINNING, _FASTER, _SLOWER = 1.01, 1.002, 0.7


class Stopped(Exception):
    """The backfill is to end; what a range has brought by now is undone."""


class Window(NamedTuple):
    """A part of each day, in minutes of UTC; one that ends before it begins runs over midnight."""

    begin: int
    end: int

    @classmethod
    def parse(cls, text: str) -> Window:
        """A window from `22:00-06:00`; raises ValueError."""
        match = re.fullmatch(r"(\d\d):(\d\d)-(\d\d):(\d\d)", text)
        if match is None:
            raise ValueError(f"{text!r} is no window like 22:00-06:00")
        hours = [int(part) for part in match.groups()]
        if hours[0] > 23 or hours[2] > 23 or hours[1] > 59 or hours[3] > 59:
            raise ValueError(f"{text!r} names no times of a day")
        return cls(hours[0] * 60 + hours[1], hours[2] * 60 + hours[3])

    def open_at(self, now: datetime) -> bool:
        """Whether an instant is in the window."""
        at = now.astimezone(UTC)
        minute = at.hour * 60 + at.minute
        if self.begin < self.end:
            return self.begin <= minute < self.end
        return minute >= self.begin or minute < self.end

    def __str__(self) -> str:
        return "{:02}:{:02}-{:02}:{:02} UTC".format(*divmod(self.begin, 60), *divmod(self.end, 60))


class Throttle:
    """What all workers of a backfill ask before they go on; safe to be asked by several threads.

    It begins slowly. What takes longer than `latency_ms` slows it down, by a third each time, as
    soon as more than two of the last hundred did: so many are where nothing is copied. Until then
    it goes faster by a hundredth each time, and once it has been slowed down by a fifth of that.
    """

    def __init__(self, rate: int | None = None, latency_ms: float | None = None) -> None:
        self._limit = rate
        self._latency_ms = latency_ms
        self._sought = float(LEAST_RATE if latency_ms is not None else MOST_RATE)
        self._faster = _BEGINNING
        self._probes: deque[bool] = deque(maxlen=_PROBES)
        self._free_at = time.monotonic()
        self._lock = threading.Lock()
        self._stopping = threading.Event()

    @property
    def rate(self) -> float | None:
        """Rows a second that are allowed now; None when nothing limits them."""
        if self._limit is None and self._latency_ms is None:
            return None
        return min(self._sought, self._limit or MOST_RATE)

    def of_a_second(self) -> int:
        """How many rows one transaction may bring: it takes about a second.

        As long as it lasts the server keeps every version of each row that orders change again and
        again, heads above all: after half a minute a commit took three times as long.
        """
        return int(self.rate or MOST_RATE)

    def take(self, rows: int) -> None:
        """Wait until so many rows may have passed; raises Stopped."""
        rate = self.rate
        if rate is not None and rows:
            with self._lock:
                now = time.monotonic()
                begin = max(now, self._free_at)
                self._free_at = begin + rows / rate
            self.sleep(begin - now)
        if self._stopping.is_set():
            raise Stopped

    def sleep(self, seconds: float) -> None:
        """Wait; raises Stopped."""
        if seconds > 0 and self._stopping.wait(seconds):
            raise Stopped

    def measured(self, milliseconds: float) -> None:
        """Hear how long a commit in the truth took, or an answer of its writer."""
        if self._latency_ms is None:
            return
        slow = milliseconds > self._latency_ms
        self._probes.append(slow)
        if sum(self._probes) <= _SLOW_ANYHOW:
            self._sought = min(MOST_RATE, self._sought * self._faster)
        elif slow:
            self._faster = _FASTER
            self._sought = max(LEAST_RATE, self._sought * _SLOWER)

    def stop(self) -> None:
        """Have every worker raise Stopped when it asks next."""
        self._stopping.set()
