"""Place, cancel and replace: all checks first, then the change, then nothing may fail."""

from __future__ import annotations

from typing import NamedTuple
from uuid import UUID

from application.commands import CancelAll, CancelOrder, PlaceGroup, PlaceOrder, Reply
from application.deciding import linked_orders
from application.deciding.matching import end, withdraw
from application.deciding.reactions import react
from application.deciding.steps import elect_stops, run
from application.desk.desk import Desk
from domain import risk
from domain.account import Account
from domain.commission import ceiling
from domain.decision import Decision
from domain.errors import (
    InvalidField,
    Rejection,
)
from domain.identifiers import HOUSE, MAX_INSTANT, Instant
from domain.margin import free_margin, requirement
from domain.matching.engine import Market
from domain.money import notional_up
from domain.order import Order
from domain.position import Position
from domain.terms import (
    CancelReason,
    GroupEnd,
    OrderType,
    Phase,
    SelfTrade,
    Side,
    TimeInForce,
    TriggerRule,
)

_BUY = int(Side.BUY)
_SELL = int(Side.SELL)
_LIMIT = int(OrderType.LIMIT)
_STOP = int(OrderType.STOP)
_STOP_LIMIT = int(OrderType.STOP_LIMIT)
_OPEN = int(Phase.OPEN)
_DAY = int(TimeInForce.DAY)
_GTC = int(TimeInForce.GTC)
_GTD = int(TimeInForce.GTD)
_SIDES = frozenset(map(int, Side))
_TYPES = frozenset(map(int, OrderType))
_TIMES = frozenset(map(int, TimeInForce))
_SELF_TRADES = frozenset(map(int, SelfTrade))
CHUNK = 200
"""How many orders one mass cancel or expiry ends in one decision."""


class Checked(NamedTuple):
    """An order that passed every check, in the instrument's units."""

    market: Market
    limit_price: int
    stop_price: int
    working_price: int
    hold: int
    hold_qty: int


def place_order(
    desk: Desk, decision: Decision, cmd: PlaceOrder, fingerprint: bytes
) -> Reply | None:
    """Accept and match one order, or record why not."""
    account = desk.account(cmd.account_id)
    identifier = decision.new_id()
    try:
        checked = check(desk, account, cmd, decision.at)
    except Rejection as refusal:
        reject(desk, decision, cmd, identifier, fingerprint, refusal)
        return None
    market = checked.market
    position = desk.open_position(decision, account.id, market.instrument.id)
    order = Order.accept(
        decision,
        identifier,
        account.id,
        market.instrument.id,
        cmd.symbol,
        cmd.side,
        cmd.order_type,
        cmd.time_in_force,
        cmd.qty,
        checked.limit_price,
        checked.stop_price,
        market.instrument.price_decimals,
        cmd.expires_at,
        cmd.post_only,
        cmd.self_trade,
        cmd.client_order_id,
        fingerprint,
        identifier,
        desk.next_sequence(),
        checked.working_price,
        checked.hold,
        checked.hold_qty,
        cmd.locate,
    )
    if checked.hold:
        account.reserve(decision, identifier, checked.hold)
    if checked.hold_qty:
        position.reserve(decision, identifier, checked.hold_qty)
    desk.add_working(order, position)
    desk.note_order(account, decision.at)
    if cmd.order_type >= _STOP:
        market.stops.add(order.side, order.stop_price, order.sequence)
    elif market.instrument.phase == _OPEN:
        run(desk, decision, market, order)
        elect_stops(desk, decision, market)
    else:
        market.add(order, account.owner_number)
    return None


