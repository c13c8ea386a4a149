"""Clients that repeat what was acknowledged, and cancel what ended, while the writer recovers."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import msgspec
from msgspec import structs

from application.commands import (
    CancelOrder,
    Command,
    Deposit,
    Envelope,
    ListInstrument,
    OpenAccount,
    OpenInstrument,
    PlaceGroup,
    PlaceOrder,
    ReplaceOrder,
    Reply,
    TransferPosition,
    Withdraw,
    encode_command,
)
from application.desk.state import dump, state_hash
from application.log.ports import DeskSnapshot, DeskSnapshots, EventLog, Lease
from application.writer.sequencer import Sequencer
from domain.terms import OrderClass, OrderType, Side, TimeInForce
from infrastructure.clock import SystemClock

LOT = 10**8
DOLLAR = 10**9
SYMBOL = "ACME"


@dataclass
class Answered:
    """A request and its first answer; None when it was not asked before."""

    command: Command
    first: Reply | None


@dataclass
class RepeatDriver:
    """A writer, and what its clients were told; `wrong` says of which answers it was not so."""

    log: EventLog
    snapshots: DeskSnapshots
    seed: int
    lease: Lease | None = None
    accounts: list[UUID] = field(default_factory=list)
    answered: list[Answered] = field(default_factory=list)
    ended: list[tuple[UUID, UUID, UUID]] = field(default_factory=list)
    """Account, id and another id of orders that ended: of a revision, or of the group."""
    answers: int = 0
    wrong: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.writer = Sequencer(
            self.log, self.snapshots, SystemClock(), lease=self.lease, say=lambda _: None
        )
        self._running: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Lead."""
        self._running = asyncio.create_task(self.writer.run())
        await self.writer.ready.wait()

    async def stop(self) -> None:
        """Lead no more."""
        assert self._running is not None
        self._running.cancel()
        await asyncio.gather(self._running, return_exceptions=True)

    def submit(self, command: Command) -> asyncio.Future[Reply]:
        """Hand a command to the writer."""
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        body = msgspec.Raw(encode_command(command))
        self.writer.submit(Envelope("tester", "test", body), future.set_result)
        return future

    async def first(self, command: Command, refused: str | None = None) -> Reply:
        """Send a command for the first time; it must be taken, or refused with this code."""
        reply = await asyncio.wait_for(self.submit(command), 30)
        assert _code(reply) == refused, (command, reply)
        self.answered.append(Answered(command, reply))
        return reply

    async def open(self, accounts: int) -> None:
        """An instrument in session; accounts with cash, stock, orders and groups, all
        acknowledged, and most of it ended again.
        """
        for command in (
            ListInstrument(
                SYMBOL, "", "us_equity", "manual", 4, 10**7, LOT, reference_price=100 * DOLLAR
            ),
            OpenInstrument(SYMBOL, 20261120, 20261124, 0, 2**52),
        ):
            assert (await self.submit(command)).refusal is None
        for number in range(accounts):
            opened = await self.submit(OpenAccount(f"trader-{number}", "", 1))
            assert opened.result is not None
            self.accounts.append(UUID(opened.result["account_id"]))
        for account in self.accounts:
            await self._trade(account)

    async def _trade(self, account: UUID) -> None:
        await self.first(Deposit(account, 10**10, "cash"))
        await self.first(Withdraw(account, 100, "out"))
        await self.first(TransferPosition(account, SYMBOL, 10**4 * LOT, 0, "stock"))
        for number in range(4):
            placed = (await self.first(self.order(account, f"o{number}"))).order
            assert placed is not None
            newest = placed.revision_id
            if number % 2:
                terms = ReplaceOrder(account, placed.order_id, "", f"r{number}", 2 * LOT)
                replaced = (await self.first(terms)).order
                assert replaced is not None
                newest = replaced.revision_id
            if number < 3:
                await self.first(CancelOrder(account, newest, "", f"c{number}"))
                again = CancelOrder(account, newest, "", f"again{number}")
                await self.first(again, refused="ORDER_NOT_WORKING")
                self.ended.append((account, placed.order_id, newest))
        off_the_lot = structs.replace(self.order(account, "off"), qty=LOT // 2)
        await self.first(off_the_lot, refused="LOT_VIOLATION")
        for number in range(4):
            parent = (await self.first(self.oco(account, f"g{number}"))).order
            assert parent is not None
            if number < 3:
                # By the group's id, by the parent's.
                named = parent.group_id if number % 2 else parent.order_id
                await self.first(CancelOrder(account, named, "", f"cg{number}"))
                self.ended.append((account, parent.order_id, parent.group_id))

    def order(self, account: UUID, key: str) -> PlaceOrder:
        """An order that rests."""
        return PlaceOrder(
            *(account, SYMBOL, int(Side.BUY), int(OrderType.LIMIT), int(TimeInForce.GTC)),
            qty=LOT,
            limit_price=99 * DOLLAR,
            stop_price=0,
            client_order_id=key,
        )

    def oco(self, account: UUID, key: str) -> PlaceGroup:
        """Exits that rest."""
        return PlaceGroup(
            account,
            SYMBOL,
            int(OrderClass.OCO),
            int(Side.SELL),
            int(OrderType.LIMIT),
            int(TimeInForce.GTC),
            qty=LOT,
            limit_price=0,
            stop_price=0,
            take_profit_price=105 * DOLLAR,
            stop_loss_price=95 * DOLLAR,
            client_order_id=key,
        )

    async def forget(self) -> None:
        """Take a snapshot, so that the next desk knows keys and ended orders by look-ups alone."""
        desk = self.writer.desk
        await self.writer.flush()
        snapshot = DeskSnapshot(desk.position, state_hash(desk), dump(desk))
        await self.snapshots.save(snapshot, desk.last_at)

    async def work(self, stop: asyncio.Event, clients: int = 8) -> None:
        """Repeat and cancel until told to stop; AssertionError when an answer was not so."""
        await asyncio.gather(*[self._ask(number, stop) for number in range(clients)])
        assert not self.wrong, Counter(self.wrong)

    async def _ask(self, client: int, stop: asyncio.Event) -> None:
        chance = random.Random(self.seed * 1_000 + client)
        count = 0
        while not stop.is_set():
            waiting = []
            for _ in range(chance.randint(1, 6)):
                count += 1
                one = self._choose(chance, f"{client}-{count}")
                waiting.append((one, self.submit(one.command)))
            for one, future in waiting:
                self._judge(one, await asyncio.wait_for(future, 60))

    def _choose(self, chance: random.Random, key: str) -> Answered:
        """A repeat, a late cancel, or an order that nobody has seen."""
        dice = chance.random()
        if dice < 0.6:
            return chance.choice(self.answered)
        if dice < 0.9:
            account, *ids = chance.choice(self.ended)
            return Answered(CancelOrder(account, chance.choice(ids), "", f"late-{key}"), None)
        return Answered(self.order(chance.choice(self.accounts), f"new-{key}"), None)

    def _judge(self, one: Answered, reply: Reply) -> None:
        self.answers += 1
        kind = type(one.command).__name__
        code = _code(reply)
        if one.first is None:
            wanted = "ORDER_NOT_WORKING" if kind == "CancelOrder" else None
            if code != wanted:
                self.wrong.append(f"{kind}: {code}")
        elif not reply.duplicate:
            self.wrong.append(f"repeated {kind}: {code or 'done again'}")
        elif code != _repeated(one.first, one.command):
            self.wrong.append(f"repeated {kind}: {code}")
        elif _told(reply) != _told(one.first):
            self.wrong.append(f"repeated {kind}: told otherwise")


def _code(reply: Reply) -> str | None:
    return None if reply.refusal is None else reply.refusal.code


def _repeated(first: Reply, command: Command) -> str | None:
    """The code that a repeat is answered with: an order that was refused has spent its id."""
    code = _code(first)
    return "CLIENT_ORDER_ID_SPENT" if code and isinstance(command, PlaceOrder) else code


def _told(reply: Reply) -> tuple[Any, ...]:
    """What of an answer is the same for ever: which order it is about, what was done."""
    return (reply.order and reply.order.order_id, reply.result)
