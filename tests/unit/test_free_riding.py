"""Who may not sell shares is told why: what orders hold of them, or which settlement they await."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from msgspec.structs import replace

from application.commands import (
    ClosePosition,
    Deposit,
    PlaceGroup,
    Reply,
    SetAccountPolicy,
    TransferPosition,
)
from domain.money import PERCENT_SCALE
from domain.terms import OrderClass, OrderType, Side, TimeInForce
from tests.model.desk_harness import shares, wire
from tests.model.settling_desk import (
    FRIDAY,
    MONDAY,
    THURSDAY,
    TUESDAY,
    WEDNESDAY,
    SettlingDesk,
    settling_desk,
)

BUY, SELL = Side.BUY, Side.SELL


@pytest.fixture
def venue() -> SettlingDesk:
    """`c` has sold twenty shares on Monday and bought five and ten with the proceeds since."""
    venue = settling_desk()
    c = venue.c = venue.account("c", "0.02", use_unsettled=True)
    venue.hold(c, 20)
    venue.day(MONDAY, WEDNESDAY)
    venue.trade(venue.b, c, 20, 100)
    venue.day(TUESDAY, THURSDAY)
    venue.trade(c, venue.a, 5, 100)
    venue.day(WEDNESDAY, FRIDAY)
    venue.trade(c, venue.a, 10, 100)
    return venue


def told(reply: Reply) -> tuple[str, Any, str, Any]:
    """Code, `until`, what is free and the field of a refusal."""
    assert reply.refusal is not None
    details = reply.refusal.details
    return reply.refusal.code, details["until"], details["available"], details["field"]


@pytest.mark.parametrize(
    ("qty", "until"),
    [(1, "2026-11-19"), (5, "2026-11-19"), (6, "2026-11-20"), (15, "2026-11-20")],
)
def test_a_sale_of_unpaid_shares_is_told_when_enough_of_them_settle(
    venue: SettlingDesk, qty: int, until: str
) -> None:
    """The first value date by which purchases of as many shares are to settle."""
    assert ("FREE_RIDING", until, "0.00000000", "qty") == told(venue.place(venue.c, SELL, qty, 100))


def test_what_is_free_already_waits_for_nothing(venue: SettlingDesk) -> None:
    """Of six shares five are free once the first purchase has settled: one waits."""
    venue.run(WEDNESDAY)
    venue.run(THURSDAY)
    told_of = told(venue.place(venue.c, SELL, 6, 100))
    assert ("FREE_RIDING", "2026-11-20", "5.00000000", "qty") == told_of
    assert venue.place(venue.c, SELL, 5, 100).refusal is None


def test_a_settlement_that_failed_promises_no_day(venue: SettlingDesk) -> None:
    """It is tried again every day, and nobody can say which one will do."""
    seller, d = venue.account("seller", 0), venue.account("d", "0.01", use_unsettled=True)
    for account in (seller, d):
        venue.hold(account, 5)
    venue.trade(venue.a, d, 5, 100)
    venue.run(THURSDAY)
    venue.trade(d, seller, 5, 100)
    venue.day(THURSDAY, MONDAY + 7)
    venue.ok(Deposit(seller, 1_000_00, "money"))
    venue.trade(seller, venue.a, 5, 100)
    venue.ok(TransferPosition(seller, "X", -shares(5), 0, "moved away"))
    assert "2026-11-20" == told(venue.place(venue.c, SELL, 6, 100))[1]

    assert ("c", "AWAITING_DELIVERY") in venue.short(FRIDAY)

    assert ("FREE_RIDING", None) == told(venue.place(venue.c, SELL, 6, 100))[:2]


@pytest.mark.parametrize(
    ("part", "field", "until"),
    [
        ({"qty": shares(5)}, "qty", "2026-11-19"),
        ({"percent": 40 * 10**PERCENT_SCALE}, "percent", "2026-11-20"),
        ({"percent": 20 * 10**PERCENT_SCALE}, "percent", "2026-11-19"),
    ],
)
def test_a_close_of_unpaid_shares_names_what_was_sent_and_the_day(
    venue: SettlingDesk, part: dict[str, int], field: str, until: str
) -> None:
    """A percentage is named when a percentage was asked for, and its part is what must settle."""
    reply = venue.send(ClosePosition(venue.c, "X", "close", **part))
    assert ("FREE_RIDING", until, "0.00000000", field) == told(reply)


@pytest.mark.parametrize("percent", [10, 50, 100])
def test_a_percentage_of_what_is_all_reserved_is_named(venue: SettlingDesk, percent: int) -> None:
    """And its part of what is held is what was asked for, with what orders hold of it."""
    assert venue.place(venue.a, SELL, 985, 105).refusal is None
    part = ClosePosition(venue.a, "X", "close", percent=percent * 10**PERCENT_SCALE)
    refusal = venue.send(part).refusal
    assert refusal is not None
    assert ("INSUFFICIENT_QTY", "percent") == (refusal.code, refusal.details["field"])
    asked = shares(985) * percent // 100 // shares(1)
    assert f"{asked}.00000000" == refusal.details["needed"]
    assert ("985.00000000", "985.00000000", "0.00000000") == (
        refusal.details["existing_qty"],
        refusal.details["held_for_orders"],
        refusal.details["available"],
    )


def bracket(account: UUID, qty: int) -> PlaceGroup:
    """A bracket whose entry buys at 100."""
    return PlaceGroup(
        account,
        "X",
        int(OrderClass.BRACKET),
        int(BUY),
        int(OrderType.LIMIT),
        int(TimeInForce.GTC),
        shares(qty),
        wire(100),
        0,
        "bracket",
        take_profit_price=wire(110),
        stop_loss_price=wire(90),
    )


def test_a_bracket_that_proceeds_would_pay_is_told_when_they_settle() -> None:
    """The first value date on which settled money pays for its entry, and for all that was bought
    with those proceeds before.
    """
    venue = settling_desk()
    c = venue.account("c", 1_000, use_unsettled=True)
    venue.hold(c, 20)
    venue.day(MONDAY, WEDNESDAY)
    venue.trade(venue.b, c, 6, 100)
    venue.day(TUESDAY, THURSDAY)
    venue.trade(venue.b, c, 14, 100)

    asked = {qty: venue.send(bracket(c, qty)) for qty in (10, 15, 16, 29)}

    days = {qty: told(reply)[1] for qty, reply in asked.items()}
    assert {10: "2026-11-18", 15: "2026-11-18", 16: "2026-11-19", 29: "2026-11-19"} == days
    venue.run(WEDNESDAY)
    assert venue.send(replace(bracket(c, 15), client_order_id="paid")).refusal is None


def test_a_policy_taken_back_changes_no_day(venue: SettlingDesk) -> None:
    """What is unpaid settles when it does."""
    venue.ok(SetAccountPolicy(venue.c, False))
    assert "2026-11-19" == told(venue.place(venue.c, SELL, 1, 100))[1]


def test_a_sale_of_more_than_is_free_says_what_is_held_by_orders() -> None:
    """Of a new order and of a replace alike, with what is there at all."""
    venue = settling_desk()
    venue.day(MONDAY, WEDNESDAY)
    working = venue.place(venue.a, SELL, 990, 105).order
    assert working is not None
    other = venue.place(venue.a, SELL, 10, 105).order
    assert other is not None

    replies = [venue.place(venue.a, SELL, 11, 100), venue.replace(venue.a, other.order_id, qty=11)]

    for reply in replies:
        assert reply.refusal is not None
        told_of = {"symbol": "X", "existing_qty": "1000.00000000", "available": "0.00000000"}
        held = {"held_for_orders": "1000.00000000"}
        assert ("INSUFFICIENT_QTY", told_of | held) == (
            reply.refusal.code,
            {name: reply.refusal.details[name] for name in told_of | held},
        )
