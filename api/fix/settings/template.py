"""What is agreed for one FIX session: who it is, how it proves that, and how it behaves."""

from __future__ import annotations

import re
from collections import Counter
from datetime import datetime
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Annotated, Self
from uuid import UUID

from argon2 import Type, extract_parameters
from argon2.exceptions import InvalidHashError
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    StrictBool,
    StrictInt,
    model_validator,
)

from api.fix.ports import SessionId
from api.fix.settings.schedule import Schedule

Network = IPv4Network | IPv6Network

COMP_ID = re.compile(r"[\x21-\x7e]{1,64}")
FINGERPRINT = re.compile(r"[0-9a-f]{64}")
USER_DEFINED_FROM = 5000
TAG_MOST = 999_999
HASH_COST = {"time_cost": (1, 20), "memory_cost": (7_168, 1 << 20), "parallelism": (1, 16)}
"""From what is worth guessing against to what a logon may cost; memory in KiB."""


class Kind(StrEnum):
    """What a session is for."""

    TRADE = "trade"
    DROP_COPY = "drop-copy"


class OverRate(StrEnum):
    """How a message over the rate is answered."""

    BUSINESS_REJECT = "business-reject"
    EXECUTION_REPORT = "execution-report"


class Away(StrEnum):
    """What a client gets that comes back: all it missed, or how its open orders stand."""

    HISTORY = "history"
    STATUS = "status"


def _comp_id(text: str) -> str:
    if not COMP_ID.fullmatch(text) or "->" in text or "=" in text:
        raise ValueError(
            "a comp id is 1 to 64 printable ASCII characters, no blank, no = and no ->"
        )
    return text


def _network(text: object) -> object:
    try:
        return ip_network(str(text))
    except ValueError as error:
        raise ValueError(f"no network such as 10.0.0.0/8: {error}") from None


def _fingerprint(text: str) -> str:
    digits = text.replace(":", "").lower()
    if not FINGERPRINT.fullmatch(digits):
        raise ValueError("a fingerprint is the SHA-256 of the certificate: 64 hexadecimal digits")
    return digits


def _password_hash(secret: SecretStr) -> SecretStr:
    """An argon2id hash of bearable cost; its text is repeated in no message."""
    try:
        found = extract_parameters(secret.get_secret_value())
    except (InvalidHashError, ValueError):
        found = None
    if found is None or found.type is not Type.ID:
        raise ValueError("not an argon2id hash; nexus fix password makes one of a password")
    for name, (least, most) in HASH_COST.items():
        if not least <= getattr(found, name) <= most:
            raise ValueError(f"{name} of the hash must be from {least} to {most}")
    return secret


