"""List instruments, change their terms, and move them through their sessions."""

from __future__ import annotations

from application.commands import (
    ChangeInstrument,
    CloseInstrument,
    ExpireOrders,
    HaltInstrument,
    ListInstrument,
    MarkInstrument,
    OpenInstrument,
    Reply,
    ResumeInstrument,
)
from application.deciding.matching import held_by, release, withdraw
from application.deciding.reactions import react
from application.deciding.steps import elect_stops, uncross
from application.desk.desk import Desk
from domain.decision import Decision
from domain.errors import InstrumentExists, InvalidField
from domain.identifiers import MAX_INSTANT, Instant
from domain.instrument import Instrument
from domain.matching.engine import MAX_TICKS, Market
from domain.money import MAX_AMOUNT, WIRE_PRICE_SCALE
from domain.order import Order
from domain.risk import MAX_NOTIONAL, price_in_units
from domain.terms import Phase, TimeInForce, TriggerRule

_RULES = frozenset(map(int, TriggerRule))


def list_instrument(desk: Desk, decision: Decision, cmd: ListInstrument, _: bytes) -> Reply:
    """List an instrument; the same symbol and terms again give the one that is there."""
    _check_symbol("symbol", cmd.symbol)
    if not 0 <= cmd.price_decimals <= WIRE_PRICE_SCALE:
        raise InvalidField("price_decimals", f"is not between 0 and {WIRE_PRICE_SCALE}")
    scale = 10 ** (WIRE_PRICE_SCALE - cmd.price_decimals)
    tick, finer = divmod(cmd.tick, scale)
    if finer or not 0 < tick < 10**12:
        raise InvalidField("tick", "is not a positive number of the instrument's decimals")
    reference, finer = divmod(cmd.reference_price, scale)
    if finer or not 0 <= reference < min(MAX_TICKS * tick + 1, MAX_AMOUNT):
        raise InvalidField("reference_price", "is negative, too fine or too large")
    if not 0 < cmd.lot < MAX_AMOUNT:
        raise InvalidField("lot", "is not positive, or too large")
    _check_limits(cmd)
    terms = (
        cmd.symbol,
        cmd.name or cmd.symbol,
        cmd.asset_class,
        cmd.calendar,
        cmd.price_decimals,
        tick,
        cmd.lot,
        cmd.trigger_rule,
        cmd.collar_bps,
        cmd.max_order_qty,
        cmd.max_order_notional,
        cmd.position_limit,
        reference,
        cmd.initial_margin_bps,
        cmd.maintenance_margin_bps,
        cmd.shortable,
        cmd.settlement_cycle,
    )
    known = desk.symbols.get(cmd.symbol)
    if known is not None:
        same = known.instrument
        # Only what can never change: a repeat must not be refused because the rest did.
        if (same.asset_class, same.calendar, same.price_decimals, same.tick, same.lot) != (
            cmd.asset_class,
            cmd.calendar,
            cmd.price_decimals,
            tick,
            cmd.lot,
        ):
            raise InstrumentExists(cmd.symbol)
        return Reply(desk.position, result=_named(same), duplicate=True)
    instrument = Instrument.list_new(decision, decision.new_id(), *terms)
    desk.add_instrument(instrument)
    return Reply(decision.last_position(), result=_named(instrument))


def change_instrument(desk: Desk, decision: Decision, cmd: ChangeInstrument, _: bytes) -> Reply:
    """Change the changeable terms."""
    market = desk.market(cmd.symbol)
    instrument = market.instrument
    symbol = cmd.new_symbol or instrument.symbol
    if symbol != instrument.symbol:
        _check_symbol("new_symbol", symbol)
        if symbol in desk.symbols:
            raise InstrumentExists(symbol)
    _check_limits(cmd)
    old_symbol, old_rule = instrument.symbol, instrument.trigger_rule
    instrument.change_terms(
        decision,
        symbol,
        instrument.name if cmd.name is None else cmd.name,
        instrument.trigger_rule if cmd.trigger_rule is None else cmd.trigger_rule,
        instrument.collar_bps if cmd.collar_bps is None else cmd.collar_bps,
        instrument.max_order_qty if cmd.max_order_qty is None else cmd.max_order_qty,
        instrument.max_order_notional if cmd.max_order_notional is None else cmd.max_order_notional,
        instrument.position_limit if cmd.position_limit is None else cmd.position_limit,
        instrument.initial_margin_bps if cmd.initial_margin_bps is None else cmd.initial_margin_bps,
        instrument.maintenance_margin_bps
        if cmd.maintenance_margin_bps is None
        else cmd.maintenance_margin_bps,
        instrument.shortable if cmd.shortable is None else cmd.shortable,
        instrument.settlement_cycle if cmd.settlement_cycle is None else cmd.settlement_cycle,
    )
    desk.rename(market, old_symbol)
    if instrument.trigger_rule != old_rule and instrument.phase == Phase.OPEN:
        market.look_again()
        elect_stops(desk, decision, market)
    return Reply(decision.last_position(), result=_named(instrument))


def open_instrument(desk: Desk, decision: Decision, cmd: OpenInstrument, _: bytes) -> Reply:
    """Begin a session: uncross at one price, then trade continuously."""
    market = desk.market(cmd.symbol)
    if not 0 <= cmd.opens_at < cmd.closes_at <= MAX_INSTANT:
        raise InvalidField("closes_at", "is not after opens_at")
    for field, date in (("session_date", cmd.session_date), ("value_date", cmd.value_date)):
        if not 19_000_101 <= date <= 99_991_231:
            raise InvalidField(field, "is not a date as 20261120")
    market.instrument.check_can_open()
    _expire(desk, decision, market)
    price, qty, ticks = _auction(market)
    market.instrument.open(
        decision,
        (cmd.session_date, cmd.value_date, cmd.opens_at, cmd.closes_at),
        (price, qty),
    )
    _trade_auction(desk, decision, market, ticks)
    return Reply(decision.last_position(), result=_named(market.instrument))


