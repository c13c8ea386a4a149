"""Place an oco, bracket or oto group: every leg passes every check, or none is accepted."""

from __future__ import annotations

from typing import NamedTuple
from uuid import UUID

from application.commands import PlaceGroup, PlaceOrder, Reply
from application.deciding.orders import Checked, check, reject
from application.deciding.steps import elect_stops, run
from application.desk.desk import Desk
from domain.account import Account
from domain.decision import Decision
from domain.errors import FreeRiding, InvalidField, LegPriceOrder, LegQtyMismatch, Rejection
from domain.identifiers import HOUSE, Instant
from domain.money import QTY_SCALE, WIRE_PRICE_SCALE, to_text
from domain.oco import Oco
from domain.order import Order
from domain.risk import check_order_rate
from domain.terms import Leg, OrderClass, OrderStatus, OrderType, Phase, Side, TimeInForce

_OCO = int(OrderClass.OCO)
_BRACKET = int(OrderClass.BRACKET)
_CLASSES = frozenset({_OCO, _BRACKET, int(OrderClass.OTO)})
_BUY = int(Side.BUY)
_SELL = int(Side.SELL)
_LIMIT = int(OrderType.LIMIT)
_STOP = int(OrderType.STOP)
_STOP_LIMIT = int(OrderType.STOP_LIMIT)
_QUEUES = frozenset({int(TimeInForce.DAY), int(TimeInForce.GTC)})
_TIMES = _QUEUES | {int(TimeInForce.GTD)}
_NEW = int(OrderStatus.NEW)
_HELD = int(OrderStatus.HELD)
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
    cmd: PlaceOrder
    checked: Checked


def place_group(
    desk: Desk, decision: Decision, cmd: PlaceGroup, fingerprint: bytes
) -> Reply | None:
    """Accept a group and match its parent, or record which leg was refused and why.

    The legs fit each other before any is judged by itself; then each passes the checks of
    an order, the parent first.
    """
    account = desk.account(cmd.account_id)
    identifier = decision.new_id()
    legs = _legs(cmd)
    judged = 0
    plan: list[Planned] = []
    try:
        _check_shape(cmd)
        for judged, order in legs:
            plan.append(
                Planned(
                    judged, order, _check_leg(desk, account, cmd, order, judged, at=decision.at)
                )
            )
        _check_whole(desk, account, plan, decision.at)
    except Rejection as refusal:
        _name_leg(refusal, judged or legs[0][0], nested=judged > 0)
        reject(desk, decision, legs[0][1], identifier, fingerprint, refusal, cmd.order_class)
        return None
    _accept(desk, decision, account, cmd, fingerprint, identifier, plan)
    return None


def _legs(cmd: PlaceGroup) -> list[tuple[int, PlaceOrder]]:
    """The legs as orders, the parent first."""
    legs: list[tuple[int, PlaceOrder]] = []
    side = cmd.side
    if cmd.order_class != _OCO:
        legs.append((_ENTRY, _order(cmd, side, cmd.order_type, cmd.limit_price, cmd.stop_price)))
        side = _SELL if side == _BUY else _BUY
    if cmd.take_profit_price or cmd.order_class == _OCO:
        legs.append((_TAKE_PROFIT, _order(cmd, side, _LIMIT, cmd.take_profit_price, 0)))
    if cmd.stop_loss_price or cmd.stop_loss_limit_price:
        limit = cmd.stop_loss_limit_price
        kind = _STOP_LIMIT if limit else _STOP
        legs.append((_STOP_LOSS, _order(cmd, side, kind, limit, cmd.stop_loss_price)))
    return legs


def _order(cmd: PlaceGroup, side: int, kind: int, limit: int, stop: int) -> PlaceOrder:
    return PlaceOrder(
        cmd.account_id,
        cmd.symbol,
        side,
        kind,
        cmd.time_in_force,
        cmd.qty,
        limit,
        stop,
        cmd.client_order_id,
        cmd.expires_at,
        False,
        cmd.self_trade,
        cmd.locate,
    )


def _check_shape(cmd: PlaceGroup) -> None:
    """The legs are there, of one quantity, and their prices in order."""
    if cmd.order_class not in _CLASSES:
        raise InvalidField("order_class", "is none of oco, bracket and oto")
    if cmd.side not in (_BUY, _SELL):
        raise InvalidField("side", "is neither buy nor sell")
    if cmd.time_in_force not in _TIMES:
        raise InvalidField("time_in_force", "of a group is day, gtc or gtd")
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


