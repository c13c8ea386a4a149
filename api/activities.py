"""Activities as clients see them: each with an id that is also the place where a page ends."""

from __future__ import annotations

import re
from typing import Any, Literal, NamedTuple, get_args
from uuid import UUID

from api.rendering import quantity
from api.vocabulary import ORDER_STATUS_NAMES, SIDE_NAMES
from domain.errors import InvalidField
from domain.identifiers import (
    MAX_INSTANT,
    Instant,
    datetime_of,
    drawn_at,
    id_bits,
    iso,
    uuid_of_bits,
)
from domain.money import USD_SCALE, notional, to_text
from projections.activities import (
    ASSIGNED,
    BUSTED,
    CORRECTED,
    EXERCISED,
    EXPIRED,
    FILLED,
    OF_FILLS,
    OPTION_TRADE,
    ActivityRow,
    Place,
)

ActivityType = Literal[
    "FILL", "ACATC", "ACATS", "CFEE", "CIL", "CSD", "CSW", "DIV", "DIVCGL", "DIVCGS",
    "DIVFEE", "DIVFT", "DIVNRA", "DIVROC", "DIVTW", "DIVTXEX", "DIVWH", "EXTRD", "FEE",
    "FXTRD", "INT", "INTNRA", "INTPNL", "INTTW", "JNL", "JNLC", "JNLS", "MA", "MEM", "MISC",
    "NC", "OCT", "OPASN", "OPCA", "OPCSH", "OPEXC", "OPEXP", "OPTRD", "PTC", "PTR", "REORG",
    "SPIN", "SPLIT", "SWP", "TRANS", "VOF", "WH",
]  # fmt: skip
"""Alpaca's types of activities. FILL is told here, and what becomes of options at their expiry."""
TOLD: dict[ActivityType, tuple[int, ...]] = {
    "FILL": OF_FILLS,
    "OPEXP": (EXPIRED,),
    "OPEXC": (EXERCISED,),
    "OPASN": (ASSIGNED,),
    "OPTRD": (OPTION_TRADE,),
}
"""The types that are told, and which rows are of each."""
_TYPE_OF = {kind: name for name, kinds in TOLD.items() for kind in kinds}
_DESCRIBED = {
    EXPIRED: "Option Expiry",
    EXERCISED: "Option Exercise",
    ASSIGNED: "Option Assignment",
    OPTION_TRADE: "Option Trade",
}
ACTIVITY_TYPES = frozenset(get_args(ActivityType))

Category = Literal["trade_activity", "non_trade_activity"]

_ID = re.compile(r"([0-9]{17})::([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})")
_PLACE = (1 << 62) - 1
"""The bits of an id that hold the log position and the part."""


class Cursor(NamedTuple):
    """Where one activity stands among those of its account: the order of pages."""

    at: Instant
    position: int
    part: int
    """A correction is two activities at one position of the log."""

    @property
    def place(self) -> Place:
        """Where its row stands."""
        return Place(self.at, self.position)


class Told(NamedTuple):
    """A fill, or what took it back, with a negative `qty`, or booked it again."""

    row: ActivityRow
    cursor: Cursor
    qty: int
    price: int

    @property
    def identifier(self) -> str:
        """Its id in Alpaca's shape: the time and a UUID, which is the trade's of a fill."""
        if self.row.kind == FILLED and not self.row.second_side:
            return _text(self.row.at, self.row.trade_id)
        at, position, part = self.cursor
        return _text(at, uuid_of_bits(id_bits(at, 0, 0) | position << 1 | part))


class Token(NamedTuple):
    """The id of an activity, as a client gives it back."""

    text: str
    at: Instant
    trade_id: UUID
    position: int


def token_in(text: str, field: str) -> Token:
    """What an id of an activity may name; raises InvalidField."""
    found = _ID.fullmatch(text)
    if found is not None:
        named = UUID(found[2])
        at = drawn_at(named)
        if at <= MAX_INSTANT and _text(at, named) == text:
            return Token(text, at, named, (named.int & _PLACE) >> 1)
    raise InvalidField(field, "is not the id of an activity")


def _text(at: Instant, named: UUID) -> str:
    written = datetime_of(at).strftime("%Y%m%d%H%M%S%f")[:-3]
    return f"{written}::{named}"


def activities_of(row: ActivityRow) -> list[Told]:
    """What a row tells, in order: a correction takes the fill back, and then books it again."""
    first = Cursor(row.at, row.position, 0)
    if row.kind not in (BUSTED, CORRECTED):
        return [Told(row, first, row.qty, row.price)]
    back = Told(row, first, -row.qty, row.price)
    if row.new_price is None:
        return [back]
    return [back, Told(row, first._replace(part=1), row.qty, row.new_price)]


def activity_document(one: Told, account_id: UUID) -> dict[str, Any]:
    """One activity of an account."""
    row = one.row
    if row.kind not in OF_FILLS:
        return _of_option(one, account_id)
    fill = "partial_fill" if row.leaves_qty else "fill"
    return {
        "id": one.identifier,
        "activity_type": "FILL",
        "account_id": str(account_id),
        "transaction_time": iso(row.at),
        "type": fill,
        "exact_type": fill if row.kind == FILLED else _EXACT[row.kind],
        "price": to_text(one.price, row.price_decimals),
        "qty": quantity(one.qty),
        "cum_qty": quantity(row.cum_qty),
        "leaves_qty": quantity(row.leaves_qty),
        "side": SIDE_NAMES[row.side],
        "symbol": row.symbol,
        "order_id": str(row.order_id),
        "order_status": ORDER_STATUS_NAMES[row.status],
        "execution_id": str(row.trade_id),
    }


def _of_option(one: Told, account_id: UUID) -> dict[str, Any]:
    """How contracts ended, which moves no money, or what they traded of their underlying."""
    row = one.row
    trades = row.kind == OPTION_TRADE
    value = notional(one.price, one.qty, row.price_decimals) if trades else 0
    return {
        "id": one.identifier,
        "activity_type": _TYPE_OF[row.kind],
        "account_id": str(account_id),
        "date": iso(row.at)[:10],
        "net_amount": to_text(-value, USD_SCALE),
        "description": _DESCRIBED[row.kind],
        "symbol": row.symbol,
        "qty": quantity(one.qty),
        "price": to_text(one.price, row.price_decimals) if trades else None,
        "status": "executed",
        "per_share_amount": None,
    }


_EXACT = {BUSTED: "trade_bust", CORRECTED: "trade_correct"}
