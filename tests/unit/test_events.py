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

from domain.events import (
    AccountEvent,
    CashMoved,
    DomainEvent,
    InstrumentEvent,
    OrderCanceled,
    OrderEvent,
    OrderFilled,
    OrderReplaced,
    PositionEvent,
    TradeBooked,
    TradeReversed,
)
from domain.identifiers import uuid7
from domain.order import TRANSITIONS
from domain.terms import CancelReason
from domain.upcasts import UPCASTS, OrderCanceledV1
from infrastructure.event_codec import (
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
    tuple[tuple[UUID, int, int], ...]: st.lists(st.tuples(st.uuids(), INTS, INTS), max_size=4).map(
        tuple
    ),
}


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


def test_a_replace_stored_before_its_last_fields_still_reads():
    """The real case: bytes without the three newest fields."""
    event = some_event(OrderReplaced)
    shorter = msgspec.msgpack.encode(msgspec.to_builtins(event, builtin_types=(UUID, bytes))[:-3])
    read = decode_event(OrderReplaced.TOPIC, shorter)
    assert (event.submitted_at, 0, 0, 0) == (
        read.submitted_at,
        read.filled_at,
        read.triggered_at,
        read.status_after,
    )


def test_a_field_without_default_missing_at_the_end_does_not_read():
    """Damage is not taken for age."""
    event = some_event(OrderFilled)
    shorter = msgspec.msgpack.encode(msgspec.to_builtins(event, builtin_types=(UUID,))[:-1])
    with pytest.raises(msgspec.ValidationError):
        decode_event(OrderFilled.TOPIC, shorter)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("client", CancelReason.CLIENT),
        ("ioc", CancelReason.IOC_REMAINDER),
        ("fok", CancelReason.FOK_UNFILLABLE),
        ("self trade", CancelReason.SELF_TRADE),
        ("collar", CancelReason.COLLAR),
        ("anything else", CancelReason.ADMIN),
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
    instrument = account = None
    if isinstance(event, OrderEvent | PositionEvent):
        instrument, account = event.instrument_id, event.account_id
    elif isinstance(event, TradeBooked | TradeReversed):
        instrument, account = event.instrument_id, event.originator_id
    elif isinstance(event, AccountEvent):
        account = event.originator_id
    elif isinstance(event, InstrumentEvent):
        instrument = event.originator_id
    assert (instrument, account) == (columns.instrument_id, columns.account_id)
    if kind is not OrderFilled:
        assert (None, None) == (columns.traded_qty, columns.traded_notional)


def test_a_trade_is_counted_once_on_its_buyers_fill():
    """Both sides have a fill; only one of them carries quantity and worth into the columns."""
    fill = some_event(OrderFilled)
    bought, sold = (msgspec.structs.replace(fill, side=side) for side in (1, 2))
    assert (fill.qty, fill.notional) == typed_columns(bought)[3:5]
    assert (None, None) == typed_columns(sold)[3:5]


def test_cash_events_carry_postings():
    """Every event that moves money says between whom."""
    for kind in (*leaves(CashMoved), TradeBooked, TradeReversed):
        assert "postings" in kind.__struct_fields__


def test_every_order_event_has_its_place_in_the_table_of_an_orders_life():
    """No event of an order is outside the literal transitions."""
    orders = {kind for kind in EVENTS if issubclass(kind, OrderEvent)}
    assert orders == {event for _, event in TRANSITIONS}
