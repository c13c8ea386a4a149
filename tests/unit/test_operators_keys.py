"""Operators' request keys stand apart from those of the account's traders, for ever."""

import asyncio

import pytest

from application.commands import (
    CancelOrder,
    ChargeFee,
    ClosePosition,
    Deposit,
    PlaceOrder,
    ReplaceOrder,
    SetAccountLimits,
    TransferPosition,
    Withdraw,
)
from application.desk.desk import Desk
from application.desk.following import follow
from application.desk.state import dump, state_hash
from application.log.ports import DeskSnapshot, Recorded, RequestKey
from application.requests import Command
from application.writer.request_keys import RequestKeys, key_of_event
from domain.events import CashDeposited, OrderAccepted, RequestRefused
from domain.identifiers import operators_of, uuid7
from infrastructure.log.codec import decode_event, encode_event
from infrastructure.log.memory import MemoryLog, MemorySnapshots
from tests.model.desk_harness import NOON, DeskHarness, shares, trading_desk, wire
from tests.model.memory_writer import MemoryWriter, logged, on_a_writer

KEY = "fee-2026-11"


def order(venue: DeskHarness, key: str = KEY) -> PlaceOrder:
    """A buy order of the account's trader that rests."""
    return PlaceOrder(venue.a, "X", 1, 2, 1, shares(5), wire(90), 0, key)


def of_operators(venue: DeskHarness) -> list[Command]:
    """Everything that operators ask under a key, some of it in vain."""
    return [
        ChargeFee(venue.a, 500, KEY),
        ChargeFee(venue.a, 0, KEY),
        Deposit(venue.a, 700, KEY),
        Withdraw(venue.a, 300, KEY),
        Withdraw(venue.a, 10**15, KEY),
        TransferPosition(venue.a, "X", shares(1), 500, KEY),
        TransferPosition(venue.a, "NOPE", shares(1), 500, KEY),
    ]


def of_traders(venue: DeskHarness) -> list[Command]:
    """Everything that traders ask under a key, some of it in vain."""
    return [
        order(venue),
        PlaceOrder(venue.a, "X", 1, 2, 1, shares(5), wire("9.999"), 0, KEY),
        ReplaceOrder(venue.a, uuid7(1, 0, 1, 1), "", KEY),
        CancelOrder(venue.a, uuid7(1, 0, 1, 1), "", KEY),
        ClosePosition(venue.a, "X", KEY),
    ]


def end_of(log: MemoryLog) -> MemorySnapshots:
    """A desk snapshot at the end of a log: of the keys before it only the store knows."""
    desk = Desk()
    follow(desk, [Recorded(number, event) for number, event in enumerate(log.events(), 1)])
    snapshots = MemorySnapshots()
    asyncio.run(snapshots.save(DeskSnapshot(desk.position, state_hash(desk), dump(desk)), NOON))
    return snapshots


@pytest.mark.parametrize("began", ["live", "from the log", "from a snapshot"])
@pytest.mark.parametrize("number", range(7))
def test_a_traders_key_does_not_block_an_operators_request(began: str, number: int) -> None:
    """Nor the other way round; each is answered again under its own, and by its own body alone."""
    venue = trading_desk()
    first, second = order(venue), of_operators(venue)[number]
    log = logged(venue)

    async def ask(writer: MemoryWriter) -> None:
        assert (await writer.send(first)).order is not None
        reply = await writer.send(second)
        assert not reply.duplicate
        assert reply.refusal is None or reply.refusal.code != "REQUEST_KEY_REUSED"

    async def ask_again(writer: MemoryWriter) -> None:
        before = len(log.rows)
        for command in (first, second):
            assert (await writer.send(command)).duplicate
        other = await writer.codes(
            PlaceOrder(venue.a, "X", 1, 2, 1, shares(6), wire(90), 0, KEY),
            Deposit(venue.a, 701, KEY),
        )
        assert ["REQUEST_KEY_REUSED"] * 2 == other
        assert before == len(log.rows)

    async def both(writer: MemoryWriter) -> None:
        await ask(writer)
        await ask_again(writer)

    if began == "live":
        on_a_writer(log, both)
    else:
        on_a_writer(log, ask)
        on_a_writer(log, ask_again, end_of(log) if "snapshot" in began else MemorySnapshots())


