"""Every check of new terms for a working order; they only read."""

from __future__ import annotations

from typing import NamedTuple

from msgspec.structs import replace

from application.commands import ReplaceOrder
from application.deciding.checks import check_buying_power, exitable, hold_for, rides_free
from application.deciding.option_holds import Ask, family_hold, uncovered
from application.deciding.placing_groups import check_prices
from application.desk.desk import Desk
from application.desk.orders import Orders
from domain import risk
from domain.account import Account
from domain.errors import (
    InvalidField,
    LegFixed,
    NothingToReplace,
    OrderNotWorking,
    ReplaceQtyTooSmall,
)
from domain.identifiers import Instant
from domain.matching.engine import Market
from domain.money import QTY_SCALE, TRAIL_SCALE, WIRE_PRICE_SCALE, to_text
from domain.oco import Oco
from domain.order import Order
from domain.order_terms import (
    FOR_AUCTIONS,
    RESTING,
    Admitted,
    Bound,
    Terms,
    check_expiry,
    check_trail_percent,
)
from domain.position import Position
from domain.terms import Leg, OrderClass, OrderType, Phase, TimeInForce
from domain.trade import NO_HOLDS, Holds
from domain.trail import Trail

_STOP = int(OrderType.STOP)
_GTD = int(TimeInForce.GTD)


class Replacement(NamedTuple):
    """A working order, the group it is a leg of, and who asks for other terms."""

    account: Account
    order: Order
    group: Oco | None
    market: Market
    position: Position


class NewTerms(NamedTuple):
    """What a checked replace leads to; the holds are those of the order that carries them."""

    admitted: Admitted
    keeps_priority: bool


def replacement(desk: Desk, account: Account, order: Order) -> Replacement:
    """What the checks of new terms for an order look at."""
    return Replacement(
        account,
        order,
        desk.orders.groups[order.group_id.int] if order.leg else None,
        desk.markets.by_id[order.instrument_id.int],
        desk.accounts.positions[account.id.int, order.instrument_id.int],
    )


def check_replace(desk: Desk, one: Replacement, cmd: ReplaceOrder, at: Instant) -> NewTerms:
    """Every check, in the order of `domain.risk`."""
    account, order, group, market, position = one
    instrument = market.instrument
    _check_same(cmd, order, instrument.symbol)
    risk.check_account(account, order.side, position.qty)
    if market.is_due(order, at):
        raise OrderNotWorking(order.id, "expired")
    qty = _own_qty(group, order, cmd.qty)
    time_in_force, expires_at = _time(one, cmd, at)
    priced = _prices(one, cmd)
    terms, working = priced.terms, priced.bound.price
    terms = replace(terms, qty=qty, time_in_force=time_in_force, expires_at=expires_at)
    risk.check_qty(instrument, order.qty if cmd.qty is None else cmd.qty)
    if qty <= order.filled:
        raise ReplaceQtyTooSmall(to_text(qty, QTY_SCALE), to_text(order.filled, QTY_SCALE))
    same = replace(order.terms, qty=qty) == terms
    if same and (cmd.qty is None or qty == order.qty) and not cmd.client_order_id:
        raise NothingToReplace("the new terms are the old ones")
    limit, stop = terms.limit_price, terms.stop_price
    if group is not None and (limit, stop) != (order.limit_price, order.stop_price):
        _check_leg_prices(desk.orders, group, order, limit, stop)
    risk.check_size(account, instrument, qty, working)
    # A leg that is not armed is covered by its entry; what waits for the close stands alone.
    if limit != order.limit_price and (order.armed or not order.leg) and not order.waits:
        risk.check_collar(market, order.side, limit)
        if order.post_only and instrument.phase == Phase.OPEN:
            risk.check_post_only(market, order.side, limit)
    if stop != order.stop_price and order.armed:
        risk.check_stop(market, order.side, stop)
    holds = _check_holds(desk, one, qty, working)
    risk.check_kill_switches(account, desk.accounts.venue)
    keeps = same and qty < order.qty and qty - order.filled <= order.leaves
    return NewTerms(Admitted(terms, priced.bound, holds, priced.water_mark), keeps)


