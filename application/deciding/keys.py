"""Issue, rotate and revoke keys, see that an operator has one, adopt those of before."""

from __future__ import annotations

from application.commands import Reply
from application.deciding.recording import done, unchanged
from application.deciding.step import Step
from application.keys import AdoptKeys, EnsureOperator, IssueKey, RevokeKey, RotateKey
from domain.api_key import (
    DIGEST_BYTES,
    OF_ACCOUNTS,
    SCOPES,
    ApiKey,
    KeyTerms,
    check_expiry,
    check_terms,
    fingerprint_of,
)
from domain.errors import InvalidField
from domain.identifiers import NO_ID
from domain.key_errors import KeyExists, UnknownKey

OPERATORS_FIRST = "the operator's first key"
FROM_BEFORE = "from before keys were events"
REPLACED = "replaced by another"


def issue_key(step: Step, cmd: IssueKey) -> Reply:
    """Let a new key in; the same key and terms again change nothing."""
    if cmd.account_id != NO_ID:
        step.desk.accounts.account(cmd.account_id)
    terms = KeyTerms(cmd.account_id, cmd.key_id, cmd.scopes, cmd.label, cmd.expires_at)
    known = step.desk.keys.find(cmd.key_id)
    if known is not None:
        if known.is_issued_as(terms, cmd.digest):
            return unchanged(step, _named(cmd.key_id))
        raise KeyExists(cmd.key_id)
    check_terms(terms, step.at)
    if cmd.instead and cmd.account_id == NO_ID:
        raise InvalidField("instead", "is for an account's keys")
    others = step.desk.keys.live_of(cmd.account_id, step.at) if cmd.instead else ()
    for other in others:
        other.revoke(step, REPLACED)
    ApiKey.issue(step, terms, cmd.digest)
    return done(step, _named(cmd.key_id))


def rotate_key(step: Step, cmd: RotateKey) -> Reply:
    """Give a key another secret."""
    key = _live(step, cmd.key_id)
    expires_at = key.expires_at if cmd.expires_at is None else cmd.expires_at
    if (key.fingerprint, key.expires_at) == (fingerprint_of(cmd.digest), expires_at):
        return unchanged(step, _named(cmd.key_id))
    check_expiry(expires_at, step.at)
    key.rotate(step, cmd.digest, expires_at)
    return done(step, _named(cmd.key_id))


def revoke_key(step: Step, cmd: RevokeKey) -> Reply:
    """Let a key in no more; one that was revoked stays so."""
    key = step.desk.keys.find(cmd.key_id)
    if key is None:
        raise UnknownKey(cmd.key_id)
    if key.revoked:
        return unchanged(step, _named(cmd.key_id))
    key.revoke(step, cmd.reason)
    return done(step, _named(cmd.key_id))


def ensure_operator(step: Step, cmd: EnsureOperator) -> Reply:
    """See that an operator can come in: with the secret that was given, or at all. A secret that
    was revoked lets nobody in again while another operator can.
    """
    told = {**_named(cmd.key_id), "good": True}
    keys = step.desk.keys
    key = keys.find(cmd.key_id)
    known = key is not None and key.fingerprint == fingerprint_of(cmd.digest)
    if known and key is not None and key.is_live(step.at):
        return unchanged(step, told)
    ended = known and key is not None and key.revoked
    live = keys.live_of(NO_ID, step.at)
    if (ended or not cmd.given) and any(set(other.scopes) == set(SCOPES) for other in live):
        return unchanged(step, {**told, "good": False})
    if key is None:
        terms = KeyTerms(NO_ID, cmd.key_id, SCOPES, OPERATORS_FIRST)
        check_terms(terms, step.at)
        ApiKey.issue(step, terms, cmd.digest)
    elif key.account_id != NO_ID or set(key.scopes) != set(SCOPES):
        raise KeyExists(cmd.key_id)
    else:
        key.rotate(step, cmd.digest, 0)
    return done(step, told)


def adopt_keys(step: Step, cmd: AdoptKeys) -> Reply:
    """Write down the keys of before, each once; once any key is an event, none is adopted."""
    keys, told = step.desk.keys, {"begun": True}
    if keys.begun:
        return unchanged(step, told)
    ids = [row[0] for row in cmd.keys]
    if len(set(ids)) != len(ids) or any(len(row[3]) != DIGEST_BYTES for row in cmd.keys):
        raise InvalidField("keys", "name one twice, or hold no digest")
    for key_id, account_id, admin, digest, revoked in cmd.keys:
        scopes = SCOPES if admin else OF_ACCOUNTS
        whose = NO_ID if admin else account_id
        ApiKey.issue(step, KeyTerms(whose, key_id, scopes, FROM_BEFORE), digest)
        if revoked:
            key = keys.find(key_id)
            assert key is not None, "a key that was just issued is there"
            key.revoke(step, FROM_BEFORE)
    return done(step, told)


def _live(step: Step, key_id: str) -> ApiKey:
    key = step.desk.keys.find(key_id)
    if key is None or key.revoked:
        raise UnknownKey(key_id)
    return key


def _named(key_id: str) -> dict[str, str | bool]:
    return {"key_id": key_id}
