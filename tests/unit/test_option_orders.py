"""Orders for options: who may write, how far, and what becomes of them when a contract ends."""

from __future__ import annotations

import pytest
from msgspec import structs

from application.commands import (
    ListOptionChain,
    PlaceGroup,
    PlaceMultiLeg,
    PlaceOrder,
)
from domain.events import (
    MultiLegExpired,
    MultiLegUnwound,
    OrderExpired,
)
from domain.terms import (
    AccountKind,
    Execution,
    OptionEnd,
    OrderClass,
    OrderType,
    Right,
    Side,
    StrategyStatus,
    TimeInForce,
)
from tests.model.desk_harness import code, shares, wire
from tests.model.expiring_desk import CALL, expiring

EXPIRED, EXERCISED, ASSIGNED = map(int, OptionEnd)


def test_option_orders_end_with_the_contract_and_no_other_is_taken() -> None:
    """Also those until canceled; what is over for good is said so by name."""
    desk = expiring(Right.CALL)
    long, short = desk.person("long"), desk.person("short")
    desk.place(long, Side.BUY, 1, 1, tif=TimeInForce.GTC, symbol=CALL)
    desk.place(short, Side.SELL, 2, 5, tif=TimeInForce.DAY, symbol=CALL)

    sent = desk.expiry(101)

    assert "ExpireOption" in sent
    assert 2 == len([e for e in desk.log if isinstance(e, OrderExpired)])
    assert (0, 0) == (
        desk.desk.accounts.by_id[long.int].held,
        desk.desk.accounts.by_id[short.int].held,
    )
    for tif in (TimeInForce.GTC, TimeInForce.IOC, TimeInForce.OPG):
        assert "OPTION_EXPIRED" == code(desk.place(long, Side.BUY, 1, 1, tif=tif, symbol=CALL))
    assert "OPTION_EXPIRED" == code(desk.spend(long, Side.BUY, 100, symbol=CALL))
    desk.judge()


def test_option_expiry_takes_exits_of_the_shares_along() -> None:
    """An assigned call sells what orders had set aside: they reserve no more than is left."""
    desk = expiring(Right.CALL)
    long, short = desk.person("long"), desk.account("short", kind=AccountKind.MARGIN)
    desk.hold(short, 150)
    desk.trade(long, short, 1, 2, CALL)
    desk.place(short, Side.SELL, 150, 130, symbol="X")

    desk.expiry(110)

    position = desk.desk.accounts.positions[
        short.int, desk.desk.markets.by_symbol["X"].instrument.id.int
    ]
    assert (50 * 10**8, 50 * 10**8) == (position.qty, position.reserved)
    desk.judge()


def test_option_writing_needs_a_margin_account_and_no_located_shares() -> None:
    """A cash account buys to open and sells to close."""
    desk = expiring(Right.CALL, shortable=False)
    writer = desk.person("writer")

    assert "INSUFFICIENT_QTY" == code(desk.place(desk.a, Side.SELL, 1, 2, symbol=CALL))
    assert "" == code(desk.place(writer, Side.SELL, 1, 2, symbol=CALL))
    assert "" == code(desk.place(desk.a, Side.BUY, 1, 2, symbol=CALL))
    assert "" == code(desk.place(desk.a, Side.SELL, 1, 3, symbol=CALL))
    assert "INVALID_FIELD" == code(desk.spend(desk.a, Side.BUY, 500, symbol=CALL))
    fraction = PlaceOrder(desk.a, CALL, 1, 2, 1, shares("0.5"), wire(2), 0, "half")
    assert "LOT_VIOLATION" == code(desk.send(fraction))


def test_option_position_is_limited_by_what_it_may_be_exercised_into() -> None:
    """However cheap it is, what an account comes to owe has to fit its books."""
    desk = expiring(Right.CALL, multiplier=1_000)
    writer = desk.person("writer", 10**12)
    most = 10**15 // (100_00 * 1_000)

    assert "" == code(desk.place(writer, Side.BUY, most, "0.01", symbol=CALL))
    refused = desk.place(writer, Side.BUY, 1, "0.01", symbol=CALL)

    assert "POSITION_LIMIT_EXCEEDED" == code(refused)


