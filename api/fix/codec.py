# cython: language_level=3, overflowcheck=True, boundscheck=False, wraparound=False
# cython: initializedcheck=False, auto_pickle=False
# mypy: disable-error-code="import-untyped,untyped-decorator,no-any-return"
"""FIX messages as bytes: a stream cut into messages, and messages written."""

# The same file runs interpreted and compiled. What a stream gives does not depend on how it was
# cut: every decision is made on bytes that stand, never on where the buffer happens to end.
#
# Bounds. A body length has at most seven digits and is below the decoder's bound; a tag has at most
# nine digits and so fits 32 bits; offsets are below the length of a buffer (so where bytes are
# walked, overflow is not checked). A position is read only
# after it was compared with the end of what is there, as bounds are not checked when compiled.

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple
from zlib import adler32, crc32

import cython

BEGIN_STRING = b"FIX.4.4"
MAX_BODY = 65_536
MAX_FIELDS = 8_192
MAX_SEQ_NUM_DIGITS = 18

_MAX_BEGIN = cython.declare(cython.int, 16)
_FIELDS = cython.declare(cython.int, MAX_FIELDS)
_RAW = cython.declare(cython.int, 512)

# Fields that say how long the data behind them is; only so can a value hold the separator.
DATA_OF_LENGTH = {
    90: 91, 93: 89, 95: 96, 212: 213, 348: 349, 350: 351, 352: 353, 354: 355,
    356: 357, 358: 359, 360: 361, 362: 363, 364: 365, 445: 446, 618: 619, 621: 622,
}  # fmt: skip
DATA_TAGS = frozenset(DATA_OF_LENGTH.values())

# What the quick way of the interpreted form knows by its text: no framing field, no length.
_PLAIN_TAGS = {
    b"%d" % tag: tag
    for tag in range(1, 2 if cython.compiled else 1024)
    if tag not in (8, 10) and tag not in DATA_OF_LENGTH
}
_NO_MARKS = bytes(byte for byte in range(256) if byte not in b"=\x01")
# Messages up to its size are written here first: no call into Python happens meanwhile.
_scratch = cython.declare(bytearray, bytearray(4096))
_PREFIX_OF = {tag: b"%d=" % tag for tag in range(1, 2 if cython.compiled else 1024)}
_TRAILERS = [b"10=%03d\x01" % total for total in range(256)]


def implementation() -> str:
    """Which form of this file runs: 'compiled' or 'interpreted'."""
    return "compiled" if cython.compiled else "interpreted"


class Garbled(NamedTuple):
    """Bytes that are no message: they use no number."""

    why: str
    raw: bytes
    """How it began, for who looks for the cause."""


class Head(NamedTuple):
    """What a session writes before the body of a message."""

    sender: bytes
    target: bytes
    seq_num: int
    sending_time: bytes
    extra: Sequence[tuple[int, bytes]] = ()
    """Further fields of the header, such as PossDupFlag, in the order they are sent."""


@cython.final
@cython.cclass
class Message:
    """A message that came whole: its fields in order, but for BeginString, BodyLength, CheckSum.

    A field that has no tag stands as it came, under tag 0.
    """

    begin_string = cython.declare(bytes, visibility="readonly")
    msg_type = cython.declare(bytes, visibility="readonly")
    seq_num = cython.declare(cython.longlong, visibility="readonly")
    tags = cython.declare(list, visibility="readonly")
    values = cython.declare(list, visibility="readonly")
    raw = cython.declare(bytes, visibility="readonly")

    def __init__(
        self, begin_string: bytes, tags: list[int], values: list[bytes], raw: bytes = b""
    ) -> None:
        self.begin_string = begin_string
        self.msg_type = values[0]
        self.tags = tags
        self.values = values
        self.raw = raw
        self.seq_num = _seq_num(self.get(34))

    def get(self, tag: int) -> bytes | None:
        """The first value of a tag; None when it is not there."""
        wanted: cython.longlong = tag
        place: cython.Py_ssize_t
        if cython.compiled:
            for place in range(len(self.tags)):
                if wanted == self.tags[place]:
                    return self.values[place]
            return None
        try:
            return self.values[self.tags.index(wanted)]
        except ValueError:
            return None

    def __repr__(self) -> str:
        return f"Message({self.raw.replace(chr(1).encode(), b'|')!r})"


