"""Place an oco, bracket or oto group: every leg passes every check, or none is accepted."""

from __future__ import annotations

from typing import NamedTuple
from uuid import UUID

from msgspec.structs import replace

from application.commands import PlaceGroup
from application.deciding.checks import check, rides_free
from application.deciding.matching import run
from application.deciding.recording import open_position, reject
from application.deciding.step import Step
from application.desk.desk import Desk
from domain.account import Account
from domain.errors import InvalidField, LegPriceOrder, LegQtyMismatch, Rejection
from domain.identifiers import NO_ID
from domain.money import QTY_SCALE, WIRE_PRICE_SCALE, to_text
from domain.oco import LegIds, Oco, Plan
from domain.order import Order
from domain.order_terms import RESTING, Admitted, Link, RefusedOrder, Request, Terms
from domain.terms import Leg, OrderClass, OrderType, Phase, Side
from domain.trade import NO_HOLDS, Holds

_OCO = int(OrderClass.OCO)
_BRACKET = int(OrderClass.BRACKET)
_CLASSES = frozenset({_OCO, _BRACKET, int(OrderClass.OTO)})
_BUY = int(Side.BUY)
_SELL = int(Side.SELL)
_LIMIT = int(OrderType.LIMIT)
_STOP = int(OrderType.STOP)
_STOP_LIMIT = int(OrderType.STOP_LIMIT)
_TRAILING_STOP = int(OrderType.TRAILING_STOP)
_ENTRY = int(Leg.ENTRY)
_TAKE_PROFIT = int(Leg.TAKE_PROFIT)
_STOP_LOSS = int(Leg.STOP_LOSS)
_NESTED = {
    (_TAKE_PROFIT, "limit_price"): "take_profit.limit_price",
    (_STOP_LOSS, "stop_price"): "stop_loss.stop_price",
    (_STOP_LOSS, "limit_price"): "stop_loss.limit_price",
}
"""Where a leg's field stands in the request."""


class Planned(NamedTuple):
    """A leg as an order of its own, and what its checks found."""

    leg: int
    terms: Terms
    admitted: Admitted


def place_group(step: Step, cmd: PlaceGroup) -> None:
    """Accept a group and match its parent, or record which leg was refused and why.

    The legs fit each other before any is judged by itself; then each passes the checks of
    an order, the parent first.
    """
    account = step.desk.accounts.account(cmd.account_id)
    parent_id = step.new_id()
    client = Request(cmd.client_order_id, step.fingerprint)
    legs = _legs(cmd)
    judged = 0
    plan: list[Planned] = []
    try:
        _check_shape(cmd)
        for judged, terms in legs:
            plan.append(Planned(judged, terms, _check_leg(step, account, cmd, judged, terms)))
        _check_whole(step.desk, account, plan)
    except Rejection as refusal:
        _name_leg(refusal, judged or legs[0][0], nested=judged > 0)
        refused = RefusedOrder(legs[0][1], client, refusal, cmd.order_class)
        reject(step, parent_id, account.id, refused)
        return
    parent = _accept(step, account, cmd, client, parent_id, plan)
    market = step.desk.markets.by_id[parent.instrument_id.int]
    if not parent.waits and market.instrument.phase == Phase.OPEN:
        run(step, market, parent)
    step.until_quiet()


def _legs(cmd: PlaceGroup) -> list[tuple[int, Terms]]:
    """The legs as orders, the parent first."""
    legs: list[tuple[int, Terms]] = []
    terms = cmd.terms
    side = cmd.side
    if cmd.order_class != _OCO:
        legs.append((_ENTRY, terms))
        side = _SELL if side == _BUY else _BUY
    if cmd.take_profit_price or cmd.order_class == _OCO:
        legs.append((_TAKE_PROFIT, _exit(terms, side, _LIMIT, cmd.take_profit_price, 0)))
    if cmd.stop_loss_price or cmd.stop_loss_limit_price:
        limit = cmd.stop_loss_limit_price
        kind = _STOP_LIMIT if limit else _STOP
        legs.append((_STOP_LOSS, _exit(terms, side, kind, limit, cmd.stop_loss_price)))
    return legs


