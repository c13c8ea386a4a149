"""Seeded random commands of a lively market, and a writer in memory that decides them."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from uuid import UUID

import msgspec

from application.commands import (
    BustTrade,
    CancelAll,
    CancelOrder,
    ChangeInstrument,
    ChargeFee,
    CheckMargins,
    CloseInstrument,
    CorrectTrade,
    Deposit,
    Envelope,
    ExpireOrders,
    HaltInstrument,
    ListInstrument,
    MarkInstrument,
    OpenAccount,
    OpenInstrument,
    PlaceGroup,
    PlaceOrder,
    ReplaceOrder,
    Reply,
    ResumeInstrument,
    SetAccountLimits,
    SetAccountPolicy,
    SetAccountStatus,
    SetCommissionSchedule,
    SetKillSwitch,
    Settle,
    TransferPosition,
    Withdraw,
    encode_command,
)
from application.requests import Command
from application.writer.gathering import Journal
from application.writer.sequencer import Sequencer
from domain.commission import Kind
from domain.events import OrderFilled
from domain.identifiers import Instant
from domain.terms import AccountKind
from infrastructure.log.memory import MemoryLog, MemorySnapshots

BEGIN = 1_763_625_600_000_000
"""2025-11-20T08:00:00Z."""
UNIT = 10**8
WIRE = 10**9
SYMBOLS = ("ALFA", "BETA")
TRAILING = 25
SESSION, VALUE_DATE, LATER = 20251120, 20251121, 20251124
CASH, MARGIN = int(AccountKind.CASH), int(AccountKind.MARGIN)
SCHEDULES: list[tuple[int, tuple[tuple[int, int, int], ...], int, int]] = [
    (int(Kind.NONE), (), 0, 0),
    (int(Kind.PER_SHARE), ((0, 3_500_000, 5_000_000),), 35, 100),
    (int(Kind.BPS), ((0, 1_000, 30_000), (300 * UNIT, -500, 7_777)), 0, 0),
    (int(Kind.BPS), ((0, 25_000, 333_333),), 101, 20),
]
"""Kind, tiers, minimum and cap: free, a share, a part of the value, and one the cap often wins."""


class SteppingClock:
    """A clock that goes on by a few microseconds whenever it is read, and sometimes back."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._at = BEGIN

    def now(self) -> Instant:
        """The next instant."""
        self._at += self._random.choice((0, 3, 1_000, 250_000, -50))
        return self._at


