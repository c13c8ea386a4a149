"""Refusals: one class per stable code, carrying the values it judged."""

from __future__ import annotations

from typing import Any, ClassVar
from uuid import UUID


class Rejection(Exception):
    """A command that the venue refuses, for a reason the client can read and act on.

    `code` is stable and names the class for ever; `field` names the input that was judged,
    empty when no single one was; `details` are the judged values as text or integers.
    """

    code: ClassVar[str] = ""
    field: ClassVar[str] = ""
    by_code: ClassVar[dict[str, type[Rejection]]] = {}

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "code" in cls.__dict__:
            known = Rejection.by_code.setdefault(cls.code, cls)
            assert known is cls, f"two refusals share the code {cls.code}"

    def __init__(self, message: str, **details: Any) -> None:
        super().__init__(message)
        self.message = message
        self.details = details

    def document(self) -> dict[str, Any]:
        """The judged values and the field, as events and replies carry them."""
        return {"field": self.field, **self.details}


class InvalidAmount(Rejection):
    """A number that is not exact, not finite, too long or too large."""

    code = "INVALID_AMOUNT"

    def __init__(self, field: str, value: str, why: str) -> None:
        super().__init__(f"{field} {value[:40]!r} {why}", field=field, value=value[:40])


class InvalidField(Rejection):
    """A field whose value is outside what the venue knows.

    `limit` is its bound where that is one value, `allowed` its values where they are few.
    """

    code = "INVALID_FIELD"

    def __init__(self, field: str, why: str, **bounds: Any) -> None:
        super().__init__(f"{field} {why}", field=field, **bounds)


class UnknownAccount(Rejection):
    """No account has this id."""

    code = "UNKNOWN_ACCOUNT"
    field = "account_id"

    def __init__(self, account_id: UUID) -> None:
        super().__init__(f"no account {account_id}", account_id=str(account_id))


class AccountExists(Rejection):
    """The account number is taken."""

    code = "ACCOUNT_EXISTS"
    field = "name"

    def __init__(self, name: str) -> None:
        super().__init__(f"an account named {name!r} exists with other terms", name=name)


class AccountNotActive(Rejection):
    """The account may not trade in its present state."""

    code = "ACCOUNT_NOT_ACTIVE"

    def __init__(self, account_id: UUID, status: str) -> None:
        super().__init__(f"account is {status}", account_id=str(account_id), status=status)


class UnknownInstrument(Rejection):
    """No instrument trades under this symbol."""

    code = "UNKNOWN_INSTRUMENT"
    field = "symbol"

    def __init__(self, symbol: str) -> None:
        super().__init__(f"no instrument {symbol!r}", symbol=symbol)


class InstrumentExists(Rejection):
    """The symbol is taken by an instrument with other terms."""

    code = "INSTRUMENT_EXISTS"
    field = "symbol"

    def __init__(self, symbol: str) -> None:
        super().__init__(f"instrument {symbol!r} exists with other terms", symbol=symbol)


class MarketClosed(Rejection):
    """The instrument is closed and this kind of request cannot wait for the open."""

    code = "MARKET_CLOSED"
    field = "symbol"

    def __init__(self, symbol: str) -> None:
        super().__init__(
            f"{symbol} is closed: what cannot wait (ioc, fok, an order for an amount) is not taken "
            "until its next session opens",
            symbol=symbol,
        )


class InstrumentHalted(Rejection):
    """The instrument is halted and this kind of request cannot wait for the resume."""

    code = "INSTRUMENT_HALTED"
    field = "symbol"

    def __init__(self, symbol: str) -> None:
        super().__init__(
            f"{symbol} is halted: what cannot wait (ioc, fok, an order for an amount) is not taken "
            "until it resumes",
            symbol=symbol,
        )


class OpeningAuctionOver(Rejection):
    """An order for the opening auction came after it, inside a session."""

    code = "OPENING_AUCTION_OVER"
    field = "time_in_force"

    def __init__(self, symbol: str, until: str | None) -> None:
        when = f" at {until}" if until else ""
        super().__init__(
            f"time_in_force opg is for the opening auction, and {symbol} has opened: "
            f"opg orders are taken again when its session has closed{when}",
            symbol=symbol,
            until=until,
        )


class WrongSessionState(Rejection):
    """An open, close, halt or resume that does not fit the instrument's present state."""

    code = "WRONG_SESSION_STATE"

    def __init__(self, symbol: str, state: str, wanted: str) -> None:
        super().__init__(
            f"{symbol} is {state}: cannot {wanted}", symbol=symbol, state=state, wanted=wanted
        )


