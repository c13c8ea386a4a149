"""What the venue sends is bounded by the FIX 4.4 dictionary that quickfix comes with."""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree import ElementTree

import pytest

from api.fix.dictionary import fix44, walk
from tests.quickfix_client import FIX44

pytestmark = pytest.mark.soak
SENT = (b"0", b"1", b"2", b"3", b"4", b"5", b"A", b"8", b"9", b"j", b"r", b"N", b"y", b"AQ", b"AE")
# Understood where a client says it, and in no report.
ONLY_TAKEN = {("ExecInst", b"T"), ("PartyRole", b"23")}


def tags_of(node: ElementTree.Element, whole: ElementTree.Element) -> Iterator[str]:
    """The names of all fields of a message or a component of quickfix's document."""
    for child in node:
        if child.tag == "component":
            (component,) = whole.findall(f"components/component[@name='{child.get('name')}']")
            yield from tags_of(component, whole)
        else:
            yield str(child.get("name"))
            yield from tags_of(child, whole)


def test_no_field_is_sent_that_the_standard_dictionary_has_not():
    """Message by message, groups included."""
    theirs = ElementTree.parse(FIX44).getroot()
    for code in SENT:
        message = fix44().messages[code]
        (described,) = theirs.findall(f"messages/message[@name='{message.name}']")
        ours = {member.field.name for member in walk(message.members)}
        assert set() == ours - set(tags_of(described, theirs)), message.name
        assert code.decode() == described.get("msgtype")


def test_no_value_is_sent_that_the_standard_dictionary_has_not():
    """Where it lists the values of a field, ours are among them; numbers and names agree."""
    theirs = {
        str(field.get("name")): field for field in ElementTree.parse(FIX44).findall("fields/field")
    }
    used = {m.field for code in SENT for m in walk(fix44().messages[code].members)}
    for field in used:
        listed = {str(value.get("enum")).encode() for value in theirs[field.name].findall("value")}
        assert str(field.tag) == theirs[field.name].get("number")
        if listed and field.values:
            more = {(field.name, value) for value in field.values - listed}
            assert more <= ONLY_TAKEN
