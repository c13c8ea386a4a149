"""The desk as bytes: the state hash that must agree everywhere, and the desk snapshot."""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

import msgspec

from application.desk.desk import Desk
from domain.account import Account
from domain.identifiers import uuid_of
from domain.instrument import Instrument
from domain.matching.engine import Market
from domain.oco import Oco
from domain.order import Order
from domain.position import Position
from domain.settlement import Obligation, ObligationKey, Settlement
from domain.terms import Side
from domain.venue import Venue

FORMAT = 2
_ENCODER = msgspec.msgpack.Encoder(uuid_format="bytes")
_SIDES = (int(Side.BUY), int(Side.SELL))


class SnapshotFormat(Exception):
    """A desk snapshot of a format this version does not read."""


def dump(desk: Desk) -> bytes:
    """All state of the desk in one canonical order: equal desks give equal bytes."""
    return _ENCODER.encode(
        [
            FORMAT,
            desk.partition,
            desk.position,
            desk.last_at,
            desk.command,
            desk.sequence,
            [market.instrument.state() for market in desk.markets.values()],
            [account.state() for account in desk.accounts.values()],
            [position.state() for position in desk.positions.values()],
            [order.state() for order in desk.orders.values()],
            [[key, revisions] for key, revisions in sorted(desk.revisions_of.items())],
            [_market_rows(market) for market in desk.markets.values()],
            sorted(desk.busted),
            [[key, *value] for key, value in sorted(desk.corrected.items())],
            [group.state() for _, group in sorted(desk.groups.items())],
            [[*key, *owed.state()] for key, owed in desk.obligations.items()],
            [row.state() for _, row in sorted(desk.settlements.items())],
            sorted([key, qty] for key, qty in desk.pool.items()),
            sorted([key, *rate] for key, rate in desk.order_rates.items()),
            desk.venue.state(),
        ]
    )


def _market_rows(market: Market) -> list[Any]:
    """Last price, each side of the book in strict priority, and the waiting stops."""
    return [
        market.last_price,
        *[[list(row) for row in market.book.orders(side)] for side in _SIDES],
        market.stops.rows(),
    ]


def state_hash(desk: Desk) -> bytes:
    """Sixteen bytes that are equal live, replayed, from a snapshot and on the standby."""
    return state_hash_of(dump(desk))


def state_hash_of(state: bytes) -> bytes:
    """The state hash of a desk that is bytes already."""
    return blake2b(state, digest_size=16).digest()


def load(state: bytes) -> Desk:
    """The desk in these bytes; raises SnapshotFormat."""
    values: list[Any] = msgspec.msgpack.decode(state)
    if values[0] != FORMAT:
        raise SnapshotFormat(f"format {values[0]}, this version reads {FORMAT}")
    desk = Desk(values[1])
    desk.position, desk.last_at, desk.command, desk.sequence = values[2:6]
    for row in values[6]:
        desk.add_instrument(Instrument.from_state(row))
    for row in values[7]:
        desk.add_account(Account.from_state(row))
    for row in values[8]:
        position = Position.from_state(row)
        desk.add_position(position)
    for row in values[9]:
        order = Order.from_state(row)
        desk.add_working(order, desk.positions[order.account_id, order.instrument_id])
    for key, revisions in values[10]:
        order = desk.orders[uuid_of(key)]
        ids = [uuid_of(revision) for revision in revisions]
        desk.revisions_of[order.id] = ids
        desk.revisions.update((revision, order) for revision in ids)
    for market, (last_price, buys, sells, stops) in zip(
        desk.markets.values(), values[11], strict=True
    ):
        market.last_price = last_price
        for side, rows in zip(_SIDES, (buys, sells), strict=True):
            for key, ticks, lots, owner in rows:
                market.book.add(key, side, ticks, lots, owner)
        for side, price, sequence in stops:
            market.stops.add(side, price, sequence)
    desk.busted = {uuid_of(key) for key in values[12]}
    desk.corrected = {uuid_of(key): tuple(found) for key, *found in values[13]}
    for row in values[14]:
        group = Oco.from_state(row)
        desk.groups[group.id] = group
    for account_id, instrument_id, value_date, *owed in values[15]:
        key = ObligationKey(uuid_of(account_id), uuid_of(instrument_id), value_date)
        desk.obligations[key] = Obligation.from_state(owed)
    for row in values[16]:
        settlement = Settlement.from_state(row)
        desk.settlements[settlement.key] = settlement
    desk.pool = {uuid_of(key): qty for key, qty in values[17]}
    desk.order_rates = {uuid_of(key): (second, count) for key, second, count in values[18]}
    desk.venue = Venue.from_state(values[19])
    return desk
