"""Reads reference prices out of a file that somebody appends to: CSV with a header, or JSON lines.

A line that is wrong is told with its number and the field, and passed over: one bad line of
another's file must not stop the prices. What lines say stands in `infrastructure.price_lines`.
"""

from __future__ import annotations

import asyncio
import csv
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from application.reference_prices import Received
from infrastructure.price_lines import (
    FIELDS,
    LONGEST_LINE,
    TOO_LONG,
    Said,
    WrongLine,
    json_values,
    received,
    said_in,
)

POLL_SECONDS = 0.02
CHUNK = 256 * 1024


class FilePrices:
    """The prices of a file, those that stand there first and then what is appended.

    A file that is not there yet is waited for; one that was replaced or cut is read from its
    beginning.
    """

    def __init__(
        self,
        path: Path,
        *,
        say: Callable[[str], object] = print,
        poll_seconds: float = POLL_SECONDS,
    ) -> None:
        """Raises ValueError when the name does not end as one of the formats."""
        if path.suffix not in (".csv", ".jsonl"):
            raise ValueError(f"the file of reference prices {path} is neither .csv nor .jsonl")
        self.refused = 0
        self._path = path
        self._say = say
        self._poll_seconds = poll_seconds
        self._read_line = self._of_csv if path.suffix == ".csv" else json_values
        self._begin((0, 0))
        self._was_read = False

    def _begin(self, identity: tuple[int, int]) -> None:
        """Read a file from its beginning."""
        self._identity = identity
        self._offset = 0
        self._number = 0
        self._rest = b""
        self._skipping = False
        self._columns: list[str] | None = None

    async def receive(self) -> Received:
        """The next prices of the file; it waits until there are some."""
        while True:
            new = self._was_read
            data = await asyncio.to_thread(self._read)
            if data is None or not data:
                # What comes from now on was not there when it was read whole.
                self._was_read = self._was_read or data is not None
                await asyncio.sleep(self._poll_seconds)
                continue
            said = [one for line in self._lines(data) if (one := self._said(line)) is not None]
            if said:
                return received(said, new=new)

    def _read(self) -> bytes | None:
        """What the file has beyond what was read; None when it is not there."""
        try:
            with self._path.open("rb") as file:
                status = os.fstat(file.fileno())
                identity = status.st_dev, status.st_ino
                if identity != self._identity or status.st_size < self._offset:
                    self._begin(identity)
                file.seek(self._offset)
                data = file.read(CHUNK)
        except FileNotFoundError:
            return None
        self._offset += len(data)
        return data

    def _lines(self, data: bytes) -> list[bytes]:
        """The lines that are whole now."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        if self._skipping and lines:
            self._skipping = False
            self._number += 1
            lines = lines[1:]
        if len(self._rest) > LONGEST_LINE:
            if not self._skipping:
                self._wrong(self._number + len(lines) + 1, TOO_LONG)
            self._rest, self._skipping = b"", True
        return lines

    def _said(self, line: bytes) -> Said | None:
        self._number += 1
        try:
            return said_in(line, self._read_line)
        except WrongLine as error:
            self._wrong(self._number, str(error))
        return None

    def _wrong(self, number: int, why: str) -> None:
        self.refused += 1
        self._say(f"{self._path.name}: line {number} {why}; it is passed over")

    def _of_csv(self, text: str) -> Mapping[str, Any] | None:
        (row,) = csv.reader([text]) if '"' in text else [text.split(",")]
        if self._columns is None:
            self._columns = [name.strip() for name in row]
            missing = [name for name in FIELDS[:2] if name not in self._columns]
            if missing:
                raise WrongLine(f"is the header and has no column {missing[0]}")
            return None
        if len(row) != len(self._columns):
            raise WrongLine(f"has {len(row)} columns, and the header {len(self._columns)}")
        return {name: value.strip() for name, value in zip(self._columns, row, strict=True)}
