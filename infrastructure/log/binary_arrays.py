"""PostgreSQL arrays in their binary form: a batch of events crosses as a few bytes objects.

Text arrays of the same values take longer to write here and to read there.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from itertools import chain, repeat
from uuid import UUID

_HEADER = struct.Struct("!iiIii").pack
_LENGTH = struct.Struct("!i").pack
_BIGINT_FIELD = struct.Struct("!iq").pack
_NULL = _LENGTH(-1)
_UUID_LENGTH = _LENGTH(16)
_BYTEA, _BIGINT, _TEXT, _UUID = 17, 20, 25, 2950
# An array without elements has no dimension.
_EMPTY = {oid: struct.pack("!iiI", 0, 0, oid) for oid in (_BYTEA, _BIGINT, _TEXT, _UUID)}


def _array(element: int, count: int, fields: bytes) -> bytes:
    # One dimension, that begins at 1.
    return _HEADER(1, 1, element, count, 1) + fields if count else _EMPTY[element]


def uuids(ids: Sequence[UUID | None]) -> bytes:
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


def bigints(values: Sequence[int | None]) -> bytes:
    """A bigint[]; one without nulls is packed in a single call."""
    count = len(values)
    if None in values:
        fields = b"".join([_NULL if v is None else _BIGINT_FIELD(8, v) for v in values])
    else:
        fields = struct.pack(
            "!" + "iq" * count, *chain.from_iterable(zip(repeat(8), values, strict=False))
        )
    return _array(_BIGINT, count, fields)


def texts(values: Sequence[str]) -> bytes:
    """A text[]; every distinct value is encoded once."""
    known: dict[str, bytes] = {}
    fields = []
    for value in values:
        field = known.get(value)
        if field is None:
            data = value.encode()
            field = known[value] = _LENGTH(len(data)) + data
        fields.append(field)
    return _array(_TEXT, len(fields), b"".join(fields))


def byteas(values: Sequence[bytes]) -> bytes:
    """A bytea[]."""
    fields = chain.from_iterable([(_LENGTH(len(v)), v) for v in values])
    return _array(_BYTEA, len(values), b"".join(fields))
