"""simplefix, as it comes from its authors, writes and reads the same messages."""

from __future__ import annotations

import simplefix
from hypothesis import given, settings
from hypothesis import strategies as st

from api.fix.codec import DATA_OF_LENGTH, Decoder, Head, Message, encode

TIME = b"20261130-10:00:00.000"
NOT_PLAIN = {8, 9, 10, 34, 35, 49, 52, 56, *DATA_OF_LENGTH, *DATA_OF_LENGTH.values()}
VALUES = st.binary(min_size=1, max_size=20).map(lambda value: value.replace(b"\x01", b"|"))
FIELDS = st.lists(
    st.tuples(st.integers(1, 956).filter(lambda tag: tag not in NOT_PLAIN), VALUES), max_size=15
)


@settings(max_examples=150)
@given(FIELDS, st.integers(1, 10**9))
def test_both_write_the_same_bytes_and_read_the_same_fields(
    fields: list[tuple[int, bytes]], number: int
):
    """An engine of others understands what this one writes, and is understood."""
    ours = encode(Head(b"CLIENT", b"NEXUS", number, TIME), b"D", fields)
    head = [(35, b"D"), (49, b"CLIENT"), (56, b"NEXUS"), (34, b"%d" % number), (52, TIME)]
    message = simplefix.FixMessage()
    message.append_pair(8, b"FIX.4.4")
    for tag, value in [*head, *fields]:
        message.append_pair(tag, value)
    parser = simplefix.FixParser()
    parser.append_buffer(ours)
    read = parser.get_message()
    (found,) = Decoder().feed(ours)

    assert message.encode() == ours
    assert isinstance(found, Message)
    assert [*head, *fields] == list(zip(found.tags, found.values, strict=True))
    assert [(8, b"FIX.4.4"), *head, *fields] == [
        (int(tag), value) for tag, value in read.pairs if int(tag) not in (9, 10)
    ]
