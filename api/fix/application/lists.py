"""Lists of orders: each an order of its own, or together an oco or a bracket."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import NamedTuple
from uuid import UUID

from api.fix.application import orders_in
from api.fix.application import tags as t
from api.fix.application import vocabulary as v
from api.fix.application.behind import Behind, Client
from api.fix.application.fields import (
    Entry,
    MissingField,
    NotServed,
    WrongValue,
    entries_in,
    may_be_known,
    name_in,
)
from api.fix.application.repeats import Arrival, is_repeat
from api.fix.application.reports import ord_status
from api.fix.application.values import average, quantity, text, timestamp
from api.fix.application.words import refusal_text
from api.fix.ports import Body, Received
from api.refusals import SAYS
from application.commands import Refusal, Reply
from application.orders import PlaceGroup, PlaceOrder
from application.requests import Command
from domain.order import Order
from domain.order_terms import STOPS
from domain.request_errors import RequestKeyReused
from domain.terms import OrderClass, OrderType

LIST_STATUS = b"N"
MOST_ORDERS = 200
"""How many orders a list may have."""
_RESPONSE = b"2"
_OCO = int(OrderClass.OCO)
_LIMIT = int(OrderType.LIMIT)
_TRAILING = int(OrderType.TRAILING_STOP)


Arriving = Callable[[Command], Arrival]


class Came(NamedTuple):
    """What became of one order of a list."""

    client_order_id: bytes
    order: Order | None = None
    reason: int = 0
    text: str = ""


class Wanted(NamedTuple):
    """One order of a list, and how it was asked for."""

    entry: Entry
    order: PlaceOrder


class _Sender(NamedTuple):
    """Who places the orders of a list."""

    behind: Behind
    client: Client
    arrives: Arriving
    may_be_known: bool

    async def send(self, command: PlaceOrder | PlaceGroup) -> Reply | Refusal:
        """Have orders placed; a name that was used before is refused, unless it may be known."""
        arrival = self.arrives(command)
        reply = await self.behind.send(self.client, command)
        if reply.refusal is not None:
            return reply.refusal
        if not reply.duplicate or self.may_be_known:
            return reply
        if not await is_repeat(self.behind, self.client, command, arrival):
            return reply
        known = RequestKeyReused(command.key_field(), command.client_order_id)
        return Refusal(known.code, known.message, known.document())


async def new_list(behind: Behind, client: Client, message: Received, arrives: Arriving) -> None:
    """NewOrderList: every order is taken or refused by itself, but those of a group together."""
    list_id = name_in(message, t.LIST_ID)
    entries = list(entries_in(message, t.NO_ORDERS, t.CL_ORD_ID))
    if not 0 < len(entries) <= MOST_ORDERS:
        raise WrongValue(t.NO_ORDERS, f"is not 1 to {MOST_ORDERS}")
    if message.get(t.TOT_NO_ORDERS) != b"%d" % len(entries):
        raise NotServed(t.TOT_NO_ORDERS, "must be NoOrders(73): a list comes in one message")
    contingency = message.get(client.terms.list_tag) if client.terms.list_tag else None
    contingency = contingency or message.get(t.CONTINGENCY_TYPE) or b"0"
    sender = _Sender(behind, client, arrives, may_be_known(message))
    if contingency == b"0":
        came = await asyncio.gather(*(_placed(sender, entry) for entry in entries))
    else:
        came = await _placed_together(sender, entries, contingency)
    client.link.answer(_status(behind, list_id, list(came)))


async def _placed(sender: _Sender, entry: Entry) -> Came:
    """Place one order of a list that links none."""
    name = entry.get(t.CL_ORD_ID) or b"NONE"
    try:
        command = orders_in.place_order(entry, sender.client.terms)
    except NotServed as wanted:
        return Came(name, None, wanted.reason, str(wanted))
    except (WrongValue, MissingField) as wrong:
        return Came(name, None, _OTHER, str(wrong))
    sent = await sender.send(command)
    if isinstance(sent, Refusal):
        return _refused(name, sent)
    assert sent.order is not None
    return Came(name, await sender.behind.order(sent.order.order_id))


_OTHER = 99


def _refused(name: bytes, refusal: Refusal) -> Came:
    said = refusal_text(refusal.code, refusal.message, refusal.details)
    return Came(name, None, SAYS[refusal.code].ord_rej_reason, said)


async def _placed_together(sender: _Sender, entries: list[Entry], contingency: bytes) -> list[Came]:
    """Place a group, or none of it; its legs but the first go by names of the venue's."""
    names = [entry.get(t.CL_ORD_ID) or b"NONE" for entry in entries]
    try:
        order_class = v.CONTINGENCIES.get((contingency, len(entries)))
        if order_class is None:
            raise NotServed(t.CONTINGENCY_TYPE, "1 takes two orders, 2 two or three; no other is")
        wanted = [Wanted(one, orders_in.place_order(one, sender.client.terms)) for one in entries]
        command, places = group_of(wanted, int(order_class))
    except NotServed as refused:
        return [Came(name, None, refused.reason, str(refused)) for name in names]
    except (WrongValue, MissingField) as wrong:
        return [Came(name, None, _OTHER, str(wrong)) for name in names]
    sent = await sender.send(command)
    if isinstance(sent, Refusal):
        return [_refused(name, sent) for name in names]
    assert sent.order is not None
    ids = [sent.order.order_id, *(leg.order_id for leg in sent.legs)]
    legs = zip(names, places, strict=True)
    return [await _leg(sender.behind, name, ids[place]) for name, place in legs]


