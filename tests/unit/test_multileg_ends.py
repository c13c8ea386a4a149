"""How multi-leg orders end and change: all legs with them, in one command."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

import msgspec
import pytest

from application.commands import (
    BustTrade,
    CancelAll,
    CancelOrder,
    ChangeInstrument,
    CloseAllPositions,
    ReplaceOrder,
    SetKillSwitch,
)
from domain.events import (
    MultiLegCanceled,
    MultiLegExecuted,
    MultiLegExpired,
    MultiLegReplaced,
    OrderCanceled,
    OrderExpired,
    OrderFilled,
)
from domain.identifiers import NO_ID
from domain.multileg import MultiLegOrder
from domain.terms import CancelReason, Side, StrategyStatus, TimeInForce
from tests.model.desk_harness import code, shares, wire
from tests.model.strategy_desk import PAIR, TURNED, StrategyDesk, buys, sells

DAY = TimeInForce.DAY


def resting(**terms: Any) -> tuple[StrategyDesk, MultiLegOrder]:
    """Ten pairs of which four have traded."""
    desk = StrategyDesk()
    desk.bids("B", 99, 99)
    parent = desk.placed(desk.me, PAIR, 10, 2, **terms)
    desk.offers("A", 4, 101)
    assert shares(4) == parent.filled
    return desk, parent


def free(desk: StrategyDesk, account: UUID) -> tuple[int, list[int]]:
    """What an account holds, and what its positions reserve."""
    positions = desk.desk.accounts.positions_of(account)
    return desk.desk.accounts.by_id[account.int].held, [one.reserved for one in positions]


def by_id(desk: StrategyDesk, parent: MultiLegOrder) -> None:
    """By its id."""
    desk.cancel(desk.me, parent.id)


def by_name(desk: StrategyDesk, parent: MultiLegOrder) -> None:
    """By its name."""
    desk.ok(CancelOrder(desk.me, None, parent.client_order_id, "by name"))


def with_all(desk: StrategyDesk, parent: MultiLegOrder) -> None:
    """With all of the account, where it is told once."""
    result = desk.ok(CancelAll(desk.me)).result
    assert result == {"canceled": [str(parent.id)], "remaining": 0}


def with_all_of_a_leg(desk: StrategyDesk, parent: MultiLegOrder) -> None:
    """With all of a leg's instrument."""
    desk.ok(CancelAll(desk.me, "B"))


def by_operator(desk: StrategyDesk, parent: MultiLegOrder) -> None:
    """By an operator."""
    desk.ok(CancelAll(desk.me, by_operator=True))


@pytest.mark.parametrize(
    ("act", "reason"),
    [
        (by_id, CancelReason.CLIENT),
        (by_name, CancelReason.CLIENT),
        (with_all, CancelReason.CLIENT),
        (with_all_of_a_leg, CancelReason.CLIENT),
        (by_operator, CancelReason.OPERATOR),
    ],
)
def test_multileg_cancel_takes_all_legs_along_in_one_command(
    act: Callable[[StrategyDesk, MultiLegOrder], None], reason: CancelReason
) -> None:
    """However it is asked for; what has traded stays, what was held is free."""
    desk, parent = resting()

    act(desk, parent)

    (event,) = desk.happened(MultiLegCanceled)
    assert (shares(6), shares(4), reason) == (event.canceled_qty, event.filled, event.reason)
    assert [shares(6)] * 2 == [one.canceled_qty for one in desk.happened(OrderCanceled)]
    assert (0, [0, 0, 0]) == free(desk, desk.me)
    assert StrategyStatus.CANCELED == desk.status(parent)
    assert "ORDER_NOT_WORKING" == code(desk.cancel(desk.me, parent.id))
    desk.audit()


@pytest.mark.parametrize("place", [0, 1])
def test_multileg_leg_is_neither_canceled_nor_replaced_alone(place: int) -> None:
    """By no name that it has; the whole works on."""
    desk, parent = resting()
    leg = parent.strategy[place].order_id

    said = [
        code(desk.cancel(desk.me, leg)),
        code(desk.send(CancelOrder(desk.me, None, str(leg), "by name"))),
        code(desk.replace(desk.me, leg, qty=9)),
        code(desk.send(ReplaceOrder(desk.me, NO_ID, "", "r", shares(9), name=str(leg)))),
    ]

    assert ["LEG_OF_STRATEGY"] * 4 == said
    assert StrategyStatus.WORKING == desk.status(parent)
    desk.audit()