class PricePrecision(Rejection):
    """The price has more decimals than the instrument's prices."""

    code = "PRICE_PRECISION"

    def __init__(self, field: str, price: str, decimals: int) -> None:
        super().__init__(
            f"{field} {price} has more than {decimals} decimal places",
            field=field,
            price=price,
            decimals=decimals,
        )


class TickViolation(Rejection):
    """The price is not a multiple of the tick, not positive, or larger than any price."""

    code = "TICK_VIOLATION"

    def __init__(self, field: str, price: str, tick: str, why: str = "") -> None:
        why = why or f"is not a positive multiple of the tick {tick}"
        super().__init__(f"{field} {price} {why}", field=field, price=price, tick=tick)


class LotViolation(Rejection):
    """The quantity is not a multiple of the lot, not positive, or larger than any quantity."""

    code = "LOT_VIOLATION"
    field = "qty"

    def __init__(self, qty: str, lot: str, why: str = "") -> None:
        why = why or f"is not a positive multiple of the lot {lot}"
        super().__init__(f"qty {qty} {why}", qty=qty, lot=lot)


class OrderTooLarge(Rejection):
    """The order exceeds a size or notional limit."""

    code = "ORDER_TOO_LARGE"
    field = "qty"

    def __init__(self, what: str, value: str, limit: str) -> None:
        super().__init__(f"{what} {value} exceeds {limit}", what=what, value=value, limit=limit)


class PriceOutsideCollar(Rejection):
    """The limit price is too far from the reference price."""

    code = "PRICE_OUTSIDE_COLLAR"
    field = "limit_price"

    def __init__(self, price: str, low: str, high: str) -> None:
        super().__init__(
            f"limit_price {price} is outside the collar {low} to {high}",
            price=price,
            low=low,
            high=high,
        )


class NoReferencePrice(Rejection):
    """A market order needs a reference price and the instrument has none yet."""

    code = "NO_REFERENCE_PRICE"
    field = "type"

    def __init__(self, symbol: str) -> None:
        super().__init__(f"{symbol} has no reference price yet: use a limit", symbol=symbol)


class PositionLimitExceeded(Rejection):
    """With all working orders filled, the position would exceed its limit."""

    code = "POSITION_LIMIT_EXCEEDED"
    field = "qty"

    def __init__(self, would_be: str, limit: str) -> None:
        super().__init__(
            f"the position could reach {would_be}, over its limit {limit}",
            would_be=would_be,
            limit=limit,
        )


class InsufficientBuyingPower(Rejection):
    """The account cannot pay for the order."""

    code = "INSUFFICIENT_BUYING_POWER"
    field = "qty"

    def __init__(self, needed: str, available: str) -> None:
        super().__init__(
            f"insufficient buying power: {needed} needed, {available} available",
            needed=needed,
            available=available,
        )


class InsufficientQuantity(Rejection):
    """The account does not hold, free of other orders, what it wants to sell or give away; `held`
    says what it holds, and `why` that a share of that is less than a lot.
    """

    code = "INSUFFICIENT_QTY"
    field = "qty"

    def __init__(
        self, needed: str, available: str, of: str = "available", *, why: str = "", **held: str
    ) -> None:
        super().__init__(
            why or f"insufficient qty available: {needed} requested, {available} {of}",
            needed=needed,
            available=available,
            **held,
        )


class LocateRequired(Rejection):
    """A short sale of an instrument that is not easy to borrow, without located shares."""

    code = "LOCATE_REQUIRED"
    field = "locate"

    def __init__(self, symbol: str) -> None:
        super().__init__(f"{symbol} is not easy to borrow: locate the shares first", symbol=symbol)


class LiquidationOnly(Rejection):
    """The account has a margin call, or is closing-only: it may only reduce positions."""

    code = "LIQUIDATION_ONLY"
    field = "qty"

    def __init__(self, why: str) -> None:
        super().__init__(f"the account {why} and may only reduce positions", why=why)


class AccountKilled(Rejection):
    """The account's kill switch is engaged."""

    code = "ACCOUNT_KILL_SWITCH"

    def __init__(self) -> None:
        super().__init__("the account's kill switch is engaged: only cancels are taken")


class VenueKilled(Rejection):
    """The venue's kill switch is engaged."""

    code = "VENUE_KILL_SWITCH"

    def __init__(self) -> None:
        super().__init__("the venue's kill switch is engaged: only cancels are taken")


class LegQtyMismatch(Rejection):
    """The legs of a group are not of equal quantity."""

    code = "LEG_QTY_MISMATCH"
    field = "qty"

    def __init__(self, take_profit: str, stop_loss: str) -> None:
        super().__init__(
            f"take_profit qty {take_profit} and stop_loss qty {stop_loss} differ",
            take_profit=take_profit,
            stop_loss=stop_loss,
        )


