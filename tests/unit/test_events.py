"""Events: each under a topic of its own, the same before and after the store, readable for ever."""

import typing
from typing import Any
from uuid import UUID

import msgspec
import pytest
from eventsourcing.persistence import MapperDeserialisationError, StoredEvent
from eventsourcing.utils import resolve_topic
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from api.ws import trade_updates
from application.audit.second_books.request_keys import CARRIES_KEY
from application.writer import replies
from domain.events import (
    AccountLimitsSet,
    AccountSettled,
    CashMoved,
    DomainEvent,
    InstrumentClosed,
    InstrumentListed,
    InstrumentOpened,
    InstrumentTermsChanged,
    OrderAccepted,
    OrderAdjusted,
    OrderCanceled,
    OrderEvent,
    OrderExpired,
    OrderFillBusted,
    OrderFillCorrected,
    OrderFilled,
    OrderRejected,
    OrderReplaced,
    OrderTriggered,
    PositionMarked,
    PositionReversed,
    PositionTraded,
    PositionTransferred,
    RequestRefused,
    SpentKey,
    TradeBooked,
    TradeReversed,
)
from domain.events.facts import account_in
from domain.identifiers import HOUSE, NO_ID, operators_of, uuid7
from domain.order import TRANSITIONS
from domain.terms import CancelReason
from domain.units import FINGERPRINT, Words, fields_of
from domain.upcasts import UPCASTS, OrderCanceledV1
from infrastructure.log.codec import (
    EventMapper,
    UnknownTopic,
    decode_event,
    encode_event,
    typed_columns,
)

EVENTS = sorted(DomainEvent.by_topic.values(), key=lambda one: one.TOPIC)
INTS = st.integers(-(2**63), 2**63 - 1)
VALUES: dict[Any, st.SearchStrategy[Any]] = {
    int: INTS,
    str: st.text(max_size=20),
    bytes: st.binary(max_size=12),
    bool: st.booleans(),
    UUID: st.uuids(),
    dict[str, Any]: st.dictionaries(st.text(max_size=5), st.text(max_size=5) | INTS, max_size=3),
    tuple[str, ...]: st.lists(st.text(max_size=9), max_size=4).map(tuple),
    tuple[UUID, ...]: st.lists(st.uuids(), max_size=4).map(tuple),
    tuple[UUID, UUID, int]: st.tuples(st.uuids(), st.uuids(), INTS),
    tuple[tuple[UUID, UUID, int], ...]: st.lists(
        st.tuples(st.uuids(), st.uuids(), INTS), max_size=4
    ).map(tuple),
    tuple[tuple[UUID, int, int], ...]: st.lists(st.tuples(st.uuids(), INTS, INTS), max_size=4).map(
        tuple
    ),
    tuple[tuple[UUID, UUID, str, int, int, int], ...]: st.lists(
        st.tuples(st.uuids(), st.uuids(), st.text(max_size=9), INTS, INTS, INTS), max_size=4
    ).map(tuple),
    tuple[tuple[str, int, int, int], ...]: st.lists(
        st.tuples(st.text(max_size=9), INTS, INTS, INTS), max_size=4
    ).map(tuple),
    tuple[tuple[int, int, int, int, int, int], ...]: st.lists(
        st.tuples(*[INTS] * 6), max_size=4
    ).map(tuple),
    tuple[tuple[int, int, int], ...]: st.lists(st.tuples(INTS, INTS, INTS), max_size=4).map(tuple),
}
NO_COMMISSION = {"commission_base_after": "0", "commission_after": "0"}
WHOLE_CENTS = {"cost_rest_after": "0", "realized_rest_after": "0", "rounded": 0}
NO_GROUP = {"group_id": HOUSE, "leg": 0}
TERMS = {
    "initial_margin_bps": 5000,
    "maintenance_margin_bps": 2500,
    "shortable": False,
    "settlement_cycle": 2,
    "protection_bps": 100,
    "remainder": 1,
}
FIXED = {"trail_price": 0, "trail_percent": 0, "water_mark": 0}
UNPROTECTED = {"protection_price": 0, "rests": False}
SINGLE = {"multiplier": 1}
NO_OPTION = {"underlying_id": NO_ID, "right": 0, "strike": 0, "expiry": 0, "style": 0}
AS_POSTED = {"due": 0, "traded_value": "0", "commission": "0"}
GROWN: dict[type[DomainEvent], dict[str, Any]] = {
    AccountLimitsSet: {"max_orders_per_second": 0},
    TradeBooked: {
        "receivable_after": 0,
        "unpaid_after": 0,
        "released": 0,
        "commission_after": "0",
        "commissions_after": 0,
        "month_qty_after": 0,
        "unpaid_qty": 0,
        "month_after": 0,
        "traded_value_after": "0",
        **AS_POSTED,
        **SINGLE,
    },
    TradeReversed: {
        "receivable_after": 0,
        "unpaid_after": 0,
        "commission_after": "0",
        "commissions_after": 0,
        "value_date": 0,
        "unpaid_qty": 0,
        "traded_value_after": "0",
        **AS_POSTED,
        **SINGLE,
    },
    InstrumentListed: {**TERMS, **SINGLE, **NO_OPTION},
    InstrumentTermsChanged: TERMS,
    OrderAccepted: {
        "locate": False,
        "status": 0,
        "armed": True,
        **NO_GROUP,
        **UNPROTECTED,
        "notional": 0,
        **FIXED,
    },
    OrderRejected: {
        "order_class": 0,
        "notional": 0,
        "trail_price_wire": 0,
        "trail_percent": 0,
    },
    OrderTriggered: {**NO_GROUP, **UNPROTECTED},
    OrderAdjusted: {**NO_GROUP, "protection_price": 0},
    OrderFilled: {
        "commission_kind": 0,
        "commission": "0",
        **NO_COMMISSION,
        "unpaid_qty": 0,
        **NO_GROUP,
        "exact": False,
        **SINGLE,
    },
    OrderReplaced: {
        "filled_at": 0,
        "triggered_at": 0,
        "status_after": 0,
        **NO_GROUP,
        **UNPROTECTED,
        "notional": 0,
        **FIXED,
        "stop_before": 0,
        "water_mark_before": 0,
    },
    OrderCanceled: NO_GROUP,
    OrderExpired: NO_GROUP,
    OrderFillBusted: {**NO_COMMISSION, **NO_GROUP, **SINGLE},
    OrderFillCorrected: {
        "fee": 0,
        "commission": "0",
        **NO_COMMISSION,
        **NO_GROUP,
        "fee_after": 0,
        "exact": False,
        **SINGLE,
    },
    PositionTraded: {"unpaid_after": 0, "carried_after": "0", **WHOLE_CENTS, **SINGLE},
    PositionReversed: {"unpaid_after": 0, "carried_after": "0", **WHOLE_CENTS},
    PositionTransferred: {"carried_after": "0", "mark": 0, "price_decimals": 0, **SINGLE},
    PositionMarked: SINGLE,
    RequestRefused: {"order_id": NO_ID},
    InstrumentOpened: {"previous_close": 0},
    InstrumentClosed: {"mark": 0},
}
"""The events that have grown, and what each new field reads as in older rows, in order."""


