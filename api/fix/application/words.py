"""A refusal in the words of FIX: fields by name and tag, and the venue's own code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from api.fix.application import tags as t
from api.refusals import in_words_of, message_of
from application.commands import Refusal

FIELD_TAGS: Mapping[str, int] = {
    "symbol": t.SYMBOL,
    "side": t.SIDE,
    "type": t.ORD_TYPE,
    "time_in_force": t.TIME_IN_FORCE,
    "qty": t.ORDER_QTY,
    "notional": t.CASH_ORDER_QTY,
    "limit_price": t.PRICE,
    "stop_price": t.STOP_PX,
    "trail": t.PEG_OFFSET_VALUE,
    "trail_price": t.PEG_OFFSET_VALUE,
    "trail_percent": t.PEG_OFFSET_VALUE,
    "expire_at": t.EXPIRE_TIME,
    "client_order_id": t.CL_ORD_ID,
    "request_key": t.CL_ORD_ID,
    "post_only": t.EXEC_INST,
    "locate": t.LOCATE_REQD,
}
"""The tag in which a client said what the venue calls otherwise."""

_WORDS = {field: t.named(tag) for field, tag in FIELD_TAGS.items()}


def refusal_text(code: str, message: str, details: Mapping[str, Any]) -> str:
    """What Text(58) says of a refusal: a sentence that names the tag, and the venue's code."""
    return f"{message_of(in_words_of(Refusal(code, message, dict(details)), _WORDS))} ({code})"