@cython.cfunc
def _seq_num(text: bytes | None) -> cython.longlong:
    """A sequence number, -1 when it is missing or no number."""
    if text is None or len(text) > 18 or not text.isdigit():
        return -1
    return int(text)


@cython.cfunc
@cython.inline
@cython.overflowcheck(False)
@cython.exceptval(check=False)
def _data_tag(tag: cython.int) -> cython.int:
    """The tag of the data that a length tells of, 0 when a tag is no such length."""
    if tag < 90:
        return 0
    if tag <= 95:
        return 91 if tag == 90 else 89 if tag == 93 else 96 if tag == 95 else 0
    if tag == 212 or tag == 445 or tag == 618 or tag == 621:
        return tag + 1
    if 348 <= tag <= 364 and tag % 2 == 0:
        return tag + 1
    return 0


@cython.cfunc
def _number(text: bytes) -> cython.int:
    """A length of data, -1 when it is none."""
    if not 1 <= len(text) <= 7 or not text.isdigit():
        return -1
    return int(text)


@cython.final
@cython.cclass
class Decoder:
    """Cuts a stream into messages, and keeps what is not whole yet."""

    _max_body: cython.int
    _rest: bytes
    _skipping: cython.bint
    # The message under way, by offsets from its first byte; _end is 0 until its header is read.
    _begin: bytes
    _start: cython.Py_ssize_t
    _end: cython.Py_ssize_t
    _next: cython.Py_ssize_t
    _data: cython.int
    _data_length: cython.Py_ssize_t
    _tags: list[int]
    _values: list[bytes]

    def __init__(self, max_body: int = MAX_BODY) -> None:
        if not 16 <= max_body <= 9_999_999:
            raise ValueError(f"max_body is {max_body}, not 16 to 9999999")
        self._max_body = max_body
        self._rest = b""
        self._skipping = False
        self._forget()

    @property
    def pending(self) -> int:
        """The bytes that came and are no whole message yet."""
        return len(self._rest)

    def feed(self, data: bytes) -> list[Message | Garbled]:
        """Take bytes as they came, and give the messages that are whole now, in order."""
        if self._rest:
            data = self._rest + data
        found: list[Message | Garbled] = []
        at: cython.Py_ssize_t = 0
        size: cython.Py_ssize_t = len(data)
        after: cython.Py_ssize_t
        while at < size:
            after = self._skip(data, at) if self._skipping else self._one(data, at, found)
            if after < 0:
                break
            at = after
        self._rest = data[at:]
        return found

    @cython.cfunc
    def _forget(self) -> cython.void:
        """Begin to read another message."""
        self._begin = b""
        self._start = self._end = self._next = 0
        self._data = 0
        self._data_length = 0
        self._tags = []
        self._values = []

    @cython.cfunc
    def _garbled(
        self,
        why: str,
        data: bytes,
        at: cython.Py_ssize_t,
        after: cython.Py_ssize_t,
        found: list[Any],
    ) -> cython.Py_ssize_t:
        """Tell of bytes that are no message, and seek the next beginning behind them."""
        until: cython.Py_ssize_t = after if after < at + _RAW else at + _RAW
        found.append(Garbled(why, data[at:until]))
        self._forget()
        self._skipping = True
        return after

    @cython.cfunc
    def _skip(self, data: bytes, at: cython.Py_ssize_t) -> cython.Py_ssize_t:
        """The place where a message begins; without one, what need not be kept is dropped."""
        begin: cython.Py_ssize_t = data.find(b"8=FIX", at)
        if begin >= 0:
            self._skipping = False
            return begin
        # A beginning may be cut.
        kept: cython.Py_ssize_t = len(data) - 4
        return kept if kept > at else -1

    @cython.cfunc
    def _one(self, data: bytes, at: cython.Py_ssize_t, found: list[Any]) -> cython.Py_ssize_t:
        """Read one message; the place behind it, or -1 when more bytes are needed."""
        after: cython.Py_ssize_t
        if self._end == 0:
            if not cython.compiled:
                after = self._quick(data, at, found)
                if after > 0:
                    return after
            after = self._header(data, at, found)
            if self._end == 0:
                return after
        after = self._body(data, at, found)
        if after != 0:
            return after
        return self._trailer(data, at, found)

    @cython.cfunc
    def _header(self, data: bytes, at: cython.Py_ssize_t, found: list[Any]) -> cython.Py_ssize_t:
        """Read BeginString, BodyLength and the tag of MsgType; -1 when more bytes are needed."""
        size: cython.Py_ssize_t = len(data)
        p: cython.p_const_uchar = data
        i: cython.Py_ssize_t = at + 12
        k: cython.Py_ssize_t
        length: cython.int = 0
        if data.startswith(b"8=FIX.4.4\x019=", at):
            self._begin = BEGIN_STRING
        else:
            k = _same(data, at, b"8=FIX")
            if k < 5:
                if at + k >= size:
                    return -1
                k = 1 if k == 0 else k
                return self._garbled("it does not begin with 8=FIX", data, at, at + k, found)
            k = data.find(b"\x01", at, at + _MAX_BEGIN)
            if k < 0:
                if size < at + _MAX_BEGIN:
                    return -1
                return self._garbled("BeginString is too long", data, at, at + 5, found)
            self._begin = data[at + 2 : k]
            i = k + 1
            k = _same(data, i, b"9=")
            if k < 2:
                if i + k >= size:
                    return -1
                return self._garbled("BodyLength is not the second field", data, at, i, found)
            i += 2
        k = i
        while k < size and k - i < 8 and 48 <= p[k] <= 57:
            if k - i < 7:
                length = length * 10 + (p[k] - 48)
            k += 1
        if k >= size:
            return -1
        if p[k] != 1 or k == i or k - i > 7:
            return self._garbled("BodyLength is no number", data, at, i, found)
        if length > self._max_body:
            return self._garbled(
                f"BodyLength is {length}, over {self._max_body}", data, at, k, found
            )
        i = k + 1
        if length < 4:
            return self._garbled("BodyLength holds no MsgType", data, at, i, found)
        k = _same(data, i, b"35=")
        if k < 3:
            if i + k >= size:
                return -1
            return self._garbled("MsgType is not the third field", data, at, i, found)
        self._start = self._next = i - at
        self._end = i - at + length
        return 0

    @cython.cfunc
    def _quick(self, data: bytes, at: cython.Py_ssize_t, found: list[Any]) -> cython.Py_ssize_t:
        """Read a message that is as most are without looking at each byte; 0 when it is not.

        It stands whole, has plain tags alone, one equals sign a field, and a right sum.
        """
        start: cython.Py_ssize_t = data.find(b"\x01", at + 12, at + 20) + 1
        length = data[at + 12 : start - 1]
        if start == 0 or not length.isdigit() or not data.startswith(b"8=FIX.4.4\x019=", at):
            return 0
        size: cython.Py_ssize_t = int(length)
        end: cython.Py_ssize_t = start + size
        body = data[start:end]
        marks = body.translate(None, _NO_MARKS)
        count: cython.Py_ssize_t = len(marks) // 2
        if (
            size > self._max_body
            or marks != b"=\x01" * count
            or not body.startswith(b"35=")
            or not body.endswith(b"\x01")
            or count > _FIELDS
            or data[end : end + 7] != _TRAILERS[_checksum(data, at, end)]
        ):
            return 0
        parts = body.replace(b"\x01", b"=").split(b"=")
        values = parts[1::2]
        parts.pop()
        tags: list[Any] = list(map(_PLAIN_TAGS.get, parts[::2]))
        if None in tags:
            return 0
        found.append(Message(BEGIN_STRING, tags, values, data[at : end + 7]))
        return end + 7

    @cython.cfunc
    @cython.overflowcheck(False)
    def _body(self, data: bytes, at: cython.Py_ssize_t, found: list[Any]) -> cython.Py_ssize_t:
        """Read fields up to the end of the body: 0 when it is reached, -1 for more bytes."""
        p: cython.p_const_uchar = data
        size: cython.Py_ssize_t = len(data)
        end: cython.Py_ssize_t = at + self._end
        limit: cython.Py_ssize_t = end if end < size else size
        i: cython.Py_ssize_t = at + self._next
        j: cython.Py_ssize_t
        stop: cython.Py_ssize_t
        tag: cython.int
        tags: list[int] = self._tags
        values: list[bytes] = self._values
        count: cython.int = len(tags)
        while i < end:
            tag = 0
            j = i
            while j < limit and j - i < 9 and 48 <= p[j] <= 57:
                tag = tag * 10 + (p[j] - 48)
                j += 1
            if j >= limit or p[j] != 61 or j == i or p[i] == 48:
                tag = 0
            stop = -1
            if tag != 0 and tag == self._data and j + 1 + self._data_length < end:
                stop = j + 1 + self._data_length
                if stop >= size:
                    self._next = i - at
                    return -1
                if p[stop] != 1:
                    stop = -1
            if stop < 0:
                stop = _separator(data, j, limit)
            if stop < 0:
                if limit == end:
                    return self._garbled("BodyLength ends inside a field", data, at, i, found)
                self._next = i - at
                return -1
            if tag == 10:
                return self._garbled("CheckSum stands before the end", data, at, stop, found)
            if tag == 8 and data.startswith(b"FIX", j + 1):
                return self._garbled("another message begins inside it", data, at, i, found)
            if count >= _FIELDS:
                return self._garbled(f"it has over {_FIELDS} fields", data, at, i, found)
            count += 1
            if tag == 0:
                j = i - 1
            tags.append(tag)
            values.append(p[j + 1 : stop])
            self._data = _data_tag(tag)
            if self._data != 0:
                self._data_length = _number(values[count - 1])
                if self._data_length < 0:
                    self._data = 0
            i = stop + 1
        self._next = self._end
        return 0

    @cython.cfunc
    def _trailer(self, data: bytes, at: cython.Py_ssize_t, found: list[Any]) -> cython.Py_ssize_t:
        """Read CheckSum behind the body and give the message; -1 when more bytes are needed."""
        p: cython.p_const_uchar = data
        end: cython.Py_ssize_t = at + self._end
        i: cython.Py_ssize_t
        told: cython.int = 0
        if len(data) < end + 7:
            return -1
        if p[end] != 49 or p[end + 1] != 48 or p[end + 2] != 61 or p[end + 6] != 1:
            return self._garbled("CheckSum is not where BodyLength ends", data, at, end, found)
        for i in range(end + 3, end + 6):
            if p[i] < 48 or p[i] > 57:
                return self._garbled("CheckSum is not three digits", data, at, end, found)
            told = told * 10 + (p[i] - 48)
        if told != _checksum(data, at, end):
            found.append(Garbled("CheckSum is wrong", data[at : min(end + 7, at + _RAW)]))
        else:
            found.append(Message(self._begin, self._tags, self._values, data[at : end + 7]))
        self._forget()
        return end + 7


