"""Keys that were good here of late: who shows one does not stand in line with strangers."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Iterable
from hashlib import sha256

from api.door.turns import Waiter

Headers = Iterable[tuple[bytes, bytes]]
"""As a server gives them: names in lower case."""

MOST = 10_000
_SHOWN = re.compile(rb"\r\nAPCA-API-(KEY-ID|SECRET-KEY):[ \t]*([^\r\n]*)(?=\r\n)", re.IGNORECASE)


class Acquaintances:
    """Remembers keys by what they hash to, the newest of them.

    It lets nobody in: it says who is asked first. Who waits among strangers and shows the key of
    another that is let in meanwhile waits no longer.
    """

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._good: OrderedDict[bytes, str] = OrderedDict()
        self._waiting: dict[bytes, dict[Waiter, None]] = {}
        self._shown: dict[Waiter, bytes] = {}

    def met(self, key_id: str, headers: Headers) -> list[Waiter]:
        """Remember the key of a request that was let in; gives who has waited with the same."""
        digest = _digest_of(headers)
        if digest is None:
            return []
        self._good[digest] = key_id
        self._good.move_to_end(digest)
        if len(self._good) > self._most:
            self._good.popitem(last=False)
        waited = list(self._waiting.pop(digest, ()))
        for waiter in waited:
            del self._shown[waiter]
        return waited

    def wait(self, waiter: Waiter, head: bytes) -> None:
        """Note with which key a stranger waits, if its request shows one."""
        digest = _shown_by(head)
        if digest is not None:
            self.leave(waiter)
            self._shown[waiter] = digest
            self._waiting.setdefault(digest, {})[waiter] = None

    def leave(self, waiter: Waiter) -> None:
        """Forget a stranger that waits no more."""
        digest = self._shown.pop(waiter, None)
        if digest is not None:
            same = self._waiting[digest]
            del same[waiter]
            if not same:
                del self._waiting[digest]

    def key_of(self, headers: Headers) -> str | None:
        """The id of the key that a request shows, if it was good here."""
        digest = _digest_of(headers)
        return None if digest is None else self._good.get(digest)

    def knows(self, head: bytes) -> bool:
        """Whether the head of a request shows a key that was good here."""
        digest = _shown_by(head)
        return digest is not None and digest in self._good


def _shown_by(head: bytes) -> bytes | None:
    shown = {name.upper(): value.rstrip() for name, value in _SHOWN.findall(head)}
    return _digest(shown.get(b"KEY-ID"), shown.get(b"SECRET-KEY"))


def _digest_of(headers: Headers) -> bytes | None:
    said = dict(headers)
    return _digest(said.get(b"apca-api-key-id"), said.get(b"apca-api-secret-key"))


def _digest(key_id: bytes | None, secret: bytes | None) -> bytes | None:
    if key_id is None or secret is None:
        return None
    return sha256(key_id + b"\0" + secret).digest()