def an_event(kind: type[DomainEvent]) -> st.SearchStrategy[DomainEvent]:
    """Any values of the types that the event declares."""
    hints = typing.get_type_hints(kind)
    return st.builds(kind, *[VALUES[hints[name]] for name in kind.__struct_fields__])


def some_event(kind: type[DomainEvent]) -> DomainEvent:
    """One event with a different value in every field."""
    hints = typing.get_type_hints(kind)
    values = []
    for number, name in enumerate(kind.__struct_fields__, 1):
        hint = hints[name]
        if typing.get_origin(hint) is tuple and Ellipsis not in typing.get_args(hint):
            values.append(
                tuple(
                    uuid7(number, 0, 1, 1) if each is UUID else number
                    for each in typing.get_args(hint)
                )
            )
            continue
        values.append(
            uuid7(number, 0, 1, number)
            if hint is UUID
            else (hint(number) if hint in (int, bool) else f"{number}" if hint is str else hint())
        )
    return kind(*values)


def leaves(kind: type[DomainEvent]) -> set[type[DomainEvent]]:
    """Every event class that is not only a base of others."""
    below = set(kind.__subclasses__())
    if not below:
        return {kind}
    return set().union(*map(leaves, below))


def test_every_event_has_an_explicit_topic_of_its_own():
    """Topics say aggregate, what happened and which version; old shapes keep theirs."""
    classes = leaves(DomainEvent)
    old = {shape for shape, _ in UPCASTS.values()}
    assert classes - old == set(EVENTS)
    topics = [kind.__dict__["TOPIC"] for kind in classes]
    assert len(topics) == len(set(topics))
    for kind in EVENTS:
        aggregate, what, version = kind.TOPIC.split(".")
        assert kind.AGGREGATE == aggregate
        assert what.replace("_", "").isalpha()
        assert version[0] == "v" and version[1:].isdigit()
        assert kind is resolve_topic(kind.TOPIC)


