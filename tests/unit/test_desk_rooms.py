"""Rooms of the desk: each kept by events alone, and each whole after dump and load."""

from __future__ import annotations

from functools import cache
from typing import Any

import msgspec
import pytest

from application.desk.accounts import Accounts
from application.desk.desk import Desk
from application.desk.floor import TradingFloor
from application.desk.markets import Markets
from application.desk.orders import Orders
from application.desk.trades import Trades
from domain.events import DomainEvent, InstrumentEvent, OrderEvent
from domain.matching.engine import Market
from domain.terms import Side
from tests.model.command_flow import lived


@cache
def events(seed: int) -> list[DomainEvent]:
    """The log of a lively market: trades, groups, busts, corrections, halts, renamed symbols."""
    return lived(seed, 500).log.events()


def book(market: Market) -> list[list[tuple[int, int, int]]]:
    """Both sides of a book without owners, and the waiting stops."""
    sides = [[row[:3] for row in market.book.orders(int(side))] for side in Side]
    return [*sides, market.stops.rows()]


def stored(state: list[Any]) -> list[Any]:
    """A room as a snapshot gives it back: ids are bytes."""
    found: list[Any] = msgspec.msgpack.decode(_ENCODER.encode(state))
    return found


_ENCODER = msgspec.msgpack.Encoder(uuid_format="bytes")


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_market_rooms_alone_keep_the_books_from_order_and_instrument_events(seed: int) -> None:
    """A feed needs neither accounts nor their events to have every book as the venue has it."""
    desk, floor = Desk(), TradingFloor()
    for event in events(seed):
        desk.apply(event)
        if isinstance(event, OrderEvent | InstrumentEvent):
            floor.apply(event)

    assert any(any(book(market)) for market in floor.markets.by_id.values())
    for identifier, market in desk.markets.by_id.items():
        alone = floor.markets.by_id[identifier]
        assert book(market) == book(alone)
        assert market.last_price == alone.last_price
        assert market.instrument.state() == alone.instrument.state()
    assert {*desk.markets.by_symbol} == {*floor.markets.by_symbol}


def test_market_rooms_pass_over_what_is_none_of_theirs() -> None:
    """The whole log may be given to them: events of accounts and positions move nothing."""
    floor, whole = TradingFloor(), TradingFloor()
    for event in events(1):
        whole.apply(event)
        if isinstance(event, OrderEvent | InstrumentEvent):
            floor.apply(event)

    assert floor.markets.dump() == whole.markets.dump()


@pytest.mark.parametrize("seed", [1, 2])
def test_each_room_is_whole_after_dump_and_load(seed: int) -> None:
    """What a room dumps is all it needs, and loading it says the same again."""
    desk = Desk()
    for event in events(seed):
        desk.apply(event)
    orders, markets, accounts, trades = Orders(), Markets(), Accounts(), Trades()
    orders.load(stored(desk.orders.dump()))
    markets.load(stored(desk.markets.dump()))
    accounts.load(stored(desk.accounts.dump()), orders.working.values())
    trades.load(stored(desk.trades.dump()))

    assert desk.orders.dump() == orders.dump()
    assert desk.markets.dump() == markets.dump()
    assert desk.accounts.dump() == accounts.dump()
    assert desk.trades.dump() == trades.dump()
    assert [(p.working_buys, p.working_sells) for p in desk.accounts.positions.values()] == [
        (p.working_buys, p.working_sells) for p in accounts.positions.values()
    ]
