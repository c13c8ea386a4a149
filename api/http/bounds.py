"""What of one request is too much, counted while it is read."""

from __future__ import annotations

from api.door.limits import Limits
from api.http.errors import LARGEST_BODY
from api.refusals import BodyTooLarge, HeadTooLarge
from domain.errors import Rejection


class Bounds:
    """The request under way, and how much of it has come.

    All that came is counted, whoever is told of it: a header that does not end, what stands
    behind a chunk's size, and what comes behind the body.
    """

    __slots__ = ("_head", "_headers", "_limits", "_target", "_whole", "in_body", "in_request",
                 "requests")  # fmt: skip

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._whole = self._head = self._target = self._headers = 0
        self.in_request = False
        self.in_body = False
        self.requests = 0
        """How many began in the part that is read."""

    def begin_part(self, size: int) -> None:
        """Count bytes that are about to be read."""
        self.requests = 0
        self._whole += size

    def begin_request(self) -> None:
        """Begin to count another one."""
        self.requests += 1
        self._whole = self._head = self._target = self._headers = 0
        self.in_request, self.in_body = True, False

    def count_target(self, size: int) -> Rejection | None:
        """Count a part of the path and its query."""
        self._target += size
        if self._target > self._limits.target_bytes:
            return HeadTooLarge("target", self._limits.target_bytes, "bytes")
        return self._count_head(size)

    def count_header(self, size: int) -> Rejection | None:
        """Count a header, or what stands behind a body and looks like one."""
        self._headers += 1
        if self._headers > self._limits.headers:
            return HeadTooLarge("head", self._limits.headers, "headers")
        return self._count_head(size)

    def _count_head(self, size: int) -> Rejection | None:
        self._head += size
        if self._head > self._limits.head_bytes:
            return HeadTooLarge("head", self._limits.head_bytes, "bytes")
        return None

    def begin_body(self) -> None:
        """Note that the head has ended."""
        self.in_body = True

    def end_request(self) -> None:
        """Note that the request is whole."""
        self.in_request = self.in_body = False
        self._whole = 0

    @property
    def too_much(self) -> Rejection | None:
        """What is said of a request that does not end, None while it may go on."""
        limits = self._limits
        if self.in_body:
            return BodyTooLarge(LARGEST_BODY) if self._whole > limits.whole_bytes else None
        if self._whole > limits.head_bytes + limits.part_bytes:
            return HeadTooLarge("head", limits.head_bytes, "bytes")
        return None
