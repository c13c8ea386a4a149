"""FIX messages as bytes: what is a message, what is garbled, and how one is written."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.fix import codec
from api.fix.codec import (
    DATA_OF_LENGTH,
    Clock52,
    Decoder,
    Garbled,
    Head,
    Message,
    body_checksum,
    checksum,
    encode,
)

HEAD = Head(b"CLIENT", b"NEXUS", 7, b"20261130-10:00:00.000")
HEARTBEAT = encode(HEAD, b"0", [(112, b"HELLO")])


def framed(body: str, *, length: int | None = None, begin: str = "FIX.4.4") -> bytes:
    """A message around a body written with bars, its length and sum right unless told."""
    inner = body.replace("|", "\x01").encode()
    head = f"8={begin}\x019={len(inner) if length is None else length}\x01".encode()
    return head + inner + b"10=%03d\x01" % (sum(head + inner) % 256)


def read(*chunks: bytes) -> list[Message | Garbled]:
    """All that a new decoder finds in chunks that come one after the other."""
    decoder = Decoder()
    return [one for chunk in chunks for one in decoder.feed(chunk)]


def told(found: list[Message | Garbled]) -> list[object]:
    """What was found, as values that can be compared."""
    return [
        one.why if isinstance(one, Garbled) else (one.begin_string, one.tags, one.values, one.raw)
        for one in found
    ]


def only(data: bytes) -> Message:
    """The one message that bytes are."""
    (message,) = read(data)
    assert isinstance(message, Message), message
    return message


def test_message_is_read_field_by_field():
    """Tags and values come in their order, without the fields that only frame them."""
    message = only(framed("35=D|34=12|49=A|56=B|52=20261130-10:00:00|11=x|55=ACME|54=1|38=100|"))

    assert [35, 34, 49, 56, 52, 11, 55, 54, 38] == message.tags
    assert [b"D", b"12", b"A", b"B", b"20261130-10:00:00", b"x", b"ACME", b"1", b"100"] == (
        message.values
    )
    assert (b"FIX.4.4", b"D", 12) == (message.begin_string, message.msg_type, message.seq_num)
    assert (b"ACME", None) == (message.get(55), message.get(44))


def test_raw_bytes_of_a_message_are_kept():
    """What came can be shown as it came."""
    first, second = framed("35=0|34=1|"), framed("35=1|34=2|112=x|")

    assert [first, second] == [one.raw for one in read(first + second)]


def test_first_value_of_a_repeated_tag_is_the_one_that_is_got():
    """Both stand in the message; who validates sees them."""
    message = only(framed("35=0|34=1|58=first|58=second|"))

    assert (b"first", 2) == (message.get(58), message.tags.count(58))


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1", 1),
        ("0", 0),
        ("0007", 7),
        ("999999999999999999", 10**18 - 1),
        ("1000000000000000000", -1),
        ("-1", -1),
        ("+1", -1),
        ("1.0", -1),
        ("", -1),
        ("x", -1),
        ("\u0663", -1),
    ],
)
def test_sequence_number_is_digits_or_missing(text: str, number: int):
    """What is no number of at most eighteen digits counts as missing."""
    assert number == only(framed(f"35=0|34={text}|49=A|")).seq_num


def test_message_without_a_sequence_number_says_so():
    """The session decides what a missing number means."""
    assert -1 == only(framed("35=0|49=A|")).seq_num


def test_another_begin_string_is_told_not_dropped():
    """A well-formed message of another version is the session's to refuse."""
    assert b"FIX.4.2" == only(framed("35=0|34=1|", begin="FIX.4.2")).begin_string
    assert b"FIXT.1.1" == only(framed("35=0|34=1|", begin="FIXT.1.1")).begin_string


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("58=", b""),
        ("58=a=b", b"a=b"),
        ("58==", b"="),
    ],
)
def test_value_is_all_behind_the_first_sign(field: str, value: bytes):
    """An equals sign may stand in a value, and an empty value is told as one."""
    assert value == only(framed(f"35=0|34=1|{field}|")).get(58)


