"""FIX messages judged by the dictionary: each fault has its reason and names its tag."""

from __future__ import annotations

import re
from importlib.resources import files
from typing import NamedTuple

import pytest

from api.fix import validation
from api.fix.codec import Decoder, Message
from api.fix.dictionary import fix44
from api.fix.formats import FORMATS
from api.fix.validation import Fault, groups, validate

NO_REASONS = {"UNSUPPORTED_MESSAGE_TYPE", "FIRST_USER_DEFINED", "_HEADER", "_BODY", "_TRAILER"}


class Taken(NamedTuple):
    """What is taken although the dictionary does not say it."""

    user_defined: bool = True
    unknown: bool = False
    unordered: bool = False
    empty: bool = False


STRICT = Taken()
HEAD = "49=A|56=B|34=7|52=20261130-10:00:00|"
ORDER = "11=x|55=ACME|54=1|60=20261130-10:00:00.000|38=100|40=2|44=10.5|"


def message(body: str, msg_type: str = "D", head: str = HEAD) -> Message:
    """A message as the codec reads it, its fields written with bars."""
    if body and not body.endswith("|"):
        body += "|"
    inner = f"35={msg_type}|{head}{body}".replace("|", "\x01").encode()
    whole = b"8=FIX.4.4\x019=%d\x01%b" % (len(inner), inner)
    (found,) = Decoder().feed(whole + b"10=%03d\x01" % (sum(whole) % 256))
    assert isinstance(found, Message), found
    return found


def fault(body: str, msg_type: str = "D", head: str = HEAD, taken: Taken = STRICT) -> Fault | None:
    """What is wrong with a message."""
    return validate(message(body, msg_type, head), taken)


def reason(body: str, msg_type: str = "D", head: str = HEAD, taken: Taken = STRICT) -> object:
    """Reason and tag of what is wrong with a message, None when nothing is."""
    found = fault(body, msg_type, head, taken)
    return found and (found.reason, found.tag)


def test_order_as_the_standard_has_it_is_taken():
    """A message with nothing wrong in it has no fault."""
    assert None is fault(ORDER)


FAULTS = {
    "a field without a sign": (ORDER + "58", (0, 58)),
    "a tag of letters": (ORDER + "Text=x", (0, 0)),
    "a tag with a zero before": (ORDER + "058=x", (0, 58)),
    "a tag below zero": (ORDER + "-1=x", (0, -1)),
    "the tag zero": (ORDER + "0=x", (0, 0)),
    "a tag of ten digits": (ORDER + "1234567890=x", (0, 0)),
    "a tag that FIX 4.4 left out": (ORDER + "20=0", (0, 20)),
    "a tag of a later version": (ORDER + "1385=1", (0, 1385)),
    "a tag below the user-defined ones": (ORDER + "4999=x", (0, 4999)),
    "no symbol": (ORDER.replace("55=ACME|", ""), (1, 55)),
    "no time": (ORDER.replace("60=20261130-10:00:00.000|", ""), (1, 60)),
    "a tag of another message": (ORDER + "112=x", (2, 112)),
    "a tag of a message not spoken": (ORDER + "164=x", (2, 164)),
    "no value": (ORDER + "58=", (4, 58)),
    "no value of a user-defined tag": (ORDER + "5001=", (4, 5001)),
    "a side that there is not": (ORDER.replace("54=1", "54=Z"), (5, 54)),
    "an instruction that there is not": (ORDER + "18=1 z", (5, 18)),
    "a type of two letters": (ORDER.replace("40=2", "40=22"), (6, 40)),
    "a quantity of letters": (ORDER.replace("38=100", "38=ten"), (6, 38)),
    "a price with an exponent": (ORDER.replace("44=10.5", "44=1e3"), (6, 44)),
    "a quantity without end": (ORDER.replace("38=100", "38=" + "9" * 65), (6, 38)),
    "a day that there is not": (
        ORDER.replace("20261130-10:00:00.000", "20260230-10:00:00"),
        (6, 60),
    ),
    "a flag of neither": (ORDER + "114=J", (6, 114)),
    "a tag twice": (ORDER + "58=x|58=x", (13, 58)),
    "a length of the frame inside": (ORDER + "9=5", (13, 9)),
    "a begin string of no FIX inside": (ORDER + "8=x", (13, 8)),
    "a field of the header in the body": (ORDER + "50=sub", (14, 50)),
    "a field of the body behind the trailer": (ORDER + "93=1|89=x|58=late", (14, 58)),
    "data without its length": (ORDER + "355=x", (1, 354)),
    "a length without its data": (ORDER + "354=5|58=x", (1, 355)),
    "a length at the end": (ORDER + "354=5", (1, 355)),
    "a length that is not the data's": (ORDER + "354=2|355=abc", (5, 354)),
    "a length that is no number": (ORDER + "354=x|355=abc", (6, 354)),
}