def _position_or_time(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _begins_at(text: str) -> str:
    if text.isascii() and text.isdigit() and len(text) <= 18:
        return text
    try:
        datetime.fromisoformat(text)
    except ValueError:
        raise ValueError("neither a log position nor a time such as 2026-11-20T15:00Z") from None
    return text


CompId = Annotated[str, AfterValidator(_comp_id)]
IpNetwork = Annotated[Network, BeforeValidator(_network)]
Fingerprint = Annotated[str, AfterValidator(_fingerprint)]
PasswordHash = Annotated[SecretStr, AfterValidator(_password_hash)]
Label = Annotated[str, Field(pattern=r"^[\x21-\x3c\x3e-\x7e]{1,64}$")]
Positive = Annotated[StrictInt, Field(ge=1)]
NotNegative = Annotated[StrictInt, Field(ge=0)]
BeginsAt = Annotated[str, BeforeValidator(_position_or_time), AfterValidator(_begins_at)]


class Part(BaseModel):
    """A table of the file: what it does not know is refused by name, and nothing changes it."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Certificate(Part):
    """By what a client's TLS certificate is known: whose it is, or which one."""

    subject: str | None = None
    """Its subject's distinguished name (RFC 4514), or its common name alone."""
    fingerprint: Fingerprint | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.subject and not self.fingerprint:
            raise ValueError("a certificate is known by its subject or its fingerprint")
        return self


class Heartbeat(Part):
    """Between which bounds in seconds a client chooses HeartBtInt(108); 0 would mean none."""

    least: NotNegative = 5
    most: Annotated[StrictInt, Field(ge=1, le=86_400)] = 60

    @model_validator(mode="after")
    def _is_a_range(self) -> Self:
        if self.least > self.most:
            raise ValueError(f"least ({self.least}) is above most ({self.most})")
        return self


class Resets(Part):
    """When the numbers of both sides begin at 1 again, beside the schedule and the operator."""

    on_logon: StrictBool = False
    on_logout: StrictBool = False
    on_disconnect: StrictBool = False
    by_client: StrictBool = True
    """Whether the client may ask for it with ResetSeqNumFlag(141)=Y."""


class Validation(Part):
    """What is taken although the dictionary does not say it."""

    user_defined: StrictBool = True
    """Tags from 5000 on."""
    unknown: StrictBool = False
    """Tags below 5000 that FIX 4.4 does not have, or not in this message."""
    unordered: StrictBool = False
    """Fields of header, body and trailer mixed, and members of a group in another order."""
    empty: StrictBool = False
    """Tags without a value, as if they were not there."""


class Rate(Part):
    """How many application messages are taken in a rolling window, and what more of them get."""

    messages: Annotated[StrictInt, Field(ge=1, le=1_000_000)] = 10_000
    window_ms: Annotated[StrictInt, Field(ge=1, le=3_600_000)] = 1_000
    answer: OverRate = OverRate.BUSINESS_REJECT


class MarketData(Part):
    """What market data it may ask for."""

    rate: Annotated[StrictInt, Field(ge=1, le=1_000)] = 20
    """How often a second it is told what is new."""
    instruments: Annotated[StrictInt, Field(ge=0, le=10_000)] = 100
    """Of how many instruments at a time; 0 is none."""
    rpt_seq: StrictBool = False
    """Whether it is told RptSeq(83), which FIX 4.4 does not have in these messages."""


class SessionTemplate(Part):
    """One session, as it was agreed with the client; what is not said is as the defaults are."""

    sender: CompId
    """The venue's own comp id: 49 of what is sent, 56 of what comes."""
    target: CompId
    """The client's comp id."""
    kind: Kind = Kind.TRADE
    accounts: Annotated[dict[Label, UUID], Field(min_length=1)]
    """The accounts it may use, by what Account(1) calls them."""
    keys: StrictBool = False
    """Whether it proves itself by a key of the accounts: Username(553) its id, Password(554) its
    secret.
    """
    username: str | None = None
    password: PasswordHash | None = None
    certificate: Certificate | None = None
    addresses: tuple[IpNetwork, ...] = ()
    """The networks it may come from; none named is all."""
    heartbeat: Heartbeat = Heartbeat()
    schedule: Schedule | None = None
    """None: open at all times, and no day begins the numbers anew."""
    resets: Resets = Resets()
    latency_seconds: NotNegative = 120
    """How far SendingTime(52) may be from the venue's clock; 0 does not look at it."""
    validation: Validation = Validation()
    rate: Rate = Rate()
    market_data: MarketData = MarketData()
    cancel_on_disconnect: StrictBool = False
    away: Away = Away.HISTORY
    away_seconds: NotNegative = 0
    """With `away = "status"`: history all the same when it was away no longer than this."""
    high_water: Annotated[StrictInt, Field(ge=4_096, le=1 << 30)] = 4 << 20
    """How many bytes may wait for a client that reads too slowly."""
    slow_seconds: Positive = 30
    """How long they may before it is disconnected; its orders stay."""
    list_tag: Annotated[StrictInt, Field(ge=USER_DEFINED_FROM, le=TAG_MOST)] | None = None
    """The user-defined tag by which a NewOrderList says oco or bracket."""
    begins_at: BeginsAt | None = None
    """Of a drop copy: the log position or the time after which it is told, the first time."""

    @property
    def session_id(self) -> SessionId:
        """Both comp ids."""
        return SessionId(self.sender, self.target)

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.password is None and self.certificate is None and not self.keys:
            raise ValueError(
                "it proves itself by nothing: give it a password, a certificate or keys"
            )
        if self.keys and (self.password is not None or self.username is not None):
            raise ValueError("with keys the username and the password are a key's")
        if self.username is not None and self.password is None:
            raise ValueError("a username goes with a password")
        if self.begins_at is not None and self.kind is not Kind.DROP_COPY:
            raise ValueError("begins_at is for drop-copy sessions")
        if self.cancel_on_disconnect and self.kind is Kind.DROP_COPY:
            raise ValueError("a drop-copy session has no orders to cancel on disconnect")
        twice = [str(account) for account, n in Counter(self.accounts.values()).items() if n > 1]
        if twice:
            raise ValueError(f"account {twice[0]} has two labels")
        return self

    def may_come_from(self, address: str) -> bool:
        """Whether a client may connect from an address."""
        if not self.addresses:
            return True
        try:
            here: IPv4Address | IPv6Address = ip_address(address.partition("%")[0])
        except ValueError:
            return False
        if isinstance(here, IPv6Address) and here.ipv4_mapped is not None:
            here = here.ipv4_mapped
        return any(here in network for network in self.addresses)
