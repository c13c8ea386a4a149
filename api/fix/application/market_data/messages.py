"""Market data as FIX writes it: a whole book (W), what changed (X), and why there is none (Y)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from api.fix.application import tags as t
from api.fix.application.market_data.requests import SIDES
from api.fix.application.market_data.told import CHANGED, DELETED, NEW, Change
from api.fix.application.values import amount, quantity, text, timestamp
from api.fix.ports import Body
from domain.identifiers import Instant
from projections.market_data.feed import Listed
from projections.market_data.levels import Resting
from projections.market_data.records import Printed, Record, Trade, trade_of

SNAPSHOT, REFRESH, REJECT = b"W", b"X", b"Y"
TRADE = b"2"
Fields = list[tuple[int, bytes]]
_OF_SIDE = {side: word for word, side in SIDES.items()}
_ACTIONS = {
    int(Printed.TRADED): NEW,
    int(Printed.BUSTED): DELETED,
    int(Printed.CORRECTED): CHANGED,
}


def snapshot(
    request_id: bytes,
    listed: Listed,
    sides: Mapping[int, Sequence[Resting]],
    trade: Record | None,
    sequence: Fields,
) -> Body:
    """All that was asked for of an instrument; no entry at all is an empty book."""
    entries: Fields = []
    count = 0
    for side, levels in sides.items():
        for position, level in enumerate(levels, 1):
            entries += _level(listed, _OF_SIDE[side], level)
            entries.append((t.MD_ENTRY_POSITION_NO, b"%d" % position))
        count += len(levels)
    stands = None if trade is None else trade_of(trade)
    if trade is not None and stands is not None and stands.printed != Printed.BUSTED:
        entries += [(t.MD_ENTRY_TYPE, TRADE), *_traded(listed, stands, trade.at)]
        entries.append((t.TEXT, text(str(stands.trade_id))))
        count += 1
    return Body(
        SNAPSHOT,
        [
            (t.MD_REQ_ID, request_id),
            (t.SYMBOL, listed.symbol.encode()),
            *sequence,
            (t.NO_MD_ENTRIES, b"%d" % count),
            *entries,
        ],
    )


def refresh(request_id: bytes, entries: Sequence[Fields]) -> Body:
    """What changed, an entry each."""
    count = (t.NO_MD_ENTRIES, b"%d" % len(entries))
    fields = [field for entry in entries for field in entry]
    return Body(REFRESH, [(t.MD_REQ_ID, request_id), count, *fields])


def level_entries(listed: Listed, changes: Iterable[Change], sequence: Fields) -> list[Fields]:
    """Changes of a book as entries of a refresh, named by their price."""
    symbol = (t.SYMBOL, listed.symbol.encode())
    entries: list[Fields] = []
    for action, side, level in changes:
        kind, *rest = _level(listed, _OF_SIDE[side], level)
        entries.append([(t.MD_UPDATE_ACTION, action), kind, symbol, *rest, *sequence])
    return entries


def trade_entry(listed: Listed, record: Record, sequence: Fields) -> Fields:
    """A trade, its bust or its correction as an entry of a refresh, named by the trade's id."""
    trade = trade_of(record)
    return [
        (t.MD_UPDATE_ACTION, _ACTIONS[trade.printed]),
        (t.MD_ENTRY_TYPE, TRADE),
        (t.MD_ENTRY_ID, str(trade.trade_id).encode()),
        (t.SYMBOL, listed.symbol.encode()),
        *_traded(listed, trade, record.at),
        *sequence,
    ]


def rejected(request_id: bytes, reason: bytes, said: str) -> Body:
    """Why a request is not served, or no longer; FIX has no reason for some."""
    reasons: Fields = [(t.MD_REQ_REJ_REASON, reason)] if reason else []
    return Body(REJECT, [(t.MD_REQ_ID, request_id), *reasons, (t.TEXT, text(said))])


def _level(listed: Listed, kind: bytes, level: Resting) -> Fields:
    price = (t.MD_ENTRY_PX, amount(level.price, listed.price_decimals))
    if not level.qty:
        return [(t.MD_ENTRY_TYPE, kind), price]
    return [
        (t.MD_ENTRY_TYPE, kind),
        price,
        (t.MD_ENTRY_SIZE, quantity(level.qty)),
        (t.NUMBER_OF_ORDERS, b"%d" % level.orders),
    ]


def _traded(listed: Listed, trade: Trade, at: Instant) -> Fields:
    day, time = timestamp(at).split(b"-")
    return [
        (t.MD_ENTRY_PX, amount(trade.price, listed.price_decimals)),
        (t.MD_ENTRY_SIZE, quantity(trade.qty)),
        (t.MD_ENTRY_DATE, day),
        (t.MD_ENTRY_TIME, time),
    ]