@pytest.mark.parametrize(("body", "expected"), FAULTS.values(), ids=FAULTS)
def test_fault_of_a_field_has_its_reason_and_tag(body: str, expected: tuple[int, int]):
    """Who sent it learns what is wrong and where."""
    assert expected == reason(body)


@pytest.mark.parametrize("body", [body for body, _ in FAULTS.values()])
def test_text_of_a_fault_fits_a_message(body: str):
    """It is printable, and says no value that a client sent."""
    found = fault(body)

    assert found is not None and found.text.isprintable() and len(found.text) < 120
    assert "ten" not in found.text.split()


PARTIES = "453=2|448=one|447=D|452=1|448=two|447=D|452=3|802=1|523=desk|803=1|"
GROUPS = {
    "two parties": (PARTIES, None),
    "no entry": ("453=0|", None),
    "fewer than told": (PARTIES.replace("453=2", "453=3"), (16, 453)),
    "more than told": (PARTIES.replace("453=2", "453=1"), (16, 453)),
    "none of those told": ("453=1|", (16, 453)),
    "a count below zero": (PARTIES.replace("453=2", "453=-2"), (6, 453)),
    "a count without a value": ("453=|", (4, 453)),
    "a huge count": ("453=999999999999999999|448=one|", (16, 453)),
    "a count too long": ("453=" + "9" * 30 + "|448=one|", (6, 453)),
    "an entry that begins with another member": ("453=1|447=D|448=one|452=1|", (15, 447)),
    "members out of order": ("453=1|448=one|452=1|447=D|", (15, 447)),
    "a member twice": ("453=1|448=one|447=D|447=D|", (13, 447)),
    "a member without a value": ("453=1|448=one|447=|", (4, 447)),
    "a member of a wrong type": ("453=1|448=one|447=D|452=x|", (6, 452)),
    "a member that has no such value": ("453=1|448=one|447=?|", (5, 447)),
    "a member without its group": ("448=one|", (2, 448)),
    "a count within an entry that is wrong": (PARTIES.replace("802=1", "802=2"), (16, 802)),
    "a member of the inner group alone": ("453=1|448=one|447=D|523=desk|", (15, 523)),
    "the group twice": ("453=1|448=one|58=x|453=1|448=two|", (13, 453)),
    "a user-defined tag in an entry": ("453=1|448=one|5001=x|447=D|", None),
}


@pytest.mark.parametrize(("body", "expected"), GROUPS.values(), ids=GROUPS)
def test_fault_of_a_group_has_its_reason_and_tag(body: str, expected: tuple[int, int] | None):
    """Counts are right, entries begin with their first member, members keep their order."""
    assert expected == reason(ORDER + body)


LIST = "66=L|394=3|68=2|73=2|11=a|67=1|55=ACME|54=1|38=5|11=b|67=2|55=ACME|54=2|453=1|448=p|38=6|"


def test_entries_of_a_group_are_read_in_order():
    """Each with its fields, groups within it included."""
    orders = groups(message(LIST, "E"), 73)

    assert [[11, 67, 55, 54, 38], [11, 67, 55, 54, 453, 448, 38]] == [
        [tag for tag, _ in entry] for entry in orders
    ]
    assert (11, b"b") == orders[1][0]


def test_entries_of_a_group_within_an_entry_are_read():
    """The outer entry tells which of the inner groups is meant."""
    first, second = groups(message(LIST.replace("453=1|448=p|38=6|", "38=6|") + "", "E"), 73)
    _, with_party = groups(
        message(
            "66=L|394=3|68=2|73=2|11=a|67=1|55=ACME|54=1|11=b|67=2|453=1|448=p|55=A|54=2|", "E"
        ),
        73,
    )

    assert [[(448, b"p")]] == groups(message(LIST, "E"), 453, with_party)
    assert [] == groups(message(LIST, "E"), 453, first) == groups(message(LIST, "E"), 453, second)


