"""FIX messages made from the dictionary: whole ones, and ones that were damaged."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

from api.fix.codec import DATA_OF_LENGTH, DATA_TAGS, Head, encode
from api.fix.dictionary import Member, fix44

HEAD = Head(b"CLIENT", b"NEXUS", 7, b"20261130-10:00:00.000")

_BY_TYPE = {
    "String": b"some text",
    "Exchange": b"XNAS",
    "char": b"x",
    "Boolean": b"Y",
    "int": b"-3",
    "SeqNum": b"12",
    "float": b"-0.5",
    "Qty": b"100",
    "Price": b"101.25",
    "PriceOffset": b"-0.01",
    "Amt": b"-12.50",
    "Percentage": b"0.05",
    "MultipleValueString": b"1 2",
    "Country": b"US",
    "Currency": b"USD",
    "MonthYear": b"202612",
    "UTCTimestamp": b"20261130-10:00:00.000",
    "UTCTimeOnly": b"10:00:00",
    "UTCDateOnly": b"20261130",
    "LocalMktDate": b"20261130",
}
_DATA = b"a\x01b"


def value_of(member: Member, rng: random.Random) -> bytes:
    """A value that a plain field may have."""
    if member.field.values:
        return rng.choice(sorted(member.field.values))
    if member.tag in DATA_OF_LENGTH:
        return b"%d" % len(_DATA)
    if member.tag in DATA_TAGS:
        return _DATA
    if member.field.type == "Length":
        return b"10"
    return _BY_TYPE[member.field.type]


def fields_of(
    members: Sequence[Member], rng: random.Random, *, entries: int = 2
) -> Iterator[tuple[int, bytes]]:
    """Every member of a message with a value, groups with some entries."""
    for member in members:
        if not member.entry:
            yield member.tag, value_of(member, rng)
            continue
        yield member.tag, b"%d" % entries
        for _ in range(entries):
            yield from fields_of(member.entry, rng, entries=entries)


def whole_body(code: bytes, rng: random.Random) -> list[tuple[int, bytes]]:
    """The body of a message of a type, with everything that it may have."""
    return list(fields_of(fix44().messages[code].members, rng))


def damaged(rng: random.Random) -> bytes:
    """Bytes of a message of any type that something happened to."""
    code = rng.choice(sorted(fix44().messages))
    fields = whole_body(code, rng)
    kept = rng.randint(0, min(len(fields), 40))
    at = rng.randint(0, len(fields) - kept) if rng.random() < 0.7 else 0
    fields = fields[at : at + kept]
    for _ in range(rng.randint(0, 4)):
        _damage_fields(fields, rng)
    written = [
        (tag, value if tag in DATA_TAGS else value.replace(b"\x01", b"|")) for tag, value in fields
    ]
    whole = bytearray(encode(HEAD, code, written))
    for _ in range(rng.choice((0, 0, 0, 1, 3))):
        _damage_bytes(whole, rng)
    return _resealed(bytes(whole)) if rng.random() < 0.8 else bytes(whole)


def _damage_fields(fields: list[tuple[int, bytes]], rng: random.Random) -> None:
    """Double, drop, move or replace a field."""
    if not fields:
        return
    at = rng.randrange(len(fields))
    other = rng.randrange(len(fields))
    tag, value = fields[at]
    match rng.randrange(6):
        case 0:
            fields.insert(other, fields[at])
        case 1:
            del fields[at]
        case 2:
            fields[at], fields[other] = fields[other], fields[at]
        case 3:
            fields[at] = rng.choice((1, 20, 50, 73, 112, 453, 957, 5001, 999_999_999)), value
        case 4:
            fields[at] = (tag, rng.choice((b"0", b"-1", b"9" * 40, b"Y", b"\xff\x00", b"=", b" ")))
        case _:
            fields[at] = tag, fields[other][1] if tag in DATA_TAGS else b"%d" % at


def _damage_bytes(whole: bytearray, rng: random.Random) -> None:
    """Change, take out or put in some bytes."""
    at = rng.randrange(len(whole))
    some = bytes(rng.choice((1, 1, 61, 48, 57, 65, 0, 255)) for _ in range(rng.randint(1, 4)))
    match rng.randrange(3):
        case 0:
            whole[at : at + len(some)] = some
        case 1:
            del whole[at : at + rng.randint(1, 5)]
            whole += b"" if whole else b"x"
        case _:
            whole[at:at] = some


def _resealed(whole: bytes) -> bytes:
    """The same bytes with length and sum put right, where their frame can still be found."""
    begin = whole.find(b"\x0135=") + 1
    end = whole.rfind(b"\x0110=") + 1
    if not 0 < begin < end:
        return whole
    inner = whole[begin:end]
    head = b"8=FIX.4.4\x019=%d\x01" % len(inner)
    return head + inner + b"10=%03d\x01" % (sum(head + inner) % 256)
