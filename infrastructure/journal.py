"""The record of a run: every numbered command with its instant, so that it can be decided again.

A record is four bytes of length (big endian), then a msgpack array of
[number, at, actor, gateway, body]; `body` is the command's own msgpack, as bytes. Records
reach the file before their batch is committed. What was decided and never committed is cut
off again when the writer next begins to lead, so numbers only grow and each one was decided.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import msgspec

from application.commands import Envelope
from domain.identifiers import Instant
from infrastructure.private_files import open_own

MAX_RECORD = 64 * 1024 * 1024


class JournalEntry(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One command as it was numbered."""

    number: int
    at: Instant
    actor: str
    gateway: str
    body: bytes

    @property
    def envelope(self) -> Envelope:
        """What the sequencer took in."""
        return Envelope(self.actor, self.gateway, msgspec.Raw(self.body))


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(JournalEntry)


class CommandJournal:
    """Writes the record of one partition's writer (`application.writer.gathering.Journal`).

    Recording is beside the point of a venue: when the file cannot be written, that is said,
    and the venue goes on without.
    """

    def __init__(self, path: Path, *, say: Callable[[str], object] = print) -> None:
        self._path = path
        self._say = say
        self._descriptor: int | None = None
        self._rows: list[bytes] = []

    def begin(self, number: int) -> None:
        """Go on after a command: what the file has beyond it was never committed.

        The file is made anew, so that a writer that was taken over and still writes does not
        write here.
        """
        self.close()
        try:
            last = self._copy_up_to(number)
        except OSError as error:
            self._stop(error)
            return
        if last != number:
            self._say(
                f"{self._path} holds no commands from {last + 1:,} to {number:,}:"
                " they were decided before it was kept"
            )

    def write(self, number: int, at: Instant, envelope: Envelope) -> None:
        """Note one command that is about to be decided."""
        if self._descriptor is not None:
            entry = JournalEntry(number, at, envelope.actor, envelope.gateway, bytes(envelope.body))
            body = _ENCODER.encode(entry)
            self._rows.append(len(body).to_bytes(4, "big") + body)

    def flush(self) -> None:
        """Hand everything noted to the file."""
        if self._descriptor is None or not self._rows:
            return
        left = memoryview(b"".join(self._rows))
        self._rows.clear()
        try:
            while left:
                left = left[os.write(self._descriptor, left) :]
        except OSError as error:
            self._stop(error)

    def close(self) -> None:
        """Stop recording; what was not handed over yet was never committed."""
        self._rows.clear()
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _copy_up_to(self, number: int) -> int:
        """Begin a file for this user's eyes alone with what is kept of the former one.

        What stands at the path is taken as it is, or not at all: nobody else's file, no link.
        """
        last = 0
        descriptor, fresh = tempfile.mkstemp(
            dir=self._path.parent, prefix=f".{self._path.name}.", suffix=f".{os.getpid()}"
        )
        try:
            with open(descriptor, "wb", closefd=False) as copy:
                with (
                    suppress(FileNotFoundError),
                    open(open_own(self._path, os.O_RDONLY), "rb") as former,
                ):
                    for body, entry in _records(former):
                        if entry.number > number:
                            break
                        last = entry.number
                        copy.write(len(body).to_bytes(4, "big") + body)
            os.replace(fresh, self._path)
        except BaseException:
            os.close(descriptor)
            Path(fresh).unlink(missing_ok=True)
            raise
        self._descriptor = descriptor
        return last

    def _stop(self, error: OSError) -> None:
        self._say(f"recording stopped, the venue goes on: {error}")
        self.close()


def read_journal(path: Path) -> Iterator[JournalEntry]:
    """The recorded commands in order; a last record that was cut short is left out."""
    if not path.exists():
        return
    with open(path, "rb") as file:
        for _, entry in _records(file):
            yield entry


def _records(file: BinaryIO) -> Iterator[tuple[bytes, JournalEntry]]:
    while len(head := file.read(4)) == 4:
        length = int.from_bytes(head, "big")
        if length > MAX_RECORD:
            return
        body = file.read(length)
        if len(body) < length:
            return
        try:
            yield body, _DECODER.decode(body)
        except msgspec.MsgspecError:
            return
