"""What gathers between arrival and commit: commands, their events, and who waits for answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol
from uuid import UUID

import msgspec

from application.commands import Envelope, Refusal, Reply
from application.desk.desk import Desk
from application.log.ports import BesideRow, RequestKey
from application.requests import Command
from application.writer.request_keys import RequestKeys
from domain.errors import InvalidField, Rejection
from domain.events import DomainEvent
from domain.identifiers import Instant

Answer = Callable[[Reply], object]


class Journal(Protocol):
    """Where numbered commands are written, so that a run can be decided again."""

    def begin(self, number: int) -> None:
        """Go on after a command; whatever was noted beyond it is void."""
        ...

    def write(self, number: int, at: Instant, envelope: Envelope) -> None:
        """Note one command that is about to be decided."""
        ...

    def flush(self) -> None:
        """Let nothing that was noted be lost with this process."""
        ...


class Pending:
    """One command from arrival to answer.

    `arrived` is when, in elapsed nanoseconds, and `counted` whether the account's order rate
    has judged it, which is done once, however often the command is admitted.
    """

    __slots__ = (
        "answer",
        "arrived",
        "body",
        "command",
        "correlation_id",
        "counted",
        "envelope",
        "key",
        "key_known_to",
        "reply",
        "suspected",
        "target_known_to",
    )

    def __init__(self, envelope: Envelope, answer: Answer, arrived: int = 0) -> None:
        self.envelope = envelope
        self.answer = answer
        self.arrived = arrived
        self.counted = False
        self.body = b""
        self.command: Any = None
        self.key: tuple[UUID, str] | None = None
        self.correlation_id: UUID | None = None
        # Memory that has what the store said: whatever takes its place has to ask again.
        self.key_known_to: RequestKeys | None = None
        self.target_known_to: Desk | None = None
        self.reply: Reply | None = None
        self.suspected = False

    def scope(self) -> UUID | None:
        """Name the account it is about; None also while its bytes are not read, or cannot be."""
        command: Command | None = self.command
        return None if command is None else command.scope()


class Gathered:
    """What one transaction will hold, and who waits for it."""

    __slots__ = ("answers", "beside", "events", "first_position", "keys")

    def __init__(self, first_position: int) -> None:
        self.first_position = first_position
        self.events: list[DomainEvent] = []
        self.keys: list[RequestKey] = []
        self.beside: list[BesideRow] = []
        self.answers: list[tuple[Pending, Reply]] = []


class Limits(msgspec.Struct, frozen=True):
    """How much may wait and how long, and how much one transaction may hold.

    `oldest_ms` is how long the command that waits longest may have waited for more to be taken;
    with 0 that is not asked.
    """

    queue: int = 20_000
    batch_commands: int = 400
    batch_events: int = 2_000
    oldest_ms: int = 0


LONGEST_KEY = 128

MARKER = Envelope("", "", msgspec.Raw(b"\xc0"))
"""Stands for no command: its answer says that all before it is committed."""


def check_storable(pending: Pending, command: Command) -> None:
    """Refuse text that the store cannot keep, before it breaks a whole batch."""
    envelope = pending.envelope
    key = pending.key[1] if pending.key is not None else ""
    if "\0" in key or "\0" in envelope.actor or "\0" in envelope.gateway:
        raise InvalidField(command.key_field(), "holds a zero character")
    if len(key) > LONGEST_KEY:
        raise InvalidField(command.key_field(), f"is longer than {LONGEST_KEY} characters")


def refused(refusal: Rejection, *, position: int = 0, duplicate: bool = False) -> Reply:
    """The reply that refuses; `position` is that of the first refusal, when this repeats one."""
    details = refusal.document()
    told = Refusal(refusal.code, refusal.message, details)
    return Reply(position, told, duplicate=duplicate)