@cython.cfunc
def _same(data: bytes, at: cython.Py_ssize_t, text: bytes) -> cython.Py_ssize_t:
    """How many bytes of a text stand at a place."""
    k: cython.Py_ssize_t = 0
    while k < len(text) and at + k < len(data) and data[at + k] == text[k]:
        k += 1
    return k


@cython.cfunc
@cython.inline
@cython.overflowcheck(False)
@cython.exceptval(check=False)
def _separator(data: bytes, at: cython.Py_ssize_t, limit: cython.Py_ssize_t) -> cython.Py_ssize_t:
    """The next separator before a limit, -1 when there is none."""
    p: cython.p_const_uchar
    if cython.compiled:
        p = data
        while at < limit:
            if p[at] == 1:
                return at
            at += 1
        return -1
    return data.find(b"\x01", at, limit)


@cython.cfunc
@cython.overflowcheck(False)
@cython.exceptval(check=False)
def _checksum(data: bytes, at: cython.Py_ssize_t, end: cython.Py_ssize_t) -> cython.int:
    """The sum of bytes modulo 256."""
    total: cython.uint = 0
    i: cython.Py_ssize_t
    p: cython.p_const_uchar
    if cython.compiled:
        p = data
        for i in range(at, end):
            total += p[i]
        return total & 255
    # The lower half of an Adler sum is one more than the sum of up to 256 bytes.
    for i in range(at, end, 256):
        total += (adler32(data[i : min(i + 256, end)]) & 0xFFFF) - 1
    return total & 255


