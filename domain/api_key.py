"""A key: what lets an account's holder or an operator in, and what for."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from hashlib import sha256
from typing import Any, NamedTuple, Self
from uuid import UUID

from domain.aggregate import Aggregate, aggregate
from domain.decision import Decision
from domain.errors import InvalidField
from domain.events import KeyIssued, KeyRevoked, KeyRotated
from domain.identifiers import MAX_INSTANT, NO_ID, Instant, key_stream

READ, TRADE, ADMIN, RISK = "read", "trade", "admin", "risk"
SCOPES = (READ, TRADE, ADMIN, RISK)
"""To read; to send orders; to run the venue; to set limits and kill switches."""
OF_ACCOUNTS = (READ, TRADE)
"""What an account's key may be good for."""

LONGEST_ID = 64
LONGEST_LABEL = 100
DIGEST_BYTES = 32


class KeyTerms(NamedTuple):
    """What a key is issued as; `expires_at` is 0 where it never does."""

    account_id: UUID
    key_id: str
    scopes: tuple[str, ...]
    label: str = ""
    expires_at: Instant = 0


class ApiKey(Aggregate):
    """One key of an account, or of an operator where the account is nil."""

    KIND = "key"

    account_id: UUID = NO_ID
    key_id: str = ""
    scopes: Any = ()
    label: str = ""
    expires_at: Instant = 0
    fingerprint: bytes = b""
    revoked: bool = False

    @classmethod
    def issue(cls, decision: Decision, terms: KeyTerms, digest: bytes) -> None:
        """Let a new key in."""
        event = KeyIssued(
            *decision.first_of(key_stream(terms.key_id)),
            account_id=terms.account_id,
            key_id=terms.key_id,
            scopes=terms.scopes,
            label=terms.label,
            expires_at=terms.expires_at,
            fingerprint=fingerprint_of(digest),
        )
        decision.record(event, None)

    def rotate(self, decision: Decision, digest: bytes, expires_at: Instant) -> None:
        """Give it another secret."""
        event = KeyRotated(
            *decision.next_of(self),
            account_id=self.account_id,
            key_id=self.key_id,
            expires_at=expires_at,
            fingerprint=fingerprint_of(digest),
        )
        decision.record(event, self)

    def revoke(self, decision: Decision, reason: str) -> None:
        """Let it in no more."""
        event = KeyRevoked(
            *decision.next_of(self), account_id=self.account_id, key_id=self.key_id, reason=reason
        )
        decision.record(event, self)

    def is_live(self, at: Instant) -> bool:
        """Whether it lets somebody in at an instant."""
        return not self.revoked and (not self.expires_at or at < self.expires_at)

    def is_issued_as(self, terms: KeyTerms, digest: bytes) -> bool:
        """Whether it stands as it would if it were issued so now."""
        own = KeyTerms(self.account_id, self.key_id, self.scopes, self.label, self.expires_at)
        return (own, self.fingerprint, self.revoked) == (terms, fingerprint_of(digest), False)

    @classmethod
    def from_state(cls, state: Sequence[Any]) -> Self:
        """The key whose `state` this is; scopes come back as a list."""
        self = super().from_state(state)
        self.scopes = tuple(self.scopes)
        return self


aggregate(ApiKey)


def fingerprint_of(digest: bytes) -> bytes:
    """What an event says of a stored digest, so that one changed by hand is found."""
    return sha256(digest).digest()


def check_terms(terms: KeyTerms, at: Instant) -> None:
    """Refuse what no key may be issued as; raises InvalidField."""
    key_id = terms.key_id
    plain = key_id.isascii() and key_id.replace("-", "").replace("_", "").isalnum()
    if not plain or len(key_id) > LONGEST_ID:
        raise InvalidField("key_id", f"must be up to {LONGEST_ID} letters, digits, - and _")
    if len(terms.label) > LONGEST_LABEL or not terms.label.isprintable():
        raise InvalidField("label", f"must be up to {LONGEST_LABEL} printable characters")
    allowed: Collection[str] = SCOPES if terms.account_id == NO_ID else OF_ACCOUNTS
    if not terms.scopes or not set(terms.scopes) <= set(allowed):
        raise InvalidField("scopes", "must be some of " + ", ".join(allowed), allowed=[*allowed])
    if len(set(terms.scopes)) != len(terms.scopes):
        raise InvalidField("scopes", "name one twice")
    check_expiry(terms.expires_at, at)


def check_expiry(expires_at: Instant, at: Instant) -> None:
    """Refuse an expiry that is over, or cannot be written; raises InvalidField."""
    if expires_at and not at < expires_at <= MAX_INSTANT:
        raise InvalidField("valid_until", "must be in the future")