def _exit(terms: Terms, side: int, kind: int, limit: int, stop: int) -> Terms:
    return replace(terms, side=side, order_type=kind, limit_price=limit, stop_price=stop)


def _check_shape(cmd: PlaceGroup) -> None:
    """The legs are there, of one quantity, and their prices in order."""
    if cmd.order_class not in _CLASSES:
        raise InvalidField("order_class", "is none of oco, bracket and oto")
    if cmd.side not in (_BUY, _SELL):
        raise InvalidField("side", "is neither buy nor sell")
    if cmd.time_in_force not in RESTING:
        raise InvalidField("time_in_force", "of a group is day, gtc or gtd")
    if cmd.order_type == _TRAILING_STOP:
        raise InvalidField("type", "of a group is not trailing_stop")
    exits = bool(cmd.take_profit_price), bool(cmd.stop_loss_price)
    if cmd.stop_loss_limit_price and not exits[1]:
        raise InvalidField("stop_loss.stop_price", "is needed with stop_loss.limit_price")
    if cmd.order_class in (_OCO, _BRACKET):
        if not exits[0]:
            raise InvalidField("take_profit.limit_price", "is needed by oco and bracket")
        if not exits[1]:
            raise InvalidField("stop_loss.stop_price", "is needed by oco and bracket")
    elif exits[0] == exits[1]:
        raise InvalidField("order_class", "oto needs one of take_profit and stop_loss")
    if cmd.order_class == _OCO:
        if cmd.order_type != _LIMIT:
            raise InvalidField("type", "of an oco is limit")
        if cmd.limit_price not in (0, cmd.take_profit_price):
            raise InvalidField("limit_price", "of an oco is its take_profit.limit_price")
        if cmd.stop_price:
            raise InvalidField("stop_price", "of an oco is its stop_loss.stop_price")
    if cmd.stop_loss_qty and cmd.stop_loss_qty != cmd.qty:
        raise LegQtyMismatch(to_text(cmd.qty, QTY_SCALE), to_text(cmd.stop_loss_qty, QTY_SCALE))
    exit_side = cmd.side
    entry_prices: tuple[int, ...] = ()
    if cmd.order_class != _OCO:
        exit_side = _SELL if cmd.side == _BUY else _BUY
        entry_prices = cmd.limit_price, cmd.stop_price
    check_prices(
        exit_side, cmd.take_profit_price, cmd.stop_loss_price, entry_prices, WIRE_PRICE_SCALE
    )


def check_prices(
    exit_side: int,
    take_profit: int,
    stop_loss: int,
    entry_prices: tuple[int, ...],
    decimals: int,
) -> None:
    """Both exits stand on their side of each other and of the entry; 0 is no price.

    Raises LegPriceOrder.
    """
    sign = 1 if exit_side == _SELL else -1
    better, worse = ("above", "below") if exit_side == _SELL else ("below", "above")
    profit, stop = "take_profit.limit_price", "stop_loss.stop_price"
    if take_profit and stop_loss and sign * (take_profit - stop_loss) <= 0:
        raise LegPriceOrder(
            profit,
            f"is not {better} {stop}",
            take_profit=to_text(take_profit, decimals),
            stop_loss=to_text(stop_loss, decimals),
        )
    for entry in entry_prices:
        if not entry:
            continue
        if take_profit and sign * (take_profit - entry) <= 0:
            raise LegPriceOrder(
                profit,
                f"is not {better} the entry",
                take_profit=to_text(take_profit, decimals),
                entry=to_text(entry, decimals),
            )
        if stop_loss and sign * (entry - stop_loss) <= 0:
            raise LegPriceOrder(
                stop,
                f"is not {worse} the entry",
                stop_loss=to_text(stop_loss, decimals),
                entry=to_text(entry, decimals),
            )


