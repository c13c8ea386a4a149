"""What a client calls its messages, and is told back with the answer: short, as it is kept."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from domain.errors import InvalidField

LONGEST_ID = 128
_LARGEST = 2**63


def id_of(message: dict[str, Any]) -> Any:
    """The id of a message; None where it has none. Raises InvalidField."""
    said = message.get("id")
    if not _is_short(said):
        raise InvalidField(
            "id", f"must be a number, or text of at most {LONGEST_ID} characters", limit=LONGEST_ID
        )
    return said


def echoed(message: dict[str, Any]) -> Any:
    """The id of a message that is refused for another reason; None for one that is refused too."""
    said = message.get("id")
    return said if _is_short(said) else None


def _is_short(said: Any) -> bool:
    if isinstance(said, str):
        return len(said) <= LONGEST_ID
    if isinstance(said, int):
        return -_LARGEST <= said < _LARGEST
    return said is None or isinstance(said, Decimal)
