"""Rooms of the desk: each kept by events alone, and each whole after dump and load."""

from __future__ import annotations

from copy import deepcopy
from functools import cache
from typing import Any

import msgspec
import pytest

from application.desk.accounts import Accounts
from application.desk.desk import Desk
from application.desk.floor import TradingFloor
from application.desk.markets import Markets
from application.desk.orders import Orders
from application.desk.state import SnapshotFormat, dump, load
from application.desk.trades import Trades
from application.desk.watchlists import Watchlists
from domain.events import DomainEvent, InstrumentEvent, OrderEvent
from domain.matching.engine import Market
from domain.terms import Side
from tests.model.command_flow import lived
from tests.model.written_desk import WRITTEN, full_desk


@cache
def events(seed: int) -> list[DomainEvent]:
    """The log of a lively market: trades, groups, busts, corrections, halts, renamed symbols."""
    return lived(seed, 500).log.events()


def book(market: Market) -> list[list[tuple[int, ...]]]:
    """Both sides of a book without owners, and the waiting stops."""
    sides = [[row[:3] for row in market.book.orders(int(side))] for side in Side]
    return [*sides, market.stops.rows(), market.stops.trailing.rows()]


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
    watchlists = Watchlists()
    watchlists.load(stored(desk.watchlists.dump()))

    assert desk.orders.dump() == orders.dump()
    assert desk.markets.dump() == markets.dump()
    assert desk.accounts.dump() == accounts.dump()
    assert desk.trades.dump() == trades.dump()
    assert desk.watchlists.dump() == watchlists.dump()
    assert [(p.working_buys, p.working_sells) for p in desk.accounts.positions.values()] == [
        (p.working_buys, p.working_sells) for p in accounts.positions.values()
    ]


OTHER_FORMAT = (
    "the format was raised: write a snapshot of it with python -m tests.model.written_desk"
)
OTHER_SHAPE = "a snapshot of this format is not read whole any more: raise FORMAT"


def misread(written: bytes) -> str:
    """What is to be done when a snapshot that was written before is not read whole."""
    try:
        again = dump(load(written))
    except SnapshotFormat:
        return OTHER_FORMAT
    except Exception:
        return OTHER_SHAPE
    whole = goes_on(msgspec.msgpack.decode(written), msgspec.msgpack.decode(again))
    return "" if whole else OTHER_SHAPE


def goes_on(before: Any, now: Any) -> bool:
    """Whether values say the same as before, and more only at the ends of lists."""
    if isinstance(before, list) and isinstance(now, list):
        return len(before) <= len(now) and all(map(goes_on, before, now))
    return bool(before == now)


def test_snapshot_that_was_written_under_this_format_is_read_whole() -> None:
    """A writer that starts finds the one that the program before it has left."""
    assert "" == misread(WRITTEN.read_bytes())


@pytest.mark.parametrize("room", [6, 7, 8], ids=["orders", "accounts", "trades"])
def test_snapshot_of_another_shape_is_told_from_one_of_another_format(room: int) -> None:
    """A list more or less, a row that means something else; and a number that was raised."""
    written = msgspec.msgpack.decode(dump(full_desk()))
    more, less, other, raised = (deepcopy(written) for _ in range(4))
    more[room].append([])
    less[room].pop()
    other[room][1][0].insert(1, 7)
    raised[0] += 1

    assert [OTHER_SHAPE] * 3 == [misread(_ENCODER.encode(one)) for one in (more, less, other)]
    assert OTHER_FORMAT == misread(_ENCODER.encode(raised))