@pytest.mark.parametrize("number", range(5))
def test_an_operators_key_does_not_block_a_traders_request(number: int) -> None:
    """An order under the name of a fee is taken, or refused for what is wrong with it."""
    venue = trading_desk()
    fee, asked = ChargeFee(venue.a, 500, KEY), of_traders(venue)[number]

    async def ask(writer: MemoryWriter) -> None:
        assert [""] == await writer.codes(fee)
        (code,) = await writer.codes(asked)
        assert code not in ("REQUEST_KEY_REUSED", "CLIENT_ORDER_ID_SPENT")
        assert (await writer.send(fee)).duplicate

    on_a_writer(logged(venue), ask)


def test_keys_of_both_are_kept_apart_in_the_filter_too() -> None:
    """What left memory long ago is looked up under the right name."""
    account = uuid7(NOON, 0, 1, 1)
    keys = RequestKeys(kept=1)
    keys.add((operators_of(account), KEY), b"fee", 1)
    keys.add((account, "another"), b"order", 2)

    assert keys.needs_look_up((operators_of(account), KEY))
    assert not keys.needs_look_up((account, KEY))


def test_operators_of_an_account_are_no_account() -> None:
    """Ids of accounts are of version 7; each account has operators of its own."""
    accounts = [uuid7(NOON + number, 3, number, 1) for number in range(50)]
    operators = {operators_of(account) for account in accounts}

    assert 50 == len(operators)
    assert {8} == {one.version for one in operators}
    assert accounts == [operators_of(operators_of(account)) for account in accounts]


def test_a_repeat_by_an_operator_does_not_count_against_the_accounts_rate() -> None:
    """What the venue asks twice costs a trader none of the orders that he may send."""
    venue = trading_desk()
    venue.ok(SetAccountLimits(venue.a, 0, 1))

    async def ask(writer: MemoryWriter) -> None:
        assert [""] == await writer.codes(ChargeFee(venue.a, 500, KEY))
        again = await writer.send(ChargeFee(venue.a, 501, KEY))
        assert again.refusal is not None
        assert ("REQUEST_KEY_REUSED", "request_key") == (
            again.refusal.code,
            again.refusal.details["field"],
        )
        assert [""] == await writer.codes(order(venue))

    on_a_writer(logged(venue), ask)


def test_events_of_before_spend_the_keys_of_operators() -> None:
    """Who asked is told by the event's kind, and of a refusal by what was asked: no old row says
    more, and none needs to.
    """
    venue = trading_desk()
    found: dict[str, RequestKey] = {}
    for name, command in {
        "deposit": Deposit(venue.a, 700, "d"),
        "refused": Withdraw(venue.a, 10**15, "w"),
        "moved": TransferPosition(venue.a, "X", shares(1), 500, "t"),
        "order": order(venue, "o"),
        "cancel": CancelOrder(venue.a, uuid7(1, 0, 1, 1), "", "c"),
    }.items():
        venue.send(command)
        stored = [decode_event(event.TOPIC, encode_event(event)) for event in venue.events]
        (found[name],) = [key for event in stored if (key := key_of_event(event, 1)) is not None]

    whose = {name: key.account_id for name, key in found.items()}
    theirs = operators_of(venue.a)
    assert {
        "deposit": theirs,
        "refused": theirs,
        "moved": theirs,
        "order": venue.a,
        "cancel": venue.a,
    } == whose
    assert {CashDeposited, RequestRefused, OrderAccepted} <= {type(event) for event in venue.log}
