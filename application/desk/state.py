"""The desk as bytes: the state hash that must agree everywhere, and the desk snapshot."""

from __future__ import annotations

from hashlib import blake2b
from typing import Any, NamedTuple

import msgspec

from application.desk.desk import Desk
from application.desk.floor import TradingFloor
from application.desk.kept_orders import KeptOrders
from domain.identifiers import Instant

FORMAT = 16
_ENCODER = msgspec.msgpack.Encoder(uuid_format="bytes")


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
            desk.markets.dump(),
            desk.orders.dump(),
            desk.accounts.dump(),
            desk.trades.dump(),
            desk.watchlists.dump(),
            desk.strategies.dump(),
            desk.keys.dump(),
        ]
    )


def state_hash(desk: Desk) -> bytes:
    """Sixteen bytes that are equal live, replayed, from a snapshot and on the standby."""
    return state_hash_of(dump(desk))


def state_hash_of(state: bytes) -> bytes:
    """The state hash of a desk that is bytes already."""
    return blake2b(state, digest_size=16).digest()


def is_of_earlier_format(state: bytes) -> bool:
    """Whether an earlier program wrote this: whoever recovers passes it over."""
    try:
        values = msgspec.msgpack.decode(state)
    except msgspec.MsgspecError:
        return False
    return bool(values) and type(values) is list and type(values[0]) is int and values[0] < FORMAT


def load(state: bytes) -> Desk:
    """The desk in these bytes; raises SnapshotFormat."""
    values = _values(state)
    desk = Desk(values[1])
    desk.moved_to(*values[2:5])
    desk.markets.load(values[5])
    desk.orders.load(values[6])
    desk.accounts.load(values[7], desk.orders.working.values())
    desk.trades.load(values[8])
    desk.watchlists.load(values[9])
    desk.strategies.load(values[10])
    desk.keys.load(values[11])
    return desk


class FloorAt(NamedTuple):
    """A floor, the position of the log where it stands, between two commands, and the instant of
    the last event there.
    """

    floor: TradingFloor
    position: int
    at: Instant


def load_floor(state: bytes) -> FloorAt:
    """The orders and markets of the desk in these bytes; raises SnapshotFormat."""
    values = _values(state)
    floor = TradingFloor(orders=KeptOrders())
    floor.markets.load(values[5])
    floor.orders.load(values[6])
    return FloorAt(floor, values[2], values[3])


def _values(state: bytes) -> list[Any]:
    values: list[Any] = msgspec.msgpack.decode(state)
    if values[0] != FORMAT:
        raise SnapshotFormat(f"format {values[0]}, this version reads {FORMAT}")
    return values
