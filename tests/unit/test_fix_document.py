"""FIX.md says of the application what its tables and its code do."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from api.fix.application import gateway
from api.fix.application import tags as t
from api.fix.application import vocabulary as v
from api.fix.dictionary import fix44
from domain.terms import OrderStatus, OrderType, Side, TimeInForce

FIX = Path(gateway.__file__).parent.parent
TEXT = (FIX / "FIX.md").read_text().partition("\n## The application")[2]
NAMED = re.compile(r"\b(\d{1,4}) ([A-Z][A-Za-z]+)\b")
NO_TAGS = {"Reject", "BusinessMessageReject"}


def row(tag: int) -> str:
    """What the table of codes says of a tag."""
    found = re.search(rf"^\| {tag} \w+ \| (.*) \|$", TEXT, re.MULTILINE)
    assert found is not None, f"{tag} has no row"
    return found[1]


def named_in_text() -> dict[int, str]:
    """Every tag that the document calls by number and name."""
    return {int(tag): name for tag, name in NAMED.findall(TEXT) if name not in NO_TAGS}


def test_tags_are_called_as_fix_calls_them() -> None:
    """A number beside a wrong name would send somebody to another field."""
    known = {**{field.tag: field.name for field in fix44().by_tag.values()}, **t.NAMES}
    wrong = {tag: name for tag, name in named_in_text().items() if known.get(tag) != name}
    assert {} == wrong


def test_every_tag_that_is_read_or_sent_stands_in_the_document() -> None:
    """By its number, wherever in the application it is used."""
    used = {
        node.attr
        for path in sorted((FIX / "application").rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute)
        and ast.unparse(node.value) == "t"
        and node.attr.isupper()
    }
    unsaid = {name for name in used if not re.search(rf"\b{getattr(t, name)}\b", TEXT)}
    assert used and set() == unsaid - {"NAMES"}


@pytest.mark.parametrize(
    ("tag", "table", "codes"),
    [
        (t.SIDE, v.SIDES, Side),
        (t.ORD_TYPE, v.ORD_TYPES, OrderType),
        (t.TIME_IN_FORCE, v.TIMES_IN_FORCE, TimeInForce),
        (t.ORD_STATUS, v.ORD_STATUSES, OrderStatus),
    ],
)
def test_words_of_the_document_are_those_of_the_tables(tag: int, table: dict, codes: type) -> None:
    """Each code by the word that is sent for it."""
    said = dict(re.findall(r"`(\w)` ([a-z_]+)", row(tag)))
    assert said == {word.decode(): codes(code).name.lower() for code, word in table.items()}


def test_exec_types_and_reasons_of_the_document_are_those_that_are_sent() -> None:
    """As sets: a word may stand for several events."""
    words = {word.decode() for word in (*v.EXEC_TYPES.values(), v.SUSPENDED, v.STATUS)}
    assert words == set(re.findall(r"`(\w)`", row(t.EXEC_TYPE)))
    reasons = {one.reason.decode() for one in (*v.ADJUSTMENTS.values(), v.TRAILED, v.TRIGGERED)}
    assert reasons == set(re.findall(r"`(\w)`", row(t.EXEC_RESTATEMENT_REASON)))
    liquidity = {word.decode() for word in v.LIQUIDITY.values() if word}
    assert liquidity == set(re.findall(r"`(\w)`", row(t.LAST_LIQUIDITY_IND)))


def test_every_message_that_is_taken_has_its_row() -> None:
    """And no other has one."""
    taken = TEXT.partition("### What is taken")[2].partition("### What is sent")[0]
    assert gateway.MESSAGES == {
        found.encode()
        for found in re.findall(r"^\| [A-Z]\w+ ([A-Za-z]{1,2}) \|", taken, re.MULTILINE)
    }