@pytest.mark.parametrize(
    "field", ["58", "", "=x", "058=x", "0=x", "5a=x", "-5=x", "5 8=x", "1234567890=x", "\xe9=x"]
)
def test_field_that_has_no_tag_stands_under_tag_zero(field: str):
    """Who validates names it; the message around it is no garbage."""
    message = only(framed(f"35=0|34=1|{field}|112=y|"))

    assert [35, 34, 0, 112] == message.tags
    assert field.encode() == message.values[2]


def test_largest_tag_has_nine_digits():
    """A tag fits 32 bits."""
    assert [35, 999_999_999] == only(framed("35=0|999999999=x|")).tags


@pytest.mark.parametrize(("length_tag", "data_tag"), sorted(DATA_OF_LENGTH.items()))
def test_data_may_hold_the_separator(length_tag: int, data_tag: int):
    """The length before it decides how far a value of data goes."""
    data = b"a\x0110=000\x018=FIX.4.4\x01"
    message = only(
        encode(HEAD, b"B", [(length_tag, b"%d" % len(data)), (data_tag, data), (58, b"end")])
    )

    assert (data, b"end") == (message.get(data_tag), message.get(58))


@pytest.mark.parametrize("length", ["0", "2", "999", "x", "", "99999999", "-1"])
def test_wrong_length_of_data_leaves_the_value_at_the_separator(length: str):
    """Who validates compares the two; the rest of the message is read."""
    message = only(framed(f"35=B|34=1|95={length}|96=abc|58=end|"))

    assert (b"abc", b"end") == (message.get(96), message.get(58))


def test_length_counts_for_the_next_field_alone():
    """Another field between a length and its data takes the length away."""
    message = only(framed("35=B|34=1|95=5|58=x|96=abc|354=1|"))

    assert [35, 34, 95, 58, 96, 354] == message.tags


GARBLED = {
    "does not begin": b"hello, venue\x01",
    "begin string of no FIX": framed("35=0|34=1|", begin="XIF.4.4"),
    "begin string too long": framed("35=0|34=1|", begin="FIX.4.4 and much more"),
    "length not second": b"8=FIX.4.4\x0135=0\x019=5\x0134=1\x0110=000\x01",
    "length no number": b"8=FIX.4.4\x019=1x\x0135=0\x0134=1\x0110=000\x01",
    "length empty": b"8=FIX.4.4\x019=\x0135=0\x0134=1\x0110=000\x01",
    "length negative": b"8=FIX.4.4\x019=-5\x0135=0\x0134=1\x0110=000\x01",
    "length of eight digits": b"8=FIX.4.4\x019=00000010\x0135=0\x0134=1\x0110=000\x01",
    "length over the bound": framed("35=0|34=1|", length=70_000),
    "length of nothing": framed("", length=0),
    "length too short": framed("35=0|34=1|112=x|", length=10),
    "length inside a field": framed("35=0|34=1|112=x|", length=9),
    "length too long": framed("35=0|34=1|112=x|", length=20),
    "length far too long": framed("35=0|34=1|112=x|", length=500),
    "type not third": framed("34=1|35=0|"),
    "no type": framed("34=1|49=A|"),
    "sum wrong": framed("35=0|34=1|")[:-4] + b"999\x01",
    "sum of two digits": framed("35=0|34=1|")[:-4] + b"12\x01",
    "sum of letters": framed("35=0|34=1|")[:-4] + b"abc\x01",
    "sum not last": framed("35=0|34=1|10=123|112=x|"),
    "cut short": framed("35=0|34=1|112=x|")[:-9],
    "doubled beginning": b"8=FIX.4.4\x019=5\x01",
    "end alone": b"10=123\x01",
}