@pytest.mark.parametrize("kind", EVENTS, ids=lambda kind: kind.TOPIC)
@hypothesis_settings(max_examples=20, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_every_event_is_the_same_before_and_after_the_store(kind, data):
    """Equal events have equal bytes, and the bytes give back the event, also from a buffer."""
    event = data.draw(an_event(kind))
    state = encode_event(event)
    assert event == decode_event(kind.TOPIC, state) == decode_event(kind.TOPIC, memoryview(state))
    assert state == encode_event(decode_event(kind.TOPIC, state))
    mapper = EventMapper()
    assert event == mapper.to_domain_event(mapper.to_stored_event(event))


def test_a_field_added_at_the_end_reads_from_older_bytes_as_its_default():
    """So an event may grow without a new version."""

    class OrderExpiredLater(OrderEvent, frozen=True, array_like=True, gc=False):
        side: int
        why: str = "time"

    class OrderExpiredFirst(OrderEvent, frozen=True, array_like=True, gc=False):
        side: int

    old = some_event(OrderExpiredFirst)
    read = msgspec.msgpack.decode(encode_event(old), type=OrderExpiredLater)
    assert (old.side, "time", old.at) == (read.side, read.why, read.at)


@pytest.mark.parametrize("kind", GROWN, ids=lambda kind: kind.TOPIC)
def test_an_event_stored_before_its_newest_fields_reads_with_their_defaults(kind):
    """Rows of any age: bytes that end after any of the older fields."""
    event, new = some_event(kind), GROWN[kind]
    whole = msgspec.to_builtins(event, builtin_types=(UUID, bytes))
    for missing in range(1, len(new) + 1):
        read = decode_event(kind.TOPIC, msgspec.msgpack.encode(whole[:-missing]))
        unread = dict(list(new.items())[-missing:])
        assert msgspec.structs.replace(event, **unread) == read


@pytest.mark.parametrize("kind", EVENTS, ids=lambda kind: kind.TOPIC)
def test_no_field_of_an_event_has_a_default_but_those_it_grew_by(kind):
    """A default elsewhere would let damage pass for age."""
    names = kind.__struct_fields__
    defaults = kind.__struct_defaults__
    grown = dict(zip(names[len(names) - len(defaults) :], defaults, strict=True))
    assert GROWN.get(kind, {}) == grown


def older(kind: type[DomainEvent]) -> list[Any]:
    """One event of a kind as it was written when it was first known."""
    whole = msgspec.to_builtins(some_event(kind), builtin_types=(UUID, bytes))
    return whole[: len(whole) - len(GROWN[kind])]


def test_a_field_without_default_missing_at_the_end_does_not_read():
    """Damage is not taken for age."""
    shorter = msgspec.msgpack.encode(older(OrderFilled)[:-1])
    with pytest.raises(msgspec.ValidationError):
        decode_event(OrderFilled.TOPIC, shorter)


@pytest.mark.parametrize("kind", EVENTS, ids=lambda kind: kind.TOPIC)
def test_a_field_that_this_program_does_not_know_does_not_read(kind):
    """What a newer program added may change what all else means: it is not left out in silence."""
    whole = msgspec.to_builtins(some_event(kind), builtin_types=(UUID, bytes))
    with pytest.raises(msgspec.ValidationError, match="at most length"):
        decode_event(kind.TOPIC, msgspec.msgpack.encode([*whole, 0]))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("client", CancelReason.CLIENT),
        ("ioc", CancelReason.IMMEDIATE_OR_CANCEL),
        ("fok", CancelReason.FILL_OR_KILL),
        ("self trade", CancelReason.SELF_TRADE),
        ("collar", CancelReason.COLLAR),
        ("anything else", CancelReason.OPERATOR),
    ],
)
def test_a_cancel_of_version_one_reads_as_one_of_today(text, reason):
    """Whose, when and why stay; what it did not say reads as zero."""
    ids = [uuid7(number, 0, 1, number) for number in range(4)]
    old = OrderCanceledV1(ids[0], 3, 77, 0, "actor", "http", ids[1], 5, ids[2], ids[3], "key", text)
    read = decode_event("order.canceled.v1", encode_event(old))
    assert (
        OrderCanceled(
            *(ids[0], 3, 77, 0, "actor", "http", ids[1], 5, ids[2], ids[3]),
            *("key", b"", int(reason), 0, 0, 0),
        )
        == read
    )


def test_an_unknown_topic_is_refused_by_name():
    """Code that is older than the log says so, and does not guess."""
    with pytest.raises(UnknownTopic, match=r"order\.teleported\.v1"):
        decode_event("order.teleported.v1", b"\x90")
    row = StoredEvent(uuid7(1, 0, 1, 1), 1, "os:system", b"\x90")
    with pytest.raises(MapperDeserialisationError):
        EventMapper().to_domain_event(row)


@pytest.mark.parametrize("state", [b"", b"\x90", b"\xc1", b"\x93\x01\x02\x03", b"\xff" * 40])
def test_damaged_bytes_are_refused_and_never_half_read(state):
    """Whatever the damage is, it is a validation or decode error."""
    with pytest.raises(msgspec.MsgspecError):
        decode_event(OrderFilled.TOPIC, state)


