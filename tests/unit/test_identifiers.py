"""Identifiers: made from what is known, so that the same commands give the same ids."""

from datetime import UTC, datetime
from uuid import RFC_4122, UUID, SafeUUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.decision import Decision
from domain.identifiers import (
    MAX_IDS_PER_COMMAND,
    command_number,
    datetime_of,
    instant_of,
    iso,
    uuid7,
    uuid_of,
)

ATS = st.integers(0, 253_402_300_799_999_999)
PARTITIONS = st.integers(0, 63)
COMMANDS = st.integers(0, 2**36 - 1)
INDEXES = st.integers(0, MAX_IDS_PER_COMMAND - 1)
PARTS = st.tuples(ATS, PARTITIONS, COMMANDS, INDEXES)


@given(PARTS)
def test_an_id_is_a_version_seven_uuid_that_says_when(parts):
    """Version and variant as RFC 9562 asks, the first 48 bits the milliseconds."""
    identifier = uuid7(*parts)
    assert (7, RFC_4122) == (identifier.version, identifier.variant)
    assert parts[0] // 1000 == identifier.int >> 80
    assert 0 <= identifier.int < 2**128
    assert SafeUUID.unknown == identifier.is_safe


@given(PARTS)
def test_the_same_parts_give_the_same_id_and_it_is_an_ordinary_uuid(parts):
    """Nothing is drawn by chance, and no difference to a uuid of the standard library is left."""
    identifier = uuid7(*parts)
    again = UUID(str(identifier))
    assert uuid7(*parts) == identifier == again
    assert hash(identifier) == hash(again)
    assert (identifier.bytes, repr(identifier)) == (again.bytes, repr(again))


@given(PARTS, PARTS)
def test_different_parts_give_different_ids_in_the_order_of_their_parts(one, other):
    """Later, or in a later command, or drawn later, is also greater; nothing collides."""
    assert (one < other) == (uuid7(*one) < uuid7(*other))
    assert (one == other) == (uuid7(*one) == uuid7(*other))


@given(PARTS)
def test_the_command_number_stands_in_the_id(parts):
    """What drew an id can be told from it."""
    assert parts[2] == command_number(uuid7(*parts))


def test_the_command_number_wraps_and_never_spills_into_the_partition():
    """The number counts modulo 2^36; its neighbours in the id stay what they are."""
    assert uuid7(5, 3, 2**36 + 7, 1) == uuid7(5, 3, 7, 1)


@given(ATS)
def test_an_instant_is_its_datetime_and_back(at):
    """To the microsecond, in UTC, over all years a datetime knows."""
    assert at == instant_of(datetime_of(at))
    assert UTC == datetime_of(at).tzinfo
    assert datetime_of(at) == datetime.fromisoformat(iso(at))


def test_the_text_of_an_instant_has_always_six_decimals():
    """Texts of one width sort as their instants do."""
    assert "2026-11-20T12:00:00.000000Z" == iso(1_795_176_000_000_000)


def test_a_decision_draws_ids_that_follow_its_correlation_id():
    """The first is for the command itself, no two are equal, and there is an end to them."""
    decision = Decision(5, 0, 9, "a", "http", 1)
    drawn = [decision.correlation_id, *(decision.new_id() for _ in range(1_000))]
    assert sorted(set(drawn)) == drawn
    assert {9} == {command_number(one) for one in drawn}
    decision._index = MAX_IDS_PER_COMMAND - 1
    with pytest.raises(AssertionError):
        decision.new_id()


def test_an_id_read_from_its_bytes_is_the_id():
    """Equal, equally hashed, and as good as one made the standard way."""
    identifier = uuid7(1_795_132_800_123_456, 3, 77, 5)
    read = uuid_of(identifier.bytes)

    assert (read, hash(read), str(read)) == (identifier, hash(identifier), str(identifier))
    assert read.is_safe is identifier.is_safe