def resume_instrument(desk: Desk, decision: Decision, cmd: ResumeInstrument, _: bytes) -> Reply:
    """Trade on after a halt: uncross at one price first."""
    market = desk.market(cmd.symbol)
    market.instrument.check_can_resume()
    _expire(desk, decision, market)
    price, qty, ticks = _auction(market)
    market.instrument.resume(decision, (price, qty))
    _trade_auction(desk, decision, market, ticks)
    return Reply(decision.last_position(), result=_named(market.instrument))


def _auction(market: Market) -> tuple[int, int, int]:
    """The auction's (price, quantity, price in ticks), zeros when nothing crosses."""
    ticks, lots, _ = market.book.uncross_price(market.uncross_reference())
    return ticks * market.instrument.tick, lots * market.instrument.lot, ticks


def _trade_auction(desk: Desk, decision: Decision, market: Market, ticks: int) -> None:
    if ticks:
        decision.causation = decision.last_position()
        uncross(desk, decision, market, ticks)
        decision.causation = 0
    market.look_again()
    elect_stops(desk, decision, market)


def close_instrument(desk: Desk, decision: Decision, cmd: CloseInstrument, _: bytes) -> Reply:
    """End the session; day orders expire in the commands that follow."""
    market = desk.market(cmd.symbol)
    market.instrument.close(decision, desk.sequence)
    market.low = market.high = 0
    return Reply(decision.last_position(), result=_named(market.instrument))


def halt_instrument(desk: Desk, decision: Decision, cmd: HaltInstrument, _: bytes) -> Reply:
    """Stop trading inside a session."""
    market = desk.market(cmd.symbol)
    market.instrument.halt(decision, cmd.reason)
    return Reply(decision.last_position(), result=_named(market.instrument))


def mark_instrument(desk: Desk, decision: Decision, cmd: MarkInstrument, _: bytes) -> Reply:
    """Take a mark price; it elects stops where the rule is the mark."""
    market = desk.market(cmd.symbol)
    price = price_in_units(market.instrument, "price", cmd.price)
    market.instrument.mark(decision, price)
    if market.instrument.trigger_rule == TriggerRule.MARK:
        elect_stops(desk, decision, market)
    return Reply(decision.last_position(), result=_named(market.instrument))


def expire_orders(desk: Desk, decision: Decision, cmd: ExpireOrders, _: bytes) -> Reply:
    """Expire orders that are due, at most `limit`; the reply says whether more remain."""
    market = desk.market(cmd.symbol)
    expired, remaining = _expire(desk, decision, market, max(1, min(cmd.limit, 200)))
    if expired and market.instrument.trigger_rule == TriggerRule.BID_ASK:
        elect_stops(desk, decision, market)
    return Reply(
        decision.last_position() if expired else desk.position,
        result={"expired": expired, "remaining": remaining},
    )


def _expire(
    desk: Desk, decision: Decision, market: Market, at_most: int | None = None
) -> tuple[int, bool]:
    """End orders whose time is over, all of them before an auction: (how many, more remain)."""
    due: list[Order] = []
    remaining = False
    for order in desk.market_orders[market.instrument.id].values():
        if is_due(market, order, decision.at):
            if len(due) == at_most:
                remaining = True
                break
            due.append(order)
    for order in due:
        if not order.is_working:
            # Its group ended with a leg before it.
            continue
        freed = held_by(order)
        withdraw(market, order)
        order.expire(decision)
        release(desk, decision, order, freed)
        react(desk, decision)
    return len(due), remaining


def is_due(market: Market, order: Order, at: Instant) -> bool:
    """Whether an order's time is over: a day order's with its session, a gtd's at its instant."""
    if order.time_in_force == TimeInForce.GTD:
        return order.expires_at <= at
    return (
        order.time_in_force != TimeInForce.GTC and order.sequence <= market.instrument.closed_after
    )


def _check_symbol(field: str, symbol: str) -> None:
    if not (0 < len(symbol) <= 24 and symbol.isascii() and symbol.isprintable()) or " " in symbol:
        raise InvalidField(field, "is not 1 to 24 printable ASCII characters without blanks")


def _check_limits(cmd: ListInstrument | ChangeInstrument) -> None:
    if cmd.trigger_rule is not None and cmd.trigger_rule not in _RULES:
        raise InvalidField("trigger_rule", "is not known")
    if cmd.collar_bps is not None and not 0 < cmd.collar_bps <= 9_999:
        raise InvalidField("collar_bps", "is not between 1 and 9999")
    for field, bound in (
        ("max_order_qty", MAX_AMOUNT),
        ("max_order_notional", MAX_NOTIONAL),
        ("position_limit", MAX_AMOUNT),
    ):
        value = getattr(cmd, field)
        if value is not None and not 0 <= value <= bound:
            raise InvalidField(field, "is negative or too large")
    for field, low, high in (
        ("initial_margin_bps", 1, 100_000),
        ("maintenance_margin_bps", 1, 100_000),
        ("settlement_cycle", 0, 30),
    ):
        value = getattr(cmd, field)
        if value is not None and not low <= value <= high:
            raise InvalidField(field, f"is not between {low} and {high}")


def _named(instrument: Instrument) -> dict[str, str]:
    return {
        "instrument_id": str(instrument.id),
        "symbol": instrument.symbol,
        "phase": Phase(instrument.phase).name.lower(),
    }