CONCERNED = {
    "account": (None, "originator_id"),
    "instrument": ("originator_id", None),
    "key": (None, "account_id"),
    "multileg": (None, "account_id"),
    "oco": ("instrument_id", "account_id"),
    "order": ("instrument_id", "account_id"),
    "position": ("instrument_id", "account_id"),
    "settlement": ("instrument_id", "account_id"),
    "venue": (None, None),
    "watchlist": (None, "account_id"),
}
"""Where the events of a family say which instrument and which account they concern."""


@pytest.mark.parametrize("kind", EVENTS, ids=lambda kind: kind.TOPIC)
def test_typed_columns_say_what_the_event_says(kind):
    """Time, origin and actor of all; instrument and account where there is one."""
    event: Any = some_event(kind)
    columns = typed_columns(event)
    assert (event.at, event.correlation_id, event.actor) == (
        columns.recorded_at,
        columns.correlation_id,
        columns.actor,
    )
    instrument, account = CONCERNED[kind.AGGREGATE]
    if "instrument_id" in kind.__struct_fields__:
        # Trades and settlements in an account are of an instrument, too.
        instrument = "instrument_id"
    assert (getattr(event, instrument) if instrument else None) == columns.instrument_id
    assert (getattr(event, account) if account else None) == columns.account_id
    if kind is not OrderFilled:
        assert (None, None) == (columns.traded_qty, columns.traded_notional)


@pytest.mark.parametrize("kind", EVENTS, ids=lambda kind: kind.TOPIC)
def test_event_with_a_fingerprint_spends_a_request_key(kind):
    """What tells one body from another is kept with the key it belongs to, and nowhere else."""
    spends = kind.spends is not DomainEvent.spends
    assert (FINGERPRINT in fields_of(kind).values()) == spends
    if spends:
        event: Any = some_event(kind)
        if "leg" in kind.__struct_fields__:
            event = msgspec.structs.replace(event, leg=0)
        account_id, key, fingerprint = event.spends()
        keys = [n for n, unit in fields_of(kind).items() if unit == Words("request_key")]
        assert key in [getattr(event, name) for name in keys]
        account = getattr(event, account_in(kind))
        assert account_id in (account, operators_of(account))
        assert event.fingerprint == fingerprint


def test_legs_of_a_group_spend_no_key_and_neither_does_a_request_without_one():
    """The group spends the key of the request that placed it; no key is not the empty one."""
    order = some_event(OrderAccepted)
    alone = msgspec.structs.replace(order, leg=0)
    assert SpentKey(order.account_id, order.client_order_id, order.fingerprint) == alone.spends()
    assert order.leg and order.spends() is None
    for kind in EVENTS:
        named = [name for name, unit in fields_of(kind).items() if unit == Words("request_key")]
        without = msgspec.structs.replace(some_event(kind), **dict.fromkeys(named, ""))
        assert without.spends() is None


def test_every_event_that_spends_a_key_begins_a_reply_and_no_other_does():
    """The same request again is answered from its events, so they must say the answer."""
    spending = {kind for kind in EVENTS if kind.spends is not DomainEvent.spends}
    assert spending == set(replies._RENDERERS)


def test_second_bookkeeper_knows_every_event_that_spends_a_key():
    """The audit has a table of its own, which may not fall behind."""
    spending = {kind for kind in EVENTS if kind.spends is not DomainEvent.spends}
    assert spending == CARRIES_KEY


def test_a_trade_is_counted_once_on_its_buyers_fill():
    """Both sides have a fill; only one of them carries quantity and worth into the columns."""
    fill = some_event(OrderFilled)
    bought, sold = (msgspec.structs.replace(fill, side=side) for side in (1, 2))
    assert (fill.qty, fill.notional) == typed_columns(bought)[3:5]
    assert (None, None) == typed_columns(sold)[3:5]


def test_cash_events_carry_postings():
    """Every event that moves money says between whom."""
    for kind in (*leaves(CashMoved), TradeBooked, TradeReversed, AccountSettled):
        assert "postings" in kind.__struct_fields__


def test_every_order_event_has_its_place_in_the_table_of_an_orders_life():
    """No event of an order is outside the literal transitions."""
    orders = {kind for kind in EVENTS if issubclass(kind, OrderEvent)}
    assert orders == {event for _, event in TRANSITIONS}


def test_every_order_event_is_told_to_those_who_listen():
    """A listener's updates leave none of them out, and so their order has no gap."""
    assert {kind for kind in EVENTS if kind.AGGREGATE == "order"} == set(trade_updates._NAMES)
