"""The benchmarks' order flow as FIX messages."""

from __future__ import annotations

from typing import NamedTuple

from application.commands import PlaceOrder
from application.orders import CancelOrder
from bench.flow import Floor, commands
from domain.money import QTY_SCALE, WIRE_PRICE_SCALE, to_text

Fields = list[tuple[int, bytes]]
_TRANSACTED = (60, b"20261130-10:00:00.000")


class Asked(NamedTuple):
    """A message to send: the ClOrdID under which it is answered, its type and its fields."""

    name: bytes
    msg_type: bytes
    fields: Fields


def label_of(number: int) -> str:
    """What Account(1) calls an account of the floor."""
    return f"A{number:02d}"


def messages(floor: Floor, count: int, seed: int, prefix: str, *, cancels: bool) -> list[Asked]:
    """`count` commands of the flow that the bus is offered, as D and F."""
    labels = {account: label_of(number).encode() for number, account in enumerate(floor.accounts)}
    placed: dict[str, PlaceOrder] = {}
    made: list[Asked] = []
    for command in commands(floor, count if cancels else 2 * count, seed, prefix):
        if isinstance(command, PlaceOrder):
            placed[command.client_order_id] = command
            made.append(_new(command, labels[command.account_id]))
        elif cancels:
            assert isinstance(command, CancelOrder)
            order = placed[command.client_order_id]
            made.append(_cancel(command, order, labels[order.account_id], len(made)))
    return made[:count]


def _new(order: PlaceOrder, label: bytes) -> Asked:
    name = order.client_order_id.encode()
    fields: Fields = [
        (11, name),
        (1, label),
        (55, order.symbol.encode()),
        (54, b"%d" % order.side),
        _TRANSACTED,
        (38, to_text(order.qty, QTY_SCALE).encode()),
        (40, b"%d" % order.order_type),
        (59, b"%d" % order.time_in_force),
    ]
    if order.limit_price:
        fields.append((44, to_text(order.limit_price, WIRE_PRICE_SCALE).encode()))
    return Asked(name, b"D", fields)


def _cancel(command: CancelOrder, order: PlaceOrder, label: bytes, number: int) -> Asked:
    target = order.client_order_id.encode()
    name = b"%b-c%d" % (target, number)
    side = b"%d" % order.side
    fields: Fields = [
        (41, target),
        (11, name),
        (1, label),
        (55, order.symbol.encode()),
        (54, side),
        _TRANSACTED,
    ]
    return Asked(name, b"F", fields)


def refused(count: int, prefix: str) -> list[Asked]:
    """Orders of an account that is none of the session's: the gateway answers by itself."""
    return [
        Asked(
            b"%b-%d" % (prefix.encode(), number),
            b"D",
            [
                (11, b"%b-%d" % (prefix.encode(), number)),
                (1, b"ANOTHERS"),
                (55, b"B000"),
                (54, b"1"),
                _TRANSACTED,
                (38, b"100"),
                (40, b"2"),
                (44, b"99"),
            ],
        )
        for number in range(count)
    ]