def test_option_expiry_ends_orders_of_several_legs_whole() -> None:
    """One that rests with a leg in a contract that is over trades no more; no leg of it works."""
    desk = expiring(Right.CALL, Right.PUT)
    client = desk.person("client")
    other = "X270115C00100000"
    desk.ok(
        ListOptionChain("X", (20270115,), (wire(100),), (int(Right.CALL),), wire("0.01"), style=0)
    )
    desk.look()
    for maker, symbol in ((desk.person("maker"), CALL), (desk.person("other maker"), other)):
        for side, price in ((Side.BUY, 1), (Side.SELL, 3)):
            assert "" == code(desk.place(maker, side, 5, price, symbol=symbol))
    # What the one leg sells is held: it is set aside for that.
    desk.trade(client, desk.person("writer"), 2, "2", CALL)
    legs = ((CALL, int(Side.SELL), 1, 0), (other, int(Side.BUY), 1, 0))
    order = PlaceMultiLeg(
        client, int(OrderType.LIMIT), int(TimeInForce.GTC), shares(2), wire("0.1"), "m", legs
    )
    placed = desk.ok(order)
    assert placed.strategy is not None and StrategyStatus.WORKING == placed.strategy.status

    desk.expiry(105)

    assert 1 == len([e for e in desk.log if isinstance(e, MultiLegExpired)])
    assert [] == [o for o in desk.desk.orders.working.values() if o.account_id == client]
    assert 0 == desk.desk.accounts.by_id[client.int].held
    assert (0, 200) == (desk.held(client, CALL), desk.held(client))
    again = desk.send(structs.replace(order, client_order_id="again"))
    assert again.refusal is not None or desk.events[0].code == "OPTION_EXPIRED"  # type: ignore[attr-defined]
    desk.judge()


@pytest.mark.parametrize("closing", [False, True], ids=["opened", "closed"])
def test_option_expiry_ends_the_unwinding_of_legs_that_are_ahead(closing: bool) -> None:
    """What a sequential order bought or sold of a contract that is over, nobody can close."""
    desk = expiring(Right.CALL)
    client, maker, other_maker = map(desk.person, ("client", "maker", "other maker"))
    other = "X270115C00100000"
    desk.ok(
        ListOptionChain("X", (20270115,), (wire(100),), (int(Right.CALL),), wire("0.01"), style=0)
    )
    desk.look()
    desk.trade(other_maker, maker, 1, 2, other)
    sides = (Side.BUY, Side.SELL)
    if closing:
        desk.trade(client, maker, 1, 2, CALL)
        sides = (Side.SELL, Side.BUY)
    desk.place(maker, sides[1], 1, 2, symbol=CALL)
    order = PlaceMultiLeg(
        client,
        int(OrderType.LIMIT),
        int(TimeInForce.DAY),
        shares(1),
        wire(9),
        "m",
        ((CALL, int(sides[0]), 1, 0), (other, int(sides[1]), 1, 0)),
        execution=int(Execution.SEQUENTIAL),
        leg_seconds=60,
    )
    desk.ok(order)
    desk.at_utc(2026, 12, 17, 15, 5)
    assert [] == [e for e in desk.log if isinstance(e, MultiLegUnwound)]

    desk.expiry(105)

    assert 1 == len([e for e in desk.log if isinstance(e, MultiLegUnwound)])
    assert {} == desk.desk.strategies.live
    assert (0 if closing else 100) == desk.held(client)
    desk.judge()


def test_option_expiry_ends_linked_orders_with_both_their_legs() -> None:
    """An oco that closes a holding, and a bracket whose entry still waits."""
    desk = expiring(Right.CALL)
    long, short = desk.person("long"), desk.person("short")
    desk.trade(long, short, 3, 2, CALL)
    exits = (wire(3), wire("1.5"), 0)
    oco, bracket = int(OrderClass.OCO), int(OrderClass.BRACKET)
    sale, purchase, limit, gtc = int(Side.SELL), int(Side.BUY), 2, int(TimeInForce.GTC)
    desk.ok(PlaceGroup(long, CALL, oco, sale, limit, gtc, shares(3), 0, 0, "oco", *exits))
    entry = (shares(1), wire("1.8"), 0, "bracket")
    desk.ok(PlaceGroup(desk.a, CALL, bracket, purchase, limit, gtc, *entry, *exits))

    desk.expiry(105)

    assert {} == desk.desk.orders.groups
    assert [] == list(desk.desk.orders.working.values())
    assert [("long", EXERCISED, 3), ("short", ASSIGNED, -3)] == desk.ended()
    desk.judge()
