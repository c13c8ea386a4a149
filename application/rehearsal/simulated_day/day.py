"""A whole trading day: opening auction, trading, halts, undone trades, close, settlement.

Commands go out in rounds; what the next round asks for depends only on the seed and on the
committed events of the rounds before, so that a day can be lived again exactly.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import msgspec

from application.commands import (
    CheckMargins,
    CloseDay,
    CloseInstrument,
    Envelope,
    ExpireOrders,
    HaltInstrument,
    OpenAccount,
    Reply,
    ResumeInstrument,
    SetCommissionSchedule,
    Settle,
    encode_command,
)
from application.log.ports import EventLog
from application.rehearsal.simulated_day import cast
from application.rehearsal.simulated_day.cast import LISTINGS, ROLES
from application.rehearsal.simulated_day.flow import Flow
from application.rehearsal.simulated_day.seen import Seen
from application.requests import Command
from domain.identifiers import Instant

Submit = Callable[[Envelope, Callable[[Reply], object]], None]
Progress = Callable[[int], object]

WHO = "simulation"
ROUND = 100
"""Commands under way together: each is sent before its answer to the one before is known."""
AUCTION = 300
UNDO_EVERY = 150
"""So many trades bring a bust, and as many a correction."""
UNDONE_LATE = 2
"""Busts, and corrections, of trades that have settled."""
_PAGE = 5_000
_BROKEN = frozenset({"COMMAND_QUARANTINED", "QUEUE_FULL", "VENUE_UNAVAILABLE"})
_MOST_ROUNDS_WITHOUT_TRADE = 50


class SimulationFailed(Exception):
    """The venue did what no day can go on with."""


class DayClock:
    """The clock of the simulated venue: a value that the day sets (`ports.Clock`)."""

    def __init__(self) -> None:
        self.at: Instant = cast.OPENS_AT - 3_600_000_000

    def now(self) -> Instant:
        """The instant of the simulation."""
        return self.at


class Day:
    """One day through one venue; `trade` it first, then `settle` it."""

    def __init__(
        self,
        submit: Submit,
        log: EventLog,
        clock: DayClock,
        *,
        trades: int,
        seed: int,
        progress: Progress | None = None,
    ) -> None:
        self._submit = submit
        self._log = log
        self._clock = clock
        self._target = trades
        self._progress = progress
        self.seen = Seen()
        self._flow = Flow(seed, self.seen)
        # A quarter of the day for every quarter of the trades, at four commands a trade.
        self._tick = max(1, (cast.CLOSES_AT - cast.OPENS_AT) // (4 * trades + 10_000))
        self.commands = 0

    async def trade(self) -> None:
        """Open accounts, gather an auction, trade until enough is done, close and expire."""
        await self._all([OpenAccount(each.name, each.owner, int(each.kind)) for each in ROLES])
        await self._all(cast.listings())
        await self._all(cast.funding(self.seen))
        for _ in range(AUCTION // ROUND):
            await self._round([self._flow.auction_order() for _ in range(ROUND)])
        self._clock.at = cast.OPENS_AT
        await self._all([*cast.openings(), *self._flow.marks()])
        await self._continuous()
        self._clock.at = max(self._clock.at, cast.CLOSES_AT)
        await self._all([CloseInstrument(each.symbol) for each in LISTINGS])
        await self._expire()
        await self._close_day()
        await self._all([*self._flow.marks(), CheckMargins()])

    async def settle(self) -> None:
        """Settle day by day until nothing remains; then undo trades that have settled, again."""
        for run_date in cast.RUN_DATES:
            await self._settle_on(run_date)
        for _ in range(UNDONE_LATE):
            await self._undo()
        await self._settle_on(cast.RUN_DATES[-1] + 1)
        if self.seen.obligations:
            raise SimulationFailed(f"{len(self.seen.obligations)} obligations cannot be settled")

    # The day

    async def _continuous(self) -> None:
        """Send rounds of orders; at fixed shares of the day halts, new terms, undone trades."""
        seen, target = self.seen, self._target
        events = self._midday()
        undone = idle = 0
        while (done := seen.counts["trades"]) < target:
            if self._progress is not None:
                self._progress(done)
            while events and done >= events[0][0]:
                await self._midday_event(*events.pop(0)[1:])
            if done // UNDO_EVERY > undone:
                undone = done // UNDO_EVERY
                await self._undo()
            size = min(ROUND, max(10, target - done))
            await self._round([self._flow.next() for _ in range(size)])
            idle = idle + 1 if seen.counts["trades"] == done else 0
            if idle > _MOST_ROUNDS_WITHOUT_TRADE:
                raise SimulationFailed(f"nothing trades any more after {done} trades")
        if self._progress is not None:
            self._progress(seen.counts["trades"])

    def _midday(self) -> list[tuple[int, str, int]]:
        """What happens once so many trades are done: what, and to which instrument."""
        target = self._target
        halts = [(target * (20 + 13 * n) // 100, "halt", n) for n in range(len(LISTINGS))]
        return sorted([*halts, (target // 2, "schedule", 0), (target // 4, "expire", 0)])

    async def _midday_event(self, what: str, number: int) -> None:
        if what == "expire":
            await self._expire()
        elif what == "schedule":
            account = self.seen.account_named[ROLES[1].name]
            await self._all([SetCommissionSchedule(account, *cast.NEW_SCHEDULE)])
        else:
            symbol = LISTINGS[number].symbol
            await self._all([HaltInstrument(symbol, "news pending")])
            await self._round([self._flow.next() for _ in range(ROUND)])
            await self._all([ResumeInstrument(symbol)])

    async def _undo(self) -> None:
        """Bust one trade and correct one, each alone: the writer looks them up."""
        for choose in (self._flow.bust, self._flow.correct):
            command = choose()
            if command is not None:
                await self._all([command])

    async def _expire(self) -> None:
        """Expire what is due, instrument by instrument, until nothing is."""
        for each in LISTINGS:
            remaining = True
            while remaining:
                (reply,) = await self._all([ExpireOrders(each.symbol)])
                remaining = bool(reply.result and reply.result["remaining"])

    async def _close_day(self) -> None:
        """Mark what everybody holds and close everybody's day."""
        everyone = tuple(self.seen.account_named.values())
        remaining = True
        while remaining:
            (reply,) = await self._all([CloseDay(self._clock.at, everyone)])
            remaining = bool(reply.result and reply.result["remaining"])

    async def _settle_on(self, run_date: int) -> None:
        """Run a date's settlement in the evening of that day until it has tried all that is due."""
        days = run_date - cast.SESSION_DATE
        self._clock.at = max(self._clock.at, cast.CLOSES_AT + days * cast.DAY)
        counts = self.seen.counts
        before = -1
        while counts["settled"] + counts["failed"] != before:
            before = counts["settled"] + counts["failed"]
            await self._all([Settle(run_date)])

    # Sending and hearing

    async def _all(self, commands: Sequence[Command]) -> list[Reply]:
        """Send commands that may not be refused."""
        replies = await self._round(commands)
        for command, reply in zip(commands, replies, strict=True):
            if reply.refusal is not None:
                name = type(command).__name__
                raise SimulationFailed(f"{name}: {reply.refusal.code}: {reply.refusal.message}")
        return replies

    async def _round(self, commands: Sequence[Command]) -> list[Reply]:
        """Send a round, wait until all of it is committed, and read what it led to."""
        waiting = []
        for command in commands:
            self._clock.at += self._tick
            self._flow.at = self._clock.at
            self.commands += 1
            answer: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
            body = msgspec.Raw(encode_command(command))
            self._submit(Envelope(WHO, WHO, body), answer.set_result)
            waiting.append(answer)
        replies = await asyncio.gather(*waiting)
        for command, reply in zip(commands, replies, strict=True):
            if reply.refusal is not None and reply.refusal.code in _BROKEN:
                name = type(command).__name__
                raise SimulationFailed(f"{name}: {reply.refusal.code}: {reply.refusal.message}")
        while page := await self._log.read(self.seen.position, _PAGE):
            self.seen.take(page)
        return replies
