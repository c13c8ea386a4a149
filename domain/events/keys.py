"""Events of keys: who was let in, with which rights, until when; no secret stands in any."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from domain.events.base import DomainEvent, topic
from domain.identifiers import AccountId, Instant
from domain.units import Flag, SecretPrint, Unit


class KeyEvent(DomainEvent, frozen=True, array_like=True, gc=False):
    """An event of a key: of an account's, or of an operator's where the account is nil."""

    AGGREGATE = "key"
    SETS: ClassVar[Mapping[str, Unit]] = {"revoked": Flag()}
    account_id: AccountId
    key_id: str


@topic
class KeyIssued(KeyEvent, frozen=True, array_like=True, gc=False):
    """A key is good from now on for what its scopes say, until it expires; 0 is never.

    The fingerprint is the SHA-256 of what is stored of its secret.
    """

    TOPIC = "key.issued.v1"
    scopes: tuple[str, ...]
    label: str
    expires_at: Instant
    fingerprint: SecretPrint

    def apply(self, aggregate: Any) -> None:
        aggregate.account_id = self.account_id
        aggregate.key_id = self.key_id
        aggregate.scopes = self.scopes
        aggregate.label = self.label
        aggregate.expires_at = self.expires_at
        aggregate.fingerprint = self.fingerprint


@topic
class KeyRotated(KeyEvent, frozen=True, array_like=True, gc=False):
    """A key has another secret from now on; one that was revoked is good again."""

    TOPIC = "key.rotated.v1"
    expires_at: Instant
    fingerprint: SecretPrint

    def apply(self, aggregate: Any) -> None:
        aggregate.expires_at = self.expires_at
        aggregate.fingerprint = self.fingerprint
        aggregate.revoked = False


@topic
class KeyRevoked(KeyEvent, frozen=True, array_like=True, gc=False):
    """A key lets nobody in any more."""

    TOPIC = "key.revoked.v1"
    reason: str

    def apply(self, aggregate: Any) -> None:
        aggregate.revoked = True
