"""Whatever happens to connection, gateway and store: every report once, no number twice."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from api.fix.ports import (
    Body,
    Link,
    Numbered,
    Numbers,
    Received,
    Report,
    SessionId,
    SessionRules,
    Source,
)
from api.fix.session.memory import MemorySessionStore
from api.fix.session.session import Session
from tests.fix_session import SESSION, SetTimes, written
from tests.fix_talk import MemoryLine
from tests.model.fix_engine import Engine

ACTIONS = (
    "happens",
    "happens",
    "read",
    "read",
    "away",
    "crash",
    "order",
    "test",
    "read",
    "lose",
    "crash",
    "away",
    "back",
    "reset",
    "reset within",
    "time",
    "ask",
    "logout",
    "stop",
    "slow",
)


class Store(MemorySessionStore):
    """A store that may be away: what is saved then is done later, or perhaps, after a crash."""

    def __init__(self) -> None:
        super().__init__()
        self._away = False
        self._waiting: list[tuple[Callable[[], Any], asyncio.Future[Any]]] = []

    async def _do(self, work: Callable[[], Any]) -> Any:
        if self._away:
            done = asyncio.get_running_loop().create_future()
            self._waiting.append((work, done))
            return await done
        return await work()

    def leave(self) -> None:
        """Be away."""
        self._away = True

    async def come_back(self) -> None:
        """Do what was asked for meanwhile."""
        self._away = False
        waiting, self._waiting = self._waiting, []
        for work, done in waiting:
            result = await work()
            if not done.done():
                done.set_result(result)

    async def crash(self, kept: int) -> None:
        """Lose whoever asked; some of what was under way is done all the same."""
        self._away = False
        waiting, self._waiting = self._waiting, []
        for work, _ in waiting[:kept]:
            await work()

    async def open(self, session_id: SessionId) -> Numbers:
        return await self._do(lambda: MemorySessionStore.open(self, session_id))

    async def save(
        self, session_id: SessionId, numbers: Numbers, sent: Sequence[Numbered] = ()
    ) -> None:
        await self._do(lambda: MemorySessionStore.save(self, session_id, numbers, sent))

    async def sent(self, session_id: SessionId, first: int, last: int) -> Sequence[Numbered]:
        return await self._do(lambda: MemorySessionStore.sent(self, session_id, first, last))

    async def reset(self, session_id: SessionId, numbers: Numbers) -> None:
        await self._do(lambda: MemorySessionStore.reset(self, session_id, numbers))

    async def uncertain(self, session_id: SessionId) -> Sequence[Source]:
        return await self._do(lambda: MemorySessionStore.uncertain(self, session_id))

    async def settled(self, session_id: SessionId) -> None:
        await self._do(lambda: MemorySessionStore.settled(self, session_id))


class Log:
    """What happened, told to a session that is there; an order is taken once."""

    def __init__(self) -> None:
        self.events: list[Body] = []
        self.orders: list[bytes] = []
        self._link: Link | None = None
        self._told = 0
        self._teller: asyncio.Task[None] | None = None

    async def logged_on(self, link: Link, told: int, uncertain: Sequence[Source]) -> None:
        self._link, self._told = link, told
        if uncertain:
            bodies = await self.render(link.session_id, uncertain)
            again = [Report(*one) for one in zip(uncertain, bodies, strict=True)]
            await link.deliver(again, told, resent=True)
        self.tell()

    def happen(self) -> None:
        self.events.append(Body(b"8", ((11, b"E%d" % len(self.events)),)))
        self.tell()

    def tell(self) -> None:
        if self._link is None:
            return
        owed = [
            Report(Source(place), body)
            for place, body in enumerate(self.events, 1)
            if place > self._told
        ]
        self._told = len(self.events)
        task = asyncio.ensure_future(self._link.deliver(owed, self._told))
        task.add_done_callback(lambda done: done.cancelled() or done.exception())

    def received(self, link: Link, message: Received) -> None:
        name = message.get(11)
        assert name is not None
        if name not in self.orders:
            self.orders.append(name)
            self.happen()

    def over_rate(self, link: Link, message: Received) -> None:
        raise AssertionError

    def undecided(self, link: Link) -> int:
        return 0

    async def logged_off(self, link: Link) -> None:
        self._link = None

    async def render(self, session_id: SessionId, sources: Sequence[Source]) -> Sequence[Body]:
        return [self.events[source.position - 1] for source in sources]


class World:
    """A gateway, a client, and what lies between them."""

    def __init__(self) -> None:
        self.times = SetTimes()
        self.store = Store()
        self.log = Log()
        self.engine = Engine(lambda text, number: written(text, number, self.times))
        self.line: MemoryLine | None = None
        self.session: Session | None = None
        self._ending: asyncio.Task[None] | None = None
        self._logon: asyncio.Task[None] | None = None

    async def settled(self) -> None:
        for _ in range(25):
            await asyncio.sleep(0)

    async def connect(self, *, reset: bool = False) -> None:
        """Log on where nobody is, and the last session has ended."""
        if self.line is not None or (self._ending is not None and not self._ending.done()):
            return
        self.line = line = MemoryLine()
        logon = self.engine.logon(reset=reset)

        async def begin() -> None:
            numbers = await self.store.open(SESSION)
            session = Session(
                SessionRules(SESSION),
                numbers,
                self.store,
                line,
                self.times,
                self.log,
                lambda message: None,
            )
            if self.line is line:
                self.session = session
                await session.begin(logon)

        self._logon = asyncio.create_task(begin())
        await self.settled()

    async def read(self, pieces: int = 1_000_000) -> None:
        """Have the client read what was written, and the gateway what it says to that."""
        for _ in range(20):
            await self.settled()
            line = self.line
            if line is None:
                return
            line.fast()
            if self.session is not None:
                self.session.outgoing.unblocked()
                await self.settled()
            some, line.written = line.written[:pieces], line.written[pieces:]
            said = self.engine.read(b"".join(some))
            if self.session is not None and said:
                self.session.receive(said)
            await self.settled()
            if line.closed and not line.written:
                await self.lose()
            if not some and not said:
                return

    async def lose(self) -> None:
        """Lose the connection, and what was under way on it."""
        if self.line is None:
            return
        self.line.fast()
        self.line = None
        self.engine.disconnected()
        session, self.session = self.session, None
        logon, self._logon = self._logon, None

        async def end() -> None:
            if logon is not None:
                await asyncio.wait((logon,))
            if session is not None:
                await session.over()

        self._ending = asyncio.create_task(end())
        await self.settled()

    async def crash(self, kept: int) -> None:
        """Kill the gateway: it does nothing more, and its store has what it had."""
        if self.session is not None:
            self.session.outgoing.end()
        self.line, self.session, self._ending = None, None, None
        self.engine.disconnected()
        self.log._link = None
        await self.store.crash(kept)
        await self.settled()

    async def act(self, action: str, amount: int) -> None:
        """Let one thing happen."""
        match action:
            case "happens":
                for _ in range(amount):
                    self.log.happen()
            case "order" | "test" | "ask" | "logout" | "reset within":
                said = self.engine.says(action, amount)
                if self.session is not None and said:
                    self.session.receive(said)
            case "read":
                await self.read(amount)
            case "lose":
                await self.lose()
            case "crash":
                await self.crash(amount % 3)
            case "slow" if self.line is not None:
                self.line.slow()
            case "away":
                self.store.leave()
            case "back":
                await self.store.come_back()
            case "reset":
                await self.lose()
                await self.connect(reset=True)
            case "stop" if self.session is not None:
                self.session.log_out("closing time")
            case "time":
                self.times.forward(7 * amount)
                if self.session is not None:
                    self.session.tick()
        await self.settled()
        await self.connect()

    async def come_to_rest(self) -> None:
        """Let everything work for a while."""
        for _ in range(6):
            await self.store.come_back()
            await self.connect()
            await self.read()
            await self.act("time", 1)


async def play(actions: Sequence[tuple[str, int]]) -> World:
    """Let things happen, and then everything work."""
    world = World()
    await world.store.open(SESSION)
    await world.connect()
    for action, amount in actions:
        await world.act(action, amount)
    await world.come_to_rest()
    return world


@settings(max_examples=200)
@given(st.lists(st.tuples(st.sampled_from(ACTIONS), st.integers(1, 5)), max_size=40))
def test_every_report_arrives_and_no_number_has_two_contents(
    actions: list[tuple[str, int]],
) -> None:
    """Connections are lost with what was on them, the gateway is killed, the store is away, numbers
    are begun anew: the client's engine goes on by itself, has every report in order, and again
    only what says PossResend; every order it sent was taken once.
    """
    world = asyncio.run(play(actions))
    engine = world.engine

    names = [body.fields[0][1] for body in world.log.events]
    assert [] == engine.wrong
    assert set(names) == {name for name, _ in engine.reports}
    first = [name for name, again in engine.reports if not again]
    assert sorted(set(first), key=names.index) == first
    if not engine.resets:
        assert names == first
        assert len(names) == len(engine.reports)
        assert sorted(engine.orders) == sorted(world.log.orders)
    assert len(set(world.log.orders)) == len(world.log.orders)
