"""The desk kept by applying events: recovery, standby, replay and snapshots all go this way."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from application.desk.desk import Desk, count_working
from application.log.ports import Recorded
from domain.events import (
    AccountEvent,
    AccountLimitsSet,
    AccountOpened,
    DomainEvent,
    GroupEnded,
    GroupEvent,
    GroupPlaced,
    InstrumentClosed,
    InstrumentEvent,
    InstrumentListed,
    InstrumentTermsChanged,
    OrderAccepted,
    OrderAdjusted,
    OrderCanceled,
    OrderExpired,
    OrderFillBusted,
    OrderFillCorrected,
    OrderFilled,
    OrderRejected,
    OrderReplaced,
    OrderTriggered,
    PositionEvent,
    PositionOpened,
    SettlementFailed,
    SettlementSettled,
    TradeBooked,
    TradeReversed,
    VenueKillSwitched,
)
from domain.identifiers import command_number
from domain.order import Order
from domain.settlement import ObligationKey, Settlement
from domain.terms import OrderStatus, Side


class DeskDiverged(Exception):
    """An event that does not fit the desk: the log or the snapshot is damaged."""


def follow(desk: Desk, recorded: Iterable[Recorded]) -> None:
    """Apply committed events in order; those the desk holds already are passed over.

    Raises DeskDiverged when a position is missing or an event does not fit.
    """
    newest = None
    for position, event in recorded:
        if position <= desk.position:
            continue
        if position != desk.position + 1:
            raise DeskDiverged(f"position {position} follows {desk.position}")
        try:
            _APPLY[type(event)](desk, event)
        except (AssertionError, LookupError, ValueError) as error:
            raise DeskDiverged(f"event {position} {event.TOPIC}: {error!r}") from error
        desk.position = position
        desk.last_at = event.at
        newest = event
    if newest is not None:
        desk.command = command_number(newest.correlation_id)


def _instrument_listed(desk: Desk, event: InstrumentListed) -> None:
    assert event.originator_id not in desk.markets
    desk.add_instrument(event.mutate(None))


def _instrument_changed(desk: Desk, event: InstrumentTermsChanged) -> None:
    market = desk.markets[event.originator_id]
    old_symbol = market.instrument.symbol
    event.mutate(market.instrument)
    desk.rename(market, old_symbol)


def _instrument_closed(desk: Desk, event: InstrumentClosed) -> None:
    market = desk.markets[event.originator_id]
    event.mutate(market.instrument)
    market.low = market.high = 0


def _instrument(desk: Desk, event: InstrumentEvent) -> None:
    event.mutate(desk.markets[event.originator_id].instrument)


def _account_opened(desk: Desk, event: AccountOpened) -> None:
    assert event.originator_id not in desk.accounts
    desk.add_account(event.mutate(None))


def _account(desk: Desk, event: AccountEvent) -> None:
    event.mutate(desk.accounts[event.originator_id])


def _trade_booked(desk: Desk, event: TradeBooked) -> None:
    event.mutate(desk.accounts[event.originator_id])
    key = ObligationKey(event.originator_id, event.instrument_id, event.value_date)
    trade = (event.qty, event.notional, event.fee)
    desk.owe(key, event.side, trade, event.unpaid_qty, event.at)


def _trade_reversed(desk: Desk, event: TradeReversed) -> None:
    event.mutate(desk.accounts[event.originator_id])
    key = ObligationKey(event.originator_id, event.instrument_id, event.value_date)
    trade = (-event.qty, -event.notional, -event.fee)
    desk.owe(key, event.side, trade, -event.unpaid_qty, event.at)


def _settlement_failed(desk: Desk, event: SettlementFailed) -> None:
    key = ObligationKey(event.account_id, event.instrument_id, event.value_date)
    desk.settlements[key] = event.mutate(desk.settlements.get(key))


def _settlement_settled(desk: Desk, event: SettlementSettled) -> None:
    key = ObligationKey(event.account_id, event.instrument_id, event.value_date)
    settlement: Settlement = event.mutate(desk.settlements.get(key))
    desk.settled(settlement, event.pool_after)


def _venue(desk: Desk, event: VenueKillSwitched) -> None:
    desk.venue = event.mutate(desk.venue if desk.venue.version else None)


def _group_placed(desk: Desk, event: GroupPlaced) -> None:
    assert event.originator_id not in desk.groups
    desk.groups[event.originator_id] = event.mutate(None)


def _group(desk: Desk, event: GroupEvent) -> None:
    event.mutate(desk.groups[event.originator_id])


def _group_ended(desk: Desk, event: GroupEnded) -> None:
    event.mutate(desk.groups.pop(event.originator_id))


def _limits_set(desk: Desk, event: AccountLimitsSet) -> None:
    event.mutate(desk.accounts[event.originator_id])
    if not event.max_orders_per_second:
        desk.order_rates.pop(event.originator_id, None)


def _position_opened(desk: Desk, event: PositionOpened) -> None:
    assert (event.account_id, event.instrument_id) not in desk.positions
    desk.add_position(event.mutate(None))


def _position(desk: Desk, event: PositionEvent) -> None:
    event.mutate(desk.positions[event.account_id, event.instrument_id])


def _order_rejected(desk: Desk, event: OrderRejected) -> None:
    event.mutate(None)


def _order_accepted(desk: Desk, event: OrderAccepted) -> None:
    assert event.sequence > desk.sequence
    order: Order = event.mutate(None)
    desk.sequence = event.sequence
    desk.add_working(order, desk.positions[event.account_id, event.instrument_id])
    account = desk.accounts[event.account_id]
    desk.note_order(account, event.at)
    if order.armed:
        _arm(desk, order, account.owner_number)


def _arm(desk: Desk, order: Order, owner: int) -> None:
    market = desk.markets[order.instrument_id]
    if order.is_waiting_stop:
        market.stops.add(order.side, order.stop_price, order.sequence)
    elif market.rests(order):
        market.add(order, owner)


def _order_adjusted(desk: Desk, event: OrderAdjusted) -> None:
    order = desk.orders[event.originator_id]
    market = desk.markets[event.instrument_id]
    was_armed, before = order.armed, (order.is_held, order.leaves, order.sequence)
    event.mutate(order)
    desk.sequence = max(desk.sequence, event.sequence)
    desk.adjusted(order, desk.positions[event.account_id, event.instrument_id], before)
    if not order.armed or (order.is_waiting_stop and was_armed):
        return
    if not was_armed:
        _arm(desk, order, desk.accounts[event.account_id].owner_number)
    elif event.sequence != before[2]:
        market.book.cancel(before[2])
        market.add(order, desk.accounts[event.account_id].owner_number)
    elif event.leaves_after < before[1]:
        market.book.reduce(order.sequence, event.leaves_after // market.instrument.lot)


def _order_triggered(desk: Desk, event: OrderTriggered) -> None:
    order = desk.orders[event.originator_id]
    market = desk.markets[event.instrument_id]
    old_sequence = order.sequence
    market.stops.remove(order.side, order.stop_price, old_sequence)
    event.mutate(order)
    desk.sequence = event.sequence
    desk.resequence(order, old_sequence)
    if market.rests(order):
        market.add(order, desk.accounts[event.account_id].owner_number)


def _order_filled(desk: Desk, event: OrderFilled) -> None:
    order = desk.orders[event.originator_id]
    market = desk.markets[event.instrument_id]
    event.mutate(order)
    if order.sequence in market.book:
        if event.leaves_after:
            market.book.reduce(order.sequence, event.leaves_after // market.instrument.lot)
        else:
            market.book.cancel(order.sequence)
    position = desk.positions[event.account_id, event.instrument_id]
    count_working(position, event.side, -event.qty)
    market.last_price = event.price
    if not event.leaves_after:
        desk.ended(order, position, 0)


def _order_replaced(desk: Desk, event: OrderReplaced) -> None:
    order = desk.orders[event.originator_id]
    market = desk.markets[event.instrument_id]
    waiting = order.is_waiting_stop
    before = (order.revision_id, order.client_order_id, order.sequence, order.leaves)
    if not order.armed:
        pass
    elif not event.kept_priority:
        if waiting:
            market.stops.remove(order.side, order.stop_price, order.sequence)
        else:
            market.book.cancel(order.sequence)
    elif not waiting and event.leaves_after < order.leaves:
        market.book.reduce(order.sequence, event.leaves_after // market.instrument.lot)
    event.mutate(order)
    desk.sequence = max(desk.sequence, event.sequence)
    desk.replaced(order, desk.positions[event.account_id, event.instrument_id], before)
    desk.note_order(desk.accounts[event.account_id], event.at)
    if event.kept_priority or not order.armed:
        return
    if waiting:
        market.stops.add(order.side, order.stop_price, order.sequence)
    else:
        market.add(order, desk.accounts[event.account_id].owner_number)


def _order_ended(desk: Desk, event: OrderCanceled | OrderExpired) -> None:
    order = desk.orders[event.originator_id]
    market = desk.markets[event.instrument_id]
    counted = 0 if order.status == OrderStatus.HELD else order.leaves
    if order.is_waiting_stop:
        market.stops.remove(order.side, order.stop_price, order.sequence)
    elif order.armed:
        market.book.cancel(order.sequence)
    event.mutate(order)
    desk.ended(order, desk.positions[event.account_id, event.instrument_id], counted)


def _fill_revised(desk: Desk, event: OrderFillBusted | OrderFillCorrected) -> None:
    order = desk.orders.get(event.originator_id) or desk.done.get(event.originator_id)
    # One that ended before the snapshot is not in memory, and nothing here needs it.
    if order is not None:
        event.mutate(order)
    if isinstance(event, OrderFillBusted):
        desk.busted.add(event.trade_id)
    else:
        _, _, bought, sold = desk.corrected.get(event.trade_id, (0, 0, 0, 0))
        if event.side == Side.BUY:
            bought = event.fee_after
        else:
            sold = event.fee_after
        desk.corrected[event.trade_id] = (event.price, event.notional, bought, sold)


_APPLY: dict[type[DomainEvent], Callable[[Desk, Any], None]] = {
    InstrumentListed: _instrument_listed,
    InstrumentTermsChanged: _instrument_changed,
    InstrumentClosed: _instrument_closed,
    AccountOpened: _account_opened,
    PositionOpened: _position_opened,
    OrderRejected: _order_rejected,
    OrderAccepted: _order_accepted,
    OrderTriggered: _order_triggered,
    OrderFilled: _order_filled,
    OrderReplaced: _order_replaced,
    OrderCanceled: _order_ended,
    OrderExpired: _order_ended,
    OrderFillBusted: _fill_revised,
    OrderFillCorrected: _fill_revised,
    OrderAdjusted: _order_adjusted,
    AccountLimitsSet: _limits_set,
    TradeBooked: _trade_booked,
    TradeReversed: _trade_reversed,
    SettlementFailed: _settlement_failed,
    SettlementSettled: _settlement_settled,
    VenueKillSwitched: _venue,
    GroupPlaced: _group_placed,
    GroupEnded: _group_ended,
}
for _class in DomainEvent.by_topic.values():
    for _family, _apply in (
        (InstrumentEvent, _instrument),
        (AccountEvent, _account),
        (PositionEvent, _position),
        (GroupEvent, _group),
    ):
        if issubclass(_class, _family):
            _APPLY.setdefault(_class, _apply)
