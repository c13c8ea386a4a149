"""Repeats: an order is answered as it is now, a refused one is told again, each for ever."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from msgspec.structs import replace

from application.commands import (
    CancelOrder,
    Deposit,
    PlaceGroup,
    PlaceOrder,
    ReplaceOrder,
    TransferPosition,
)
from application.desk import ended
from application.desk.state import dump, state_hash
from application.log.ports import DeskSnapshot
from application.orders import OrderView
from domain.events import OrderRejected
from domain.terms import OrderClass, OrderStatus, Side
from infrastructure.log.memory import MemorySnapshots
from tests.model.desk_harness import DeskHarness, shares, trading_desk, wire
from tests.model.memory_writer import MemoryWriter, logged, on_a_writer

BUY, SELL = int(Side.BUY), int(Side.SELL)
SPENT = "CLIENT_ORDER_ID_SPENT"
Scene = Callable[[MemoryWriter], Awaitable[None]]


def order_of(venue: DeskHarness, client: str = "once", **terms: Any) -> PlaceOrder:
    """A bid of `a` for five at 100."""
    bid = PlaceOrder(venue.a, "X", BUY, 2, 1, shares(5), wire(100), 0, client)
    return replace(bid, **terms)


def sale_of(venue: DeskHarness, qty: int) -> PlaceOrder:
    """An offer of `b` at 100."""
    return PlaceOrder(venue.b, "X", SELL, 2, 1, shares(qty), wire(100), 0, f"sale {qty}")


def shown_by(writer: MemoryWriter, venue: DeskHarness, order: OrderView) -> OrderView:
    """An order of `a` as the writer has it."""
    return OrderView.of(writer.sequencer.desk.orders.find(venue.a, order.order_id, ""))


async def nothing(writer: MemoryWriter, venue: DeskHarness, order: OrderView) -> None:
    """Leave the order as it is."""


async def cancel(writer: MemoryWriter, venue: DeskHarness, order: OrderView) -> None:
    """Cancel it."""
    assert [""] == await writer.codes(CancelOrder(venue.a, order.order_id, "", "cancel"))


async def fill_some(writer: MemoryWriter, venue: DeskHarness, order: OrderView) -> None:
    """Let it trade in part."""
    assert [""] == await writer.codes(sale_of(venue, 2))


async def fill(writer: MemoryWriter, venue: DeskHarness, order: OrderView) -> None:
    """Let it trade whole, in two parts."""
    assert [""] * 2 == await writer.codes(sale_of(venue, 2), sale_of(venue, 3))


async def replace_twice(writer: MemoryWriter, venue: DeskHarness, order: OrderView) -> None:
    """Give it new terms and a new name, and again."""
    for number, price in enumerate((99, 98)):
        name = f"name {number}"
        again = ReplaceOrder(venue.a, order.order_id, name, name, limit_price=wire(price))
        assert [""] == await writer.codes(again)


SINCE = {one.__name__: one for one in (nothing, cancel, fill_some, fill, replace_twice)}
STATUS = {
    "nothing": OrderStatus.NEW,
    "cancel": OrderStatus.CANCELED,
    "fill_some": OrderStatus.PARTIALLY_FILLED,
    "fill": OrderStatus.FILLED,
    "replace_twice": OrderStatus.NEW,
}
LATER = ["at once", "restarted", "forgotten", "restarted from a snapshot"]


def replayed(
    venue: DeskHarness, first: Scene, then: Scene, later: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Let one scene follow another: on the same writer, or on one that remembers less."""
    log, snapshots = logged(venue), MemorySnapshots()

    async def both(writer: MemoryWriter) -> None:
        await first(writer)
        if later == "at once":
            await then(writer)
        elif later == "restarted from a snapshot":
            desk = writer.sequencer.desk
            snapshot = DeskSnapshot(desk.position, state_hash(desk), dump(desk))
            await snapshots.save(snapshot, venue.at)

    on_a_writer(log, both)
    if later == "forgotten":
        monkeypatch.setattr(ended, "KEPT", 0)
    if later != "at once":
        on_a_writer(log, then, snapshots)