def _check_leg(step: Step, account: Account, cmd: PlaceGroup, leg: int, terms: Terms) -> Admitted:
    """One leg as an order of its own; exits of an entry trade only what it brings."""
    covered = leg != _ENTRY and cmd.order_class != _OCO
    target = cmd.take_profit_price if leg == _ENTRY else 0
    admitted = check(step.desk, account, terms, step.at, covered=covered, target=target)
    if leg == _ENTRY and admitted.holds.qty:
        raise InvalidField("side", "of an entry opens a position, and this one reduces it")
    return admitted


def _check_whole(desk: Desk, account: Account, plan: list[Planned]) -> None:
    """What only the group as a whole can break: free riding."""
    entry, first = plan[0], plan[1]
    settled = account.is_margin or entry.admitted.holds.amount <= account.settled_funds
    if entry.leg == _ENTRY and not settled:
        needed = entry.admitted.holds.amount
        refusal = rides_free(desk, account, entry.terms.qty, needed)
        _name_leg(refusal, first.leg, nested=True)
        raise refusal


def _name_leg(refusal: Rejection, leg: int, *, nested: bool) -> None:
    """Say which leg was refused, and where in the request the judged field stands."""
    if "leg" in refusal.details:
        return
    field = refusal.details.get("field", refusal.field)
    if field.startswith("take_profit."):
        leg = _TAKE_PROFIT
    elif field.startswith("stop_loss.") or isinstance(refusal, LegQtyMismatch):
        leg = _STOP_LOSS
    refusal.details["leg"] = Leg(leg).name.lower()
    refusal.details["field"] = _NESTED.get((leg, field), field) if nested else field


def _accept(
    step: Step,
    account: Account,
    cmd: PlaceGroup,
    client: Request,
    parent_id: UUID,
    plan: list[Planned],
) -> Order:
    """Record the group and its legs; returns the parent."""
    instrument = step.desk.markets.by_symbol[cmd.symbol].instrument
    position = open_position(step, account.id, instrument.id)
    group_id = step.new_id()
    ids = {row.leg: step.new_id() for row in plan[1:]}
    ids[plan[0].leg] = parent_id
    linked = _linked(cmd, client, plan, ids)
    Oco.place(step, group_id, account.id, instrument.id, linked)
    holds = plan[0].admitted.holds
    if cmd.order_class == _OCO:
        # Only one of the legs can trade: what the dearer one may cost is held, never both.
        holds = Holds(max(row.admitted.holds.amount for row in plan), holds.qty)
    parent: Order | None = None
    for row in plan:
        order_id = ids[row.leg]
        order = Order.accept(
            step,
            order_id,
            account.id,
            instrument.id,
            replace(row.admitted, holds=NO_HOLDS if parent else holds),
            step.desk.orders.next_sequence,
            Request(str(order_id)) if parent else client,
            Link(group_id, row.leg, parent is not None, not parent or cmd.order_class == _OCO),
        )
        parent = parent or order
    if holds.amount:
        account.reserve(step, parent_id, holds.amount)
    if holds.qty:
        position.reserve(step, parent_id, holds.qty)
    assert parent is not None
    return parent


def _linked(cmd: PlaceGroup, client: Request, plan: list[Planned], ids: dict[int, UUID]) -> Plan:
    """The group as its first event says it."""
    terms = {row.leg: row.admitted.terms for row in plan}
    profit, stop = terms.get(_TAKE_PROFIT), terms.get(_STOP_LOSS)
    return Plan(
        plan[0].admitted.terms.symbol,
        cmd.order_class,
        plan[-1].terms.side,
        cmd.qty,
        LegIds(*(ids.get(leg, NO_ID) for leg in (_ENTRY, _TAKE_PROFIT, _STOP_LOSS))),
        client,
        plan[0].admitted.terms.price_decimals,
        take_profit_price=profit.limit_price if profit is not None else 0,
        stop_price=stop.stop_price if stop is not None else 0,
        stop_limit_price=stop.limit_price if stop is not None else 0,
    )
