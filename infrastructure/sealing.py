"""Seals names under a person's key, and opens them while that is kept (AES-SIV, RFC 5297).

The same name under the same key is sealed alike, so that two accounts of one owner can be seen to
be his by whoever cannot read whose they are.
"""

from __future__ import annotations

import base64
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from domain.sealed_name import sealed_name, sealed_text, subject_of

KEY_BITS = 512


class NotOpened(ValueError):
    """A sealed text that the key does not fit."""


def new_key() -> bytes:
    """A key that nobody can guess."""
    return AESSIV.generate_key(KEY_BITS)


def seal(name: str, subject: UUID, key: bytes) -> str:
    """What stands in the log for a name; it says nothing but whose key opens it."""
    sealed = AESSIV(key).encrypt(name.encode(), [subject.bytes])
    return sealed_name(subject, base64.urlsafe_b64encode(sealed).decode().rstrip("="))


def open_sealed(sealed: str, key: bytes) -> str:
    """The name; raises NotOpened when the key is another, or the text was changed."""
    subject = subject_of(sealed)
    assert subject is not None, "no sealed name"
    text = sealed_text(sealed)
    try:
        data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        return AESSIV(key).decrypt(data, [subject.bytes]).decode()
    except (InvalidTag, ValueError) as error:
        raise NotOpened(sealed) from error
