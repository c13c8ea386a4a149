"""Positions that are closed all at once: a result for each, as Alpaca gives it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from hashlib import blake2b
from typing import Any, NamedTuple
from uuid import UUID

from api.auth import Principal
from api.documents import Document, Problem
from api.orders import Order
from api.processes.gateway import Gateway, new_key
from api.refusals import problem_document, status_of
from api.trading import KEY_NAMES, order_shown, trader
from application.commands import CloseAllPositions, Refusal, Reply


class ClosedPosition(Document):
    """What became of one position: the order that closes it, or why there is none."""

    symbol: str
    status: int
    order_id: UUID | None
    body: Order | Problem


class ClosedAll(NamedTuple):
    """Every position's result, where the log holds the last of them, and whether all of it was
    done before.
    """

    results: list[dict[str, Any]]
    position: int
    duplicate: bool


async def close_all(
    gateway: Gateway, who: Principal, cancel_orders: bool, key: str | None, door: str
) -> ClosedAll:
    """Close every position, in as many steps as the writer wants to take.

    Each step has a key that follows from the first one's: who repeats the request is told what
    was done, and what a process that died left undone is done then.
    """
    first_key = key or new_key()
    command = CloseAllPositions(trader(who), first_key, cancel_orders)
    results: list[dict[str, Any]] = []
    duplicate = True
    while True:
        reply = await gateway.send(command, who, door, named=KEY_NAMES[door])
        told = reply.result
        assert told is not None, "a close of all positions says what it closed"
        results += [result async for result in _results(gateway, reply)]
        duplicate = duplicate and reply.duplicate
        if not told["remaining"]:
            return ClosedAll(results, reply.position, duplicate)
        step, passed = command.step + 1, told["passed"]
        # Orders end before the first position is closed, and not those that close one.
        cancels = cancel_orders and not passed
        key = _step_key(first_key, step)
        command = CloseAllPositions(command.account_id, key, cancels, step, passed)


def _step_key(key: str, step: int) -> str:
    """The key of a later step, which no client gives by chance."""
    return blake2b(f"{step} of {key}".encode(), digest_size=24).hexdigest()


async def _results(gateway: Gateway, reply: Reply) -> AsyncIterator[dict[str, Any]]:
    """What became of the positions of one step, in the order in which they were closed."""
    orders = {str(order.order_id): order for order in reply.closing}
    for one in (reply.result or {})["closed"]:
        order = orders.get(one.get("order_id", ""))
        if order is not None:
            body = await order_shown(gateway, order)
            yield {"symbol": order.symbol, "status": 200, "order_id": body["id"], "body": body}
            continue
        refusal = Refusal(*one["refusal"])
        status = status_of(refusal, ("symbol",))
        yield {
            "symbol": one["symbol"],
            "status": status,
            "order_id": one.get("order_id"),
            "body": {**problem_document(refusal, status), "symbol": one["symbol"]},
        }
