"""Sends a plan to the venue, many commands in flight and all in order, on the recording's clock."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from uuid import UUID

import msgspec

from application.commands import (
    CancelOrder,
    Deposit,
    Envelope,
    HaltInstrument,
    ListInstrument,
    OpenAccount,
    OpenInstrument,
    PlaceOrder,
    Refusal,
    ReplaceOrder,
    Reply,
    ResumeInstrument,
    TransferPosition,
    encode_command,
)
from application.log.ports import EventLog
from application.rehearsal.recorded_day.foresight import LookAhead
from application.rehearsal.recorded_day.judge import Judge, Score
from application.rehearsal.recorded_day.lobster import Recording
from application.rehearsal.recorded_day.plan import Planner
from application.rehearsal.recorded_day.steps import (
    Cancel,
    Cut,
    Halt,
    Moment,
    Place,
    Resume,
    Step,
    Sweep,
)
from application.requests import Command
from domain.events import DomainEvent
from domain.identifiers import Instant
from domain.money import QTY_UNIT, SHARE_PRICE_SCALE, WIRE_PRICE_SCALE
from domain.risk import MAX_NOTIONAL
from domain.terms import AccountKind, OrderType, TimeInForce

Submit = Callable[[Envelope, Callable[[Reply], object]], None]
Pace = Callable[[int], Awaitable[None]]
Progress = Callable[[Score], object]

GATEWAY = "replay"
IN_FLIGHT = 2_000
"""Commands that may wait for their commit; the writer groups what has gathered."""
TURN = 100
"""Commands sent before the writer gets a turn to commit."""
PAGE = 5_000
COLLAR_BPS = 9_999
SHARES = 500_000_000
"""What each account is given to sell."""
CLOSE_SECONDS = 16 * 3_600

_WIRE_PRICE = 10 ** (WIRE_PRICE_SCALE - SHARE_PRICE_SCALE)


class ReplayFailed(Exception):
    """The venue refused what a replay cannot go on without."""


class RecordedClock:
    """The clock of the venue under replay: the time of the message at hand (`ports.Clock`)."""

    def __init__(self, at: Instant) -> None:
        self.at = at

    def now(self) -> Instant:
        """The instant of the recording."""
        return self.at


class _Sent:
    """A step on its way; a step that is no command needs no answer."""

    __slots__ = ("answered", "position", "refusal", "step")

    def __init__(self, step: Step, answered: bool) -> None:
        self.step = step
        self.answered = answered
        self.position = 0
        self.refusal: Refusal | None = None


class MarketReplay:
    """One recording through one venue."""

    def __init__(
        self,
        recording: Recording,
        submit: Submit,
        log: EventLog,
        clock: RecordedClock,
        *,
        look_ahead: LookAhead = LookAhead.UNANNOUNCED,
        pace: Pace | None = None,
        progress: Progress | None = None,
    ) -> None:
        self._recording = recording
        self._planner = Planner(recording, look_ahead)
        self._submit = submit
        self._log = log
        self._clock = clock
        self._pace = pace
        self._progress = progress
        self._judge = Judge()
        self._sent: deque[_Sent] = deque()
        self._in_flight = 0
        self._since_turn = 0
        self._answers = asyncio.Event()
        self._order_ids: dict[str, UUID] = {}
        self._cuts = 0
        self._read_to = 0
        self._events: deque[tuple[int, DomainEvent]] = deque()
        self._maker = self._aggressor = self._repairs = UUID(int=0)
        self.commands = 0

    @property
    def score(self) -> Score:
        """How the comparison stands."""
        return self._judge.score

    async def run(self) -> Score:
        """Prepare the venue, send everything, and compare all of it."""
        await self._prepare()
        # Someone may watch a replay that is held back; a fast one is judged in long stretches.
        judged_after = 2 * IN_FLIGHT if self._pace is None else TURN
        for step in self._planner.steps():
            if isinstance(step, Moment):
                self._clock.at = self._recording.instant(step.time_ns)
                if self._pace is not None:
                    await self._pace(step.time_ns)
            await self._send(step)
            if len(self._sent) >= judged_after:
                await self._judge_answered()
        while self._in_flight:
            await self._next_answer()
        await self._judge_answered()
        return self.score

    # Before the first message

    async def _prepare(self) -> None:
        """Open accounts and an instrument for the day, with cash and shares to trade."""
        recording = self._recording
        symbol = recording.symbol
        self._clock.at = recording.instant(recording.messages[0].time_ns)
        accounts = []
        for name in ("maker", "aggressor", "repairs"):
            opened = await self._ask(OpenAccount(name, "", int(AccountKind.CASH)))
            assert opened.result is not None
            accounts.append(UUID(opened.result["account_id"]))
        self._maker, self._aggressor, self._repairs = accounts
        await self._ask(
            ListInstrument(
                symbol,
                symbol,
                "us_equity",
                "24/7",
                SHARE_PRICE_SCALE,
                recording.tick() * _WIRE_PRICE,
                QTY_UNIT,
                collar_bps=COLLAR_BPS,
            )
        )
        day = recording.day.year * 10_000 + recording.day.month * 100 + recording.day.day
        closes = recording.instant(CLOSE_SECONDS * 10**9)
        await self._ask(OpenInstrument(symbol, day, day, self._clock.at, closes))
        for account in accounts:
            await self._ask(Deposit(account, MAX_NOTIONAL, "cash"))
            await self._ask(TransferPosition(account, symbol, SHARES * QTY_UNIT, 0, "shares"))

    async def _ask(self, command: Command) -> Reply:
        """Send one command and wait for its answer, which must not be a refusal."""
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._submit(_envelope(command), future.set_result)
        reply = await future
        if reply.refusal is not None:
            raise ReplayFailed(f"{type(command).__name__}: {reply.refusal.message}")
        self._read_to = max(self._read_to, reply.position)
        return reply

    # Sending

    async def _send(self, step: Step) -> None:
        if isinstance(step, Cut):
            while step.key not in self._order_ids and self._in_flight:
                await self._next_answer()
            if step.key not in self._order_ids:
                raise ReplayFailed(f"the venue has no order {step.key} that could be reduced")
        command = self._command(step)
        sent = _Sent(step, answered=command is None)
        self._sent.append(sent)
        if command is None:
            return
        self.commands += 1
        self._in_flight += 1
        self._submit(_envelope(command), lambda reply: self._answered(sent, reply))
        self._since_turn += 1
        if self._since_turn >= TURN:
            self._since_turn = 0
            await asyncio.sleep(0)
        while self._in_flight >= IN_FLIGHT:
            await self._next_answer()

    def _command(self, step: Step) -> Command | None:
        symbol = self._recording.symbol
        match step:
            case Place(key, order_id, side, price, size):
                account = self._maker if order_id else self._repairs
                return _limit(account, symbol, side, TimeInForce.DAY, size, price, key)
            case Sweep(key, side, price, size):
                return _limit(self._aggressor, symbol, side, TimeInForce.IOC, size, price, key)
            case Cut(key, order_id, total):
                self._cuts += 1
                request = f"r{self._cuts}"
                account = self._maker if order_id else self._repairs
                return ReplaceOrder(
                    account, self._order_ids[key], "", request, qty=total * QTY_UNIT
                )
            case Cancel(key, order_id):
                account = self._maker if order_id else self._repairs
                return CancelOrder(account, None, key, f"c{key}")
            case Halt():
                return HaltInstrument(symbol, "recorded halt")
            case Resume():
                return ResumeInstrument(symbol)
        return None

    def _answered(self, sent: _Sent, reply: Reply) -> None:
        sent.answered = True
        sent.position = reply.position
        sent.refusal = reply.refusal
        if isinstance(sent.step, Place) and reply.order is not None:
            self._order_ids[sent.step.key] = reply.order.order_id
        elif isinstance(sent.step, Cancel):
            self._order_ids.pop(sent.step.key, None)
        self._in_flight -= 1
        self._answers.set()

    async def _next_answer(self) -> None:
        self._answers.clear()
        await self._answers.wait()

    # Comparing

    async def _judge_answered(self) -> None:
        """Score the steps whose answers are here, by the events that the log has of them."""
        while self._sent and self._sent[0].answered:
            sent = self._sent.popleft()
            events: list[DomainEvent] = []
            if sent.position > self._read_to:
                await self._read(sent.position)
                while self._events and self._events[0][0] <= sent.position:
                    position, event = self._events.popleft()
                    self._read_to = position
                    events.append(event)
            refusal = None if sent.refusal is None else sent.refusal.code
            self._judge.judge(sent.step, events, refusal)
        if self._progress is not None:
            self._progress(self.score)

    async def _read(self, position: int) -> None:
        """Have the committed events up to a position at hand."""
        while not self._events or self._events[-1][0] < position:
            after = self._events[-1][0] if self._events else self._read_to
            page = await self._log.read(after, PAGE)
            if not page:
                raise ReplayFailed(f"position {position} was answered, but is not in the log")
            self._events.extend(page)


def _envelope(command: Command) -> Envelope:
    return Envelope(GATEWAY, GATEWAY, msgspec.Raw(encode_command(command)))


def _limit(
    account: UUID, symbol: str, side: int, rests: TimeInForce, size: int, price: int, key: str
) -> PlaceOrder:
    return PlaceOrder(
        account_id=account,
        symbol=symbol,
        side=int(side),
        order_type=int(OrderType.LIMIT),
        time_in_force=int(rests),
        qty=size * QTY_UNIT,
        limit_price=price * _WIRE_PRICE,
        stop_price=0,
        client_order_id=key,
    )
