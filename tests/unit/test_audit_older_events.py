"""Events of older shapes are sound to an audit: written again they are the bytes of the store."""

from __future__ import annotations

import msgspec

from domain import events as e
from domain.identifiers import HOUSE
from domain.upcasts import OrderCanceledV1
from infrastructure.log.audit_source import StoredCodec
from infrastructure.log.codec import encode_event
from tests.model.tampering import find, sound


def test_event_stored_before_a_field_was_added_is_sound() -> None:
    """New fields go to the end with defaults, and the stored bytes stay as they were written."""
    codec = StoredCodec()
    _, replaced = find(sound(), e.OrderReplaced)
    whole = msgspec.structs.astuple(msgspec.structs.replace(replaced, status_after=0))
    older = encode_event(list(whole[:-1]))

    event = codec.decode(e.OrderReplaced.TOPIC, older)

    assert older == codec.encode_again(e.OrderReplaced.TOPIC, older, event)


def test_event_of_a_topic_that_was_replaced_is_sound() -> None:
    """An upcast event is written again in the shape that it was stored in."""
    codec = StoredCodec()
    old = OrderCanceledV1(HOUSE, 2, 0, 0, "a", "http", HOUSE, 0, HOUSE, HOUSE, "k", "client")
    state = encode_event(old)

    event = codec.decode(OrderCanceledV1.TOPIC, state)

    assert isinstance(event, e.OrderCanceled)
    assert state == codec.encode_again(OrderCanceledV1.TOPIC, state, event)