class LegPriceOrder(Rejection):
    """A take-profit that is not better than its stop-loss, or a leg on the entry's wrong side."""

    code = "LEG_PRICE_ORDER"

    def __init__(self, field: str, why: str, **prices: str) -> None:
        super().__init__(f"{field} {why}", field=field, **prices)


class LegFixed(Rejection):
    """A term of one leg that follows from the group and cannot be replaced by itself."""

    code = "LEG_FIXED"

    def __init__(self, field: str, why: str) -> None:
        super().__init__(f"{field} {why}", field=field)


class InsufficientCash(Rejection):
    """A withdrawal or fee larger than the free cash."""

    code = "INSUFFICIENT_CASH"
    field = "amount"

    def __init__(self, needed: str, available: str, of: str = "available") -> None:
        super().__init__(
            f"{needed} requested, {available} {of}", needed=needed, available=available
        )


class BalanceLimit(Rejection):
    """A booking that would carry a balance beyond what the venue keeps."""

    code = "BALANCE_LIMIT"
    field = "amount"

    def __init__(self, would_be: str, limit: str) -> None:
        super().__init__(
            f"the balance would be {would_be}, and the venue keeps up to {limit}",
            would_be=would_be,
            limit=limit,
        )


class PostOnlyWouldTrade(Rejection):
    """A post-only order that would take liquidity."""

    code = "POST_ONLY_WOULD_TRADE"
    field = "limit_price"

    def __init__(self, best: str) -> None:
        super().__init__(f"post-only order would trade at {best}", best=best)


class StopAlreadyThrough(Rejection):
    """The market is already through the stop price."""

    code = "STOP_ALREADY_THROUGH"
    field = "stop_price"

    def __init__(self, stop: str, seen: str) -> None:
        super().__init__(
            f"stop_price {stop} is already through the market at {seen}", stop=stop, seen=seen
        )


class UnknownOrder(Rejection):
    """No order of this account has this id."""

    code = "UNKNOWN_ORDER"
    field = "order_id"

    def __init__(self, order_id: str) -> None:
        super().__init__(f"no order {order_id}", order_id=order_id)


class OrderNotWorking(Rejection):
    """The order is done and can be neither canceled nor replaced."""

    code = "ORDER_NOT_WORKING"
    field = "order_id"

    def __init__(self, order_id: UUID, status: str) -> None:
        super().__init__(f"order is {status}", order_id=str(order_id), status=status)


class FillExceedsLeaves(Rejection):
    """The fill is larger than what is left of the order."""

    code = "FILL_EXCEEDS_LEAVES"
    field = "qty"

    def __init__(self, order_id: UUID, *, leaves: int, fill: int) -> None:
        super().__init__("fill exceeds leaves", order_id=str(order_id), leaves=leaves, fill=fill)
        self.leaves = leaves
        self.fill = fill


class ReplaceQtyTooSmall(Rejection):
    """The new total quantity is not larger than what is filled already."""

    code = "REPLACE_QTY_TOO_SMALL"
    field = "qty"

    def __init__(self, qty: str, filled: str) -> None:
        super().__init__(f"qty {qty} must exceed the filled {filled}", qty=qty, filled=filled)


class NothingToReplace(Rejection):
    """A replace that changes nothing, or a term this order does not have."""

    code = "NOTHING_TO_REPLACE"

    def __init__(self, why: str) -> None:
        super().__init__(why)


class UnknownPosition(Rejection):
    """The account holds nothing of the instrument, neither long nor short."""

    code = "UNKNOWN_POSITION"
    field = "symbol"

    def __init__(self, symbol: str) -> None:
        super().__init__(f"no position in {symbol}", symbol=symbol)


class UnknownTrade(Rejection):
    """No trade has this id, or it is busted already."""

    code = "UNKNOWN_TRADE"
    field = "trade_id"

    def __init__(self, trade_id: str) -> None:
        super().__init__(f"no live trade {trade_id}", trade_id=trade_id)


class QueueFull(Rejection):
    """The writer's queue is full; nothing was decided, try again shortly."""

    code = "QUEUE_FULL"

    def __init__(self) -> None:
        super().__init__("the venue is busy: try again shortly")


class VenueUnavailable(Rejection):
    """The writer cannot be reached, or the outcome is not known; a retry with the key is safe."""

    code = "VENUE_UNAVAILABLE"

    def __init__(self, why: str) -> None:
        super().__init__(why)
