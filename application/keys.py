"""The commands about keys; none carries a secret, but what is stored of one (its SHA-256)."""

from __future__ import annotations

from typing import Annotated

import msgspec

from application.requests import Command, Int64, OfAccount, Text, Words
from domain.identifiers import AccountId, Instant
from domain.units import Columns

Digest = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
"""The SHA-256 of a secret: whoever reads it is not let in by it."""

SentScopes = Annotated[tuple[Text[str], ...], msgspec.Meta(max_length=8)]

KeyOfBefore = Annotated[
    tuple[Text[str], AccountId, bool, Digest, bool],
    Columns(("key_id", "account_id", "admin", "digest", "revoked")),
]
"""A key as it was stored before keys were events."""


class IssueKey(OfAccount, frozen=True, array_like=True, tag="issue_key"):
    """Let a key of an account in, or of an operator where the account is nil; `instead` of all
    that the account has.
    """

    KEEPS_BESIDE = True
    SAME_TWICE = True

    key_id: Text[str]
    digest: Digest
    scopes: SentScopes
    label: Text[str] = ""
    expires_at: Int64[Instant] = 0
    instead: bool = False


class RotateKey(Command, frozen=True, array_like=True, tag="rotate_key"):
    """Give a key another secret, and another expiry unless that is None."""

    KEEPS_BESIDE = True
    SAME_TWICE = True

    key_id: Text[str]
    digest: Digest
    expires_at: Int64[Instant] | None = None


class RevokeKey(Command, frozen=True, array_like=True, tag="revoke_key"):
    """Let a key in no more."""

    TAKES_RISK_AWAY = True
    KEEPS_BESIDE = True
    SAME_TWICE = True

    key_id: Text[str]
    reason: Words[str] = ""


class EnsureOperator(Command, frozen=True, array_like=True, tag="ensure_operator"):
    """See that the operator's first key is good with this secret; one that was drawn and not
    `given`, or that was revoked, is taken only while no operator has a key that is good for
    everything.
    """

    KEEPS_BESIDE = True
    SAME_TWICE = True

    key_id: Text[str]
    digest: Digest
    given: bool = False


class AdoptKeys(Command, frozen=True, array_like=True, tag="adopt_keys"):
    """Write down the keys that were stored before keys were events; once in the life of a log."""

    KEEPS_BESIDE = True
    SAME_TWICE = True

    keys: tuple[KeyOfBefore, ...]
