"""Close positions: what is free of them is known to the writer alone, and asked for once."""

from __future__ import annotations

from collections.abc import Sequence

from application.commands import CloseAllPositions, ClosePosition
from application.deciding.matching import end
from application.deciding.placing import place
from application.deciding.recording import CHUNK, Asked, refuse
from application.deciding.step import Step
from application.desk.desk import Desk
from domain.account import Account, ClosingPlan
from domain.errors import (
    InsufficientQuantity,
    InvalidField,
    Rejection,
    UnknownPosition,
)
from domain.instrument import Instrument
from domain.money import PERCENT_SCALE, QTY_SCALE, WHOLE_PERCENT, WIRE_PRICE_SCALE, to_text
from domain.order import Order
from domain.order_terms import NO_REQUEST, Request, Terms
from domain.position import Position
from domain.risk import holding
from domain.settlement_errors import FreeRiding
from domain.terms import CancelReason, OrderType, Side, TimeInForce

CLOSED_AT_ONCE = 25
"""How many positions one decision closes: each order of a close may meet many others."""

_BUY = int(Side.BUY)
_SELL = int(Side.SELL)
_MARKET = int(OrderType.MARKET)
_DAY = int(TimeInForce.DAY)


def close_position(step: Step, cmd: ClosePosition) -> None:
    """Place the market order that closes a position or the wanted part, or record why not."""
    account = step.desk.accounts.account(cmd.account_id)
    client = Request(cmd.request_key, step.fingerprint)
    try:
        terms = _closing_order(step, account, cmd)
    except Rejection as refusal:
        named = cmd.symbol or str(cmd.instrument_id)
        refuse(step, account, Asked("close_position", named, client), refusal)
        return
    place(step, account, terms, client)


def close_all_positions(step: Step, cmd: CloseAllPositions) -> None:
    """Take one step of closing everything: end what works where that is asked for, and once
    nothing works any more place the orders that close the next positions, or record why not.
    """
    desk = step.desk
    account = desk.accounts.account(cmd.account_id)
    working = list(desk.orders.of_account(account.id)) if cmd.cancel_orders else []
    held = list(desk.accounts.positions_of(account.id))
    if len(working) > CHUNK:
        chosen: Sequence[Position] = ()
        plan = ClosingPlan(CHUNK, 0, cmd.passed, cmd.passed, remaining=True)
    else:
        chosen, plan = _next_positions(held, cmd.passed, len(working))
    account.close_all(step, Request(cmd.request_key, step.fingerprint), plan)
    _cancel(step, working[:CHUNK])
    for position in chosen:
        _close_one(step, account, position)


def _next_positions(
    held: Sequence[Position], passed: int, canceled: int
) -> tuple[Sequence[Position], ClosingPlan]:
    """The next positions to be closed, in the order of their first touch, which never changes."""
    chosen: list[Position] = []
    passed_after = passed
    for number, position in enumerate(held[passed:], passed + 1):
        if position.qty:
            if len(chosen) == CLOSED_AT_ONCE:
                return chosen, ClosingPlan(
                    canceled, len(chosen), passed, passed_after, remaining=True
                )
            chosen.append(position)
            passed_after = number
    return chosen, ClosingPlan(canceled, len(chosen), passed, passed_after, remaining=False)


def _cancel(step: Step, orders: Sequence[Order]) -> None:
    """End orders as their client asks."""
    for order in orders:
        end(step, order, CancelReason.CLIENT)
    # Only now, so that every leg of a group ends for what was asked.
    step.until_quiet()


def _close_one(step: Step, account: Account, position: Position) -> None:
    """Place the order that closes one of many positions, or record why not."""
    everything = ClosePosition(account.id, "", "", position.instrument_id)
    try:
        terms = _closing_order(step, account, everything)
    except Rejection as refusal:
        symbol = step.desk.markets.by_id[position.instrument_id.int].instrument.symbol
        refuse(step, account, Asked("close_position", symbol, NO_REQUEST), refusal)
        return
    place(step, account, terms, None)


def _closing_order(step: Step, account: Account, cmd: ClosePosition) -> Terms:
    """The order that reduces what is held, by no more than what is free of it."""
    desk = step.desk
    market = desk.markets.by_id.get(cmd.instrument_id.int)
    if market is None:
        market = desk.markets.named(cmd.symbol or str(cmd.instrument_id))
    instrument = market.instrument
    position = desk.accounts.positions.get((account.id.int, instrument.id.int))
    if position is None or not position.qty:
        raise UnknownPosition(instrument.symbol)
    side = _SELL if position.qty > 0 else _BUY
    free = position.closable(side)
    wanted = _wanted(cmd, instrument, position, free)
    qty = wanted if cmd.percent is None else min(wanted, free)
    if not 0 < qty <= free:
        raise _not_free(desk, cmd, position, wanted or abs(position.qty), free)
    return Terms(
        symbol=instrument.symbol,
        side=side,
        order_type=_MARKET,
        time_in_force=_DAY,
        qty=qty,
        limit_price=0,
        stop_price=0,
        price_decimals=WIRE_PRICE_SCALE,
    )


def _not_free(
    desk: Desk, cmd: ClosePosition, position: Position, asked: int, free: int
) -> Rejection:
    """Why a position does not give what is asked of it: orders that work have set it aside, or it
    is not paid for.
    """
    needed, available = to_text(asked, QTY_SCALE), to_text(free, QTY_SCALE)
    refusal: Rejection
    if position.unpaid and asked <= position.qty - position.reserved:
        until = desk.accounts.paid_on(position, asked - free)
        refusal = FreeRiding(needed, available, to_text(position.unpaid, QTY_SCALE), until)
    else:
        instrument = desk.markets.by_id[position.instrument_id.int].instrument
        refusal = InsufficientQuantity(needed, available, **holding(instrument, position))
    if cmd.percent is not None:
        refusal.details["field"] = "percent"
    return refusal


def _wanted(cmd: ClosePosition, instrument: Instrument, position: Position, free: int) -> int:
    """How much is to be closed: without a word all that is free, of a percentage its part of what
    is held, in whole lots.
    """
    if cmd.qty is not None and cmd.percent is not None:
        raise InvalidField("percent", "may not stand beside qty")
    if cmd.qty is not None:
        if cmd.qty <= 0:
            raise InvalidField("qty", "must be greater than 0")
        return cmd.qty
    if cmd.percent is None:
        return free
    if not 0 < cmd.percent <= WHOLE_PERCENT:
        raise InvalidField("percent", "must be above 0 and at most 100")
    part = abs(position.qty) * cmd.percent // WHOLE_PERCENT
    if part < instrument.lot:
        percent, held = to_text(cmd.percent, PERCENT_SCALE), to_text(abs(position.qty), QTY_SCALE)
        lot = to_text(instrument.lot, QTY_SCALE)
        told = {**holding(instrument, position), "field": "percent"}
        why = f"percent {percent} of {held} is less than the lot {lot}"
        raise InsufficientQuantity(
            to_text(part, QTY_SCALE), to_text(free, QTY_SCALE), why=why, **told
        )
    return part - part % instrument.lot
