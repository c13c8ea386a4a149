"""What several kinds of command record alike: positions opened, requests and orders refused."""

from __future__ import annotations

from typing import Any, NamedTuple
from uuid import UUID

from application.commands import Reply
from application.deciding.step import Step
from domain.account import Account
from domain.errors import Rejection
from domain.identifiers import NO_ID
from domain.order import Order
from domain.order_terms import RefusedOrder, Request
from domain.position import Position

CHUNK = 200
"""How many orders one mass cancel or expiry ends in one decision."""


class Asked(NamedTuple):
    """A request that may be refused: its name, what it is about, its key, and the order that it
    turned out to be about.
    """

    name: str
    target: str
    request: Request
    order_id: UUID = NO_ID


def open_position(step: Step, account_id: UUID, instrument_id: UUID) -> Position:
    """The position of an account in an instrument, opened when this is the first touch."""
    position = step.desk.accounts.positions.get((account_id.int, instrument_id.int))
    if position is None:
        position = Position.open(step, step.new_id(), account_id, instrument_id)
    return position


def refuse(step: Step, account: Account, asked: Asked, refusal: Rejection) -> None:
    """Record a request that was refused."""
    account.refuse(step, asked.request, asked.name, asked.target, refusal, asked.order_id)


def reject(step: Step, order_id: UUID, account_id: UUID, refused: RefusedOrder) -> None:
    """Record an order that was refused."""
    market = step.desk.markets.by_symbol.get(refused.terms.symbol)
    instrument_id = market.instrument.id if market is not None else NO_ID
    Order.reject(step, order_id, account_id, instrument_id, refused)


def done(step: Step, result: dict[str, Any]) -> Reply:
    """The reply to a command that did something."""
    return Reply(step.position, result=result)


def unchanged(step: Step, result: dict[str, Any]) -> Reply:
    """The reply to a command that finds everything as it wants it."""
    return Reply(step.desk.position, result=result, duplicate=True)