def _check_leg(
    desk: Desk, account: Account, cmd: PlaceGroup, order: PlaceOrder, leg: int, at: Instant
) -> Checked:
    """One leg as an order of its own; exits of an entry trade only what it brings.

    An oco may be placed while the market is closed whenever its limit leg may: its stop
    would only wait.
    """
    covered = leg != _ENTRY and cmd.order_class != _OCO
    waits = leg == _STOP_LOSS and cmd.time_in_force in _QUEUES
    checked = check(desk, account, order, at, covered=covered, waits=waits)
    if leg == _ENTRY and checked.hold_qty:
        raise InvalidField("side", "of an entry opens a position, and this one reduces it")
    return checked


def _check_whole(desk: Desk, account: Account, plan: list[Planned], at: Instant) -> None:
    """What only the group as a whole can break: free riding, and the order rate."""
    entry, first = plan[0], plan[1]
    settled = account.is_margin or entry.checked.hold <= account.settled_funds
    if entry.leg == _ENTRY and not settled:
        qty = to_text(entry.cmd.qty, QTY_SCALE)
        refusal = FreeRiding(qty, to_text(0, QTY_SCALE), qty)
        _name_leg(refusal, first.leg, nested=True)
        raise refusal
    if account.max_orders_per_second:
        second, sent = desk.order_rates.get(account.id, (0, 0))
        sent = sent if second == at // 1_000_000 else 0
        check_order_rate(account, sent + len(plan) - 1)


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
    desk: Desk,
    decision: Decision,
    account: Account,
    cmd: PlaceGroup,
    fingerprint: bytes,
    parent_id: UUID,
    plan: list[Planned],
) -> None:
    market = plan[0].checked.market
    instrument = market.instrument
    position = desk.open_position(decision, account.id, instrument.id)
    group_id = decision.new_id()
    ids = {row.leg: decision.new_id() for row in plan[1:]}
    ids[plan[0].leg] = parent_id
    prices = {row.leg: (row.checked.limit_price, row.checked.stop_price) for row in plan}
    profit, stop = prices.get(_TAKE_PROFIT, (0, 0)), prices.get(_STOP_LOSS, (0, 0))
    desk.groups[group_id] = Oco.place(
        decision,
        group_id,
        account.id,
        instrument.id,
        cmd.symbol,
        cmd.order_class,
        plan[-1].cmd.side,
        cmd.qty,
        ids.get(_ENTRY, HOUSE),
        ids.get(_TAKE_PROFIT, HOUSE),
        ids.get(_STOP_LOSS, HOUSE),
        cmd.client_order_id,
        fingerprint,
        instrument.price_decimals,
        profit[0],
        stop[1],
        stop[0],
    )
    parent_terms = plan[0].checked
    hold, hold_qty = parent_terms.hold, parent_terms.hold_qty
    if cmd.order_class == _OCO:
        # Only one of the legs can trade: what the dearer one may cost is held, never both.
        hold = max(row.checked.hold for row in plan)
    orders = []
    for row in plan:
        is_parent = row is plan[0]
        order = Order.accept(
            decision,
            ids[row.leg],
            account.id,
            instrument.id,
            cmd.symbol,
            row.cmd.side,
            row.cmd.order_type,
            cmd.time_in_force,
            cmd.qty,
            row.checked.limit_price,
            row.checked.stop_price,
            instrument.price_decimals,
            cmd.expires_at,
            False,
            cmd.self_trade,
            cmd.client_order_id if is_parent else str(ids[row.leg]),
            fingerprint if is_parent else b"",
            ids[row.leg],
            desk.next_sequence(),
            row.checked.working_price,
            hold if is_parent else 0,
            hold_qty if is_parent else 0,
            cmd.locate,
            _NEW if is_parent else _HELD,
            is_parent or cmd.order_class == _OCO,
            group_id,
            row.leg,
        )
        orders.append(order)
    if hold:
        account.reserve(decision, parent_id, hold)
    if hold_qty:
        position.reserve(decision, parent_id, hold_qty)
    for order in orders:
        desk.add_working(order, position)
        desk.note_order(account, decision.at)
        if order.is_waiting_stop:
            market.stops.add(order.side, order.stop_price, order.sequence)
    parent = orders[0]
    if parent.order_type >= _STOP:
        return
    if instrument.phase == Phase.OPEN:
        run(desk, decision, market, parent)
        elect_stops(desk, decision, market)
    else:
        market.add(parent, account.owner_number)
