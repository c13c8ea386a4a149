"""Keys that were good here of late: who shows one does not stand in line with strangers."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Iterable
from hashlib import sha256

MOST = 10_000
_SHOWN = re.compile(rb"\r\nAPCA-API-(KEY-ID|SECRET-KEY):[ \t]*([^\r\n]*)(?=\r\n)", re.IGNORECASE)


class Acquaintances:
    """Remembers keys by what they hash to, the newest of them.

    It lets nobody in: it says who is asked first.
    """

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._good: OrderedDict[bytes, None] = OrderedDict()

    def met(self, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """Remember the key of a request that was let in."""
        said = dict(headers)
        digest = _digest(said.get(b"apca-api-key-id"), said.get(b"apca-api-secret-key"))
        if digest is not None:
            self._good[digest] = None
            self._good.move_to_end(digest)
            if len(self._good) > self._most:
                self._good.popitem(last=False)

    def knows(self, head: bytes) -> bool:
        """Whether the head of a request shows a key that was good here."""
        shown = {name.upper(): value.rstrip() for name, value in _SHOWN.findall(head)}
        digest = _digest(shown.get(b"KEY-ID"), shown.get(b"SECRET-KEY"))
        return digest is not None and digest in self._good


def _digest(key_id: bytes | None, secret: bytes | None) -> bytes | None:
    if key_id is None or secret is None:
        return None
    return sha256(key_id + b"\0" + secret).digest()
