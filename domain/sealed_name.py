"""How a person's name stands in events: sealed under a key of its own, which can be thrown away.

What is sealed reads `sealed:1:<subject>:<text>`; the subject says which key opens it. The key
stands beside the log and never in it. A name that was written before names were sealed stands
as it is.
"""

from __future__ import annotations

import re
from uuid import UUID

_SEALED = re.compile(
    r"sealed:1:([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}):([0-9A-Za-z_-]+)"
)


def sealed_name(subject: UUID, text: str) -> str:
    """What stands in the log for a name; `text` is what was sealed, in letters."""
    return f"sealed:1:{subject}:{text}"


def subject_of(name: str) -> UUID | None:
    """Whose key opens a name; None where it stands as it is."""
    found = _SEALED.fullmatch(name)
    return UUID(found[1]) if found else None


def sealed_text(name: str) -> str:
    """What was sealed of a name that has a subject."""
    found = _SEALED.fullmatch(name)
    assert found is not None, "no sealed name"
    return found[2]
