"""Carries an attack out, from a process of its own, for as long as it is told to."""

from __future__ import annotations

import asyncio
import base64
import json
import resource
import socket
import struct
import sys
from contextlib import suppress
from time import monotonic
from typing import Any

import uvloop

from bench.driving import until_told
from bench.siege_attacks import HTTP, Attack

_STEP_SECONDS = 0.02
_ANSWER_SECONDS = 0.3
_AGAIN_SECONDS = 0.02
_DROP = struct.pack("ii", 1, 0)


class Assault:
    """An attack on one address."""

    def __init__(self, attack: Attack, port: int, seconds: float) -> None:
        self._attack = attack
        self._port = port
        self._ends = monotonic() + seconds
        self.opened = 0
        self.closed = 0
        self.sent = 0

    async def run(self) -> None:
        """Attack with all connections until the time is over."""
        await asyncio.gather(*(self._again() for _ in range(self._attack.connections)))

    async def _again(self) -> None:
        while monotonic() < self._ends:
            with suppress(OSError, TimeoutError):
                async with asyncio.timeout(self._left()):
                    await self._once()
            await asyncio.sleep(_AGAIN_SECONDS)

    def _left(self) -> float:
        return max(0.0, self._ends - monotonic())

    async def _once(self) -> None:
        """One connection, from its opening to its end."""
        attack, loop = self._attack, asyncio.get_running_loop()
        with socket.socket() as conn:
            conn.setblocking(False)
            if not attack.reads:
                conn.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            await loop.sock_connect(conn, ("127.0.0.1", self._port))
            self.opened += 1
            await loop.sock_sendall(conn, attack.opening)
            if b"Upgrade: websocket" in attack.opening:
                with suppress(TimeoutError):
                    async with asyncio.timeout(_ANSWER_SECONDS):
                        await loop.sock_recv(conn, 4_096)
            if attack.drops:
                conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _DROP)
                return
            reading = asyncio.create_task(self._read(conn)) if attack.reads else None
            try:
                await self._go_on(conn, reading)
            finally:
                if reading is not None:
                    reading.cancel()
                    await asyncio.wait((reading,))

    async def _read(self, conn: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        with suppress(OSError):
            while await loop.sock_recv(conn, 65_536):
                pass
        self.closed += 1

    async def _go_on(self, conn: socket.socket, reading: asyncio.Task[None] | None) -> None:
        """Send again and again at the attack's rate, or wait until it is closed."""
        attack, loop = self._attack, asyncio.get_running_loop()
        if not attack.repeated:
            assert reading is not None
            await reading
            return
        share = attack.bytes_a_second / attack.connections * _STEP_SECONDS
        owed = 0.0
        while reading is None or not reading.done():
            owed += share
            count = int(owed / len(attack.repeated))
            if count:
                owed -= count * len(attack.repeated)
                await loop.sock_sendall(conn, attack.repeated * count)
                self.sent += count * len(attack.repeated)
            await asyncio.sleep(_STEP_SECONDS)


def as_given(attack: Attack) -> dict[str, Any]:
    """An attack as a driver is given it."""
    said = attack._asdict()
    for name in ("opening", "repeated"):
        said[name] = base64.b64encode(said[name]).decode()
    return said


def _attack_of(said: dict[str, Any]) -> Attack:
    for name in ("opening", "repeated"):
        said[name] = base64.b64decode(said[name])
    return Attack(**said)


def main() -> None:
    """Attack when told to."""
    given = json.loads(sys.stdin.readline())
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    attack = _attack_of(given["attack"])
    assert attack.door in given["ports"] or attack.door == HTTP
    until_told()
    assault = Assault(attack, given["ports"][attack.door], given["seconds"])
    uvloop.run(assault.run())
    print(
        json.dumps({"opened": assault.opened, "closed": assault.closed, "sent": assault.sent}),
        flush=True,
    )


if __name__ == "__main__":
    main()