@pytest.mark.parametrize("bytes_of", GARBLED.values(), ids=GARBLED)
def test_garbled_bytes_are_told_once_and_the_next_message_is_read(bytes_of: bytes):
    """What is no message is left out, and costs no message that follows."""
    garbled, message = read(bytes_of + HEARTBEAT)

    assert isinstance(garbled, Garbled)
    assert isinstance(message, Message) and HEARTBEAT == message.raw


@pytest.mark.parametrize("bytes_of", GARBLED.values(), ids=GARBLED)
def test_garbled_bytes_are_told_the_same_however_they_are_cut(bytes_of: bytes):
    """One byte after the other gives what all at once gives."""
    stream = HEARTBEAT + bytes_of + HEARTBEAT

    assert told(read(stream)) == told(read(*(bytes([one]) for one in stream)))


@pytest.mark.parametrize("name", ["length too long", "length far too long", "sum not last"])
def test_wrong_length_is_told_when_the_end_came(name: str):
    """A message that says it is longer does not wait for bytes of the next."""
    (garbled,) = read(GARBLED[name])

    assert isinstance(garbled, Garbled)


def test_more_fields_than_the_bound_are_no_message():
    """A message has no more fields than a program should look at."""
    decoder = Decoder(200_000)
    body = "35=0|" + "1=x|" * codec.MAX_FIELDS

    (garbled, message) = decoder.feed(framed(body) + HEARTBEAT)

    assert isinstance(garbled, Garbled) and "fields" in garbled.why
    assert isinstance(message, Message)


def test_body_may_be_as_long_as_the_bound_and_no_longer():
    """The bound of a decoder is exact."""
    body = "35=0|58=" + "x" * 91 + "|"
    assert 100 == len(body)

    assert isinstance(Decoder(100).feed(framed(body))[0], Message)
    assert isinstance(Decoder(99).feed(framed(body))[0], Garbled)


def test_what_waits_for_its_end_is_bounded():
    """Neither garbage nor a message that never ends makes a decoder grow."""
    garbage, endless = Decoder(1000), Decoder(1000)
    endless.feed(b"8=FIX.4.4\x019=1000\x0135=0\x0158=")
    for _ in range(100):
        garbage.feed(b"y" * 1000)
        endless.feed(b"y" * 1000)

    assert garbage.pending < 100
    assert endless.pending < 100


@pytest.mark.parametrize("bound", [15, 10_000_000, -1])
def test_bound_of_a_decoder_has_bounds(bound: int):
    """A decoder that could read nothing, or anything, is not made."""
    with pytest.raises(ValueError, match="max_body"):
        Decoder(bound)


# -- any stream, cut anywhere ------------------------------------------------------------------

VALUES = st.binary(min_size=0, max_size=12).map(lambda value: value.replace(b"\x01", b"|"))
FIELDS = st.one_of(
    st.tuples(st.integers(1, 1200), VALUES).map(lambda pair: b"%d=%b" % pair),
    st.binary(max_size=8).map(lambda text: text.replace(b"\x01", b"=")),
    st.sampled_from([b"95=3", b"96=a\x01b", b"354=12", b"355=x", b"10=000", b"8=FIX.4.4", b"34=9"]),
)


@st.composite
def pieces(draw: st.DrawFn) -> bytes:
    """A message, whole or damaged, or bytes that are none."""
    body = b"35=%b\x01" % draw(st.sampled_from([b"0", b"D", b"", b"AE"]))
    body += b"".join(field + b"\x01" for field in draw(st.lists(FIELDS, max_size=6)))
    off = draw(st.sampled_from([0, 0, 0, 0, -3, 4, 40]))
    head = b"8=FIX.4.4\x019=%d\x01" % max(0, len(body) + off)
    whole = head + body + b"10=%03d\x01" % (sum(head + body) % 256)
    if draw(st.integers(0, 5)) == 0:
        at = draw(st.integers(0, len(whole) - 1))
        whole = whole[:at] + draw(st.binary(max_size=3)) + whole[at + draw(st.integers(0, 3)) :]
    return whole


