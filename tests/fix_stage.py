"""An acceptor on a real socket with sessions, a store that may be away, and set clocks."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from typing import Any, NamedTuple

from api.fix.ports import Numbered, Numbers, Received, SessionId, SessionRules
from api.fix.session.acceptor import Acceptor, AcceptorLimits
from api.fix.session.hands import Fault
from api.fix.session.memory import MemorySessionStore
from tests.fix_session import SESSION, Client, EchoApplication, OpenDoor, SetTimes


class Wrong(NamedTuple):
    """What validation finds."""

    reason: int
    tag: int
    text: str
    kind: str = "reject"


def validate(message: Received, toggles: object) -> Fault | None:
    """Miss HeartBtInt in a Logon, and nothing else."""
    if message.msg_type == b"A" and message.get(108) is None:
        return Wrong(1, 108, "Required tag missing")
    return None


class AwayStore(MemorySessionStore):
    """A store that may be away: then whoever asks it waits."""

    def __init__(self) -> None:
        super().__init__()
        self.there = asyncio.Event()
        self.there.set()
        self.saves: list[tuple[Numbers, int]] = []

    async def save(
        self, session_id: SessionId, numbers: Numbers, sent: Sequence[Numbered] = ()
    ) -> None:
        """Keep where a session stands, when the store is there."""
        await self.there.wait()
        self.saves.append((numbers, len(sent)))
        await super().save(session_id, numbers, sent)


class Stage:
    """An acceptor with what is behind it, and clients that are closed in the end."""

    def __init__(self, limits: AcceptorLimits, rules: SessionRules | None = None) -> None:
        self.times = SetTimes()
        self.store = AwayStore()
        self.application = EchoApplication()
        self.door = OpenDoor({SESSION: rules or SessionRules(SESSION)})
        self.acceptor = Acceptor(
            self.door,
            self.store,
            self.application,
            validate=validate,
            times=self.times,
            limits=limits,
        )
        self.clients: list[Client] = []
        self.port = 0

    async def client(self, session_id: SessionId = SESSION) -> Client:
        """A client that is connected."""
        client = Client(self.times, session_id)
        await client.connect(self.port)
        self.clients.append(client)
        return client

    async def after(self, seconds: float) -> None:
        """Let time pass for the sessions."""
        await self.settled()
        self.times.forward(seconds)
        self.acceptor.tick()

    async def settled(self) -> None:
        """Let what is under way come to rest."""
        for _ in range(20):
            await asyncio.sleep(0)
        await asyncio.sleep(0.01)

    async def gone(self, session_id: SessionId = SESSION) -> None:
        """Return when nobody has the session."""
        while session_id in self.acceptor.sessions():
            await asyncio.sleep(0.001)


@contextlib.asynccontextmanager
async def stage(
    rules: SessionRules | None = None, limits: AcceptorLimits | None = None
) -> AsyncIterator[Stage]:
    """An acceptor that listens, and nothing of it left afterwards."""
    made = Stage(limits or AcceptorLimits(tick_seconds=0), rules)
    made.port = await made.acceptor.listen("127.0.0.1", 0)
    try:
        yield made
    finally:
        for client in made.clients:
            await client.close()
        made.store.there.set()
        await made.acceptor.stop()


def run(scene: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Play a scene to its end."""
    asyncio.run(asyncio.wait_for(scene(), 30))
