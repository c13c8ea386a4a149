"""Every code of the venue has its word in FIX, and nothing is said that FIX 4.4 lacks."""

from __future__ import annotations

from enum import IntEnum
from typing import Any

import pytest

from api.fix.application import orders_in, reports
from api.fix.application import tags as t
from api.fix.application import vocabulary as v
from api.fix.application.words import FIELD_TAGS
from api.refusals import SAYS
from domain.events import DomainEvent, OrderEvent
from domain.order_life import TRANSITIONS
from domain.terms import (
    Adjustment,
    CancelReason,
    Liquidity,
    OrderClass,
    OrderStatus,
    OrderType,
    Side,
    TimeInForce,
)

EXEC_TYPES = set(b"03456789ABCDEFGHI")
ORD_STATUSES = set(b"0123456789ABCDE") - set(b"5")
ORD_REJ_REASONS = {*range(12), 13, 14, 15, 99}
CXL_REJ_REASONS = {*range(7), 99}
RESTATEMENT_REASONS = {*range(11), 99}


@pytest.mark.parametrize(
    ("table", "codes"),
    [
        (v.SIDES, Side),
        (v.ORD_TYPES, OrderType),
        (v.TIMES_IN_FORCE, TimeInForce),
        (v.ORD_STATUSES, OrderStatus),
        (v.ADJUSTMENTS, Adjustment),
        (v.CANCEL_TEXTS, CancelReason),
        (v.LIQUIDITY, Liquidity),
    ],
)
def test_a_table_has_every_code_and_no_other(table: dict[int, Any], codes: type[IntEnum]) -> None:
    """A new code of the venue needs its word, and each code has one of its own."""
    assert set(codes) == set(table)
    words = list(table.values())
    assert len(words) == len(set(words)) or table is v.ADJUSTMENTS


@pytest.mark.parametrize(
    ("words", "codes"),
    [
        (v.SIDES, v.SIDE_CODES),
        (v.ORD_TYPES, v.ORD_TYPE_CODES),
        (v.TIMES_IN_FORCE, v.TIME_IN_FORCE_CODES),
    ],
)
def test_a_word_leads_back_to_its_code(words: dict[int, bytes], codes: dict[bytes, int]) -> None:
    """What is sent of an order may be sent to the venue, and is the same."""
    assert words == {code: word for word, code in codes.items()}


def test_every_event_of_an_order_has_its_exec_type() -> None:
    """And what the table of an order's life knows is told, each in a word of FIX 4.4."""
    kinds = {one for one in DomainEvent.by_topic.values() if issubclass(one, OrderEvent)}
    assert kinds == set(v.EXEC_TYPES) == {event for _, event in TRANSITIONS}
    assert {word[0] for word in v.EXEC_TYPES.values()} <= EXEC_TYPES
    assert {word[0] for word in v.ORD_STATUSES.values()} <= ORD_STATUSES
    assert {one.TOPIC for one in kinds} < set(reports.TOPICS)


def test_every_refusal_has_reasons_of_fix_44() -> None:
    """OrdRejReason and CxlRejReason of every code are in the dictionary of FIX 4.4."""
    for code, says in SAYS.items():
        assert says.ord_rej_reason in ORD_REJ_REASONS, code
        assert says.cxl_rej_reason in CXL_REJ_REASONS, code


def test_every_restatement_has_a_reason_of_fix_44() -> None:
    """ExecRestatementReason is of its dictionary too."""
    for restated in (*v.ADJUSTMENTS.values(), v.TRAILED, v.TRIGGERED):
        assert int(restated.reason) in RESTATEMENT_REASONS


def test_every_class_of_group_can_be_asked_for_by_a_list() -> None:
    """And in one way alone; an order of several legs is a message of its own."""
    listed = set(OrderClass) - {OrderClass.SIMPLE, OrderClass.MLEG}
    assert sorted(v.CONTINGENCIES.values()) == sorted(listed)


def test_every_tag_has_one_name() -> None:
    """A number that stands twice would have one of its names wrong."""
    assert len(set(t.NAMES.values())) == len(t.NAMES)
    assert set(orders_in.NOT_SERVED) | set(FIELD_TAGS.values()) <= set(t.NAMES)
