"""Rows of the event table in PostgreSQL's own binary form, as COPY writes and takes them."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

from domain.identifiers import uuid_of

HEADER = b"PGCOPY\n\xff\r\n\x00" + struct.pack("!ii", 0, 0)
"""What a binary COPY begins with: its signature, no flags and no extension."""
TRAILER = struct.pack("!h", -1)
"""What a binary COPY ends with."""

_SINCE_2000 = 946_684_800_000_000
_FIELDS = 12
# Up to the topic's length: the count of fields, the aggregate's id and the version.
_HEAD = struct.Struct("!hi16siqi").unpack_from
_HEAD_SIZE = struct.calcsize("!hi16siqi")
_PLACE = struct.Struct("!iqiq").unpack_from
_PLACE_SIZE = struct.calcsize("!iqiq")
_LENGTH = struct.Struct("!i").unpack_from
_BIGINT = struct.Struct("!q").unpack_from


class NoRows(ValueError):
    """Bytes that are no rows of the event table."""


def stored_rows(data: bytes) -> list[tuple[Any, ...]]:
    """The rows in a stretch of a COPY of `statements.STORED_COLUMNS` that begins and ends between
    rows, each in the order of `application.audit.verify.StoredRow`.
    """
    try:
        return _rows(data)
    except (struct.error, IndexError, UnicodeDecodeError) as error:
        raise NoRows(f"not whole rows of events: {error}") from error


def _rows(data: bytes) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = []
    at, end = 0, len(data)
    while at < end:
        fields, _, originator, _, version, length = _HEAD(data, at)
        if fields != _FIELDS:
            raise NoRows(f"a row of {fields} fields, where events have {_FIELDS}")
        at += _HEAD_SIZE
        topic = data[at : at + length].decode()
        at += length
        (length,) = _LENGTH(data, at)
        at += 4
        state = data[at : at + length]
        at += length
        _, position, _, recorded_at = _PLACE(data, at)
        at += _PLACE_SIZE
        values: list[bytes | None] = []
        for _ in range(6):
            (length,) = _LENGTH(data, at)
            at += 4
            if length < 0:
                values.append(None)
            else:
                values.append(data[at : at + length])
                at += length
        if at > end:
            raise NoRows("the last row is cut off")
        rows.append(
            (
                position,
                uuid_of(originator),
                version,
                topic,
                state,
                recorded_at + _SINCE_2000,
                *_named(values),
            )
        )
    return rows


def _named(values: Sequence[bytes | None]) -> tuple[Any, ...]:
    """Instrument, account, what was traded, the command and who sent it."""
    instrument, account, qty, notional, command, actor = values
    if command is None or actor is None:
        raise NoRows("a row without a command or an actor")
    return (
        None if instrument is None else uuid_of(instrument),
        None if account is None else uuid_of(account),
        None if qty is None else _BIGINT(qty)[0],
        None if notional is None else _BIGINT(notional)[0],
        uuid_of(command),
        actor.decode(),
    )


def key_rows(data: bytes) -> list[tuple[Any, ...]]:
    """The request keys in such a stretch: account, key, fingerprint, position."""
    rows = []
    at, end = 0, len(data)
    try:
        while at < end:
            (fields,) = struct.unpack_from("!h", data, at)
            if fields != 4:
                raise NoRows(f"a row of {fields} fields, where request keys have 4")
            at += 2
            found = []
            for _ in range(4):
                (length,) = _LENGTH(data, at)
                at += 4
                found.append(data[at : at + length])
                at += length
            if at > end:
                raise NoRows("the last row is cut off")
            account, key, fingerprint, position = found
            rows.append((uuid_of(account), key.decode(), fingerprint, _BIGINT(position)[0]))
    except (struct.error, UnicodeDecodeError) as error:
        raise NoRows(f"not whole request keys: {error}") from error
    return rows
