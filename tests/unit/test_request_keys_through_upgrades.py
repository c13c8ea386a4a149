"""A request is the same before and after an upgrade that gave its command more fields."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from application.commands import (
    ClosePosition,
    Deposit,
    OpenAccount,
    PlaceOrder,
    ReplaceOrder,
    decode_command,
    encode_command,
)
from application.requests import Command
from application.writer.request_keys import fingerprint, is_repeat
from domain.identifiers import uuid7
from domain.terms import Side
from tests.model.desk_harness import DeskHarness, shares, wire
from tests.model.memory_writer import MemoryWriter, logged, on_a_writer

ME, YOU = uuid7(1, 0, 1, 1), uuid7(1, 0, 1, 2)


def older(command: Command, fields: int) -> bytes:
    """The bytes of a command as a program wrote it that did not know its last fields."""
    return msgspec.msgpack.encode(msgspec.msgpack.decode(encode_command(command))[:-fields])


COMMANDS: list[tuple[Command, str]] = [
    (PlaceOrder(ME, "X", 1, 2, 1, 5, 7, 0, "k"), "client_order_id"),
    (PlaceOrder(ME, "X", 1, 2, 1, 5, 7, 0, "k", post_only=True), "post_only"),
    (PlaceOrder(ME, "X", 1, 2, 1, 5, 7, 0, "k", notional=1), "notional"),
    (PlaceOrder(ME, "X", 1, 2, 1, 5, 7, 0, "k", trail_percent=1), "trail_percent"),
    (ReplaceOrder(ME, YOU, "", "k", qty=5), "qty"),
    (ReplaceOrder(ME, YOU, "", "k", trail=5), "trail"),
    (ClosePosition(ME, "X", "k"), "request_key"),
    (Deposit(ME, 100, "k"), "request_key"),
]


@pytest.mark.parametrize(("command", "last"), COMMANDS)
def test_fields_that_were_not_there_yet_are_no_other_body(command: Command, last: str) -> None:
    """Every length that an older program may have written is the same request, and no less."""
    fields_of = command.__struct_fields__
    unsaid = len(fields_of) - 1 - fields_of.index(last)
    for fields in range(1, unsaid + 1):
        body = older(command, fields)
        assert command == decode_command(body)
        assert is_repeat(command, fingerprint(body))
    assert is_repeat(command, fingerprint(encode_command(command)))
    assert not is_repeat(command, fingerprint(older(command, unsaid + 1)))


def test_what_is_said_in_a_field_makes_another_body() -> None:
    """Also in the last one, and also where the rest is what an older program wrote."""
    command = PlaceOrder(ME, "X", 1, 2, 1, 5, 7, 0, "k")
    for terms in (
        {"trail_percent": 1},
        {"trail_price": 1},
        {"notional": 1},
        {"post_only": True},
        {"qty": 6},
        {"client_order_id": "l"},
    ):
        other = replace(command, **terms)
        for fields in range(8):
            body = older(command, fields) if fields else encode_command(command)
            assert not is_repeat(other, fingerprint(body)), terms


@pytest.mark.parametrize("fields", [1, 3, 7])
@pytest.mark.parametrize("first_is_older", [True, False])
def test_a_repeat_over_an_upgrade_places_nothing_more(fields: int, first_is_older: bool) -> None:
    """Sent first by the older program and again by the newer one, or the other way round, also
    when the writer was started anew in between.
    """
    venue = DeskHarness()
    venue.instrument()
    account = venue.account("a")
    command = PlaceOrder(account, "X", int(Side.BUY), 2, 1, shares(5), wire(99), 0, "name")
    bodies = [older(command, fields), encode_command(command)]
    first, again = bodies if first_is_older else bodies[::-1]
    told: list[Any] = []

    async def place(writer: MemoryWriter) -> None:
        told.append(await writer.send(first))
        told.append(await writer.send(again))

    async def repeat(writer: MemoryWriter) -> None:
        told.append(await writer.send(again))
        other = replace(command, trail_percent=1)
        told.append(await writer.send(other))

    log = logged(venue)
    on_a_writer(log, place)
    on_a_writer(log, repeat)

    placed, *repeats, other = told
    assert placed.refusal is None and not placed.duplicate
    for reply in repeats:
        assert (None, True) == (reply.refusal, reply.duplicate)
        assert placed.order == reply.order
    assert "REQUEST_KEY_REUSED" == other.refusal.code


def test_a_deposit_is_repeated_over_an_upgrade_and_another_is_refused() -> None:
    """A key that names no order is judged the same way."""
    venue = DeskHarness()
    account = venue.account("a")
    command = Deposit(account, 100, "key")

    async def scene(writer: MemoryWriter) -> None:
        assert not (await writer.send(older(command, 1))).duplicate
        assert (await writer.send(command)).duplicate
        assert ["REQUEST_KEY_REUSED"] == await writer.codes(replace(command, amount=101))
        assert ["REQUEST_KEY_REUSED"] == await writer.codes(replace(command, description="x"))

    on_a_writer(logged(venue), scene)


def test_every_command_is_told_by_its_own_bytes() -> None:
    """What the fingerprints are made of is what the bus carries."""
    for command, _ in (*COMMANDS, (OpenAccount("me", "me", 0), "kind")):
        assert is_repeat(command, fingerprint(encode_command(command)))