def _check_same(cmd: ReplaceOrder, order: Order, symbol: str) -> None:
    """What is said again of an order is what it is; raises InvalidField."""
    if cmd.symbol and cmd.symbol not in (order.symbol, symbol):
        raise InvalidField("symbol", "of an order is not replaced")
    if cmd.side and cmd.side != order.side:
        raise InvalidField("side", "of an order is not replaced")
    if cmd.order_type and cmd.order_type != order.order_type:
        raise InvalidField("type", "of an order is not replaced")
    if cmd.trails_by_percent not in (None, order.trail_percent > 0):
        raise InvalidField("trail", "stays an amount, or a percentage, as it was asked for")


def _time(one: Replacement, cmd: ReplaceOrder, at: Instant) -> tuple[int, Instant]:
    """The time in force, and when it ends; of a leg both are those of the whole group."""
    order = one.order
    time_in_force = order.time_in_force if cmd.time_in_force is None else cmd.time_in_force
    if order.time_in_force in FOR_AUCTIONS:
        if time_in_force != order.time_in_force:
            raise InvalidField("time_in_force", "of an opg or cls order stays what it is")
    elif time_in_force not in RESTING:
        raise InvalidField("time_in_force", "of a working order is day, gtc or gtd")
    expires_at = order.expires_at if cmd.expires_at is None else cmd.expires_at
    if time_in_force != _GTD:
        expires_at = 0
    else:
        check_expiry(expires_at, at)
    if one.group is not None and (time_in_force, expires_at) != (
        order.time_in_force,
        order.expires_at,
    ):
        raise LegFixed("time_in_force", "is that of the whole group")
    return time_in_force, expires_at


def _prices(one: Replacement, cmd: ReplaceOrder) -> Admitted:
    """The order's terms with their new prices, and what bounds its trades then."""
    order, market = one.order, one.market
    terms, working = order.terms, order.working_price
    if terms.symbol != market.instrument.symbol:
        terms = replace(terms, symbol=market.instrument.symbol)
    if cmd.limit_price is not None:
        if not order.has_limit:
            raise NothingToReplace("this order has no limit_price")
        working = risk.price_in_units(market.instrument, "limit_price", cmd.limit_price)
        terms = replace(terms, limit_price=working)
    if cmd.stop_price is not None:
        if not order.waits or order.trails:
            raise NothingToReplace("this order has no stop_price of its own that still waits")
        stop = risk.price_in_units(market.instrument, "stop_price", cmd.stop_price)
        terms = replace(terms, stop_price=stop)
        # What is told again as it was leaves what bounds the order, too.
        if order.order_type == _STOP and stop != order.stop_price:
            working = risk.collar_price(market, order.side, stop)
    if cmd.trail is not None:
        trailing = _trailing(one, terms, cmd.trail)
        if trailing != terms:
            terms = trailing
            working = risk.collar_price(market, order.side, terms.stop_price)
    return Admitted(terms, Bound(working), water_mark=order.water_mark)


def _trailing(one: Replacement, terms: Terms, asked: int) -> Terms:
    """The terms with another trail, an amount or a percentage as the one before, and the stop that
    it makes of the best price so far; `asked` is on the wire's scale.
    """
    order, market = one.order, one.market
    if not (order.trails and order.waits):
        raise NothingToReplace("this order has no trail that still follows the market")
    if order.trail_price:
        trail = risk.trail_in_units(market.instrument, Trail(asked), "trail")
    else:
        percent, finer = divmod(asked, 10 ** (WIRE_PRICE_SCALE - TRAIL_SCALE))
        if finer or not percent:
            raise InvalidField("trail", f"of this order is a percentage of {TRAIL_SCALE} places")
        check_trail_percent("trail", percent)
        trail = Trail(percent=percent)
    stop = risk.trailing_stop(market, order.side, trail, order.water_mark, "trail")
    return replace(terms, trail_price=trail.price, trail_percent=trail.percent, stop_price=stop)


