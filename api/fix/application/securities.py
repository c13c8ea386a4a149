"""What trades here: the instruments, as lists of securities."""

from __future__ import annotations

from uuid import UUID

from api.fix.application import tags as t
from api.fix.application.behind import Behind, Client
from api.fix.application.fields import name_in
from api.fix.application.values import amount, quantity, text
from api.fix.ports import Body, Received
from domain.money import WIRE_PRICE_SCALE
from domain.terms import Phase
from projections.instruments import InstrumentRow

Fields = list[tuple[int, bytes]]
SECURITY_LIST = b"y"
IN_ONE_MESSAGE = 200
_OF_A_SYMBOL, _ALL = b"0", b"4"
"""SecurityListRequestType(559)."""
_VALID, _NOT_SERVED, _NONE = b"0", b"1", b"2"
"""SecurityRequestResult(560)."""


async def security_list(behind: Behind, client: Client, message: Received) -> None:
    """SecurityListRequest: all instruments, or one, in as many messages as it takes."""
    request = name_in(message, t.SECURITY_REQ_ID).encode()
    kind = message.get(t.SECURITY_LIST_REQUEST_TYPE)
    if kind not in (_OF_A_SYMBOL, _ALL):
        client.link.answer(_fragment(request, 1, _NOT_SERVED, [], last=True))
        return
    rows = list(await behind.views.instruments())
    symbols = {row.instrument_id: row.symbol for row in rows}
    if kind == _OF_A_SYMBOL:
        symbol = name_in(message, t.SYMBOL)
        rows = [row for row in rows if row.symbol == symbol]
    if not rows:
        client.link.answer(_fragment(request, 1, _NONE, [], last=True))
    shown = [_security(row, symbols) for row in rows]
    for number, start in enumerate(range(0, len(rows), IN_ONE_MESSAGE), 1):
        part = shown[start : start + IN_ONE_MESSAGE]
        last = start + len(part) == len(rows)
        client.link.answer(_fragment(request, number, _VALID, part, last=last, total=len(rows)))


def _fragment(
    request: bytes,
    number: int,
    result: bytes,
    rows: list[Fields],
    *,
    last: bool,
    total: int = 0,
) -> Body:
    fields = [
        (t.SECURITY_REQ_ID, request),
        (t.SECURITY_RESPONSE_ID, b"%b.%d" % (request, number)),
        (t.SECURITY_REQUEST_RESULT, result),
    ]
    if rows:
        fields += [
            (t.TOT_NO_RELATED_SYM, b"%d" % total),
            (t.LAST_FRAGMENT, b"Y" if last else b"N"),
            (t.NO_RELATED_SYM, b"%d" % len(rows)),
        ]
    for row in rows:
        fields += row
    return Body(SECURITY_LIST, fields)


def _security(row: InstrumentRow, symbols: dict[UUID, str]) -> Fields:
    """One instrument; of an option also what it is a right to."""
    fields: Fields = [(t.SYMBOL, row.symbol.encode())]
    if row.is_option:
        day = b"%d" % row.expiry
        fields += [
            (t.SECURITY_TYPE, b"OPT"),
            (t.MATURITY_MONTH_YEAR, day[:6]),
            (t.MATURITY_DATE, day),
            (t.PUT_OR_CALL, b"%d" % row.right_code),
            (t.STRIKE_PRICE, amount(row.strike, WIRE_PRICE_SCALE)),
            (t.CONTRACT_MULTIPLIER, b"%d" % row.multiplier),
            (t.NO_UNDERLYINGS, b"1"),
            (t.UNDERLYING_SYMBOL, symbols[row.underlying_id].encode()),
        ]
    return [
        *fields,
        (t.CURRENCY, b"USD"),
        (t.ROUND_LOT, quantity(row.lot)),
        (t.TEXT, text(f"{row.name}, {Phase(row.phase).name.lower()}")),
    ]