def test_group_that_is_not_there_has_no_entries():
    """Most groups are left out."""
    assert [] == groups(message(ORDER), 453)


def test_field_behind_a_group_is_none_of_its_last_entry():
    """A group ends where a field comes that is not its own."""
    (entry,) = groups(message(ORDER + "453=1|448=one|447=D|58=text|"), 453)

    assert [(448, b"one"), (447, b"D")] == entry


def test_required_member_of_every_entry_is_asked_for():
    """An order of a list has its own number and side, the second as the first."""
    assert (1, 54) == reason(LIST.replace("54=2|453=1|448=p|", ""), "E")
    assert (1, 55) == reason(LIST.replace("55=ACME|", "", 1), "E")


def test_list_may_ask_for_linked_orders_as_a_later_version_does():
    """ContingencyType is understood before the orders of a list."""
    in_order = "66=L|394=3|1385=1|68=1|73=1|11=a|67=1|55=ACME|54=1|38=5|40=2|44=1|"

    assert None is fault(in_order, "E")
    assert (5, 1385) == reason(in_order.replace("1385=1", "1385=9"), "E")


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        ("49=A|56=B|34=7|", (1, 52)),
        ("49=A|56=B|52=20261130-10:00:00|", (1, 34)),
        ("56=B|34=7|52=20261130-10:00:00|", (1, 49)),
        ("49=A|56=B|34=7|52=20261130|", (6, 52)),
        ("49=|56=B|34=7|52=20261130-10:00:00|", (4, 49)),
        ("49=A|56=B|34=seven|52=20261130-10:00:00|", (6, 34)),
        (HEAD + "43=X|", (6, 43)),
        (HEAD + "43=Y|122=20261130-10:00:00|97=Y|", None),
        (HEAD + "627=1|628=HOP|", None),
        (HEAD + "627=2|628=HOP|", (16, 627)),
        ("34=7|52=20261130-10:00:00|56=B|49=A|", None),
    ],
)
def test_header_is_judged_as_the_body_is(head: str, expected: tuple[int, int] | None):
    """Its fields may come in any order, once MsgType stands third."""
    assert expected == reason("112=x|", "0", head)


@pytest.mark.parametrize("msg_type", ["ZZ", "z1", "U1", "8 ", "DD", "\xe9"])
def test_type_that_the_standard_has_not_is_invalid(msg_type: str):
    """The session answers with a Reject."""
    found = fault("", msg_type)

    assert found is not None
    assert (11, 35, "reject") == (found.reason, found.tag, found.kind)


@pytest.mark.parametrize("msg_type", ["6", "B", "R", "S", "J", "AL", "BH", "h"])
def test_type_that_is_not_spoken_here_is_refused_as_business(msg_type: str):
    """The message is FIX, and none of ours: whatever it holds is not looked at."""
    found = fault("nonsense", msg_type)

    assert found is not None and (3, 0, "business") == (found.reason, found.tag, found.kind)
    assert msg_type in found.text


def test_type_without_a_value_is_a_tag_without_one():
    """MsgType stands third and says nothing."""
    assert (4, 35) == reason("", "")


# -- what a template may take besides ------------------------------------------------------------


def test_user_defined_tags_are_taken_where_they_are_agreed():
    """From 5000 on tags mean what two parties agreed on."""
    assert None is reason(ORDER + "5000=x|20001=y|")
    assert (0, 5000) == reason(ORDER + "5000=x|", taken=Taken(user_defined=False))


def test_unknown_tags_may_be_passed_over():
    """Those of a later version, and those of another message."""
    passing = Taken(unknown=True)

    assert None is reason(ORDER + "20=0|1385=1|112=x|", taken=passing)
    assert (13, 112) == reason(ORDER + "112=x|112=x|", taken=passing)
    assert (0, 0) == reason(ORDER + "x=1|", taken=passing)


def test_order_of_fields_may_be_left_open():
    """Header, body and trailer mixed, and the members of an entry in the order of its first."""
    mixed = Taken(unordered=True)
    parties = "453=2|447=D|448=one|447=D|452=1|448=two|"

    assert None is reason(ORDER + "50=sub|93=1|89=x|58=late|", taken=mixed)
    assert None is reason(ORDER + parties, taken=mixed)
    assert [[(447, b"D"), (448, b"one")], [(447, b"D"), (452, b"1"), (448, b"two")]] == groups(
        message(ORDER + parties), 453
    )
    assert (16, 453) == reason(ORDER + parties.replace("453=2", "453=1"), taken=mixed)


