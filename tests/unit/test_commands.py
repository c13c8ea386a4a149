"""Commands say themselves what they are: their key, scope and units, and what a repeat does."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from uuid import UUID

import msgspec
import pytest

from application import commands, keys, multileg, options, orders, watchlists
from application.commands import (
    COMMANDS,
    AdoptKeys,
    ChangeInstrument,
    CloseAllPositions,
    ClosePosition,
    ConfigureAccount,
    EnsureOperator,
    ForgetOwner,
    IssueKey,
    ListOptionChain,
    OpenAccount,
    PlaceGroup,
    PlaceMultiLeg,
    PlaceOrder,
    ReadOrder,
    ReadState,
    ReplaceOrder,
    RevokeKey,
    RotateKey,
    SetAccountLimits,
    SetAccountPolicy,
    SetAccountStatus,
    SetCommissionSchedule,
    SetKillSwitch,
    SetPairMargin,
    decode_command,
    encode_command,
)
from application.deciding.handlers import HANDLERS
from application.desk.state import state_hash
from application.requests import Command, OfOperator
from application.writer.reads import read
from domain.commission import Kind
from domain.identifiers import operators_of
from domain.sealed_name import sealed_name
from domain.terms import AccountKind, AccountStatus, TriggerRule
from domain.units import Binary, Columns, Flag, Id, Many, Unit, Words, fields_of
from tests.model.desk_harness import DeskHarness, trading_desk

ALL = list(COMMANDS.values())
KEY = Words("request_key")
ME = UUID(int=7)
DIGEST = b"d" * 32
PLAIN: dict[type[Unit], Any] = {Words: "x", Id: ME, Flag: True, Binary: DIGEST}


def plainest(unit: Unit) -> Any:
    """The plainest value of a unit; a row has one in each place."""
    if isinstance(unit, Columns):
        return tuple(map(plainest, unit.units))
    return PLAIN.get(type(unit), 1)


def some(kind: type[Command], **values: Any) -> Any:
    """A command of a kind; texts are `x`, ids are mine, the rest is what is plainest."""
    plain: dict[str, Any] = {}
    for field in msgspec.structs.fields(kind):
        unit = fields_of(kind)[field.name]
        if field.required and isinstance(unit, Many):
            plain[field.name] = (plainest(unit.each),)
        elif field.required:
            plain[field.name] = plainest(unit)
    return kind(**{**plain, **values})


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)
def test_every_field_of_every_command_has_a_unit(kind: type[Command]) -> None:
    """A bare number says nothing to the documentation, to FIX, or to whoever shows it."""
    assert list(kind.__struct_fields__) == list(fields_of(kind))


def test_every_command_of_the_module_is_registered_under_its_name() -> None:
    """The tag is the class's name in small letters; nothing is listed by hand."""
    declared = {
        one
        for module in (commands, keys, multileg, options, orders, watchlists)
        for one in vars(module).values()
        if isinstance(one, type) and issubclass(one, Command) and one.__module__ == module.__name__
    }
    assert declared == set(ALL)
    for tag, kind in COMMANDS.items():
        assert tag == re.sub(r"(?<!^)(?=[A-Z])", "_", kind.__name__).lower()
        assert type(decode_command(encode_command(some(kind)))) is kind


def test_every_command_is_decided_by_a_handler_or_read() -> None:
    """Nothing that is asked for is left without an answer, and no handler without a command."""
    assert {kind for kind in ALL if not kind.READS} == set(HANDLERS)
    venue = trading_desk()
    asked = [some(kind) for kind in ALL if kind.READS]
    answers = [read(venue.desk, command, 0) for command in asked]
    assert {ReadOrder, ReadState} == {type(command) for command in asked}
    assert [True, False] == [answer.refusal is not None for answer in answers]


def test_state_is_hashed_for_who_asks_for_it() -> None:
    """It takes all orders to be written down, and gateways ask again and again how far it is."""
    venue = trading_desk()
    plain, hashed = (read(venue.desk, ReadState(asked), 0) for asked in (False, True))
    assert plain.result is not None
    assert hashed.result == plain.result | {"state_hash": state_hash(venue.desk).hex()}
    assert "state_hash" not in plain.result


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)
def test_command_is_about_the_account_that_it_names(kind: type[Command]) -> None:
    """What waits for an account waits behind what waits for it already."""
    named = "account_id" in kind.__struct_fields__
    assert (ME if named else None) == some(kind).scope()


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)
def test_command_that_names_an_order_or_a_trade_may_look_back(kind: type[Command]) -> None:
    """What is named by its id may have left memory long ago."""
    names = any(unit in (Id("order"), Id("trade")) for unit in fields_of(kind).values())
    assert names == kind.LOOKS_BACK


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)
def test_command_with_a_key_is_known_by_it_and_without_one_by_none(kind: type[Command]) -> None:
    """Every command that changes something and has room for a key uses it."""
    keys = [name for name, unit in fields_of(kind).items() if unit == KEY]
    keyed = bool(keys) and not kind.READS
    whose = operators_of(ME) if issubclass(kind, OfOperator) else ME
    assert ((whose, "x") if keyed else None) == some(kind).key()
    assert some(kind, **dict.fromkeys(keys, "")).key() is None
    if keyed:
        assert some(kind).is_repeatable()
        assert not some(kind, **dict.fromkeys(keys, "")).is_repeatable()


