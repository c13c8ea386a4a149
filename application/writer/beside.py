"""What a command leaves beside the log, in the transaction of its events.

These are rows of keys, and of persons that are forgotten. They follow from the events but for one
thing that no event says: what is stored of a secret. That is in the command.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from application.keys import AdoptKeys
from application.log.ports import BesideRow, ForgottenSubject, KeyRow
from domain.api_key import ApiKey
from domain.decision import Decision
from domain.events import AccountOwnerForgotten, KeyEvent, KeyRevoked

Find = Callable[[str], ApiKey | None]


def rows_beside(command: Any, decision: Decision, find: Find) -> list[BesideRow]:
    """The rows of a command that was decided, in the order of its events; `find` tells how a key
    stands after it.
    """
    digests = _digests(command)
    rows: list[BesideRow] = []
    subjects = set()
    for position, event in enumerate(decision.events, decision.first_position):
        if isinstance(event, KeyEvent):
            rows.append(_key_row(position, event, find(event.key_id), digests))
        elif isinstance(event, AccountOwnerForgotten) and event.subject not in subjects:
            subjects.add(event.subject)
            rows.append(ForgottenSubject(event.subject, event.at))
    return rows


def _key_row(
    position: int, event: KeyEvent, key: ApiKey | None, digests: Mapping[str, bytes]
) -> KeyRow:
    assert key is not None, "a key that an event is about is there"
    revoked = isinstance(event, KeyRevoked)
    return KeyRow(
        key_id=event.key_id,
        account_id=event.account_id,
        version=event.originator_version,
        position=position,
        at=event.at,
        created_at=key.created_at,
        scopes=key.scopes,
        label=key.label,
        expires_at=key.expires_at,
        digest=None if revoked else digests[event.key_id],
        revoked=revoked,
    )


def _digests(command: Any) -> Mapping[str, bytes]:
    """What is stored of the secrets that a command gives, by the ids of their keys."""
    if isinstance(command, AdoptKeys):
        return {row[0]: row[3] for row in command.keys}
    digest = getattr(command, "digest", None)
    return {} if digest is None else {command.key_id: digest}
