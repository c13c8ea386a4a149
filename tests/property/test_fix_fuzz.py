"""No bytes end the FIX codec or the validation: they give messages, faults and garbage."""

from __future__ import annotations

import random
import time
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.fix.codec import Decoder, Garbled, Message, encode
from api.fix.dictionary import fix44, walk
from api.fix.validation import Fault, groups, validate
from tests.model.fix_messages import HEAD, damaged, fields_of, whole_body

TEXT_BOUND = 160


class Taken(NamedTuple):
    """What is taken although the dictionary does not say it."""

    user_defined: bool = True
    unknown: bool = False
    unordered: bool = False
    empty: bool = False


TOGGLES = st.builds(Taken, st.booleans(), st.booleans(), st.booleans(), st.booleans())
CODES = sorted(fix44().messages)


def only(data: bytes) -> Message:
    """The one message that bytes are."""
    (message,) = Decoder().feed(data)
    assert isinstance(message, Message), message
    return message


def judge(data: bytes, taken: Taken) -> list[Fault | None]:
    """Read bytes and judge each message; what is wrong can be told in a message."""
    found: list[Fault | None] = []
    for one in Decoder().feed(data):
        if isinstance(one, Garbled):
            continue
        assert one.seq_num >= -1 and len(one.tags) == len(one.values)
        fault = validate(one, taken)
        found.append(fault)
        if fault is not None:
            text = fault.text.encode()
            assert len(text) < TEXT_BOUND
            fields = [(45, b"1"), (371, b"%d" % fault.tag), (373, b"%d" % fault.reason)]
            assert None is validate(only(encode(HEAD, b"3", [*fields, (58, text)])), Taken())
        elif one.msg_type == b"E":
            assert len(groups(one, 73)) == int(one.get(73) or b"0")
    return found


@pytest.mark.parametrize("code", CODES)
def test_message_with_all_its_fields_is_taken(code: bytes):
    """Whatever the dictionary says of a message, a message that has it all is right."""
    rng = random.Random(f"whole {code!r}")
    for _ in range(5):
        assert None is validate(only(encode(HEAD, code, whole_body(code, rng))), Taken())


@pytest.mark.parametrize("code", CODES)
def test_message_without_a_required_field_is_refused(code: bytes):
    """Each required field of a body is asked for by its tag."""
    members = fix44().messages[code].members
    rng = random.Random(f"required {code!r}")
    for left_out in (member for member in members if member.required):
        kept = [member for member in members if member is not left_out]
        message = only(encode(HEAD, code, list(fields_of(kept, rng))))
        assert (1, left_out.tag) == (validate(message, Taken()) or (0, 0))[:2]


@pytest.mark.parametrize("code", CODES)
def test_entries_of_every_group_are_read(code: bytes):
    """As many as there are, each begun by the first member."""
    rng = random.Random(f"groups {code!r}")
    message = only(encode(HEAD, code, whole_body(code, rng)))
    for member in fix44().messages[code].members:
        if member.entry:
            entries = groups(message, member.tag)
            inner = {one.tag for one in walk(member.entry)}
            assert 2 == len(entries)
            assert {member.entry[0].tag} == {entry[0][0] for entry in entries}
            assert inner == {tag for entry in entries for tag, _ in entry}


@settings(max_examples=300)
@given(st.integers(0, 2**32), TOGGLES)
def test_damaged_message_is_read_or_refused(seed: int, taken: Taken):
    """Whatever happened to a message, it is judged, and the fault can be told."""
    judge(damaged(random.Random(seed)), taken)


@settings(max_examples=150)
@given(st.lists(st.binary(max_size=200), max_size=5), TOGGLES)
def test_any_bytes_are_read_or_refused(chunks: list[bytes], taken: Taken):
    """Also bytes that nobody meant as a message."""
    decoder = Decoder()
    for chunk in chunks:
        for one in decoder.feed(chunk):
            assert isinstance(one, Garbled) or validate(one, taken) is not None


def test_damage_leaves_some_messages_right_and_some_wrong():
    """The fuzz reaches what it is for: most reasons are given, and some messages pass."""
    rng = random.Random("reach")
    found = [fault for _ in range(3000) for fault in judge(damaged(rng), Taken())]

    assert None in found
    assert {0, 1, 2, 5, 6, 13, 14, 15, 16} <= {fault.reason for fault in found if fault is not None}


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_millions_of_damaged_bytes_end_nothing():
    """Five minutes of damaged messages in one stream, cut anywhere."""
    seed = random.randrange(2**63)
    rng = random.Random(seed)
    until = time.monotonic() + 300
    decoder = Decoder(4_000)
    while time.monotonic() < until:
        stream = b"".join(damaged(rng) for _ in range(20))
        at = 0
        while at < len(stream):
            size = rng.choice((1, 7, 100, 1000))
            for one in decoder.feed(stream[at : at + size]):
                if isinstance(one, Message):
                    validate(one, Taken(*(rng.random() < 0.5 for _ in range(4))))
            at += size
            assert decoder.pending <= 4_100, seed
