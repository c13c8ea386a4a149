"""Members that a JSON object names twice: which of them was meant nobody can know."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from domain.errors import InvalidField

_LONGEST_PLACE = 128


class DoubledMember(InvalidField):
    """A member that is given more than once; in `last_said`, the document, the last one holds."""

    def __init__(self, place: str, document: Any) -> None:
        super().__init__(place[:_LONGEST_PLACE], "is given more than once")
        self.last_said = document


class _Pairs(NamedTuple):
    """An object's members as they were written."""

    members: list[tuple[str, Any]]


def check_members(written: bytes | str, document: Any) -> None:
    """Refuse a document in which an object names a member twice; raises DoubledMember.

    It was read already and is JSON. Every member has a colon, and most documents no other:
    only where the two counts differ is it read again with all its members.
    """
    colons = written.count(b":") if isinstance(written, bytes) else written.count(":")
    if colons == _count_members(document):
        return
    text = written.decode() if isinstance(written, bytes) else written
    # Numbers as text: they were judged, and may have any length.
    whole = json.loads(text, object_pairs_hook=_Pairs, parse_int=str, parse_float=str, strict=False)
    place = next(_doubled(whole), None)
    if place is not None:
        raise DoubledMember(place, document)


def _count_members(document: Any) -> int:
    """How many members the objects of a document have, all together."""
    count = 0
    left = [document]
    while left:
        part = left.pop()
        if type(part) is dict:
            count += len(part)
            left += part.values()
        elif type(part) is list:
            left += part
    return count


def _doubled(document: Any) -> Iterator[str]:
    """The places of members that stand beside one of the same name, outer ones first."""
    left: list[tuple[str, Any]] = [("", document)]
    while left:
        place, part = left.pop()
        if isinstance(part, _Pairs):
            seen: set[str] = set()
            for name, value in part.members:
                inner = f"{place}{name}"
                if name in seen:
                    yield inner
                seen.add(name)
                left.append((f"{inner}.", value))
        elif isinstance(part, list):
            left += [(f"{place}{number}.", value) for number, value in enumerate(part)]
