"""The machine's clocks, read in one place of each process, and how far they are believed."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from domain.identifiers import Instant, iso

if TYPE_CHECKING:
    from infrastructure.settings import Settings

_MILLI = 1_000
_SECOND = 1_000_000


class SystemClock:
    """Microseconds since 1970 UTC, as the machine has them; it may jump."""

    def now(self) -> Instant:
        """The present instant."""
        return time.time_ns() // 1000


class SteadyClock:
    """Microseconds since some moment, which never go back: for ages and throttles."""

    def now(self) -> Instant:
        """The present moment."""
        return time.monotonic_ns() // 1000


# Only Linux has it; elsewhere a sleep is a jump.
_SINCE_START = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


SINCE_START: Callable[[], int] = partial(time.clock_gettime_ns, _SINCE_START)
"""Nanoseconds since the machine started, those that it slept too: it is no jump that the clock of
a machine which wakes is hours further.
"""


_LONGEST_UP = 4_000 * 86_400 * _SECOND
"""No machine has been up for longer since a supervisor started."""


class Beliefs(NamedTuple):
    """How far a clock that jumps is believed, in microseconds.

    A jump by at most `step` is followed at once, one by at most `most` when it has held for
    `hold`, and a longer one never: who starts the venue again says by that that it is right.
    """

    step: int = 10 * _SECOND
    hold: int = 900 * _SECOND
    most: int = 90_000 * _SECOND

    @classmethod
    def of(cls, step_ms: int, hold_s: int, most_s: int) -> Beliefs:
        """What the settings say."""
        return cls(step_ms * _MILLI, hold_s * _SECOND, most_s * _SECOND)


class Doubted(NamedTuple):
    """A jump that is not believed: where the clock stands to the steady one, and since when."""

    offset: int
    since: int


class VenueClock:
    """The time of day by which a process goes: the machine's, unless that has jumped.

    While it is doubted, time goes on by the clock that never jumps. `origin` is where a process
    that was there before stood: the instant when the steady clock was 0; `doubted` a jump that it
    does not believe yet. `say` is told of each jump once, and of its end. `wall` and `steady` tell
    nanoseconds.
    """

    def __init__(
        self,
        beliefs: Beliefs | None = None,
        *,
        origin: Instant | None = None,
        doubted: Doubted | None = None,
        wall: Callable[[], int] = time.time_ns,
        steady: Callable[[], int] = SINCE_START,
        say: Callable[[str], object] = bool,
    ) -> None:
        self._beliefs = beliefs or Beliefs()
        self._wall = wall
        self._steady = steady
        self._say = say
        self._doubted = doubted
        self._origin = (wall() - steady()) // 1000 if origin is None else origin
        self._step = self._beliefs.step

    @classmethod
    def of(cls, settings: Settings, say: Callable[[str], object]) -> VenueClock:
        """The clock of a process with these settings."""
        beliefs = Beliefs.of(settings.clock_step_ms, settings.clock_hold_s, settings.clock_most_s)
        origin, doubted = _handed(settings.clock_origin)
        return cls(beliefs, origin=origin, doubted=doubted, say=say)

    @property
    def origin(self) -> Instant:
        """The instant, as it is believed, when the steady clock was 0."""
        return self._origin

    def now(self) -> Instant:
        """The present instant; it goes back only when the machine's clock does, and is believed."""
        wall, steady = self._wall() // 1000, self._steady() // 1000
        due = self._origin + steady
        if -self._step <= wall - due <= self._step:
            if self._doubted is not None:
                self._doubted = None
                self._say("the machine's clock is believed again: it is where it was")
            self._origin = wall - steady
            return wall
        return self._judged(wall, steady)

    def handed_on(self) -> str:
        """The origin, for a process that is started now, and when that was; and what is doubted, so
        that all processes believe it at the same moment.
        """
        doubted = "" if self._doubted is None else "@{}@{}".format(*self._doubted)
        return f"{self._origin}@{self._steady() // 1000}{doubted}"

    @property
    def doubted(self) -> Doubted | None:
        """The jump that is not believed, while there is one."""
        return self._doubted

    @property
    def off(self) -> int:
        """By how many microseconds the machine's clock is ahead of the time that is believed;
        negative when it is behind, 0 while it is believed.
        """
        now = self.now()
        return 0 if self._doubted is None else self._wall() // 1000 - now

    def _judged(self, wall: Instant, steady: int) -> Instant:
        """The instant while the machine's clock is somewhere else than it should be."""
        offset, beliefs = wall - steady, self._beliefs
        doubted = self._doubted
        jump = offset - self._origin
        if doubted is None or abs(offset - doubted.offset) > self._step:
            self._doubted = Doubted(offset, steady)
            self._say(_jumped(self._origin + steady, wall, beliefs))
        elif steady - doubted.since >= beliefs.hold and abs(jump) <= beliefs.most:
            self._doubted, self._origin = None, offset
            self._say(f"the machine's clock has held for a while: it is believed, {iso(wall)}")
            return wall
        return self._origin + steady


class _Handed(NamedTuple):
    """What a supervisor has handed on."""

    origin: Instant | None = None
    doubted: Doubted | None = None


def _handed(text: str | None) -> _Handed:
    """What was handed on; nothing where it counts from another moment, as on another machine."""
    if not text:
        return _Handed()
    origin, told, *doubted = [int(part) for part in text.split("@")]
    passed = SINCE_START() // 1000 - told
    if not 0 <= passed <= _LONGEST_UP:
        return _Handed()
    return _Handed(origin, Doubted(*doubted) if doubted else None)


def _jumped(due: Instant, wall: Instant, beliefs: Beliefs) -> str:
    way = "ahead" if wall > due else "back"
    seconds = abs(wall - due) // _SECOND
    if seconds * _SECOND > beliefs.most:
        until = "that is never believed: start the venue again if it is right"
    else:
        until = f"it is believed when it has held for {beliefs.hold // _SECOND} s"
    return (
        f"the machine's clock jumped {way} by {seconds:,} s; time goes on as it passed, at"
        f" {iso(due)}, and {until}"
    )
