"""Reads reference prices out of a file that somebody appends to: CSV with a header, or JSON lines.

Both say `symbol` and `price`, and may say `bid`, `ask` and `at` (microseconds since 1970). A line
that is wrong is told with its number and the field, and passed over: one bad line of another's
file must not stop the prices.
"""

from __future__ import annotations

import asyncio
import csv
import os
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import msgspec

from application.reference_prices import Received, ReferencePrice
from domain.errors import InvalidAmount
from domain.identifiers import MAX_INSTANT, Instant
from domain.money import WIRE_PRICE_SCALE, to_units

POLL_SECONDS = 0.02
CHUNK = 256 * 1024
LONGEST_LINE = 64 * 1024
_TOO_LONG = f"has more than {LONGEST_LINE} bytes"
_FIELDS = ("symbol", "price", "bid", "ask", "at")


class WrongLine(Exception):
    """A line that says no price; the message names the field."""


def _number(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        return Decimal("NaN")


_JSON: msgspec.json.Decoder[Any] = msgspec.json.Decoder(float_hook=_number)


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
        self._read_line = self._of_csv if path.suffix == ".csv" else _of_json
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
            if prices := [price for line in self._lines(data) if (price := self._price(line))]:
                return Received(prices, new)

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
                self._wrong(self._number + len(lines) + 1, _TOO_LONG)
            self._rest, self._skipping = b"", True
        return lines

    def _price(self, line: bytes) -> ReferencePrice | None:
        self._number += 1
        if len(line) > LONGEST_LINE:
            self._wrong(self._number, _TOO_LONG)
            return None
        try:
            text = line.decode().strip()
            values = self._read_line(text) if text else None
            return None if values is None else _price_of(values)
        except UnicodeDecodeError:
            self._wrong(self._number, "is not UTF-8")
        except WrongLine as error:
            self._wrong(self._number, str(error))
        except InvalidAmount as error:
            self._wrong(self._number, error.message)
        return None

    def _wrong(self, number: int, why: str) -> None:
        self.refused += 1
        self._say(f"{self._path.name}: line {number} {why}; it is passed over")

    def _of_csv(self, text: str) -> Mapping[str, Any] | None:
        (row,) = csv.reader([text]) if '"' in text else [text.split(",")]
        if self._columns is None:
            self._columns = [name.strip() for name in row]
            missing = [name for name in _FIELDS[:2] if name not in self._columns]
            if missing:
                raise WrongLine(f"is the header and has no column {missing[0]}")
            return None
        if len(row) != len(self._columns):
            raise WrongLine(f"has {len(row)} columns, and the header {len(self._columns)}")
        return {name: value.strip() for name, value in zip(self._columns, row, strict=True)}


def _of_json(text: str) -> Mapping[str, Any]:
    try:
        values = _JSON.decode(text)
    except msgspec.MsgspecError as error:
        raise WrongLine(f"is no JSON: {error}") from None
    if not isinstance(values, dict):
        raise WrongLine("is no JSON object")
    return values


def _price_of(values: Mapping[str, Any]) -> ReferencePrice:
    """A line as a price. Raises WrongLine, or InvalidAmount that names the field."""
    symbol = values.get("symbol")
    if not isinstance(symbol, str) or not symbol:
        raise WrongLine("says no symbol")
    price = _amount(values, "price")
    if not price:
        raise WrongLine("says no price")
    return ReferencePrice(
        symbol, price, _amount(values, "bid"), _amount(values, "ask"), _instant(values)
    )


def _amount(values: Mapping[str, Any], field: str) -> int:
    value = values.get(field)
    if value is None or value == "":
        return 0
    if isinstance(value, bool) or not isinstance(value, int | str | Decimal):
        raise WrongLine(f"says no number as {field}")
    units = to_units(value, WIRE_PRICE_SCALE, field)
    if units <= 0:
        raise WrongLine(f"says a {field} that is not above 0")
    return units


def _instant(values: Mapping[str, Any]) -> Instant:
    value = values.get("at")
    if value is None or value == "":
        return 0
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_INSTANT:
        raise WrongLine("says no instant as at")
    return value
