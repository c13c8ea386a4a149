"""Deterministic identifiers: UUIDv7 made from the instant, the partition and the command."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Annotated
from uuid import UUID

from domain.units import INSTANT, Id, Party

Instant = Annotated[int, INSTANT]
"""Microseconds since 1970-01-01T00:00:00Z."""

AggregateId = Annotated[UUID, Id("aggregate")]
AccountId = Annotated[UUID, Id("account")]
InstrumentId = Annotated[UUID, Id("instrument")]
OrderId = Annotated[UUID, Id("order")]
GroupId = Annotated[UUID, Id("oco")]
"""Of an oco, bracket or oto group, or of the multi-leg order that an order is a leg of."""
StrategyId = Annotated[UUID, Id("multileg")]
RevisionId = Annotated[UUID, Id("revision")]
TradeId = Annotated[UUID, Id("trade")]
SettlementId = Annotated[UUID, Id("settlement")]
PositionId = Annotated[UUID, Id("position")]
WatchlistId = Annotated[UUID, Id("watchlist")]
SubjectId = Annotated[UUID, Id("subject")]
"""A person whose name is sealed: what names the key that opens it, and no more."""
CommandId = Annotated[UUID, Id("command")]
PartyId = Annotated[UUID, Party()]
"""An account, or `HOUSE`."""

MAX_INSTANT: Instant = 253_402_300_799_999_999
"""The end of the year 9999: later than any date can be written."""

HOUSE = UUID(int=0)
"""The venue's own, stream-less account: the other side of every posting."""

NO_ID = UUID(int=0)
"""Where an id could stand and none does: no group, no instrument, no leg."""

VENUE = UUID(int=1)
"""The stream of what concerns the venue as a whole."""

_COMMAND_BITS = 36
_INDEX_BITS = 20
MAX_IDS_PER_COMMAND = 1 << _INDEX_BITS
_COMMAND_MASK = (1 << _COMMAND_BITS) - 1
_VERSION_AND_VARIANT = (7 << 76) | (2 << 62)
_VERSION_BITS = 15 << 76
_VERSION_AND_VARIANT_BITS = _VERSION_BITS | (3 << 62)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SAFE = UUID(int=0).is_safe
_new = object.__new__
# Of the slots themselves: a UUID lets nobody set its attributes.
_set_int = vars(UUID)["int"].__set__
_set_safe = vars(UUID)["is_safe"].__set__


def uuid7(at: Instant, partition: int, command: int, index: int) -> UUID:
    """The id number `index` that command number `command` of a partition draws at `at`.

    Layout (RFC 9562): 48 bits of milliseconds, 12 bits holding the microsecond, then
    6 bits of partition, 36 of command number and 20 of index.
    """
    return uuid_of_bits(id_bits(at, partition, command) | index)


def id_bits(at: Instant, partition: int, command: int) -> int:
    """The bits that all ids of a command share; its own id has no others."""
    millis, micros = divmod(at, 1000)
    return (
        (millis << 80)
        | _VERSION_AND_VARIANT
        | (micros << 64)
        | (partition << (_COMMAND_BITS + _INDEX_BITS))
        | ((command & _COMMAND_MASK) << _INDEX_BITS)
    )


def uuid_of_bits(bits: int) -> UUID:
    """The id with these 128 bits; a third of what the standard constructor takes."""
    identifier = _new(UUID)
    _set_int(identifier, bits)
    _set_safe(identifier, _SAFE)
    return identifier


def uuid_of(data: bytes) -> UUID:
    """The id in sixteen bytes."""
    return uuid_of_bits(int.from_bytes(data, "big"))


def command_id(at: Instant, partition: int, command: int) -> UUID:
    """The id of a command itself: what correlates all its events."""
    return uuid7(at, partition, command, 0)


def command_number(identifier: UUID) -> int:
    """The command number inside an id of ours (modulo 2^36)."""
    return (identifier.int >> _INDEX_BITS) & _COMMAND_MASK


def drawn_at(identifier: UUID) -> Instant:
    """The instant inside an id of ours."""
    return (identifier.int >> 80) * 1000 + (identifier.int >> 64 & 0xFFF)


def instant_of(moment: datetime) -> Instant:
    """Exact microseconds of an aware datetime."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


def datetime_of(at: Instant) -> datetime:
    """The aware UTC datetime of an instant."""
    return _EPOCH + timedelta(microseconds=at)


def operators_of(account_id: UUID) -> UUID:
    """Whose the request keys are that operators give for an account, beside its traders' own.

    It is the account's id under another version, so that no account has it.
    """
    return uuid_of_bits(account_id.int ^ _VERSION_BITS)


def key_stream(key_id: str) -> UUID:
    """The stream of a key's events, which its id leads to; one of version 8, that no command drew.

    So a key is found in the log by what a client says, whatever else is stored of it.
    """
    digest = sha256(b"nexus key " + key_id.encode("utf-8", "surrogatepass")).digest()
    bits = int.from_bytes(digest[:16], "big") & ~_VERSION_AND_VARIANT_BITS
    return uuid_of_bits(bits | (8 << 76) | (2 << 62))


def drawn_by(identifier: UUID) -> UUID | None:
    """The command that drew an id of ours; None when it cannot be one.

    The ids of a partition's commands grow with its log.
    """
    if identifier.int & _VERSION_AND_VARIANT_BITS != _VERSION_AND_VARIANT:
        return None
    return uuid_of_bits(identifier.int >> _INDEX_BITS << _INDEX_BITS)


def iso(at: Instant) -> str:
    """RFC 3339 text of an instant, always with six decimals and Z."""
    return datetime_of(at).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
