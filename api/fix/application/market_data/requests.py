"""A MarketDataRequest as the venue reads it, and what of it is not served by its reason."""

from __future__ import annotations

from typing import NamedTuple

from api.fix.application import tags as t
from api.fix.application.fields import Entry, MissingField, entries_in, name_in, text_in
from api.fix.application.vocabulary import MDReqRejReason
from api.fix.ports import Received
from domain.terms import Side

MOST_LEVELS = 2_000
"""How many levels of a side a message has at most."""
_SNAPSHOT, _SUBSCRIBE, _UNSUBSCRIBE = b"0", b"1", b"2"
"""SubscriptionRequestType(263)."""
_FULL_REFRESH, _INCREMENTAL = b"0", b"1"
"""MDUpdateType(265)."""
_TRADE = b"2"
SIDES = {b"0": int(Side.BUY), b"1": int(Side.SELL)}
"""MDEntryType(269) of the sides of a book."""
_BY_SECURITY_ID = "[N/A]"
_EXCHANGE_SYMBOL = "8"
_MOST_DIGITS = 9
_LONGEST_SYMBOL = 24
_REFUSED = {
    t.NO_TRADING_SESSIONS: (MDReqRejReason.TRADING_SESSION, "is not served"),
    t.SCOPE: (MDReqRejReason.SCOPE, "is not served"),
    t.OPEN_CLOSE_SETTL_FLAG: (MDReqRejReason.OPEN_CLOSE_SETTL_FLAG, "is not served"),
}


class NoMarketData(Exception):
    """A request that is not served: MDReqRejReason(281), empty where FIX has none, and words."""

    def __init__(self, reason: bytes, said: str) -> None:
        super().__init__(said)
        self.reason = reason


class Wanted(NamedTuple):
    """What a session asks to be told, once or from now on."""

    request_id: bytes
    subscribes: bool
    depth: int
    """How many levels of a side; 0 for all."""
    sides: frozenset[int]
    trades: bool
    incremental: bool
    symbols: tuple[str, ...]


def request_id_in(message: Received) -> bytes:
    """The name of a request. Raises WrongValue or MissingField."""
    return name_in(message, t.MD_REQ_ID).encode()


def ends_a_subscription(message: Received) -> bool:
    """Whether it asks to be told no more."""
    return message.get(t.SUBSCRIPTION_REQUEST_TYPE) == _UNSUBSCRIBE


def wanted_in(message: Received) -> Wanted:
    """What a request asks for. Raises NoMarketData, WrongValue or MissingField."""
    kind = message.get(t.SUBSCRIPTION_REQUEST_TYPE)
    if kind not in (_SNAPSHOT, _SUBSCRIBE):
        said = f"{t.named(t.SUBSCRIPTION_REQUEST_TYPE)} is not 0, 1 or 2"
        raise NoMarketData(MDReqRejReason.SUBSCRIPTION_TYPE, said)
    for tag, (reason, why) in _REFUSED.items():
        if message.get(tag) is not None:
            raise NoMarketData(reason, f"{t.named(tag)} {why}")
    if message.get(t.AGGREGATED_BOOK) == b"N":
        said = f"{t.named(t.AGGREGATED_BOOK)} N is not served: books are by price"
        raise NoMarketData(MDReqRejReason.AGGREGATED_BOOK, said)
    if message.get(t.MD_IMPLICIT_DELETE) == b"Y":
        said = f"{t.named(t.MD_IMPLICIT_DELETE)} Y is not served: what falls out of depth is told"
        raise NoMarketData(MDReqRejReason.IMPLICIT_DELETE, said)
    kinds = _entry_types(message)
    subscribes = kind == _SUBSCRIBE
    return Wanted(
        request_id_in(message),
        subscribes,
        _depth(message),
        frozenset(SIDES[one] for one in kinds if one in SIDES),
        _TRADE in kinds,
        _is_incremental(message, trades=_TRADE in kinds) if subscribes else False,
        _symbols(message),
    )


def _entry_types(message: Received) -> set[bytes]:
    kinds = {
        value
        for tag, value in zip(message.tags, message.values, strict=True)
        if tag == t.MD_ENTRY_TYPE
    }
    for kind in sorted(kinds):
        if kind not in SIDES and kind != _TRADE:
            said = f"{t.named(t.MD_ENTRY_TYPE)} {kind.decode('ascii', 'replace')} is not 0, 1 or 2"
            raise NoMarketData(MDReqRejReason.ENTRY_TYPE, said)
    if not kinds:
        raise MissingField(t.MD_ENTRY_TYPE, "is required")
    return kinds


def _depth(message: Received) -> int:
    said = message.get(t.MARKET_DEPTH)
    if said is None:
        raise MissingField(t.MARKET_DEPTH, "is required")
    if not said.isdigit() or len(said) > _MOST_DIGITS or int(said) > MOST_LEVELS:
        why = f"{t.named(t.MARKET_DEPTH)} is not 0 for all levels, or 1 to {MOST_LEVELS}"
        raise NoMarketData(MDReqRejReason.MARKET_DEPTH, why)
    return int(said)


def _is_incremental(message: Received, *, trades: bool) -> bool:
    said = message.get(t.MD_UPDATE_TYPE)
    if said is None:
        raise MissingField(t.MD_UPDATE_TYPE, "is required of a subscription")
    if said not in (_FULL_REFRESH, _INCREMENTAL):
        why = f"{t.named(t.MD_UPDATE_TYPE)} is not 0 or 1"
        raise NoMarketData(MDReqRejReason.UPDATE_TYPE, why)
    if trades and said == _FULL_REFRESH:
        why = f"{t.named(t.MD_UPDATE_TYPE)} 0 has no word for a busted trade: ask for trades with 1"
        raise NoMarketData(MDReqRejReason.UPDATE_TYPE, why)
    return said == _INCREMENTAL


def _symbols(message: Received) -> tuple[str, ...]:
    found = [_symbol(entry) for entry in entries_in(message, t.NO_RELATED_SYM, t.SYMBOL)]
    if not found:
        raise MissingField(t.SYMBOL, "is required")
    return tuple(dict.fromkeys(found))


def _symbol(entry: Entry) -> str:
    """The symbol of an entry; by SecurityID where that is said instead."""
    symbol = text_in(entry, t.SYMBOL)
    if symbol != _BY_SECURITY_ID:
        return _known_by_length(symbol)
    source = text_in(entry, t.SECURITY_ID_SOURCE)
    if source != _EXCHANGE_SYMBOL:
        said = f"{t.named(t.SECURITY_ID_SOURCE)} is not 8, the venue's own symbol"
        raise NoMarketData(MDReqRejReason.UNKNOWN_SYMBOL, said)
    return _known_by_length(text_in(entry, t.SECURITY_ID))


def _known_by_length(symbol: str) -> str:
    if not 0 < len(symbol) <= _LONGEST_SYMBOL:
        said = f"no instrument has a symbol of {len(symbol)} characters"
        raise NoMarketData(MDReqRejReason.UNKNOWN_SYMBOL, said)
    return symbol
