"""The desk brought forward by committed events: recovery, standby, replay and as-of go this way."""

from __future__ import annotations

from collections.abc import Iterable

from application.desk.desk import Desk
from application.log.ports import Recorded
from domain.identifiers import command_number


class DeskDiverged(Exception):
    """An event that does not fit the desk: the log or the snapshot is damaged."""


def follow(desk: Desk, recorded: Iterable[Recorded]) -> None:
    """Apply committed events in order; those the desk holds already are passed over.

    Raises DeskDiverged when a position is missing or an event does not fit.
    """
    newest = None
    for position, event in recorded:
        if position <= desk.position:
            continue
        if position != desk.position + 1:
            raise DeskDiverged(f"position {position} follows {desk.position}")
        try:
            desk.apply(event)
        except (AssertionError, LookupError, ValueError) as error:
            raise DeskDiverged(f"event {position} {event.TOPIC}: {error!r}") from error
        desk.position = position
        desk.last_at = event.at
        newest = event
    if newest is not None:
        desk.command = command_number(newest.correlation_id)
