"""How keys are named, their secrets, and what is stored of these."""

from __future__ import annotations

import hashlib
import secrets

SECRET_BYTES = 32
ADMIN_KEY_ID = "admin"
"""The key that NEXUS_ADMIN_KEY is the secret of."""
KEY_ACTOR = "key:"
"""How the actor of an event begins that a key sent."""


def new_secret() -> str:
    """A secret that nobody can guess."""
    return secrets.token_urlsafe(SECRET_BYTES)


def digest_of(secret: str) -> bytes:
    """What is stored of a secret. It is 32 random bytes, so a plain hash is enough."""
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).digest()