def test_multileg_order_of_another_account_is_unknown() -> None:
    """Neither by id nor by name."""
    desk, parent = resting(client="mine")

    assert "UNKNOWN_ORDER" == code(desk.cancel(desk.you, parent.id))
    assert "UNKNOWN_ORDER" == code(desk.send(CancelOrder(desk.you, None, "mine", "x")))
    assert "UNKNOWN_ORDER" == code(desk.replace(desk.you, parent.id, qty=20))
    desk.audit()


@pytest.mark.parametrize("symbol", ["A", "B"])
def test_multileg_day_order_expires_with_the_session_of_any_leg(symbol: str) -> None:
    """All legs with it, also the one whose own session goes on; gtc stays."""
    desk, parent = resting(tif=DAY)
    stays = desk.placed(desk.me, PAIR, 1, -50)

    desk.close(symbol)
    desk.expire(symbol)

    assert (StrategyStatus.EXPIRED, StrategyStatus.WORKING) == (
        desk.status(parent),
        desk.status(stays),
    )
    expired = [event for event in desk.log if isinstance(event, MultiLegExpired | OrderExpired)]
    assert [MultiLegExpired, OrderExpired, OrderExpired] == [type(event) for event in expired]
    assert 1 == len({event.correlation_id for event in expired})
    desk.audit()


def test_multileg_order_whose_position_was_taken_away_ends_whole() -> None:
    """What a leg was to close is busted: neither that leg nor the others trade any more."""
    desk = StrategyDesk()
    fresh = desk.account("fresh")
    desk.offers("B", 10, 100)
    desk.bids("B", 10, 100, fresh)
    parent = desk.placed(fresh, PAIR, 6, -50)

    desk.bust_last()

    assert StrategyStatus.CANCELED == desk.status(parent)
    assert CancelReason.POSITION_CLOSED == desk.parent(parent.id).end_reason
    assert (0, [0, 0]) == free(desk, fresh)
    desk.audit()


def test_multileg_order_ends_when_all_positions_are_closed() -> None:
    """Closing everything cancels it first, each leg once."""
    desk, parent = resting()

    desk.ok(CloseAllPositions(desk.me, "close", cancel_orders=True))
    desk.ok(CloseAllPositions(desk.me, "close on"))

    assert StrategyStatus.CANCELED == desk.status(parent)
    desk.audit()


def test_multileg_order_under_a_kill_switch_is_canceled_and_not_replaced() -> None:
    """What trades on is stopped as single orders are."""
    desk, parent = resting()
    desk.ok(SetKillSwitch(desk.me, True, "stop"))

    if desk.parent(parent.id).is_live:
        assert "ACCOUNT_KILL_SWITCH" == code(desk.replace(desk.me, parent.id, qty=20))
        desk.cancel(desk.me, parent.id)

    assert StrategyStatus.CANCELED == desk.status(parent)
    desk.audit()


@pytest.mark.parametrize(
    ("terms", "left", "later"),
    [
        ({"qty": 12}, 8, True),
        ({"qty": 7}, 3, False),
        ({"limit": 1}, 6, True),
        ({"limit": 2, "qty": 7}, 3, False),
        ({"qty": 12, "limit": "2.50"}, 8, True),
    ],
)
def test_multileg_replace_changes_units_and_net_price_of_all_legs(
    terms: dict[str, Any], left: int, later: bool
) -> None:
    """Only fewer units keep the place; every leg works for its share of what is left."""
    desk, parent = resting()
    before = parent.sequence

    desk.replace(desk.me, parent.id, client="renamed", **terms)

    (event,) = desk.happened(MultiLegReplaced)
    assert shares(left) == event.leaves_after == desk.parent(parent.id).leaves
    assert later == (parent.sequence > before)
    assert parent is desk.desk.strategies.find(desk.me, None, "renamed")
    desk.ok(CancelOrder(desk.me, event.revision_id, "", "by its new id"))
    assert (0, [0, 0, 0]) == free(desk, desk.me)
    desk.audit()


def test_multileg_replace_trades_at_once_what_its_new_price_lets() -> None:
    """As an order that comes."""
    desk, parent = resting()
    desk.offers("A", 9, 103)

    desk.replace(desk.me, parent.id, limit=4)

    assert [("A", 6, 103), ("B", 6, 99)] == desk.paid()
    assert StrategyStatus.FILLED == desk.status(parent)
    desk.audit()


