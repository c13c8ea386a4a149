"""Whatever a client that is logged on sends, the session answers or ends, and nothing breaks."""

from __future__ import annotations

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from api.fix.codec import Decoder, Garbled, Head, Message, encode
from api.fix.ports import Numbers, SessionRules
from api.fix.session.memory import MemorySessionStore
from api.fix.session.session import Session
from api.fix.session.words import BUSINESS_REJECT, SESSION_MESSAGES
from api.fix.settings.template import Validation
from api.fix.validation import validate
from tests.fix_session import SESSION, EchoApplication, SetTimes, read, written
from tests.fix_talk import MemoryLine

TYPES = st.sampled_from([b"0", b"1", b"2", b"3", b"4", b"5", b"A", b"D", b"8", b"V", b"*", b"j"])
NUMBERS = st.sampled_from(
    [b"0", b"1", b"2", b"3", b"9", b"-1", b"x", b"999999999999999999", b"1" * 30, b"02", b"2.5"]
)
TIMES = st.sampled_from(
    [b"20261130-12:00:00", b"20261130-12:00:00.123", b"20261130-12:01:00", b"noon", b"2026", b"0"]
)
TEXTS = st.sampled_from([b"VENUE", b"CLIENT", b"x", b"\xff\xfe", b"=", b"N" * 300, b"Y", b"N"])
FLAGS = st.sampled_from([b"Y", b"N", b"?", b"1"])
FIELDS = st.one_of(
    st.tuples(st.sampled_from([7, 16, 36, 45, 108, 369, 371, 380, 789, 38]), NUMBERS),
    st.tuples(st.sampled_from([52, 60, 122]), TIMES),
    st.tuples(st.sampled_from([43, 97, 123, 141]), FLAGS),
    st.tuples(st.sampled_from([11, 49, 55, 56, 58, 98, 112, 115, 116, 128, 129, 144, 145]), TEXTS),
    st.tuples(st.sampled_from([54, 40, 59, 35, 34, 5001, 99_999]), NUMBERS),
)
MESSAGES = st.tuples(TYPES, st.integers(0, 6), st.lists(FIELDS, max_size=5))
SENDING_TIME = b"20261130-12:00:00.000"


async def feed(messages: list[tuple[bytes, int, list[tuple[int, bytes]]]]) -> list[Message]:
    """Log on, send messages a few numbers around the one expected, and read what comes."""
    line, times = MemoryLine(), SetTimes()
    store = MemorySessionStore()
    await store.open(SESSION)
    session = Session(
        SessionRules(SESSION, toggles=Validation()),
        Numbers(),
        store,
        line,
        times,
        EchoApplication(),
        lambda message: validate(message, Validation()),
    )
    await session.begin(read(written("35=A|98=0|108=30", 1, times)))
    await asyncio.sleep(0.001)
    for kind, ahead, fields in messages:
        seq_num = max(0, session.state.next_in + ahead - 2)
        head = Head(b"CLIENT", b"VENUE", seq_num, SENDING_TIME)
        session.receive(Decoder().feed(encode(head, kind, fields)))
        for _ in range(10):
            await asyncio.sleep(0)
        times.forward(1)
        session.tick()
    await session.over()
    assert not line.closed.startswith("failed"), line.closed
    came = Decoder().feed(b"".join(line.written))
    assert not [one for one in came if isinstance(one, Garbled)]
    return [one for one in came if isinstance(one, Message)]


@settings(max_examples=150)
@given(st.lists(MESSAGES, max_size=8))
def test_session_answers_whatever_comes_by_messages_that_fix_knows(
    messages: list[tuple[bytes, int, list[tuple[int, bytes]]]],
) -> None:
    """No message ends more than its session, and every answer is one of FIX 4.4's dictionary,
    under the numbers in their order.
    """
    came = asyncio.run(feed(messages))

    for message in came:
        if message.msg_type in SESSION_MESSAGES or message.msg_type == BUSINESS_REJECT:
            assert validate(message, Validation()) is None, message
    numbers = [message.seq_num for message in came if message.get(43) != b"Y"]
    assert numbers[0] == 1
    begins = [place for place, seq_num in enumerate(numbers) if seq_num == 1]
    for begin, end in zip(begins, [*begins[1:], len(numbers)], strict=True):
        assert list(range(1, 1 + end - begin)) == numbers[begin:end]