async def _leg(behind: Behind, name: bytes, order_id: UUID) -> Came:
    order = await behind.order(order_id)
    assert order is not None, "what was placed is in the log"
    known = order.client_order_id.encode()
    return Came(name, order, 0, "" if known == name else f"reported as {order.client_order_id}")


def group_of(wanted: list[Wanted], order_class: int) -> tuple[PlaceGroup, list[int]]:
    """The command that places a group, and which leg of it each order of the list is.

    An oco is a limit order and a stop; otherwise the first order is the entry and the others are
    its exits. Raises NotServed.
    """
    orders = [one.order for one in wanted]
    entry = None if order_class == _OCO else orders[0]
    exits = orders if entry is None else orders[1:]
    profit = next((one for one in exits if one.order_type == _LIMIT), None)
    loss = next((one for one in exits if one.order_type in STOPS), None)
    given = [one for one in (profit, loss) if one is not None]
    if len(given) != len(exits) or any(one.order_type == _TRAILING for one in orders):
        raise NotServed(t.ORD_TYPE, "of exits is one limit order and one stop")
    first = entry or profit
    assert first is not None, "an oco has both exits"
    for other in orders:
        _alike(first, other, opposite=entry is not None and other is not entry)
    command = PlaceGroup(
        first.account_id,
        symbol=first.symbol,
        order_class=order_class,
        side=first.side,
        order_type=first.order_type,
        time_in_force=first.time_in_force,
        qty=first.qty,
        limit_price=0 if entry is None else entry.limit_price,
        stop_price=0 if entry is None else entry.stop_price,
        client_order_id=first.client_order_id,
        take_profit_price=profit.limit_price if profit is not None else 0,
        stop_loss_price=loss.stop_price if loss is not None else 0,
        stop_loss_limit_price=loss.limit_price if loss is not None else 0,
        expires_at=first.expires_at,
        locate=first.locate,
    )
    legs = [one for one in (entry, profit, loss) if one is not None]
    return command, [legs.index(one) for one in orders]


def _alike(first: PlaceOrder, other: PlaceOrder, *, opposite: bool) -> None:
    """Orders of a group are of one account, instrument, quantity and time; exits are opposite."""
    if first.account_id != other.account_id:
        raise NotServed(t.ACCOUNT, "of orders of a group is the same")
    if first.symbol != other.symbol:
        raise NotServed(t.SYMBOL, "of orders of a group is the same")
    if (first.side == other.side) == opposite:
        raise NotServed(t.SIDE, "of exits is the same, and opposite to their entry's")
    if first.qty != other.qty or other.notional:
        raise NotServed(t.ORDER_QTY, "of orders of a group is the same")
    if (first.time_in_force, first.expires_at) != (other.time_in_force, other.expires_at):
        raise NotServed(t.TIME_IN_FORCE, "of orders of a group is the same")
    if other.post_only:
        raise NotServed(t.EXEC_INST, "6 is no term of orders of a group")


def _status(behind: Behind, list_id: str, came: list[Came]) -> Body:
    working = any(one.order is not None and one.order.is_working for one in came)
    taken = any(one.order is not None for one in came)
    status = v.ListOrderStatus.EXECUTING if working else v.ListOrderStatus.ALL_DONE
    fields: list[tuple[int, bytes]] = [
        (t.LIST_ID, list_id.encode()),
        (t.LIST_STATUS_TYPE, _RESPONSE),
        (t.NO_RPTS, b"1"),
        (t.LIST_ORDER_STATUS, status if taken else v.ListOrderStatus.REJECT),
        (t.RPT_SEQ, b"1"),
        (t.TRANSACT_TIME, timestamp(behind.clock.now())),
        (t.TOT_NO_ORDERS, b"%d" % len(came)),
        (t.NO_ORDERS, b"%d" % len(came)),
    ]
    for one in came:
        fields += _entry(one)
    return Body(LIST_STATUS, fields)


def _entry(one: Came) -> list[tuple[int, bytes]]:
    order = one.order
    fields = [(t.CL_ORD_ID, one.client_order_id)]
    if order is None:
        fields += [
            (t.CUM_QTY, b"0"),
            (t.ORD_STATUS, v.REJECTED),
            (t.LEAVES_QTY, b"0"),
            (t.CXL_QTY, b"0"),
            (t.AVG_PX, b"0"),
            (t.ORD_REJ_REASON, b"%d" % one.reason),
        ]
    else:
        gone = 0 if order.is_working else order.qty - order.filled
        fields += [
            (t.CUM_QTY, quantity(order.filled)),
            (t.ORD_STATUS, ord_status(order)),
            (t.LEAVES_QTY, quantity(order.leaves)),
            (t.CXL_QTY, quantity(gone)),
            (t.AVG_PX, average(order.value, order.filled, order.price_decimals)),
        ]
    if one.text:
        fields.append((t.TEXT, text(one.text)))
    return fields
