"""Lines that a process writes for people: what came from outside forges none and moves no cursor.

A path, a name or a message may hold line ends, terminal sequences or marks that turn the direction
of text. They are written down as JSON spells them, and so seen for what they are.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import IO, Any

LONGEST_LINE = 8_192
"""Beyond so many characters the rest of a message is left out."""
ALIKE_MOST, ALIKE_SECONDS = 20, 10.0
"""So many lines that the program says in one place are written in so many seconds."""
SHOWN = 200
"""How much is shown of what lines that were left out are like."""

# Controls (C0, C1, DEL), line and paragraph ends, everything that turns the direction of text or
# cannot be seen, surrogates, and what no terminal has agreed on how to show.
_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u0600-\u0605\u061c\u06dd\u070f\u180e\u200b-\u200f\u2028-\u202e"
    "\u2060-\u206f\ud800-\udfff\ufeff\ufff9-\ufffb\U000e0000-\U000e0fff]"
)
_INDENT = "  | "
FORMAT = "%(name)s %(levelname)s %(message)s"


def printable(text: object) -> str:
    """A text on one line of a terminal, whatever stands in it."""
    return _UNSAFE.sub(_spelled, str(text))


def printable_lines(text: object, indent: str = "") -> str:
    """A text that has lines of its own, each printable; all but the first behind an indent, where
    they could pass for lines of others.
    """
    return f"\n{indent}".join(map(printable, str(text).split("\n")))


def _spelled(found: re.Match[str]) -> str:
    # As JSON spells it, so that a document stays one.
    return "\\u007f" if found[0] == "\x7f" else json.dumps(found[0])[1:-1]


class SafeFormatter(logging.Formatter):
    """Writes a record on one line; a traceback follows in lines that cannot pass for records."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, and what is told of an exception below it."""
        record.message = record.getMessage()
        if self.usesTime():
            record.asctime = self.formatTime(record, self.datefmt)
        line = printable(self.formatMessage(record))
        if len(line) > LONGEST_LINE:
            line = f"{line[:LONGEST_LINE]} (and {len(line) - LONGEST_LINE} characters more)"
        told = []
        if record.exc_info:
            told += self.formatException(record.exc_info).splitlines()
        if record.stack_info:
            told += self.formatStack(record.stack_info).splitlines()
        return "\n".join([line, *(_INDENT + printable(one) for one in told)])


class BoundedHandler(logging.StreamHandler[Any]):
    """Writes so many lines of one place of the program in a while, and then how many it left out.

    Whoever can make the venue say something can have it said as often as he likes: the log is not
    his to fill.
    """

    def __init__(
        self,
        stream: IO[Any],
        *,
        most: int = ALIKE_MOST,
        seconds: float = ALIKE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(stream)
        self._most = most
        self._seconds = seconds
        self._clock = clock
        self._said: dict[tuple[str, int], _Alike] = {}
        self._telling: threading.Timer | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record, unless too many of its place were written of late."""
        now, place = self._clock(), (record.pathname, record.lineno)
        self.tell_left_out(now)
        alike = self._said.get(place)
        if alike is None or now >= alike.until:
            alike = self._said[place] = _Alike(record, now + self._seconds)
        if alike.written < self._most:
            alike.written += 1
            super().emit(record)
            return
        alike.left_out += 1
        self._tell_at(alike.until, now)

    def tell_left_out(self, now: float) -> None:
        """Say of every place whose while is over how many of its lines were left out."""
        for place, alike in [*self._said.items()]:
            if now >= alike.until:
                del self._said[place]
                if alike.left_out:
                    super().emit(alike.told())

    def close(self) -> None:
        """Say what was left out until now, and write no more."""
        with self._writing:
            if self._telling is not None:
                self._telling.cancel()
            self.tell_left_out(float("inf"))
        super().close()

    @property
    def _writing(self) -> threading.RLock:
        assert self.lock is not None, "every handler has one"
        return self.lock

    def _tell_at(self, at: float, now: float) -> None:
        """Say it when the while is over, also where nothing more is written."""
        if self._telling is None:
            self._telling = threading.Timer(max(0.001, at - now), self._time_has_come)
            self._telling.daemon = True
            self._telling.start()

    def _time_has_come(self) -> None:
        with self._writing:
            self._telling, now = None, self._clock()
            self.tell_left_out(now)
            waiting = [alike.until for alike in self._said.values() if alike.left_out]
            if waiting:
                self._tell_at(min(waiting), now)


class _Alike:
    """What one place of the program said of late."""

    __slots__ = ("_level", "_like", "_logger", "_place", "left_out", "until", "written")

    def __init__(self, record: logging.LogRecord, until: float) -> None:
        # Not the record: it holds what an exception holds.
        self._logger, self._level = record.name, record.levelno
        self._place = record.pathname, record.lineno
        self._like = str(record.msg)[:SHOWN]
        self.until = until
        self.written = self.left_out = 0

    def told(self) -> logging.LogRecord:
        """How many were left out, as a record."""
        text = f"{self.left_out:,} more lines like this one were left out: {self._like}"
        return logging.LogRecord(self._logger, self._level, *self._place, text, None, None)


def set_up_logging(level: int = logging.WARNING, stream: IO[Any] | None = None) -> None:
    """Have every logger of this process write safe lines, to stderr, and no flood of them."""
    handler = BoundedHandler(stream or sys.stderr)
    handler.setFormatter(SafeFormatter(FORMAT))
    root = logging.getLogger()
    for former in root.handlers[:]:
        root.removeHandler(former)
    root.addHandler(handler)
    root.setLevel(level)
    sys.excepthook = _nobody_caught
    threading.excepthook = _nobody_caught_in_thread


def _nobody_caught(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """Tell of an exception that ends the process in lines as all others."""
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
        return
    logging.getLogger("nexus").critical("nobody caught this", exc_info=(kind, error, trace))


def _nobody_caught_in_thread(told: threading.ExceptHookArgs) -> None:
    """Tell of an exception that ends a thread."""
    if told.exc_value is None or issubclass(told.exc_type, SystemExit):
        return
    name = told.thread.name if told.thread is not None else "that is gone"
    exc_info = (told.exc_type, told.exc_value, told.exc_traceback)
    logging.getLogger("nexus").critical("a thread ended: %s", name, exc_info=exc_info)


def say(text: object) -> None:
    """Print one line at once."""
    print(printable(text), flush=True)
