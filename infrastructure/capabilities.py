"""Gives up what root may do beyond any other user, but for what a gateway of root's needs."""

from __future__ import annotations

import ctypes
import os
import struct
import sys
from collections.abc import Iterable

PASS_BY_MODES, LISTEN_BELOW_1024 = 1, 10
"""CAP_DAC_OVERRIDE, as the socket of a server that root runs is another user's; and
CAP_NET_BIND_SERVICE.
"""
_LAST = 63
_DROP_BOUND = 24
_VERSION_3 = 0x20080522


def keep_capabilities(kept: Iterable[int] = (PASS_BY_MODES, LISTEN_BELOW_1024)) -> bool:
    """Have this thread, those that it starts and every program of theirs keep these capabilities of
    root's at most; false where that cannot be had, and of a user who is not root.

    What is given up loads modules into the kernel, reads its memory, mounts, traces, changes owners
    and users.
    """
    if sys.platform != "linux" or os.geteuid() != 0:
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    # A container may not have given all of them.
    bits = sum(1 << one for one in kept) & _permitted()
    for one in range(_LAST + 1):
        if not bits >> one & 1:
            # Those that this kernel does not know, or this container never had, are no loss.
            libc.prctl(_DROP_BOUND, one, 0, 0, 0)
    low, high = bits & 0xFFFFFFFF, bits >> 32
    header = ctypes.create_string_buffer(struct.pack("=Ii", _VERSION_3, 0))
    data = ctypes.create_string_buffer(struct.pack("=6I", low, low, 0, high, high, 0))
    return bool(libc.capset(header, data) == 0)


def _permitted() -> int:
    with open("/proc/self/status", encoding="ascii", errors="replace") as status:
        return next(int(line.split()[1], 16) for line in status if line.startswith("CapPrm:"))
