"""Close a position: what is free of it is known to the writer alone, and asked for once."""

from __future__ import annotations

from application.commands import ClosePosition
from application.deciding.placing import place
from application.deciding.recording import Asked, refuse
from application.deciding.step import Step
from domain.account import Account
from domain.errors import InsufficientQuantity, InvalidField, Rejection, UnknownPosition
from domain.money import QTY_SCALE, WHOLE_PERCENT, WIRE_PRICE_SCALE, to_text
from domain.order_terms import Request, Terms
from domain.terms import OrderType, Side, TimeInForce

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
    qty = _wanted(cmd, free, instrument.lot)
    if not 0 < qty <= free:
        asked = qty or abs(position.qty)
        raise InsufficientQuantity(to_text(asked, QTY_SCALE), to_text(free, QTY_SCALE))
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


def _wanted(cmd: ClosePosition, free: int, lot: int) -> int:
    """How much is to be closed; a percentage is cut to whole lots."""
    if cmd.qty is not None and cmd.percent is not None:
        raise InvalidField("percent", "may not stand beside qty")
    if cmd.qty is not None:
        if cmd.qty <= 0:
            raise InvalidField("qty", "must be greater than 0")
        return cmd.qty
    if cmd.percent is None or cmd.percent == WHOLE_PERCENT:
        return free
    if not 0 < cmd.percent < WHOLE_PERCENT:
        raise InvalidField("percent", "must be above 0 and at most 100")
    part = free * cmd.percent // WHOLE_PERCENT
    return part - part % lot
