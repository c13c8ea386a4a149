"""What is refused of keys."""

from __future__ import annotations

from domain.errors import Rejection


class UnknownKey(Rejection):
    """No key has this id, or it was revoked."""

    code = "UNKNOWN_KEY"
    field = "key_id"

    def __init__(self, key_id: str) -> None:
        super().__init__(f"no live key {key_id!r}", key_id=key_id)


class KeyExists(Rejection):
    """The id is another key's."""

    code = "KEY_EXISTS"
    field = "key_id"

    def __init__(self, key_id: str) -> None:
        super().__init__(f"key {key_id!r} exists with other terms", key_id=key_id)