def test_empty_fields_may_count_as_left_out():
    """One that is required is missing then."""
    without = Taken(empty=True)

    assert None is reason(ORDER + "58=|5001=|", taken=without)
    assert (1, 55) == reason(ORDER.replace("ACME", ""), taken=without)


# -- types of fields -----------------------------------------------------------------------------

WRITTEN = {
    "int": (["0", "-1", "007", "9" * 18], ["", "+1", "1.0", "--1", "-", "1 ", "9" * 19, "\u0663"]),
    "SeqNum": (["0", "1"], ["-1", "", "1.0"]),
    "Qty": (
        ["1", "0.5", ".5", "5.", "-3", "00023.230", "9" * 64],
        ["", ".", "-", "-.", "1e5", "1,5", "+1", "1.2.3", "NaN", "Infinity", "1_0", " 1", "9" * 65],
    ),
    "char": (["A", "1", " "], ["", "AB"]),
    "Boolean": (["Y", "N"], ["y", "T", "1", "YN", ""]),
    "MultipleValueString": (["1", "1 2", "A B C"], ["", " ", "1  2", " 1", "1 "]),
    "Currency": (["USD"], ["US", "USDX", "U$D", ""]),
    "Country": (["US"], ["USA", "1", ""]),
    "LocalMktDate": (
        ["20261130", "20240229", "00010101"],
        ["20230229", "20261301", "20261100", "2026113", "00000101", "2026-1-1", "", "202611300"],
    ),
    "UTCTimestamp": (
        [
            "20261130-10:00:00",
            "20261130-23:59:59.999",
            "20161231-23:59:60",
            "20161231-23:59:60.000",
            "20261130-00:00:00.123456",
            "20261130-00:00:00.123456789",
        ],
        [
            "20261130",
            "20261130-24:00:00",
            "20261130-10:60:00",
            "20261130-10:00:61",
            "20261130-10:00",
            "20261130-10:00:00.",
            "20261130-10:00:00.1",
            "20261130-10:00:00.12x",
            "20261130-10:00:00,123",
            "20261130 10:00:00",
            "20261130-10-00-00",
            "20260230-10:00:00",
            "20261130-1a:00:00",
            "",
        ],
    ),
    "UTCTimeOnly": (["10:00:00", "10:00:00.000"], ["10:00", "25:00:00", "10:00:00.0000", ""]),
    "MonthYear": (
        ["202611", "20261130", "202611w1", "202611w5"],
        ["202613", "202600", "20261131", "202611w6", "202611w0", "2026", "2026111", ""],
    ),
    "String": (["any text", "\xff"], []),
}


@pytest.mark.parametrize("kind", WRITTEN)
def test_value_is_of_its_type_or_not(kind: str):
    """What each type demands of a value, by examples of both."""
    good, bad = WRITTEN[kind]

    assert [] == [value for value in good if not FORMATS[kind](value.encode())]
    assert [] == [value for value in bad if FORMATS[kind](value.encode())]


def test_instant_is_judged_the_same_the_second_time():
    """What was remembered of a second says nothing of its fraction."""
    fits = FORMATS["UTCTimestamp"]

    assert fits(b"20261130-11:11:11") and fits(b"20261130-11:11:11.123")
    assert not fits(b"20261130-11:11:11.12") and not fits(b"20261130-11:11:11x123")
    assert not fits(b"20269930-11:11:11") and not fits(b"20269930-11:11:11")


def test_every_type_with_values_refuses_what_is_none_of_them():
    """A listed value passes; another of the same type is out of range."""
    for field in fix44().fields.values():
        for value in field.values:
            assert FORMATS[field.type](value), (field, value)


def test_document_lists_every_reason_of_the_validation():
    """FIX.md tells each SessionRejectReason that the dictionary leads to, and no other."""
    text = files("api.fix").joinpath("FIX.md").read_text("utf-8")
    table = text.partition("| 373 | what is wrong |")[2].partition("\n\n")[0]
    reasons = {
        value
        for name, value in vars(validation).items()
        if name.isupper() and isinstance(value, int) and name not in NO_REASONS
    }

    assert reasons == {int(row) for row in re.findall(r"^\| (\d+) \|", table, re.M)}
