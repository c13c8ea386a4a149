"""The FIX 4.4 dictionary: it holds together, and says what the standard says."""

from __future__ import annotations

from typing import Any

import pytest

from api.fix.codec import DATA_OF_LENGTH
from api.fix.dictionary import DictionaryFault, Member, fix44, read, walk
from api.fix.formats import FORMATS

SESSION = {b"0", b"1", b"2", b"3", b"4", b"5", b"A"}
TAKEN = {b"D", b"F", b"G", b"H", b"q", b"E", b"AF", b"x", b"AD"}
SENT = {b"8", b"9", b"j", b"r", b"N", b"y", b"AQ", b"AE"}


def members_of(code: bytes) -> tuple[Member, ...]:
    """Header, body and trailer of a type of message."""
    return (*fix44().header, *fix44().messages[code].members, *fix44().trailer)


def required(code: bytes) -> set[int]:
    """The tags that must stand in the body of a type of message."""
    return {member.tag for member in fix44().messages[code].members if member.required}


def test_every_message_that_is_taken_or_sent_is_described():
    """There is no message of the gateway that the dictionary does not know."""
    assert SESSION | TAKEN | SENT <= fix44().messages.keys()
    assert fix44().messages.keys() <= fix44().types
    assert 93 == len(fix44().types)


def test_every_field_has_a_type_that_can_be_judged():
    """A value of any field can be told right from wrong."""
    assert set() == {field.type for field in fix44().fields.values()} - FORMATS.keys()


def test_every_listed_value_is_of_the_type_of_its_field():
    """A list of values names none that its type would refuse."""
    wrong = [
        (str(field), value)
        for field in fix44().fields.values()
        for value in field.values
        if not FORMATS[field.type](value)
    ]

    assert [] == wrong


def test_every_field_stands_in_some_message():
    """The dictionary lists no field for nobody."""
    used = {member.field.name for code in fix44().messages for member in walk(members_of(code))}

    assert set() == fix44().fields.keys() - used


def test_field_counts_a_group_exactly_when_it_is_of_that_type():
    """NumInGroup and repeating groups belong together."""
    for code in fix44().messages:
        for member in walk(members_of(code)):
            assert (member.field.type == "NumInGroup") == bool(member.entry), (code, member.field)


def test_no_tag_stands_at_two_places_of_a_message():
    """Where a field of a message belongs is known from its tag alone."""
    for code in fix44().messages:
        tags = [member.tag for member in walk(members_of(code))]
        twice = {tag for tag in tags if tags.count(tag) > 1}
        assert set() == twice, (code, twice)


def test_data_follows_its_length():
    """A field of data stands right behind the field that says how long it is."""
    for code in fix44().messages:
        for part in (members_of(code), *(m.entry for m in walk(members_of(code)) if m.entry)):
            tags = [member.tag for member in part]
            for place, member in enumerate(part):
                if member.field.type == "data":
                    length = tags[place - 1]
                    assert DATA_OF_LENGTH[length] == member.tag, (code, member.field)


def test_every_length_of_data_is_known_to_the_codec():
    """The codec and the dictionary agree on which values may hold the separator."""
    data = {field.tag for field in fix44().fields.values() if field.type == "data"}

    assert data <= set(DATA_OF_LENGTH.values())
    for length, tag in DATA_OF_LENGTH.items():
        if length in fix44().by_tag:
            assert ("Length", "data") == (
                fix44().by_tag[length].type,
                fix44().by_tag[tag].type,
            )


@pytest.mark.parametrize(
    ("code", "tags"),
    [
        (b"0", set()),
        (b"1", {112}),
        (b"2", {7, 16}),
        (b"3", {45}),
        (b"4", {36}),
        (b"5", set()),
        (b"A", {98, 108}),
        (b"D", {11, 55, 54, 60, 40}),
        (b"F", {41, 11, 55, 54, 60}),
        (b"G", {41, 11, 55, 54, 60, 40}),
        (b"H", {11, 55, 54}),
        (b"q", {11, 530, 60}),
        (b"AF", {584, 585}),
        (b"E", {66, 394, 68, 73}),
        (b"x", {320, 559}),
        (b"AD", {568, 569}),
        (b"8", {37, 17, 150, 39, 55, 54, 151, 14, 6}),
        (b"9", {37, 11, 41, 39, 434}),
        (b"j", {372, 380}),
        (b"r", {37, 530, 531}),
        (b"N", {66, 429, 82, 431, 83, 68, 73}),
        (b"y", {320, 322, 560}),
        (b"AQ", {568, 569, 749, 750, 55}),
        (b"AE", {571, 570, 55, 32, 31, 75, 60, 552}),
    ],
)
def test_fields_that_a_message_must_have_are_those_of_the_standard(code: bytes, tags: set[int]):
    """No more is asked for than FIX 4.4 asks for, and no less."""
    assert tags == required(code)


@pytest.mark.parametrize("tag", [20, 685, 831, 957, 4999, 5000, 0, -1])
def test_tag_that_the_standard_left_out_is_not_defined(tag: int):
    """An unassigned tag is told from one that is only of another message."""
    assert not fix44().defines(tag)


@pytest.mark.parametrize("tag", [1, 61, 956, 851, 202])
def test_tag_of_the_standard_is_defined_in_whichever_message(tag: int):
    """Also one that no message of ours has."""
    assert fix44().defines(tag)


def test_every_field_is_defined_but_the_one_of_a_later_version():
    """What is described, the standard has."""
    assert ["ContingencyType"] == [
        field.name for field in fix44().fields.values() if not fix44().defines(field.tag)
    ]


def test_what_a_later_version_has_is_not_sent():
    """ContingencyType is understood in a list of orders, and stands in no other message."""
    having = {code for code in fix44().messages if 1385 in {m.tag for m in walk(members_of(code))}}

    assert {b"E"} == having
    assert b"L" not in fix44().fields["ExecType"].values


# -- a dictionary that contradicts itself ------------------------------------------------------


def document(**changed: Any) -> dict[str, Any]:
    """The smallest dictionary, changed at one place."""
    whole: dict[str, Any] = {
        "header": {"members": "MsgType*"},
        "trailer": {"members": "CheckSum*"},
        "types": {"known": "0"},
        "tags": {"last": 100, "unassigned": ""},
        "groups": {},
        "blocks": {},
        "messages": {"0": {"name": "Heartbeat", "members": "TestReqID"}},
        "fields": {"MsgType": "35 String", "CheckSum": "10 String", "TestReqID": "112 String"},
    }
    return whole | changed


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"header": {"members": "MsgType* Other"}}, "header has Other, which is no field"),
        ({"trailer": {"members": "CheckSum CheckSum"}}, "trailer has tag 10 twice"),
        ({"fields": {"A": "35 String", "B": "35 String"}}, "two fields have one tag"),
        (
            {
                "messages": {"0": {"name": "Heartbeat", "members": "TestReqID @Block"}},
                "blocks": {"Block": "TestReqID"},
            },
            "Heartbeat has tag 112 twice",
        ),
    ],
)
def test_dictionary_that_contradicts_itself_is_not_read(changed: dict[str, Any], why: str):
    """The fault is named."""
    assert read(document()).messages

    with pytest.raises(DictionaryFault, match=why):
        read(document(**changed))