class Flow:
    """Commands that depend on what earlier ones led to; equal seeds give equal flows."""

    def __init__(self, seed: int, log: MemoryLog) -> None:
        self._random = random.Random(seed)
        self._log = log
        self._number = 0
        self.accounts: list[UUID] = []
        self._clients: list[tuple[UUID, str]] = []
        self._orders: list[tuple[UUID, UUID]] = []
        self._stopped: list[UUID | None] = []

    def opening(self) -> Iterator[Command]:
        """Accounts of both kinds and three owners, two instruments in session."""
        for number, kind in enumerate((CASH, MARGIN, CASH, MARGIN)):
            yield OpenAccount(f"account {number}", f"owner {number % 3}", kind)
        for symbol in SYMBOLS:
            yield ListInstrument(
                symbol, symbol, "us_equity", "24/7", 4, WIRE // 100, UNIT,
                reference_price=100 * WIRE,
            )  # fmt: skip
            yield OpenInstrument(symbol, SESSION, VALUE_DATE, BEGIN, BEGIN + 10**12)

    def funding(self) -> Iterator[Command]:
        """What the accounts begin with: much cash, little with credit, and what trades cost."""
        for number, account in enumerate(self.accounts):
            credit, policy = number % 2 == 1, number >= 2
            yield Deposit(account, 10_000_000 if credit or policy else 50_000_000, self._key())
            for symbol in SYMBOLS:
                held = (100 if credit else 2_000) * UNIT
                yield TransferPosition(account, symbol, held, 20_000_000, self._key())
            yield SetCommissionSchedule(account, *SCHEDULES[number])
            if policy:
                yield SetAccountPolicy(account, True)

    def heard(self, command: Command, reply: Reply) -> None:
        """Learn the ids that a reply gives."""
        if isinstance(command, OpenAccount) and reply.result is not None:
            self.accounts.append(UUID(reply.result["account_id"]))
        for order in (reply.order, *reply.legs):
            if order is not None:
                self._orders.append((order.account_id, order.revision_id))
                self._clients.append((order.account_id, order.client_order_id))

    def next(self) -> Command:
        """One more command."""
        if self._stopped and self._random.random() < 0.4:
            return SetKillSwitch(self._stopped.pop(), False, "all is well")
        luck = self._random.random()
        if luck < 0.57:
            return self._place()
        if luck < 0.62:
            return self._place_group()
        if luck < 0.75 and self._clients:
            account, client_order_id = self._random.choice(self._clients[-40:])
            return CancelOrder(account, None, client_order_id, self._key())
        if luck < 0.87 and self._orders:
            return self._replace()
        return self._rare()

    def _key(self) -> str:
        self._number += 1
        return f"k{self._number}"

    def _place(self) -> Command:
        pick = self._random
        kind = pick.choice((1, 2, 2, 2, 2, 2, 3, 4))
        if kind == 3 and self._number % 2:
            kind = TRAILING
        side = pick.choice((1, 2))
        price = (10_000 + pick.randint(-25, 25)) * WIRE // 100
        beyond = (10_000 + pick.randint(1, 40) * (1 if side == 1 else -1)) * WIRE // 100
        time_in_force = pick.choice((0, 1, 1, 3, 4)) if kind <= 2 else pick.choice((0, 1))
        expires_at = 0
        if kind == 2 and pick.random() < 0.1:
            time_in_force, expires_at = 6, self._at() + pick.randint(1, 60_000_000)
        return PlaceOrder(
            pick.choice(self.accounts),
            pick.choice((*SYMBOLS, *SYMBOLS, *SYMBOLS, *SYMBOLS, "NONE")),
            side,
            kind,
            time_in_force,
            pick.randint(1, 30) * UNIT,
            price if kind in (2, 4) else 0,
            beyond if kind in (3, 4) else 0,
            self._key(),
            expires_at,
            kind == 2 and time_in_force in (0, 1) and pick.random() < 0.1,
            pick.choice((1, 2, 3)),
            pick.random() < 0.7,
            0,
            *self._trail(kind),
        )

    def _trail(self, kind: int) -> tuple[int, int]:
        """By a few cents, or by some hundredths of a percent; drawn from nothing but a number."""
        if kind != TRAILING:
            return 0, 0
        away = 1 + self._number % 12
        return (away * WIRE // 100, 0) if self._number % 3 else (0, away * 10)

    def _place_group(self) -> Command:
        """An oco of what is held, a bracket, or an oto: mostly near enough to come to something."""
        pick = self._random
        order_class, side = pick.choice((1, 2, 2, 3)), pick.choice((1, 2, 2))
        exits = side if order_class == 1 else 3 - side
        way = WIRE // 100 * (1 if exits == 2 else -1)
        profit, loss = (pick.randint(5, 40) * way, pick.randint(5, 40) * way)
        only_stop = order_class == 3 and pick.random() < 0.5
        only_profit = order_class == 3 and not only_stop
        limited = not only_profit and pick.random() < 0.5
        kind = 2 if order_class == 1 else pick.choice((1, 2, 2))
        return PlaceGroup(
            pick.choice(self.accounts),
            pick.choice(SYMBOLS),
            order_class,
            side,
            kind,
            pick.choice((0, 1)),
            pick.randint(1, 20) * UNIT,
            (10_000 + pick.randint(-25, 25)) * WIRE // 100 if kind == 2 and order_class != 1 else 0,
            0,
            self._key(),
            0 if only_stop else 100 * WIRE + profit,
            0 if only_profit else 100 * WIRE - loss,
            100 * WIRE - loss - pick.randint(0, 10) * way if limited else 0,
            locate=True,
        )

    def _at(self) -> int:
        return self._log.rows[-1].columns.recorded_at

    def _replace(self) -> Command:
        pick = self._random
        account, order_id = pick.choice(self._orders[-40:])
        client_order_id = self._key() if pick.random() < 0.7 else ""
        return ReplaceOrder(
            account,
            order_id,
            client_order_id,
            client_order_id or self._key(),
            qty=pick.choice((None, pick.randint(1, 30) * UNIT)),
            limit_price=pick.choice((None, (10_000 + pick.randint(-25, 25)) * WIRE // 100)),
            time_in_force=pick.choice((None, None, 1)),
            trail=None if self._number % 4 else (1 + self._number % 12) * WIRE // 100,
        )

    def _rare(self) -> Command:
        pick = self._random
        account, symbol = pick.choice(self.accounts), pick.choice(SYMBOLS)
        price = (10_000 + pick.randint(-30, 30)) * WIRE // 100
        choices: list[Command] = [
            Deposit(account, pick.randint(1, 10_000), self._key()),
            Withdraw(account, pick.randint(1, 10_000_000), self._key()),
            ChargeFee(account, pick.randint(1, 100), self._key()),
            TransferPosition(account, symbol, pick.randint(-5, 5) * UNIT, 500, self._key()),
            CancelAll(account, pick.choice(("", symbol))),
            HaltInstrument(symbol, "news"),
            *[ResumeInstrument(symbol)] * 3,
            CloseInstrument(symbol),
            *[OpenInstrument(symbol, SESSION, VALUE_DATE, BEGIN, BEGIN + 10**12)] * 5,
            MarkInstrument(symbol, price),
            MarkInstrument(symbol, price),
            ExpireOrders(symbol, pick.randint(1, 5)),
            ChangeInstrument(symbol, trigger_rule=pick.choice((1, 2, 3))),
            SetAccountStatus(account, pick.choice((0, 0, 0, 1)), ""),
            SetAccountLimits(account, 0, pick.choice((0, 0, 0, 1))),
            SetAccountPolicy(account, pick.choice((False, True))),
            SetCommissionSchedule(account, *pick.choice(SCHEDULES)),
            CheckMargins(),
            Settle(pick.choice((SESSION, VALUE_DATE, LATER)), pick.randint(1, 5)),
            Settle(VALUE_DATE),
        ]
        if pick.random() < 0.1:
            self._stopped.append(pick.choice((None, account)))
            return SetKillSwitch(self._stopped[-1], True, "a runaway")
        return pick.choice([*choices, *self._undo(price)])

    def _undo(self, price: int) -> list[Command]:
        """Busts and corrections of a recent trade."""
        for row in reversed(self._log.rows[-60:]):
            if row.topic == OrderFilled.TOPIC:
                trade_id = msgspec.msgpack.decode(row.state)[10]
                trade = UUID(bytes=trade_id)
                return [
                    BustTrade(trade, row.position, "error"),
                    CorrectTrade(trade, row.position, price, "error"),
                ]
        return []


class InMemoryVenue:
    """A writer on a log in memory, with a flow of commands."""

    def __init__(self, seed: int, journal: Journal | None = None) -> None:
        self.log = MemoryLog()
        self.snapshots = MemorySnapshots()
        self.said: list[str] = []
        self.writer = Sequencer(
            self.log, self.snapshots, SteppingClock(seed), journal=journal, say=self.said.append
        )
        self.flow = Flow(seed, self.log)
        self.replies: list[Reply] = []

    async def decide(self, command: Command, actor: str = "somebody") -> Reply:
        """One command, answered."""
        answered: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        body = msgspec.Raw(encode_command(command))
        self.writer.submit(Envelope(actor, "test", body), answered.set_result)
        reply = await answered
        self.replies.append(reply)
        self.flow.heard(command, reply)
        return reply

    async def live(self, commands: int) -> None:
        """Open, fund, and let the flow run."""
        running = asyncio.create_task(self.writer.run())
        await self.writer.ready.wait()
        for command in self.flow.opening():
            await self.decide(command)
        for command in self.flow.funding():
            await self.decide(command)
        for _ in range(commands):
            await self.decide(self.flow.next())
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def lived(seed: int, commands: int, journal: Journal | None = None) -> InMemoryVenue:
    """A venue after its flow; equal arguments give equal logs."""
    venue = InMemoryVenue(seed, journal)
    asyncio.run(venue.live(commands))
    assert venue.said == [], venue.said
    return venue
