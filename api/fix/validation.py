"""Judges a FIX message by the dictionary, and reads its repeating groups."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, NamedTuple, Protocol

from api.fix.codec import DATA_OF_LENGTH
from api.fix.dictionary import FIRST_USER_DEFINED, Dictionary, Field, Member, fix44
from api.fix.formats import FORMATS, any_text

# SessionRejectReason (373).
INVALID_TAG = 0
REQUIRED_TAG_MISSING = 1
TAG_NOT_OF_MESSAGE = 2
TAG_WITHOUT_VALUE = 4
VALUE_OUT_OF_RANGE = 5
WRONG_FORMAT = 6
INVALID_MSG_TYPE = 11
TAG_TWICE = 13
OUT_OF_ORDER = 14
GROUP_OUT_OF_ORDER = 15
WRONG_COUNT = 16

# BusinessRejectReason (380).
UNSUPPORTED_MESSAGE_TYPE = 3

# Where a field stands: they come in this order.
_HEADER, _BODY, _TRAILER = 0, 1, 2
_PLACES = ("header", "body", "trailer")
_FRAMING = frozenset({8, 9, 10})
_LENGTH_OF_DATA = {data: length for length, data in DATA_OF_LENGTH.items()}

Entry = list[tuple[int, bytes]]


class Toggles(Protocol):
    """What is taken although the dictionary does not say it."""

    @property
    def user_defined(self) -> bool:
        """Tags from 5000 on."""
        ...

    @property
    def unknown(self) -> bool:
        """Tags below 5000 that FIX 4.4 does not have, or not in this message."""
        ...

    @property
    def unordered(self) -> bool:
        """Fields of header, body and trailer mixed, and members of a group in another order."""
        ...

    @property
    def empty(self) -> bool:
        """Tags without a value, as if they were not there."""
        ...


class Received(Protocol):
    """What is judged: a message as the codec reads it."""

    @property
    def msg_type(self) -> bytes:
        """Its type (35)."""
        ...

    @property
    def tags(self) -> Sequence[int]:
        """The tags in their order; 0 for a field that has none."""
        ...

    @property
    def values(self) -> Sequence[bytes]:
        """Their values."""
        ...


class Fault(NamedTuple):
    """Why a message is not taken, as the answer to it says."""

    reason: int
    """SessionRejectReason, or BusinessRejectReason where the kind is `business`."""
    tag: int
    """RefTagID, 0 when there is none to name."""
    text: str
    kind: Literal["reject", "business"] = "reject"


class _Broken(Exception):
    """Carries a fault out of the depth of a message."""

    def __init__(self, reason: int, tag: int, text: str) -> None:
        super().__init__(text)
        self.fault = Fault(reason, tag, text)


class _Rule:
    """What must hold of a field where it stands."""

    __slots__ = (
        "field",
        "fits",
        "free",
        "group",
        "of_words",
        "place",
        "plain",
        "required",
        "values",
    )

    def __init__(self, member: Member, place: int) -> None:
        self.field: Field = member.field
        self.place = place
        self.required = member.required
        self.values = member.field.values
        self.of_words = member.field.type == "MultipleValueString"
        self.fits: Callable[[bytes], bool] = FORMATS[member.field.type]
        self.group: _Group | None = _Group(member.entry) if member.entry else None
        tag = member.tag
        # Most fields need no look at those around them, and many hold any text.
        self.plain = not member.entry and tag not in DATA_OF_LENGTH and tag not in _LENGTH_OF_DATA
        self.free = self.plain and FORMATS[member.field.type] is any_text and not self.values

    def judge(self, value: bytes) -> None:
        """Refuse a value that is not of the type, or none of those that there are."""
        if not self.fits(value):
            raise _Broken(
                WRONG_FORMAT,
                self.field.tag,
                f"{self.field} is not written as {self.field.type} is",
            )
        if self.values and value not in self.values:
            if self.of_words and all(word in self.values for word in value.split(b" ")):
                return
            raise _Broken(
                VALUE_OUT_OF_RANGE, self.field.tag, f"{self.field} has no such value in FIX 4.4"
            )


class _Group:
    """The members of an entry of a repeating group, by tag and in their order."""

    def __init__(self, members: Sequence[Member]) -> None:
        self.rules = {member.tag: _Rule(member, _BODY) for member in members}
        self.order = {member.tag: place for place, member in enumerate(members)}
        self.first = members[0].tag
        self.required = [member.field for member in members if member.required]
        # A member of a group within it belongs to the entry, too.
        inner: frozenset[int] = frozenset(
            tag for rule in self.rules.values() if rule.group for tag in rule.group.all_tags
        )
        self.all_tags: frozenset[int] = frozenset(self.rules) | inner


class _MessageRules:
    """What must hold of a type of message."""

    def __init__(self, dictionary: Dictionary, members: Sequence[Member]) -> None:
        parts = ((dictionary.header, _HEADER), (members, _BODY), (dictionary.trailer, _TRAILER))
        self.rules = {
            member.tag: _Rule(member, place)
            for part, place in parts
            for member in part
            if member.tag not in _FRAMING
        }
        self.required = {tag: rule.field for tag, rule in self.rules.items() if rule.required}
        self.required_tags = frozenset(self.required)
        self.groups: dict[int, _Group] = {}
        _collect(self.rules, self.groups)


def _collect(rules: Mapping[int, _Rule], groups: dict[int, _Group]) -> None:
    """Gather groups by the tags that count them, those within groups as well."""
    for tag, rule in rules.items():
        if rule.group:
            groups[tag] = rule.group
            _collect(rule.group.rules, groups)


_rules: dict[bytes, _MessageRules] = {}


def _rules_of(msg_type: bytes) -> _MessageRules | None:
    """The rules of a type of message, made when it is first met; None for one not spoken here."""
    rules = _rules.get(msg_type)
    if rules is None:
        described = fix44().messages.get(msg_type)
        if described is None:
            return None
        rules = _rules[msg_type] = _MessageRules(fix44(), described.members)
    return rules


def validate(message: Received, toggles: Toggles) -> Fault | None:
    """The first thing wrong with a message, None when it is as the dictionary says."""
    msg_type = message.msg_type
    rules = _rules_of(msg_type)
    if rules is None:
        return _not_spoken(msg_type)
    try:
        _Walk(message, rules, toggles).message()
    except _Broken as broken:
        return broken.fault
    return None


def _not_spoken(msg_type: bytes) -> Fault:
    """Of a type that has no rules: there is none such, or we do not do it."""
    if not msg_type:
        return Fault(TAG_WITHOUT_VALUE, 35, "MsgType (35) has no value")
    if msg_type in fix44().types:
        text = f"messages of type {msg_type.decode()} are not supported"
        return Fault(UNSUPPORTED_MESSAGE_TYPE, 0, text, "business")
    return Fault(INVALID_MSG_TYPE, 35, "MsgType (35) is none of FIX 4.4")


class _Walk:
    """One message being judged, field by field."""

    __slots__ = ("_empty", "_rules", "_size", "_tags", "_toggles", "_values")

    def __init__(self, message: Received, rules: _MessageRules, toggles: Toggles) -> None:
        self._tags = message.tags
        self._values = message.values
        self._size = len(message.tags)
        self._rules = rules
        self._toggles = toggles
        self._empty = toggles.empty

    def message(self) -> None:
        """Judge all of it."""
        tags, values, size = self._tags, self._values, self._size
        rule_of = self._rules.rules.get
        seen: set[int] = set()
        place = _HEADER
        at = 0
        while at < size:
            tag = tags[at]
            value = values[at]
            rule = rule_of(tag)
            if tag in seen:
                raise _Broken(TAG_TWICE, tag, f"{_named(tag)} stands twice")
            if rule is None:
                self._strange(tag, value)
                seen.add(tag)
                at += 1
                continue
            if rule.place != place:
                place = self._moved(rule, place)
            if not value:
                self._without_value(rule.field)
                at += 1
                continue
            seen.add(tag)
            if rule.free:
                at += 1
            elif rule.plain:
                # Most fields with listed values have one of them, which is of their type then.
                if value not in rule.values:
                    rule.judge(value)
                at += 1
            else:
                at = self._field(rule, at)
        if not self._rules.required_tags <= seen:
            tag, field = next(one for one in self._rules.required.items() if one[0] not in seen)
            raise _Broken(REQUIRED_TAG_MISSING, tag, f"{field} is missing")

    def _field(self, rule: _Rule, at: int) -> int:
        """Judge a field and the group that it counts; the place behind them."""
        value = self._values[at]
        if not value:
            self._without_value(rule.field)
            return at + 1
        if value not in rule.values:
            rule.judge(value)
        tag = rule.field.tag
        if tag in DATA_OF_LENGTH or tag in _LENGTH_OF_DATA:
            self._data(tag, at)
        if rule.group is None:
            return at + 1
        return self._group(rule, rule.group, at)

    def _without_value(self, field: Field) -> None:
        """Refuse a field without a value, unless it counts as one that is not there."""
        if not self._empty:
            raise _Broken(TAG_WITHOUT_VALUE, field.tag, f"{field} has no value")

    def _moved(self, rule: _Rule, place: int) -> int:
        """Go on to another part of the message, or refuse to go back."""
        if rule.place < place and not self._toggles.unordered:
            text = f"{rule.field} of the {_PLACES[rule.place]} stands behind"
            raise _Broken(OUT_OF_ORDER, rule.field.tag, f"{text} the {_PLACES[place]}")
        return max(place, rule.place)

    def _data(self, tag: int, at: int) -> None:
        """Judge a length that must be that of the data behind it, or data by that before it."""
        data = DATA_OF_LENGTH.get(tag)
        if data is not None:
            if at + 1 == self._size or self._tags[at + 1] != data:
                raise _Broken(REQUIRED_TAG_MISSING, data, f"{_named(data)} does not follow")
            if int(self._values[at]) != len(self._values[at + 1]):
                raise _Broken(
                    VALUE_OUT_OF_RANGE, tag, f"{_named(tag)} is not the length of {_named(data)}"
                )
        elif self._tags[at - 1] != _LENGTH_OF_DATA[tag]:
            length = _LENGTH_OF_DATA[tag]
            raise _Broken(REQUIRED_TAG_MISSING, length, f"{_named(length)} does not stand before")

    def _group(self, rule: _Rule, group: _Group, at: int) -> int:
        """Judge the entries behind a count; the place behind them."""
        told = int(self._values[at])
        at += 1
        entries = 0
        first = group.first
        if self._toggles.unordered and at < self._size and self._tags[at] in group.rules:
            first = self._tags[at]
        while at < self._size and self._tags[at] in group.all_tags:
            if self._tags[at] != first:
                raise _Broken(
                    GROUP_OUT_OF_ORDER,
                    self._tags[at],
                    f"{_named(self._tags[at])} stands before {_named(first)}"
                    f" in an entry of {rule.field}",
                )
            entries += 1
            at = self._entry(group, first, at)
        if entries != told:
            raise _Broken(WRONG_COUNT, rule.field.tag, f"{rule.field} does not count its entries")
        return at

    def _entry(self, group: _Group, first: int, at: int) -> int:
        """Judge one entry of a group; the place behind it."""
        seen: set[int] = set()
        last = -1
        while at < self._size:
            tag = self._tags[at]
            rule = group.rules.get(tag)
            if rule is None:
                if tag < FIRST_USER_DEFINED or tag in self._rules.rules:
                    break
                self._strange(tag, self._values[at])
                at += 1
                continue
            if tag in seen:
                if tag == first:
                    break
                raise _Broken(TAG_TWICE, tag, f"{rule.field} stands twice in an entry")
            order = group.order[tag]
            if order < last and not self._toggles.unordered:
                raise _Broken(GROUP_OUT_OF_ORDER, tag, f"{rule.field} is out of its order")
            last = max(last, order)
            seen.add(tag)
            at = self._field(rule, at)
        for field in group.required:
            if field.tag not in seen:
                raise _Broken(REQUIRED_TAG_MISSING, field.tag, f"{field} is missing in an entry")
        return at

    def _strange(self, tag: int, value: bytes) -> None:
        """Judge a field that the message does not have."""
        if tag == 0:
            raise _Broken(INVALID_TAG, _number(value), "a field does not begin with a tag and =")
        if tag in _FRAMING:
            raise _Broken(TAG_TWICE, tag, f"{_named(tag)} stands twice")
        if not value and not self._empty:
            raise _Broken(TAG_WITHOUT_VALUE, tag, f"{_named(tag)} has no value")
        if tag >= FIRST_USER_DEFINED:
            if not self._toggles.user_defined:
                raise _Broken(INVALID_TAG, tag, f"tag {tag} is user-defined and not agreed")
        elif not self._toggles.unknown:
            if fix44().defines(tag):
                raise _Broken(TAG_NOT_OF_MESSAGE, tag, f"{_named(tag)} is none of this message")
            raise _Broken(INVALID_TAG, tag, f"tag {tag} is none of FIX 4.4")


def _named(tag: int) -> str:
    """A tag with its name, where it has one."""
    field = fix44().by_tag.get(tag)
    return str(field) if field is not None else f"tag {tag}"


def _number(field: bytes) -> int:
    """The number that stands where a tag should, as 58 in 058=x; 0 where there is none."""
    name = field.partition(b"=")[0]
    digits = name[1:] if name.startswith(b"-") else name
    return int(name) if digits.isdigit() and len(digits) <= 9 else 0


def groups(
    message: Received, count_tag: int, within: Sequence[tuple[int, bytes]] | None = None
) -> list[Entry]:
    """The entries of a repeating group of a message that was validated, in order.

    A group inside a group is read out of an entry (`within`) of the outer one.
    """
    rules = _rules_of(message.msg_type)
    assert rules is not None, f"{message.msg_type!r} is not described"
    group = rules.groups[count_tag]
    fields = (
        list(zip(message.tags, message.values, strict=True)) if within is None else list(within)
    )
    at = next((place for place, (tag, _) in enumerate(fields) if tag == count_tag), len(fields))
    entries: list[Entry] = []
    # Where members may stand in any order, the one that comes first begins each entry.
    first = fields[at + 1][0] if at + 1 < len(fields) else 0
    for tag, value in fields[at + 1 :]:
        if tag == first and tag in group.all_tags:
            entries.append([])
        elif tag not in group.all_tags and (
            tag < FIRST_USER_DEFINED or tag in rules.rules or not entries
        ):
            break
        if not entries:
            break
        entries[-1].append((tag, value))
    return entries