@pytest.mark.parametrize("later", LATER)
@pytest.mark.parametrize("since", SINCE)
def test_a_repeated_order_is_answered_as_it_is_now(since, later, monkeypatch):
    """Its newest revision, whatever became of it, and however little the writer remembers."""
    venue = trading_desk()
    placed: list[OrderView] = []
    now: list[OrderView] = []

    async def first(writer: MemoryWriter) -> None:
        reply = await writer.send(order_of(venue))
        assert reply.order is not None and not reply.duplicate
        placed.append(reply.order)
        await SINCE[since](writer, venue, reply.order)
        now.append(shown_by(writer, venue, reply.order))

    async def again(writer: MemoryWriter) -> None:
        for _ in range(2):
            rows = len(writer.log.rows)
            reply = await writer.send(order_of(venue))
            assert (now[0], True, rows) == (reply.order, reply.duplicate, reply.position)
            assert rows == len(writer.log.rows)
        other = await writer.codes(order_of(venue, qty=shares(6)))
        assert ["REQUEST_KEY_REUSED"] == other

    replayed(venue, first, again, later, monkeypatch)
    assert int(STATUS[since]) == now[0].status
    assert placed[0].order_id == now[0].order_id
    assert (placed[0].revision_id == now[0].revision_id) == (since != "replace_twice")


GROUP = {"take_profit_price": wire(110), "stop_loss_price": wire(80)}


def bracket(venue: DeskHarness) -> PlaceGroup:
    """A bid of `a` for five at 100, and its exits."""
    kind = int(OrderClass.BRACKET)
    terms = (venue.a, "X", kind, BUY, 2, 1, shares(5), wire(100), 0, "group")
    return PlaceGroup(*terms, **GROUP)


@pytest.mark.parametrize("later", LATER)
@pytest.mark.parametrize("since", SINCE)
def test_a_repeated_group_is_answered_with_its_legs_as_they_are_now(since, later, monkeypatch):
    """The parent and every leg, as a read of each shows it."""
    venue = trading_desk()
    now: list[OrderView] = []

    async def first(writer: MemoryWriter) -> None:
        reply = await writer.send(bracket(venue))
        assert reply.order is not None
        assert 2 == len(reply.legs)
        await SINCE[since](writer, venue, reply.order)
        for shown in (reply.order, *reply.legs):
            now.append(shown_by(writer, venue, shown))

    async def again(writer: MemoryWriter) -> None:
        reply = await writer.send(bracket(venue))
        assert (now, True) == ([reply.order, *reply.legs], reply.duplicate)

    replayed(venue, first, again, later, monkeypatch)
    assert int(STATUS[since]) == now[0].status


@pytest.mark.parametrize("later", LATER)
def test_a_repeated_replace_is_answered_with_the_order_as_it_is_now(later, monkeypatch):
    """Its newest revision: what the first replace made may be replaced itself since."""
    venue = trading_desk()
    placed = venue.place(venue.a, BUY, 5, 90, client="once").order

    def terms(key: str, price: int) -> ReplaceOrder:
        return ReplaceOrder(venue.a, placed.order_id, "", key, limit_price=wire(price))

    newest: list[OrderView] = []

    async def first(writer: MemoryWriter) -> None:
        for key, price in (("r1", 91), ("r2", 92)):
            reply = await writer.send(terms(key, price))
            assert reply.order is not None
        await cancel(writer, venue, placed)
        newest.append(shown_by(writer, venue, placed))

    async def again(writer: MemoryWriter) -> None:
        rows = len(writer.log.rows)
        for key, price in (("r1", 91), ("r2", 92)):
            reply = await writer.send(terms(key, price))
            assert (newest[0], True) == (reply.order, reply.duplicate)
        assert ["REQUEST_KEY_REUSED"] == await writer.codes(terms("r1", 93))
        assert rows == len(writer.log.rows)

    replayed(venue, first, again, later, monkeypatch)


