"""The stream tells each update of a multi-leg order once, with its legs as they stood."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

import pytest

from api.asset_classes import AssetClasses
from api.groups import Groups
from api.symbols import Symbols
from api.ws.trade_updates import TOLD, TradeUpdates, holdings_in
from application.commands import PlaceMultiLeg, ReplaceOrder
from application.log.ports import Batch, Recorded
from domain.terms import OrderType, Side, TimeInForce
from infrastructure.log.memory import MemoryLog
from tests.model.desk_harness import DeskHarness, shares, wire
from tests.model.told_updates import Told, told_of

BUY, SELL = int(Side.BUY), int(Side.SELL)


class Pair:
    """Two instruments, somebody who quotes them and somebody who trades the pair."""

    def __init__(self) -> None:
        self.desk = DeskHarness()
        self.maker, self.taker = self.desk.account("maker"), self.desk.account("taker")
        for symbol in "AB":
            self.desk.instrument(symbol)
            for account in (self.maker, self.taker):
                self.desk.hold(account, 1000, symbol)

    def quote(self, qty: int) -> None:
        """Offer A at 101 and bid 99 for B."""
        self.desk.place(self.maker, Side.SELL, qty, limit=101, symbol="A")
        self.desk.place(self.maker, Side.BUY, qty, limit=99, symbol="B")

    def spread(self, qty: int, net: int, name: str, ratio: int = 1) -> Any:
        """Buy A and sell B at a net price."""
        legs = (("A", BUY, ratio, 0), ("B", SELL, ratio, 0))
        return self.desk.send(
            PlaceMultiLeg(
                self.taker,
                int(OrderType.LIMIT),
                int(TimeInForce.GTC),
                shares(qty),
                wire(net),
                name,
                legs,
            )
        )


@pytest.fixture
def pair() -> Pair:
    """A pair of the test's own."""
    return Pair()


def told(pair: Pair) -> list[dict[str, Any]]:
    """Every message that the taker's stream is sent."""
    events = [Recorded(position, event) for position, event in enumerate(pair.desk.log, 1)]
    holdings = holdings_in(events)

    async def tell() -> list[dict[str, Any]]:
        log = MemoryLog()
        await log.append(Batch(1, pair.desk.log, []))
        updates = TradeUpdates(log, AssetClasses(log), Groups(log), Symbols())
        return [
            update
            for one in events
            if isinstance(one.event, TOLD) and one.event.account_id == pair.taker
            for update in await updates.of(one, holdings)
        ]

    messages = asyncio.run(tell())
    assert told_of(events, pair.taker) == [Told.by(message) for message in messages]
    return messages


def of(messages: list[dict[str, Any]], order_id: UUID) -> list[tuple[str, str, str]]:
    """What was told of one order: event, status and filled quantity."""
    return [
        (one["exact_event"], one["order"]["status"], one["order"]["filled_qty"])
        for one in messages
        if one["order"]["group_id"] == str(order_id) and one["order"]["leg"] is None
    ]


def test_multileg_updates_tell_its_life_beside_its_legs(pair: Pair) -> None:
    """New, filled in parts and ended, each with the net price of what traded."""
    pair.quote(4)
    parent = pair.spread(10, 2, "m").strategy
    pair.desk.cancel(pair.taker, parent.order_id)

    messages = told(pair)

    assert [
        ("new", "new", "0.00000000"),
        ("partial_fill", "partially_filled", "4.00000000"),
        ("canceled", "canceled", "4.00000000"),
    ] == of(messages, parent.order_id)
    (fill,) = (one for one in messages if "price" in one and one["order"]["leg"] is None)
    assert ("2.000000", "4.00000000") == (fill["price"], fill["qty"])
    assert ["4.00000000"] * 2 == [leg["filled_qty"] for leg in fill["order"]["legs"]]
    legs = [one for one in messages if one["order"]["leg"] is not None]
    assert ["new", "new", "partial_fill", "partial_fill", "canceled", "canceled"] == [
        one["exact_event"] for one in legs
    ]


def test_multileg_replacement_ends_a_revision_and_begins_another(pair: Pair) -> None:
    """Two messages, each of its own revision, at one position."""
    parent = pair.spread(10, 1, "m").strategy
    pair.desk.send(
        ReplaceOrder(pair.taker, parent.order_id, "n", "n", qty=shares(5), limit_price=wire(2))
    )

    messages = [one for one in told(pair) if one["order"]["leg"] is None]

    assert ["new", "replaced", "new"] == [one["exact_event"] for one in messages]
    old, new = messages[1]["order"], messages[2]["order"]
    assert (old["id"], old["replaced_by"], new["id"]) == (
        *(str(parent.order_id), new["id"], old["replaced_by"]),
    )
    assert ("10.00000000", "5.00000000", "2.00") == (old["qty"], new["qty"], new["limit_price"])


def test_multileg_refusal_is_told_as_it_was_asked_for(pair: Pair) -> None:
    """One message, with the reason; no leg is told of."""
    pair.spread(10, 1, "m", ratio=2)

    (message,) = told(pair)

    assert ("rejected", "LEG_RATIO", "rejected") == (
        *(message["exact_event"], message["reason"], message["order"]["status"]),
    )
    assert ["2", "2"] == [leg["ratio_qty"] for leg in message["order"]["strategy"]["legs"]]