def _check_holds(desk: Desk, one: Replacement, qty: int, working: int) -> Holds:
    """What the order that carries the holds may and must hold for the new terms."""
    account, order, group, market, position = one
    holder = holder_of(desk.orders, group, order)
    if holder is None:
        return NO_HOLDS
    side, leaves = order.side, qty - order.filled
    if leaves > holder.leaves:
        risk.check_position_limit(market.instrument, position, side, leaves - holder.leaves)
    hold_qty = 0
    # An entry opens, whatever the position has become since: its exits follow its fills.
    if order.leg != Leg.ENTRY:
        hold_qty = min(leaves, holder.hold_qty + exitable(account, position, side, leaves))
    more = leaves - hold_qty
    if qty != order.filled + order.leaves and not account.fractional_trading:
        risk.check_whole(market.instrument, more, qty - hold_qty)
    if more > holder.opening:
        risk.check_opening(
            account,
            market.instrument,
            position,
            side,
            leaves - holder.hold_qty,
            exits=hold_qty - holder.hold_qty,
            locate=order.locate,
            paid_on=desk.accounts.paid_on,
        )
    exits = other_exits(desk.orders, group, order)
    prices = [working, *(leg.working_price for leg in exits)]
    if account.is_margin and (market.family or desk.accounts.pairs):
        own = holder.opening, holder.hold_qty
        asks = [Ask(side, leaves, hold_qty, price, *own) for price in prices]
        hold = max(family_hold(desk, account, market, ask) for ask in asks)
        needed = hold - holder.hold + uncovered(desk, account, market, asks[0])
    else:
        hold = max(hold_for(account, market, side, more, price) for price in prices)
        needed = hold - holder.hold
    if needed > 0:
        check_buying_power(desk, account, needed)
        if order.leg == Leg.ENTRY and not account.is_margin:
            _check_settled(desk, account, qty, hold - holder.hold)
    return Holds(hold, hold_qty)


def _own_qty(group: Oco | None, order: Order, qty: int | None) -> int:
    """The order's own total when a new one is asked for.

    On an exit that is the total of its group, whichever leg has traded what of it.
    """
    if qty is None:
        # Not `order.qty`: what a bust took from its fills is no longer this order's to trade.
        return order.filled + order.leaves
    if group is None or order.leg == Leg.ENTRY:
        return qty
    if group.order_class != OrderClass.OCO:
        raise LegFixed("qty", "of an exit follows what its entry brings")
    if qty <= group.filled:
        raise ReplaceQtyTooSmall(to_text(qty, QTY_SCALE), to_text(group.filled, QTY_SCALE))
    return order.filled + qty - group.filled


def holder_of(orders: Orders, group: Oco | None, order: Order) -> Order | None:
    """The order that carries what this one holds: of a held exit the take-profit."""
    if group is None or not order.is_held:
        return order
    return orders.working.get(group.take_profit_id.int) if order.armed else None


def other_exits(orders: Orders, group: Oco | None, order: Order) -> list[Order]:
    """The exits that an exit's holds stand for as well."""
    if group is None or order.leg == Leg.ENTRY:
        return []
    return [other for other in exits_of(orders, group) if other is not order]


def exits_of(orders: Orders, group: Oco) -> list[Order]:
    """The exits of a group that work."""
    exits = (
        orders.working.get(group.take_profit_id.int),
        orders.working.get(group.stop_loss_id.int),
    )
    return [order for order in exits if order is not None]


def _check_leg_prices(orders: Orders, group: Oco, order: Order, limit: int, stop: int) -> None:
    """With the new prices the legs that work are still in order; raises LegPriceOrder."""
    prices = {}
    for leg, order_id in group.legs:
        other = orders.working.get(order_id.int)
        if other is order:
            prices[leg] = limit, stop
        elif other is not None:
            prices[leg] = other.limit_price, other.stop_price
    if order.triggered_at and order.leg == Leg.STOP_LOSS:
        return
    check_prices(
        group.side,
        prices.get(Leg.TAKE_PROFIT, (0, 0))[0],
        prices.get(Leg.STOP_LOSS, (0, 0))[1],
        prices.get(Leg.ENTRY, (0, 0)),
        order.price_decimals,
    )


def _check_settled(desk: Desk, account: Account, qty: int, more: int) -> None:
    """An entry grows by settled funds only: else its exits could not be sold."""
    if more > account.settled_funds:
        raise rides_free(desk, account, qty, more)
