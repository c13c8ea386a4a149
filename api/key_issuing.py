"""Makes, rotates and revokes keys through the writer; a secret leaves this process once.

The command carries the SHA-256 of a secret, and events say no more than the SHA-256 of that.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Mapping
from typing import NamedTuple

from api.auth import Principal
from api.processes.gateway import Gateway
from api.refusals import ScopeRequired
from api.secrets_of_keys import ADMIN_KEY_ID, digest_of, new_secret
from application.commands import EnsureOperator, IssueKey, Reply, RevokeKey, RotateKey
from application.ports import CommandBus
from domain.api_key import KeyTerms
from domain.errors import VenueUnavailable
from domain.identifiers import NO_ID, Instant
from infrastructure.settings import Settings

START = "start"
"""The door through which the venue itself sees that it has an operator."""
AGAIN_SECONDS = 0.1

Say = Callable[[str], object]


class NewKey(NamedTuple):
    """A key just made; the secret exists nowhere else."""

    key_id: str
    secret: str
    position: int = 0


async def issue(
    gateway: Gateway,
    who: Principal,
    terms: KeyTerms,
    *,
    instead: bool = False,
    path_fields: tuple[str, ...] = (),
) -> NewKey:
    """Make a key; `instead` of all that its account has. `terms` have no id yet.

    Raises Refused, and ScopeRequired for what the operator may not do himself.
    """
    if terms.account_id == NO_ID:
        _check_may_give(who, terms.scopes)
    key_id, secret = "NX" + secrets.token_hex(9).upper(), new_secret()
    command = IssueKey(
        terms.account_id,
        key_id,
        digest_of(secret),
        terms.scopes,
        terms.label,
        terms.expires_at,
        instead,
    )
    reply = await _sent(gateway, who, command, path_fields)
    return NewKey(key_id, secret, reply.position)


async def rotate(
    gateway: Gateway, who: Principal, key_id: str, expires_at: Instant | None = None
) -> NewKey:
    """Give a key another secret; raises Refused, and ScopeRequired where it may do more than who
    asks.
    """
    await _check_may_have(gateway, who, key_id)
    secret = new_secret()
    reply = await _sent(gateway, who, RotateKey(key_id, digest_of(secret), expires_at), ("key_id",))
    return NewKey(key_id, secret, reply.position)


async def revoke(gateway: Gateway, who: Principal, key_id: str, reason: str = "") -> Reply:
    """Let a key in no more; raises Refused, and ScopeRequired where it may do more than who asks
    for that.
    """
    await _check_may_have(gateway, who, key_id)
    return await _sent(gateway, who, RevokeKey(key_id, reason), ("key_id",))


async def _sent(
    gateway: Gateway,
    who: Principal,
    command: IssueKey | RotateKey | RevokeKey,
    path_fields: tuple[str, ...],
) -> Reply:
    reply = await gateway.send(command, who, path_fields=path_fields)
    # Others hear of it by notice; who was answered here finds it done.
    gateway.keys.changed(
        None if isinstance(command, IssueKey) and command.instead else command.key_id
    )
    return reply


async def _check_may_have(gateway: Gateway, who: Principal, key_id: str) -> None:
    """Nobody comes to what he may not do by way of another's key, whatever was written by hand."""
    terms = await gateway.keys.terms(key_id)
    if terms is not None and terms.account_id == NO_ID:
        _check_may_give(who, terms.scopes)


def _check_may_give(who: Principal, scopes: tuple[str, ...]) -> None:
    for scope in scopes:
        if scope not in who.scopes:
            raise ScopeRequired(scope)


async def ensure_operator(bus: CommandBus, settings: Settings, say: Say) -> str | None:
    """See that an operator can come in: with NEXUS_ADMIN_KEY as the secret of the key `admin`, or
    with a secret that is drawn and returned when no operator has a key for everything. What becomes
    of a secret that was given is said.

    Raises VenueUnavailable while nobody decides.
    """
    given = settings.admin_key
    secret = new_secret() if given is None else given.get_secret_value()
    command = EnsureOperator(ADMIN_KEY_ID, digest_of(secret), given is not None)
    reply = await bus.send(command, "venue", START)
    if reply.refusal is not None:
        raise VenueUnavailable(reply.refusal.message)
    told: Mapping[str, object] = reply.result or {}
    if given is not None and not reply.duplicate:
        say(f"key {ADMIN_KEY_ID} has the secret of NEXUS_ADMIN_KEY from now on, and no other")
    elif given is not None and not told.get("good"):
        say(f"NEXUS_ADMIN_KEY lets nobody in: key {ADMIN_KEY_ID} with this secret was revoked")
    return secret if given is None and told.get("good") else None


async def keep_ensuring(bus: CommandBus, settings: Settings, say: Say) -> str | None:
    """The same, again until somebody decides."""
    while True:
        try:
            return await ensure_operator(bus, settings, say)
        except VenueUnavailable:
            await asyncio.sleep(AGAIN_SECONDS)
