"""Compares passwords with their hashes: off the event loop, a few at a time, never in a hurry."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError
from argon2.profiles import RFC_9106_LOW_MEMORY

Verify = Callable[[bytes, str], bool]

LONGEST_PASSWORD = 1_024

NOBODYS_HASH = (
    "$argon2id$v=19$m=65536,t=3,p=4$VBlQyrMpwY3OUXlMUOnnZg"
    "$7bdh2MH0Er1AHj7MkqPxASdTnzrxsA7uET039aOIymg"
)
"""What a session that is not there is compared with, so that it takes as long as another."""

HASHER = PasswordHasher.from_parameters(RFC_9106_LOW_MEMORY)


class TooManyLogons(Exception):
    """More passwords wait to be compared than may."""


def hash_of(password: str) -> str:
    """An argon2id hash for the file of the sessions."""
    return HASHER.hash(password)


class Passwords:
    """Compares passwords in threads of its own, by `verify`."""

    def __init__(self, at_once: int, waiting: int, verify: Verify | None = None) -> None:
        self._verify = verify or verify_password
        self._threads = ThreadPoolExecutor(at_once, thread_name_prefix="password")
        self._turns = asyncio.Semaphore(at_once)
        self._most = at_once + waiting
        self._present = 0

    async def fits(self, password: bytes, hashed: str, still: Callable[[], bool]) -> bool:
        """Whether a password is the one of a hash. False without looking when nobody may try
        any more once its turn has come. Raises TooManyLogons.
        """
        if self._present >= self._most:
            raise TooManyLogons
        self._present += 1
        try:
            async with self._turns:
                if not still():
                    return False
                loop = asyncio.get_running_loop()
                return await loop.run_in_executor(self._threads, self._verify, password, hashed)
        finally:
            self._present -= 1

    def close(self) -> None:
        """Compare no more."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def verify_password(password: bytes, hashed: str) -> bool:
    """Whether a password is the one of a hash; it takes the time that the hash asks for."""
    try:
        return HASHER.verify(hashed, password[:LONGEST_PASSWORD]) and (
            len(password) <= LONGEST_PASSWORD
        )
    except (Argon2Error, InvalidHashError):
        return False
