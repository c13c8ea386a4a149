"""How a command is asked to leave: by SIGINT or SIGTERM, which mean the same to every command.

From its first moment on a command ends with its documented code: 0 for one that works until it
is asked to leave, 130 for one that is interrupted. While it starts, nothing has begun, and it
ends at once. Afterwards it is interrupted: what it has begun is undone or finished on the way
out. What a process inherits does not count: one that was started with SIGINT ignored (by
`nohup`, or as a job in the background of a script) leaves when it is asked all the same.

This is the first module of a command to be loaded, so it needs nothing but the standard library.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

from api.cli.exit_codes import Exit

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

ASKS = (signal.SIGINT, signal.SIGTERM)
UNTIL_ASKED = ("demo", "serve")
"""Commands whose good end is to be asked to leave."""


def listen() -> None:
    """Hear what asks this process to leave, also what came before it could listen."""
    _end_at_once()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ASKS)


def be_interrupted() -> None:
    """From now on raise KeyboardInterrupt where this process works, or cancel its event loop."""
    # Exactly this handler: asyncio puts its own in the place of no other.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, _interrupt)


def be_interrupted_once(then: Callable[[], object]) -> None:
    """From now on raise KeyboardInterrupt when asked to leave, and when asked again call this."""

    def asked(number: int, frame: FrameType | None) -> None:
        call_instead(then)
        raise KeyboardInterrupt

    for number in ASKS:
        signal.signal(number, asked)


@contextmanager
def still_starting() -> Iterator[None]:
    """End at once when asked to leave in this block, which only loads what comes later.

    An exception that a signal raises while modules are loaded may be lost: it can hit a
    callback of the interpreter's, from which nothing is raised.
    """
    _end_at_once()
    try:
        yield
    finally:
        be_interrupted()


def call_instead(leave: Callable[[], object]) -> None:
    """From now on call this when asked to leave, and go on."""

    def asked(number: int, frame: FrameType | None) -> None:
        leave()

    for number in ASKS:
        signal.signal(number, asked)


def call_in_loop(loop: AbstractEventLoop, leave: Callable[[], object]) -> None:
    """From now on have a running loop call this when asked to leave.

    Unlike the loop's own handlers these stay when it is closed: asked once more on its way out,
    the process still ends well.
    """

    def asked() -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(leave)

    call_instead(asked)


def leave_in_peace() -> None:
    """Hear nothing more: the code of the end is decided, and what is left is to end."""
    for number in ASKS:
        signal.signal(number, signal.SIG_IGN)


@contextmanager
def asked_later() -> Iterator[None]:
    """Let processes that are started in this block be asked to leave only once they listen.

    Until then the kernel would end them in its own way, with no code of theirs.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ASKS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def code_when_asked() -> Exit:
    """The exit code of this process's command when it is asked to leave."""
    names = [argument for argument in sys.argv[1:] if not argument.startswith("-")]
    return Exit.OK if names[:1] and names[0] in UNTIL_ASKED else Exit.INTERRUPTED


def say_left() -> None:
    """Say on standard error that the command was asked to leave."""
    text = "stopped" if code_when_asked() is Exit.OK else "interrupted"
    os.write(2, f"{text}\n".encode())


def _end_at_once() -> None:
    def end() -> None:
        say_left()
        os._exit(code_when_asked())

    call_instead(end)


def _interrupt(number: int, frame: FrameType | None) -> None:
    # Through SIGINT's handler, whoever's that is now: an event loop cancels its task.
    signal.raise_signal(signal.SIGINT)
