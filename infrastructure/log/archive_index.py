"""Which aggregates a file of an archive may hold events of: a Bloom filter over their ids."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b

_BITS_EACH = 10
_PROBES = 5
_PROBE_BITS = 25


class StreamIndex:
    """A set of ids that may err towards yes, in one in a hundred, and never towards no."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._bits = 8 * len(data)

    @classmethod
    def of(cls, originators: Iterable[bytes], count: int) -> bytes:
        """The bytes of a set of about so many ids."""
        size = max(64, count * _BITS_EACH // 8 + 1)
        data = bytearray(size)
        for originator in originators:
            for probe in _probes(originator, 8 * size):
                data[probe >> 3] |= 1 << (probe & 7)
        return bytes(data)

    def may_hold(self, originator: bytes) -> bool:
        """False proves that the id was never put in."""
        data = self._data
        return all(
            data[probe >> 3] & (1 << (probe & 7)) for probe in _probes(originator, self._bits)
        )


def _probes(originator: bytes, bits: int) -> list[int]:
    digest = int.from_bytes(blake2b(originator, digest_size=16).digest(), "big")
    mask = (1 << _PROBE_BITS) - 1
    # Each is a fraction of the whole, so that the set may be of any size.
    return [((digest >> _PROBE_BITS * n) & mask) * bits >> _PROBE_BITS for n in range(_PROBES)]
