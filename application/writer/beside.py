"""What a command leaves beside the log, in the transaction of its events.

These are rows of keys, and of persons that are forgotten. They follow from the events but for one
thing that no event says: what is stored of a secret. That is in the command.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from application.keys import AdoptKeys
from application.log.ports import BesideRow, ForgottenSubject, KeyRow
from domain.decision import Decision
from domain.events import AccountOwnerForgotten, KeyIssued, KeyRevoked, KeyRotated


def rows_beside(command: Any, decision: Decision) -> list[BesideRow]:
    """The rows of a command that was decided, in the order of its events."""
    digests = _digests(command)
    rows: list[BesideRow] = []
    subjects = set()
    for position, event in enumerate(decision.events, decision.first_position):
        if isinstance(event, KeyIssued):
            rows.append(
                KeyRow(
                    key_id=event.key_id,
                    account_id=event.account_id,
                    version=event.originator_version,
                    position=position,
                    at=event.at,
                    digest=digests[event.key_id],
                    scopes=event.scopes,
                    label=event.label,
                    expires_at=event.expires_at,
                )
            )
        elif isinstance(event, KeyRotated):
            rows.append(
                KeyRow(
                    key_id=event.key_id,
                    account_id=event.account_id,
                    version=event.originator_version,
                    position=position,
                    at=event.at,
                    digest=digests[event.key_id],
                    expires_at=event.expires_at,
                )
            )
        elif isinstance(event, KeyRevoked):
            rows.append(
                KeyRow(
                    key_id=event.key_id,
                    account_id=event.account_id,
                    version=event.originator_version,
                    position=position,
                    at=event.at,
                    revoked=True,
                )
            )
        elif isinstance(event, AccountOwnerForgotten) and event.subject not in subjects:
            subjects.add(event.subject)
            rows.append(ForgottenSubject(event.subject, event.at))
    return rows


def _digests(command: Any) -> Mapping[str, bytes]:
    """What is stored of the secrets that a command gives, by the ids of their keys."""
    if isinstance(command, AdoptKeys):
        return {row[0]: row[3] for row in command.keys}
    digest = getattr(command, "digest", None)
    return {} if digest is None else {command.key_id: digest}
