"""Deciding alone: commands on a desk in this process, with nothing stored."""

from __future__ import annotations

from asyncio import Future, get_running_loop
from collections.abc import Sequence
from typing import NamedTuple

from application.commands import Reply, encode_command
from application.deciding.handlers import HANDLERS
from application.deciding.step import Step
from application.desk.desk import Desk
from application.requests import Command
from application.writer.request_keys import fingerprint
from domain.events import DomainEvent

BENCH_TIME = 1_767_351_600_000_000


class Decided(NamedTuple):
    """What came of a command."""

    events: Sequence[DomainEvent]
    reply: Reply


class DeskAlone:
    """Decides at once and keeps the commands; also a bus, so that it can be furnished.

    A command follows the last one after some microseconds of the desk's own time.
    """

    def __init__(self, started: int = BENCH_TIME, apart: int = 1) -> None:
        self.desk = Desk()
        self.commands: list[Command] = []
        self._started = started
        self.apart = apart

    def decide(self, command: Command, actor: str = "bench", gateway: str = "bench") -> Decided:
        """Decide the next command."""
        self.commands.append(command)
        return self.decide_only(command, actor, gateway)

    def decide_only(
        self, command: Command, actor: str = "bench", gateway: str = "bench"
    ) -> Decided:
        """Decide the next command and keep nothing of it but the desk."""
        desk = self.desk
        number = desk.command + 1
        at = max(desk.last_at, self._started) + self.apart
        body = fingerprint(encode_command(command))
        step = Step(desk, at, number, actor, gateway, body)
        reply = HANDLERS[type(command)](step, command)
        desk.moved_to(step.position, at, number)
        return Decided(step.events, reply or Reply(desk.position))

    def ask(self, command: Command, actor: str, gateway: str) -> Future[Reply]:
        """Decide at once."""
        decided: Future[Reply] = get_running_loop().create_future()
        decided.set_result(self.decide(command, actor, gateway).reply)
        return decided

    async def send(self, command: Command, actor: str, gateway: str) -> Reply:
        """Decide at once, as a bus does in the end."""
        return self.decide(command, actor, gateway).reply
