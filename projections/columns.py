"""Column types of the views and how their values travel: as PostgreSQL's own binary fields.

A field of a binary COPY and an element of a binary array are the same bytes, so one encoder
serves the first fill of a table (COPY) and its upkeep (one statement over unnested arrays).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from itertools import chain, repeat
from typing import Any, NamedTuple
from uuid import UUID

Fields = list[bytes]

_NULL = b"\xff\xff\xff\xff"
_bigint = struct.Struct("!iq").pack
_integer = struct.Struct("!ii").pack
_smallint = struct.Struct("!ih").pack
_length = struct.Struct("!i").pack
_array_header = struct.Struct("!iiIii").pack
_TRUE = b"\x00\x00\x00\x01\x01"
_FALSE = b"\x00\x00\x00\x01\x00"
_UUID_LENGTH = b"\x00\x00\x00\x10"
_NUMERIC_ZERO = struct.pack("!ihhHh", 8, 0, 0, 0, 0)
_NUMERIC_NEGATIVE = 0x4000


class ColumnType(NamedTuple):
    """A type of PostgreSQL and the encoder of its values, None among them."""

    ddl: str
    oid: int
    array: str
    array_oid: int
    encode: Callable[[Sequence[Any]], Fields]

    def array_of(self, fields: Fields) -> bytes:
        """A one-dimensional array of encoded values, as a parameter of a statement."""
        return _array_header(1, 1, self.oid, len(fields), 1) + b"".join(fields)


def _fixed(pack: Callable[[int, Any], bytes], length: int) -> Callable[[Sequence[Any]], Fields]:
    """An encoder of fixed-size values; a column without nulls never leaves C."""

    def encode(values: Sequence[Any]) -> Fields:
        try:
            return list(map(pack, repeat(length), values))
        except struct.error:
            return [_NULL if v is None else pack(length, v) for v in values]

    return encode


def _booleans(values: Sequence[bool | None]) -> Fields:
    return [_NULL if v is None else _TRUE if v else _FALSE for v in values]


def _uuids(values: Sequence[UUID | None]) -> Fields:
    return [_NULL if v is None else _UUID_LENGTH + v.int.to_bytes(16, "big") for v in values]


def _texts(values: Sequence[str | None]) -> Fields:
    seen: dict[str | None, bytes] = {None: _NULL}
    known = seen.get
    fields = []
    for value in values:
        found = known(value)
        if found is None:
            assert value is not None
            found = seen[value] = text_field(value)
        fields.append(found)
    return fields


def _numerics(values: Sequence[int | None]) -> Fields:
    return [_NULL if v is None else numeric_field(v) for v in values]


def text_field(value: str) -> bytes:
    """One text; PostgreSQL holds no NUL, so a text that has one keeps a visible mark there."""
    if "\x00" in value:
        value = value.replace("\x00", "\N{REPLACEMENT CHARACTER}")
    data = value.encode("utf-8", "replace")
    return _length(len(data)) + data


def numeric_field(value: int) -> bytes:
    """One integer of any size as a numeric: digits of base 10,000, the highest first."""
    if not value:
        return _NUMERIC_ZERO
    digits: list[int] = []
    rest = value if value > 0 else -value
    while rest >= 10_000:
        rest, digit = divmod(rest, 10_000)
        digits.append(digit)
    digits.append(rest)
    digits.reverse()
    count = len(digits)
    sign = 0 if value > 0 else _NUMERIC_NEGATIVE
    return _numeric(count)(8 + 2 * count, count, count - 1, sign, 0, *digits)


@cache
def _numeric(digits: int) -> Callable[..., bytes]:
    """What packs a numeric of so many digits."""
    return struct.Struct(f"!ihhHh{digits}H").pack


BIGINT = ColumnType("bigint", 20, "bigint[]", 1016, _fixed(_bigint, 8))
INTEGER = ColumnType("integer", 23, "integer[]", 1007, _fixed(_integer, 4))
SMALLINT = ColumnType("smallint", 21, "smallint[]", 1005, _fixed(_smallint, 2))
BOOLEAN = ColumnType("boolean", 16, "boolean[]", 1000, _booleans)
TEXT = ColumnType("text", 25, "text[]", 1009, _texts)
UUID_ = ColumnType("uuid", 2950, "uuid[]", 2951, _uuids)
WIDE = ColumnType("numeric(38,0)", 1700, "numeric[]", 1231, _numerics)
"""For sums and products that may leave 64 bits."""


COPY_SIGNATURE = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
COPY_END = b"\xff\xff"


def copy_rows(columns: Sequence[Fields]) -> bytes:
    """The rows of some encoded columns as binary COPY data, without signature and end."""
    prefix = struct.Struct("!h").pack(len(columns))
    rows: Iterable[tuple[bytes, ...]] = zip(repeat(prefix), *columns)
    return b"".join(chain.from_iterable(rows))