def test_what_reaches_the_book_counts_against_the_order_rate() -> None:
    """New orders, new terms and closes; a cancel counts by what it names, the rest never."""
    counted = {kind for kind in ALL if some(kind).orders_sent()}
    placing = {PlaceOrder, PlaceGroup, PlaceMultiLeg}
    assert {*placing, ReplaceOrder, ClosePosition, CloseAllPositions} == counted


TWICE: list[Callable[[DeskHarness], Command]] = [
    lambda v: SetKillSwitch(None, True, "a runaway"),
    lambda v: SetKillSwitch(v.a, True, "a runaway"),
    lambda v: [v.instrument("OTHER"), SetPairMargin("X", "OTHER", 1_000)][1],
    lambda v: SetAccountStatus(v.a, int(AccountStatus.CLOSING_ONLY), "asked for"),
    lambda v: SetAccountLimits(v.a, 500, 10),
    lambda v: SetAccountPolicy(v.a, True),
    lambda v: ConfigureAccount(v.a, True, True, False),
    lambda v: SetCommissionSchedule(v.a, int(Kind.BPS), ((0, 100, 200),), 100, 50),
    lambda v: ChangeInstrument("X", collar_bps=500, trigger_rule=int(TriggerRule.BID_ASK)),
    lambda v: ChangeInstrument("X", new_symbol="X", name="Another name"),
    lambda v: OpenAccount("once", "once", int(AccountKind.CASH)),
    lambda v: v.listing("ONCE"),
    lambda v: ListOptionChain("X", (20991218,), (10**11,), (0, 1), 10**7),
    lambda v: IssueKey(v.a, "once", DIGEST, ("read",)),
    lambda v: [v.ok(IssueKey(v.a, "k", DIGEST, ("read",))), RotateKey("k", bytes(32))][1],
    lambda v: [v.ok(IssueKey(v.a, "k", DIGEST, ("read",))), RevokeKey("k", "lost")][1],
    lambda v: EnsureOperator("admin", DIGEST, True),
    lambda v: AdoptKeys((("of before", v.a, False, DIGEST, True),)),
    lambda v: ForgetOwner(sealed_account(v), "asked for"),
]


def sealed_account(venue: DeskHarness) -> UUID:
    """An account whose owner's name was sealed."""
    name = sealed_name(UUID(int=8), "c2VhbGVk")
    reply = venue.ok(OpenAccount("sealed", name, int(AccountKind.CASH)))
    assert reply.result is not None
    return UUID(reply.result["account_id"])


def standing(venue: DeskHarness) -> dict[UUID, dict[str, Any]]:
    """What all that has events is by them, but for versions and times."""
    found: dict[UUID, Any] = {}
    for event in venue.log:
        found[event.originator_id] = event.mutate(found.get(event.originator_id))
    return {
        one: {name: state.__dict__[name] for name in state.FIELDS} for one, state in found.items()
    }


@pytest.mark.parametrize("scene", TWICE)
def test_command_that_may_be_sent_again_does_twice_what_it_does_once(
    scene: Callable[[DeskHarness], Command],
) -> None:
    """A writer that died may or may not have done it: the second answer is the first one's."""
    venue = trading_desk()
    command = scene(venue)
    assert command.is_repeatable() and command.key() is None
    before = standing(venue)
    first = venue.ok(command)
    once = standing(venue)
    assert before != once

    second = venue.ok(command)

    assert once == standing(venue)
    assert first.result == second.result


def test_every_command_that_may_be_sent_again_is_tried_twice() -> None:
    """One that is declared so, and is not, shows in the test above."""
    tried = {type(scene(trading_desk())) for scene in TWICE}
    declared = {kind for kind in ALL if kind.SAME_TWICE} | {ChangeInstrument}
    assert declared == tried


def test_a_renaming_is_sent_once() -> None:
    """Another instrument may have taken the old symbol: sent again it would be renamed instead."""
    venue = trading_desk()
    command = ChangeInstrument("X", new_symbol="Y")
    venue.ok(command)
    venue.instrument("X")

    again = venue.send(command)

    assert again.refusal is not None
    assert not command.is_repeatable()
