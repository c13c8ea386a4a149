"""Damage to what a log says of keys: of those that let somebody in, and of those of requests."""

from __future__ import annotations

from typing import Any

import msgspec

from domain import events as e
from domain.identifiers import HOUSE
from tests.model.memory_audit import MemoryAuditSource
from tests.model.tampering import UNKNOWN, Tamper, altered, find, put


def credential_by_hand(source: MemoryAuditSource) -> int:
    """A stored key that no event tells of."""
    source.api_keys.append(source.api_keys[0]._replace(key_id="by hand"))
    return 0


def credentials_left_out(source: MemoryAuditSource) -> int:
    """Keys that were issued and are not stored."""
    source.api_keys.clear()
    return 0


def credentials_with(**changed: Any) -> Tamper:
    """All stored keys with something else."""

    def tamper(source: MemoryAuditSource) -> int:
        source.api_keys = [row._replace(**changed) for row in source.api_keys]
        return 0

    return tamper


def end_of_another_key(source: MemoryAuditSource) -> int:
    """The end of a key that is another's: the one that ended stands as it did before."""
    altered(e.KeyRevoked, "key_id", "nobody's")(source)
    return 0


def key_of_a_person_kept(source: MemoryAuditSource) -> int:
    """Somebody who was forgotten, and whose name can be read."""
    row, event = find(source, e.AccountOwnerForgotten)
    source.opened.append(event.subject)
    return row.position - 1


def key_left_out(source: MemoryAuditSource) -> int:
    """A key was never stored."""
    row, event = find(source, e.CashDeposited)
    del source.stored_keys[event.spends()[:2]]
    return row.position


def key_of_another_body(source: MemoryAuditSource) -> int:
    """A key was stored for another request."""
    row, event = find(source, e.CashDeposited)
    key = event.spends()[:2]
    source.stored_keys[key] = (b"another", source.stored_keys[key][1])
    return row.position


def key_used_twice(source: MemoryAuditSource) -> int:
    """Two requests carry one key."""
    _, first = find(source, e.CashWithdrawn)
    row, event = find(source, e.CashDeposited, originator_id=first.originator_id)
    del source.stored_keys[event.spends()[:2]]
    put(source, row, msgspec.structs.replace(event, request_key=first.request_key))
    return row.position


def key_of_nothing(source: MemoryAuditSource) -> int:
    """A key was stored without a request."""
    source.stored_keys[HOUSE, "never asked"] = (b"", 1)
    return len(source.rows)


OF_KEYS: list[tuple[str, str, Tamper]] = [
    ("api_keys", "a key of no event", credential_by_hand),
    ("api_keys", "a key that is not stored", credentials_left_out),
    ("api_keys", "another secret", credentials_with(digest=b"x" * 32)),
    ("api_keys", "more scopes", credentials_with(scopes=("read", "trade", "admin"))),
    ("api_keys", "another expiry", credentials_with(expires_at=7)),
    ("api_keys", "another role", credentials_with(role="admin")),
    ("api_keys", "another label", credentials_with(label="mine")),
    ("api_keys", "another position", credentials_with(position=1)),
    ("api_keys", "another beginning", credentials_with(created_at=1)),
    ("api_keys", "an account never opened", altered(e.KeyIssued, "account_id", UNKNOWN)),
    ("api_keys", "a scope that is none", altered(e.KeyIssued, "scopes", ("all",))),
    ("api_keys", "the end of another key", end_of_another_key),
    ("api_keys", "no fingerprint", altered(e.KeyRotated, "fingerprint", b"")),
    ("forgotten", "a key that is kept", key_of_a_person_kept),
    ("keys", "a key left out", key_left_out),
    ("keys", "a key of another body", key_of_another_body),
    ("keys", "a key used twice", key_used_twice),
    ("keys", "a key of no request", key_of_nothing),
]
"""What is wrong with keys, and the check that must say so."""