@settings(max_examples=200)
@given(st.lists(pieces(), max_size=5), st.data())
def test_stream_cut_anywhere_gives_the_same_messages(parts: list[bytes], data: st.DataObject):
    """How the network cuts a stream changes nothing of what is read."""
    stream = b"".join(parts)
    places = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    chunks = [stream[a:b] for a, b in zip([0, *places], [*places, len(stream)], strict=True)]

    assert told(read(stream)) == told(read(*chunks))
    assert told(read(stream)) == told(read(*(bytes([one]) for one in stream)))


@settings(max_examples=150)
@given(
    st.lists(
        st.tuples(
            st.integers(11, 999_999_999).filter(lambda tag: tag not in DATA_OF_LENGTH),
            VALUES.filter(bool),
        ),
        max_size=20,
    ),
    st.integers(1, 10**12),
)
def test_message_that_was_written_is_read_as_it_was(fields: list[tuple[int, bytes]], number: int):
    """Reading undoes writing."""
    message = only(encode(HEAD._replace(seq_num=number), b"8", fields))

    assert fields == list(zip(message.tags, message.values, strict=True))[5:]
    assert [35, 49, 56, 34, 52] == message.tags[:5]
    assert number == message.seq_num


# -- writing -------------------------------------------------------------------------------------


def test_message_is_written_byte_for_byte():
    """Header first, then what the session adds, then the body; length and sum are right."""
    head = HEAD._replace(extra=[(43, b"Y"), (122, b"20261130-09:59:59.000")])

    assert (
        b"8=FIX.4.4|9=95|35=0|49=CLIENT|56=NEXUS|34=7|52=20261130-10:00:00.000|43=Y|"
        b"122=20261130-09:59:59.000|112=HELLO|10=092|"
    ) == encode(head, b"0", [(112, b"HELLO")]).replace(b"\x01", b"|")


@pytest.mark.parametrize("number", [-1, 10**18, 10**30])
def test_number_that_no_message_has_is_not_written(number: int):
    """A sequence number has at most eighteen digits."""
    with pytest.raises((ValueError, OverflowError)):
        encode(HEAD._replace(seq_num=number), b"0", [])


@settings(max_examples=100)
@given(st.binary(max_size=3000))
def test_checksum_is_the_sum_of_bytes(data: bytes):
    """However long a message is and whatever it holds."""
    assert sum(data) % 256 == checksum(data)


@pytest.mark.parametrize(
    ("field", "why"),
    [
        ((58, b""), "field 58 has no value"),
        ((58, b"a\x01b"), "field 58 holds a separator"),
        ((0, b"x"), "0 is no tag"),
        ((-4, b"x"), "-4 is no tag"),
        ((1_000_000_000, b"x"), "1000000000 is no tag"),
    ],
)
def test_field_that_no_message_can_hold_is_not_written(field: tuple[int, bytes], why: str):
    """A fault of ours is told here and never sent."""
    with pytest.raises(ValueError, match=why):
        encode(HEAD, b"8", [(37, b"1"), field])


def test_checksum_of_a_body_tells_bodies_apart():
    """Two bodies with one checksum said the same; header and numbers are no part of it."""
    body = [(37, b"1"), (39, b"0")]

    assert body_checksum(body) == body_checksum(list(body))
    assert body_checksum(body) != body_checksum([(37, b"1"), (39, b"2")])


@pytest.mark.parametrize(
    ("microseconds", "text"),
    [
        (0, b"19700101-00:00:00.000"),
        (1_000_999, b"19700101-00:00:01.000"),
        (1_796_032_799_999_999, b"20261130-09:59:59.999"),
        (1_796_032_800_000_000, b"20261130-10:00:00.000"),
    ],
)
def test_sending_time_is_written_in_milliseconds(microseconds: int, text: bytes):
    """It is cut and never rounded up, whichever second was written before."""
    clock = Clock52()
    clock.text(1_796_032_800_500_000)

    assert [text, text] == [clock.text(microseconds), clock.text(microseconds)]
