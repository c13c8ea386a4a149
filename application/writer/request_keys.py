"""Request keys in memory: recent ones whole, older ones as bits that prove most keys new."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from hashlib import blake2b
from uuid import UUID

from application.commands import ENCODER
from application.log.ports import RequestKey
from application.requests import Command
from domain.events import DomainEvent

FINGERPRINT_BYTES = 8
KEPT = 50_000
"""How many recent keys stay whole, some 20 MB; beyond, the oldest go to the filter and the store.
"""


def fingerprint(body: bytes | memoryview) -> bytes:
    """What tells one request body from another."""
    return blake2b(body, digest_size=FINGERPRINT_BYTES).digest()


def is_repeat(command: Command, stored: bytes) -> bool:
    """Whether a command is the one that a stored fingerprint was made of, then or by a program
    that did not know its last fields yet: what these mean when they are not said changes nothing.
    """
    return stored in _fingerprints(command)


def _fingerprints(command: Command) -> Iterator[bytes]:
    """What the request is told by, in its whole length and without the last of its fields that
    have their defaults, one after the other.
    """
    kind = type(command)
    row = [kind.__struct_config__.tag, *(getattr(command, name) for name in kind.__struct_fields__)]
    defaults = list(kind.__struct_defaults__)
    yield fingerprint(ENCODER.encode(row))
    while defaults and row[-1] == defaults.pop():
        del row[-1]
        yield fingerprint(ENCODER.encode(row))


def key_of_event(event: DomainEvent, position: int) -> RequestKey | None:
    """The request key that an event spends, and where the log holds it."""
    if type(event) not in _SPENDING:
        return None
    spent = event.spends()
    return None if spent is None else _new(RequestKey, (*spent, position))


_SPENDING = frozenset(
    one for one in DomainEvent.by_topic.values() if one.spends is not DomainEvent.spends
)
_new = tuple.__new__
PROBES = 4


def _probes(account: int, key: str) -> tuple[int, int]:
    """Where a key is looked for first, and the way from there to the next place.

    By the interpreter's own hash, which nobody outside can foresee; the filter lives no longer than
    the process.
    """
    digest = hash((account, key))
    return digest & 0xFFFF_FFFF, digest >> 32 & 0xFFFF_FFFF | 1


class BloomFilter:
    """A set that may err towards yes, never towards no; 8 bits and 4 probes a key.

    A part that is full is followed by one of four times its size, so that however many keys
    there are, few new ones are taken for old.
    """

    __slots__ = ("_parts", "_room", "count")

    def __init__(self, bits: int = 1 << 25) -> None:
        self._parts = [(bytearray(bits // 8), bits - 1)]
        self._room = bits // 8
        self.count = 0

    def add(self, account: int, key: str) -> None:
        """Put a key in for ever; the account is its id's integer."""
        if not self._room:
            bits = 4 * (self._parts[-1][1] + 1)
            self._parts.append((bytearray(bits // 8), bits - 1))
            self._room = bits // 8
        probe, step = _probes(account, key)
        bits_of, mask = self._parts[-1]
        for _ in range(PROBES):
            bits_of[(probe & mask) >> 3] |= 1 << (probe & 7)
            probe += step
        self._room -= 1
        self.count += 1

    def may_hold(self, account: int, key: str) -> bool:
        """False proves that the key was never put in."""
        first, step = _probes(account, key)
        for bits_of, mask in self._parts:
            probe = first
            for _ in range(PROBES):
                if not bits_of[(probe & mask) >> 3] & (1 << (probe & 7)):
                    break
                probe += step
            else:
                return True
        return False


class RequestKeys:
    """What the writer knows of keys without asking the store.

    While `warming`, the keys of events up to position `warm_up_to` are not all in the filter
    yet, those after `warmed_to` in the store's order, so every key that is not recent must be
    looked up.
    """

    def __init__(self, kept: int = KEPT, *, warm_up_to: int = 0) -> None:
        self._kept = kept
        self.warm_up_to = warm_up_to
        self.warming = warm_up_to > 0
        self.warmed_to: tuple[UUID, str] | None = None
        # By the integer of the account's id: a UUID hashes and compares in Python.
        self._recent: dict[tuple[int, str], tuple[bytes, int]] = {}
        self._in_order: deque[tuple[int, str]] = deque()
        self._older = BloomFilter()

    def __len__(self) -> int:
        return len(self._recent)

    def recent(self, key: tuple[UUID, str]) -> tuple[bytes, int] | None:
        """(fingerprint, position) of a recent key."""
        return self._recent.get((key[0].int, key[1]))

    def needs_look_up(self, key: tuple[UUID, str]) -> bool:
        """Whether only the store can tell that this key is new; asked when it is not recent."""
        if self.warming:
            return True
        return self._older.count > 0 and self._older.may_hold(key[0].int, key[1])

    def add(self, key: tuple[UUID, str], body: bytes, position: int) -> None:
        """Take in a key; the oldest recent one moves to the filter when there are too many."""
        recent = self._recent
        known = len(recent)
        own = (key[0].int, key[1])
        recent[own] = (body, position)
        if len(recent) == known:
            return
        # Not by the dict's own order: finding its first key costs all that were taken out.
        self._in_order.append(own)
        if known >= self._kept:
            oldest = self._in_order.popleft()
            del recent[oldest]
            self._older.add(*oldest)

    def forget_into_filter(self, account_id: UUID, key: str) -> None:
        """Take in a key of the past that only the store keeps whole."""
        self._older.add(account_id.int, key)
