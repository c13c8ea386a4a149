"""The books of keys: who was let in by which event, held against the rows that let people in.

And of persons that were forgotten: no key may be kept that opens their names.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from hashlib import sha256
from typing import NamedTuple
from uuid import UUID

from application.audit.second_books.findings import Findings
from domain.events import (
    AccountOpened,
    AccountOwnerForgotten,
    KeyEvent,
    KeyIssued,
    KeyRevoked,
    KeyRotated,
)

CHECK = "api_keys"
FORGOTTEN = "forgotten"
KNOWN_SCOPES = {"read", "trade", "admin", "risk"}
NOBODY = UUID(int=0)
OF_OPERATORS, OF_ACCOUNTS = "admin", "trader"


class CredentialRow(NamedTuple):
    """A key as it is stored beside the log, whole; times in microseconds, 0 is never."""

    key_id: str
    digest: bytes
    account_id: UUID | None
    role: str
    scopes: tuple[str, ...]
    label: str
    expires_at: int
    version: int
    position: int
    created_at: int
    revoked_at: int


class _Told(NamedTuple):
    """What the newest event of a key has led to."""

    position: int
    account_id: UUID
    scopes: tuple[str, ...]
    label: str
    expires_at: int
    fingerprint: bytes
    version: int
    created_at: int
    revoked_at: int


class CredentialBooks:
    """Keys by their ids, as their events have told them."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._told: dict[str, _Told] = {}
        self._accounts = {NOBODY}
        self._forgotten: dict[UUID, int] = {}

    def opened(self, event: AccountOpened) -> None:
        """Take a new account in."""
        self._accounts.add(event.originator_id)

    def issued(self, position: int, event: KeyIssued) -> None:
        """Judge a new key: its id is its own, its account is there, its scopes are known."""
        self._findings.looked[CHECK] += 1
        if event.key_id in self._told:
            self._fail(position, f"key {event.key_id} was issued before")
        if event.account_id not in self._accounts:
            self._fail(position, f"key {event.key_id} is of an account that was never opened")
        allowed = KNOWN_SCOPES if event.account_id == NOBODY else {"read", "trade"}
        scopes = set(event.scopes)
        if not scopes or not scopes <= allowed or len(scopes) != len(event.scopes):
            self._fail(position, f"key {event.key_id} is for {', '.join(event.scopes)}")
        self._judge_fingerprint(position, event)
        self._told[event.key_id] = _Told(
            position=position,
            account_id=event.account_id,
            scopes=event.scopes,
            label=event.label,
            expires_at=event.expires_at,
            fingerprint=event.fingerprint,
            version=event.originator_version,
            created_at=event.at,
            revoked_at=0,
        )

    def rotated(self, position: int, event: KeyRotated) -> None:
        """Judge another secret of a key that there must be."""
        known = self._known(position, event)
        self._judge_fingerprint(position, event)
        if known is not None:
            self._told[event.key_id] = known._replace(
                position=position,
                expires_at=event.expires_at,
                fingerprint=event.fingerprint,
                version=event.originator_version,
                revoked_at=0,
            )

    def revoked(self, position: int, event: KeyRevoked) -> None:
        """Judge the end of a key that there must be, and that has not ended."""
        known = self._known(position, event)
        if known is not None:
            if known.revoked_at:
                self._fail(position, f"key {event.key_id} was revoked before")
            self._told[event.key_id] = known._replace(
                position=position, version=event.originator_version, revoked_at=event.at
            )

    def forgotten(self, position: int, event: AccountOwnerForgotten) -> None:
        """Note whose name nobody may be able to read any more."""
        self._findings.looked[FORGOTTEN] += 1
        self._forgotten[event.subject] = position

    def end(self, rows: Iterable[CredentialRow], opened: Iterable[UUID]) -> None:
        """Hold all that is stored against what the events have told; `opened` are the persons
        whose key is kept.
        """
        if self._told:
            # Before any key was an event, all that were stored are those of before.
            self._judge_rows({row.key_id: row for row in rows})
        for subject in opened:
            if subject in self._forgotten:
                self._findings.fail(
                    FORGOTTEN, self._forgotten[subject], f"the key of person {subject} is kept"
                )

    def _judge_rows(self, rows: dict[str, CredentialRow]) -> None:
        for key_id in rows.keys() - self._told.keys():
            self._fail(0, f"key {key_id} is stored, and no event has issued it")
        for key_id, told in self._told.items():
            self._findings.looked[CHECK] += 1
            row = rows.get(key_id)
            if row is None and told.revoked_at:
                # What an archive brought back has none, and what was left of them is revoked.
                continue
            if row is None:
                self._fail(told.position, f"key {key_id} was issued, and is not stored")
                continue
            if sha256(row.digest).digest() != told.fingerprint:
                self._fail(told.position, f"key {key_id} is stored with another secret's digest")
            for name, said, owed in _beside(row, told):
                if said != owed:
                    self._fail(told.position, f"key {key_id}: {name} is {said}, by events {owed}")
            if bool(row.revoked_at) != bool(told.revoked_at):
                shown = "revoked" if row.revoked_at else "live"
                self._fail(told.position, f"key {key_id} is stored as {shown}, and is not")
            elif row.revoked_at != told.revoked_at:
                said, owed = row.revoked_at, told.revoked_at
                self._fail(told.position, f"key {key_id}: end is {said}, by events {owed}")

    def _known(self, position: int, event: KeyEvent) -> _Told | None:
        self._findings.looked[CHECK] += 1
        known = self._told.get(event.key_id)
        if known is None or known.account_id != event.account_id:
            self._fail(position, f"account {event.account_id} has no key {event.key_id}")
        return known

    def _judge_fingerprint(self, position: int, event: KeyIssued | KeyRotated) -> None:
        if len(event.fingerprint) != 32:
            self._fail(position, f"key {event.key_id} has no fingerprint")

    def _fail(self, position: int, message: str) -> None:
        self._findings.fail(CHECK, position, message)


def _beside(row: CredentialRow, told: _Told) -> Iterator[tuple[str, object, object]]:
    """What a stored key and its events say of the same thing, by its name."""
    role = OF_OPERATORS if told.account_id == NOBODY else OF_ACCOUNTS
    yield "account", row.account_id or NOBODY, told.account_id
    yield "role", row.role, role
    yield "scopes", row.scopes, told.scopes
    yield "label", row.label, told.label
    yield "expiry", row.expires_at, told.expires_at
    yield "version", row.version, told.version
    yield "position", row.position, told.position
    yield "beginning", row.created_at, told.created_at