def checksum(data: bytes) -> int:
    """The value of CheckSum for the bytes before it."""
    return _checksum(data, 0, len(data))


@cython.cfunc
@cython.inline
@cython.overflowcheck(False)
@cython.exceptval(check=False)
def _write_number(
    p: cython.p_uchar, at: cython.Py_ssize_t, number: cython.longlong
) -> cython.Py_ssize_t:
    """Write digits; the place behind them."""
    digits: cython.int = 1
    bound: cython.longlong = 10
    k: cython.int
    while digits < 18 and number >= bound:
        digits += 1
        bound *= 10
    for k in range(digits - 1, -1, -1):
        p[at + k] = cython.cast(cython.uchar, 48 + number % 10)
        number //= 10
    return at + digits


@cython.cfunc
@cython.inline
@cython.overflowcheck(False)
@cython.exceptval(check=False)
def _write(p: cython.p_uchar, at: cython.Py_ssize_t, text: bytes) -> cython.Py_ssize_t:
    """Write bytes; the place behind them."""
    q: cython.p_const_uchar = text
    k: cython.Py_ssize_t
    size: cython.Py_ssize_t = len(text)
    for k in range(size):
        p[at + k] = q[k]
    return at + size


@cython.cfunc
@cython.exceptval(-1)
def _room(rows: list[Any]) -> cython.Py_ssize_t:
    """Bytes in which fields have room."""
    size: cython.Py_ssize_t = 0
    value: bytes
    for _, value in rows:
        size += len(value) + 12
    return size