@pytest.mark.parametrize("later", LATER)
def test_other_repeats_are_answered_with_their_first_result(later, monkeypatch):
    """What was canceled then, and the cash there was then, is what the request came to."""
    venue = trading_desk()
    placed = venue.place(venue.a, BUY, 5, 90).order
    asked = (
        CancelOrder(venue.a, placed.order_id, "", "k1"),
        CancelOrder(venue.a, placed.order_id, "", "k2"),
        Deposit(venue.a, 500, "k3"),
        Deposit(venue.a, 0, "k4"),
        TransferPosition(venue.a, "X", shares(3), 0, "k5"),
        ReplaceOrder(venue.a, placed.order_id, "", "k6", limit_price=wire(91)),
    )
    replies = []

    async def first(writer: MemoryWriter) -> None:
        for command in asked:
            replies.append(await writer.send(command))
        await writer.send(Deposit(venue.a, 700, "more"))

    async def again(writer: MemoryWriter) -> None:
        for command, reply in zip(asked, replies, strict=True):
            assert replace(reply, duplicate=True) == await writer.send(command)

    replayed(venue, first, again, later, monkeypatch)
    codes = [reply.refusal.code if reply.refusal else "" for reply in replies]
    assert ["", "ORDER_NOT_WORKING", "", "INVALID_AMOUNT", "", "ORDER_NOT_WORKING"] == codes


def refused_order(venue: DeskHarness) -> PlaceOrder:
    """An order off the tick."""
    return order_of(venue, limit_price=wire("99.999"))


def refused_group(venue: DeskHarness) -> PlaceGroup:
    """A group whose take-profit would lose."""
    return replace(bracket(venue), take_profit_price=wire(90), client_order_id="once")


def refused_replace(venue: DeskHarness) -> ReplaceOrder:
    """New terms off the tick, under a new name."""
    order = venue.place(venue.a, BUY, 5, 90, client="other").order
    return ReplaceOrder(venue.a, order.order_id, "once", "once", limit_price=wire("9.999"))


@pytest.mark.parametrize("later", LATER)
@pytest.mark.parametrize("refused", [refused_order, refused_group, refused_replace])
def test_the_id_of_a_refused_order_is_spent_for_ever(refused, later, monkeypatch):
    """By the same body or another, of whatever kind: the first refusal is in the answer."""
    venue = trading_desk()
    command = refused(venue)
    other = order_of(venue, qty=shares(1))
    told = []

    async def first(writer: MemoryWriter) -> None:
        reply = await writer.send(command)
        assert reply.refusal is not None and not reply.duplicate
        told.append(reply)

    async def again(writer: MemoryWriter) -> None:
        rows = len(writer.log.rows)
        for repeat, same in ((command, True), (other, False), (bracket_named_once, False)):
            reply = await writer.send(repeat)
            assert reply.refusal is not None
            assert (SPENT, same) == (reply.refusal.code, reply.duplicate)
            first = told[0].refusal
            assert {"code": first.code, "message": first.message, "details": first.details} == (
                reply.refusal.details["first"]
            )
            assert first.message in reply.refusal.message
            assert told[0].position == reply.position
        late = CancelOrder(venue.a, None, "nobody", "once")
        assert ["REQUEST_KEY_REUSED"] == await writer.codes(late)
        assert rows == len(writer.log.rows)
        # What is under another name is another order.
        assert [""] == await writer.codes(replace(other, client_order_id=f"new {rows}"))

    bracket_named_once = replace(bracket(venue), client_order_id="once")
    replayed(venue, first, again, later, monkeypatch)


def test_refusals_for_the_rate_of_older_logs_are_read_and_spend_their_id():
    """They were events once: what is in the log stays true, and says what it said."""
    venue = trading_desk()
    command = order_of(venue)
    venue.send(replace(command, limit_price=wire("99.999")))
    (rejected,) = venue.events
    assert isinstance(rejected, OrderRejected)
    old = "more than 2 orders in one second"
    # The log as an older program wrote it.
    venue.log[-1] = replace(rejected, code="ORDER_RATE_EXCEEDED", message=old, details={"limit": 2})

    async def again(writer: MemoryWriter) -> None:
        reply = await writer.send(command)
        assert reply.refusal is not None
        first = {"code": "ORDER_RATE_EXCEEDED", "message": old, "details": {"limit": 2}}
        assert (SPENT, first) == (reply.refusal.code, reply.refusal.details["first"])

    on_a_writer(logged(venue), again)
