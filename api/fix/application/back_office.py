"""What a session's accounts traded on a day, for the back office."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from api.fix.application import tags as t
from api.fix.application import vocabulary as v
from api.fix.application.behind import Behind, Client
from api.fix.application.fields import day_in, name_in, text_in
from api.fix.application.reports import fill_id
from api.fix.application.values import amount, date, money, quantity, text, timestamp
from api.fix.ports import Body, Received
from domain.commission import Kind
from domain.events import OrderFilled
from domain.identifiers import Instant, instant_of
from projections.activities import BUSTED, CORRECTED, FILLED

REQUEST_ACK, TRADE_REPORT = b"AQ", b"AE"
_ALL, _MATCHING = b"0", b"1"
"""TradeRequestType(569)."""
_SNAPSHOT = b"0"
_SUCCESSFUL, _NOT_SERVED, _OTHER = b"0", b"8", b"99"
"""TradeRequestResult(749)."""
_COMPLETED, _REJECTED = b"1", b"2"
"""TradeRequestStatus(750)."""
_READ_AT_ONCE = 1_000
_FREE = int(Kind.NONE)


class Fill(NamedTuple):
    """A fill that stands, at the price that it has now."""

    event: OrderFilled
    price: int
    corrected: bool


async def trades(behind: Behind, client: Client, message: Received) -> None:
    """TradeCaptureReportRequest: an acknowledgment, and a report for each fill that stands.

    Busted trades are not among them; a corrected one has its new price.
    """
    request = name_in(message, t.TRADE_REQUEST_ID).encode()
    kind = message.get(t.TRADE_REQUEST_TYPE)
    subscribes = message.get(t.SUBSCRIPTION_REQUEST_TYPE) not in (None, _SNAPSHOT)
    if kind not in (_ALL, _MATCHING) or subscribes:
        said = "only 569=0 and 1 are served, and no subscription"
        client.link.answer(_ack(request, message, 0, _NOT_SERVED, said))
        return
    day = day_in(message, t.TRADE_DATE)
    if day is None:
        client.link.answer(
            _ack(request, message, 0, _OTHER, f"{t.named(t.TRADE_DATE)} is required")
        )
        return
    symbol, side = text_in(message, t.SYMBOL), message.get(t.SIDE)
    found: list[Fill] = []
    symbols: dict[UUID, str] = {}
    for row in await behind.views.instruments():
        symbols[row.instrument_id] = row.symbol
    for account_id in client.terms.accounts.values():
        for fill in await _fills(behind, account_id, day):
            known = symbols.get(fill.event.instrument_id, "")
            if symbol in ("", known) and side in (None, v.SIDES[fill.event.side]):
                found.append(fill)
    client.link.answer(_ack(request, message, len(found), _SUCCESSFUL))
    for number, fill in enumerate(found, 1):
        known = symbols.get(fill.event.instrument_id, "")
        last = number == len(found)
        client.link.answer(await _report(behind, client, request, fill, known, last=last))


async def _fills(behind: Behind, account_id: UUID, day: int) -> list[Fill]:
    """An account's fills of a session date, as they stand now."""
    rows = await behind.views.activities(account_id, _before(day))
    prices: dict[tuple[UUID, int], int | None] = {}
    for row in rows:
        if row.kind == BUSTED:
            prices[row.trade_id, row.side] = None
        elif row.kind == CORRECTED:
            prices[row.trade_id, row.side] = row.new_price
    positions = [row.position for row in rows if row.kind == FILLED]
    found: list[Fill] = []
    for start in range(0, len(positions), _READ_AT_ONCE):
        for _, event in await behind.log.read_at(positions[start : start + _READ_AT_ONCE]):
            assert isinstance(event, OrderFilled)
            if event.session_date == day:
                key = (event.trade_id, event.side)
                price = prices.get(key, event.price)
                if price is not None:
                    found.append(Fill(event, price, key in prices))
    return found


def _before(day: int) -> Instant:
    """An instant before any session of a day began: a day's session may begin on the eve."""
    midnight = datetime(day // 10_000, day // 100 % 100, day % 100, tzinfo=UTC)
    return instant_of(midnight - timedelta(days=4))


def _ack(request: bytes, message: Received, count: int, result: bytes, said: str = "") -> Body:
    return Body(
        REQUEST_ACK,
        [
            (t.TRADE_REQUEST_ID, request),
            (t.TRADE_REQUEST_TYPE, message.get(t.TRADE_REQUEST_TYPE) or _ALL),
            (t.TOT_NUM_TRADE_REPORTS, b"%d" % count),
            (t.TRADE_REQUEST_RESULT, result),
            (t.TRADE_REQUEST_STATUS, _COMPLETED if result == _SUCCESSFUL else _REJECTED),
            (t.SYMBOL, message.get(t.SYMBOL) or b"[N/A]"),
            *([(t.TEXT, text(said))] if said else ()),
        ],
    )


async def _report(
    behind: Behind, client: Client, request: bytes, fill: Fill, symbol: str, *, last: bool
) -> Body:
    event = fill.event
    exec_id = fill_id(event.trade_id, event.side)
    order = await behind.order(event.originator_id)
    label = client.terms.label_of(event.account_id)
    charged = (
        []
        if event.commission_kind == _FREE
        else [
            (t.COMMISSION, money(event.fee)),
            (t.COMM_TYPE, b"3"),
        ]
    )
    return Body(
        TRADE_REPORT,
        [
            (t.TRADE_REPORT_ID, exec_id),
            (t.TRADE_REQUEST_ID, request),
            (t.EXEC_TYPE, v.TRADE_CORRECT if fill.corrected else v.TRADE),
            (t.LAST_RPT_REQUESTED, b"Y" if last else b"N"),
            (t.EXEC_ID, exec_id),
            (t.PREVIOUSLY_REPORTED, b"Y"),
            (t.SYMBOL, symbol.encode()),
            (t.LAST_QTY, quantity(event.qty)),
            (t.LAST_PX, amount(fill.price, event.price_decimals)),
            (t.TRADE_DATE, date(event.session_date)),
            (t.TRANSACT_TIME, timestamp(event.at)),
            (t.SETTL_DATE, date(event.value_date)),
            (t.NO_SIDES, b"1"),
            (t.SIDE, v.SIDES[event.side]),
            (t.ORDER_ID, str(event.originator_id).encode()),
            *([(t.CL_ORD_ID, order.client_order_id.encode())] if order is not None else ()),
            *([(t.ACCOUNT, label.encode())] if label else ()),
            *charged,
        ],
    )