@cython.cfunc
@cython.overflowcheck(False)
@cython.exceptval(-1)
def _write_fields(p: cython.p_uchar, at: cython.Py_ssize_t, rows: list[Any]) -> cython.Py_ssize_t:
    """Write fields; the place behind them."""
    begin: cython.Py_ssize_t
    k: cython.Py_ssize_t
    tag: cython.longlong
    value: bytes
    for tag, value in rows:
        if tag < 1 or tag > 999_999_999:
            raise ValueError(f"{tag} is no tag")
        at = _write_number(p, at, tag)
        p[at] = 61
        begin = at + 1
        at = _write(p, begin, value)
        if at == begin:
            raise ValueError(f"field {tag} has no value")
        for k in range(begin, at):
            if p[k] == 1 and tag not in DATA_TAGS:
                raise ValueError(f"field {tag} holds a separator")
        p[at] = 1
        at += 1
    return at


@cython.cfunc
def _render(rows: list[Any]) -> bytes:
    """Fields as they stand in a message, written byte by byte."""
    size: cython.Py_ssize_t = _room(rows)
    buffer: bytearray = _scratch if size <= 4096 else bytearray(size)
    p: cython.p_uchar = buffer
    return p[: _write_fields(p, 0, rows)]


def _known(tag: int) -> int:
    """A tag that a field can have; ValueError for another."""
    if not 0 < tag <= 999_999_999:
        raise ValueError(f"{tag} is no tag")
    return tag


def render(fields: Sequence[tuple[int, bytes]]) -> bytes:
    """Fields as they stand in a message; raises ValueError for what no message could hold."""
    if cython.compiled:
        return _render(fields if type(fields) is list else list(fields))
    if not fields:
        return b""
    try:
        rendered = b"\x01".join([_PREFIX_OF[tag] + value for tag, value in fields]) + b"\x01"
    except KeyError:
        rendered = b"".join([b"%d=%b\x01" % (_known(tag), value) for tag, value in fields])
    if b"=\x01" in rendered or rendered.count(b"\x01") != len(fields):
        for tag, value in fields:
            if not value:
                raise ValueError(f"field {tag} has no value")
            if b"\x01" in value and tag not in DATA_TAGS:
                raise ValueError(f"field {tag} holds a separator")
    return rendered