def check(
    desk: Desk,
    account: Account,
    cmd: PlaceOrder,
    at: Instant,
    *,
    covered: bool = False,
    waits: bool = False,
) -> Checked:
    """Every check of a new order, in the order of `domain.risk`.

    A `covered` order is an exit that will only trade what its entry has brought: it is not
    measured against the market of this moment, nor does it hold anything yet. One that
    `waits` for its price may do so while the market is closed.
    """
    side, qty = cmd.side, cmd.qty
    market = desk.symbols.get(cmd.symbol)
    position = None
    if market is not None:
        position = desk.positions.get((account.id, market.instrument.id))
    risk.check_account(account, side, position.qty if position is not None else 0)
    market = desk.market(cmd.symbol)
    instrument = market.instrument
    if instrument.phase != _OPEN and not covered:
        risk.check_phase(
            instrument,
            may_queue=waits or (cmd.order_type == _LIMIT and cmd.time_in_force in (_DAY, _GTC)),
        )
    _check_terms(cmd, at)
    limit = stop = 0
    if cmd.order_type in (_LIMIT, _STOP_LIMIT):
        limit = risk.price_in_units(instrument, "limit_price", cmd.limit_price)
    if cmd.order_type >= _STOP:
        stop = risk.price_in_units(instrument, "stop_price", cmd.stop_price)
    risk.check_qty(instrument, qty)
    working = limit or risk.market_price(market, side, stop or market.reference_price)
    risk.check_size(account, instrument, qty, working)
    if covered:
        return Checked(market, limit, stop, working, 0, 0)
    if limit and not stop:
        risk.check_collar(market, side, limit)
    if stop:
        risk.check_stop(market, side, stop)
    if cmd.post_only and instrument.phase == _OPEN:
        risk.check_post_only(market, side, limit)
    risk.check_position_limit(instrument, position, side, qty)
    hold_qty = min(qty, exitable(account, position, side))
    risk.check_opening(account, instrument, position, side, qty, exits=hold_qty, locate=cmd.locate)
    hold = hold_for(account, market, side, qty - hold_qty, working)
    if hold:
        risk.check_buying_power(buying_power(desk, account), hold)
    if account.max_orders_per_second:
        second, sent = desk.order_rates.get(account.id, (0, 0))
        risk.check_order_rate(account, sent if second == at // 1_000_000 else 0)
    risk.check_kill_switches(account, desk.venue)
    return Checked(market, limit, stop, working, hold, hold_qty)


def exitable(account: Account, position: Position | None, side: int) -> int:
    """What an order of this side may be an exit of.

    A cash account pays for all that it buys, also for shares that a bust left it owing.
    """
    if position is None or (side == _BUY and not account.is_margin):
        return 0
    return position.closable(side)


def hold_for(account: Account, market: Market, side: int, opening: int, working: int) -> int:
    """What an order holds for the part that opens: its price or margin, and its commission.

    A cash account holds the whole price. A margin account holds the initial requirement, of
    a short sale at no less than the mark.
    """
    if not opening:
        return 0
    terms = market.instrument
    decimals = terms.price_decimals
    costs = ceiling(account.commission_schedule, opening, working, decimals)
    if not account.is_margin:
        return notional_up(working, opening, decimals) + costs
    price = working if side == _BUY else max(working, market.mark)
    return requirement(price, opening, decimals, terms.initial_margin_bps) + costs


def buying_power(desk: Desk, account: Account) -> int:
    """What new orders may hold, in cents."""
    if not account.is_margin:
        return account.funds
    return free_margin(account, desk.margin(account.id))


def _check_terms(cmd: PlaceOrder, at: Instant) -> None:
    """The terms fit each other; raises InvalidField."""
    if cmd.side not in _SIDES:
        raise InvalidField("side", "is neither buy nor sell")
    if cmd.order_type not in _TYPES:
        raise InvalidField("type", "is not known")
    if cmd.time_in_force not in _TIMES:
        raise InvalidField("time_in_force", "is not known")
    if cmd.self_trade not in _SELF_TRADES:
        raise InvalidField("self_trade", "is not known")
    has_limit = cmd.order_type in (_LIMIT, _STOP_LIMIT)
    if has_limit != bool(cmd.limit_price):
        raise InvalidField("limit_price", "is needed by limit orders and by no others")
    if (cmd.order_type >= _STOP) != bool(cmd.stop_price):
        raise InvalidField("stop_price", "is needed by stop orders and by no others")
    if (cmd.time_in_force == _GTD) != bool(cmd.expires_at):
        raise InvalidField("expires_at", "is needed by gtd orders and by no others")
    if cmd.expires_at and not at < cmd.expires_at <= MAX_INSTANT:
        raise InvalidField("expires_at", "is not in the future")
    rests = cmd.time_in_force in (_DAY, _GTC, _GTD)
    if cmd.post_only and not (cmd.order_type == _LIMIT and rests):
        raise InvalidField("post_only", "is for limit orders that may rest")
    if cmd.order_type >= _STOP and not rests:
        raise InvalidField("time_in_force", "of a stop order is day, gtc or gtd")


def reject(
    desk: Desk,
    decision: Decision,
    cmd: PlaceOrder | PlaceGroup,
    identifier: UUID,
    fingerprint: bytes,
    refusal: Rejection,
    order_class: int = 0,
) -> None:
    """Record an order that was refused."""
    market = desk.symbols.get(cmd.symbol)
    Order.reject(
        decision,
        identifier,
        cmd.account_id,
        market.instrument.id if market else HOUSE,
        cmd.symbol,
        cmd.side,
        cmd.order_type,
        cmd.time_in_force,
        cmd.qty,
        cmd.limit_price,
        cmd.stop_price,
        cmd.client_order_id,
        fingerprint,
        refusal.code,
        refusal.message,
        {"field": refusal.field, **refusal.details},
        order_class,
    )


def cancel_order(
    desk: Desk, decision: Decision, cmd: CancelOrder, fingerprint: bytes
) -> Reply | None:
    """Cancel one working order or a whole group, or record why not.

    The other legs of a group go with the one that is named, but for the exits of an entry
    that has bought something.
    """
    account = desk.account(cmd.account_id)
    group = linked_orders.named(desk, account.id, cmd.order_id)
    try:
        if group is not None:
            order = linked_orders.parent(desk, group)
        else:
            order = desk.find_working(account.id, cmd.order_id, cmd.client_order_id)
    except Rejection as refusal:
        target = str(cmd.order_id or cmd.client_order_id)
        refuse(decision, account, cmd.request_key, fingerprint, "cancel_order", target, refusal)
        return None
    market = desk.markets[order.instrument_id]
    withdraw(market, order)
    end(desk, decision, order, CancelReason.CLIENT, cmd.request_key, fingerprint)
    if group is not None:
        linked_orders.end_all(desk, decision, group, GroupEnd.CANCELED, CancelReason.GROUP)
    react(desk, decision)
    if market.instrument.trigger_rule == TriggerRule.BID_ASK:
        elect_stops(desk, decision, market)
    return None


def cancel_all(desk: Desk, decision: Decision, cmd: CancelAll, _: bytes) -> Reply:
    """Cancel up to 200 working orders of an account; the reply says how many remain."""
    account = desk.account(cmd.account_id)
    instrument_id = desk.market(cmd.symbol).instrument.id if cmd.symbol else None
    chosen = [
        order
        for order in desk.account_orders[account.id].values()
        if (instrument_id is None or order.instrument_id == instrument_id)
        and (not cmd.side or order.side == cmd.side)
    ]
    markets: dict[UUID, Market] = {}
    for order in chosen[:CHUNK]:
        if not order.is_working:
            # Its group ended with a leg before it.
            continue
        market = desk.markets[order.instrument_id]
        markets[order.instrument_id] = market
        withdraw(market, order)
        end(desk, decision, order, CancelReason.CLIENT)
        react(desk, decision)
    for market in markets.values():
        if market.instrument.trigger_rule == TriggerRule.BID_ASK:
            elect_stops(desk, decision, market)
    canceled = [str(order.revision_id) for order in chosen[:CHUNK]]
    return Reply(
        decision.last_position() if decision.events else desk.position,
        result={"canceled": canceled, "remaining": max(0, len(chosen) - CHUNK)},
    )


def refuse(
    decision: Decision,
    account: Account,
    key: str,
    fingerprint: bytes,
    request: str,
    target: str,
    refusal: Rejection,
) -> None:
    """Record a request that was refused."""
    account.refuse(
        decision,
        key,
        fingerprint,
        request,
        target,
        refusal.code,
        refusal.message,
        {"field": refusal.field, **refusal.details},
    )
