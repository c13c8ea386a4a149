"""The FIX 4.4 dictionary: fields, groups and messages, read from FIX44.toml."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

FIRST_USER_DEFINED = 5000


class Field(NamedTuple):
    """A field of the standard."""

    name: str
    tag: int
    type: str
    values: frozenset[bytes]
    """Of which it must have one; empty when it may be any of its type."""

    def __str__(self) -> str:
        return f"{self.name} ({self.tag})"


class Member(NamedTuple):
    """A field in its place in a message or a group; with members of its own it counts them."""

    field: Field
    required: bool
    entry: tuple[Member, ...] = ()
    """What an entry of the group has, the first of them in each; empty for a plain field."""

    @property
    def tag(self) -> int:
        """The tag of the field."""
        return self.field.tag


class MessageType(NamedTuple):
    """A type of message: the members of its body, in order."""

    code: bytes
    name: str
    members: tuple[Member, ...]


@dataclass(frozen=True, slots=True)
class Dictionary:
    """All that is known of a version of FIX."""

    fields: Mapping[str, Field]
    by_tag: Mapping[int, Field]
    header: tuple[Member, ...]
    trailer: tuple[Member, ...]
    messages: Mapping[bytes, MessageType]
    types: frozenset[bytes]
    """Types of messages that the standard has, those that are not spoken here included."""
    last_tag: int
    unassigned: frozenset[int]

    def defines(self, tag: int) -> bool:
        """Whether the standard has a tag, in whichever message."""
        return 0 < tag <= self.last_tag and tag not in self.unassigned


class DictionaryFault(Exception):
    """The dictionary contradicts itself."""


def walk(members: Sequence[Member]) -> Iterator[Member]:
    """Members, and those of their groups."""
    for member in members:
        yield member
        yield from walk(member.entry)


@cache
def fix44() -> Dictionary:
    """The dictionary of FIX 4.4, read once."""
    return read(tomllib.loads(files("api.fix").joinpath("FIX44.toml").read_text("utf-8")))


def read(document: Mapping[str, Any]) -> Dictionary:
    """A dictionary out of its document; raises DictionaryFault where it contradicts itself."""
    fields = {name: _field(name, text) for name, text in document["fields"].items()}
    by_tag = {field.tag: field for field in fields.values()}
    if len(by_tag) != len(fields):
        raise DictionaryFault("two fields have one tag")
    reader = _Reader(document, fields)
    return Dictionary(
        fields=fields,
        by_tag=by_tag,
        header=reader.members("header", document["header"]["members"]),
        trailer=reader.members("trailer", document["trailer"]["members"]),
        messages={
            code.encode(): MessageType(
                code.encode(), message["name"], reader.members(message["name"], message["members"])
            )
            for code, message in document["messages"].items()
        },
        types=frozenset(document["types"]["known"].encode().split()),
        last_tag=document["tags"]["last"],
        unassigned=frozenset(int(tag) for tag in document["tags"]["unassigned"].split()),
    )


def _field(name: str, text: str) -> Field:
    tag, kind, *values = text.split()
    return Field(name, int(tag), kind, frozenset(value.encode() for value in values))


class _Reader:
    """Members as they are written, with blocks and groups put in their places."""

    def __init__(self, document: Mapping[str, Any], fields: Mapping[str, Field]) -> None:
        self._blocks: Mapping[str, str] = document["blocks"]
        self._groups: Mapping[str, Mapping[str, str]] = document["groups"]
        self._fields = fields

    def members(self, where: str, text: str) -> tuple[Member, ...]:
        """The members of a message or a group, each tag once."""
        found = tuple(self._expand(where, text, asked=True))
        tags = [member.tag for member in found]
        for tag in tags:
            if tags.count(tag) > 1:
                raise DictionaryFault(f"{where} has tag {tag} twice")
        return found

    def _expand(self, where: str, text: str, *, asked: bool) -> Iterator[Member]:
        for word in text.split():
            name = word.rstrip("*")
            required = asked and word.endswith("*")
            if name.startswith("@"):
                yield from self._expand(where, self._blocks[name[1:]], asked=required)
            elif name.startswith("["):
                group = self._groups[name[1:-1]]
                entry = self.members(name, group["members"])
                yield Member(self._field(where, group["count"]), required, entry)
            else:
                yield Member(self._field(where, name), required)

    def _field(self, where: str, name: str) -> Field:
        if name not in self._fields:
            raise DictionaryFault(f"{where} has {name}, which is no field")
        return self._fields[name]
