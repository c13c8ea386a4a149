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
from types import TracebackType
from typing import IO, Any

LONGEST_LINE = 8_192
"""Beyond so many characters the rest of a message is left out."""

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


def set_up_logging(level: int = logging.WARNING, stream: IO[Any] | None = None) -> None:
    """Have every logger of this process write safe lines, to stderr."""
    handler = logging.StreamHandler(stream or sys.stderr)
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