@cython.cfunc
@cython.overflowcheck(False)
def _frame(head: Head, msg_type: bytes, rows: list[Any], body: bytes) -> bytes:
    """A whole message around fields or around a body, written byte by byte."""
    sender: bytes
    target: bytes
    time: bytes
    sender, target, seq_num, time, extra = head
    if extra:
        rows = list(extra) + rows
    number: cython.longlong = seq_num
    size: cython.Py_ssize_t = 120 + len(sender) + len(target) + len(time) + len(msg_type)
    size += _room(rows) + len(body)
    buffer: bytearray = _scratch if size <= 4096 else bytearray(size)
    p: cython.p_uchar = buffer
    # The length is known last and written before the rest: twelve bytes, seven digits, separator.
    start: cython.Py_ssize_t = 20
    at: cython.Py_ssize_t = _write(p, start, b"35=")
    at = _write(p, _write(p, at, msg_type), b"\x0149=")
    at = _write(p, _write(p, at, sender), b"\x0156=")
    at = _write(p, _write(p, at, target), b"\x0134=")
    at = _write(p, _write_number(p, at, number), b"\x0152=")
    at = _write(p, _write(p, at, time), b"\x01")
    at = _write(p, _write_fields(p, at, rows), body)
    length: cython.Py_ssize_t = at - start
    if number < 0 or number > 999_999_999_999_999_999 or length > 9_999_999:
        raise ValueError(f"number {seq_num} or length {length} is none of a message")
    digits: cython.Py_ssize_t = _write_number(p, 0, length)
    begin: cython.Py_ssize_t = start - 13 - digits
    _write(p, begin, b"8=FIX.4.4\x019=")
    _write_number(p, begin + 12, length)
    p[start - 1] = 1
    total: cython.uint = 0
    k: cython.Py_ssize_t
    for k in range(begin, at):
        total += p[k]
    trailer: bytes = _TRAILERS[total & 255]
    at = _write(p, at, trailer)
    return p[begin:at]


def frame(head: Head, msg_type: bytes, body: bytes) -> bytes:
    """A whole message around a body that was rendered."""
    if cython.compiled:
        return _frame(head, msg_type, [], body)
    sender, target, seq_num, sending_time, extra = head
    if extra:
        body = render(extra) + body
    middle = b"35=%b\x0149=%b\x0156=%b\x0134=%d\x0152=%b\x01%b" % (
        msg_type,
        sender,
        target,
        seq_num,
        sending_time,
        body,
    )
    if not 0 <= seq_num < 10**18 or len(middle) > 9_999_999:
        raise ValueError(f"number {seq_num} or length {len(middle)} is none of a message")
    whole = b"8=FIX.4.4\x019=%d\x01%b" % (len(middle), middle)
    if len(whole) <= 256:
        return whole + _TRAILERS[(adler32(whole) - 1) & 255]
    return whole + _TRAILERS[_checksum(whole, 0, len(whole))]


def encode(head: Head, msg_type: bytes, fields: Sequence[tuple[int, bytes]]) -> bytes:
    """A whole message; raises ValueError for a field that no message could hold."""
    if cython.compiled:
        rows: list[Any] = fields if type(fields) is list else list(fields)
        return _frame(head, msg_type, rows, b"")
    return frame(head, msg_type, render(fields))


def body_checksum(fields: Sequence[tuple[int, bytes]]) -> int:
    """The CRC-32 of a body: two sendings with the same one said the same."""
    return crc32(render(fields))


class Clock52:
    """Writes instants as SendingTime; what is the same within a second is written once."""

    def __init__(self) -> None:
        self._second = -1
        self._text = b""

    def text(self, microseconds: int) -> bytes:
        """An instant, in microseconds since 1970, as UTCTimestamp with milliseconds."""
        second, rest = divmod(microseconds, 1_000_000)
        if second != self._second:
            self._text = datetime.fromtimestamp(second, UTC).strftime("%Y%m%d-%H:%M:%S.").encode()
            self._second = second
        return b"%b%03d" % (self._text, rest // 1000)
