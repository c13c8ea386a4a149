"""PostgreSQL arrays in their binary form: a batch of events crosses as a few bytes objects.

Text arrays of the same values take longer to write here and to read there.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from itertools import chain, repeat
from uuid import UUID

from psycopg.adapt import AdaptersMap, Dumper
from psycopg.pq import Format

_HEADER = struct.Struct("!iiIii").pack
_LENGTH = struct.Struct("!i").pack
_NULL = _LENGTH(-1)
_UUID_LENGTH = _LENGTH(16)
_BYTEA, _BIGINT, _TEXT, _UUID = 17, 20, 25, 2950


class BinaryArray(bytes):
    """A one-dimensional array as the server reads it; the statement's cast names its type."""


class _BinaryArrayDumper(Dumper):
    format = Format.BINARY

    def dump(self, obj: BinaryArray) -> bytes:
        return obj


def register(adapters: AdaptersMap) -> None:
    """Let a connection take packed arrays as parameters."""
    adapters.register_dumper(BinaryArray, _BinaryArrayDumper)


def _array(element: int, count: int, fields: bytes) -> BinaryArray:
    # One dimension that begins at 1; an array without elements has none.
    if not count:
        return BinaryArray(struct.pack("!iiI", 0, 0, element))
    return BinaryArray(_HEADER(1, 1, element, count, 1) + fields)


def uuids(ids: Sequence[UUID | None]) -> BinaryArray:
    """A uuid[]; neighbours are often the same one, and are packed once."""
    fields = []
    last: UUID | None = None
    field = _NULL
    for identifier in ids:
        if identifier is not last:
            last = identifier
            field = (
                _NULL if identifier is None else _UUID_LENGTH + identifier.int.to_bytes(16, "big")
            )
        fields.append(field)
    return _array(_UUID, len(fields), b"".join(fields))


def bigints(values: Sequence[int | None]) -> BinaryArray:
    """A bigint[]; one without nulls is packed in a single call."""
    count = len(values)
    try:
        fields = struct.pack(
            "!" + "iq" * count, *chain.from_iterable(zip(repeat(8), values, strict=False))
        )
    except struct.error:
        pack = struct.Struct("!iq").pack
        fields = b"".join([_NULL if v is None else pack(8, v) for v in values])
    return _array(_BIGINT, count, fields)


def texts(values: Sequence[str]) -> BinaryArray:
    """A text[]; every distinct value is encoded once."""
    known = {}
    for value in set(values):
        data = value.encode()
        known[value] = _LENGTH(len(data)) + data
    return _array(_TEXT, len(values), b"".join([known[v] for v in values]))


def byteas(values: Sequence[bytes]) -> BinaryArray:
    """A bytea[]."""
    fields = chain.from_iterable((_LENGTH(len(v)), v) for v in values)
    return _array(_BYTEA, len(values), b"".join(fields))
