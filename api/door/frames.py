"""Where the frames of a WebSocket end, found by their heads alone."""

from __future__ import annotations

from typing import NamedTuple

_CONTINUATION, _CONTROL = 0, 8
_MASKED = 0x80
_TWO_MORE, _EIGHT_MORE = 126, 127
_LONGEST_HEAD = 14


class Cut(NamedTuple):
    """What of some bytes is taken: up to where, how many frames begin in it, and how many of
    those bring no message.
    """

    end: int
    frames: int
    empty: int


class Frames:
    """Follows a client's frames through bytes that come cut anywhere.

    It judges nothing: what is no frame is found so by who reads it.
    """

    __slots__ = ("_head", "_left")

    def __init__(self) -> None:
        self._head = b""
        self._left = 0

    def cut(self, data: bytes, at: int, most_bytes: int, most_frames: int) -> Cut:
        """Take from a place on at most so many bytes and so many frames."""
        end = min(len(data), at + most_bytes)
        frames = empty = 0
        while at < end:
            if self._left:
                step = min(self._left, end - at)
                self._left -= step
                at += step
                continue
            if not self._head:
                if frames == most_frames:
                    break
                frames += 1
                kind = data[at] & 0x0F
                empty += kind == _CONTINUATION or kind >= _CONTROL
            at = self._read_head(data, at, end)
        return Cut(at, frames, empty)

    def _read_head(self, data: bytes, at: int, end: int) -> int:
        """Read on in a frame's head; the place behind what was read of it."""
        known = len(self._head)
        head = self._head + data[at : min(end, at + _LONGEST_HEAD - known)]
        if len(head) < 2:
            self._head = head
            return end
        mark = head[1] & 0x7F
        more = 2 if mark == _TWO_MORE else 8 if mark == _EIGHT_MORE else 0
        size = 2 + more + (4 if head[1] & _MASKED else 0)
        if len(head) < size:
            self._head = head
            return end
        self._head = b""
        self._left = int.from_bytes(head[2 : 2 + more]) if more else mark
        return at + size - known