@pytest.mark.parametrize(
    ("terms", "refused", "field"),
    [
        ({"qty": 4}, "STRATEGY_QTY", "qty"),
        ({"qty": 3}, "STRATEGY_QTY", "qty"),
        ({"qty": "10.5"}, "STRATEGY_QTY", "qty"),
        ({"stop": 1}, "INVALID_FIELD", "stop_price"),
        ({"tif": DAY}, "INVALID_FIELD", "time_in_force"),
        ({"trail": 1}, "INVALID_FIELD", "trail"),
        ({"qty": 10_005}, "INSUFFICIENT_QTY", "qty"),
        ({}, "NOTHING_TO_REPLACE", ""),
    ],
)
def test_multileg_replace_that_cannot_be_changes_nothing(
    terms: dict[str, Any], refused: str, field: str
) -> None:
    """And says which field it was."""
    desk, parent = resting()
    before = msgspec.structs.astuple(desk.happened(MultiLegExecuted)[0])
    state = parent.state()

    reply = desk.replace(desk.me, parent.id, **terms)

    assert refused == code(reply)
    assert reply.refusal is not None
    assert field == reply.refusal.details.get("field", "")
    assert state == parent.state() and before
    desk.audit()


def test_multileg_order_is_found_by_every_id_that_it_ever_had() -> None:
    """After two replaces the first one's id still names it, as with single orders."""
    desk, parent = resting()
    desk.replace(desk.me, parent.id, limit=1)
    first = parent.revision_id
    desk.replace(desk.me, first, limit="1.50")

    desk.ok(CancelOrder(desk.me, first, "", "by the first id"))

    assert StrategyStatus.CANCELED == desk.status(parent)
    desk.audit()


def test_multileg_busted_leg_leaves_the_others_as_they_are() -> None:
    """The fill is undone in its order and account; the whole stays filled, as its event said."""
    desk, parent = resting()
    fills = [event for event in desk.log if isinstance(event, OrderFilled)]
    sold = next(event for event in fills if event.leg == 12)
    pair = [event for event in fills if event.trade_id == sold.trade_id]
    desk.desk.trades_found[sold.trade_id] = (pair[0], pair[1])

    desk.ok(BustTrade(sold.trade_id, 1, "error"))

    assert shares(4) == desk.parent(parent.id).filled
    assert [shares(6)] * 2 == [desk.order(leg.order_id).leaves for leg in parent.strategy]
    assert 0 == desk.order(parent.strategy[1].order_id).filled
    desk.cancel(desk.me, parent.id)
    desk.audit()


def test_multileg_order_follows_a_leg_that_is_renamed() -> None:
    """Its legs are instruments, not names."""
    desk, parent = resting()
    desk.ok(ChangeInstrument("A", new_symbol="Z"))
    desk.instrument("A", collar_bps=9_000)
    desk.offers("A", 9, 101, desk.account("stranger"))

    desk.place(desk.maker, Side.SELL, 6, 101, symbol="Z")

    assert StrategyStatus.FILLED == desk.status(parent)
    desk.audit()


def test_multileg_order_and_a_bracket_share_a_book() -> None:
    """Exits that rest in a leg's book trade with a pair like any other order, group and all."""
    from application.commands import PlaceGroup

    desk = StrategyDesk()
    desk.bids("B", 50, 99)
    exits = (wire(102), wire(95))
    desk.ok(PlaceGroup(desk.you, "A", 1, 2, 2, 1, shares(5), 0, 0, "oco", *exits))

    parent = desk.placed(desk.me, PAIR, 5, 3)

    assert StrategyStatus.FILLED == desk.status(parent)
    assert {} == desk.desk.orders.groups
    desk.audit()


def test_multileg_client_name_is_free_again_when_the_order_is_over() -> None:
    """Two live ones never share it, whoever placed them first."""
    desk, parent = resting(client="name")
    desk.cancel(desk.me, parent.id)

    again = desk.placed(desk.me, TURNED, 1, 50, client="name")

    assert again is desk.desk.strategies.find(desk.me, None, "name")
    desk.audit()


def test_multileg_ratio_keeps_through_replace_and_fill() -> None:
    """3 A for 2 B, replaced twice between fills: legs trade and are left in ratio."""
    desk = StrategyDesk()
    desk.bids("B", 50, 99)
    legs = (buys("A", 3), sells("B", 2))
    parent = desk.placed(desk.me, legs, 6, 200)
    desk.offers("A", 7, 101)
    desk.replace(desk.me, parent.id, qty=9)
    desk.offers("A", 7, 101)
    desk.replace(desk.me, parent.id, qty=8, limit=150)
    desk.offers("A", 40, 101)

    first, second = [desk.order(leg.order_id) for leg in parent.strategy]
    assert (shares(24), shares(16)) == (first.filled, second.filled)
    assert StrategyStatus.FILLED == desk.status(parent)
    desk.audit()
