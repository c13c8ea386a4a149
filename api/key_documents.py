"""What operators get of keys: what a key is good for, and once its secret."""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

from api.documents import Document

KeyScope = Literal["read", "trade", "admin", "risk"]


class OperatorsKey(Document):
    """A key as the venue's operators see it; its secret is kept nowhere."""

    key_id: str
    account_id: UUID | None
    label: str
    scopes: list[KeyScope]
    status: Literal["live", "expired", "revoked"]
    created_at: datetime
    valid_until: datetime | None
    last_event: str | None
    last_event_at: datetime | None
    last_position: int | None


class IssuedKey(Document):
    """A key that was just made. The secret is shown this once and kept nowhere."""

    account_id: UUID | None
    name: str | None
    created: bool
    key_id: str | None
    secret_key: str | None


KEY_DOCUMENTS: tuple[type[Document], ...] = (IssuedKey, OperatorsKey)
